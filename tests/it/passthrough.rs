//! A VFS that passes every call on to another one and writes it down.
//!
//! **Invariant:** apart from time, which it answers itself, and a planted [`Lie`], nothing that
//! SQLite is told differs from what the base VFS says.
//!
//! Written down: every method with its file, arguments, bytes (as a hash) and result. Not written
//! down: `xFileControl` (hints that one VFS may know and another need not), `xCurrentTime`,
//! `xSleep`, `xRandomness` and the methods for loading extensions.

#![expect(unsafe_code, reason = "SQLite's VFS interface is C")]

mod methods;

use libsql_ffi as ffi;
use methods::{METHODS, base_of};
use std::ffi::{CStr, CString, c_char, c_int};
use std::path::Path;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What every connection sees as the time, in milliseconds of the Julian calendar: 2020-01-01.
const NOW_JULIAN_MS: i64 = 212_444_596_800_000;
const IS_THERE: &str = "the base VFS implements every method of version 2";

/// A lie planted to see whether the comparison notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// An `xSync` is neither passed on nor written down.
    SkipSync,
    /// An `xWrite` is written down and answered, but not passed on.
    LoseWrite,
    /// An `xLock` is answered with SQLITE_BUSY and not passed on.
    RefuseLock,
}

/// One lie, and which call of its method it strikes, counted from 1.
pub type Tampering = Option<(Lie, u32)>;

#[derive(Default)]
struct Log {
    calls: Vec<String>,
    file_count: u32,
    open_count: u32,
    lie_chances: u32,
}

struct Slot {
    vfs: ffi::sqlite3_vfs,
    name: CString,
    base: *mut ffi::sqlite3_vfs,
    tampering: Tampering,
    log: Mutex<Log>,
}

impl Slot {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, call: String) {
        self.log().calls.push(call);
    }

    /// Whether this call, one of those that `lie` is about, is the one to lie on.
    fn strikes(&self, lie: Lie) -> bool {
        let Some((_, nth)) = self.tampering.filter(|(planted, _)| *planted == lie) else {
            return false;
        };
        let mut log = self.log();
        log.lie_chances += 1;
        log.lie_chances == nth
    }
}

/// A registered logging VFS. All connections through it must be closed before it is dropped.
pub struct Passthrough(*mut Slot);

impl Passthrough {
    /// Registers a VFS called `name` over the one called `base`.
    ///
    /// # Panics
    /// When there is no VFS called `base`.
    pub fn new(name: &str, base: &str, tampering: Tampering) -> Passthrough {
        let zero_free = "names of VFS objects hold no zero byte";
        let (name, base) = (CString::new(name).expect(zero_free), CString::new(base));
        // SAFETY: `sqlite3_vfs_find` takes a string that ends with a zero byte; the VFS it returns
        // lives until it is unregistered. The slot lives until `Drop` has unregistered it.
        unsafe {
            let base = ffi::sqlite3_vfs_find(base.expect(zero_free).as_ptr());
            assert!(!base.is_null(), "the base VFS is registered");
            let log = Mutex::default();
            let slot = Slot { vfs: table(&*base), name, base, tampering, log };
            let slot = Box::into_raw(Box::new(slot));
            (*slot).vfs.zName = (*slot).name.as_ptr();
            (*slot).vfs.pAppData = slot.cast();
            assert_eq!(ffi::sqlite3_vfs_register(&raw mut (*slot).vfs, 0), ffi::SQLITE_OK);
            Passthrough(slot)
        }
    }

    /// Puts a line of the test's own between the calls.
    pub fn mark(&self, line: &str) {
        self.slot().record(format!("-- {line}"));
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<String> {
        self.slot().log().calls.clone()
    }

    fn slot(&self) -> &Slot {
        // SAFETY: the slot lives as long as `self`, and only its mutex is ever written to.
        unsafe { &*self.0 }
    }
}

impl Drop for Passthrough {
    fn drop(&mut self) {
        if self.slot().log().open_count > 0 {
            // A failed test unwinds in any order. What SQLite still points to is then left to it.
            assert!(std::thread::panicking(), "a connection outlives the VFS it uses");
            return;
        }
        // SAFETY: no file is open, so no connection is left that could call the VFS.
        unsafe {
            ffi::sqlite3_vfs_unregister(&raw mut (*self.0).vfs);
            drop(Box::from_raw(self.0));
        }
    }
}

/// Has SQLite's unix VFS put its temporary files into one directory, until this is dropped.
pub struct TemporaryFiles(CString);

impl TemporaryFiles {
    /// Into `directory`. The caller is the only user of SQLite in this process.
    pub fn into(directory: &Path) -> TemporaryFiles {
        let kept = CString::new(directory.to_str().expect("the directory's name is ASCII"));
        let kept = TemporaryFiles(kept.expect("a path holds no zero byte"));
        // SAFETY: SQLite only reads the string, which lives until `Drop` has taken it away ("Name
        // Of The Folder Holding Temporary Files").
        unsafe { ffi::sqlite3_temp_directory = kept.0.as_ptr().cast_mut() };
        kept
    }
}

impl Drop for TemporaryFiles {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { ffi::sqlite3_temp_directory = ptr::null_mut() };
    }
}

/// What SQLite allocates for an open file: this, and behind it the file of the base VFS.
#[repr(C)]
struct ShimFile {
    base: ffi::sqlite3_file,
    slot: *const Slot,
    /// `#number name`: files with the same name are told apart.
    label: *mut String,
}

