//! The oracle: what the platform's contract allows, written without looking at the platform.
//!
//! Pure: no clock, no disk, no network, no randomness. A runner tells [`oracle::Oracle`] what it
//! sent, what came back, when boots began and ended, what the clock read, and which rows it found;
//! the oracle answers with [`violation::Violation`]s.
//!
//! **Invariant:** this crate depends on neither the platform nor the simulated world.

pub mod automaton;
pub mod blob_check;
pub mod canonical;
pub mod clock;
pub mod decide;
pub mod entity;
pub mod explain;
pub mod fit;
pub mod journal_check;
pub mod ledger;
mod lists;
pub mod observe;
pub mod oracle;
pub mod project;
pub mod request;
#[cfg(test)]
mod self_test;
pub mod sweep_check;
pub mod tables;
pub mod violation;
pub mod workload;
pub mod world;
