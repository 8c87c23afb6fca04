//! From a request to the event that would record it: guards, effects, projection. Pure.
//!
//! **Invariant:** what is refused here has changed nothing; what is planned here is complete, so
//! that folding it needs no spec. Guards and effects see logical values only.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::event::{CREATED, Changes, DELETED, Event, FORMAT, Intent, ListChange, UPDATED};
use super::state::{EntityState, Field, apply_to_list};
use crate::answer::RequestError;
use crate::overflow::{self, Kept, OverflowMode};
use crate::seams::Ids;
use crate::spec::{Action, Effect, FRESH_ID, TransitionTable, VariableKind};
use crate::store::EntityKey;
use crate::{canonical, defect, time};

/// What a plan depends on beside the entity and the request.
pub struct Planner<'a> {
    /// The spec in force.
    pub table: &'a TransitionTable,
    /// The tenant's mode in force.
    pub mode: OverflowMode,
    /// The clock when the action was taken up.
    pub now_ms: i64,
    /// For entities that are spawned.
    pub ids: &'a dyn Ids,
    /// Values of overflowed fields that [`needed_fields`] named; an expired one is null.
    pub logical: &'a BTreeMap<String, Value>,
    /// As sent.
    pub idempotency_key: Option<&'a str>,
}

/// The fields whose values an action reads, beside its params.
pub fn needed_fields(action: &Action) -> impl Iterator<Item = &str> {
    action.effects.iter().flat_map(|effect| match effect {
        Effect::ScheduleAt { field, .. } => vec![field.as_str()],
        Effect::Spawn { entity_id_source, copy_fields, .. } => {
            copy_fields.iter().chain([entity_id_source]).map(String::as_str).collect()
        }
        _ => Vec::new(),
    })
}

