//! The memory that the connections to one write-ahead log share: what a `-shm` file is on unix.
//!
//! **Invariant:** a region never moves and lives as long as anybody may hold a pointer to it: a dead
//! boot's connections keep theirs, and no living one sees it.

use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, PoisonError};

struct Region {
    bytes: NonNull<[u8]>,
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `Box::leak` and is freed once.
        unsafe { drop(Box::from_raw(self.bytes.as_ptr())) };
    }
}

/// Regions of memory, each as large as SQLite asks (32 KiB), zeroed when they are made.
pub(crate) struct SharedMemory {
    regions: Mutex<Vec<Region>>,
}

// SAFETY: the bytes are only ever reached through pointers handed to SQLite, which orders its accesses
// by the shared-memory locks and barriers of "WAL-mode File Format", section 2.3.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// Memory without a region.
    pub fn new() -> Arc<SharedMemory> {
        Arc::new(SharedMemory { regions: Mutex::new(Vec::new()) })
    }

    /// The start of region `index`, or null if there is none and `extend` is false.
    pub fn region(&self, index: usize, size: usize, extend: bool) -> *mut u8 {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        while extend && regions.len() <= index {
            let bytes = NonNull::from(Box::leak(vec![0; size].into_boxed_slice()));
            regions.push(Region { bytes });
        }
        regions.get(index).map_or(ptr::null_mut(), |region| region.bytes.as_ptr().cast())
    }
}
