//! The automaton as an actor asks it: actions and variables by name, legality by status.
//!
//! **Invariant:** every question has one answer, given by the spec alone.

use std::collections::BTreeMap;

use super::automaton::{Action, ActionKind, Automaton, Integration, Variable};
use super::effect::Effect;

/// The entity set of an entity type, as it stands in addresses.
pub fn set_of(entity_type: &str) -> String {
    format!("{entity_type}s")
}

/// A spec, ready to run.
#[derive(Debug, Clone)]
pub struct TransitionTable {
    automaton: Automaton,
    actions: BTreeMap<String, usize>,
    variables: BTreeMap<String, usize>,
}

impl TransitionTable {
    /// Indexes an automaton.
    pub fn new(automaton: Automaton) -> Self {
        let names = automaton.actions.iter().enumerate();
        let actions = names.map(|(index, action)| (action.name.clone(), index)).collect();
        let names = automaton.variables.iter().enumerate();
        let variables = names.map(|(index, variable)| (variable.name.clone(), index)).collect();
        Self { automaton, actions, variables }
    }

    /// The spec itself.
    pub fn automaton(&self) -> &Automaton {
        &self.automaton
    }

    /// The entity type.
    pub fn entity_type(&self) -> &str {
        &self.automaton.name
    }

    /// The entity set, as it stands in addresses.
    pub fn entity_set(&self) -> String {
        set_of(&self.automaton.name)
    }

    /// The callable action of this name. Output actions are told, not called.
    pub fn action(&self, name: &str) -> Option<&Action> {
        let action = &self.automaton.actions[*self.actions.get(name)?];
        (action.kind != ActionKind::Output).then_some(action)
    }

    /// The variable of this name.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name).map(|index| &self.automaton.variables[*index])
    }

    /// Whether a param of this name feeds effects only, and is refused in creations and PATCHes.
    pub fn is_set_by_effects(&self, name: &str) -> bool {
        self.variable(name).is_some_and(|variable| variable.kind.is_set_by_effects())
    }

    /// Whether the action is legal in this state, its guards aside.
    pub fn is_legal(&self, action: &Action, status: &str) -> bool {
        match &action.from {
            Some(states) => states.iter().any(|state| state == status),
            None => self.automaton.terminal.iter().all(|state| state != status),
        }
    }

    /// The integrations that an accepted action runs: those named by its trigger effects, in their
    /// order, then those that name the action itself.
    pub fn triggered<'a>(&'a self, action: &'a Action) -> impl Iterator<Item = &'a Integration> {
        let triggers = action.effects.iter().filter_map(|effect| match effect {
            Effect::Trigger(name) if *name != action.name => Some(name),
            _ => None,
        });
        triggers.chain(std::iter::once(&action.name)).flat_map(|name| {
            self.automaton.integrations.iter().filter(move |one| one.trigger == *name)
        })
    }
}
