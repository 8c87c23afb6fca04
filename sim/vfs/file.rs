//! The methods of an open file: SQLite's `sqlite3_io_methods` over a [`Handle`].

use super::code;
use super::mount::Mounted;
use crate::handle::Handle;
use crate::locks::{LockLevel, SHM_LOCK_COUNT};
use crate::trace::FileKind;
use libsql_ffi as ffi;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// Smallest sector size that SQLite accepts from a VFS, in bytes.
const SQLITE_SECTOR_MIN: u32 = 512;

/// What SQLite allocates for an open file: `szOsFile` bytes of this shape.
#[repr(C)]
pub(super) struct SimFile {
    base: ffi::sqlite3_file,
    pub open: *mut OpenFile,
}

/// An open file, with what SQLite has set on it.
pub(super) struct OpenFile {
    pub handle: Handle,
    pub powersafe_overwrite: bool,
    pub persist_wal: bool,
    /// Keeps the VFS object from being used again while this file is open.
    pub _mount: Arc<Mounted>,
}

pub(super) static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
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

/// The open file behind SQLite's pointer.
///
/// SAFETY: `file` is one that `x_open` filled and `x_close` has not emptied.
unsafe fn opened<'a>(file: *mut ffi::sqlite3_file) -> &'a mut OpenFile {
    unsafe { &mut *(*file.cast::<SimFile>()).open }
}

