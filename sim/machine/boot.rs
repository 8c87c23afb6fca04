//! One life of a process, and the disk as it may use it.
//!
//! **Invariant:** once it is over, each of its calls fails and changes nothing.

use super::Machine;
use crate::handle::{Handle, IoError, OpenMode};
use crate::trace::{Digest, FileKind, OpKind};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// One life of a process. Clones are the same life.
#[derive(Clone)]
pub struct Boot {
    pub(super) machine: Machine,
    pub(super) number: u32,
    pub(super) vfs_name: Arc<str>,
}

impl Boot {
    /// The boot's number, counted from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whether this process still runs.
    pub fn is_alive(&self) -> bool {
        let shared = &self.machine.0;
        shared.check_alive(&shared.state(), self.number).is_ok()
    }

    /// Waits until this process is over.
    pub async fn ended(&self) {
        poll_fn(|cx| {
            let shared = &self.machine.0;
            let mut state = shared.state();
            if shared.check_alive(&state, self.number).is_err() {
                return Poll::Ready(());
            }
            state.watchers.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// What libsql is to open: a URI that names `path` on this machine's disk and this boot's VFS.
    pub fn uri(&self, path: &str) -> String {
        format!("file:{}?vfs={}", escaped(path), self.vfs_name)
    }

    /// Opens a plain file of this machine's disk.
    ///
    /// # Errors
    /// [`IoError::NotFound`] when it is absent and `mode` does not make it; any injected fault.
    pub fn open(&self, path: &str, mode: OpenMode) -> Result<Handle, IoError> {
        let machine = self.machine.0.clone();
        Handle::open(machine, self.number, Some(path), FileKind::of_path(path), mode)
    }

    /// Takes the name `path` away, and makes that durable if `sync_directory`.
    ///
    /// # Errors
    /// [`IoError::NotFound`]; any injected fault.
    pub fn delete(&self, path: &str, sync_directory: bool) -> Result<(), IoError> {
        crate::handle::delete(&self.machine.0, self.number, path, sync_directory)
    }

    /// Makes `to` name what `from` names.
    ///
    /// # Errors
    /// [`IoError::NotFound`]; any injected fault.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), IoError> {
        crate::handle::rename(&self.machine.0, self.number, from, to)
    }

    /// The process computes for a while, at something of this name. Faults may make it slow or end the
    /// process there; they count it among the operations of its scope.
    ///
    /// # Errors
    /// [`IoError::Dead`] when the process is over.
    pub fn compute(&self, name: &str) -> Result<(), IoError> {
        let machine = &self.machine.0;
        let mut state = machine.state();
        let begun = machine.begin(&mut state, self.number, OpKind::Compute, FileKind::Other);
        let none = || Digest(0);
        machine.finish(&mut state, OpKind::Compute, &name.into(), 0, 0, none, begun.map(drop))
    }

    /// Makes the entries of the directory that holds `path` durable.
    ///
    /// # Errors
    /// Any injected fault.
    pub fn sync_directory_of(&self, path: &str) -> Result<(), IoError> {
        crate::handle::sync_directory(&self.machine.0, self.number, path)
    }
}

/// `path` as the path of a URI: what would end it is percent-encoded (SQLite documentation, "Uniform
/// Resource Identifiers", section 3.1).
fn escaped(path: &str) -> String {
    path.replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}
