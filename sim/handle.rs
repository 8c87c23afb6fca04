//! An open file of one boot: POSIX's calls on the simulated disk, with faults and trace.
//!
//! **Invariant:** a call of a dead boot fails with [`IoError::Dead`], changes nothing and is not
//! recorded.

use crate::disk::{DiskError, DiskOptions, FileId, Grid};
use crate::locks::{HandleId, LockLevel, ShmHeld};
use crate::machine::{Shared, State};
use crate::trace::{Digest, FileKind, OpKind};
use crate::vfs::SharedMemory;
use std::sync::Arc;

/// Why a call on the simulated disk failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IoError {
    /// The process that calls is dead.
    #[error("the process is dead")]
    Dead,
    /// The device failed.
    #[error("input/output error")]
    Eio,
    /// The disk is full.
    #[error("no space left on the disk")]
    NoSpace,
    /// No file of that name.
    #[error("no such file")]
    NotFound,
    /// Another connection holds a lock that excludes the one asked for.
    #[error("locked by another connection")]
    Busy,
}

impl IoError {
    /// The error as one word, for the trace.
    pub(crate) fn word(self) -> &'static str {
        match self {
            IoError::Dead => "dead",
            IoError::Eio => "eio",
            IoError::NoSpace => "no-space",
            IoError::NotFound => "not-found",
            IoError::Busy => "busy",
        }
    }
}

impl From<DiskError> for IoError {
    fn from(error: DiskError) -> IoError {
        match error {
            DiskError::NotFound => IoError::NotFound,
            DiskError::NoSpace => IoError::NoSpace,
        }
    }
}

/// Whether opening makes a file that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An absent file is an error.
    Existing,
    /// An absent file is made, empty.
    Create,
}

/// An open file of one boot.
pub struct Handle {
    machine: Arc<Shared>,
    boot: u32,
    id: HandleId,
    file: FileId,
    path: Arc<str>,
    kind: FileKind,
    /// The file may have been made by this handle, or by a process that died before it synced the
    /// directory, and this handle has not synced it since.
    entry_pending: bool,
    shm_held: ShmHeld,
    shm_memory: Option<Arc<SharedMemory>>,
}

impl Handle {
    /// Opens `path`; no path means a file without a name.
    pub(crate) fn open(
        machine: Arc<Shared>,
        boot: u32,
        path: Option<&str>,
        kind: FileKind,
        mode: OpenMode,
    ) -> Result<Handle, IoError> {
        let shown: Arc<str> = path.unwrap_or("(temporary)").into();
        let grid = if kind == FileKind::Wal { Grid::Frames } else { Grid::Pages };
        let mut state = machine.state();
        let found = path.map(|path| (path, state.disk.find(path)));
        let makes_file = found.is_none_or(|(_, file)| file.is_none() && mode == OpenMode::Create);
        let begun = machine.begin_taking_space(&mut state, boot, (OpKind::Open, kind), makes_file);
        let opened = begun.and_then(|_| match found {
            None => Ok(state.disk.create_unnamed(grid)),
            Some((_, Some(file))) => Ok(file),
            Some((_, None)) if mode == OpenMode::Existing => Err(IoError::NotFound),
            Some((path, None)) => Ok(state.disk.create(path, grid)),
        });
        let none = || Digest(0);
        let file = machine.finish(&mut state, OpKind::Open, &shown, 0, 0, none, opened)?;
        state.disk.open(file);
        let id = state.take_handle_id();
        drop(state);
        let (shm_held, shm_memory) = (ShmHeld::default(), None);
        Ok(Handle {
            machine,
            boot,
            id,
            file,
            path: shown,
            kind,
            entry_pending: mode == OpenMode::Create,
            shm_held,
            shm_memory,
        })
    }

