//! Tables read by SQLite's file format, and of each row only what has changed.
//!
//! **Invariant:** a row is taken from the last reading only where its record is the very same.

use super::{deadline, entity_key, event_of_text, outbox_row};
use crate::seams::database_path;
use std::collections::BTreeMap;
use std::sync::Arc;
use stormglass_model::entity::EntityKey;
use stormglass_model::tables::{BlobRow, EventRow, SnapshotRow, TenantRows};
use stormglass_sim::Disk;
use stormglass_sim::sqlite_file::{Memory, ReadError, Row, Tables, Value};

/// What the last reading of a file has left.
#[derive(Clone, Default)]
pub struct Known {
    memory: Memory,
    /// Rows by the numbers of their records.
    events: BTreeMap<u64, Arc<EventRow>>,
    blobs: BTreeMap<u64, BlobRow>,
}

/// Why rows were not read this way.
pub struct Failed(String);

impl From<ReadError> for Failed {
    fn from(error: ReadError) -> Failed {
        Failed(error.to_string())
    }
}

impl From<String> for Failed {
    fn from(why: String) -> Failed {
        Failed(why)
    }
}

/// A tenant's rows, or why they cannot be read this way.
pub fn read(disk: &Disk, tenant: &str, known: &mut Known) -> Result<TenantRows, String> {
    read_all(disk, tenant, known).map_err(|Failed(why)| why)
}

fn read_all(disk: &Disk, tenant: &str, known: &mut Known) -> Result<TenantRows, Failed> {
    let tables = Tables::open(disk, &database_path(tenant), &mut known.memory)?;
    let mut found = TenantRows { tenant: tenant.to_string(), ..TenantRows::default() };
    // A crash may fall before a table was made: what is not there has no rows.
    if tables.has("events") {
        let columns = ["tenant", "entity_type", "entity_id", "sequence_nr", "payload"];
        found.events = changed(&tables, "events", &columns, &mut known.events, |row| {
            Ok(Arc::new(event_of_text(key(row)?, number(row, 3)?, row.text(4)?)?))
        })?;
    }
    if tables.has("blobs") {
        let columns = ["blob_key", "data", "size_bytes", "expires_at"];
        found.blobs = changed(&tables, "blobs", &columns, &mut known.blobs, blob)?;
    }
    if tables.has("snapshots") {
        let columns = ["tenant", "entity_type", "entity_id", "sequence_nr"];
        tables.rows("snapshots", &columns, |row| {
            found.snapshots.push(SnapshotRow { entity: key(row)?, sequence_nr: number(row, 3)? });
            Ok::<(), Failed>(())
        })?;
    }
    if tables.has("outbox") {
        let columns = [
            "tenant",
            "entity_type",
            "entity_id",
            "sequence_nr",
            "n",
            "kind",
            "due_at",
            "state",
            "reason",
        ];
        tables.rows("outbox", &columns, |row| {
            let at = (key(row)?, number(row, 3)?, number(row, 4)?);
            let how = (row.text(7)?, optional_text(row, 8)?);
            found.outbox.push(outbox_row(at, row.text(5)?, optional_text(row, 6)?, how)?);
            Ok::<(), Failed>(())
        })?;
    }
    Ok(found)
}

fn optional_text<'a>(row: &'a Row<'_>, column: usize) -> Result<Option<&'a str>, Failed> {
    match row.value(column)? {
        Value::Null => Ok(None),
        _ => Ok(Some(row.text(column)?)),
    }
}

/// The rows of a table, of which those that were known before are not read again.
fn changed<T: Clone>(
    tables: &Tables<'_>,
    table: &str,
    columns: &[&str],
    known: &mut BTreeMap<u64, T>,
    read: impl Fn(&Row<'_>) -> Result<T, Failed>,
) -> Result<Vec<T>, Failed> {
    let (before, mut found) = (std::mem::take(known), Vec::with_capacity(known.len() + 1));
    let is_known = |number| before.contains_key(&number);
    tables.changed_rows(table, columns, is_known, |number, row| {
        let value = match row {
            Some(row) => read(row)?,
            None => before[&number].clone(),
        };
        known.insert(number, value.clone());
        found.push(value);
        Ok::<(), Failed>(())
    })?;
    Ok(found)
}

fn blob(row: &Row<'_>) -> Result<BlobRow, Failed> {
    let expires_at = optional_text(row, 3)?;
    Ok(BlobRow {
        key: row.text(0)?.to_string(),
        data: row.bytes(1)?.to_vec().into(),
        size_bytes: number(row, 2)?,
        expires_at_ms: deadline(expires_at)?,
    })
}

fn key(row: &Row<'_>) -> Result<EntityKey, Failed> {
    Ok(entity_key(row.text(0)?, row.text(1)?, row.text(2)?))
}

fn number(row: &Row<'_>, column: usize) -> Result<u64, Failed> {
    let number = row.integer(column)?;
    u64::try_from(number).map_err(|_| Failed(format!("column {column} is {number}")))
}
