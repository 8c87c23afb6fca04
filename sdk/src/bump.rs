//! The allocator of a guest: it hands out memory from the bottom up and takes back only the newest block.
//!
//! **Invariant:** blocks that are in use never overlap. A guest lives for one call, so what is not taken back costs
//! nothing but room; a growing `String` or `Vec` is mostly the newest block, and grows where it stands.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::arch::wasm32::{memory_grow, memory_size};
use std::cell::Cell;

const PAGE_BYTES: usize = 65536;

/// Memory between `next` and `end` is free; what is above `end` is not ours yet.
struct Bump {
    next: Cell<usize>,
    end: Cell<usize>,
}

// SAFETY: the target has no threads.
unsafe impl Sync for Bump {}

#[global_allocator]
static BUMP: Bump = Bump { next: Cell::new(0), end: Cell::new(0) };

impl Bump {
    /// Makes `end` at least `to`, or says that memory cannot grow so far.
    fn reach(&self, to: usize) -> bool {
        if to <= self.end.get() {
            return true;
        }
        let pages = (to - self.end.get() + PAGE_BYTES - 1) / PAGE_BYTES;
        // Whoever else grew memory in the meantime owns what it got: then the new pages begin higher up.
        let grown_at = match memory_grow(0, pages) {
            usize::MAX => return false,
            page => page * PAGE_BYTES,
        };
        if grown_at != self.end.get() {
            return false;
        }
        self.end.set(grown_at + pages * PAGE_BYTES);
        true
    }
}

// SAFETY: a block is cut from free memory at an address of the asked alignment, `next` moves behind it, and only
// the block that ends at `next` is ever given back or resized, so blocks in use never overlap (`GlobalAlloc`, Safety).
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.end.get() == 0 {
            // Stack and statics fill the pages that the module started with.
            let started_with = memory_size(0) * PAGE_BYTES;
            self.next.set(started_with);
            self.end.set(started_with);
        }
        let at = (self.next.get() + layout.align() - 1) & !(layout.align() - 1);
        match at.checked_add(layout.size()) {
            Some(end) if self.reach(end) => {
                self.next.set(end);
                at as *mut u8
            }
            _ => std::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if block as usize + layout.size() == self.next.get() {
            self.next.set(block as usize);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if block as usize + layout.size() == self.next.get() {
            return match (block as usize).checked_add(size) {
                Some(end) if self.reach(end) => {
                    self.next.set(end);
                    block
                }
                _ => std::ptr::null_mut(),
            };
        }
        // SAFETY: `size` is not 0 and does not overflow with the alignment (`GlobalAlloc::realloc`, Safety).
        let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
        if !moved.is_null() {
            // SAFETY: both blocks are as large as what is copied, and a block in use never overlaps another.
            std::ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
        }
        moved
    }
}