impl Planner<'_> {
    /// The creation of an entity.
    pub fn create(&self, key: &EntityKey, body: Map<String, Value>) -> Event {
        let mut event = self.event(key, 1, CREATED, body);
        event.to.clone_from(&self.table.automaton().initial);
        let changes = &mut event.changes;
        if event.params.get("Id").is_none() {
            changes.ids.insert("Id".to_owned(), key.entity_id.clone());
        }
        let mut written: BTreeMap<String, Value> = BTreeMap::new();
        for variable in &self.table.automaton().variables {
            let name = variable.name.clone();
            match (variable.kind, &variable.initial) {
                (VariableKind::Counter, initial) => {
                    changes.counters.insert(name, initial.as_u64().unwrap_or(0));
                }
                (VariableKind::Bool, initial) => {
                    changes.bools.insert(name, initial.as_bool().unwrap_or(false));
                }
                (VariableKind::List | VariableKind::Set, Value::Array(items)) => {
                    let appended = items.iter().cloned().map(ListChange::Append).collect();
                    changes.lists.insert(name.clone(), appended);
                    written.insert(name, variable.initial.clone());
                }
                (VariableKind::Status, _) => changes.status_fields.push(name),
                (_, initial) => {
                    if !event.params.contains_key(&name) {
                        changes.initial.insert(name.clone(), initial.clone());
                        written.insert(name, initial.clone());
                    }
                }
            }
        }
        self.project(&mut event.changes, written.iter());
        self.project(&mut event.changes, self.settable(&event.params));
        if defect!("create-not-projected") {
            event.changes.fields.values_mut().for_each(|kept| *kept = Kept::Inline);
        }
        event
    }

    /// A call of an action that the caller has found by its name.
    ///
    /// # Errors
    /// The first of state, guard and effects that refuses.
    pub fn act(
        &self,
        key: &EntityKey,
        state: &EntityState,
        action: &Action,
        params: Map<String, Value>,
    ) -> Result<Event, RequestError> {
        let refused = action.name.clone();
        if !self.table.is_legal(action, &state.status) {
            return Err(RequestError::WrongState { action: refused, status: state.status.clone() });
        }
        let lists = state.guard_lists();
        if !action.guards.iter().all(|guard| guard.holds(state.view(&lists))) {
            return Err(RequestError::GuardFalse { action: refused });
        }
        self.accept(key, state, action, params)
    }

    /// The same without asking whether the action is legal: how events of the older schema are
    /// read.
    pub fn accept(
        &self,
        key: &EntityKey,
        state: &EntityState,
        action: &Action,
        params: Map<String, Value>,
    ) -> Result<Event, RequestError> {
        let mut event = self.event(key, state.sequence_nr + 1, &action.name, params);
        event.from.clone_from(&state.status);
        event.to = action.to.clone().unwrap_or_else(|| state.status.clone());
        let mut working = Working::new(state);
        for effect in &action.effects {
            self.change(&mut event, &mut working, effect)?;
        }
        for effect in &action.effects {
            self.intend(&mut event, state, &working, effect)?;
        }
        let triggered = self.table.triggered(action);
        event
            .intents
            .extend(triggered.map(|one| Intent::Trigger { integration: one.name.clone() }));
        let mut written: BTreeMap<String, Value> = BTreeMap::new();
        for (name, id) in &event.changes.ids {
            written.insert(name.clone(), Value::from(id.as_str()));
        }
        for name in event.changes.lists.keys() {
            written.insert(name.clone(), Value::Array(working.lists[name].clone()));
        }
        self.project(&mut event.changes, self.settable(&event.params));
        self.project(&mut event.changes, written.iter());
        Ok(event)
    }

    /// The setting of fields.
    pub fn patch(&self, key: &EntityKey, state: &EntityState, body: Map<String, Value>) -> Event {
        let mut event = self.event(key, state.sequence_nr + 1, UPDATED, body);
        event.from.clone_from(&state.status);
        event.to.clone_from(&state.status);
        self.project(&mut event.changes, self.settable(&event.params));
        event
    }

    /// The end of an entity.
    pub fn delete(&self, key: &EntityKey, state: &EntityState) -> Event {
        let mut event = self.event(key, state.sequence_nr + 1, DELETED, Map::new());
        event.from.clone_from(&state.status);
        event.to.clone_from(&state.status);
        event
    }

    fn event(
        &self,
        key: &EntityKey,
        sequence_nr: u64,
        action: &str,
        params: Map<String, Value>,
    ) -> Event {
        Event {
            format: FORMAT,
            entity_type: key.entity_type.clone(),
            entity_id: key.entity_id.clone(),
            sequence_nr,
            action: action.to_owned(),
            from: String::new(),
            to: String::new(),
            timestamp: time::to_text(self.now_ms),
            params,
            idempotency_key: self.idempotency_key.map(str::to_owned),
            changes: Changes::default(),
            emitted: Vec::new(),
            intents: Vec::new(),
        }
    }

    /// Params that set fields; the others feed effects only.
    fn settable<'p>(
        &self,
        params: &'p Map<String, Value>,
    ) -> impl Iterator<Item = (&'p String, &'p Value)> {
        params.iter().filter(|(name, _)| *name != "Id" && !self.table.is_set_by_effects(name))
    }

    fn project<'p>(
        &self,
        changes: &mut Changes,
        written: impl Iterator<Item = (&'p String, &'p Value)>,
    ) {
        for (name, value) in written {
            let kept = overflow::decide(self.mode, self.table, name, value, self.now_ms);
            changes.fields.insert(name.clone(), kept);
        }
    }

    fn change(
        &self,
        event: &mut Event,
        working: &mut Working,
        effect: &Effect,
    ) -> Result<(), RequestError> {
        let changes = &mut event.changes;
        match effect {
            Effect::Increment(name) => {
                let counter = working.counters.entry(name.clone()).or_default();
                *counter = counter.saturating_add(1);
                changes.counters.insert(name.clone(), *counter);
            }
            Effect::Decrement(name) => {
                let counter = working.counters.entry(name.clone()).or_default();
                *counter = counter.saturating_sub(1);
                changes.counters.insert(name.clone(), *counter);
            }
            Effect::SetBool { var, value } => {
                changes.bools.insert(var.clone(), *value);
            }
            Effect::ListAppend(name) => {
                let Some(item) = event.params.get(name) else {
                    return Err(RequestError::InvalidBody(format!("param `{name}` is missing")));
                };
                let kind = self.table.variable(name).map(|variable| variable.kind);
                let items = working.lists.entry(name.clone()).or_default();
                if kind != Some(VariableKind::Set) || !items.contains(item) {
                    record(changes, items, name, ListChange::Append(item.clone()));
                }
            }
            Effect::ListRemoveAt(name) => {
                let items = working.lists.entry(name.clone()).or_default();
                let index = event.params.get(&format!("{name}_index")).and_then(Value::as_u64);
                let index = index.and_then(|index| usize::try_from(index).ok());
                let Some(index) = index.filter(|index| *index < items.len()) else {
                    let message = format!("param `{name}_index` is no index of `{name}`");
                    return Err(RequestError::InvalidBody(message));
                };
                record(changes, items, name, ListChange::Remove(index));
            }
            Effect::Emit(name) => event.emitted.push(name.clone()),
            Effect::Spawn { store_id_in, entity_id_source, .. } => {
                if let (Some(field), true) = (store_id_in, entity_id_source == FRESH_ID) {
                    changes.ids.insert(field.clone(), self.ids.next_id());
                }
            }
            Effect::Trigger(_) | Effect::Schedule { .. } | Effect::ScheduleAt { .. } => {}
        }
        Ok(())
    }

    /// Schedules and spawns, which look at the entity as it is after the event's changes.
    fn intend(
        &self,
        event: &mut Event,
        state: &EntityState,
        working: &Working,
        effect: &Effect,
    ) -> Result<(), RequestError> {
        let refused = || RequestError::GuardFalse { action: event.action.clone() };
        let value_of = |name: &str| self.value_after(event, state, working, name);
        let intent = match effect {
            Effect::Schedule { action, delay_seconds } => {
                let due_at = time::to_text(overflow::deadline_ms(self.now_ms, *delay_seconds));
                Intent::Schedule { action: action.clone(), due_at }
            }
            Effect::ScheduleAt { action, field } => {
                let value = value_of(field);
                let due_ms = value.as_str().and_then(time::from_rfc3339).ok_or_else(refused)?;
                Intent::Schedule { action: action.clone(), due_at: time::to_text(due_ms) }
            }
            Effect::Spawn {
                entity_type,
                entity_id_source,
                initial_action,
                store_id_in,
                copy_fields,
            } => {
                let stored = store_id_in.as_ref().and_then(|field| event.changes.ids.get(field));
                let entity_id = match (entity_id_source == FRESH_ID, stored) {
                    (true, Some(id)) => id.clone(),
                    (true, None) => self.ids.next_id(),
                    (false, _) => {
                        let id = value_of(entity_id_source).as_str().map(str::to_owned);
                        id.filter(|id| crate::platform::is_valid_id(id)).ok_or_else(refused)?
                    }
                };
                let copied = |name: &String| match state.fields.get(name) {
                    Some(Field::Blob(reference)) if defect!("spawn-copies-envelope") => {
                        reference.envelope()
                    }
                    _ => value_of(name),
                };
                let fields = copy_fields.iter().map(|name| (name.clone(), copied(name))).collect();
                if let Some(field) = store_id_in {
                    event.changes.ids.insert(field.clone(), entity_id.clone());
                }
                Intent::Spawn {
                    entity_type: entity_type.clone(),
                    entity_id,
                    initial_action: initial_action.clone(),
                    fields,
                }
            }
            _ => return Ok(()),
        };
        event.intents.push(intent);
        Ok(())
    }

    /// The logical value of a field with the event's changes applied.
    fn value_after(
        &self,
        event: &Event,
        state: &EntityState,
        working: &Working,
        name: &str,
    ) -> Value {
        if let Some(id) = event.changes.ids.get(name) {
            return Value::from(id.as_str());
        }
        if let (false, Some(value)) = (self.table.is_set_by_effects(name), event.params.get(name)) {
            // A truncated string is its placeholder, for a reader inside the platform too.
            return match overflow::decide(self.mode, self.table, name, value, self.now_ms) {
                Kept::Truncated { limit } => {
                    let size = canonical::size_of(&canonical::to_text(value));
                    overflow::placeholder(size, limit)
                }
                Kept::Inline | Kept::Blob { .. } => value.clone(),
            };
        }
        if let Some(items) = working.lists.get(name) {
            return Value::Array(items.clone());
        }
        if let Some(counter) = working.counters.get(name) {
            return Value::from(*counter);
        }
        if let Some(flag) = event.changes.bools.get(name).or_else(|| state.bools.get(name)) {
            return Value::from(*flag);
        }
        match (name, state.fields.get(name)) {
            ("Id", _) => Value::from(state.entity_id.as_str()),
            ("Status", _) => Value::from(event.to.as_str()),
            (_, Some(Field::Inline(value))) => value.clone(),
            (_, Some(Field::Blob(_))) => self.logical.get(name).cloned().unwrap_or(Value::Null),
            (_, None) => Value::Null,
        }
    }
}

/// Counters and lists while effects run one after the other.
struct Working {
    counters: BTreeMap<String, u64>,
    lists: BTreeMap<String, Vec<Value>>,
}

impl Working {
    fn new(state: &EntityState) -> Self {
        Self { counters: state.counters.clone(), lists: state.lists.clone() }
    }
}

fn record(changes: &mut Changes, items: &mut Vec<Value>, name: &str, change: ListChange) {
    apply_to_list(items, &change);
    changes.lists.entry(name.to_owned()).or_default().push(change);
}
