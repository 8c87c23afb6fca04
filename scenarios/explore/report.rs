//! What exploring came to: counts by phase, and failures as plans.
//!
//! **Invariant:** reports of the slices of one exploration add up to the report of all of it, in any order.

use crate::plan::Plan;
use crate::verdict::{Signature, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was explored of one phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Disk operations before which a boot was ended.
    pub points: u64,
    /// Crash states of them.
    pub states: u64,
    /// States of the bounded set that the budget left out.
    pub left_out: u64,
    /// Images that were met in this phase first.
    pub images: u64,
    /// Recoveries that were played and judged.
    pub recoveries: u64,
    /// Of these, those that came to where another had been, and ended as that one did.
    #[serde(default)]
    pub joined: u64,
    /// Recoveries that broke a promise.
    pub violations: u64,
}

/// One failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// What makes it the same as others.
    pub signature: Signature,
    /// What was found.
    pub verdict: Verdict,
    /// A plan that comes to it.
    pub plan: Plan,
}

/// What an exploration, or a slice of one, came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// By phase.
    pub phases: BTreeMap<String, Counts>,
    /// Failures, a few of each signature.
    pub found: Vec<Found>,
    /// Of the points, those of the run's own end.
    #[serde(default)]
    pub end_points: u64,
    /// Disk operations of the run's own end, at which nothing was done.
    pub ops_after: u64,
}

impl Report {
    /// The counts of a phase.
    pub fn at(&mut self, phase: &str) -> &mut Counts {
        if !self.phases.contains_key(phase) {
            self.phases.insert(phase.to_string(), Counts::default());
        }
        self.phases.get_mut(phase).expect("it was put there")
    }

    /// The run fails as it is, by nothing of the exploration's.
    pub fn fails_itself(&mut self, plan: &Plan, verdict: &Verdict) {
        let Some(signature) = Signature::of(verdict) else { return };
        self.at("the run itself").violations += 1;
        self.found.push(Found { signature, verdict: verdict.clone(), plan: plan.clone() });
    }

    /// Recoveries in all.
    pub fn recoveries(&self) -> u64 {
        self.phases.values().map(|counts| counts.recoveries).sum()
    }

    /// Adds what another slice of the same exploration came to. Points and states are every slice's own
    /// count of the same ones at depth 1, and each slice's alone below it.
    pub fn add(&mut self, other: Report) {
        for (phase, theirs) in other.phases {
            let is_shared = phase != "recovery of a recovery";
            let ours = self.at(&phase);
            let join = |one: u64, two: u64| if is_shared { one.max(two) } else { one + two };
            ours.points = join(ours.points, theirs.points);
            ours.states = join(ours.states, theirs.states);
            ours.images = join(ours.images, theirs.images);
            ours.left_out = join(ours.left_out, theirs.left_out);
            ours.recoveries += theirs.recoveries;
            ours.joined += theirs.joined;
            ours.violations += theirs.violations;
        }
        self.found.extend(other.found);
        self.ops_after = self.ops_after.max(other.ops_after);
        self.end_points = self.end_points.max(other.end_points);
    }

    /// Counts over all phases.
    pub fn total(&self) -> Counts {
        self.phases.values().fold(Counts::default(), |sum, one| Counts {
            points: sum.points + one.points,
            states: sum.states + one.states,
            left_out: sum.left_out + one.left_out,
            images: sum.images + one.images,
            recoveries: sum.recoveries + one.recoveries,
            joined: sum.joined + one.joined,
            violations: sum.violations + one.violations,
        })
    }

    /// The first failure of each signature, with how many recoveries were kept of it.
    pub fn signatures(&self) -> BTreeMap<&Signature, &Found> {
        let mut first = BTreeMap::new();
        for found in &self.found {
            first.entry(&found.signature).or_insert(found);
        }
        first
    }

    /// The table that a person reads.
    pub fn in_words(&self) -> Vec<String> {
        let row = |name: &str, counts: &Counts| {
            let Counts { points, states, left_out, images, recoveries, violations, .. } = counts;
            format!(
                "{name:<24} {points:>7} {states:>8} {left_out:>9} {images:>8} {recoveries:>11} {violations:>11}"
            )
        };
        let mut lines = vec![format!(
            "{:<24} {:>7} {:>8} {:>9} {:>8} {:>11} {:>11}",
            "phase", "points", "states", "left out", "images", "recoveries", "violations"
        )];
        lines.extend(self.phases.iter().map(|(name, counts)| row(name, counts)));
        lines.push(row("all", &self.total()));
        lines
    }
}
