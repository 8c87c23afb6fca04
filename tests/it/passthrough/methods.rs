//! The methods of an open file: each calls the base VFS's, and writes down what was asked and
//! answered.

use super::{IS_THERE, Lie, ShimFile, Slot, word};
use libsql_ffi as ffi;
use std::ffi::{c_int, c_void};
use std::ptr;

/// Version 2, as the simulated VFS has: without memory mapping, whatever the base VFS could do.
pub static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(x_close),
    xRead: Some(x_read),
    xWrite: Some(x_write),
    xTruncate: Some(x_truncate),
    xSync: Some(x_sync),
    xFileSize: Some(x_file_size),
    xLock: Some(x_lock),
    xUnlock: Some(x_unlock),
    xCheckReservedLock: Some(x_check_reserved_lock),
    xFileControl: Some(x_file_control),
    xSectorSize: Some(x_sector_size),
    xDeviceCharacteristics: Some(x_device_characteristics),
    xShmMap: Some(x_shm_map),
    xShmLock: Some(x_shm_lock),
    xShmBarrier: Some(x_shm_barrier),
    xShmUnmap: Some(x_shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The base VFS's file behind ours. `ShimFile` is a multiple of 8 bytes long, as it must be for
/// that.
pub unsafe fn base_of(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: `szOsFile` bytes are a `ShimFile` and the base VFS's own number of bytes.
    unsafe { file.cast::<ShimFile>().add(1).cast() }
}

/// Who writes calls down, and what the file is called there.
unsafe fn opened<'a>(file: *mut ffi::sqlite3_file) -> (&'a Slot, &'a str) {
    // SAFETY: SQLite passes a file that `x_open` filled and `x_close` has not emptied, one thread
    // at a time. Its slot outlives it (see `Drop for Passthrough`).
    unsafe {
        let file = file.cast::<ShimFile>();
        (&*(*file).slot, (*(*file).label).as_str())
    }
}

/// Calls a method of the base VFS's file.
macro_rules! base_file {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        let base = base_of($file);
        (*(*base).pMethods).$method.expect(IS_THERE)(base $(, $argument)*)
    }};
}

fn lock_level(number: c_int) -> &'static str {
    ["none", "shared", "reserved", "pending", "exclusive"][number as usize]
}

/// The bytes of a buffer, as a hash short enough to read.
unsafe fn digest(buf: *const c_void, len: c_int) -> String {
    // SAFETY: `buf` is valid for reads of `len` bytes.
    let bytes = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len as usize) };
    format!("{:016x}", stormglass_sim::Digest::of(bytes).0 as u64)
}

unsafe extern "C" fn x_close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: see `opened`; the arguments are what the base VFS's method may have.
    unsafe {
        let result = base_file!(file, xClose);
        let (slot, label) = opened(file);
        slot.record(format!("{label} xClose -> {}", word(result)));
        slot.log().open_count -= 1;
        drop(Box::from_raw((*file.cast::<ShimFile>()).label));
        (*file).pMethods = ptr::null();
        result
    }
}

unsafe extern "C" fn x_read(
    file: *mut ffi::sqlite3_file,
    buf: *mut c_void,
    len: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: see `opened`; the arguments are what the base VFS's method may have.
    unsafe {
        let result = base_file!(file, xRead, buf, len, offset);
        let (slot, label) = opened(file);
        let (word, digest) = (word(result), digest(buf, len));
        slot.record(format!("{label} xRead {offset}, {len} bytes -> {word}, bytes {digest}"));
        result
    }
}

unsafe extern "C" fn x_write(
    file: *mut ffi::sqlite3_file,
    buf: *const c_void,
    len: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: see `opened`; the arguments are what the base VFS's method may have.
    unsafe {
        let (slot, label) = opened(file);
        let result = match slot.strikes(Lie::LoseWrite) {
            true => ffi::SQLITE_OK,
            false => base_file!(file, xWrite, buf, len, offset),
        };
        let (word, digest) = (word(result), digest(buf, len));
        slot.record(format!("{label} xWrite {offset}, {len} bytes {digest} -> {word}"));
        result
    }
}

unsafe extern "C" fn x_truncate(file: *mut ffi::sqlite3_file, len: i64) -> c_int {
    // SAFETY: see `opened`; the arguments are what the base VFS's method may have.
    unsafe {
        let result = base_file!(file, xTruncate, len);
        let (slot, label) = opened(file);
        slot.record(format!("{label} xTruncate {len} -> {}", word(result)));
        result
    }
}

