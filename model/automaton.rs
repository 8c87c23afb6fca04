//! The model's own automaton: what a spec says, as plain data built by hand in Rust.
//!
//! Nothing here parses. A test of the project compares each hand-written automaton with the parsed
//! spec of the same name, so that model and platform cannot share a misreading of the text.
//!
//! Not modelled: invariants and liveness of a spec, integrations of another type
//! than `wasm`.

use serde_json::Value;

use crate::canonical::canonical;
use crate::entity::State;
use crate::guests::Guest;

/// The type of a state variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VarKind {
    /// `string`: a field that params write; the only kind that can expire.
    Text,
    /// `counter`: a whole number that effects change.
    Counter,
    /// `bool`: a flag that effects set.
    Flag,
    /// `list`: values in order.
    List,
    /// `set`: a list without repeats.
    Set,
    /// `status`: the entity's status under another name.
    Status,
}

/// A state variable.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// The name, which is also the field's.
    pub name: &'static str,
    /// Its type.
    pub kind: VarKind,
    /// Its value at creation.
    pub initial: Value,
    /// Its own inline ceiling; the mode's default if there is none.
    pub ceiling_bytes: Option<u64>,
    /// How long an overflowed value can be read; for ever if there is none.
    pub ttl_ms: Option<u64>,
}

/// Who may call an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// A client.
    Input,
    /// The platform itself, and clients too.
    Internal,
    /// Nobody: the entity tells it.
    Output,
}

