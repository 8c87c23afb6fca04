//! Sweeps: what one call takes, and whether the background sweeper is in time.
//!
//! **Verified:** I8 and I20 of every sweep that is a step of its own and ran alone: only expired rows go,
//! at most as many as it may take, oldest deadline first, as many as it says, and none is left that
//! should have gone. I9: a row that was past its `expires_at` for an interval and a second of one boot,
//! without a fault meanwhile, is gone. A run that has rows which expire ends with a time in which that
//! can be seen.
//! **Not verified:** here I20 of the background sweeper (`background`). Sweeps in a group of steps, sweeps in
//! whose time a background sweep may have come, and sweeps of a store in which a commit may have failed.
//! I9 of a boot that is over before it is due, and of intervals of more than two days.

use super::{Going, Judge, moment, progress, violated};
use crate::plan::{Action, Step, tenant_name};
use crate::tally::Delayed;
use crate::times::rfc3339;
use crate::translate;
use std::sync::Arc;
use stormglass_model::clock::{Moment, Span};
use stormglass_model::sweep_check::Sweep;
use stormglass_model::tables::{BlobRow, TenantRows};
use stormglass_model::violation::{Invariant, Mismatch, Violation};

/// How long the end of a run waits for the background sweeper, in milliseconds of simulated time.
const PATIENCE_MS: i64 = 2 * 86_400_000;
/// And for how many of its sweeps, which cost the host's time.
const PATIENCE_SWEEPS: i64 = 100;

/// What is needed to judge sweeps.
#[derive(Clone)]
pub(super) struct Sweeps {
    /// The background sweeper's, if there is one.
    interval_ms: Option<u64>,
    alone: Option<Alone>,
}

/// A sweep that was sent with nothing else.
#[derive(Clone)]
struct Alone {
    step: Step,
    tenant: String,
    max_rows: u64,
    before: Arc<TenantRows>,
    /// Whether those rows are sure to be what the sweep met.
    is_certain: bool,
    sent: Moment,
    /// What it said, once it has: how many rows went, or nothing where it failed.
    said: Option<Option<u64>>,
    /// Faults that had struck when it was sent, if none had for long.
    calm_at: Option<u64>,
}

impl Sweeps {
    pub fn new(interval_ms: Option<u64>) -> Sweeps {
        Sweeps { interval_ms, alone: None }
    }
}

