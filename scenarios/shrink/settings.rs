//! The settings of a run, towards those that do nothing: what is left of them matters.

use crate::plan::{Mode, Plan, Protocol};
use stormglass_sim::clock::DEFAULT_START_UTC_MS;
use stormglass_sim::{DiskOptions, Policy, Seed};

/// Rows in a sweep that is not bounded, as the workload draws it.
const SWEEP_BATCH: u64 = 10_000;
/// Events between snapshots that are hardly ever taken.
const SNAPSHOT_EVERY: u64 = 100;
/// An actor that is hardly ever idle.
const IDLE_MS: u64 = 300_000;
/// Schedule seeds that are tried in place of a plan's own.
const SEEDS: [Seed; 4] = [Seed(0), Seed(1), Seed(2), Seed(3)];

/// Each setting as it is when nobody cares.
const SETTINGS: &[fn(&mut Plan)] = &[
    |plan| plan.policy = Policy::Random,
    |plan| plan.overtaking_percent = 0,
    |plan| plan.sweep_interval_ms = None,
    |plan| plan.mode = Mode::BlobRefs,
    |plan| plan.inline_max_bytes = None,
    |plan| plan.protocol = Protocol::EventThenBlobs,
    |plan| plan.disk.quota_bytes = None,
    |plan| plan.disk.powersafe_overwrite = DiskOptions::default().powersafe_overwrite,
    |plan| plan.disk.sector_size_bytes = DiskOptions::default().sector_size_bytes,
    |plan| plan.sweep_batch = SWEEP_BATCH,
    |plan| plan.snapshot_every = SNAPSHOT_EVERY,
    |plan| plan.idle_ms = IDLE_MS,
    |plan| plan.checkpoint_pages = None,
    |plan| plan.start_utc_ms = DEFAULT_START_UTC_MS,
];

/// The settings of a plan, in words, that are not as when nobody cares: in a plan that was shrunk, those that the
/// failure needs.
pub fn that_matter(plan: &Plan) -> Vec<String> {
    let mut plain = plan.clone();
    SETTINGS.iter().for_each(|set| set(&mut plain));
    let of_run = |plan: &Plan| plan.settings().swap_remove(0).1;
    let plain = of_run(&plain);
    of_run(plan).into_iter().filter(|words| !plain.contains(words)).collect()
}

/// All at once, then each alone.
pub(super) fn simpler(plan: &Plan, place: usize) -> Option<Vec<Plan>> {
    let mut tried = plan.clone();
    match place.checked_sub(1) {
        None => SETTINGS.iter().for_each(|set| set(&mut tried)),
        Some(at) => SETTINGS.get(at)?(&mut tried),
    }
    Some(vec![tried])
}

/// Another seed for what is drawn while the plan runs: the schedule, ids, faults by rate.
pub(super) fn other_seeds(plan: &Plan, place: usize) -> Option<Vec<Plan>> {
    let lower = SEEDS.iter().filter(|seed| seed.0 < plan.seed.0);
    (place == 0).then(|| lower.map(|seed| Plan { seed: *seed, ..plan.clone() }).collect())
}
