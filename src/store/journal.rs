//! Events, and what is written in their transactions.
//!
//! **Invariant (`I3`):** rows of an entity are numbered 1..N; an append that would break this, or
//! that follows another journal than its actor knows, writes nothing.

use std::sync::Arc;

use super::batch::Write;
use super::blobs::{put_all, size_of};
use super::outbox::{Settles, settle, write_intents};
use super::sql::{Row, Value, integer, text};
use super::{Caller, Database, EntityKey, Put, PutCause, SnapshotRow, Store, StoreError};
use crate::canonical;
use crate::entity::Event;

/// An event's row as found. What it says is not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Its number.
    pub sequence_nr: u64,
    /// Its payload's text; nothing if it cannot be read as text.
    pub payload: Option<String>,
    /// The SHA-256 that the payload must have; nothing for rows of the older schema.
    pub sha256: Option<String>,
    /// When the row was written, by the event's timestamp.
    pub created_at: Option<String>,
    /// The action's name.
    pub event_type: Option<String>,
}

/// What one event brings with it.
#[derive(Debug, Clone)]
pub struct Append {
    /// The event; its outbox rows are written with it.
    pub event: Arc<Event>,
    /// Its blobs, for the atomic protocol.
    pub puts: Vec<Put>,
    /// What becomes of the outbox row that the event is owed for, if it is.
    pub settles: Option<Settles>,
}

/// What a replay starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// The entity's snapshot, if it is not ahead of the journal.
    pub snapshot: Option<SnapshotRow>,
    /// Whether a snapshot was ignored because it is ahead of the journal.
    pub snapshot_ahead: bool,
    /// The number of the last event; 0 for an entity that never was.
    pub last: u64,
    /// The events after the snapshot.
    pub events: Vec<EventRow>,
}

/// SQLite prepares a statement again for each new value of a bare `LIMIT ?`: it plans by it. An
/// expression hides the value.
const COLUMNS_AFTER: &str = "SELECT sequence_nr, CAST(payload AS BLOB), CAST(metadata AS BLOB),
        CAST(created_at AS BLOB), CAST(event_type AS BLOB)
    FROM events
    WHERE tenant = ?1 AND entity_type = ?2 AND entity_id = ?3 AND sequence_nr > ?4
    ORDER BY sequence_nr LIMIT ?5 + 0";

impl Store {
    /// Appends one event with all that belongs to it.
    ///
    /// # Errors
    /// [`StoreError::ConcurrencyViolation`] if the journal is not at `event.sequence_nr - 1`;
    /// [`StoreError::RowSettled`] if the row that the event is owed for is not open any more.
    pub async fn append(
        &self,
        caller: Caller<'_>,
        append: Append,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let Append { event, puts, settles } = append;
        // Made before the connection is had: others wait for that.
        let sealed = Sealed::of(&event);
        let size_bytes = sealed.payload.len() + size_of(&puts);
        let mut sealed = Some(sealed);
        let work = move |db: &mut Database, tenant: &str| {
            let key = EntityKey {
                entity_type: event.entity_type.clone(),
                entity_id: event.entity_id.clone(),
            };
            let expected = event.sequence_nr - 1;
            let actual = last_sequence(db, tenant, &key)?;
            if actual != expected {
                return Err(StoreError::ConcurrencyViolation { expected, actual });
            }
            let sealed = sealed.take().unwrap_or_else(|| Sealed::of(&event));
            insert_event(db, tenant, &event, sealed)?;
            write_intents(db, tenant, &event)?;
            if let Some(settles) = &settles {
                settle(db, tenant, settles, &event.timestamp)?;
            }
            put_all(db, &puts, PutCause::Live, now_ms)
        };
        let write = Write { work: Box::new(work), size_bytes };
        let written = self.write_together("store.append", caller, write).await?;
        self.metrics.blobs_put.add(written);
        Ok(())
    }

    /// The snapshot and the events after it, as of one moment.
    ///
    /// # Errors
    /// A failed read; it never looks like an empty or shorter journal.
    pub async fn journal(
        &self,
        caller: Caller<'_>,
        key: &EntityKey,
        from_start: bool,
    ) -> Result<Journal, StoreError> {
        self.read("store.journal", caller, |db, tenant| {
            let last = last_sequence(db, tenant, key)?;
            let found = if from_start { None } else { super::snapshots::read(db, tenant, key)? };
            let (snapshot, snapshot_ahead) = match found {
                Some(snapshot) if snapshot.sequence_nr > last => (None, true),
                other => (other, false),
            };
            let after = snapshot.as_ref().map_or(0, |snapshot| snapshot.sequence_nr);
            let events = events_after(db, tenant, key, after, i64::MAX)?;
            Ok(Journal { snapshot, snapshot_ahead, last, events })
        })
        .await
    }

