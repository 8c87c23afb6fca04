//! A boot's VFS among those that SQLite knows by name.
//!
//! **Invariant:** no two mounts of a process ever have the same name, and SQLite never holds a pointer
//! to an object that is gone.

use super::table;
use crate::machine::Shared;
use libsql_ffi as ffi;
use std::ffi::CString;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A VFS object. SQLite holds pointers to it for as long as a connection lives, and nothing tells when
/// the last one is gone: so the objects are never freed, but used again under a new name.
struct Slot {
    vfs: ffi::sqlite3_vfs,
    name: CString,
}

struct SlotPointer(*mut Slot);
// SAFETY: a slot that is not in the pool belongs to exactly one mount; one in the pool to nobody.
unsafe impl Send for SlotPointer {}
// SAFETY: as above; shared references never reach the slot.
unsafe impl Sync for SlotPointer {}

static FREE_SLOTS: Mutex<Vec<SlotPointer>> = Mutex::new(Vec::new());
static MOUNT_COUNT: AtomicU64 = AtomicU64::new(0);

/// A boot's VFS, registered with SQLite under a name that no other mount of this process ever has.
pub(crate) struct Mount(Arc<Mounted>);

/// What the files and calls of a mounted VFS find.
pub(super) struct Mounted {
    /// Weak, because the machine owns its mount.
    pub machine: Weak<Shared>,
    pub boot: u32,
    slot: SlotPointer,
}

impl Mount {
    /// Registers a VFS for boot `boot` of `machine`.
    pub fn new(machine: Weak<Shared>, boot: u32) -> Mount {
        let number = MOUNT_COUNT.fetch_add(1, Ordering::Relaxed);
        let name = CString::new(format!("stormglass-{number}")).expect("digits hold no zero byte");
        let pooled = FREE_SLOTS.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let slot = pooled.unwrap_or_else(|| {
            SlotPointer(Box::into_raw(Box::new(Slot { vfs: table(), name: CString::default() })))
        });
        let mounted = Arc::new(Mounted { machine, boot, slot });
        let slot = mounted.slot.0;
        // SAFETY: the slot is ours alone until it is registered, and lives for ever; the application
        // data is reset in `Drop for Mounted`, before what it points to is freed.
        unsafe {
            (*slot).name = name;
            (*slot).vfs.zName = (*slot).name.as_ptr();
            (*slot).vfs.pAppData = Arc::as_ptr(&mounted).cast_mut().cast();
            ffi::sqlite3_vfs_register(&raw mut (*slot).vfs, 0);
        }
        Mount(mounted)
    }

    /// The name to open databases under: `file:PATH?vfs=NAME`.
    pub fn name(&self) -> Arc<str> {
        // SAFETY: the slot lives for ever and its name is not written while it is mounted.
        unsafe { (&*self.0.slot.0).name.to_string_lossy().into() }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let slot = self.slot.0;
        // SAFETY: no file is open (each holds an `Arc` of this), so SQLite calls no method that would
        // look for the boot; a late `xCurrentTime` or `xOpen` finds null and fails.
        unsafe {
            ffi::sqlite3_vfs_unregister(&raw mut (*slot).vfs);
            (*slot).vfs.pAppData = ptr::null_mut();
        }
        FREE_SLOTS.lock().unwrap_or_else(PoisonError::into_inner).push(SlotPointer(slot));
    }
}
