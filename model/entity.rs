//! The logical state of one entity, and the events that made it.
//!
//! A field knows its value and how it is kept; its deadline is not here but follows from the
//! timestamp of the event that wrote it, which the model may know only as a span.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::canonical::Content;
use crate::clock::{Mark, Span};
use crate::inner::{Intended, Intent};

/// The params of a request, each measured once.
pub type Params = BTreeMap<String, Arc<Content>>;

/// The number of a request, in the order of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpId(pub u64);

/// The number of a boot, in order; the first is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootId(pub u32);

/// Where an event comes from: its request, and when the clock can have been read for it.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The request.
    pub op: OpId,
    /// The boot that received it.
    pub boot: BootId,
    /// When it was sent.
    pub sent: Mark,
    /// The readings that can be its event's timestamp.
    pub stamp: Span,
}

/// Which entity: tenant, entity set and id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityKey {
    /// The tenant.
    pub tenant: String,
    /// The entity set.
    pub set: String,
    /// The entity's id.
    pub id: String,
}

impl fmt::Display for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.tenant, self.set, self.id)
    }
}

/// Whether an entity is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existence {
    /// It was never created.
    Never,
    /// It is there.
    Live,
    /// It was created and deleted, for ever.
    Deleted,
}

/// How a value is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In the state itself.
    Inline,
    /// Not at all; a placeholder stands for it.
    Truncated {
        /// The ceiling that it exceeded, in bytes.
        limit_bytes: u64,
    },
    /// As a blob, with a reference in the state.
    Blob {
        /// How long the reference can be read after its event; for ever if there is none.
        ttl_ms: Option<u64>,
    },
}

/// A value and how it is kept.
#[derive(Clone, Debug)]
pub struct Written {
    /// The value that readers see until it expires.
    pub content: Arc<Content>,
    /// How it is kept.
    pub kept: Kept,
}

/// A field of the state: what was written and by which event.
#[derive(Clone, Debug)]
pub struct Field {
    /// The value and how it is kept.
    pub written: Written,
    /// The sequence number of the event that wrote it.
    pub sequence_nr: u64,
}

/// One accepted action.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its place in the journal, from 1.
    pub sequence_nr: u64,
    /// The action, or `Created`, `Updated`, `Deleted`.
    pub action: String,
    /// The state before.
    pub from: String,
    /// The state after.
    pub to: String,
    /// The params in full, `Id` of a creation left out.
    pub params: Params,
    /// The idempotency key of the request.
    pub key: Option<String>,
    /// When it happened: a span until history or a row has shown the timestamp.
    pub stamp: Span,
    /// Whether history or a row has shown the timestamp.
    pub is_stamp_known: bool,
    /// Every field that it wrote.
    pub writes: BTreeMap<String, Written>,
    /// What is to be done later because of it, in the order of the rows of `outbox`.
    pub intents: Vec<Intent>,
    /// The request behind it.
    pub op: OpId,
    /// The boot that received that.
    pub boot: BootId,
    /// When it was sent.
    pub sent: Mark,
}

impl Event {
    /// The spawn whose child's id this field takes.
    pub(crate) fn spawn_into(&self, field: &str) -> Option<&Intent> {
        self.intents.iter().find(|intent| match &intent.what {
            Intended::Spawn { spawn, .. } => spawn.store_id_in == Some(field),
            _ => false,
        })
    }
}

/// The state of an entity after some event.
#[derive(Clone, Debug)]
pub struct State {
    /// The entity's id.
    pub id: String,
    /// Whether it is there.
    pub existence: Existence,
    /// The automaton's state.
    pub status: String,
    /// The events so far.
    pub sequence_nr: u64,
    /// Counters, as guards see them.
    pub counters: BTreeMap<String, i64>,
    /// Flags, as guards see them.
    pub flags: BTreeMap<String, bool>,
    /// Lists and sets, as guards see them.
    pub lists: BTreeMap<String, Arc<Vec<Value>>>,
    /// The fields that readers see.
    pub fields: BTreeMap<String, Field>,
    /// The event that each idempotency key made.
    pub keys: Arc<BTreeMap<String, Arc<Event>>>,
}

impl State {
    /// An entity before its creation.
    pub fn never(id: &str) -> Self {
        State {
            id: id.to_owned(),
            existence: Existence::Never,
            status: String::new(),
            sequence_nr: 0,
            counters: BTreeMap::new(),
            flags: BTreeMap::new(),
            lists: BTreeMap::new(),
            fields: BTreeMap::new(),
            keys: Arc::new(BTreeMap::new()),
        }
    }

    /// The value of a field, expired or not.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).map(|field| field.written.content.value())
    }
}

/// What stands for an id that the platform made up and that nothing has shown so far. No client can
/// send it: its name is the platform's.
pub fn unknown_id() -> Value {
    serde_json::json!({"__temper_generated_id": null})
}

/// Whether a value is [`unknown_id`].
pub fn is_unknown_id(value: &Value) -> bool {
    value.get("__temper_generated_id").is_some()
}

/// Measures every value of a JSON object.
pub fn params_of(map: &Map<String, Value>) -> Params {
    map.iter().map(|(name, value)| (name.clone(), Arc::new(Content::new(value.clone())))).collect()
}
