//! The SQLite VFS over the simulated disk: the translation between SQLite's C interface and
//! [`Handle`]. With its submodules the only unsafe code of this crate.
//!
//! **Invariant:** no decision is taken here. What SQLite is told of the device is what the disk's
//! options say and what the disk honours, unless the program says otherwise by `psow=` in its URI or by
//! a file control, as it may on unix. A panic cannot cross into C: `extern "C"` aborts on it.
//!
//! Contracts relied on: "The OS Backend (VFS) To SQLite", and the comments of `sqlite3_vfs`,
//! `sqlite3_io_methods` and `sqlite3_file` in SQLite's C interface reference. In short: SQLite calls a
//! file's methods only between a successful `xOpen` and the return of `xClose`, from one thread at a
//! time, with valid buffers of the stated length.
//!
//! One rule differs from SQLite's unix VFS, for the stricter: a directory that cannot be synced is an
//! error, where that one goes on as if it had been (`docs/decisions/directory-sync.md`).

#![expect(unsafe_code, reason = "SQLite's VFS interface is C")]

mod file;
mod memory;
mod mount;
mod shm;
mod sqlite;

pub(crate) use mount::Mount;
pub(crate) use shm::SharedMemory;
pub use sqlite::KeptRandomness;
pub(crate) use sqlite::{initialise, seed_randomness};

use crate::handle::{self, Handle, IoError, OpenMode};
use crate::machine::Shared;
use crate::trace::FileKind;
use file::{METHODS, OpenFile, SimFile};
use libsql_ffi as ffi;
use mount::Mounted;
use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::Arc;

/// Longest path SQLite may hand over, in bytes: that of its unix VFS.
const PATH_MAX: c_int = 512;
/// Milliseconds from the Julian epoch to the Unix epoch ("Date And Time Functions").
const UNIX_EPOCH_JULIAN_MS: i64 = 210_866_760_000_000;

/// The table that SQLite calls, without a name yet.
fn table() -> ffi::sqlite3_vfs {
    ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: size_of::<SimFile>() as c_int,
        mxPathname: PATH_MAX,
        pNext: ptr::null_mut(),
        zName: ptr::null(),
        pAppData: ptr::null_mut(),
        xOpen: Some(x_open),
        xDelete: Some(x_delete),
        xAccess: Some(x_access),
        xFullPathname: Some(x_full_pathname),
        xDlOpen: Some(x_dl_open),
        xDlError: Some(x_dl_error),
        xDlSym: Some(x_dl_sym),
        xDlClose: Some(x_dl_close),
        xRandomness: Some(x_randomness),
        xSleep: Some(x_sleep),
        xCurrentTime: Some(x_current_time),
        xGetLastError: Some(x_get_last_error),
        xCurrentTimeInt64: Some(x_current_time_int64),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }
}

/// The result code for `result`: `failed` for an error that has none of its own.
fn code(result: Result<(), IoError>, failed: c_int) -> c_int {
    match result {
        Ok(()) => ffi::SQLITE_OK,
        Err(IoError::Busy) => ffi::SQLITE_BUSY,
        Err(IoError::NoSpace) => ffi::SQLITE_FULL,
        Err(_) => failed,
    }
}

/// The boot behind a VFS, if its machine still is.
///
/// SAFETY: `vfs` is one that [`table`] made, whose application data is null or a live [`Mounted`].
unsafe fn mounted<'a>(vfs: *mut ffi::sqlite3_vfs) -> Option<(&'a Mounted, Arc<Shared>)> {
    let mounted = unsafe { (*vfs).pAppData.cast::<Mounted>().as_ref() }?;
    Some((mounted, mounted.machine.upgrade()?))
}

/// The text behind a path that SQLite passes; it hands on only what `x_full_pathname` made.
unsafe fn path<'a>(name: *const c_char) -> Option<Cow<'a, str>> {
    // SAFETY: a path is null or a string that ends with a zero byte.
    unsafe { (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy()) }
}

fn kind_by_flags(flags: c_int) -> FileKind {
    let has = |flag: c_int| flags & flag != 0;
    if has(ffi::SQLITE_OPEN_WAL) {
        FileKind::Wal
    } else if has(ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL) {
        FileKind::Journal
    } else if has(ffi::SQLITE_OPEN_MAIN_DB) {
        FileKind::Database
    } else {
        FileKind::Temporary
    }
}

