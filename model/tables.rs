//! Rows of one tenant's tables, as plain data.
//!
//! The runner reads them on a fork of the disk's image and translates them: how the platform writes
//! a payload is its own business.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use crate::canonical::blob_key;
use crate::entity::EntityKey;
use crate::violation::{Invariant, Mismatch, Violation};

/// How an event's row says that it kept a field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeptRow {
    /// In the state itself.
    Inline,
    /// As a placeholder.
    Truncated {
        /// The ceiling that was exceeded, in bytes.
        limit_bytes: u64,
    },
    /// As a blob.
    Blob {
        /// The blob's key.
        key: String,
        /// The blob's size, in bytes.
        size_bytes: u64,
        /// When the reference expires, in milliseconds since 1970.
        deadline_ms: Option<i64>,
    },
}

/// A row of `events`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventRow {
    /// The entity.
    pub entity: EntityKey,
    /// Its place in the journal.
    pub sequence_nr: u64,
    /// The action.
    pub action: String,
    /// The state before.
    pub from: String,
    /// The state after.
    pub to: String,
    /// When it happened, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The params in full.
    pub params: Map<String, Value>,
    /// The idempotency key.
    pub key: Option<String>,
    /// How each written field is kept.
    pub kept: BTreeMap<String, KeptRow>,
    /// The ids that the platform gave to entities, by the fields that took them.
    pub ids: BTreeMap<String, String>,
    /// What the event leaves to be done, in order.
    pub intents: Vec<IntentRow>,
}

/// What an event's row says is to be done later.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IntentRow {
    /// A guest is run.
    Trigger {
        /// The integration's name.
        integration: String,
    },
    /// An action is called.
    Schedule {
        /// The action.
        action: String,
        /// When, in milliseconds since 1970.
        due_at_ms: i64,
    },
    /// An entity is created.
    Spawn {
        /// Its type.
        entity_type: String,
        /// Its id.
        entity_id: String,
        /// The action that follows.
        initial_action: Option<String>,
        /// The copied values.
        fields: Map<String, Value>,
    },
}

/// How far a row of `outbox` has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OutboxState {
    /// It is still to be done.
    Open,
    /// Its effect is an event.
    Done,
    /// There is no effect, for this reason.
    Closed(String),
}

/// A row of `outbox`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OutboxRow {
    /// The entity whose event left it.
    pub entity: EntityKey,
    /// The event.
    pub sequence_nr: u64,
    /// Its number among the event's.
    pub n: u64,
    /// `trigger`, `schedule` or `spawn`.
    pub kind: String,
    /// When it is due, in milliseconds since 1970; none for at once.
    pub due_at_ms: Option<i64>,
    /// How far it has come.
    pub state: OutboxState,
}

/// A blob's bytes. Clones share them and their hash, which is taken once: a body that was read again
/// and found the same need not be hashed again.
#[derive(Clone)]
pub struct Body(Arc<(Vec<u8>, OnceLock<String>)>);

impl Body {
    /// The key that these bytes have.
    pub fn key(&self) -> &str {
        self.0.1.get_or_init(|| blob_key(&self.0.0))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Body(Arc::new((bytes, OnceLock::new())))
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.0
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self[..] == other[..]
    }
}

impl Eq for Body {}

impl Hash for Body {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self[..].hash(state);
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self[..].fmt(formatter)
    }
}

/// A row of `blobs`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlobRow {
    /// `blob_key`.
    pub key: String,
    /// `data`.
    pub data: Body,
    /// `size_bytes`.
    pub size_bytes: u64,
    /// `expires_at` in milliseconds since 1970; none for a permanent row.
    pub expires_at_ms: Option<i64>,
}

/// A row of `snapshots`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotRow {
    /// The entity.
    pub entity: EntityKey,
    /// The last event that it covers.
    pub sequence_nr: u64,
}

