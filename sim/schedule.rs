//! Policies: which of the tasks that could go on does.
//!
//! **Invariant:** a task's priority follows from the seed, the policy, and the task's own labels. What other
//! tasks there are, and how far they have come, moves it nowhere. The boot is a part of each label, so that a world
//! which goes on after a boot of another has the changes that the whole run has.
//!
//! PCT is the scheduler of Burckhardt, Kothari, Musuvathi and Nagarakatte, "A Randomized Scheduler with
//! Probabilistic Guarantees of Finding Bugs" (ASPLOS 2010): each task has a random priority, the highest goes
//! on, and at depth - 1 points of the run the task that has come there falls below all others. A bug that takes
//! `depth` orderings among n tasks and k points is met with a chance of at least 1 / (n k^(depth-1)). There the
//! points are drawn by their number in the run, which every dropped task would move. Here each label is one
//! with the chance (depth - 1) / span, so that so many are expected in `span` points: the chance of just the
//! right ones and no other within a span is smaller by a constant factor (e at depth 2, e^2 / 4 at depth 3).

use crate::points::Label;
use crate::rng::Seed;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Who goes on, of the tasks that are parked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Policy {
    /// Any of them: each point is drawn a priority of its own.
    #[default]
    Random,
    /// Few changes: each task is drawn one priority, and seldom loses it.
    Pct {
        /// One more than the changes that are expected in `span` points.
        depth: u32,
        /// Points of what is thought of as one crowd of tasks; at least 1.
        span: u32,
    },
}

impl Policy {
    /// Whether it is the policy of those who name none.
    pub fn is_random(&self) -> bool {
        *self == Policy::Random
    }

    /// The policy's name, without its numbers.
    pub fn name(&self) -> &'static str {
        match self {
            Policy::Random => "random",
            Policy::Pct { .. } => "pct",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::Random => f.write_str("random"),
            Policy::Pct { depth, span } => write!(f, "pct of depth {depth}, span {span}"),
        }
    }
}

/// Priorities below it are of tasks that have fallen.
const LOWEST_OF_THE_HIGH: u64 = 1 << 63;

/// The priorities of one run.
#[derive(Default)]
pub(crate) struct Schedule {
    pub policy: Policy,
    /// Tasks that have fallen below all others, with their priority there.
    fallen: BTreeMap<(u32, String), u64>,
}

impl Schedule {
    /// The priority of the task that has come to `label`, which is written `numbered` with how often it was
    /// reached.
    pub fn priority(&mut self, seed: Seed, label: &Label, numbered: &str) -> u64 {
        let Policy::Pct { depth, span } = self.policy else {
            return seed.stream_for("schedule", numbered).bits();
        };
        let task = (label.boot, label.who.clone());
        let mut change = seed.stream_for("priority-change", numbered);
        if change.chance(u64::from(depth.saturating_sub(1)), u64::from(span.max(1))) {
            self.fallen.insert(task.clone(), change.bits() & !LOWEST_OF_THE_HIGH);
        }
        let high = || {
            let name = format!("{}/{}", label.boot, label.who);
            seed.stream_for("priority", &name).bits() | LOWEST_OF_THE_HIGH
        };
        self.fallen.get(&task).copied().unwrap_or_else(high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(schedule: &mut Schedule, who: &str, n: u32) -> u64 {
        let label = Label { boot: 1, who: who.to_string(), step: 0, point: "store" };
        schedule.priority(Seed(7), &label, &format!("{label}/{n}"))
    }

    #[test]
    fn a_task_keeps_its_priority_until_it_falls_and_then_stays_below() {
        let mut schedule =
            Schedule { policy: Policy::Pct { depth: 1, span: 4 }, ..Schedule::default() };
        let first = priority(&mut schedule, "ann", 0);
        assert!((1..100).all(|n| priority(&mut schedule, "ann", n) == first));
        schedule.policy = Policy::Pct { depth: 2, span: 4 };
        let later: Vec<u64> = (100..200).map(|n| priority(&mut schedule, "ann", n)).collect();
        let falls_at = later.iter().position(|at| *at < LOWEST_OF_THE_HIGH).expect("1 in 4 falls");
        assert!(later[..falls_at].iter().all(|at| *at == first));
        assert!(later[falls_at..].iter().all(|at| *at < LOWEST_OF_THE_HIGH));
    }

    /// Goal: as many changes as the policy says. Method: fresh tasks at one point each.
    #[test]
    fn so_many_changes_are_met_as_the_depth_says() {
        for depth in 1..=4 {
            let policy = Policy::Pct { depth, span: 20 };
            let mut schedule = Schedule { policy, ..Schedule::default() };
            let fallen = (0..20_000).filter(|task| {
                priority(&mut schedule, &format!("task {task}"), 1) < LOWEST_OF_THE_HIGH
            });
            let (fallen, expected) = (fallen.count() as i64, i64::from(depth - 1) * 1_000);
            assert!((fallen - expected).abs() < 150, "depth {depth}: {fallen} of 20,000");
        }
    }
}
