//! An entity as its actor holds it, and the one fold that makes it from events.
//!
//! **Invariant (`I11`):** live actions and replays go through [`fold`], so that a replayed state is
//! the live one. `fold` reads nothing but the state and the event.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{CREATED, DELETED, Event, ListChange};
use crate::overflow::{Kept, Reference, placeholder};
use crate::spec::View;
use crate::{canonical, time};

/// The state of one entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EntityState {
    /// Its type.
    pub entity_type: String,
    /// Its id.
    pub entity_id: String,
    /// The last event folded in.
    pub sequence_nr: u64,
    /// Its status.
    pub status: String,
    /// Whether its last event is `Deleted`.
    pub deleted: bool,
    /// Counters.
    pub counters: BTreeMap<String, u64>,
    /// Bools.
    pub bools: BTreeMap<String, bool>,
    /// Lists and sets, whole, however their fields are kept.
    pub lists: BTreeMap<String, Vec<Value>>,
    /// Every other field, and the fields of lists.
    #[serde(skip)]
    pub fields: BTreeMap<String, Field>,
    /// Fields that show the status.
    pub status_fields: BTreeSet<String>,
    /// For each idempotency key ever used, the digest of what it was used for.
    pub keys: BTreeMap<String, String>,
}

/// What stands in `fields`.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// The value, or the placeholder that became the value.
    Inline(Value),
    /// A reference.
    Blob(Reference),
}

/// A body that belongs in a blob, with the field that refers to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The field.
    pub field: String,
    /// Its reference.
    pub reference: Reference,
    /// Canonical JSON.
    pub text: Arc<String>,
}

impl EntityState {
    fn empty(event: &Event) -> Self {
        Self {
            entity_type: event.entity_type.clone(),
            entity_id: event.entity_id.clone(),
            sequence_nr: 0,
            status: String::new(),
            deleted: false,
            counters: BTreeMap::new(),
            bools: BTreeMap::new(),
            lists: BTreeMap::new(),
            fields: BTreeMap::new(),
            status_fields: BTreeSet::new(),
            keys: BTreeMap::new(),
        }
    }

    /// The lists that guards see.
    pub fn guard_lists(&self) -> Cow<'_, BTreeMap<String, Vec<Value>>> {
        if crate::defect!("guard-reads-envelope") {
            let mut lists = self.lists.clone();
            lists.retain(|name, _| !matches!(self.fields.get(name), Some(Field::Blob(_))));
            return Cow::Owned(lists);
        }
        Cow::Borrowed(&self.lists)
    }

    /// What guards see.
    pub fn view<'a>(&'a self, lists: &'a BTreeMap<String, Vec<Value>>) -> View<'a> {
        View { status: &self.status, counters: &self.counters, bools: &self.bools, lists }
    }

    /// The references that stand in its fields.
    pub fn references(&self) -> impl Iterator<Item = (&str, &Reference)> {
        self.fields.iter().filter_map(|(name, field)| match field {
            Field::Blob(reference) => Some((name.as_str(), reference)),
            Field::Inline(_) => None,
        })
    }
}

/// What a repeated idempotency key is compared with.
pub fn use_digest(action: &str, params: &serde_json::Map<String, Value>) -> String {
    let params = canonical::object_to_text(params);
    canonical::sha256_hex(format!("{action}\n{params}").as_bytes())
}

/// Folds one event in, and returns the bodies that its fields refer to.
pub fn fold(state: Option<EntityState>, event: &Event) -> (EntityState, Vec<Body>) {
    let mut state = state.unwrap_or_else(|| EntityState::empty(event));
    state.sequence_nr = event.sequence_nr;
    state.status.clone_from(&event.to);
    if let Some(key) = &event.idempotency_key {
        state.keys.insert(key.clone(), use_digest(&event.action, &event.params));
    }
    if event.action == DELETED {
        state.deleted = true;
        state.fields.clear();
        state.lists.clear();
        return (state, Vec::new());
    }
    if event.action == CREATED {
        state.status_fields = event.changes.status_fields.iter().cloned().collect();
    }
    let changes = &event.changes;
    state.counters.extend(changes.counters.iter().map(|(name, value)| (name.clone(), *value)));
    state.bools.extend(changes.bools.iter().map(|(name, value)| (name.clone(), *value)));
    for (name, list_changes) in &changes.lists {
        let items = state.lists.entry(name.clone()).or_default();
        for change in list_changes {
            apply_to_list(items, change);
        }
    }
    let mut bodies = Vec::new();
    for (name, kept) in &changes.fields {
        let value = event.value_of(name, &state).unwrap_or(Cow::Owned(Value::Null));
        let (field, body) = keep(name, kept, value, event.sequence_nr);
        bodies.extend(body);
        state.fields.insert(name.clone(), field);
    }
    (state, bodies)
}

/// Applies one change. An index that is out of range was refused when the event was made.
pub fn apply_to_list(items: &mut Vec<Value>, change: &ListChange) {
    match change {
        ListChange::Append(item) => items.push(item.clone()),
        ListChange::Remove(index) if *index < items.len() => drop(items.remove(*index)),
        ListChange::Remove(_) => {}
    }
}

fn keep(name: &str, kept: &Kept, value: Cow<'_, Value>, origin: u64) -> (Field, Option<Body>) {
    if crate::defect!("spoofed-envelope")
        && let Some(reference) = Reference::from_envelope(&value, origin)
    {
        return (Field::Blob(reference), None);
    }
    match kept {
        Kept::Inline => (Field::Inline(value.into_owned()), None),
        Kept::Truncated { limit } => {
            let size = canonical::size_of(&canonical::to_text(&value));
            (Field::Inline(placeholder(size, *limit)), None)
        }
        Kept::Blob { key, size, expires_at } => {
            let text = canonical::to_text(&value);
            let reference = Reference {
                key: key.clone(),
                size: *size,
                expires_at_ms: expires_at.as_deref().and_then(time::from_text),
                origin,
            };
            let body =
                Body { field: name.to_owned(), reference: reference.clone(), text: Arc::new(text) };
            (Field::Blob(reference), Some(body))
        }
    }
}
