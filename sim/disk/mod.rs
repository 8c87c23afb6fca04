//! A disk that forgets: what a process wrote and what survives a power loss are kept apart.
//!
//! **Invariant:** every change is pending until the file or the directory it belongs to is synced.
//! Reads see the page cache (durable bytes and every pending change); [`Disk::crash`] builds what a
//! process kill or a power loss leaves. The disk takes no decision of its own: which pending changes
//! survive is an argument, so that one value of it replays for ever.
//!
//! **Modelled:** page cache and durable bytes; files and directory entries synced apart; writes lost,
//! reordered and torn at sector boundaries; holes; unlinked files that live on while they are open;
//! a quota; a size that grows without its data (a torn write that keeps only its last sector); syncs that
//! lie, or fail and forget; bits that flip at rest.
//! **Not modelled:** directories of their own (a path's directory always exists), hard links,
//! permissions, a single sector written by half, a process kill in the middle of one write.

mod content;
mod digest;
mod dishonest;
mod log;
mod pending;

pub use content::{Bytes, Grid};
pub use digest::Digests;
pub use pending::{Change, Fate, Pending};

use crate::crash_state::{Ending, Survivors};
use content::Content;
use log::Log;
use pending::{directory_of, pieces};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A file's identity, whatever its name: what POSIX calls an inode number.
pub type FileId = u32;

/// Filler for the bytes beside a torn write on a disk without powersafe overwrite.
const DAMAGED: u8 = 0xA5;

/// What the device promises. The VFS reports exactly this to SQLite, and the disk honours it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskOptions {
    /// The unit in which a write is torn, in bytes. At least 1; SQLite is told at least 512.
    pub sector_size_bytes: u32,
    /// Whether bytes beside a torn write keep their value (SQLite documentation, "Powersafe
    /// Overwrite"). Without it, a sector that a torn write covers in part loses its other bytes.
    pub powersafe_overwrite: bool,
    /// How many bytes all files together may hold; a write that would pass it fails.
    pub quota_bytes: Option<u64>,
}

impl Default for DiskOptions {
    fn default() -> Self {
        DiskOptions { sector_size_bytes: 512, powersafe_overwrite: true, quota_bytes: None }
    }
}

/// Why an operation on the disk failed by the disk's own rules (injected faults are not among them).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// No entry of that name.
    #[error("no such file")]
    NotFound,
    /// The quota would be passed; nothing was changed.
    #[error("no space left on the disk")]
    NoSpace,
}

#[derive(Clone)]
struct File {
    durable: Content,
    cached: Content,
    pending: Log<Pending>,
    open_count: u32,
    broken: dishonest::Broken,
}

type Entries = BTreeMap<Arc<str>, FileId>;

/// A disk: files, directory entries, and what of both is not yet durable. A clone is an image of it:
/// it costs a few reference counts a file, whatever the files hold, and the two never affect one
/// another.
#[derive(Clone)]
pub struct Disk {
    options: DiskOptions,
    files: BTreeMap<FileId, File>,
    durable_entries: Arc<Entries>,
    cached_entries: Arc<Entries>,
    pending_entries: Log<Pending>,
    /// Synced changes that come after a pending one to the same name, and so cannot be applied yet.
    /// Only a renaming across directories gets here, when one of the two is synced.
    held_entries: Log<Pending>,
    next_file: FileId,
    next_order: u64,
    sync_count: u64,
}

impl Disk {
    /// An empty disk.
    ///
    /// # Panics
    /// When the sector size is 0.
    pub fn new(options: DiskOptions) -> Disk {
        assert!(options.sector_size_bytes > 0, "a sector has at least one byte");
        Disk {
            options,
            files: BTreeMap::new(),
            durable_entries: Arc::default(),
            cached_entries: Arc::default(),
            pending_entries: Log::new(),
            held_entries: Log::new(),
            next_file: 0,
            next_order: 0,
            sync_count: 0,
        }
    }

    /// What the device promises.
    pub fn options(&self) -> DiskOptions {
        self.options
    }

    /// Sets or lifts the quota; bytes already held stay.
    pub fn set_quota(&mut self, quota_bytes: Option<u64>) {
        self.options.quota_bytes = quota_bytes;
    }

    /// The file that `path` names, as a running process sees it.
    pub fn find(&self, path: &str) -> Option<FileId> {
        self.cached_entries.get(path).copied()
    }