unsafe extern "C" fn x_open(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: see `mounted` and `path`; `file` is `szOsFile` bytes of ours to fill.
    unsafe {
        (*file).pMethods = ptr::null();
        let Some((mount, machine)) = mounted(vfs) else { return ffi::SQLITE_CANTOPEN };
        let kind = kind_by_flags(flags);
        let uri = if flags & ffi::SQLITE_OPEN_URI != 0 { name } else { ptr::null() };
        let name = path(name).filter(|_| kind != FileKind::Temporary);
        let create = flags & ffi::SQLITE_OPEN_CREATE != 0;
        let mode = if create { OpenMode::Create } else { OpenMode::Existing };
        let Ok(handle) = Handle::open(machine, mount.boot, name.as_deref(), kind, mode) else {
            return ffi::SQLITE_CANTOPEN;
        };
        Arc::increment_strong_count(ptr::from_ref(mount));
        // "psow" overrides what the VFS says of the device (SQLite documentation, "Powersafe
        // Overwrite"); without a URI the answer is the default given.
        let of_disk = c_int::from(handle.disk_options().powersafe_overwrite);
        let open = OpenFile {
            powersafe_overwrite: ffi::sqlite3_uri_boolean(uri, c"psow".as_ptr(), of_disk) != 0,
            persist_wal: false,
            _mount: Arc::from_raw(ptr::from_ref(mount)),
            handle,
        };
        (*file.cast::<SimFile>()).open = Box::into_raw(Box::new(open));
        (*file).pMethods = &METHODS;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_delete(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_directory: c_int,
) -> c_int {
    // SAFETY: see `mounted` and `path`.
    let (mount, name) = unsafe { (mounted(vfs), path(name)) };
    let (Some((mount, machine)), Some(name)) = (mount, name) else {
        return ffi::SQLITE_IOERR_DELETE;
    };
    match handle::delete(&machine, mount.boot, &name, sync_directory & 1 != 0) {
        Err(IoError::NotFound) => ffi::SQLITE_IOERR_DELETE_NOENT,
        other => code(other, ffi::SQLITE_IOERR_DELETE),
    }
}

unsafe extern "C" fn x_access(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    _flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: see `mounted` and `path`; `out` is valid for a write.
    unsafe {
        *out = 0;
        let (Some((mount, machine)), Some(name)) = (mounted(vfs), path(name)) else {
            return ffi::SQLITE_IOERR_ACCESS;
        };
        match handle::exists(&machine, mount.boot, &name) {
            Ok(exists) => {
                *out = c_int::from(exists);
                ffi::SQLITE_OK
            }
            Err(error) => code(Err(error), ffi::SQLITE_IOERR_ACCESS),
        }
    }
}

unsafe extern "C" fn x_full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    out_len: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: see `path`; `out` is valid for writes of `out_len` bytes.
    unsafe {
        let Some(name) = path(name) else { return ffi::SQLITE_CANTOPEN };
        let full = absolute(&name);
        if full.len() >= out_len as usize {
            return ffi::SQLITE_CANTOPEN;
        }
        ptr::copy_nonoverlapping(full.as_ptr().cast(), out, full.len());
        *out.add(full.len()) = 0;
    }
    ffi::SQLITE_OK
}

/// `path` from the root, without `.` and `..`: a process on the simulated disk runs in `/`.
fn absolute(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

unsafe extern "C" fn x_dl_open(_vfs: *mut ffi::sqlite3_vfs, _name: *const c_char) -> *mut c_void {
    ptr::null_mut()
}

unsafe extern "C" fn x_dl_error(_vfs: *mut ffi::sqlite3_vfs, len: c_int, out: *mut c_char) {
    let message = c"the simulated disk holds no shared libraries".to_bytes_with_nul();
    if len > 0 {
        let count = message.len().min(len as usize) - 1;
        // SAFETY: `out` is valid for writes of `len` bytes.
        unsafe {
            ptr::copy_nonoverlapping(message.as_ptr().cast(), out, count);
            *out.add(count) = 0;
        }
    }
}

unsafe extern "C" fn x_dl_sym(
    _vfs: *mut ffi::sqlite3_vfs,
    _library: *mut c_void,
    _symbol: *const c_char,
) -> Option<unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *mut c_void, *const c_char)> {
    None
}

unsafe extern "C" fn x_dl_close(_vfs: *mut ffi::sqlite3_vfs, _library: *mut c_void) {}

/// SQLite asks only its *default* VFS, which this never is: `seed_randomness` does the work.
unsafe extern "C" fn x_randomness(
    _vfs: *mut ffi::sqlite3_vfs,
    len: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: `out` is valid for writes of `len` bytes.
    unsafe { ptr::write_bytes(out, 0, len as usize) };
    len
}

unsafe extern "C" fn x_sleep(vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    // SAFETY: see `mounted`.
    if let Some((_, machine)) = unsafe { mounted(vfs) } {
        machine.clock.advance(i64::from(microseconds).div_euclid(1000).max(1));
    }
    microseconds
}

unsafe extern "C" fn x_current_time_int64(vfs: *mut ffi::sqlite3_vfs, out: *mut i64) -> c_int {
    // SAFETY: see `mounted`; `out` is valid for a write.
    unsafe {
        let Some((_, machine)) = mounted(vfs) else { return ffi::SQLITE_ERROR };
        *out = machine.clock.now_utc_ms() + UNIX_EPOCH_JULIAN_MS;
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_current_time(vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    let mut julian_ms = 0;
    // SAFETY: as above.
    unsafe {
        let result = x_current_time_int64(vfs, &mut julian_ms);
        *out = julian_ms as f64 / 86_400_000.0;
        result
    }
}

unsafe extern "C" fn x_get_last_error(
    _vfs: *mut ffi::sqlite3_vfs,
    _len: c_int,
    _out: *mut c_char,
) -> c_int {
    0
}
