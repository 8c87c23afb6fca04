//! What a spec says, as plain data: the automaton, its variables, actions and integrations.
//!
//! **Invariant:** a value of these types has passed every check of [`super::parse`]: names refer to
//! what exists, numbers are in range, initial values have their variable's type.

use std::collections::BTreeMap;

use serde_json::Value;

use super::effect::Effect;
use super::guard::Guard;

/// One entity type.
#[derive(Debug, Clone, PartialEq)]
pub struct Automaton {
    /// The entity type's name; its entity set is this plus `s`.
    pub name: String,
    /// All states, in the order of the spec.
    pub states: Vec<String>,
    /// The state of a created entity.
    pub initial: String,
    /// States in which actions without `from` are not legal.
    pub terminal: Vec<String>,
    /// State variables, in the order of the spec, then those that only effects name.
    pub variables: Vec<Variable>,
    /// Actions, in the order of the spec.
    pub actions: Vec<Action>,
    /// What runs when something is triggered.
    pub integrations: Vec<Integration>,
    /// What must hold after every accepted action; checked in simulation.
    pub invariants: Vec<Invariant>,
    /// Parts of the spec that are kept and not executed, each with its name.
    pub not_executed: Vec<String>,
}

/// The type of a state variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VariableKind {
    /// Any JSON value, set by params of its name.
    String,
    /// A number from 0, moved by effects only.
    Counter,
    /// True or false, set by effects only.
    Bool,
    /// A list, changed by effects only.
    List,
    /// A list without repeats, changed by effects only.
    Set,
    /// Another name for the entity's status.
    Status,
}

/// A state variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// Its name, and its field's.
    pub name: String,
    /// Its type.
    pub kind: VariableKind,
    /// Its value at creation.
    pub initial: Value,
    /// The largest value in bytes that stays inline, if it is not the mode's default.
    pub overflow_inline_max_bytes: Option<u64>,
    /// How long an overflowed value can be read.
    pub overflow_ttl_seconds: Option<u64>,
    /// Kept for readers of the spec; nothing here is indexed by it.
    pub query_indexed: bool,
}

/// Who may call an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionKind {
    /// Called by clients.
    Input,
    /// Meant for the platform's own callers; a client may call it too.
    Internal,
    /// Told to the world; nobody calls it.
    Output,
}

/// An action.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// Who may call it.
    pub kind: ActionKind,
    /// The states in which it is legal; without it, every state that is not terminal.
    pub from: Option<Vec<String>>,
    /// The state after it; without it, the state before it.
    pub to: Option<String>,
    /// All must hold.
    pub guards: Vec<Guard>,
    /// Applied in order.
    pub effects: Vec<Effect>,
    /// Declared params; others may be sent too.
    pub params: Vec<String>,
    /// A sentence for agents.
    pub hint: Option<String>,
}

/// A WebAssembly module that runs when something is triggered.
#[derive(Debug, Clone, PartialEq)]
pub struct Integration {
    /// Its name.
    pub name: String,
    /// The trigger effect or the action that runs it.
    pub trigger: String,
    /// The module's name.
    pub module: String,
    /// The callback after a success.
    pub on_success: Option<String>,
    /// The callback after anything else.
    pub on_failure: Option<String>,
    /// How long a run may take; from the config, or 30 seconds.
    pub timeout_secs: u64,
    /// Handed to the module.
    pub config: BTreeMap<String, Value>,
}

/// A claim about every state of an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Invariant {
    /// Its name.
    pub name: String,
    /// The states in which it is claimed; without it, all.
    pub when: Option<Vec<String>>,
    /// What is claimed.
    pub assertion: Assertion,
}

/// The forms of `assert` that are checked.
#[derive(Debug, Clone, PartialEq)]
pub enum Assertion {
    /// No action is ever accepted in these states.
    NoFurtherTransitions,
    /// A guard holds.
    Holds(Guard),
    /// A guard holds while the status is one of these.
    StatusImplies {
        /// The states named.
        states: Vec<String>,
        /// What must hold in them.
        guard: Guard,
    },
    /// Kept as written.
    NotExecuted(String),
}

impl VariableKind {
    /// Whether a param of this variable's name feeds effects only, instead of setting the field.
    pub fn is_set_by_effects(self) -> bool {
        !matches!(self, Self::String)
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Self::String,
            "counter" => Self::Counter,
            "bool" => Self::Bool,
            "list" => Self::List,
            "set" => Self::Set,
            "status" => Self::Status,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Counter => "counter",
            Self::Bool => "bool",
            Self::List => "list",
            Self::Set => "set",
            Self::Status => "status",
        }
    }
}
