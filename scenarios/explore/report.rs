//! What exploring came to: counts by phase, and failures as plans.
//!
//! **Invariant:** reports of the slices of one exploration make the report of all of it, in any order; what a slice was
//! not explored to is in none of them called explored.

use super::fuel;
use crate::plan::Plan;
use crate::verdict::{Signature, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The phase of all that is done after a crash of a recovery.
pub const RECOVERY_OF_A_RECOVERY: &str = "recovery of a recovery";

/// The phase of all that is done after a crash of what comes after a recovery: the run's own end.
pub const END_OF_A_RECOVERY: &str = "end of a recovery";

/// The phase of a run that fails before anything is done to it.
const RUN_ITSELF: &str = "the run itself";

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
    /// Disk operations before which a boot can be ended, or runs that can be played: explored or not.
    #[serde(default)]
    pub points_in_all: u64,
    /// Of the points, those of the run's own end.
    #[serde(default)]
    pub end_points: u64,
    /// Disk operations of the run's own end, at which nothing was done.
    pub ops_after: u64,
}

/// Whether every slice counts the same points of a phase.
fn is_shared(phase: &str) -> bool {
    ![RECOVERY_OF_A_RECOVERY, END_OF_A_RECOVERY].contains(&phase)
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
        self.at(RUN_ITSELF).violations += 1;
        self.found.push(Found { signature, verdict: verdict.clone(), plan: plan.clone() });
    }

    /// Whether the run fails as it is, so that there was nothing to explore.
    pub fn is_of_a_failing_run(&self) -> bool {
        self.phases.contains_key(RUN_ITSELF)
    }

    /// Recoveries in all.
    pub fn recoveries(&self) -> u64 {
        self.phases.values().map(|counts| counts.recoveries).sum()
    }

    /// Points that were not explored.
    pub fn points_left(&self) -> u64 {
        let at_depth_1 = self.phases.iter().filter(|(phase, _)| is_shared(phase));
        let points: u64 = at_depth_1.map(|(_, counts)| counts.points).sum();
        self.points_in_all.saturating_sub(points)
    }

    /// What the slices of one exploration came to together. Points and states are every slice's own count of
    /// the same ones at depth 1, and each slice's alone below it: of slices that were explored to different
    /// ends what all of them came to.
    pub fn joined(slices: impl IntoIterator<Item = Report>) -> Report {
        slices.into_iter().reduce(Report::join).unwrap_or_default()
    }

    fn join(mut self, mut other: Report) -> Report {
        let names: BTreeSet<String> =
            self.phases.keys().chain(other.phases.keys()).cloned().collect();
        for name in names {
            let theirs = *other.at(&name);
            let is_shared = is_shared(&name);
            let join = |one: u64, two: u64| if is_shared { one.min(two) } else { one + two };
            let ours = self.at(&name);
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
        self.end_points = self.end_points.min(other.end_points);
        self.points_in_all = self.points_in_all.max(other.points_in_all);
        self
    }

    /// Whether no guest ran whose fuel could end.
    pub fn is_without_guests(&self) -> bool {
        [fuel::AT_PART, fuel::AT_CALL].iter().all(|row| !self.phases.contains_key(*row))
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
        let names = self.phases.keys().map(|name| name.chars().count());
        let width = names.max().unwrap_or(0).max(24);
        let row = |name: &str, counts: &Counts| {
            let Counts { points, states, left_out, images, recoveries, violations, .. } = counts;
            format!(
                "{name:<width$} {points:>7} {states:>8} {left_out:>9} {images:>8} {recoveries:>11} {violations:>11}"
            )
        };
        let mut lines = vec![format!(
            "{:<width$} {:>7} {:>8} {:>9} {:>8} {:>11} {:>11}",
            "phase", "points", "states", "left out", "images", "recoveries", "violations"
        )];
        lines.extend(self.phases.iter().map(|(name, counts)| row(name, counts)));
        lines.push(row("all", &self.total()));
        lines
    }
}