unsafe extern "C" fn x_close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite calls this once for an open file and no other method after it.
    unsafe {
        drop(Box::from_raw((*file.cast::<SimFile>()).open));
        (*file).pMethods = ptr::null();
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_read(
    file: *mut ffi::sqlite3_file,
    buf: *mut c_void,
    len: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: `buf` is valid for writes of `len` bytes.
    let (open, buf) =
        unsafe { (opened(file), std::slice::from_raw_parts_mut(buf.cast::<u8>(), len as usize)) };
    match open.handle.read(offset as u64, buf) {
        Ok(got) if got == buf.len() => ffi::SQLITE_OK,
        Ok(got) => {
            // "If xRead() returns SQLITE_IOERR_SHORT_READ it must also fill in the unread portions of
            // the buffer with zeros." (sqlite3_io_methods)
            buf[got..].fill(0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Err(error) => code(Err(error), ffi::SQLITE_IOERR_READ),
    }
}

unsafe extern "C" fn x_write(
    file: *mut ffi::sqlite3_file,
    buf: *const c_void,
    len: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: `buf` is valid for reads of `len` bytes.
    let (open, bytes) =
        unsafe { (opened(file), std::slice::from_raw_parts(buf.cast::<u8>(), len as usize)) };
    code(open.handle.write(offset as u64, bytes), ffi::SQLITE_IOERR_WRITE)
}

unsafe extern "C" fn x_truncate(file: *mut ffi::sqlite3_file, len: i64) -> c_int {
    // SAFETY: see `opened`.
    let open = unsafe { opened(file) };
    code(open.handle.truncate(len as u64), ffi::SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn x_sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: see `opened`.
    let open = unsafe { opened(file) };
    if let Err(error) = open.handle.sync() {
        return code(Err(error), ffi::SQLITE_IOERR_FSYNC);
    }
    // As on unix, the name of a database is left to the sync of its journal's or log's directory.
    match open.handle.kind() {
        FileKind::Journal | FileKind::Wal => {
            code(open.handle.sync_entry_once(), ffi::SQLITE_IOERR_DIR_FSYNC)
        }
        _ => ffi::SQLITE_OK,
    }
}

unsafe extern "C" fn x_file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: see `opened`; `size` is valid for a write.
    unsafe {
        match opened(file).handle.len() {
            Ok(len) => {
                *size = len as i64;
                ffi::SQLITE_OK
            }
            Err(error) => code(Err(error), ffi::SQLITE_IOERR_FSTAT),
        }
    }
}

fn level(number: c_int) -> LockLevel {
    match number {
        ffi::SQLITE_LOCK_NONE => LockLevel::None,
        ffi::SQLITE_LOCK_SHARED => LockLevel::Shared,
        ffi::SQLITE_LOCK_RESERVED => LockLevel::Reserved,
        ffi::SQLITE_LOCK_PENDING => LockLevel::Pending,
        _ => LockLevel::Exclusive,
    }
}

unsafe extern "C" fn x_lock(file: *mut ffi::sqlite3_file, wanted: c_int) -> c_int {
    // SAFETY: see `opened`.
    let open = unsafe { opened(file) };
    code(open.handle.lock(level(wanted)), ffi::SQLITE_IOERR_LOCK)
}

unsafe extern "C" fn x_unlock(file: *mut ffi::sqlite3_file, wanted: c_int) -> c_int {
    // SAFETY: see `opened`.
    unsafe { opened(file) }.handle.unlock(level(wanted));
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_check_reserved_lock(
    file: *mut ffi::sqlite3_file,
    reserved: *mut c_int,
) -> c_int {
    // SAFETY: see `opened`; `reserved` is valid for a write.
    unsafe {
        match opened(file).handle.is_reserved() {
            Ok(answer) => {
                *reserved = c_int::from(answer);
                ffi::SQLITE_OK
            }
            Err(error) => code(Err(error), ffi::SQLITE_IOERR_CHECKRESERVEDLOCK),
        }
    }
}

/// Sets `bit` to the number behind `arg` unless that is negative, and puts the bit there.
unsafe fn mode_bit(bit: &mut bool, arg: *mut c_void) -> c_int {
    // SAFETY: for the two controls that come here, `arg` is an `int` ("Standard File Control Opcodes").
    unsafe {
        let arg = arg.cast::<c_int>();
        if *arg >= 0 {
            *bit = *arg != 0;
        }
        *arg = c_int::from(*bit);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_file_control(
    file: *mut ffi::sqlite3_file,
    control: c_int,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: see `opened`; `arg` is what "Standard File Control Opcodes" says of each control.
    unsafe {
        let open = opened(file);
        match control {
            ffi::SQLITE_FCNTL_LOCKSTATE => *arg.cast() = open.handle.lock_level() as c_int,
            ffi::SQLITE_FCNTL_HAS_MOVED => *arg.cast() = c_int::from(open.handle.has_moved()),
            ffi::SQLITE_FCNTL_PERSIST_WAL => return mode_bit(&mut open.persist_wal, arg),
            ffi::SQLITE_FCNTL_POWERSAFE_OVERWRITE => {
                return mode_bit(&mut open.powersafe_overwrite, arg);
            }
            _ => return ffi::SQLITE_NOTFOUND,
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: see `opened`.
    let open = unsafe { opened(file) };
    open.handle.disk_options().sector_size_bytes.max(SQLITE_SECTOR_MIN) as c_int
}

unsafe extern "C" fn x_device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: see `opened`.
    match unsafe { opened(file) }.powersafe_overwrite {
        true => ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE,
        false => 0,
    }
}

unsafe extern "C" fn x_shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    region_size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: see `opened`; `out` is valid for a write.
    unsafe {
        *out = ptr::null_mut();
        match opened(file).handle.shared_memory() {
            Ok(memory) => {
                *out = memory.region(region as usize, region_size as usize, extend != 0).cast();
                ffi::SQLITE_OK
            }
            Err(error) => code(Err(error), ffi::SQLITE_IOERR_SHMMAP),
        }
    }
}

unsafe extern "C" fn x_shm_lock(
    file: *mut ffi::sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: see `opened`.
    let handle = unsafe { &mut opened(file).handle };
    debug_assert!((first + count) as usize <= SHM_LOCK_COUNT);
    let mask = (((1u32 << count) - 1) << first) as u8;
    if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        handle.shm_unlock(mask);
        return ffi::SQLITE_OK;
    }
    let exclusive = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
    code(handle.shm_lock(mask, exclusive), ffi::SQLITE_IOERR_SHMLOCK)
}

unsafe extern "C" fn x_shm_barrier(_file: *mut ffi::sqlite3_file) {
    fence(Ordering::SeqCst);
}

unsafe extern "C" fn x_shm_unmap(file: *mut ffi::sqlite3_file, _delete: c_int) -> c_int {
    // SAFETY: see `opened`.
    unsafe { opened(file) }.handle.shm_unmap();
    ffi::SQLITE_OK
}
