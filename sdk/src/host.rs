//! The host's four functions, behind safe ones that take slices.
//!
//! **Invariant:** a safe function here hands over only memory that it was lent, with its true length.

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Somebody must look.
    Error = 0,
    /// Somebody may have to look.
    Warn = 1,
    /// What the guest did.
    Info = 2,
    /// What the guest's author wants to know.
    Debug = 3,
}

/// The host's functions as they are, for guests that try what the safe ones cannot do. Addresses and lengths are
/// numbers; the host must look at both.
#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code)]
pub mod imports {
    #[link(wasm_import_module = "env")]
    extern "C" {
        /// Writes the context to a buffer; the bytes written, or the size needed with nothing written.
        pub fn host_get_context(buf: i32, len: i32) -> i32;
        /// Takes the guest's result; 0, or -3.
        pub fn host_set_result(ptr: i32, len: i32) -> i32;
        /// Takes a line for the log; 0, or -3.
        pub fn host_log(level: i32, ptr: i32, len: i32) -> i32;
        /// Writes a field's value to a buffer; the bytes written, the size needed, or a negative error.
        pub fn host_read_field(name: i32, name_len: i32, buf: i32, buf_len: i32) -> i32;
    }
}

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code)]
mod calls {
    use super::{imports, Level};

    pub fn get_context(buffer: &mut [u8]) -> i32 {
        // SAFETY: the host writes at most the given length, all of which is lent to this function.
        unsafe { imports::host_get_context(buffer.as_mut_ptr() as i32, buffer.len() as i32) }
    }

    pub fn set_result(result: &[u8]) -> i32 {
        // SAFETY: the host only reads, and only what the slice covers.
        unsafe { imports::host_set_result(result.as_ptr() as i32, result.len() as i32) }
    }

    pub fn log(level: Level, line: &str) {
        // SAFETY: the host only reads, and only what the string covers. A line that it refuses is lost, as a line may be.
        unsafe { imports::host_log(level as i32, line.as_ptr() as i32, line.len() as i32) };
    }

    pub fn read_field(name: &str, buffer: &mut [u8]) -> i32 {
        let (name, name_len) = (name.as_ptr() as i32, name.len() as i32);
        let (buf, buf_len) = (buffer.as_mut_ptr() as i32, buffer.len() as i32);
        // SAFETY: the host reads the name and writes at most the buffer's length; both are lent to this function.
        unsafe { imports::host_read_field(name, name_len, buf, buf_len) }
    }
}

#[cfg(not(target_arch = "wasm32"))]
use crate::testing as calls;

pub(crate) use calls::get_context;

/// Sets the guest's result; a later one replaces it. Whether the host could read it, and not what it thinks of it.
pub fn set_result(result: &str) -> Result<(), crate::Error> {
    match calls::set_result(result.as_bytes()) {
        0 => Ok(()),
        code => Err(crate::Error::from_code(code, "result")),
    }
}

/// Writes a line to the host's log.
pub fn log(level: Level, line: &str) {
    calls::log(level, line);
}

/// The host's own answer about a field: the bytes written when the value fits into the buffer, else the size needed
/// with nothing written, or a negative error. Most guests want [`crate::Context::read_field_bytes`].
pub fn read_field_into(name: &str, buffer: &mut [u8]) -> i32 {
    calls::read_field(name, buffer)
}