impl Judge<'_> {
    /// Faults have held up what is done for some tenants, or for all: their sweeps may be late (I9). An
    /// error of one tenant is no excuse for another's.
    pub fn delayed(&mut self, delayed: &Delayed) {
        if delayed.all {
            self.oracle.fault_fired();
        }
        delayed.tenants.iter().for_each(|tenant| self.oracle.fault_fired_in(tenant));
    }

    /// These steps are sent at once. A sweep that is sent alone is judged by the rows before and after it.
    pub fn sending(&mut self, group: &[Step]) {
        self.is_alone = group.len() == 1;
        let [step] = group else { return };
        let Action::Sweep { tenant, max_rows } = step.action else { return };
        let tenant = tenant_name(tenant);
        let is_up_to_date = self.read_at_op == self.world.op_count();
        if !self.is_on || !is_up_to_date {
            return;
        }
        let is_certain = self.is_certain(&tenant);
        let before = self.rows().into_iter().find(|rows| rows.tenant == tenant);
        let (sent, step) = (moment(self.world), step.clone());
        let calm_at = self.calm.in_calm(self.world);
        self.sweeps.alone = before.map(|before| Alone {
            step,
            tenant,
            max_rows,
            before,
            is_certain,
            sent,
            said: None,
            calm_at,
        });
    }

    /// A sweep has returned, or its connection was lost.
    pub fn swept(&mut self, said: Option<&Result<u64, String>>) {
        let Some(mut alone) = self.sweeps.alone.take() else { return };
        let Some(said) = said else { return };
        alone.said = Some(said.as_ref().ok().copied());
        let is_calm = alone.calm_at == Some(self.calm.fault_count(self.world));
        if let (Err(error), true) = (said, is_calm) {
            self.held.push(progress::unavailable_in_calm(&translate::brief(&alone.step), error));
        }
        self.sweeps.alone = Some(alone);
    }

    /// Of a sweep in whose time the server died the rows say nothing.
    pub(super) fn forget_sweep(&mut self) {
        self.sweeps.alone = None;
    }

    /// Whether what stands in a tenant's log is sure to stay.
    fn is_certain(&self, tenant: &str) -> bool {
        self.standing.is_settled(tenant) || self.standing.is_without_errors(self.world)
    }

    /// Adds what is wrong with sweeps to what the rows show.
    pub(super) fn judge_sweeps(&mut self, found: &mut Vec<Violation>) {
        self.blame_sweep(found);
        if let Some(violation) = self.judge_sweep_alone() {
            if violation.invariant == Invariant::I8 {
                // What a row's early end leaves dangling is told once, as the sweep's.
                let tenant = format!("{}/", violation.entity);
                let follows = |one: &Violation| {
                    one.invariant == Invariant::I5 && one.entity.starts_with(&tenant)
                };
                found.retain(|one| !follows(one));
            }
            found.push(violation);
        }
        if let Some(interval_ms) = self.sweeps.interval_ms {
            let late = |rows: &Arc<TenantRows>| self.oracle.late_sweep(&rows.tenant, interval_ms);
            found.extend(self.rows().iter().filter_map(late));
        }
    }

    /// A reference that lacks its row, which was there before a sweep that took something and is not past
    /// its deadline: that is the sweep's doing (I8), however uncertain what else stood in the log.
    fn blame_sweep(&self, found: &mut [Violation]) {
        let Some(Alone { tenant, before, said: Some(Some(1..)), .. }) = &self.sweeps.alone else {
            return;
        };
        let now_ms = moment(self.world).clock_ms;
        let is_ahead = |row: &&BlobRow| row.expires_at_ms.is_none_or(|ms| ms > now_ms);
        let ahead: Vec<&BlobRow> = before.blobs.iter().filter(is_ahead).collect();
        let of_tenant = format!("{tenant}/");
        for one in found.iter_mut().filter(|one| one.invariant == Invariant::I5) {
            let is_row = |row: &&BlobRow| one.expected.contains(&row.key);
            if one.entity.starts_with(&of_tenant) && ahead.iter().any(is_row) {
                (one.invariant, one.place) = (Invariant::I8, "row deleted before its deadline");
            }
        }
    }

    fn judge_sweep_alone(&mut self) -> Option<Violation> {
        let alone = self.sweeps.alone.take().filter(|alone| alone.is_certain)?;
        let Alone { tenant, max_rows, before, sent, said, .. } = alone;
        let (returned, now) = (said?, moment(self.world));
        if self.sweeps.interval_ms.is_some() && now.mono_ms != sent.mono_ms {
            return None;
        }
        let after = self.rows().into_iter().find(|rows| rows.tenant == tenant)?;
        Sweep {
            tenant: &tenant,
            before: &before.blobs,
            after: &after.blobs,
            max_rows: usize::try_from(max_rows).unwrap_or(usize::MAX),
            returned: returned.map(|count| usize::try_from(count).unwrap_or(usize::MAX)),
            clock: Span { lo_ms: sent.clock_ms, hi_ms: now.clock_ms },
        }
        .check()
    }

    /// I9, at the end of a run, when faults are long over and nothing excuses a late sweep: no row is left that
    /// was expired when the wait for the sweeper began.
    pub fn has_caught_up(&self, began_ms: i64) -> Going {
        let is_left = |row: &&BlobRow| row.expires_at_ms.is_some_and(|ms| ms <= began_ms);
        let rows = self.rows();
        let left = rows.iter().filter(|_| self.is_on).find_map(|rows| {
            rows.blobs.iter().find(is_left).map(|row| format!("{} {}", rows.tenant, row.key))
        });
        let expected = format!("no row that was expired at {}", rfc3339(began_ms, 0));
        let mismatch = |left| {
            Mismatch::new(Invariant::I9, "expired row left at the end", expected, "one").at(left)
        };
        left.map_or(Ok(()), |left| violated(mismatch(left)))
    }

    /// How long to wait, in two parts, until the first row that expires has been expired for an interval
    /// and a second; nothing where there is no such row or no sweeper, or where that would take too long.
    /// The same with the judge and without.
    pub async fn until_swept(&mut self) -> Option<[i64; 2]> {
        let interval_ms = i64::try_from(self.sweeps.interval_ms?).ok()?;
        self.look(false).await;
        let rows = self.rows();
        let deadlines =
            rows.iter().flat_map(|rows| &rows.blobs).filter_map(|row| row.expires_at_ms);
        let ahead_ms = (deadlines.min()? - self.world.clock().now_utc_ms()).max(0);
        let patience_ms = PATIENCE_MS.min(interval_ms.saturating_mul(PATIENCE_SWEEPS));
        let is_soon = ahead_ms <= patience_ms && interval_ms <= PATIENCE_MS;
        is_soon.then_some([ahead_ms, interval_ms + 1_000])
    }
}
