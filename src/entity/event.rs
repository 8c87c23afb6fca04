//! One journal row's payload: what happened, in full.
//!
//! **Invariant:** folding needs nothing but events. Whatever a spec, a clock or a generator decided
//! is recorded here, so that a replay evaluates no guard and no effect and generates no id (`I11`).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::state::EntityState;
use crate::canonical;
use crate::overflow::Kept;

/// The format of payloads written by this version. Payloads without one are of the older schema.
pub const FORMAT: u32 = 1;

/// The action names that the platform keeps for itself.
pub const CREATED: &str = "Created";
/// See [`CREATED`].
pub const UPDATED: &str = "Updated";
/// See [`CREATED`].
pub const DELETED: &str = "Deleted";

/// The durable record of one accepted action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// [`FORMAT`].
    pub format: u32,
    /// With the id and number below: an event moved to another row is found out.
    pub entity_type: String,
    /// The entity.
    pub entity_id: String,
    /// 1 for the first.
    pub sequence_nr: u64,
    /// The action, or `Created`, `Updated`, `Deleted`.
    pub action: String,
    /// The status before; nothing for a creation.
    pub from: String,
    /// The status after.
    pub to: String,
    /// The clock when the actor took the action up, as sortable text.
    pub timestamp: String,
    /// As sent, in full. [`Event::to_text`] adds them: a serializer would copy them letter by letter.
    #[serde(skip_serializing)]
    pub params: Map<String, Value>,
    /// As sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// What of the entity this event changed.
    #[serde(default)]
    pub changes: Changes,
    /// Named events for the world outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emitted: Vec<String>,
    /// Rows of `outbox`, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intents: Vec<Intent>,
}

/// Changes as applied.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Changes {
    /// The new values of counters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<String, u64>,
    /// The new values of bools.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bools: BTreeMap<String, bool>,
    /// What happened to lists, in order; a creation names every list.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub lists: BTreeMap<String, Vec<ListChange>>,
    /// A creation's initial values of the fields that its params do not name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub initial: BTreeMap<String, Value>,
    /// Generated ids by the field that took them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ids: BTreeMap<String, String>,
    /// Fields that show the status; named by the creation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub status_fields: Vec<String>,
    /// For each field written, how it is kept.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Kept>,
}

/// One change of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListChange {
    /// At the end.
    Append(Value),
    /// By index.
    Remove(usize),
}

/// Something that the platform does later because of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Intent {
    /// Run a module.
    Trigger {
        /// The integration's name.
        integration: String,
    },
    /// Call an action of this entity.
    Schedule {
        /// The action.
        action: String,
        /// When, as sortable text.
        due_at: String,
    },
    /// Create another entity.
    Spawn {
        /// Its type.
        entity_type: String,
        /// Its id.
        entity_id: String,
        /// Called once it is there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        initial_action: Option<String>,
        /// What it is created with.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        fields: Map<String, Value>,
    },
}

impl Intent {
    /// As the `kind` of its outbox row.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Trigger { .. } => "trigger",
            Self::Schedule { .. } => "schedule",
            Self::Spawn { .. } => "spawn",
        }
    }

    /// When it is due, if not at once.
    pub fn due_at(&self) -> Option<&str> {
        match self {
            Self::Schedule { due_at, .. } => Some(due_at),
            Self::Trigger { .. } | Self::Spawn { .. } => None,
        }
    }
}

impl Event {
    /// The payload's text, canonical.
    pub fn to_text(&self) -> String {
        let value = serde_json::to_value(self).expect("an event is made of JSON values only");
        let rest = value.as_object().expect("an event is an object");
        canonical::object_with((rest, "params"), &self.params)
    }

    /// The value that this event gave to a field. `after` is the state with the event folded in.
    pub fn value_of(&self, field: &str, after: &EntityState) -> Option<Cow<'_, Value>> {
        if let (true, Some(items)) =
            (self.changes.lists.contains_key(field), after.lists.get(field))
        {
            return Some(Cow::Owned(Value::Array(items.clone())));
        }
        self.own_value_of(field)
    }

    /// The value that this event alone tells of a field: no list's, which is a sum of many events.
    pub fn own_value_of(&self, field: &str) -> Option<Cow<'_, Value>> {
        if let Some(id) = self.changes.ids.get(field) {
            return Some(Cow::Owned(Value::from(id.as_str())));
        }
        let value = self.params.get(field).or_else(|| self.changes.initial.get(field));
        value.map(Cow::Borrowed)
    }
}
