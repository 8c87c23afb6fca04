//! What a run was at, operation by operation.
//!
//! **Invariant:** it is told from the points that the platform came to and from the operations themselves: a
//! write to the database's own file is a checkpoint's, and an opening that makes the file migrates.

use super::report::{END_OF_A_RECOVERY, RECOVERY_OF_A_RECOVERY};
use crate::counts::Phase;
use crate::runner::{Moment, Recording};
use crate::seams::tenants_on;
use crate::tally::Turn;
use stormglass_sim::OpKind;
use stormglass_sim::trace::FileKind;

/// The phases of one recorded run. To be asked in order.
pub struct Phases<'r> {
    turns: &'r [Turn],
    at: usize,
    tenant_count: usize,
    migrates: bool,
    is_recovery: bool,
}

impl<'r> Phases<'r> {
    /// Those of `recording`; within a recovery all is recovery, and then the end of one.
    pub fn of(recording: &'r Recording<'_>, depth: u32) -> Phases<'r> {
        let turns = &recording.turns;
        Phases { turns, at: 0, tenant_count: 0, migrates: false, is_recovery: depth > 1 }
    }

    /// What the next operation belongs to.
    pub fn at(&mut self, moment: Moment<'_>) -> &'static str {
        let boundary = moment.boundary;
        match (self.is_recovery, moment.is_past_recovery) {
            (true, true) => return END_OF_A_RECOVERY,
            (true, false) => return RECOVERY_OF_A_RECOVERY,
            (false, _) => {}
        }
        let before = self.at;
        while self.turns.get(self.at + 1).is_some_and(|(from, _)| *from <= boundary.op_count) {
            self.at += 1;
        }
        if self.at != before {
            self.migrates = false;
        }
        let tenant_count = tenants_on(boundary.disk()).len();
        self.migrates |= tenant_count > self.tenant_count;
        self.tenant_count = tenant_count;
        let phase = self.turns.get(self.at).map_or(Phase::Idle, |(_, phase)| *phase);
        let changes = matches!(boundary.op, OpKind::Write | OpKind::Sync | OpKind::Truncate);
        match phase {
            _ if self.migrates => "migration",
            Phase::Recovery if boundary.file == FileKind::Journal => "migration",
            _ if boundary.file == FileKind::Database && changes => Phase::Checkpoint.name(),
            phase => phase.name(),
        }
    }
}
