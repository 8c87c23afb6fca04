//! What a recovery or a replay finds equals what was there.
//!
//! **Verified:** I11: at every quiet moment a recovery would find the journals that the running actors
//! have shown; at the end a killed and recovered store has the same rows as before; and where there are
//! snapshots, on a copy of the disk without them (replayed from the whole journals), each entity is answered
//! as it was from its snapshot. I12: that replay moves no deadline.
//! **Not verified:** a replay from the whole journal in the middle of a run; entities that nobody asked
//! for.

use super::{Going, Judge, Stop, violated};
use crate::http::Answer;
use crate::lines::counted;
use crate::plan::{Action, Step, entity_id, tenant_name};
use crate::server::Server;
use crate::tally::Phases;
use crate::translate::Sets;
use crate::{seams, translate};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stormglass_model::entity::EntityKey;
use stormglass_model::tables::{TenantRows, same_rows};
use stormglass_model::violation::{Invariant, Mismatch, Violation};
use stormglass_platform::seams::NoPoints;
use stormglass_platform::{Config, Seams};
use stormglass_sim::{Boot, Ending, Points, World};

/// What stands for sure in the stores of the running boot.
#[derive(Clone, Default)]
pub(super) struct Standing {
    /// Tenants in whose store a commit has succeeded in this boot, and none failed since: what stands
    /// in their log will stay.
    settled: BTreeSet<String>,
    /// The event that each entity's actor has last shown in this boot, with no write sent since.
    shown: BTreeMap<EntityKey, u64>,
    /// Entities that were asked for alone in this boot and are not there, with no write sent since.
    absent: BTreeSet<EntityKey>,
    /// Something was shown that the tables were not yet held against.
    pub has_news: bool,
    /// Errors injected before this boot, and before the tables were last read.
    errors_before_boot: u64,
    errors_read: u64,
}

impl Standing {
    pub fn of_boot(world: &World) -> Standing {
        let errors = error_count(world);
        Standing { errors_before_boot: errors, errors_read: errors, ..Standing::default() }
    }

    pub fn write_sent(&mut self, key: &EntityKey) {
        self.shown.remove(key);
        self.absent.remove(key);
    }

    /// A request on the entity, with nothing else under way, was told that it is not there.
    pub fn absent(&mut self, key: EntityKey) {
        self.has_news |= self.absent.insert(key);
    }

    /// A request on the entity was answered 5xx.
    pub fn in_doubt(&mut self, key: &EntityKey) {
        self.settled.remove(&key.tenant);
        self.shown.remove(key);
    }

    /// A request to the tenant has succeeded.
    pub fn succeeded(&mut self, world: &World, tenant: &str, is_write: bool) {
        // Opening a store commits, too.
        if is_write || self.is_without_errors(world) {
            self.settled.insert(tenant.to_string());
        }
    }

    pub fn shown(&mut self, key: EntityKey, sequence_nr: u64) {
        self.has_news |= self.shown.insert(key, sequence_nr) != Some(sequence_nr);
    }

    /// The tables are read: of each error since the last time a commit may have failed.
    pub fn note_errors(&mut self, world: &World) {
        let errors = error_count(world);
        if std::mem::replace(&mut self.errors_read, errors) != errors {
            self.settled.clear();
        }
    }

    pub fn is_settled(&self, tenant: &str) -> bool {
        self.settled.contains(tenant)
    }

    /// Whether no commit of this boot can have failed.
    pub fn is_without_errors(&self, world: &World) -> bool {
        error_count(world) == self.errors_before_boot
    }

    /// I11: what the running actors have shown is what a recovery would find.
    pub fn recovers_to_what_was_shown(&self, rows: &TenantRows) -> Option<Violation> {
        if let Some(violation) = self.recovers_what_is_absent(rows) {
            return Some(violation);
        }
        for (key, shown) in self.shown.iter().filter(|(key, _)| key.tenant == rows.tenant) {
            // What the platform itself has added since (callbacks, schedules) nobody was told of.
            let of_it = rows.events.iter().filter(|event| event.entity == *key);
            let told = of_it.filter(|event| event.sequence_nr <= *shown || !is_own(&event.key));
            let found = told.count() as u64;
            if found != *shown {
                let place = "recovery finds another journal than the actor showed";
                let (expected, actual) = (counted(shown, "event"), counted(found, "event"));
                let mismatch = Mismatch::new(Invariant::I11, place, expected, actual);
                return Some(mismatch.at(key.to_string()));
            }
        }
        None
    }
}

impl Standing {
    /// I11: what the store has said is not there, a recovery does not find.
    fn recovers_what_is_absent(&self, rows: &TenantRows) -> Option<Violation> {
        let is_there = |key: &&EntityKey| {
            let mut events = rows.events.iter().filter(|event| event.entity == **key);
            let first = events.next();
            let last = events.next_back().or(first);
            // What the platform itself has created since nobody was told of.
            first.is_some_and(|event| !is_own(&event.key))
                && last.is_some_and(|event| event.action != "Deleted")
        };
        let mut absent = self.absent.iter().filter(|key| key.tenant == rows.tenant);
        let found = absent.find(is_there)?;
        let place = "recovery finds an entity that was not there";
        Some(Mismatch::new(Invariant::I11, place, "no entity", "an entity").at(found.to_string()))
    }
}

/// Whether a key is one of the platform's own.
fn is_own(key: &Option<String>) -> bool {
    key.as_ref().is_some_and(|key| key.starts_with("temper:"))
}

