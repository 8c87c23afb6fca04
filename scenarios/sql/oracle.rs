//! What a SQL database may hold, when answers were lost and power was.
//!
//! **Verified:** a transaction is there whole or not at all; an acknowledged one stays, as far as the
//! settings promise; one that was rolled back never appears; a reader's snapshot holds still.
//! **Not verified:** the order of rows, and anything that the settings do not promise.

use std::collections::{BTreeMap, BTreeSet};
use stormglass_sim::Digest;

/// Rows of one batch: number and hash of the body.
pub type Rows = BTreeMap<u32, Digest>;
/// All batches of a database, by number.
pub type State = BTreeMap<u32, Rows>;

/// What one transaction does.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Batches that come.
    pub added: State,
    /// Batches that go.
    pub removed: BTreeSet<u32>,
}

impl Change {
    /// `state` after this transaction.
    pub fn apply(&self, state: &State) -> State {
        let mut after = state.clone();
        after.retain(|batch, _| !self.removed.contains(batch));
        after.extend(self.added.clone());
        after
    }
}

/// The states that are possible now, and those that a crash may bring.
///
/// A commit that failed may be there or not. It can come with a process kill and go again with a power
/// loss; the next acknowledged commit settles it, because it overwrites or covers what the failed one
/// left in the log.
pub struct Oracle {
    may_lose_commits: bool,
    now: BTreeSet<State>,
    after_kill: BTreeSet<State>,
    after_power_loss: BTreeSet<State>,
}

/// More possible states than a check is worth.
const STATES_MAX: usize = 64;

impl Oracle {
    /// The oracle of an empty database.
    pub fn new(may_lose_commits: bool) -> Oracle {
        let empty = BTreeSet::from([State::new()]);
        Oracle {
            may_lose_commits,
            now: empty.clone(),
            after_kill: empty.clone(),
            after_power_loss: empty,
        }
    }

    /// A transaction was acknowledged.
    pub fn committed(&mut self, change: &Change) {
        self.now = self.now.iter().map(|state| change.apply(state)).collect();
        self.after_kill = self.now.clone();
        if self.may_lose_commits {
            self.after_power_loss.extend(self.now.iter().cloned());
        } else {
            self.after_power_loss = self.now.clone();
        }
    }

    /// A commit failed, or its answer was lost.
    pub fn in_doubt(&mut self, change: &Change) {
        let with: BTreeSet<State> = self.now.iter().map(|state| change.apply(state)).collect();
        self.now.extend(with.iter().cloned());
        self.after_kill.extend(with.iter().cloned());
        self.after_power_loss.extend(with);
    }

    /// The process died and `found` is what the disk now holds: true if that is possible. What a power
    /// loss left is durable; what a process kill left may yet be lost with the power.
    pub fn crashed(&mut self, power_lost: bool, found: &State) -> bool {
        let survivors = if power_lost { &self.after_power_loss } else { &self.after_kill };
        let possible = survivors.contains(found);
        let found = BTreeSet::from([found.clone()]);
        self.now = found.clone();
        self.after_kill = found.clone();
        if power_lost {
            self.after_power_loss = found;
        }
        possible
    }

    /// The states that a crash may leave.
    pub fn survivors(&self, power_lost: bool) -> impl Iterator<Item = State> {
        let states = if power_lost { &self.after_power_loss } else { &self.after_kill };
        states.iter().cloned()
    }

    /// The last connection was closed, and one opened that reads the log anew: a failed commit that was
    /// left in it may come.
    pub fn log_read_anew(&mut self) {
        self.now.extend(self.after_kill.iter().cloned());
    }

    /// Somebody read `state`: true if that is possible, and then it is what there is.
    pub fn saw(&mut self, state: &State) -> bool {
        let possible = self.now.contains(state);
        if possible {
            self.now = BTreeSet::from([state.clone()]);
        }
        possible
    }

    /// The states that are possible now.
    pub fn possible(&self) -> impl Iterator<Item = State> {
        self.now.iter().cloned()
    }

    /// Whether so much is in doubt that checks lose their worth and their speed.
    pub fn is_lost(&self) -> bool {
        self.now.len() > STATES_MAX
    }
}

/// Several states in words.
pub fn one_of(states: &[State]) -> String {
    let shown: Vec<String> = states.iter().take(4).map(in_words).collect();
    format!("one of {}: {}", states.len(), shown.join(" or "))
}

/// A state in words: its batches with their numbers of rows.
pub fn in_words(state: &State) -> String {
    let batches = state.iter().map(|(batch, rows)| format!("{batch}x{}", rows.len()));
    format!("batches [{}]", batches.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(batch: u32) -> Change {
        let rows = Rows::from([(0, Digest(batch.into()))]);
        Change { added: State::from([(batch, rows)]), removed: BTreeSet::new() }
    }

    fn holding(batches: &[u32]) -> State {
        batches.iter().fold(State::new(), |state, batch| add(*batch).apply(&state))
    }

    #[test]
    fn an_acknowledged_commit_must_survive_a_power_loss() {
        let mut oracle = Oracle::new(false);
        oracle.committed(&add(1));
        assert!(!oracle.crashed(true, &holding(&[])));
    }

    #[test]
    fn without_syncs_only_a_prefix_survives() {
        for (survived, possible) in [(&[1][..], true), (&[], true), (&[2], false)] {
            let mut oracle = Oracle::new(true);
            oracle.committed(&add(1));
            oracle.committed(&add(2));
            assert_eq!(oracle.crashed(true, &holding(survived)), possible);
        }
    }

    #[test]
    fn a_failed_commit_may_come_with_a_kill_and_go_with_the_power() {
        let mut oracle = Oracle::new(false);
        oracle.in_doubt(&add(1));
        assert!(oracle.saw(&holding(&[])));
        assert!(oracle.crashed(false, &holding(&[1])));
        assert!(oracle.crashed(true, &holding(&[])));
        assert!(!oracle.crashed(true, &holding(&[1])));
    }

    #[test]
    fn the_next_acknowledged_commit_settles_a_failed_one() {
        for (survived, possible) in [(&[1, 2][..], false), (&[2], true)] {
            let mut oracle = Oracle::new(false);
            oracle.in_doubt(&add(1));
            assert!(oracle.saw(&holding(&[])));
            oracle.committed(&add(2));
            assert_eq!(oracle.crashed(false, &holding(survived)), possible);
        }
    }
}
