//! Requests are answered, and a run ends.
//!
//! **Verified:** I16: whatever is sent has its answer or a lost connection within a minute of simulated
//! time in which no fault strikes; none is answered 5xx (nor is an item of a list, nor does a sweep fail)
//! that was sent before any fault has struck at all, or a minute and more after the last one, without
//! one since. A run in which no later fault strikes begins in the same way, so that a quiet minute is as
//! good as the end of all faults. Faults are what the disk's ledger counts (slow operations too), ends of
//! boots, and steps of the clock. At the end of a run every entity is read and written, and nothing is owed any
//! more but what lies in the future. I21: the operations and the simulated time of a run.
//! **Not verified:** whether what nobody waits for (a sweep of the background's, a passivation) makes
//! progress, except as I9 has it. A future that never yields: only the process that waits for it sees
//! that (I21 of a worker that is silent).

use super::{Going, Judge, Stop, violated};
use crate::patience::Bound;
use crate::plan::Step;
use std::collections::BTreeMap;
use stormglass_model::entity::OpId;
use stormglass_model::request::{Answer, Listed};
use stormglass_model::violation::{Invariant, Mismatch, Violation};
use stormglass_model::words::length;
use stormglass_sim::World;

/// Simulated time in which every request has its answer once faults have stopped, in milliseconds (I16).
pub const PROGRESS_MS: i64 = 60_000;
/// The place of a run that does more than a run may do.
pub const ENDLESS: &str = "goes on for ever";

/// When faults struck, and which requests were sent when none had for long.
#[derive(Clone, Default)]
pub(super) struct Calm {
    /// Ends of boots and steps of the clock.
    disturbance_count: u64,
    fault_count: u64,
    /// On the monotonic clock; not before the last fault.
    last_fault_ms: Option<i64>,
    /// Requests sent in calm, each with the faults that had struck by then.
    sent: BTreeMap<OpId, u64>,
}

impl Calm {
    /// Something struck that the disk's ledger does not count.
    pub fn disturbed(&mut self) {
        self.disturbance_count += 1;
    }

    /// How many faults have struck.
    pub fn fault_count(&mut self, world: &World) -> u64 {
        let count = world.ledger().values().sum::<u64>() + self.disturbance_count;
        if count != self.fault_count {
            self.fault_count = count;
            self.last_fault_ms = Some(world.clock().monotonic_ms());
        }
        count
    }

    /// The faults that have struck, if none has for long.
    pub fn in_calm(&mut self, world: &World) -> Option<u64> {
        let count = self.fault_count(world);
        let now_ms = world.clock().monotonic_ms();
        let is_calm = self.last_fault_ms.is_none_or(|last_ms| now_ms - last_ms >= PROGRESS_MS);
        is_calm.then_some(count)
    }

    pub fn sent(&mut self, world: &World, op: OpId) {
        if let Some(count) = self.in_calm(world) {
            self.sent.insert(op, count);
        }
    }

    pub fn lost(&mut self, op: OpId) {
        self.sent.remove(&op);
    }

    /// Whether it was sent in calm and no fault has struck since.
    pub fn answered(&mut self, world: &World, op: OpId) -> bool {
        let count = self.fault_count(world);
        self.sent.remove(&op) == Some(count)
    }
}

/// I16: an answer in calm that is none.
pub(super) fn unavailable(subject: &str, answer: &Answer) -> Option<Violation> {
    let is_failed =
        |item: &Listed| matches!(item, Listed::Failed { code } if code == "Unavailable");
    let is_none = match answer {
        Answer::List(items) => items.iter().any(|(_, item)| is_failed(item)),
        other => other.is_in_doubt(),
    };
    is_none.then(|| unavailable_in_calm(subject, &answer.brief()))
}

pub(super) fn unavailable_in_calm(subject: &str, answer: &str) -> Violation {
    let place = "unavailable without faults";
    Mismatch::new(Invariant::I16, place, "an answer below 500", answer).at(subject)
}

