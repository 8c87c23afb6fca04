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

mod shm;
mod sqlite;

pub(crate) use shm::SharedMemory;
pub use sqlite::KeptRandomness;
pub(crate) use sqlite::{initialise, seed_randomness};

use crate::handle::{self, Handle, IoError, OpenMode};
use crate::locks::{LockLevel, SHM_LOCK_COUNT};
use crate::machine::Shared;
use crate::trace::FileKind;
use libsql_ffi as ffi;
use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Longest path SQLite may hand over, in bytes: that of its unix VFS.
const PATH_MAX: c_int = 512;
/// Milliseconds from the Julian epoch to the Unix epoch ("Date And Time Functions").
const UNIX_EPOCH_JULIAN_MS: i64 = 210_866_760_000_000;
/// Smallest sector size that SQLite accepts from a VFS, in bytes.
const SQLITE_SECTOR_MIN: u32 = 512;

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

struct Mounted {
    /// Weak, because the machine owns its mount.
    machine: Weak<Shared>,
    boot: u32,
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

/// What SQLite allocates for an open file: `szOsFile` bytes of this shape.
#[repr(C)]
struct SimFile {
    base: ffi::sqlite3_file,
    open: *mut OpenFile,
}

struct OpenFile {
    handle: Handle,
    powersafe_overwrite: bool,
    persist_wal: bool,
    /// Keeps the VFS object from being used again while this file is open.
    _mount: Arc<Mounted>,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
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

// SAFETY (of the two functions below): SQLite passes the VFS that `table` made, whose application
// data is null or a live `Mounted`; and files that `x_open` filled and `x_close` has not emptied.

unsafe fn mounted<'a>(vfs: *mut ffi::sqlite3_vfs) -> Option<(&'a Mounted, Arc<Shared>)> {
    let mounted = unsafe { (*vfs).pAppData.cast::<Mounted>().as_ref() }?;
    Some((mounted, mounted.machine.upgrade()?))
}

unsafe fn opened<'a>(file: *mut ffi::sqlite3_file) -> &'a mut OpenFile {
    unsafe { &mut *(*file.cast::<SimFile>()).open }
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
    std::sync::atomic::fence(Ordering::SeqCst);
}

unsafe extern "C" fn x_shm_unmap(file: *mut ffi::sqlite3_file, _delete: c_int) -> c_int {
    // SAFETY: see `opened`.
    unsafe { opened(file) }.handle.shm_unmap();
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
