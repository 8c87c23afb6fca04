//! What was done to the disk and not yet synced, as data.

use super::FileId;
use super::content::Bytes;
use std::sync::Arc;

/// One operation that a power loss may undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Position among all changes to the disk since it was made: the order of issue.
    pub order: u64,
    /// What was done.
    pub change: Change,
}

/// A change to a file's bytes or to a directory's entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// `bytes` were put at `offset`.
    Write {
        /// The file written to.
        file: FileId,
        /// First byte, from the start of the file.
        offset: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// The file was cut, or extended with zeros, to `len` bytes.
    Truncate {
        /// The file.
        file: FileId,
        /// Its new length in bytes.
        len: u64,
    },
    /// `path` came to name `file`: a creation.
    Link {
        /// The new name.
        path: Arc<str>,
        /// What it names.
        file: FileId,
    },
    /// `path` ceased to name anything.
    Unlink {
        /// The name that went.
        path: Arc<str>,
    },
    /// `to` came to name what `from` had named, in one step.
    Rename {
        /// The name that went.
        from: Arc<str>,
        /// The name that came.
        to: Arc<str>,
        /// What it names.
        file: FileId,
    },
}

impl Change {
    /// Whether a sync of directory `dir` makes this change durable.
    pub(super) fn is_in(&self, dir: &str) -> bool {
        match self {
            Change::Write { .. } | Change::Truncate { .. } => false,
            Change::Link { path, .. } | Change::Unlink { path } => directory_of(path) == dir,
            Change::Rename { from, to, .. } => directory_of(from) == dir || directory_of(to) == dir,
        }
    }

    /// Whether both change what one name means, so that their order matters.
    pub(super) fn shares_name_with(&self, other: &Change) -> bool {
        let [first, second] = self.names();
        let theirs = other.names();
        [first, second].into_iter().flatten().any(|name| theirs.contains(&Some(name)))
    }

    fn names(&self) -> [Option<&str>; 2] {
        match self {
            Change::Write { .. } | Change::Truncate { .. } => [None, None],
            Change::Link { path, .. } | Change::Unlink { path } => [Some(&**path), None],
            Change::Rename { from, to, .. } => [Some(&**from), Some(&**to)],
        }
    }

    /// Sectors that the change touches: how many answers a torn write has. 0 for all but writes.
    pub fn sector_count(&self, sector_size_bytes: u32) -> usize {
        match self {
            Change::Write { offset, bytes, .. } => {
                pieces(*offset, bytes.len(), sector_size_bytes).count()
            }
            _ => 0,
        }
    }
}

/// What a power loss makes of one pending operation.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// As if it had never been.
    Lost,
    /// As if it had been synced.
    Kept,
    /// A write of which some sectors reached the disk: one answer a sector, in order; missing answers
    /// mean lost. Sectors are cut at multiples of the disk's sector size in the file. For an operation
    /// that is no write it means [`Fate::Lost`].
    Torn(Vec<bool>),
}

/// The parts of a write between sector boundaries: start in the write, length.
pub(super) fn pieces(
    offset: u64,
    len: usize,
    sector_size_bytes: u32,
) -> impl Iterator<Item = (usize, usize)> {
    let sector = u64::from(sector_size_bytes);
    let mut at = 0;
    std::iter::from_fn(move || {
        if at == len {
            return None;
        }
        let to_boundary = sector - (offset + at as u64) % sector;
        let count = (len - at).min(to_boundary as usize);
        at += count;
        Some((at - count, count))
    })
}

/// The directory that holds `path`: everything before its last slash.
pub(super) fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}
