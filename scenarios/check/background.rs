//! What each call of the background sweeper took.
//!
//! **Verified:** I8 and I20 of every call: only expired rows go, no more than a batch, the oldest deadlines first. A
//! call is what the disk showed when its task went on from the sweep's point, and when the next one did: nobody else
//! writes meanwhile.
//! **Not verified:** calls that a crash cut short, and all calls of a boot once an error has struck, or of a plan
//! that damages something: what stands in the log is then not sure to be what the sweeper met.

use super::Judge;
use crate::rows;
use crate::tally::BackgroundSweep;
use stormglass_model::clock::Span;
use stormglass_model::sweep_check::Sweep;

impl Judge<'_> {
    /// The background sweeper has made these calls.
    pub fn swept_in_background(&mut self, calls: &[BackgroundSweep], batch: u64) {
        if !self.is_on || !self.standing.is_without_errors(self.world) {
            return;
        }
        for call in calls {
            let BackgroundSweep { tenant, before, after, clock_ms } = call;
            if rows::is_unchanged(tenant, after, Some(before)) {
                continue;
            }
            let rows = |disk| rows::of_tenant(disk, tenant).map(|rows| rows.blobs);
            let (Ok(before), Ok(after)) = (rows(before), rows(after)) else { continue };
            let sweep = Sweep {
                tenant,
                before: &before,
                after: &after,
                max_rows: usize::try_from(batch).unwrap_or(usize::MAX),
                returned: None,
                clock: Span { lo_ms: *clock_ms, hi_ms: *clock_ms },
            };
            self.held.extend(sweep.check());
        }
    }
}
