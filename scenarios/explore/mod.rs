//! Every crash point of one run, in a bounded set of crash states.
//!
//! A run is played once; at each of its disk operations its boot is ended in every way of the set, the store is
//! recovered, and the judge, who stands where it stood, checks every invariant to the run's end. With a
//! depth of 2 each recovery is cut off in the same way.
//!
//! **Invariant:** equal images under an equal judge and clock are recovered once. What is found is told as
//! a plan that fails alone. What a budget left out is counted, and never called covered.

pub mod errors;
mod fuel;
pub mod matrix;
mod phases;
pub mod report;
mod silent;
pub mod slices;
pub mod watch;

use crate::plan::{Action, Plan};
use crate::rows::Seen;
use crate::runner::{self, Known, Moment, Recording, Recovered};
use crate::verdict::{Signature, Verdict};
use phases::Phases;
use report::{END_OF_A_RECOVERY, Found, Report};
use std::cell::RefCell;
use std::collections::BTreeSet;
use stormglass_sim::crash_state::within;
use stormglass_sim::{Digest, Disk, Ending, Seed, WorldError};
use watch::Watch;

/// What is explored, and how much of it.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Crash states a disk operation at most.
    pub states: usize,
    /// 1: crashes of the run; 2: of each recovery from one, too.
    pub depth: u32,
    /// Recoveries from crashes within recoveries, at most, and as many from crashes within their ends.
    pub recoveries_max: u64,
    /// Of so many slices of the recoveries, this one (from 0): processes share an exploration.
    pub slice: (u64, u64),
}

/// Recoveries that are dealt out at a time, so that a slice has neighbours: they come to the same places, and only
/// within one process does a recovery end where another had been.
const ROUND: u64 = 128;

/// Failures of one signature that are kept as plans.
const PLANS_MAX: usize = 3;

/// Explores the run of `plan`, and has `watch` told of it.
///
/// # Errors
/// [`WorldError`] when there can be no world.
pub fn explore(plan: &Plan, budget: Budget, watch: &mut dyn Watch) -> Result<Report, WorldError> {
    let mut explorer = Explorer {
        budget,
        watch,
        report: Report::default(),
        images: BTreeSet::new(),
        seen: Seen::default(),
        turn: 0,
        of_ends: 0,
    };
    runner::record(plan, |recording| {
        if recording.verdict == Verdict::Passed {
            explorer.report.points_in_all = recording.moments().count() as u64;
            explorer.watch.explored(&explorer.report);
            explorer.moments(recording, 1);
        } else if budget.slice.0 == 0 {
            explorer.report.fails_itself(plan, &recording.verdict);
        }
    })?;
    Ok(explorer.report)
}

struct Explorer<'w> {
    budget: Budget,
    watch: &'w mut dyn Watch,
    report: Report,
    /// By depth, so that what one slice meets within recoveries changes nothing of what all of them count.
    images: BTreeSet<(u32, Digest)>,
    /// What was found in files.
    seen: Seen,
    /// Recoveries of the run itself that were met, of this slice and of others.
    turn: u64,
    /// Recoveries that there may be yet from crashes in the ends of recoveries from what was met so far: each moment
    /// of the run brings its share of the budget.
    of_ends: u64,
}