    /// A name of `file`, as a running process sees it or else as a power loss would bring it back.
    pub fn path_of(&self, file: FileId) -> Option<&str> {
        let mut entries = self.cached_entries.iter().chain(self.durable_entries.iter());
        entries.find(|(_, named)| **named == file).map(|(path, _)| &**path)
    }

    /// Names of all files as a running process sees them, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.cached_entries.keys().map(|path| &**path)
    }

    /// The bytes of the file that `path` names, as a running process sees them.
    pub fn contents(&self, path: &str) -> Option<Vec<u8>> {
        Some(self.file(self.find(path)?).cached.to_vec())
    }

    /// Whether nothing was written to what `path` names since one of the two was an image of the other:
    /// a process would read the same of both. Two that were made apart may be equal all the same.
    pub fn is_unchanged_since(&self, other: &Disk, path: &str) -> bool {
        match (self.find(path), other.find(path)) {
            (Some(one), Some(two)) => {
                self.file(one).cached.shares_all_with(&other.file(two).cached)
            }
            (None, None) => true,
            _ => false,
        }
    }

    /// How often something was changed or made durable: two images of one disk between which this has not
    /// grown are equal in all that a crash could make of them.
    pub fn version(&self) -> u64 {
        self.next_order + self.sync_count
    }

    /// Makes an empty file named `path`, replacing any that had that name. The entry is pending until
    /// its directory is synced.
    pub fn create(&mut self, path: &str, grid: Grid) -> FileId {
        let file = self.create_unnamed(grid);
        self.change_entry(Change::Link { path: path.into(), file });
        file
    }

    /// Makes a file that no name leads to: it is gone when it is closed and after any crash.
    pub fn create_unnamed(&mut self, grid: Grid) -> FileId {
        let file = self.next_file;
        self.next_file += 1;
        let empty = Content::new(grid);
        let state = File {
            durable: empty.clone(),
            cached: empty,
            pending: Log::new(),
            open_count: 0,
            broken: dishonest::Broken::default(),
        };
        self.files.insert(file, state);
        file
    }

    /// Counts one more open handle on `file`.
    pub fn open(&mut self, file: FileId) {
        self.file_mut(file).open_count += 1;
    }

    /// Counts one handle less; a file without handle and name goes.
    pub fn close(&mut self, file: FileId) {
        let state = self.file_mut(file);
        state.open_count = state.open_count.saturating_sub(1);
        if state.open_count == 0 {
            self.forget_if_unreachable(file);
        }
    }

    /// Length of `file` in bytes.
    pub fn len(&self, file: FileId) -> u64 {
        self.file(file).cached.len()
    }

    /// Copies bytes from `offset` on into `buf`; returns how many there were before the file's end.
    pub fn read(&self, file: FileId, offset: u64, buf: &mut [u8]) -> usize {
        self.file(file).cached.read(offset, buf)
    }

    /// The `len` bytes from `offset` on; those past the file's end are zeros. Copies nothing where the
    /// file keeps them in one piece.
    pub(crate) fn bytes(&self, file: FileId, offset: u64, len: usize) -> Cow<'_, [u8]> {
        let content = &self.file(file).cached;
        match content.within_chunk(offset, len) {
            Some(bytes) => Cow::Borrowed(bytes),
            None => {
                let mut bytes = vec![0; len];
                content.read(offset, &mut bytes);
                Cow::Owned(bytes)
            }
        }
    }

    /// The piece in which the file keeps exactly these bytes, if it does. While somebody holds it, it
    /// stays as it is: a write to the file puts another in its place.
    pub(crate) fn piece(&self, file: FileId, offset: u64, len: usize) -> Option<&Bytes> {
        self.file(file).cached.exact_chunk(offset, len)
    }

    /// Puts `bytes` at `offset`. Pending until `file` is synced.
    ///
    /// # Errors
    /// [`DiskError::NoSpace`] when the file would grow past the quota.
    pub fn write(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.check_quota(file, offset + bytes.len() as u64)?;
        let bytes = Bytes::from(bytes);
        let (order, sector) = (self.take_order(), self.options.sector_size_bytes);
        let state = self.file_mut(file);
        state.cached.write(offset, &bytes);
        let (offset, bytes) = state.dirtied(offset, bytes, sector);
        state.pending.push(Pending { order, change: Change::Write { file, offset, bytes } });
        Ok(())
    }

    /// Sets the length of `file` to `len` bytes. Pending until `file` is synced.
    ///
    /// # Errors
    /// [`DiskError::NoSpace`] when the file would grow past the quota.
    pub fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        self.check_quota(file, len)?;
        let order = self.take_order();
        let state = self.file_mut(file);
        state.cached.truncate(len);
        state.pending.push(Pending { order, change: Change::Truncate { file, len } });
        Ok(())
    }

    /// Makes everything written to `file` durable; not its name (see [`Disk::sync_directory_of`]).
    pub fn sync(&mut self, file: FileId) {
        self.sync_count += 1;
        self.file_mut(file).sync();
    }

    /// Makes every creation, deletion and renaming in the directory that holds `path` durable.
    pub fn sync_directory_of(&mut self, path: &str) {
        self.sync_count += 1;
        let dir = directory_of(path);
        let pending = self.pending_entries.newest_first().map(|op| (op, op.change.is_in(dir)));
        let held = self.held_entries.newest_first().map(|op| (op, true));
        let mut ops: Vec<(Pending, bool)> =
            pending.chain(held).map(|(op, synced)| (op.clone(), synced)).collect();
        ops.sort_unstable_by_key(|(op, _)| op.order);
        (self.pending_entries, self.held_entries) = (Log::new(), Log::new());
        for (op, synced) in ops {
            if !synced {
                self.pending_entries.push(op);
            } else if self.unsettled_entries().any(|old| old.change.shares_name_with(&op.change)) {
                self.held_entries.push(op);
            } else {
                apply_entry(Arc::make_mut(&mut self.durable_entries), &op.change);
            }
        }
        self.forget_unreachable();
    }

    /// Takes the name `path` away. Pending until its directory is synced; open handles go on working.
    ///
    /// # Errors
    /// [`DiskError::NotFound`].
    pub fn delete(&mut self, path: &str) -> Result<(), DiskError> {
        let file = self.find(path).ok_or(DiskError::NotFound)?;
        self.change_entry(Change::Unlink { path: path.into() });
        self.forget_if_unreachable(file);
        Ok(())
    }

    /// Makes `to` name what `from` names, replacing what `to` named. One change, kept or lost whole.
    ///
    /// # Errors
    /// [`DiskError::NotFound`] when nothing is named `from`.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let file = self.find(from).ok_or(DiskError::NotFound)?;
        let replaced = self.find(to);
        self.change_entry(Change::Rename { from: from.into(), to: to.into(), file });
        if let Some(replaced) = replaced {
            self.forget_if_unreachable(replaced);
        }
        Ok(())
    }

    /// Everything that is not yet durable, in the order of issue.
    pub fn pending(&self) -> Vec<Pending> {
        let files = self.files.values().flat_map(|file| file.pending.newest_first());
        let mut pending: Vec<Pending> =
            files.chain(self.pending_entries.newest_first()).cloned().collect();
        pending.sort_unstable_by_key(|op| op.order);
        pending
    }

    /// Ends the process that used the disk, and the power with it if `ending` says so. No handle
    /// survives. After a process kill every change stays as pending as it was: a later power loss may
    /// still undo it. After a power loss what survived is durable.
    pub fn crash(&mut self, ending: &Ending) {
        for file in self.files.values_mut() {
            file.open_count = 0;
        }
        let survivors = match ending {
            Ending::ProcessKill => None,
            Ending::PowerLoss(survivors) => Some(survivors),
            Ending::DiskSwap { .. } => Some(&Survivors::None),
        };
        if let Some(survivors) = survivors {
            let pending = self.pending();
            let fates = survivors.fates(&pending, self.options.sector_size_bytes);
            let held = self.held_entries.newest_first().map(|op| (op.clone(), Fate::Kept));
            let mut ops: Vec<(Pending, Fate)> =
                pending.into_iter().zip(fates).chain(held).collect();
            ops.sort_by_key(|(op, _)| op.order);
            self.lose_power(&ops);
        }
        self.forget_unreachable();
    }

    fn lose_power(&mut self, ops: &[(Pending, Fate)]) {
        for (op, fate) in ops {
            match (&op.change, fate) {
                (_, Fate::Lost) => {}
                (Change::Write { file, offset, bytes }, Fate::Kept) => {
                    self.file_mut(*file).durable.write(*offset, bytes);
                }
                (Change::Write { file, offset, bytes }, Fate::Torn(kept)) => {
                    self.tear(*file, *offset, bytes, kept);
                }
                (Change::Truncate { file, len }, Fate::Kept) => {
                    self.file_mut(*file).durable.truncate(*len);
                }
                (entry, Fate::Kept) => {
                    apply_entry(Arc::make_mut(&mut self.durable_entries), entry);
                }
                (_, Fate::Torn(_)) => {}
            }
        }
        for file in self.files.values_mut() {
            file.cached = file.durable.clone();
            file.pending = Log::new();
            file.broken = dishonest::Broken::default();
        }
        self.cached_entries = self.durable_entries.clone();
        (self.pending_entries, self.held_entries) = (Log::new(), Log::new());
    }

    /// Brings the kept sectors of one write to the durable bytes.
    fn tear(&mut self, file: FileId, offset: u64, bytes: &Bytes, kept: &[bool]) {
        let DiskOptions { sector_size_bytes, powersafe_overwrite, .. } = self.options;
        let sector = u64::from(sector_size_bytes);
        let durable = &mut self.file_mut(file).durable;
        let parts = pieces(offset, bytes.len(), sector_size_bytes);
        for ((start, len), _) in parts.zip(kept).filter(|(_, kept)| **kept) {
            let at = offset + start as u64;
            if !powersafe_overwrite {
                let first = at / sector * sector;
                let end = (first + sector).min(durable.len());
                if first < end {
                    durable.write(first, &vec![DAMAGED; (end - first) as usize].into());
                }
            }
            durable.write(at, &bytes[start..start + len].into());
        }
    }

    fn change_entry(&mut self, change: Change) {
        apply_entry(Arc::make_mut(&mut self.cached_entries), &change);
        let order = self.take_order();
        self.pending_entries.push(Pending { order, change });
    }

    fn take_order(&mut self) -> u64 {
        self.next_order += 1;
        self.next_order - 1
    }

    /// Refuses to let `file` reach `len` bytes when that would pass the quota.
    fn check_quota(&self, file: FileId, len: u64) -> Result<(), DiskError> {
        let Some(quota_bytes) = self.options.quota_bytes else { return Ok(()) };
        let added_bytes = len.saturating_sub(self.len(file));
        let fits = added_bytes == 0 || self.used_bytes() + added_bytes <= quota_bytes;
        if fits { Ok(()) } else { Err(DiskError::NoSpace) }
    }

    /// Bytes of all files that a process can still reach.
    fn used_bytes(&self) -> u64 {
        let reachable = |(id, file): &(&FileId, &File)| {
            file.open_count > 0 || self.cached_entries.values().any(|named| named == *id)
        };
        self.files.iter().filter(reachable).map(|(_, file)| file.cached.len()).sum()
    }

    /// Drops the files that no entry, no pending entry and no handle leads to.
    fn forget_unreachable(&mut self) {
        let named: BTreeSet<FileId> = self.named_files().collect();
        self.files.retain(|file, state| state.open_count > 0 || named.contains(file));
    }

    /// The same for the one file that may have become unreachable.
    fn forget_if_unreachable(&mut self, file: FileId) {
        let is_open = self.files.get(&file).is_some_and(|state| state.open_count > 0);
        if !is_open && self.named_files().all(|named| named != file) {
            self.files.remove(&file);
        }
    }

    /// The files that a name means, has meant durably, or may mean after a power loss.
    fn named_files(&self) -> impl Iterator<Item = FileId> {
        let unsettled = self.unsettled_entries().filter_map(|op| match &op.change {
            Change::Link { file, .. } | Change::Rename { file, .. } => Some(*file),
            _ => None,
        });
        let entries = self.cached_entries.values().chain(self.durable_entries.values());
        entries.copied().chain(unsettled)
    }

    /// Changes of names that are not yet among the durable ones.
    fn unsettled_entries(&self) -> impl Iterator<Item = &Pending> {
        self.pending_entries.newest_first().chain(self.held_entries.newest_first())
    }

    fn file(&self, file: FileId) -> &File {
        self.files.get(&file).expect("a file lives while it has a name or a handle")
    }

    fn file_mut(&mut self, file: FileId) -> &mut File {
        self.files.get_mut(&file).expect("a file lives while it has a name or a handle")
    }
}

fn apply_entry(entries: &mut Entries, change: &Change) {
    match change {
        Change::Link { path, file } => {
            entries.insert(path.clone(), *file);
        }
        Change::Unlink { path } => {
            entries.remove(path);
        }
        Change::Rename { from, to, file } => {
            entries.remove(from);
            entries.insert(to.clone(), *file);
        }
        Change::Write { .. } | Change::Truncate { .. } => {}
    }
}
