//! Tables read by SQLite's file format, and of each row only what has changed.
//!
//! **Invariant:** a row is taken from the last reading only where its bytes in the file are the same.

use super::{deadline, entity_key, event_of_text};
use crate::seams::database_path;
use std::sync::Arc;
use stormglass_model::entity::EntityKey;
use stormglass_model::tables::{BlobRow, Body, EventRow, SnapshotRow, TenantRows};
use stormglass_sim::Disk;
use stormglass_sim::sqlite_file::{Memory, ReadError, Row, Tables, Value};

/// What the last reading of a file has left.
#[derive(Default)]
pub struct Known {
    memory: Memory,
    events: Vec<KnownEvent>,
    blobs: Vec<BlobRow>,
}

/// An event and the record that says so. Payloads are long to parse and quick to compare.
struct KnownEvent {
    rowid: i64,
    record: Vec<u8>,
    event: Arc<EventRow>,
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
        known.events = events(&tables, std::mem::take(&mut known.events))?;
        found.events = known.events.iter().map(|known| Arc::clone(&known.event)).collect();
    }
    if tables.has("blobs") {
        known.blobs = blobs(&tables, &known.blobs)?;
        found.blobs = known.blobs.clone();
    }
    if tables.has("snapshots") {
        let columns = ["tenant", "entity_type", "entity_id", "sequence_nr"];
        tables.rows("snapshots", &columns, |row| {
            found.snapshots.push(SnapshotRow { entity: key(row)?, sequence_nr: number(row, 3)? });
            Ok::<(), Failed>(())
        })?;
    }
    Ok(found)
}

fn events(tables: &Tables<'_>, known: Vec<KnownEvent>) -> Result<Vec<KnownEvent>, Failed> {
    let mut found = Vec::with_capacity(known.len() + 1);
    let mut known = known.into_iter().peekable();
    let columns = ["tenant", "entity_type", "entity_id", "sequence_nr", "payload"];
    tables.rows("events", &columns, |row| {
        let (rowid, record) = (row.rowid(), row.record());
        // Both come in the order of rowids.
        while known.next_if(|known| known.rowid < rowid).is_some() {}
        let before = known.next_if(|known| known.rowid == rowid && known.record == record);
        found.push(match before {
            Some(before) => before,
            None => {
                let event = event_of_text(key(row)?, number(row, 3)?, row.text(4)?)?;
                KnownEvent { rowid, record: record.to_vec(), event: Arc::new(event) }
            }
        });
        Ok::<(), Failed>(())
    })?;
    Ok(found)
}

fn blobs(tables: &Tables<'_>, known: &[BlobRow]) -> Result<Vec<BlobRow>, Failed> {
    let mut found = Vec::with_capacity(known.len() + 1);
    tables.rows("blobs", &["blob_key", "data", "size_bytes", "expires_at"], |row| {
        let (key, data) = (row.text(0)?, row.bytes(1)?);
        let before = known.iter().map(|known| &known.data).find(|body| body[..] == *data);
        let expires_at = match row.value(3)? {
            Value::Null => None,
            _ => Some(row.text(3)?),
        };
        found.push(BlobRow {
            key: key.to_string(),
            data: before.cloned().unwrap_or_else(|| Body::from(data.to_vec())),
            size_bytes: number(row, 2)?,
            expires_at_ms: deadline(expires_at)?,
        });
        Ok::<(), Failed>(())
    })?;
    Ok(found)
}

fn key(row: &Row<'_>) -> Result<EntityKey, Failed> {
    Ok(entity_key(row.text(0)?, row.text(1)?, row.text(2)?))
}

fn number(row: &Row<'_>, column: usize) -> Result<u64, Failed> {
    let number = row.integer(column)?;
    u64::try_from(number).map_err(|_| Failed(format!("column {column} is {number}")))
}