    /// Reads into `buf` from `offset` on and returns how many bytes there were before the end.
    /// A read that the device cuts short is continued, as POSIX programs must.
    ///
    /// # Errors
    /// Any injected fault.
    pub fn read(&self, offset: u64, buf: &mut [u8]) -> Result<usize, IoError> {
        let mut done = 0;
        loop {
            let count = self.read_once(offset + done as u64, &mut buf[done..])?;
            done += count;
            if count == 0 || done == buf.len() {
                return Ok(done);
            }
        }
    }

    fn read_once(&self, offset: u64, buf: &mut [u8]) -> Result<usize, IoError> {
        let mut state = self.machine.state();
        let begun = self.machine.begin(&mut state, self.boot, OpKind::Read, self.kind);
        let asked_bytes = buf.len() as u64;
        let outcome = begun.map(|struck| {
            if let Some((at, bytes, mask)) = struck.rot {
                let at = at % state.disk.durable_len(self.file).max(1);
                state.rot(self.file, &self.path, (at, bytes, mask));
            }
            let len = state.disk.read(self.file, offset, buf);
            let held_back = struck.missing_bytes.min(len.saturating_sub(1) as u64);
            len - held_back as usize
        });
        let got = outcome.unwrap_or(0);
        let bytes = || Digest::of(&buf[..got]);
        self.finish(&mut state, OpKind::Read, offset, asked_bytes, bytes, outcome)
    }