/// One condition of an action; an action's guards must all hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// `v > n`.
    Above(&'static str, i64),
    /// `v >= n`, `min v n`.
    AtLeast(&'static str, i64),
    /// `v < n`, `max v n`.
    Below(&'static str, i64),
    /// `v <= n`.
    AtMost(&'static str, i64),
    /// `v`, `is_true v`.
    IsTrue(&'static str),
    /// `!v`, `is_false v`.
    IsFalse(&'static str),
    /// `list_contains v x`.
    ListContains(&'static str, &'static str),
    /// `list_length_min v n`.
    ListLengthAtLeast(&'static str, usize),
    /// `state_in [..]`.
    StateIn(&'static [&'static str]),
}

/// What an accepted action does to the variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Adds 1 to a counter.
    Increment(&'static str),
    /// Takes 1 from a counter that is above 0.
    Decrement(&'static str),
    /// Sets a flag.
    SetFlag(&'static str, bool),
    /// Announces an event; changes nothing here.
    Emit(&'static str),
    /// Appends `params[v]` to the list `v`.
    ListAppend(&'static str),
    /// Removes the item at `params["v_index"]` from the list `v`.
    ListRemoveAt(&'static str),
    /// Runs the integrations of that name.
    Trigger(&'static str),
    /// Calls an action of this entity some time after the event.
    Schedule {
        /// The action.
        action: &'static str,
        /// Milliseconds after the event's timestamp.
        delay_ms: u64,
    },
    /// Calls an action of this entity at the time that a field names.
    ScheduleAt {
        /// The action.
        action: &'static str,
        /// The field, an RFC 3339 time.
        field: &'static str,
    },
    /// Creates another entity.
    Spawn(Spawn),
}

/// The entity that a spawn creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spawn {
    /// Its type.
    pub entity_type: &'static str,
    /// The field that holds its id; a fresh one if there is none.
    pub id_source: Option<&'static str>,
    /// The action that it is sent once it is there.
    pub initial_action: Option<&'static str>,
    /// The parent's field that takes its id.
    pub store_id_in: Option<&'static str>,
    /// The parent's fields whose values it begins with.
    pub copy_fields: Vec<&'static str>,
}

/// A guest that runs when something is triggered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// Its name.
    pub name: &'static str,
    /// The trigger effect or the action that runs it.
    pub trigger: &'static str,
    /// What its module does.
    pub guest: Guest,
    /// The callback after a success.
    pub on_success: Option<&'static str>,
    /// The callback after anything else.
    pub on_failure: Option<&'static str>,
    /// How long a run of the guest may take, in milliseconds.
    pub timeout_ms: u64,
    /// What the guest is told besides its context.
    pub config: Vec<(&'static str, &'static str)>,
}

/// How long a guest may run where the spec does not say, in milliseconds.
pub const GUEST_TIMEOUT_MS: u64 = 30_000;

/// An action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Its name, as in `Temper.<name>`.
    pub name: &'static str,
    /// Who may call it.
    pub kind: ActionKind,
    /// The states in which it is legal; every state that is not terminal if there is none.
    pub from: Option<Vec<&'static str>>,
    /// The state it leads to; the present one if there is none.
    pub to: Option<&'static str>,
    /// Its conditions.
    pub guards: Vec<Guard>,
    /// Its effects, in order.
    pub effects: Vec<Effect>,
    /// The declared params.
    pub params: Vec<&'static str>,
}

impl Action {
    /// An input action, legal in every state that is not terminal, that keeps the state.
    pub fn input(name: &'static str) -> Self {
        Action {
            name,
            kind: ActionKind::Input,
            from: None,
            to: None,
            guards: Vec::new(),
            effects: Vec::new(),
            params: Vec::new(),
        }
    }

    /// The same action with its kind.
    pub fn kind(mut self, kind: ActionKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same action, legal in `states` only.
    pub fn from(mut self, states: &[&'static str]) -> Self {
        self.from = Some(states.to_vec());
        self
    }

    /// The same action, leading to `state`.
    pub fn to(mut self, state: &'static str) -> Self {
        self.to = Some(state);
        self
    }

    /// The same action with one condition more.
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guards.push(guard);
        self
    }

    /// The same action with one effect more.
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    /// The same action with its declared params.
    pub fn params(mut self, names: &[&'static str]) -> Self {
        self.params = names.to_vec();
        self
    }
}

/// A spec, as the model knows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Automaton {
    /// The entity type.
    pub name: &'static str,
    /// Its states.
    pub states: Vec<&'static str>,
    /// The state after creation.
    pub initial: &'static str,
    /// The states that no action without `from` leaves.
    pub terminal: Vec<&'static str>,
    /// Its state variables.
    pub variables: Vec<Variable>,
    /// Its actions.
    pub actions: Vec<Action>,
    /// Its integrations of type `wasm`: those of the spec, then those that stand under an action.
    pub integrations: Vec<Integration>,
}

impl Automaton {
    /// The entity set: the type's name plus `s`.
    pub fn set(&self) -> String {
        format!("{}s", self.name)
    }

    /// The variable of that name.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().find(|variable| variable.name == name)
    }

    /// The action of that name.
    pub fn action(&self, name: &str) -> Option<&Action> {
        self.actions.iter().find(|action| action.name == name)
    }

    /// Whether `name` is a counter, bool, list or set: a variable that params never write directly.
    pub fn is_fed_by_effects(&self, name: &str) -> bool {
        self.variable(name).is_some_and(|variable| variable.kind != VarKind::Text)
    }

    /// The integrations that an action runs, in the order of their rows: first those that its trigger
    /// effects name, then those that name the action itself (contract, section 9).
    pub fn triggered(&self, action: &Action) -> Vec<&Integration> {
        let named = action.effects.iter().filter_map(|effect| match effect {
            Effect::Trigger(name) if *name != action.name => Some(*name),
            _ => None,
        });
        let named_by =
            |name: &'static str| self.integrations.iter().filter(move |i| i.trigger == name);
        named.chain([action.name]).flat_map(named_by).collect()
    }

    /// The effects of an action, with those that its name alone implies (contract, section 2).
    pub fn effects_of(&self, action: &Action) -> Vec<Effect> {
        if !action.effects.is_empty() {
            return action.effects.clone();
        }
        let name = action.name.to_ascii_lowercase();
        let counters = self.variables.iter().filter(|v| v.kind == VarKind::Counter);
        if name.contains("additem") || name.contains("add_item") {
            return counters.map(|v| Effect::Increment(v.name)).collect();
        }
        if name.contains("removeitem") || name.contains("remove_item") {
            return counters.map(|v| Effect::Decrement(v.name)).collect();
        }
        Vec::new()
    }
}

/// How a tenant keeps values above their ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As blobs, with a reference in their place.
    BlobRefs {
        /// The ceiling of fields that have none of their own, in bytes.
        default_inline_max: u64,
    },
    /// Not at all: a placeholder takes their place.
    InlineTruncate {
        /// The ceiling of fields that have none of their own, in bytes.
        default_inline_max: u64,
    },
}

impl Mode {
    /// The ceiling of a field that has none of its own.
    pub fn default_inline_max(self) -> u64 {
        match self {
            Mode::BlobRefs { default_inline_max } | Mode::InlineTruncate { default_inline_max } => {
                default_inline_max
            }
        }
    }
}

/// Whether an item is what a guard's literal says: a string the literal itself, another value its
/// canonical JSON.
fn is_literal(item: &Value, literal: &str) -> bool {
    item.as_str().map_or_else(|| canonical(item) == literal, |text| text == literal)
}

/// Whether every guard holds in `state`. Missing counters are 0, missing flags false.
pub fn guards_hold(guards: &[Guard], state: &State) -> bool {
    let counter = |name: &str| state.counters.get(name).copied().unwrap_or(0);
    let flag = |name: &str| state.flags.get(name).copied().unwrap_or(false);
    let list = |name: &str| state.lists.get(name).map_or(&[][..], |items| &items[..]);
    guards.iter().all(|guard| match guard {
        Guard::Above(name, n) => counter(name) > *n,
        Guard::AtLeast(name, n) => counter(name) >= *n,
        Guard::Below(name, n) => counter(name) < *n,
        Guard::AtMost(name, n) => counter(name) <= *n,
        Guard::IsTrue(name) => flag(name),
        Guard::IsFalse(name) => !flag(name),
        Guard::ListContains(name, item) => list(name).iter().any(|v| is_literal(v, item)),
        Guard::ListLengthAtLeast(name, n) => list(name).len() >= *n,
        Guard::StateIn(states) => states.contains(&state.status.as_str()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn guards_read_missing_variables_as_nothing() {
        let mut state = State::never("a");
        assert!(guards_hold(&[Guard::AtMost("n", 0), Guard::IsFalse("b")], &state));
        assert!(!guards_hold(&[Guard::ListLengthAtLeast("l", 1)], &state));
        state.counters.insert("n".into(), 5);
        state.flags.insert("b".into(), true);
        state.lists.insert("l".into(), Arc::new(vec![json!("x"), json!(1)]));
        state.status = "Open".into();
        let holding = [
            Guard::Above("n", 4),
            Guard::AtLeast("n", 5),
            Guard::Below("n", 6),
            Guard::AtMost("n", 5),
            Guard::IsTrue("b"),
            Guard::ListContains("l", "x"),
            Guard::ListContains("l", "1"),
            Guard::ListLengthAtLeast("l", 2),
            Guard::StateIn(&["Shut", "Open"]),
        ];
        assert!(guards_hold(&holding, &state));
        let failing = [
            Guard::Above("n", 5),
            Guard::AtLeast("n", 6),
            Guard::Below("n", 5),
            Guard::AtMost("n", 4),
            Guard::IsFalse("b"),
            Guard::ListContains("l", "2"),
            Guard::ListLengthAtLeast("l", 3),
            Guard::StateIn(&["Shut"]),
        ];
        for guard in failing {
            assert!(!guards_hold(&[Guard::IsTrue("b"), guard], &state));
        }
    }

    #[test]
    fn an_action_named_after_items_counts_without_an_effect() {
        let variable = Variable {
            name: "items",
            kind: VarKind::Counter,
            initial: json!(0),
            ceiling_bytes: None,
            ttl_ms: None,
        };
        let automaton = Automaton {
            name: "Order",
            states: vec!["Draft"],
            initial: "Draft",
            terminal: vec![],
            variables: vec![variable],
            ..Automaton::default()
        };
        let effects = |name| automaton.effects_of(&Action::input(name));
        assert_eq!(effects("AddItem"), [Effect::Increment("items")]);
        assert_eq!(effects("my_REMOVE_ITEM_now"), [Effect::Decrement("items")]);
        assert_eq!(effects("Item"), []);
        let emitting = Action::input("AddItem").effect(Effect::Emit("added"));
        assert_eq!(automaton.effects_of(&emitting), [Effect::Emit("added")]);
    }
}
