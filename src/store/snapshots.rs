//! One snapshot per entity.
//!
//! **Invariant (`I20`):** a snapshot's `sequence_nr` never falls and never passes the journal's.

use super::journal::last_sequence;
use super::sql::{Value, integer, text};
use super::{Caller, Database, EntityKey, Store, StoreError};
use crate::time;

/// A snapshot as found. What it says is not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRow {
    /// The last event in it.
    pub sequence_nr: u64,
    /// Its text; nothing if it cannot be read as text.
    pub text: Option<String>,
}

const KEEP_HIGHER: &str = "INSERT INTO snapshots
        (tenant, entity_type, entity_id, sequence_nr, snapshot, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (tenant, entity_type, entity_id) DO UPDATE SET
        sequence_nr = excluded.sequence_nr,
        snapshot = excluded.snapshot,
        created_at = excluded.created_at
    WHERE excluded.sequence_nr > snapshots.sequence_nr";

const REPLACE: &str = "INSERT OR REPLACE INTO snapshots
        (tenant, entity_type, entity_id, sequence_nr, snapshot, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

impl Store {
    /// Keeps a snapshot, unless a higher one is there. `replaces` is set where the one that is
    /// there was found unusable.
    ///
    /// # Errors
    /// Any: it costs the next replay some time, nothing else.
    pub async fn save_snapshot(
        &self,
        caller: Caller<'_>,
        key: &EntityKey,
        snapshot: SnapshotRow,
        replaces: bool,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        self.write("store.snapshot", caller, |db, tenant| {
            let actual = last_sequence(db, tenant, key)?;
            if snapshot.sequence_nr > actual {
                let expected = snapshot.sequence_nr;
                return Err(StoreError::ConcurrencyViolation { expected, actual });
            }
            let replaces = replaces || crate::defect!("snapshot-goes-back");
            db.execute(
                if replaces { REPLACE } else { KEEP_HIGHER },
                vec![
                    text(tenant),
                    text(&key.entity_type),
                    text(&key.entity_id),
                    integer(snapshot.sequence_nr),
                    Value::Text(snapshot.text.unwrap_or_default()),
                    Value::Text(time::to_text(now_ms)),
                ],
            )?;
            Ok(())
        })
        .await
    }
}

pub(super) fn read(
    db: &mut Database,
    tenant: &str,
    key: &EntityKey,
) -> Result<Option<SnapshotRow>, StoreError> {
    let row = db.row(
        "SELECT sequence_nr, CAST(snapshot AS BLOB) FROM snapshots
        WHERE tenant = ?1 AND entity_type = ?2 AND entity_id = ?3",
        vec![text(tenant), text(&key.entity_type), text(&key.entity_id)],
    )?;
    Ok(row.map(|mut row| {
        let number = row.integer(0).and_then(|number| u64::try_from(number).ok());
        // A number that is none is treated as ahead of every journal: ignored and replaced.
        SnapshotRow { sequence_nr: number.unwrap_or(u64::MAX), text: row.text(1) }
    }))
}