impl Explorer<'_> {
    /// All moments of a run that was recorded at this depth.
    fn moments(&mut self, recording: &Recording<'_>, depth: u32) {
        let mut phases = Phases::of(recording, depth);
        let (mut met, known) = (BTreeSet::new(), RefCell::new(Known::new(self.seen.clone())));
        let mut last: Option<(Moment<'_>, Digest)> = None;
        for moment in recording.moments() {
            let phase = phases.at(moment);
            if depth == 1 {
                let share = self.budget.recoveries_max / self.report.points_in_all.max(1);
                self.of_ends = self.of_ends.saturating_add(share.max(1));
            }
            let judge = recording.judge_at(moment);
            let is_same = |(last, its): (Moment<'_>, Digest)| {
                its == judge && moment.boundary.is_same_as(last.boundary)
            };
            if !last.replace((moment, judge)).is_some_and(is_same) {
                self.states(recording, (moment, phase, depth), (judge, &mut met, &known));
            }
            self.report.at(phase).points += 1;
            self.report.end_points += u64::from(moment.is_of_end && depth == 1);
            self.watch.explored(&self.report);
        }
    }

    /// All states of one moment.
    fn states(
        &mut self,
        recording: &Recording<'_>,
        (moment, phase, depth): (Moment<'_>, &'static str, u32),
        (judge, met, known): (Digest, &mut BTreeSet<(Digest, Digest)>, &RefCell<Known>),
    ) {
        let boundary = moment.boundary;
        let sector_size_bytes = boundary.disk().options().sector_size_bytes;
        let seed = Seed(boundary.op_count);
        let chosen = within(&boundary.pending(), sector_size_bytes, self.budget.states, seed);
        self.report.at(phase).left_out += chosen.left_out_count as u64;
        let plan = recording.plan_up_to(moment);
        let losses = chosen.survivors.into_iter().map(Ending::PowerLoss);
        for ending in std::iter::once(Ending::ProcessKill).chain(losses) {
            let disk = boundary.end(&ending);
            let digest = self.seen.disk(&disk);
            let is_new_image = self.images.insert((depth, digest));
            let counts = self.report.at(phase);
            counts.states += 1;
            counts.images += u64::from(is_new_image);
            let around = Digest::of_value(&(boundary.time(), boundary.damages(&ending)));
            if !met.insert((judge, Digest::of_value(&(digest.0, around.0)))) {
                continue;
            }
            // Within a recovery all belongs to the slice that the recovery belongs to.
            if depth == 1 && !self.is_own_turn() {
                continue;
            }
            if depth > 1 && !self.is_within_budget(phase) {
                self.report.at(phase).left_out += 1;
                continue;
            }
            self.watch.begins(&|| recording.plan_of(moment, &ending, &[]));
            self.report.at(phase).recoveries += 1;
            let Recovered { verdict, is_joined } =
                recording.recover(moment, (&ending, &disk), (&plan, known));
            self.report.at(phase).joined += u64::from(is_joined);
            let is_sound = verdict == Verdict::Passed;
            self.found(phase, || recording.plan_of(moment, &ending, &[]), verdict);
            if is_sound && depth < self.budget.depth && is_new_image {
                self.recovery(recording, moment, (&ending, disk), depth);
            }
        }
    }

    /// Whether the next recovery from a crash within a recovery, or within the end of one, may be played.
    fn is_within_budget(&mut self, phase: &'static str) -> bool {
        let is_within = self.report.at(phase).recoveries < self.budget.recoveries_max;
        if phase != END_OF_A_RECOVERY {
            return is_within;
        }
        let is_within = is_within && self.of_ends > 0;
        self.of_ends -= u64::from(is_within);
        is_within
    }

    /// Whether the next recovery of the run itself is this slice's.
    fn is_own_turn(&mut self) -> bool {
        let (slice, slice_count) = self.budget.slice;
        self.turn += 1;
        self.turn / (ROUND / slice_count).max(1) % slice_count == slice
    }

    /// The recovery from one state, with every crash in it.
    fn recovery(
        &mut self,
        recording: &Recording<'_>,
        moment: Moment<'_>,
        (ending, disk): (&Ending, Disk),
        depth: u32,
    ) {
        let reads = recording.asked(moment).into_iter().map(|who| Action::Get { who });
        // In the run's own end everything is read anyway.
        let after: Vec<Action> = match moment.is_of_end {
            true => Vec::new(),
            false => [Action::Wait { ms: 0 }].into_iter().chain(reads).collect(),
        };
        let plan = recording.plan_of(moment, ending, &after);
        self.watch.begins(&|| plan.clone());
        let played = (&plan, after.len(), self.of_ends > 0);
        recording.go_on_recorded(moment, (ending, disk), played, |inner| {
            if inner.verdict == Verdict::Passed {
                self.report.at(END_OF_A_RECOVERY).left_out += inner.unkept_end_op_count();
                self.moments(inner, depth + 1);
            } else {
                self.found("recovery", || plan.clone(), inner.verdict.clone());
            }
        });
    }

    fn found(&mut self, phase: &'static str, plan: impl FnOnce() -> Plan, verdict: Verdict) {
        let Some(signature) = Signature::of(&verdict) else { return };
        self.report.at(phase).violations += 1;
        let kept = self.report.found.iter().filter(|found| found.signature == signature).count();
        if kept < PLANS_MAX {
            self.report.found.push(Found { signature, verdict, plan: plan() });
        }
    }
}