    /// Puts `bytes` at `offset`.
    ///
    /// # Errors
    /// [`IoError::NoSpace`] past the quota; any injected fault. Nothing was changed then, unless the fault says
    /// that a part was written.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), IoError> {
        let mut state = self.machine.state();
        let begun = self.machine.begin(&mut state, self.boot, OpKind::Write, self.kind);
        // Of a dead boot the file may be gone.
        let begins_anew = begun.is_ok() && offset == 0 && self.begins_anew(&state, bytes);
        let outcome = begun.and_then(|struck| {
            let Some(written_bytes) = struck.written_bytes else {
                return Ok(state.disk.write(self.file, offset, bytes)?);
            };
            let most = bytes.len().saturating_sub(1);
            let written = usize::try_from(written_bytes).unwrap_or(most).min(most);
            state.disk.write(self.file, offset, &bytes[..written])?;
            Err(IoError::NoSpace)
        });
        state.log_count += u64::from(begins_anew && outcome.is_ok());
        let digest = || Digest::of(bytes);
        self.finish(&mut state, OpKind::Write, offset, bytes.len() as u64, digest, outcome)
    }

    /// Whether these first bytes of a log make it another one than it is: its header counts how often that was so
    /// (WAL file format, "checkpoint sequence number"). One that a failed commit left is written again as it was.
    fn begins_anew(&self, state: &State, bytes: &[u8]) -> bool {
        const SEQUENCE: std::ops::Range<usize> = 12..16;
        let mut header = [0; SEQUENCE.end];
        self.kind == FileKind::Wal
            && state.disk.read(self.file, 0, &mut header) == header.len()
            && bytes.get(SEQUENCE).is_some_and(|sequence| *sequence != header[SEQUENCE])
    }

    /// Sets the file's length to `len` bytes.
    ///
    /// # Errors
    /// [`IoError::NoSpace`] past the quota; any injected fault. Nothing was changed then.
    pub fn truncate(&self, len: u64) -> Result<(), IoError> {
        let mut state = self.machine.state();
        let begun = self.machine.begin(&mut state, self.boot, OpKind::Truncate, self.kind);
        let outcome = begun.and_then(|_| Ok(state.disk.truncate(self.file, len)?));
        self.finish(&mut state, OpKind::Truncate, len, 0, || Digest(0), outcome)
    }

    /// Makes the file's bytes durable; not its name.
    ///
    /// # Errors
    /// Any injected fault. Nothing became durable then.
    pub fn sync(&self) -> Result<(), IoError> {
        let mut state = self.machine.state();
        let begun = self.machine.begin(&mut state, self.boot, OpKind::Sync, self.kind);
        let outcome = begun.and_then(|struck| {
            if struck.forgets {
                state.disk.forget(self.file);
                return Err(IoError::Eio);
            }
            match struck.lies {
                true => state.disk.lie(self.file),
                false => state.disk.sync(self.file),
            }
            Ok(())
        });
        self.finish(&mut state, OpKind::Sync, 0, 0, || Digest(0), outcome)
    }

    /// Makes the file's name durable, once in the life of a handle that was opened to make the file.
    ///
    /// # Errors
    /// Any injected fault. The next call tries again.
    pub fn sync_entry_once(&mut self) -> Result<(), IoError> {
        if self.entry_pending {
            sync_directory(&self.machine, self.boot, &self.path)?;
            self.entry_pending = false;
        }
        Ok(())
    }

    /// What the disk under the file promises.
    pub fn disk_options(&self) -> DiskOptions {
        self.machine.state().disk.options()
    }

    /// What the file is to SQLite.
    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// Length in bytes. Not a disk operation: it is answered from what the process knows.
    ///
    /// # Errors
    /// [`IoError::Dead`].
    pub fn len(&self) -> Result<u64, IoError> {
        let state = self.machine.state();
        self.machine.check_alive(&state, self.boot)?;
        Ok(state.disk.len(self.file))
    }

    /// Whether the file is empty.
    ///
    /// # Errors
    /// [`IoError::Dead`].
    pub fn is_empty(&self) -> Result<bool, IoError> {
        Ok(self.len()? == 0)
    }

    /// Whether the file's name now means another file or none.
    pub(crate) fn has_moved(&self) -> bool {
        self.machine.state().disk.find(&self.path) != Some(self.file)
    }

    pub(crate) fn lock(&self, wanted: LockLevel) -> Result<(), IoError> {
        let mut state = self.machine.state();
        self.machine.check_alive(&state, self.boot)?;
        let locks = state.file_locks.entry(self.file).or_default();
        locks.raise(self.id, wanted).map_err(|_| IoError::Busy)
    }

    pub(crate) fn unlock(&self, wanted: LockLevel) {
        let mut state = self.machine.state();
        if self.machine.check_alive(&state, self.boot).is_ok()
            && let Some(locks) = state.file_locks.get_mut(&self.file)
        {
            locks.lower(self.id, wanted);
        }
    }

    pub(crate) fn lock_level(&self) -> LockLevel {
        let state = self.machine.state();
        state.file_locks.get(&self.file).map_or(LockLevel::None, |locks| locks.level(self.id))
    }

    pub(crate) fn is_reserved(&self) -> Result<bool, IoError> {
        let state = self.machine.state();
        self.machine.check_alive(&state, self.boot)?;
        Ok(state.file_locks.get(&self.file).is_some_and(|locks| locks.reserved()))
    }

    /// The memory that all connections to this database share while the boot lasts.
    pub(crate) fn shared_memory(&mut self) -> Result<Arc<SharedMemory>, IoError> {
        if let Some(memory) = &self.shm_memory {
            return Ok(memory.clone());
        }
        let mut state = self.machine.state();
        self.machine.check_alive(&state, self.boot)?;
        let shm = state.shm.entry(self.file).or_default();
        shm.user_count += 1;
        let memory = shm.memory.get_or_insert_with(SharedMemory::new).clone();
        self.shm_memory = Some(memory.clone());
        Ok(memory)
    }

    /// Takes (`exclusive` or shared) the locks of `mask` on the shared memory.
    pub(crate) fn shm_lock(&mut self, mask: u8, exclusive: bool) -> Result<(), IoError> {
        let mut state = self.machine.state();
        self.machine.check_alive(&state, self.boot)?;
        let locks = &mut state.shm.entry(self.file).or_default().locks;
        let taken = match exclusive {
            true => locks.exclude(&mut self.shm_held, mask),
            false => locks.share(&mut self.shm_held, mask),
        };
        taken.map_err(|_| IoError::Busy)
    }

    pub(crate) fn shm_unlock(&mut self, mask: u8) {
        let mut state = self.machine.state();
        if self.machine.check_alive(&state, self.boot).is_ok()
            && let Some(shm) = state.shm.get_mut(&self.file)
        {
            shm.locks.release(&mut self.shm_held, mask);
        }
    }

    /// Lets go of the shared memory; the last connection to do so ends it.
    pub(crate) fn shm_unmap(&mut self) {
        self.shm_unlock(u8::MAX);
        if self.shm_memory.take().is_none() {
            return;
        }
        let mut state = self.machine.state();
        if self.machine.check_alive(&state, self.boot).is_ok()
            && let Some(shm) = state.shm.get_mut(&self.file)
        {
            shm.user_count -= 1;
            if shm.user_count == 0 {
                state.shm.remove(&self.file);
            }
        }
    }

    fn finish<T>(
        &self,
        state: &mut crate::machine::State,
        kind: OpKind,
        offset: u64,
        len: u64,
        bytes: impl FnOnce() -> Digest,
        outcome: Result<T, IoError>,
    ) -> Result<T, IoError> {
        self.machine.finish(state, kind, &self.path, offset, len, bytes, outcome)
    }
}

