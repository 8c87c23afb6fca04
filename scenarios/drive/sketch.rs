//! What an entity has come to, as far as its steps went well.
//!
//! **Invariant:** it only makes steps likely to be legal; it judges nothing.

use crate::plan::Values;
use serde_json::Value;
use std::sync::Arc;
use stormglass_model::automaton::{
    Action, ActionKind, Automaton, Effect, Guard, VarKind, guards_hold,
};
use stormglass_model::entity::State;

/// The sketch of one entity.
#[derive(Clone)]
pub struct Sketch {
    state: State,
    /// Events so far.
    pub version: u64,
    /// Whether it was deleted.
    pub is_deleted: bool,
}

impl Sketch {
    /// A new entity of this type.
    pub fn created(automaton: &Automaton) -> Sketch {
        let mut state = State::never("");
        state.status = automaton.initial.to_string();
        for variable in &automaton.variables {
            let (name, initial) = (variable.name.to_string(), &variable.initial);
            match variable.kind {
                VarKind::Counter => {
                    state.counters.insert(name, initial.as_i64().unwrap_or(0));
                }
                VarKind::Flag => {
                    state.flags.insert(name, initial.as_bool().unwrap_or(false));
                }
                VarKind::List | VarKind::Set => {
                    let items = initial.as_array().cloned().unwrap_or_default();
                    state.lists.insert(name, Arc::new(items));
                }
                VarKind::Text | VarKind::Status => {}
            }
        }
        Sketch { state, version: 1, is_deleted: false }
    }

    /// Whether an action may be called in its state, guards aside.
    pub fn may(&self, automaton: &Automaton, action: &Action) -> bool {
        let status = self.state.status.as_str();
        let is_here = match &action.from {
            Some(states) => states.contains(&status),
            None => !automaton.terminal.contains(&status),
        };
        is_here && action.kind != ActionKind::Output && !self.is_deleted
    }

    /// The guards of an action that do not hold.
    pub fn missing<'a>(&self, action: &'a Action) -> Vec<&'a Guard> {
        let fails = |guard: &&Guard| !guards_hold(std::slice::from_ref(*guard), &self.state);
        action.guards.iter().filter(fails).collect()
    }

    /// Whether an action would be accepted with params that fit.
    pub fn accepts(&self, automaton: &Automaton, action: &Action) -> bool {
        self.may(automaton, action) && self.missing(action).is_empty()
    }

    /// Items of a list.
    pub fn len(&self, list: &str) -> usize {
        self.state.lists.get(list).map_or(0, |items| items.len())
    }

    /// The action with these params, if it is accepted.
    pub fn act(&mut self, automaton: &Automaton, action: &Action, values: &Values) {
        if !self.accepts(automaton, action) {
            return;
        }
        self.version += 1;
        for effect in automaton.effects_of(action) {
            self.apply(&effect, values);
        }
        if let Some(to) = action.to {
            self.state.status = to.to_string();
        }
    }

    fn apply(&mut self, effect: &Effect, values: &Values) {
        let value = |name: &str| {
            let found = values.iter().find(|(known, _)| known == name);
            found.map_or(Value::Null, |(_, recipe)| recipe.value())
        };
        let list = |state: &State, name: &str| {
            state.lists.get(name).map(|items| items.to_vec()).unwrap_or_default()
        };
        match effect {
            Effect::Increment(name) => {
                *self.state.counters.entry(name.to_string()).or_default() += 1;
            }
            Effect::Decrement(name) => {
                let counter = self.state.counters.entry(name.to_string()).or_default();
                *counter = (*counter - 1).max(0);
            }
            Effect::SetFlag(name, value) => {
                self.state.flags.insert(name.to_string(), *value);
            }
            Effect::ListAppend(name) => {
                let mut items = list(&self.state, name);
                items.push(value(name));
                self.state.lists.insert(name.to_string(), Arc::new(items));
            }
            Effect::ListRemoveAt(name) => {
                let mut items = list(&self.state, name);
                items.pop();
                self.state.lists.insert(name.to_string(), Arc::new(items));
            }
            _ => {}
        }
    }
}

/// Whether an action brings its entity nearer to a guard that does not hold.
pub fn helps(automaton: &Automaton, action: &Action, guard: &Guard) -> bool {
    let effects = automaton.effects_of(action);
    let has = |wanted: Effect| effects.contains(&wanted);
    match guard {
        Guard::Above(name, _) | Guard::AtLeast(name, _) => has(Effect::Increment(name)),
        Guard::Below(name, _) | Guard::AtMost(name, _) => has(Effect::Decrement(name)),
        Guard::IsTrue(name) => has(Effect::SetFlag(name, true)),
        Guard::IsFalse(name) => has(Effect::SetFlag(name, false)),
        Guard::ListContains(name, _) | Guard::ListLengthAtLeast(name, _) => {
            has(Effect::ListAppend(name))
        }
        Guard::StateIn(states) => action.to.is_some_and(|to| states.contains(&to)),
    }
}
