//! Host time and memory, for every bench.
//!
//! **Invariant:** nothing is kept between two measurements.

use std::time::Instant;

/// Microseconds of host time that `work` takes.
pub fn time_us(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e6
}

/// The least disturbed sample: whatever else the machine does only adds to a time.
pub fn fastest(samples: Vec<f64>) -> f64 {
    samples.into_iter().fold(f64::INFINITY, f64::min)
}

/// Bytes of this process that are in memory. Linux tells its pages as the second number of this
/// file; other systems do not tell.
pub fn resident_bytes() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(text.split(' ').nth(1)?.parse::<i64>().ok()? * PAGE)
}

const PAGE: i64 = 4096;