impl Drop for Handle {
    /// Closes the file. A dead boot's handle was closed by the crash.
    fn drop(&mut self) {
        self.shm_unmap();
        self.unlock(LockLevel::None);
        let mut state = self.machine.state();
        if self.machine.check_alive(&state, self.boot).is_ok() {
            state.disk.close(self.file);
        }
    }
}

/// Whether `path` names a file that is not empty: what SQLite's unix VFS takes for existing.
pub(crate) fn exists(machine: &Shared, boot: u32, path: &str) -> Result<bool, IoError> {
    let state = machine.state();
    machine.check_alive(&state, boot)?;
    Ok(state.disk.find(path).is_some_and(|file| state.disk.len(file) > 0))
}

/// Takes the name `path` away, and makes that durable if `sync_directory_too`.
pub(crate) fn delete(
    machine: &Shared,
    boot: u32,
    path: &str,
    sync_directory_too: bool,
) -> Result<(), IoError> {
    let mut state = machine.state();
    let begun = machine.begin(&mut state, boot, OpKind::Delete, FileKind::of_path(path));
    let outcome = begun.and_then(|_| Ok(state.disk.delete(path)?));
    let none = || Digest(0);
    machine.finish(&mut state, OpKind::Delete, &path.into(), 0, 0, none, outcome)?;
    drop(state);
    if sync_directory_too { sync_directory(machine, boot, path) } else { Ok(()) }
}

/// Makes `to` name what `from` names.
pub(crate) fn rename(machine: &Shared, boot: u32, from: &str, to: &str) -> Result<(), IoError> {
    let mut state = machine.state();
    let begun = machine.begin(&mut state, boot, OpKind::Rename, FileKind::of_path(from));
    let outcome = begun.and_then(|_| Ok(state.disk.rename(from, to)?));
    let new_name = || Digest::of(to.as_bytes());
    machine.finish(&mut state, OpKind::Rename, &from.into(), 0, 0, new_name, outcome)
}

/// Makes the entries of the directory that holds `path` durable.
pub(crate) fn sync_directory(machine: &Shared, boot: u32, path: &str) -> Result<(), IoError> {
    let mut state = machine.state();
    let kind = FileKind::of_path(path);
    let begun = machine.begin(&mut state, boot, OpKind::SyncDirectory, kind);
    let outcome = begun.map(|_| state.disk.sync_directory_of(path));
    let none = || Digest(0);
    machine.finish(&mut state, OpKind::SyncDirectory, &path.into(), 0, 0, none, outcome)
}
