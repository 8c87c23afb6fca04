//! The automata of the workload's specs, each written by hand beside its IOA text.

pub mod session;
pub mod task;

use crate::automaton::Automaton;

/// The automata of the workload, in the order in which plans number their sets.
pub fn automata() -> Vec<Automaton> {
    vec![session::session(), task::task()]
}
