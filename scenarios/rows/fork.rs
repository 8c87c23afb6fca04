//! Tables read by libsql on a fork of the disk.
//!
//! **Invariant:** the fork is a machine of its own, killed when the look is over: a connection of a dead
//! process closes without a checkpoint.

use super::{deadline, entity_key, event_of_text, outbox_row};
use crate::seams::database_path;
use libsql::{Connection, Row};
use std::sync::Arc;
use stormglass_model::entity::EntityKey;
use stormglass_model::tables::{BlobRow, EventRow, OutboxRow, SnapshotRow, TenantRows};
use stormglass_sim::{Boot, Disk, Ending, KeptRandomness, Machine, World};

/// A machine with a copy of the disk, made when it is first needed.
pub struct Fork<'a> {
    world: &'a World,
    disk: &'a Disk,
    made: Option<(Machine, Boot, KeptRandomness)>,
    connections: Vec<Connection>,
}

impl Fork<'_> {
    /// A fork of `disk` in the world of a run.
    pub fn new<'a>(world: &'a World, disk: &'a Disk) -> Fork<'a> {
        Fork { world, disk, made: None, connections: Vec::new() }
    }

    /// Opens a tenant's file.
    pub async fn open(&mut self, tenant: &str) -> Result<Connection, String> {
        let (world, disk) = (self.world, self.disk);
        let (_, boot, _) = self.made.get_or_insert_with(|| {
            let kept = world.keep_randomness();
            let machine = world.side_machine(disk.clone(), &Ending::ProcessKill);
            machine.set_quota(None);
            let boot = machine.boot();
            (machine, boot, kept)
        });
        let uri = boot.uri(&database_path(tenant));
        let database = libsql::Builder::new_local(uri).build().await.map_err(in_words)?;
        let connection = database.connect().map_err(in_words)?;
        self.connections.push(connection.clone());
        Ok(connection)
    }

    /// Kills the machine and lets go of it.
    pub fn end(self) {
        if let Some((machine, ..)) = &self.made {
            machine.crash(&Ending::ProcessKill);
        }
        drop(self.connections);
    }
}

fn in_words(error: libsql::Error) -> String {
    error.to_string()
}

/// What SQLite's check says of a damaged file; nothing of a sound one.
pub async fn damage(connection: &Connection) -> Result<Option<String>, String> {
    let answer = first_text(connection, "PRAGMA integrity_check(1)").await.map_err(in_words)?;
    Ok(Some(answer).filter(|answer| answer != "ok"))
}

async fn first_text(connection: &Connection, sql: &str) -> libsql::Result<String> {
    let mut rows = connection.query(sql, ()).await?;
    match rows.next().await? {
        Some(row) => row.get(0),
        None => Ok(String::new()),
    }
}

/// A tenant's rows.
pub async fn read_rows(connection: &Connection, tenant: &str) -> Result<TenantRows, String> {
    let mut found = TenantRows { tenant: tenant.to_string(), ..TenantRows::default() };
    let tables = "SELECT group_concat(name, ' ') FROM sqlite_schema WHERE type = 'table'";
    let tables = first_text(connection, tables).await.unwrap_or_default();
    let has = |table: &str| tables.split(' ').any(|name| name == table);
    // A crash may fall before a table was made: what is not there has no rows.
    if has("events") {
        let sql = "SELECT tenant, entity_type, entity_id, sequence_nr, payload FROM events";
        let events = read(connection, sql, event).await?;
        found.events = events.into_iter().map(Arc::new).collect();
    }
    if has("blobs") {
        let sql = "SELECT blob_key, CAST(data AS BLOB), size_bytes, expires_at FROM blobs";
        found.blobs = read(connection, sql, blob).await?;
    }
    if has("snapshots") {
        let sql = "SELECT tenant, entity_type, entity_id, sequence_nr FROM snapshots";
        found.snapshots = read(connection, sql, snapshot).await?;
    }
    if has("outbox") {
        let sql =
            "SELECT tenant, entity_type, entity_id, sequence_nr, n, kind, due_at, state, reason
            FROM outbox";
        found.outbox = read(connection, sql, outbox).await?;
    }
    Ok(found)
}

async fn read<T>(
    connection: &Connection,
    sql: &str,
    convert: impl Fn(&Row) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let mut rows = connection.query(sql, ()).await.map_err(in_words)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().await.map_err(in_words)? {
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
    Ok(entity_key(&text(row, 0)?, &text(row, 1)?, &text(row, 2)?))
}

fn snapshot(row: &Row) -> Result<SnapshotRow, String> {
    Ok(SnapshotRow { entity: key(row)?, sequence_nr: number(row, 3)? })
}

fn outbox(row: &Row) -> Result<OutboxRow, String> {
    let at = (key(row)?, number(row, 3)?, number(row, 4)?);
    let due_at: Option<String> = row.get(6).map_err(in_words)?;
    let (state, reason): (String, Option<String>) = (text(row, 7)?, row.get(8).map_err(in_words)?);
    outbox_row(at, &text(row, 5)?, due_at.as_deref(), (&state, reason.as_deref()))
}

fn blob(row: &Row) -> Result<BlobRow, String> {
    let expires_at: Option<String> = row.get(3).map_err(in_words)?;
    let data: Vec<u8> = row.get(1).map_err(in_words)?;
    Ok(BlobRow {
        key: text(row, 0)?,
        data: data.into(),
        size_bytes: number(row, 2)?,
        expires_at_ms: deadline(expires_at.as_deref())?,
    })
}

fn event(row: &Row) -> Result<EventRow, String> {
    event_of_text(key(row)?, number(row, 3)?, &text(row, 4)?)
}
