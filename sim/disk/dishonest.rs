//! What a dishonest device does to a disk: it lies, it forgets, and what it holds decays.
//!
//! **Invariant:** whatever it does, reads see the page cache, as ever. What was lied about or forgotten goes
//! with the power and not before; a disk to which nothing of this was done behaves as if it could not be.
//!
//! **Modelled:** a sync that succeeds and makes nothing durable; a sync that fails and leaves its sectors
//! clean (Linux after a write-back error), of which each becomes dirty again, whole, when it is written to;
//! bits that flip in the durable bytes of one sector, and in the page cache where that is clean.
//! **Not modelled:** lies about the sync of a directory; clean pages that the page cache drops and reads
//! again; sectors that cannot be read; writes that land elsewhere.

use super::content::Bytes;
use super::{Change, Disk, File, FileId, Log};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// What syncs of one file have promised and not done.
#[derive(Clone, Default)]
pub(super) struct Broken {
    /// A sync has lied about what is still pending.
    lied: bool,
    /// Sectors that are clean in the page cache and were never made durable.
    forgotten: Arc<BTreeSet<u64>>,
}

impl File {
    /// Makes everything durable that is pending.
    pub(super) fn sync(&mut self) {
        if self.broken.forgotten.is_empty() {
            self.durable = self.cached.clone();
        } else {
            // What was forgotten is not among them.
            let mut pending: Vec<&Change> =
                self.pending.newest_first().map(|pending| &pending.change).collect();
            pending.reverse();
            for change in pending {
                match change {
                    Change::Write { offset, bytes, .. } => self.durable.write(*offset, bytes),
                    Change::Truncate { len, .. } => self.durable.truncate(*len),
                    _ => {}
                }
            }
        }
        self.pending.clear();
        self.broken.lied = false;
    }

    /// What a write makes dirty: its own bytes, and of forgotten sectors that it touches the rest.
    pub(super) fn dirtied(&mut self, offset: u64, bytes: Bytes, sector_size: u32) -> (u64, Bytes) {
        if self.broken.forgotten.is_empty() {
            return (offset, bytes);
        }
        let end = offset + bytes.len() as u64;
        let mut whole = offset..end;
        for sector in sectors(&(offset..end), sector_size) {
            if Arc::make_mut(&mut self.broken.forgotten).remove(&sector) {
                let size = u64::from(sector_size);
                whole.start = whole.start.min(sector * size);
                whole.end = whole.end.max(((sector + 1) * size).min(self.cached.len()));
            }
        }
        let mut dirty = vec![0; (whole.end - whole.start) as usize];
        self.cached.read(whole.start, &mut dirty);
        (whole.start, dirty.into())
    }
}

fn sectors(range: &Range<u64>, sector_size: u32) -> Range<u64> {
    let size = u64::from(sector_size);
    range.start / size..range.end.div_ceil(size)
}

impl Disk {
    /// A sync of `file` that says it made everything durable, and made nothing so.
    pub fn lie(&mut self, file: FileId) {
        self.sync_count += 1;
        let state = self.file_mut(file);
        state.broken.lied |= state.pending.newest_first().next().is_some();
    }

    /// A sync of `file` that fails and leaves what was written clean: no later sync covers it.
    pub fn forget(&mut self, file: FileId) {
        self.sync_count += 1;
        let sector_size = self.options.sector_size_bytes;
        let state = self.file_mut(file);
        let mut kept = Vec::new();
        let forgotten = Arc::make_mut(&mut state.broken.forgotten);
        for pending in state.pending.newest_first() {
            match &pending.change {
                Change::Write { offset, bytes, .. } => {
                    forgotten.extend(sectors(&(*offset..offset + bytes.len() as u64), sector_size));
                }
                // Lengths are the file system's own, and not of its page cache.
                _ => kept.push(pending.clone()),
            }
        }
        state.pending = Log::new();
        kept.into_iter().rev().for_each(|pending| state.pending.push(pending));
    }

    /// The names of the files of which a power loss takes what a sync has answered for, or has forgotten.
    pub fn unkept(&self) -> Vec<Arc<str>> {
        let is_unkept = |file: &FileId| {
            let Some(File { broken, .. }) = self.files.get(file) else { return false };
            broken.lied || !broken.forgotten.is_empty()
        };
        let names = self.cached_entries.iter().filter(|(_, file)| is_unkept(file));
        names.map(|(path, _)| path.clone()).collect()
    }

    /// Flips the bits of `mask` (at least the lowest) in the durable bytes of `file` from `offset` on, at
    /// most `len` and none beyond the first one's sector; those of the page cache too, where it has just
    /// what was durable. Returns the bytes that were damaged; none past the durable end.
    pub fn rot(&mut self, file: FileId, offset: u64, len: u32, mask: u8) -> Range<u64> {
        self.sync_count += 1;
        let sector = u64::from(self.options.sector_size_bytes);
        let state = self.file_mut(file);
        let sector_end = (offset / sector + 1) * sector;
        let end = offset.saturating_add(u64::from(len.max(1)));
        let end = end.min(sector_end).min(state.durable.len());
        if offset >= end {
            return offset..offset;
        }
        let mask = if mask == 0 { 1 } else { mask };
        let mut cached = vec![None; (end - offset) as usize];
        for (at, byte) in cached.iter_mut().enumerate() {
            let at = offset + at as u64;
            if at < state.cached.len() && !state.is_dirty(at, sector) {
                let mut read = [0];
                state.cached.read(at, &mut read);
                *byte = Some(read[0]);
            }
        }
        for (at, clean) in (offset..end).zip(cached) {
            let mut byte = [0];
            state.durable.read(at, &mut byte);
            let rotten = Bytes::from([byte[0] ^ mask]);
            state.durable.write(at, &rotten);
            if clean == Some(byte[0]) {
                state.cached.write(at, &rotten);
            }
        }
        offset..end
    }

    /// How many bytes of `file` are durable.
    pub fn durable_len(&self, file: FileId) -> u64 {
        self.file(file).durable.len()
    }
}

impl File {
    /// Whether the page cache has of the byte at `at` what the device never got.
    fn is_dirty(&self, at: u64, sector_size: u64) -> bool {
        let is_written = |change: &Change| match change {
            Change::Write { offset, bytes, .. } => {
                (*offset..offset + bytes.len() as u64).contains(&at)
            }
            _ => false,
        };
        self.broken.forgotten.contains(&(at / sector_size))
            || self.pending.newest_first().any(|pending| is_written(&pending.change))
    }
}
