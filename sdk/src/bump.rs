//! The allocator of a guest: it hands out memory from the bottom up and takes back only the newest block.
//!
//! **Invariant:** blocks that are in use never overlap. A guest lives for one call, so what is not taken back costs
//! nothing but room; a growing `String` or `Vec` is mostly the newest block, and grows where it stands.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::arch::wasm32::memory_grow;
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
    /// Gets at least so many bytes of fresh memory. Where they do not adjoin the old ones, because the guest grew memory
    /// itself, what was free before is given up.
    fn grow(&self, bytes: usize) -> bool {
        let pages = (bytes + PAGE_BYTES - 1) / PAGE_BYTES;
        let start = match memory_grow(0, pages) {
            usize::MAX => return false,
            page => page * PAGE_BYTES,
        };
        if start != self.end.get() {
            self.next.set(start);
        }
        self.end.set(start + pages * PAGE_BYTES);
        true
    }

    /// Cuts a block from free memory.
    fn cut(&self, layout: Layout) -> Option<usize> {
        loop {
            let at = self.next.get().checked_add(layout.align() - 1)? & !(layout.align() - 1);
            let end = at.checked_add(layout.size())?;
            if end <= self.end.get() {
                self.next.set(end);
                return Some(at);
            }
            if !self.grow(end - self.end.get()) {
                return None;
            }
        }
    }

    /// Makes the newest block, which ends at `next`, end at `end`, if memory goes on there.
    fn stretch(&self, end: usize) -> bool {
        let next = self.next.get();
        let fits =
            end <= self.end.get() || (self.grow(end - self.end.get()) && self.next.get() == next);
        if fits {
            self.next.set(end);
        }
        fits
    }
}

// SAFETY: a block is cut from free memory at an address of the asked alignment, `next` moves behind it, and only
// the block that ends at `next` is ever given back or resized, so blocks in use never overlap (`GlobalAlloc`, Safety).
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.cut(layout).map_or(std::ptr::null_mut(), |at| at as *mut u8)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if block as usize + layout.size() == self.next.get() {
            self.next.set(block as usize);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let newest = block as usize + layout.size() == self.next.get();
        let end = (block as usize).checked_add(size);
        if newest && end.map_or(false, |end| self.stretch(end)) {
            return block;
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