    /// At most `limit` events after `after`.
    ///
    /// # Errors
    /// A failed read.
    pub async fn events(
        &self,
        caller: Caller<'_>,
        key: &EntityKey,
        after: u64,
        limit: u64,
    ) -> Result<Vec<EventRow>, StoreError> {
        self.read("store.events", caller, |db, tenant| {
            events_after(db, tenant, key, after, i64::try_from(limit).unwrap_or(i64::MAX))
        })
        .await
    }

    /// The ids behind `after` of a type's entities that are not deleted, in order; at most `top`,
    /// after the first `skip`.
    ///
    /// # Errors
    /// A failed read.
    pub async fn entity_ids(
        &self,
        caller: Caller<'_>,
        (entity_type, after): (&str, &str),
        (skip, top): (u64, u64),
    ) -> Result<Vec<String>, StoreError> {
        self.read("store.entity_ids", caller, |db, tenant| {
            let rows = db.rows(
                "SELECT CAST(entity_id AS BLOB) FROM events AS first
                WHERE tenant = ?1 AND entity_type = ?2 AND entity_id > ?5 AND sequence_nr = 1
                    AND 'Deleted' <> (
                        SELECT event_type FROM events AS last
                        WHERE last.tenant = first.tenant AND last.entity_type = first.entity_type
                            AND last.entity_id = first.entity_id
                        ORDER BY sequence_nr DESC LIMIT 1
                    )
                ORDER BY entity_id LIMIT ?3 + 0 OFFSET ?4 + 0",
                vec![text(tenant), text(entity_type), integer(top), integer(skip), text(after)],
            )?;
            let id =
                |mut row: Row| row.text(0).ok_or_else(|| StoreError::Damaged("entity id".into()));
            rows.into_iter().map(id).collect()
        })
        .await
    }
}

fn key_values(tenant: &str, key: &EntityKey) -> Vec<Value> {
    vec![text(tenant), text(&key.entity_type), text(&key.entity_id)]
}

pub(super) fn last_sequence(
    db: &mut Database,
    tenant: &str,
    key: &EntityKey,
) -> Result<u64, StoreError> {
    let row = db.row(
        "SELECT max(sequence_nr) FROM events
        WHERE tenant = ?1 AND entity_type = ?2 AND entity_id = ?3",
        key_values(tenant, key),
    )?;
    let last = row.and_then(|row| row.integer(0)).unwrap_or(0);
    u64::try_from(last).map_err(|_| StoreError::Damaged(format!("sequence number {last} of {key}")))
}

fn events_after(
    db: &mut Database,
    tenant: &str,
    key: &EntityKey,
    after: u64,
    limit: i64,
) -> Result<Vec<EventRow>, StoreError> {
    let mut values = key_values(tenant, key);
    values.extend([integer(after), Value::Integer(limit)]);
    let rows = db.rows(COLUMNS_AFTER, values)?;
    rows.into_iter()
        .map(|mut row| {
            let number = row.integer(0).and_then(|number| u64::try_from(number).ok());
            let damaged = || StoreError::Damaged(format!("sequence number of an event of {key}"));
            let metadata = row.bytes(2);
            Ok(EventRow {
                sequence_nr: number.ok_or_else(damaged)?,
                payload: row.text(1),
                sha256: metadata.and_then(|bytes| checksum(&bytes)),
                created_at: row.text(3),
                event_type: row.text(4),
            })
        })
        .collect()
}

/// The checksum in an event's metadata. Metadata that is there and cannot be read has one that
/// nothing matches.
fn checksum(metadata: &[u8]) -> Option<String> {
    match canonical::parse_stored(metadata) {
        Ok(metadata) => metadata.get("sha256").map(|sum| sum.as_str().unwrap_or("?").to_owned()),
        Err(_) => Some("?".to_owned()),
    }
}

/// An event as its row keeps it.
struct Sealed {
    payload: String,
    metadata: String,
}

impl Sealed {
    fn of(event: &Event) -> Self {
        let payload = event.to_text();
        let metadata = format!("{{\"sha256\":\"{}\"}}", canonical::sha256_hex(payload.as_bytes()));
        Self { payload, metadata }
    }
}

fn insert_event(
    db: &mut Database,
    tenant: &str,
    event: &Event,
    sealed: Sealed,
) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO events
            (tenant, entity_type, entity_id, sequence_nr, event_type, payload, metadata, created_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        vec![
            text(tenant),
            text(&event.entity_type),
            text(&event.entity_id),
            integer(event.sequence_nr),
            text(&event.action),
            Value::Text(sealed.payload),
            Value::Text(sealed.metadata),
            text(&event.timestamp),
        ],
    )?;
    Ok(())
}
