//! The disk on both sides of a crash, for whoever is told of it.
//!
//! **Invariant:** the run does not notice: an image costs a few reference counts a file, and scenes are only kept
//! where the records of the trace are.

use crate::disk::Disk;
use crate::machine::Crash;

/// The end of a boot, with the disk before and after it.
#[derive(Clone)]
pub struct Scene {
    /// How the boot ended.
    pub crash: Crash,
    /// Records of the trace before the crash's own.
    pub record_count: usize,
    /// The wall clock, in milliseconds of Unix time.
    pub utc_ms: i64,
    /// The disk as the process saw it, with all that was pending.
    pub before: Disk,
    /// What the next process finds.
    pub after: Disk,
}
