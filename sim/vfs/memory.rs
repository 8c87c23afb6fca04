//! SQLite's memory, from the program's own allocator and not counted.
//!
//! **Invariant:** a block is as large as SQLite asked for, rounded up to eight bytes, whatever the
//! allocator makes of it: what SQLite does with the room in a block does not depend on the host.
//!
//! A simulated program opens thousands of databases a second, and most of what SQLite allocates is the
//! schema it parses then. Its own count of bytes in use takes a lock for each block, and the C library's
//! allocator gives the memory back to the system whenever a connection closes.

use libsql_ffi as ffi;
use std::alloc::{Layout, alloc, dealloc, realloc};
use std::ffi::{c_int, c_void};
use std::ptr;

/// Bytes before a block, which hold its size and keep it aligned as C's `malloc` would.
const HEADER: usize = 16;
/// SQLite counts in these: "memory obtained from xMalloc must be at least 8-byte aligned".
const UNIT: usize = 8;

/// Has SQLite take its memory here. Where it was initialised before, it keeps what it has.
pub(super) fn configure() {
    let methods = ffi::sqlite3_mem_methods {
        xMalloc: Some(x_malloc),
        xFree: Some(x_free),
        xRealloc: Some(x_realloc),
        xSize: Some(x_size),
        xRoundup: Some(x_roundup),
        xInit: Some(x_init),
        xShutdown: Some(x_shutdown),
        pAppData: ptr::null_mut(),
    };
    let is_counted: c_int = 0;
    // SAFETY: both options take effect before initialisation only and are refused after it (SQLite's C
    // interface reference, `sqlite3_config`); MEMSTATUS takes an int, MALLOC a table that SQLite copies.
    unsafe {
        ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, is_counted);
        ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const methods);
    }
}

fn rounded(size: c_int) -> usize {
    usize::try_from(size).unwrap_or(0).next_multiple_of(UNIT)
}

/// The layout of a block of `size` bytes and its header.
fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size + HEADER, HEADER).ok()
}

/// Notes the size of a block whose header begins at `start`, and returns the block.
///
/// SAFETY: `start` is null or what an allocation of [`layout`] of `size` gave.
unsafe fn headed(start: *mut u8, size: usize) -> *mut c_void {
    if start.is_null() {
        return ptr::null_mut();
    }
    unsafe {
        start.cast::<usize>().write(size);
        start.add(HEADER).cast()
    }
}

/// The start of a block's header, and the block's size.
///
/// SAFETY: `block` is one that [`headed`] returned and that was not freed.
unsafe fn header(block: *mut c_void) -> (*mut u8, usize) {
    unsafe {
        let start = block.cast::<u8>().sub(HEADER);
        (start, start.cast::<usize>().read())
    }
}

unsafe extern "C" fn x_malloc(size: c_int) -> *mut c_void {
    let size = rounded(size);
    // SAFETY: a layout with a header is not empty.
    layout(size).map_or(ptr::null_mut(), |layout| unsafe { headed(alloc(layout), size) })
}

unsafe extern "C" fn x_free(block: *mut c_void) {
    if block.is_null() {
        return;
    }
    // SAFETY: SQLite frees what it was given here, once.
    unsafe {
        let (start, size) = header(block);
        dealloc(start, layout(size).expect("the block was allocated with this layout"));
    }
}

unsafe extern "C" fn x_realloc(block: *mut c_void, size: c_int) -> *mut c_void {
    let size = rounded(size);
    // SAFETY: SQLite passes a block that it was given here ("xRealloc is never called with a null
    // pointer", comment on `sqlite3_mem_methods`), and on failure still owns it.
    unsafe {
        let (start, old) = header(block);
        match (layout(old), layout(size)) {
            (Some(old), Some(new)) => headed(realloc(start, old, new.size()), size),
            _ => ptr::null_mut(),
        }
    }
}

unsafe extern "C" fn x_size(block: *mut c_void) -> c_int {
    if block.is_null() {
        return 0;
    }
    // SAFETY: SQLite asks for blocks that it was given here.
    unsafe { header(block).1 as c_int }
}

unsafe extern "C" fn x_roundup(size: c_int) -> c_int {
    rounded(size) as c_int
}

unsafe extern "C" fn x_init(_data: *mut c_void) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_shutdown(_data: *mut c_void) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_keeps_its_bytes_and_says_its_rounded_size_as_it_grows_and_shrinks() {
        // SAFETY: each block is used within its size, and freed once.
        unsafe {
            let mut block = x_malloc(13);
            assert_eq!((x_size(block), block as usize % UNIT), (16, 0));
            ptr::copy_nonoverlapping(b"thirteen byte".as_ptr(), block.cast(), 13);
            for (asked, size) in [(100_000, 100_000), (9, 16)] {
                block = x_realloc(block, asked);
                assert_eq!(x_size(block), size);
                assert_eq!(std::slice::from_raw_parts(block.cast::<u8>(), 9), b"thirteen ");
            }
            x_free(block);
            x_free(ptr::null_mut());
            assert_eq!((x_roundup(1), x_roundup(8)), (8, 8));
        }
    }
}
