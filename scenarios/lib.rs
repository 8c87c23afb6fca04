//! Ties the simulated world, the platform and the model together: what a run does, what it must keep,
//! and how many of them are played and told.

pub mod campaign;
pub mod determinism;
pub mod sql;
pub mod verdict;