impl Judge<'_> {
    /// The wall clock was stepped, which counts as a fault.
    pub fn clock_stepped(&mut self) {
        self.clock();
        self.calm.disturbed();
    }

    /// Faults that have struck so far.
    pub fn fault_count(&mut self) -> u64 {
        self.calm.fault_count(self.world)
    }

    /// I16: without faults, 5xx is no answer.
    pub fn unavailable(&self, step: &Step, answer: &str) -> Going {
        let accuses = self.is_on && !self.is_excused(step);
        if accuses { violated(unavailable_in_calm(&self.subject(step), answer)) } else { Ok(()) }
    }

    /// I15: what was due when the clock read `by_ms` is done, or closed with a reason.
    pub fn overdue(&self, by_ms: i64) -> Going {
        let rows = self.rows();
        let found = rows.iter().filter(|_| self.is_on).find_map(|r| self.oracle.overdue(r, by_ms));
        found.map_or(Ok(()), violated)
    }

    /// Whether a row of `outbox` is due.
    pub async fn is_due(&mut self) -> bool {
        self.look_aside().await;
        let now_ms = self.world.clock().now_utc_ms();
        self.rows().iter().any(|rows| self.oracle.overdue(rows, now_ms).is_some())
    }

    /// I16: what is owed is settled, and leaves nothing that is owed for ever.
    pub fn never_at_rest(&self) -> Going {
        if !self.is_on {
            return Ok(());
        }
        let expected = "an outbox with nothing that is due";
        let actual = "rows that are due, minute after minute";
        violated(
            Mismatch::new(Invariant::I16, "outbox never empty", expected, actual).at("the run"),
        )
    }

    /// I16: neither an answer nor a lost connection, and no fault for a minute.
    pub fn hangs(&self, what: &str) -> Going {
        if !self.is_on {
            return Ok(());
        }
        let expected = "an answer or a lost connection";
        let actual = format!("neither within {} without a fault", length(PROGRESS_MS));
        violated(Mismatch::new(Invariant::I16, "no answer", expected, actual).at(what))
    }

    /// How much the run may do.
    pub fn bound(&self) -> Bound {
        self.bound
    }

    /// Has the run do no more than this.
    pub fn be_bound(&mut self, bound: Bound) {
        self.bound = bound;
    }

    /// I21: a run ends.
    pub fn bounded(&self) -> Going {
        let days = self.world.clock().monotonic_ms() / 86_400_000;
        if self.world.op_count() <= self.bound.op_count && days <= self.bound.days {
            return Ok(());
        }
        Err(self.endless(&format!("{} disk operations, {days} days", self.world.op_count())))
    }

    /// I21: a run that does not end.
    pub fn endless(&self, actual: &str) -> Stop {
        let mismatch = Mismatch::new(Invariant::I21, ENDLESS, "an end", actual);
        Stop::Violated(Box::new(mismatch.at("the run")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stormglass_model::request::EntityView;
    use stormglass_sim::WorldOptions;

    #[test]
    fn a_request_is_sent_in_calm_before_any_fault_and_a_minute_after_the_last() {
        let world = World::new(7, WorldOptions::default()).expect("this thread's only world");
        let mut calm = Calm::default();
        let mut next = 0;
        let mut is_calm = |calm: &mut Calm, is_disturbed: bool| {
            next += 1;
            calm.sent(&world, OpId(next));
            if is_disturbed {
                calm.disturbed();
            }
            calm.answered(&world, OpId(next))
        };
        assert!(is_calm(&mut calm, false));
        assert!(!is_calm(&mut calm, true));
        world.clock().advance(PROGRESS_MS - 1);
        assert!(!is_calm(&mut calm, false));
        world.clock().advance(1);
        assert!(is_calm(&mut calm, false));
        calm.lost(OpId(next));
        assert!(!calm.answered(&world, OpId(next)));
    }

    #[test]
    fn in_calm_a_5xx_is_no_answer_and_no_item_of_a_list() {
        let is_found = |answer: &Answer| {
            let found = unavailable("s0", answer);
            found.is_some_and(|found| found.invariant == Invariant::I16)
        };
        let error = |status, code: &str| Answer::Error { status, code: code.to_string() };
        let list = |item| Answer::List(vec![("a".to_string(), item)]);
        assert!(is_found(&error(503, "Unavailable")));
        assert!(is_found(&list(Listed::Failed { code: "Unavailable".to_string() })));
        assert!(!is_found(&error(404, "EntityNotFound")));
        assert!(!is_found(&list(Listed::Entity(EntityView::default()))));
    }
}
