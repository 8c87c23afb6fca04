//! SQLite's state that a whole process shares: its initialisation, its random numbers.
//!
//! **Invariant:** from [`seed_randomness`] on, `random()`, the salts of write-ahead logs and the
//! nonces of journals depend on the given number alone (SQLite's generator is one for the process and
//! asks the operating system otherwise).

use super::memory;
use crate::block_on;
use libsql_ffi as ffi;
use std::ffi::c_int;
use std::ptr;
use std::sync::OnceLock;

/// Has libsql configure SQLite, which must come before any VFS is registered: registering one first
/// initialises SQLite, and libsql then panics.
///
/// # Errors
/// What libsql says when it cannot build a database in memory.
pub(crate) fn initialise() -> Result<(), String> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    DONE.get_or_init(|| {
        memory::configure();
        let built = block_on(libsql::Builder::new_local(":memory:").build());
        built.map(drop).map_err(|error| error.to_string())
    })
    .clone()
}

/// Starts SQLite's random numbers anew from `number`.
pub(crate) fn seed_randomness(number: u32) {
    // 0 means "ask the system".
    let number = (number | 1) as c_int;
    // SAFETY: PRNG_SEED takes an int and a connection or null (`sqlite3_test_control`, comment on
    // SQLITE_TESTCTRL_PRNG_SEED); a request for no bytes makes the generator start anew.
    unsafe {
        let no_connection = ptr::null_mut::<ffi::sqlite3>();
        ffi::sqlite3_test_control(ffi::SQLITE_TESTCTRL_PRNG_SEED, number, no_connection);
        ffi::sqlite3_randomness(0, ptr::null_mut());
    }
}

/// SQLite's random numbers as they stand; dropping it brings them back. For looking at a run with SQL
/// without the run noticing.
pub struct KeptRandomness(());

impl KeptRandomness {
    pub(crate) fn new() -> KeptRandomness {
        // SAFETY: PRNG_SAVE takes no argument.
        unsafe { ffi::sqlite3_test_control(ffi::SQLITE_TESTCTRL_PRNG_SAVE) };
        KeptRandomness(())
    }
}

impl Drop for KeptRandomness {
    fn drop(&mut self) {
        // SAFETY: PRNG_RESTORE takes no argument.
        unsafe { ffi::sqlite3_test_control(ffi::SQLITE_TESTCTRL_PRNG_RESTORE) };
    }
}
