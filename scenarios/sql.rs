//! Scenario `sql`: SQL scripts on libsql alone, with no platform in between.
//!
//! It is the control of the simulated world. libsql with these settings keeps its promises on a real
//! disk; a run that breaks one accuses the disk, the VFS, or this oracle.

pub(crate) mod database;
pub(crate) mod oracle;
pub(crate) mod player;
mod script;

pub use player::play;
pub use script::{Journal, Script, Step, Synchronous};
