//! The automata of the workload's specs, each written by hand beside its IOA text.

pub mod session;
pub mod task;
