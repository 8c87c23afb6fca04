//! Counters of what a platform has done since its start.
//!
//! **Invariant:** nothing that the platform does depends on them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The number at this moment.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The methods that requests are counted by; `OTHER` are all that the router has no use for.
pub const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PATCH", "DELETE", "OTHER"];
/// The classes of status that answers are counted by, `2xx` first.
pub const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// What a platform has done since its start.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: [[Counter; CLASSES.len()]; METHODS.len()],
    /// Rows of blobs written: new ones, and damaged ones written again.
    pub blobs_put: Counter,
    /// Rows of blobs that sweeps have deleted.
    pub blobs_swept: Counter,
    /// States read from a journal.
    pub replays: Counter,
    /// Rows of blobs among those put that a replay found missing or damaged.
    pub blobs_repaired: Counter,
    /// Runs of guests, whatever came of them.
    pub guest_runs: Counter,
    last_sweep_ms: AtomicI64,
}

impl Metrics {
    /// Counts an answer of the router.
    pub(crate) fn answered(&self, method: &str, status: u16) {
        let other = METHODS.len() - 1;
        let method = METHODS.iter().position(|name| *name == method).unwrap_or(other);
        let class = usize::from(status / 100).saturating_sub(2).min(CLASSES.len() - 1);
        self.requests[method][class].add(1);
    }

    /// Answers of the router as (method, class of status, count).
    pub fn requests(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        METHODS.into_iter().zip(&self.requests).flat_map(|(method, classes)| {
            let counts = CLASSES.into_iter().zip(classes);
            counts.map(move |(class, counter)| (method, class, counter.get()))
        })
    }

    pub(crate) fn swept(&self, now_ms: i64, rows: u64) {
        self.blobs_swept.add(rows);
        self.last_sweep_ms.store(now_ms, Ordering::Relaxed);
    }

    /// When a sweep last ended without an error, in milliseconds of UTC since 1970; 0 before the first.
    pub fn last_sweep_ms(&self) -> i64 {
        self.last_sweep_ms.load(Ordering::Relaxed)
    }
}
