//! Rows of the outbox: what the platform still owes an accepted action.
//!
//! **Invariant (`I15`):** a row is written with its event and settled once: `done` in the transaction
//! of the event that is its effect, or `closed` with a reason. Nothing opens it again.

use super::sql::{Row, Value, integer, optional, text};
use super::{Caller, Database, EntityKey, Store, StoreError};
use crate::entity::{DELETED, Event, Intent};
use crate::{canonical, probe, time};

/// Which row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey {
    /// The entity whose event it is from.
    pub entity: EntityKey,
    /// That event.
    pub sequence_nr: u64,
    /// Its place among the event's rows, from 0.
    pub n: u64,
}

/// An open row.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenRow {
    /// Which.
    pub key: RowKey,
    /// What is owed.
    pub intent: Intent,
    /// When; at once where it says nothing.
    pub due_ms: Option<i64>,
}

/// What an append does to the row that its event is owed for.
#[derive(Debug, Clone, PartialEq)]
pub enum Settles {
    /// The event is the row's effect.
    Done(RowKey),
    /// The event is a step on the way to it: the row must be open, and stays so.
    Step(RowKey),
}

impl OpenRow {
    /// The rows that an event brings, as [`Store::open_rows`] would find them.
    pub fn of_event(event: &Event) -> Vec<Self> {
        let entity = EntityKey {
            entity_type: event.entity_type.clone(),
            entity_id: event.entity_id.clone(),
        };
        let intents = (0..).zip(&event.intents);
        intents
            .map(|(n, intent)| Self {
                key: RowKey { entity: entity.clone(), sequence_nr: event.sequence_nr, n },
                intent: intent.clone(),
                due_ms: intent.due_at().and_then(time::from_text),
            })
            .collect()
    }
}

impl Store {
    /// Every open row, in the order of their writing. Rows that cannot be read whole are left out
    /// and logged: they are damage, and say so again at each start.
    ///
    /// # Errors
    /// A failed read; it never looks like an empty outbox.
    pub async fn open_rows(&self, caller: Caller<'_>) -> Result<Vec<OpenRow>, StoreError> {
        self.read("store.outbox", caller, |db, tenant| {
            let rows = db.rows(
                "SELECT id, CAST(entity_type AS BLOB), CAST(entity_id AS BLOB), sequence_nr, n,
                    CAST(payload AS BLOB), CAST(due_at AS BLOB)
                FROM outbox WHERE tenant = ?1 AND state = 'open' ORDER BY id",
                vec![text(tenant)],
            )?;
            let mut open = Vec::new();
            for mut row in rows {
                let id = row.integer(0);
                match decode(&mut row) {
                    Some(row) => open.push(row),
                    None => tracing::error!(tenant, id, "outbox row cannot be decoded"),
                }
            }
            Ok(open)
        })
        .await
    }

    /// Closes a row without an effect, unless it is settled already.
    ///
    /// # Errors
    /// Nothing was changed, or the commit is in doubt.
    pub async fn close_row(
        &self,
        caller: Caller<'_>,
        key: &RowKey,
        reason: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        self.write("store.settle", caller, |db, tenant| {
            let mut values = key_values(tenant, key);
            values.extend([text(reason), Value::Text(time::to_text(now_ms))]);
            db.execute(
                "UPDATE outbox SET state = 'closed', reason = ?6, settled_at = ?7
                WHERE tenant = ?1 AND entity_type = ?2 AND entity_id = ?3 AND sequence_nr = ?4
                    AND n = ?5 AND state = 'open'",
                values,
            )?;
            Ok(())
        })
        .await
    }

    /// With the defect `callback-twice`: settles a row in a transaction of its own.
    ///
    /// # Errors
    /// Nothing was changed, or the commit is in doubt.
    pub async fn settle_row(
        &self,
        caller: Caller<'_>,
        key: &RowKey,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let settled_at = time::to_text(now_ms);
        self.write("store.settle", caller, |db, tenant| {
            settle(db, tenant, &Settles::Done(key.clone()), &settled_at)
        })
        .await
    }
}

fn decode(row: &mut Row) -> Option<OpenRow> {
    let entity = EntityKey { entity_type: row.text(1)?, entity_id: row.text(2)? };
    let number = |number: Option<i64>| u64::try_from(number?).ok();
    let (sequence_nr, n) = (number(row.integer(3))?, number(row.integer(4))?);
    let payload = canonical::parse_stored(row.text(5)?.as_bytes()).ok()?;
    let intent: Intent = serde_json::from_value(payload).ok()?;
    let due_ms = match row.text(6) {
        Some(due_at) => Some(time::from_text(&due_at)?),
        None => None,
    };
    Some(OpenRow { key: RowKey { entity, sequence_nr, n }, intent, due_ms })
}

fn key_values(tenant: &str, key: &RowKey) -> Vec<Value> {
    vec![
        text(tenant),
        text(&key.entity.entity_type),
        text(&key.entity.entity_id),
        integer(key.sequence_nr),
        integer(key.n),
    ]
}

/// Within the transaction of the event that is the row's effect.
pub(super) fn settle(
    db: &mut Database,
    tenant: &str,
    settles: &Settles,
    settled_at: &str,
) -> Result<(), StoreError> {
    let is_open = match settles {
        Settles::Done(key) => {
            let mut values = key_values(tenant, key);
            values.push(text(settled_at));
            let changed = db.execute(
                "UPDATE outbox SET state = 'done', settled_at = ?6
                WHERE tenant = ?1 AND entity_type = ?2 AND entity_id = ?3 AND sequence_nr = ?4
                    AND n = ?5 AND state = 'open'",
                values,
            )?;
            changed == 1
        }
        Settles::Step(key) => {
            let row = db.row(
                "SELECT 1 FROM outbox
                WHERE tenant = ?1 AND entity_type = ?2 AND entity_id = ?3 AND sequence_nr = ?4
                    AND n = ?5 AND state = 'open'",
                key_values(tenant, key),
            )?;
            row.is_some()
        }
    };
    if is_open { Ok(()) } else { Err(StoreError::RowSettled) }
}

/// The rows of an event, or with a deletion the end of all that the entity still has.
pub(super) fn write_intents(
    db: &mut Database,
    tenant: &str,
    event: &Event,
) -> Result<(), StoreError> {
    if event.action == DELETED {
        let closed = db.execute(
            "UPDATE outbox SET state = 'closed', reason = 'entity deleted', settled_at = ?4
            WHERE tenant = ?1 AND entity_type = ?2 AND entity_id = ?3 AND state = 'open'",
            vec![
                text(tenant),
                text(&event.entity_type),
                text(&event.entity_id),
                text(&event.timestamp),
            ],
        )?;
        if closed > 0 {
            probe!("a deletion closed rows");
        }
    }
    for (n, intent) in (0..).zip(&event.intents) {
        let payload = serde_json::to_value(intent).expect("an intent is made of JSON values only");
        db.execute(
            "INSERT INTO outbox
                (tenant, entity_type, entity_id, sequence_nr, n, kind, payload, due_at, created_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            vec![
                text(tenant),
                text(&event.entity_type),
                text(&event.entity_id),
                integer(event.sequence_nr),
                integer(n),
                text(intent.kind()),
                Value::Text(canonical::to_text(&payload)),
                optional(intent.due_at()),
                text(&event.timestamp),
            ],
        )?;
    }
    Ok(())
}
