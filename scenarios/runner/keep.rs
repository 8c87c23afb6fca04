//! What is kept of a run, so that another can go on from each of its moments.
//!
//! **Invariant:** a moment is a disk operation's, and comes with where runner and judge stood last before it. What
//! happened in between and a crash does not undo is kept by whoever it happened to, with its place among the moments.

use super::Run;
use crate::change::Change;
use crate::check::Judge;
use crate::plan::Step;
use std::collections::BTreeMap;
use stormglass_model::entity::OpId;
use stormglass_sim::Boundary;

/// Where the runner and the judge stood from one disk operation on.
pub(super) struct Standpoint<'a> {
    /// The moments that had been kept by then, of the steps or of the run's own end. Not the operations: one that
    /// a crash has struck is none, and the moment before it comes before all that follows from the crash.
    pub(super) moment_count: usize,
    pub(super) judge: Judge<'a>,
    /// Requests that were out.
    pub(super) open: Vec<(Step, Option<OpId>)>,
    pub(super) announced: Vec<Change>,
    pub(super) in_force: Vec<Change>,
    pub(super) next_step: usize,
    pub(super) has_begun: bool,
    pub(super) step_kind: &'static str,
    /// How often the run's own end had begun: 0 while there are steps.
    pub(super) end_count: u32,
    /// How much of what was told of guests the judge knew.
    pub(super) guests_told: usize,
}

/// What was kept of a run.
#[derive(Default)]
pub(super) struct Kept<'a> {
    /// The moments of its steps, once they are over.
    pub(super) steps: Vec<Boundary>,
    /// Those of its own end, once that is over.
    pub(super) end: Vec<Boundary>,
    /// How many of these there were when everything had been read once.
    pub(super) first_read_count: Option<usize>,
    pub(super) standpoints: Vec<Standpoint<'a>>,
}

/// What is kept of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// Nothing, as of a run that nobody goes on from.
    Nothing,
    /// The disk and the faults before each operation, and not where runner and judge stood: nobody can go on
    /// from there, for a bench.
    Images,
    /// The moments of its steps.
    Steps,
    /// Those of its own end as well until everything has been read once: what a recovery is.
    FirstReads,
    /// Those of all of it.
    All,
}

impl<'a> Run<'a> {
    /// Keeps where runner and judge stand now, with these requests out.
    pub(super) fn stand(&mut self, open: &BTreeMap<u32, (&Step, Option<OpId>)>) {
        let Some(standpoints) = &mut self.standpoints else { return };
        let (moment_count, end_count) = (self.world.boundary_count(), self.end_count);
        let is_same = |last: &Standpoint<'_>| {
            (last.moment_count, last.end_count) == (moment_count, end_count)
        };
        if standpoints.last().is_some_and(is_same) {
            standpoints.pop();
        }
        standpoints.push(Standpoint {
            moment_count,
            judge: self.judge.in_world(self.world),
            open: open.values().map(|(step, op)| ((*step).clone(), *op)).collect(),
            announced: self.announced.clone(),
            in_force: self.in_force.clone(),
            next_step: self.next_step,
            has_begun: self.has_begun,
            step_kind: self.step_kind,
            end_count,
            guests_told: self.tally.phases.guests().asked_count(),
        });
    }

    /// The steps are over.
    pub(super) fn steps_are_over(&mut self) {
        if self.standpoints.is_none() {
            return;
        }
        self.kept.steps = self.world.take_boundaries();
        if self.keeps == Keeps::Steps {
            self.kept.standpoints = self.standpoints.take().unwrap_or_default();
        } else {
            self.world.keep_boundaries();
        }
    }

    /// In the run's own end all has been read once.
    pub(super) fn first_reads_are_over(&mut self) {
        if self.keeps == Keeps::FirstReads {
            self.end_is_over();
        } else {
            self.kept.first_read_count.get_or_insert(self.world.boundary_count());
        }
    }

    /// What is to be kept of the run's own end is over.
    pub(super) fn end_is_over(&mut self) {
        let Some(standpoints) = self.standpoints.take() else { return };
        self.kept.standpoints = standpoints;
        self.kept.end = self.world.take_boundaries();
        // After the last operation there is nothing left to be cut off.
        self.kept.end.pop();
    }
}
