//! What dishonest faults have done to files.
//!
//! **Invariant:** damage names a file and the operation before which it was done, and is never taken back.

use crate::crash_state::Ending;
use crate::disk::Disk;
use std::ops::Range;
use std::sync::Arc;

/// Damage that a dishonest fault has done to a file: what the file held is not what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Damage {
    /// The file.
    pub path: Arc<str>,
    /// Disk operations before it, over all boots.
    pub op: u64,
    /// What was done.
    pub harm: Harm,
}

impl Damage {
    /// What the end of a process does to this disk.
    pub(crate) fn by_end(disk: &Disk, ending: &Ending, op: u64) -> Vec<Damage> {
        let Ending::PowerLoss(_) = ending else { return Vec::new() };
        let unkept = disk.unkept().into_iter();
        unkept.map(|path| Damage { path, op, harm: Harm::Unkept }).collect()
    }
}

/// What was done to a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Harm {
    /// Bits of these bytes were flipped, as the file stood then.
    Rotten(Range<u64>),
    /// The power took what a sync had answered for, or had forgotten.
    Unkept,
}