unsafe extern "C" fn x_sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: see `opened`; the arguments are what the base VFS's method may have.
    unsafe {
        let (slot, label) = opened(file);
        if slot.strikes(Lie::SkipSync) {
            return ffi::SQLITE_OK;
        }
        let result = base_file!(file, xSync, flags);
        slot.record(format!("{label} xSync flags {flags:#x} -> {}", word(result)));
        result
    }
}

unsafe extern "C" fn x_file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: see `opened`; the arguments are what the base VFS's method may have.
    unsafe {
        let result = base_file!(file, xFileSize, size);
        let (slot, label) = opened(file);
        slot.record(format!("{label} xFileSize -> {}, {}", word(result), *size));
        result
    }
}

unsafe extern "C" fn x_lock(file: *mut ffi::sqlite3_file, wanted: c_int) -> c_int {
    // SAFETY: see `opened`; the arguments are what the base VFS's method may have.
    unsafe {
        let (slot, label) = opened(file);
        let result = match slot.strikes(Lie::RefuseLock) {
            true => ffi::SQLITE_BUSY,
            false => base_file!(file, xLock, wanted),
        };
        slot.record(format!("{label} xLock {} -> {}", lock_level(wanted), word(result)));
        result
    }
}

unsafe extern "C" fn x_unlock(file: *mut ffi::sqlite3_file, wanted: c_int) -> c_int {
    // SAFETY: see `opened`; the arguments are what the base VFS's method may have.
    unsafe {
        let result = base_file!(file, xUnlock, wanted);
        let (slot, label) = opened(file);
        slot.record(format!("{label} xUnlock {} -> {}", lock_level(wanted), word(result)));
        result
    }
}

unsafe extern "C" fn x_check_reserved_lock(
    file: *mut ffi::sqlite3_file,
    reserved: *mut c_int,
) -> c_int {
    // SAFETY: see `opened`; the arguments are what the base VFS's method may have.
    unsafe {
        let result = base_file!(file, xCheckReservedLock, reserved);
        let (slot, label) = opened(file);
        slot.record(format!("{label} xCheckReservedLock -> {}, {}", word(result), *reserved));
        result
    }
}

unsafe extern "C" fn x_file_control(
    file: *mut ffi::sqlite3_file,
    control: c_int,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: see `opened`; the arguments are what the base VFS's method may have.
    unsafe { base_file!(file, xFileControl, control, arg) }
}

unsafe extern "C" fn x_sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: see `opened`; the arguments are what the base VFS's method may have.
    unsafe {
        let size = base_file!(file, xSectorSize);
        let (slot, label) = opened(file);
        slot.record(format!("{label} xSectorSize -> {size}"));
        size
    }
}

unsafe extern "C" fn x_device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: see `opened`; the arguments are what the base VFS's method may have.
    unsafe {
        let flags = base_file!(file, xDeviceCharacteristics);
        let (slot, label) = opened(file);
        slot.record(format!("{label} xDeviceCharacteristics -> {flags:#x}"));
        flags
    }
}

unsafe extern "C" fn x_shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: see `opened`; the arguments are what the base VFS's method may have.
    unsafe {
        let result = base_file!(file, xShmMap, region, size, extend, out);
        let (slot, label) = opened(file);
        let (word, found) = (word(result), if (*out).is_null() { "none" } else { "memory" });
        slot.record(format!(
            "{label} xShmMap region {region}, {size} bytes, extend {extend} -> {word}, {found}"
        ));
        result
    }
}

unsafe extern "C" fn x_shm_lock(
    file: *mut ffi::sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: see `opened`; the arguments are what the base VFS's method may have.
    unsafe {
        let result = base_file!(file, xShmLock, first, count, flags);
        let (slot, label) = opened(file);
        let word = word(result);
        slot.record(format!("{label} xShmLock {first}, {count} flags {flags:#x} -> {word}"));
        result
    }
}

unsafe extern "C" fn x_shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: see `opened`; the arguments are what the base VFS's method may have.
    unsafe {
        base_file!(file, xShmBarrier);
        let (slot, label) = opened(file);
        slot.record(format!("{label} xShmBarrier"));
    }
}

unsafe extern "C" fn x_shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: see `opened`; the arguments are what the base VFS's method may have.
    unsafe {
        let result = base_file!(file, xShmUnmap, delete);
        let (slot, label) = opened(file);
        slot.record(format!("{label} xShmUnmap delete {delete} -> {}", word(result)));
        result
    }
}