fn table(base: &ffi::sqlite3_vfs) -> ffi::sqlite3_vfs {
    ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: size_of::<ShimFile>() as c_int + base.szOsFile,
        mxPathname: base.mxPathname,
        pNext: ptr::null_mut(),
        zName: ptr::null(),
        pAppData: ptr::null_mut(),
        xOpen: Some(x_open),
        xDelete: Some(x_delete),
        xAccess: Some(x_access),
        xFullPathname: Some(x_full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(x_randomness),
        xSleep: Some(x_sleep),
        xCurrentTime: Some(x_current_time),
        xGetLastError: None,
        xCurrentTimeInt64: Some(x_current_time_int64),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }
}

/// The slot of the VFS that SQLite passes.
unsafe fn slot_of<'a>(vfs: *mut ffi::sqlite3_vfs) -> &'a Slot {
    // SAFETY: SQLite passes the VFS that `Passthrough::new` registered.
    unsafe { &*(*vfs).pAppData.cast::<Slot>() }
}

/// Calls a method of the base VFS.
macro_rules! base_vfs {
    ($slot:expr, $method:ident $(, $argument:expr)*) => {
        (*$slot.base).$method.expect(IS_THERE)($slot.base $(, $argument)*)
    };
}

/// The last part of a path, or a word for a file without a name.
unsafe fn file_name(path: *const c_char) -> String {
    if path.is_null() {
        return "(temporary)".to_string();
    }
    // SAFETY: a path is null or a string that ends with a zero byte.
    let path = unsafe { CStr::from_ptr(path) }.to_string_lossy();
    path.rsplit('/').next().unwrap_or_default().to_string()
}

fn word(result: c_int) -> String {
    match result {
        ffi::SQLITE_OK => "ok".to_string(),
        ffi::SQLITE_BUSY => "busy".to_string(),
        ffi::SQLITE_IOERR_SHORT_READ => "short read".to_string(),
        ffi::SQLITE_IOERR_DELETE_NOENT => "no entry".to_string(),
        other => format!("error {other}"),
    }
}

unsafe extern "C" fn x_open(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: see `slot_of`; `file` is `szOsFile` bytes of ours to fill, the base VFS's part
    // included.
    unsafe {
        let slot = slot_of(vfs);
        (*file).pMethods = ptr::null();
        let base = base_of(file);
        (*base).pMethods = ptr::null();
        // The unix VFS draws the name of a temporary file from SQLite's random numbers, which would
        // move everything drawn later. They are held still meanwhile.
        if name.is_null() {
            ffi::sqlite3_test_control(ffi::SQLITE_TESTCTRL_PRNG_SAVE);
        }
        let mut got_flags = flags;
        let result = base_vfs!(slot, xOpen, name, base, flags, &mut got_flags);
        if name.is_null() {
            ffi::sqlite3_test_control(ffi::SQLITE_TESTCTRL_PRNG_RESTORE);
        }
        let mut log = slot.log();
        log.file_count += 1;
        let label = format!("#{} {}", log.file_count, file_name(name));
        let word = word(result);
        log.calls.push(format!("{label} xOpen flags {flags:#x} -> {word}, {got_flags:#x}"));
        if result == ffi::SQLITE_OK {
            log.open_count += 1;
            (*file.cast::<ShimFile>()).slot = slot;
            (*file.cast::<ShimFile>()).label = Box::into_raw(Box::new(label));
            (*file).pMethods = &METHODS;
        }
        if !out_flags.is_null() {
            *out_flags = got_flags;
        }
        result
    }
}

unsafe extern "C" fn x_delete(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_directory: c_int,
) -> c_int {
    // SAFETY: see `slot_of`; the arguments are what the base VFS's method may have.
    unsafe {
        let slot = slot_of(vfs);
        let result = base_vfs!(slot, xDelete, name, sync_directory);
        let (name, word) = (file_name(name), word(result));
        slot.record(format!("{name} xDelete sync directory {sync_directory} -> {word}"));
        result
    }
}

unsafe extern "C" fn x_access(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: see `slot_of`; the arguments are what the base VFS's method may have.
    unsafe {
        let slot = slot_of(vfs);
        let result = base_vfs!(slot, xAccess, name, flags, out);
        let (name, word, answer) = (file_name(name), word(result), *out);
        slot.record(format!("{name} xAccess flags {flags} -> {word}, {answer}"));
        result
    }
}

unsafe extern "C" fn x_full_pathname(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    len: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: see `slot_of`; the arguments are what the base VFS's method may have.
    unsafe {
        let slot = slot_of(vfs);
        let result = base_vfs!(slot, xFullPathname, name, len, out);
        let full = CStr::from_ptr(out).to_string_lossy();
        slot.record(format!("xFullPathname -> {}, {full}", word(result)));
        result
    }
}

unsafe extern "C" fn x_randomness(
    vfs: *mut ffi::sqlite3_vfs,
    len: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: see `slot_of`; the arguments are what the base VFS's method may have.
    unsafe { base_vfs!(slot_of(vfs), xRandomness, len, out) }
}

unsafe extern "C" fn x_sleep(vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    // SAFETY: see `slot_of`; the arguments are what the base VFS's method may have.
    unsafe { base_vfs!(slot_of(vfs), xSleep, microseconds) }
}

unsafe extern "C" fn x_current_time_int64(_vfs: *mut ffi::sqlite3_vfs, out: *mut i64) -> c_int {
    // SAFETY: `out` is valid for a write.
    unsafe { *out = NOW_JULIAN_MS };
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_current_time(_vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: `out` is valid for a write.
    unsafe { *out = NOW_JULIAN_MS as f64 / 86_400_000.0 };
    ffi::SQLITE_OK
}
