//! Deletes expired blobs of every tenant in the background.
//!
//! **Invariant (`I9`):** a tenant's error ends that tenant's part of one tick, and nothing else.
//! Waits run on monotonic time.

use std::sync::Arc;

use crate::defect;
use crate::platform::Shared;
use crate::seams::Point;
use crate::store::Caller;

/// How the background sweeper works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepSettings {
    /// From the end of one sweep to the beginning of the next, in milliseconds.
    pub interval_ms: u64,
    /// Rows deleted in one transaction.
    pub batch: u64,
    /// Whether there is a background sweeper.
    pub enabled: bool,
}

impl Default for SweepSettings {
    fn default() -> Self {
        Self { interval_ms: 6 * 3600 * 1000, batch: 10_000, enabled: true }
    }
}

/// The first sweep comes this long after start, or one interval, if that is shorter.
const FIRST_MS: u64 = 60_000;

/// Sweeps until the platform stops.
pub(crate) async fn run(shared: Arc<Shared>) {
    let _alive = shared.core.alive();
    let settings = shared.sweep;
    let mut stop = shared.core.stop.clone();
    let mut wait_ms = settings.interval_ms.min(FIRST_MS);
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => return,
            () = shared.core.seams.clock.sleep(wait_ms) => {}
        }
        for tenant in shared.tenant_names() {
            let drained = drain(&shared, &tenant, settings.batch).await;
            if let Err(error) = drained {
                tracing::warn!(tenant, %error, "sweep failed");
                if defect!("sweeper-stops") {
                    return;
                }
            }
        }
        wait_ms = settings.interval_ms;
    }
}

async fn drain(shared: &Arc<Shared>, tenant: &str, batch: u64) -> Result<(), crate::StoreError> {
    let point = Point { label: "sweeper.tenant", tenant, entity: "", origin: "sweeper" };
    shared.core.seams.points.reach(point).await;
    let tenant = shared.tenant(tenant);
    loop {
        let caller = Caller { entity: "", origin: "sweeper" };
        let now_ms = shared.core.seams.clock.now_utc_ms();
        let deleted = tenant.store.sweep(caller, batch, now_ms).await?;
        if deleted > 0 {
            crate::probe!("the sweeper deleted a row");
        }
        if deleted < batch || *shared.core.stop.borrow() {
            return Ok(());
        }
    }
}
