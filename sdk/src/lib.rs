//! Everything a guest of the platform needs: its context, the values of fields of any size, and its result.
//!
//! **Invariant:** whatever the host answers, a guest gets a value or an [`Error`], never an empty string in place of
//! one; and all `unsafe` code is in `host` (the imports) and `bump` (the allocator).
//!
//! A guest is a `cdylib` with one function, handed to [`export!`]:
//!
//! ```
//! use stormglass_guest::{Context, Error, Object, Outcome};
//!
//! stormglass_guest::export!(count_words);
//!
//! fn count_words(context: &Context) -> Result<Outcome, Error> {
//!     let text = context.read_field_string("user_message")?;
//!     let words = text.split_whitespace().count() as u64;
//!     Ok(Outcome::success().params(Object::new().integer("words", words)))
//! }
//!
//! // The same function runs on any machine, against a host that is made for tests.
//! let host = stormglass_guest::testing::Host::new("{}").field("user_message", "a glass of storm");
//! assert_eq!(host.run(count_words).result(), r#"{"success":true,"params":{"words":4}}"#);
//! ```

#![deny(missing_docs, unsafe_code)]

/// The example of the README is code, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod context;
mod error;
mod host;
pub mod json;
mod outcome;
pub mod sha256;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod write;

#[cfg(all(target_arch = "wasm32", feature = "bump"))]
mod bump;

pub use context::Context;
pub use error::Error;
#[cfg(target_arch = "wasm32")]
pub use host::imports;
pub use host::{log, read_field_into, set_result, Level};
pub use outcome::{Answer, Outcome};
pub use write::Object;

/// Exports a function as the module's `run`. It takes `&Context` and returns an [`Outcome`], a `Result<Outcome, Error>`,
/// or, when it has set its result itself, the number that `run` is to return.
#[macro_export]
macro_rules! export {
    ($guest:path) => {
        /// Called by the host with 0 and the length of the context.
        #[cfg_attr(target_arch = "wasm32", no_mangle)]
        pub extern "C" fn run(_ptr: i32, _len: i32) -> i32 {
            $crate::run($guest)
        }
    };
}

/// Runs a guest and sends its result: what [`export!`] puts behind `run`.
pub fn run<A: Answer>(guest: impl FnOnce(&Context) -> A) -> i32 {
    // On this target a panic ends in a trap; the log is the only place where its words can stay.
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string())));
    match Context::from_host() {
        Ok(context) => guest(&context).finish(),
        Err(error) => Outcome::failure(format_args!("context: {error}")).finish(),
    }
}

/// Ends the guest at once, with nothing of its result accepted.
pub fn trap() -> ! {
    std::process::abort()
}
