//! A failing plan as proptest's tree of ever simpler values.
//!
//! **Invariant:** [`PlanTree::current`] is a plan that can be read, and after each refusal the tree stands
//! again at the last one that was accepted. No plan is proposed twice.

use super::{cast, drops, endings, numbers, parts, settings};
use crate::plan::Plan;
use proptest::strategy::ValueTree;
use std::collections::BTreeSet;
use stormglass_sim::Digest;

/// One way to make a plan simpler, place by place.
pub(super) trait Pass {
    /// The next plan to try in place of `best`; nothing when there is none left. `was_kept` says whether the
    /// last one of this pass has become the best.
    fn next(&mut self, best: &Plan, was_kept: Option<bool>) -> Option<Plan>;
}

/// The passes of a round, in order: what drops most comes first.
const PASSES: &[fn() -> Box<dyn Pass>] = &[
    || Box::new(drops::Drops::new(drops::Part::Steps)),
    || Box::new(drops::Drops::new(drops::Part::Faults)),
    || Box::new(drops::Drops::new(drops::Part::Fuel)),
    || Box::new(Alternatives::new(settings::simpler)),
    || Box::new(Alternatives::new(cast::simpler)),
    || Box::new(Alternatives::new(endings::simpler)),
    || Box::new(drops::Drops::new(drops::Part::Values)),
    || Box::new(Alternatives::new(parts::simpler)),
    || Box::new(numbers::Numbers::default()),
    || Box::new(Alternatives::new(settings::other_seeds)),
];

/// Rounds at most. The first ones drop and simplify nearly all; where what is left hangs on a number in no
/// monotonous way, each further one would find a number a little smaller.
const ROUNDS_MAX: u32 = 5;

/// A failing plan, and what is tried in its place.
pub struct PlanTree {
    best: Plan,
    tried: Option<Plan>,
    seen: BTreeSet<Digest>,
    pass: usize,
    state: Box<dyn Pass>,
    /// Whether anything was kept since the first pass of this round.
    has_changed: bool,
    round: u32,
}

impl PlanTree {
    /// The tree of a plan that fails.
    pub fn new(plan: &Plan) -> PlanTree {
        // What the seed drew says little of what is left.
        let best = Plan { swarm: None, ..plan.clone() };
        let seen = BTreeSet::from([digest(&best)]);
        let state = PASSES[0]();
        PlanTree { best, tried: None, seen, pass: 0, state, has_changed: false, round: 1 }
    }

    /// The plan that is to be judged, or the best one when there is none.
    pub fn tried(&self) -> &Plan {
        self.tried.as_ref().unwrap_or(&self.best)
    }

    /// The simplest plan that was accepted.
    pub fn into_best(self) -> Plan {
        self.best
    }

    /// Takes the judgement of what was tried, and proposes the next.
    fn go_on(&mut self, fails: bool) -> bool {
        let mut was_kept = None;
        if let Some(tried) = self.tried.take() {
            was_kept = Some(fails);
            if fails {
                self.best = tried;
                self.has_changed = true;
            }
        }
        loop {
            match self.state.next(&self.best, was_kept.take()) {
                Some(plan) if self.seen.insert(digest(&plan)) && plan.check().is_ok() => {
                    self.tried = Some(plan);
                    return true;
                }
                Some(_) => was_kept = Some(false),
                None if !self.turn() => return false,
                None => {}
            }
        }
    }

    /// Begins the next pass, of the next round if it has to be; false after the last round, and after one that
    /// changed nothing.
    fn turn(&mut self) -> bool {
        self.pass += 1;
        if self.pass == PASSES.len() {
            let has_changed = std::mem::take(&mut self.has_changed);
            if !has_changed || self.round == ROUNDS_MAX {
                self.pass -= 1;
                return false;
            }
            (self.pass, self.round) = (0, self.round + 1);
        }
        self.state = PASSES[self.pass]();
        true
    }
}

impl ValueTree for PlanTree {
    type Value = Plan;

    fn current(&self) -> Plan {
        self.tried().clone()
    }

    fn simplify(&mut self) -> bool {
        self.go_on(true)
    }

    fn complicate(&mut self) -> bool {
        self.go_on(false)
    }
}

fn digest(plan: &Plan) -> Digest {
    Digest::of(&serde_json::to_vec(plan).expect("a plan is plain data"))
}

/// The plans that stand for one at a place, the simplest first; nothing behind the last place.
pub(super) type Simpler = fn(&Plan, usize) -> Option<Vec<Plan>>;

/// Tries at each place what is simpler there, until one is kept.
struct Alternatives {
    simpler: Simpler,
    place: usize,
    open: std::vec::IntoIter<Plan>,
}

impl Alternatives {
    fn new(simpler: Simpler) -> Alternatives {
        Alternatives { simpler, place: 0, open: Vec::new().into_iter() }
    }
}

impl Pass for Alternatives {
    fn next(&mut self, best: &Plan, was_kept: Option<bool>) -> Option<Plan> {
        if was_kept == Some(true) {
            self.open = Vec::new().into_iter();
        }
        loop {
            if let Some(plan) = self.open.next() {
                return Some(plan);
            }
            self.open = (self.simpler)(best, self.place)?.into_iter();
            self.place += 1;
        }
    }
}