/// The rows of one tenant at one moment.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub struct TenantRows {
    /// The tenant.
    pub tenant: String,
    /// `events`, in any order.
    pub events: Vec<Arc<EventRow>>,
    /// `blobs`, in any order.
    pub blobs: Vec<BlobRow>,
    /// `snapshots`, in any order.
    pub snapshots: Vec<SnapshotRow>,
    /// `outbox`, in any order.
    pub outbox: Vec<OutboxRow>,
}

/// Of which store rows were read, and so what they prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// An idle store, forked as if killed. What is in doubt may still change: a commit that failed
    /// can stand in the log and be overwritten when it is settled (section 4).
    Idle,
    /// An idle store in which no commit's outcome is open: what a row shows is there for ever.
    Settled,
    /// A store whose boot has ended. What is in doubt may still be lost until it was shown.
    Dead,
}

/// I11: two readings of one tenant, before and after a replay or a recovery, must be equal.
pub fn same_rows(before: &TenantRows, after: &TenantRows) -> Option<Violation> {
    let tenant = before.tenant.clone();
    let place = if sorted_events(before) != sorted_events(after) {
        "events differ after recovery"
    } else if sorted_blobs(before) != sorted_blobs(after) {
        "blobs differ after recovery"
    } else if sorted_snapshots(before) != sorted_snapshots(after) {
        "snapshots differ after recovery"
    } else if sorted_outbox(before) != sorted_outbox(after) {
        "outbox differs after recovery"
    } else {
        return None;
    };
    let count = |rows: &TenantRows| {
        let (events, blobs) = (rows.events.len(), rows.blobs.len());
        let (snapshots, outbox) = (rows.snapshots.len(), rows.outbox.len());
        format!("{events} events, {blobs} blobs, {snapshots} snapshots, {outbox} of outbox")
    };
    Some(Mismatch::new(Invariant::I11, place, count(before), count(after)).at(tenant))
}

fn sorted_events(rows: &TenantRows) -> Vec<&EventRow> {
    let mut events: Vec<&EventRow> = rows.events.iter().map(|row| &**row).collect();
    events.sort_by(|a, b| (&a.entity, a.sequence_nr).cmp(&(&b.entity, b.sequence_nr)));
    events
}

fn sorted_blobs(rows: &TenantRows) -> Vec<&BlobRow> {
    let mut blobs: Vec<&BlobRow> = rows.blobs.iter().collect();
    blobs.sort_by(|a, b| a.key.cmp(&b.key));
    blobs
}

fn sorted_snapshots(rows: &TenantRows) -> Vec<&SnapshotRow> {
    let mut snapshots: Vec<&SnapshotRow> = rows.snapshots.iter().collect();
    snapshots.sort_by(|a, b| a.entity.cmp(&b.entity));
    snapshots
}

fn sorted_outbox(rows: &TenantRows) -> Vec<&OutboxRow> {
    let mut outbox: Vec<&OutboxRow> = rows.outbox.iter().collect();
    outbox.sort_by(|a, b| (&a.entity, a.sequence_nr, a.n).cmp(&(&b.entity, b.sequence_nr, b.n)));
    outbox
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_in_another_order_are_the_same_and_other_rows_are_not() {
        let blob = |key: &str, expires_at_ms| BlobRow {
            key: key.into(),
            data: b"1".to_vec().into(),
            size_bytes: 1,
            expires_at_ms,
        };
        let rows = |blobs| TenantRows { tenant: "t".into(), blobs, ..TenantRows::default() };
        let before = rows(vec![blob("a", None), blob("b", Some(5))]);
        assert_eq!(same_rows(&before, &rows(vec![blob("b", Some(5)), blob("a", None)])), None);
        let found = same_rows(&before, &rows(vec![blob("a", None), blob("b", Some(6))])).unwrap();
        assert_eq!((found.invariant, found.place), (Invariant::I11, "blobs differ after recovery"));
    }
}
