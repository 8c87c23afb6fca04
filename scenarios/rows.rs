//! What is in a tenant's tables, read on a copy of the disk.
//!
//! **Invariant:** the run does not notice. The copy is a machine of its own, without trace and faults,
//! and SQLite's random numbers are held still.

use crate::seams::{database_path, tenants_on};
use crate::translate::utc_ms;
use libsql::{Connection, Row};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use stormglass_model::entity::EntityKey;
use stormglass_model::tables::{BlobRow, EventRow, KeptRow, SnapshotRow, TenantRows};
use stormglass_sim::{Disk, Ending, World};

/// What one look at a tenant's file found.
pub struct Look {
    /// `PRAGMA integrity_check`'s answer: `ok`.
    pub integrity: String,
    /// The rows, or why they cannot be read.
    pub rows: Result<TenantRows, String>,
}

/// Looks at the files of `tenants` and of every other tenant on `disk`, as if the process had been
/// killed at that moment. A tenant without a file has no rows.
pub async fn look(world: &World, disk: Disk, tenants: &BTreeSet<String>) -> Vec<Look> {
    let _kept = world.keep_randomness();
    let on_disk = tenants_on(&disk);
    let missing = tenants.iter().filter(|tenant| !on_disk.contains(tenant));
    let machine = world.side_machine(disk, &Ending::ProcessKill);
    machine.set_quota(None);
    let boot = machine.boot();
    let mut looks: Vec<Look> = missing
        .map(|tenant| {
            let rows = TenantRows { tenant: tenant.clone(), ..TenantRows::default() };
            Look { integrity: "ok".to_string(), rows: Ok(rows) }
        })
        .collect();
    for tenant in on_disk {
        looks.push(look_at(&boot.uri(&database_path(&tenant)), &tenant).await);
    }
    looks
}

async fn look_at(uri: &str, tenant: &str) -> Look {
    let unreadable =
        |error: libsql::Error| Look { integrity: error.to_string(), rows: Err(error.to_string()) };
    let connection = match open(uri).await {
        Ok(connection) => connection,
        Err(error) => return unreadable(error),
    };
    let integrity = match first_text(&connection, "PRAGMA integrity_check(1)").await {
        Ok(answer) => answer,
        Err(error) => return unreadable(error),
    };
    Look { integrity, rows: read_rows(&connection, tenant).await }
}

async fn open(uri: &str) -> libsql::Result<Connection> {
    libsql::Builder::new_local(uri).build().await?.connect()
}

async fn first_text(connection: &Connection, sql: &str) -> libsql::Result<String> {
    let mut rows = connection.query(sql, ()).await?;
    match rows.next().await? {
        Some(row) => row.get(0),
        None => Ok(String::new()),
    }
}

async fn read_rows(connection: &Connection, tenant: &str) -> Result<TenantRows, String> {
    let mut found = TenantRows { tenant: tenant.to_string(), ..TenantRows::default() };
    let tables = "SELECT group_concat(name, ' ') FROM sqlite_schema WHERE type = 'table'";
    let tables = first_text(connection, tables).await.unwrap_or_default();
    let has = |table: &str| tables.split(' ').any(|name| name == table);
    // A crash may fall before a table was made: what is not there has no rows.
    if has("events") {
        let sql = "SELECT tenant, entity_type, entity_id, sequence_nr, payload FROM events";
        found.events = read(connection, sql, event).await?;
    }
    if has("blobs") {
        let sql = "SELECT blob_key, CAST(data AS BLOB), size_bytes, expires_at FROM blobs";
        found.blobs = read(connection, sql, blob).await?;
    }
    if has("snapshots") {
        let sql = "SELECT tenant, entity_type, entity_id, sequence_nr FROM snapshots";
        found.snapshots = read(connection, sql, snapshot).await?;
    }
    Ok(found)
}

async fn read<T>(
    connection: &Connection,
    sql: &str,
    convert: impl Fn(&Row) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let words = |error: libsql::Error| error.to_string();
    let mut rows = connection.query(sql, ()).await.map_err(words)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().await.map_err(words)? {
        found.push(convert(&row)?);
    }
    Ok(found)
}

fn text(row: &Row, column: i32) -> Result<String, String> {
    row.get(column).map_err(|error| format!("column {column}: {error}"))
}

fn number(row: &Row, column: i32) -> Result<u64, String> {
    row.get(column).map_err(|error| format!("column {column}: {error}"))
}

fn key(row: &Row) -> Result<EntityKey, String> {
    let set = format!("{}s", text(row, 1)?);
    Ok(EntityKey { tenant: text(row, 0)?, set, id: text(row, 2)? })
}

fn snapshot(row: &Row) -> Result<SnapshotRow, String> {
    Ok(SnapshotRow { entity: key(row)?, sequence_nr: number(row, 3)? })
}

fn blob(row: &Row) -> Result<BlobRow, String> {
    let expires_at: Option<String> = row.get(3).map_err(|error| error.to_string())?;
    let expires_at_ms = match expires_at {
        None => None,
        Some(at) => Some(utc_ms(&at).ok_or_else(|| format!("expires_at `{at}` is no time"))?),
    };
    Ok(BlobRow {
        key: text(row, 0)?,
        data: row.get(1).map_err(|error| error.to_string())?,
        size_bytes: number(row, 2)?,
        expires_at_ms,
    })
}

fn event(row: &Row) -> Result<EventRow, String> {
    let (entity, sequence_nr) = (key(row)?, number(row, 3)?);
    let payload = text(row, 4)?;
    let payload: Value = serde_json::from_str(&payload)
        .map_err(|error| format!("payload of event {sequence_nr} of {entity}: {error}"))?;
    event_of_payload(entity, sequence_nr, &payload)
        .ok_or_else(|| format!("payload of event {sequence_nr} of an entity has another shape"))
}

/// Reads the platform's payload: how it writes one is its own business, what it says is not.
fn event_of_payload(entity: EntityKey, sequence_nr: u64, payload: &Value) -> Option<EventRow> {
    let words = |name: &str| payload.get(name).and_then(Value::as_str).map(str::to_string);
    let timestamp_ms = utc_ms(&words("timestamp")?)?;
    let fields = payload.pointer("/changes/fields").and_then(Value::as_object);
    let nothing = Map::new();
    let mut kept = BTreeMap::new();
    for (field, how) in fields.unwrap_or(&nothing) {
        kept.insert(field.clone(), kept_row(how)?);
    }
    Some(EventRow {
        entity,
        sequence_nr,
        action: words("action")?,
        from: words("from")?,
        to: words("to")?,
        timestamp_ms,
        params: payload.get("params")?.as_object()?.clone(),
        key: words("idempotency_key"),
        kept,
    })
}

fn kept_row(how: &Value) -> Option<KeptRow> {
    Some(match how.get("kept")?.as_str()? {
        "inline" => KeptRow::Inline,
        "truncated" => KeptRow::Truncated { limit_bytes: how.get("limit")?.as_u64()? },
        "blob" => KeptRow::Blob {
            key: how.get("key")?.as_str()?.to_string(),
            size_bytes: how.get("size")?.as_u64()?,
            deadline_ms: match how.get("expires_at") {
                None => None,
                Some(at) => Some(utc_ms(at.as_str()?)?),
            },
        },
        _ => return None,
    })
}
