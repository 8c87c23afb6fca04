//! Specs: IOA text -> [`Automaton`] -> [`TransitionTable`].
//!
//! **Invariant:** an entity runs only a spec that [`parse`] found no error in.

mod automaton;
mod check;
mod diagnostic;
mod effect;
mod guard;
mod integration;
mod parse;
mod section;
mod table;
#[cfg(test)]
mod tests;

pub use automaton::{
    Action, ActionKind, Assertion, Automaton, Integration, Invariant, Variable, VariableKind,
};
pub use diagnostic::{Diagnostic, Problem, Severity, SpecError};
pub use effect::{Effect, FRESH_ID};
pub use guard::{Comparison, Guard, View};
pub use parse::{Parsed, parse};
pub use table::{TransitionTable, set_of};
