//! WebAssembly guests: modules compiled once, and one run of one of them for one trigger.
//!
//! **Invariant:** a run depends on its context, its limits and the clock's readings alone: fuel is
//! counted, NaNs are canonical, there is no thread, no WASI and no wall clock within. The host
//! survives every guest.

mod context;
mod host;
mod modules;
mod outcome;
mod run;

pub use modules::{GuestLimits, MEMORY_MAX, MODULE_MAX, Modules};
#[cfg(test)]
pub(crate) use outcome::Failure;
pub(crate) use outcome::Outcome;
pub(crate) use run::Run;