/// Errors injected so far: of each a commit may have failed, one of the background's included.
fn error_count(world: &World) -> u64 {
    let ledger = world.ledger();
    let errors = ledger
        .iter()
        .filter(|((effect, ..), _)| matches!(*effect, "eio" | "no-space" | "forgetting-sync"));
    errors.map(|(_, count)| count).sum()
}

impl Judge<'_> {
    /// I11: two readings of the same tenants, before and after a recovery, are equal.
    pub fn same(&self, before: &[Arc<TenantRows>], after: &[Arc<TenantRows>]) -> Going {
        let pairs = before.iter().zip(after);
        match pairs.filter(|_| self.is_on).find_map(|(before, after)| same_rows(before, after)) {
            Some(violation) => violated(violation),
            None => Ok(()),
        }
    }

    /// I11: on a copy of the disk without snapshots every entity is answered as in `shown`, which came
    /// from the snapshots: two replays, one with them and one without.
    pub async fn replays_alike(
        &self,
        points: &Points,
        config: Config,
        shown: &[(Step, Answer)],
    ) -> Going {
        let rows = self.rows();
        let has_snapshot = |rows: &&Arc<TenantRows>| !rows.snapshots.is_empty();
        let tenants: Vec<&str> =
            rows.iter().filter(has_snapshot).map(|rows| rows.tenant.as_str()).collect();
        if !self.is_on || tenants.is_empty() {
            return Ok(());
        }
        let _kept = self.world.keep_randomness();
        let machine = self.world.side_machine(self.world.image(), &Ending::ProcessKill);
        machine.set_quota(None);
        let boot = machine.boot();
        for tenant in &tenants {
            let forgotten = forget_snapshots(&boot, tenant).await;
            forgotten.map_err(|error| Stop::Broken(error.to_string()))?;
        }
        let alive = Arc::new(());
        // Nobody else runs there, and nothing of it goes on the run's trace.
        let points_there = Arc::new(NoPoints);
        let seams = seams::of(self.world, (points, &Phases::default()), &boot, &alive);
        let seams = Seams { points: points_there, ..seams };
        let server = Server::start(boot, config, (seams, alive)).await;
        let server = server.map_err(|error| Stop::Broken(error.to_string()))?;
        let shown: Vec<_> =
            shown.iter().filter(|(step, _)| !self.asks_damaged(step)).cloned().collect();
        let found = first_difference(&server, &self.sets, &shown).await;
        machine.crash(&Ending::ProcessKill);
        let left = server.buried().await;
        left.map_err(|count| Stop::Broken(format!("{count} futures outlive their boot")))?;
        found.map_or(Ok(()), violated)
    }
}

async fn forget_snapshots(boot: &Boot, tenant: &str) -> libsql::Result<()> {
    let uri = boot.uri(&seams::database_path(tenant));
    let connection = libsql::Builder::new_local(uri).build().await?.connect()?;
    connection.execute("DELETE FROM snapshots", ()).await.map(drop)
}

/// The first read that is answered otherwise than it was.
async fn first_difference(
    server: &Server,
    sets: &Sets,
    shown: &[(Step, Answer)],
) -> Option<Violation> {
    let connection = server.connection();
    // A history is read from the journal, with or without a snapshot.
    let gets = shown.iter().filter(|(step, _)| matches!(step.action, Action::Get { .. }));
    for (step, expected) in gets {
        let actual = connection.request(translate::request(step, sets)?).await.and_then(Result::ok);
        if let Some(mismatch) = difference(expected, actual.as_ref()) {
            let who = step.action.who()?;
            let (tenant, set) = (tenant_name(who.tenant), sets.name(who.set));
            return Some(mismatch.at(EntityKey { tenant, set, id: entity_id(who) }.to_string()));
        }
    }
    None
}

fn difference(expected: &Answer, actual: Option<&Answer>) -> Option<Mismatch> {
    if actual == Some(expected) {
        return None;
    }
    let words = |answer: &Answer| format!("{} {}", answer.status, answer.body);
    // The clock stands still between the two: what expires in one of them alone has two deadlines.
    let moves_a_deadline = actual.is_some_and(|actual| {
        actual.sequence_nr == expected.sequence_nr
            && translate::expired(&actual.body) != translate::expired(&expected.body)
    });
    let (invariant, place) = if moves_a_deadline {
        (Invariant::I12, "replay moves a deadline")
    } else {
        (Invariant::I11, "replay without snapshots differs")
    };
    let actual = actual.map_or("nothing".to_string(), words);
    Some(Mismatch::new(invariant, place, words(expected), actual))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_replay_that_answers_otherwise_is_told() {
        let answer = |sequence_nr| Answer {
            status: 200,
            code: None,
            body: serde_json::json!({"sequence_nr": sequence_nr}),
            sequence_nr: Some(sequence_nr),
        };
        let (one, two) = (answer(1), answer(2));
        assert!(difference(&one, Some(&one)).is_none());
        for actual in [Some(&two), None] {
            let found = difference(&one, actual).expect("they differ");
            assert_eq!(
                (found.invariant, found.place),
                (Invariant::I11, "replay without snapshots differs")
            );
        }
    }

    #[test]
    fn a_replay_in_which_other_values_have_expired_moves_a_deadline() {
        let answer = |body: Value| Answer { status: 200, code: None, body, sequence_nr: Some(1) };
        let before = answer(serde_json::json!({"value": [{"a": 1}, {"@temper.expired": ["b"]}]}));
        let after = answer(serde_json::json!({"value": [{"a": 1}, {"b": 2}]}));
        let found = difference(&before, Some(&after)).expect("they differ");
        assert_eq!((found.invariant, found.place), (Invariant::I12, "replay moves a deadline"));
    }
}
