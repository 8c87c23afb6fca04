//! The smallest plan that still fails in the same way: what it does not need is dropped, what is left is made
//! simpler.
//!
//! **Invariant:** every plan that is kept fails with the signature of the first one: whoever judges said so.
//! Which plans are tried, and in which order, follows from the plan and the judgements alone, so that equal
//! plans shrink alike on any machine.
//! **Not done:** nothing is searched beyond plans that fail: a smaller plan behind one that passes is missed.

mod cast;
mod drops;
pub mod emit;
mod endings;
mod numbers;
mod parts;
pub mod settings;
mod tree;
mod tries;

pub use tree::PlanTree;
pub use tries::shrink_in;

use crate::lines::counted;
use crate::plan::Plan;
use proptest::strategy::ValueTree;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Plans that are tried at most.
pub const TRIES_MAX: u64 = 800;

/// What is left of a plan, and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Shrunk {
    /// The plan.
    pub plan: Plan,
    /// Plans that were tried.
    pub try_count: u64,
}

/// Shrinks `plan`, which fails. `still_fails` says whether another plan fails in the same way; it is asked
/// at most `tries_max` times, and says nothing when it is to end: the best so far is kept.
pub fn shrink(
    plan: &Plan,
    tries_max: u64,
    still_fails: &mut dyn FnMut(&Plan) -> Option<bool>,
) -> Shrunk {
    let mut tree = PlanTree::new(plan);
    let (mut try_count, mut goes_on) = (0, tree.simplify());
    while goes_on && try_count < tries_max {
        try_count += 1;
        goes_on = match still_fails(tree.tried()) {
            None => break,
            Some(true) => tree.simplify(),
            Some(false) => tree.complicate(),
        };
    }
    Shrunk { plan: tree.into_best(), try_count }
}

/// How much of a plan is left, and what it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shrinking {
    /// Steps of the whole plan and of what is left.
    pub steps: (usize, usize),
    /// Faults of the whole plan and of what is left.
    pub faults: (usize, usize),
    /// Plans that were played.
    pub run_count: u64,
    /// The host's time, in milliseconds.
    pub host_ms: u64,
    /// Whether it was ended before nothing smaller was found.
    #[serde(default)]
    pub is_cut_short: bool,
}

impl Shrinking {
    /// The whole of it, where its plan came out of an `earlier` one.
    pub fn after(self, earlier: Option<Shrinking>) -> Shrinking {
        let Some(earlier) = earlier else { return self };
        Shrinking {
            steps: (earlier.steps.0, self.steps.1),
            faults: (earlier.faults.0, self.faults.1),
            run_count: earlier.run_count + self.run_count,
            host_ms: earlier.host_ms + self.host_ms,
            is_cut_short: self.is_cut_short,
        }
    }
}

impl fmt::Display for Shrinking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shrinking { steps, faults, run_count, host_ms, is_cut_short } = self;
        let seconds = *host_ms as f64 / 1e3;
        let end = if *is_cut_short { ", cut short" } else { "" };
        write!(
            f,
            "{} to {}, {} to {} ({}, {seconds:.1} s{end})",
            counted(steps.0, "step"),
            steps.1,
            counted(faults.0, "fault"),
            faults.1,
            counted(run_count, "run")
        )
    }
}

#[cfg(test)]
mod tests;
