//! What is in a tenant's tables, read on a copy of the disk.
//!
//! **Invariant:** the run does not notice. The copy is a machine of its own, without trace and faults,
//! and SQLite's random numbers are held still.

use crate::seams::{database_path, tenants_on};
use crate::translate::utc_ms;
use libsql::{Connection, Row};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stormglass_model::entity::EntityKey;
use stormglass_model::tables::{BlobRow, EventRow, KeptRow, SnapshotRow, TenantRows};
use stormglass_sim::{Boot, Disk, Ending, KeptRandomness, Machine, World};

/// What one look at a tenant's file found.
pub struct Look {
    /// The tenant.
    pub tenant: String,
    /// What `PRAGMA integrity_check` says of a damaged file, if it was asked.
    pub damage: Option<String>,
    /// The rows, or why they cannot be read.
    pub rows: Result<Arc<TenantRows>, String>,
}

/// Reads tables. A file that nothing was written to since it was last read is not read again, except
/// after a crash.
#[derive(Default)]
pub struct Reader {
    last: Option<Disk>,
    rows: BTreeMap<String, Arc<TenantRows>>,
}

impl Reader {
    /// Looks at the files of `tenants` and of every other tenant on `disk`, as if the process had been
    /// killed at that moment; in the order of their names. A tenant without a file has no rows. After
    /// a crash every file is read, and SQLite checks it.
    pub async fn look(
        &mut self,
        world: &World,
        (disk, is_crashed): (Disk, bool),
        tenants: &BTreeSet<String>,
    ) -> Vec<Look> {
        let last = self.last.replace(disk.clone()).filter(|_| !is_crashed);
        let known = std::mem::take(&mut self.rows);
        let is_known = |tenant: &String| {
            let is_unchanged =
                |last: &Disk| files_of(tenant).iter().all(|f| disk.is_unchanged_since(last, f));
            last.as_ref().is_some_and(is_unchanged)
        };
        let mut looks = Vec::new();
        let mut fork = Fork::new(world, &disk);
        let on_disk = tenants_on(&disk);
        for tenant in on_disk.iter().chain(tenants).collect::<BTreeSet<&String>>() {
            let look = match known.get(tenant).filter(|_| is_known(tenant)) {
                Some(rows) => Look::found(tenant, Arc::clone(rows)),
                None if on_disk.contains(tenant) => fork.look_at(tenant, is_crashed).await,
                None => Look::at_nothing(tenant),
            };
            if let Ok(rows) = &look.rows {
                self.rows.insert(tenant.clone(), Arc::clone(rows));
            }
            looks.push(look);
        }
        fork.end();
        looks
    }

    /// What was last found, by the names of the tenants; nothing of what could not be read.
    pub fn rows(&self) -> Vec<Arc<TenantRows>> {
        self.rows.values().cloned().collect()
    }
}

/// The files that make up a tenant's database.
fn files_of(tenant: &str) -> [String; 3] {
    ["", "-wal", "-journal"].map(|suffix| database_path(tenant) + suffix)
}

impl Look {
    fn found(tenant: &str, rows: Arc<TenantRows>) -> Look {
        Look { tenant: tenant.to_string(), damage: None, rows: Ok(rows) }
    }

    fn at_nothing(tenant: &str) -> Look {
        let rows = TenantRows { tenant: tenant.to_string(), ..TenantRows::default() };
        Look::found(tenant, Arc::new(rows))
    }
}

/// A machine with a copy of the disk, made when it is first needed.
struct Fork<'a> {
    world: &'a World,
    disk: &'a Disk,
    made: Option<(Machine, Boot, KeptRandomness)>,
    connections: Vec<Connection>,
}

impl Fork<'_> {
    fn new<'a>(world: &'a World, disk: &'a Disk) -> Fork<'a> {
        Fork { world, disk, made: None, connections: Vec::new() }
    }

    async fn look_at(&mut self, tenant: &str, is_crashed: bool) -> Look {
        let (mut damage, tenant) = (None, tenant.to_string());
        let rows = match self.open(&tenant).await {
            Ok(connection) => match check(&connection, is_crashed).await {
                Ok(answer) => {
                    damage = answer;
                    read_rows(&connection, &tenant).await.map(Arc::new)
                }
                Err(error) => Err(error.to_string()),
            },
            Err(error) => Err(error.to_string()),
        };
        Look { tenant, damage, rows }
    }

    async fn open(&mut self, tenant: &str) -> libsql::Result<Connection> {
        let (world, disk) = (self.world, self.disk);
        let (_, boot, _) = self.made.get_or_insert_with(|| {
            let kept = world.keep_randomness();
            let machine = world.side_machine(disk.clone(), &Ending::ProcessKill);
            machine.set_quota(None);
            let boot = machine.boot();
            (machine, boot, kept)
        });
        let uri = boot.uri(&database_path(tenant));
        let connection = libsql::Builder::new_local(uri).build().await?.connect()?;
        self.connections.push(connection.clone());
        Ok(connection)
    }

    /// A connection of a dead process closes without a checkpoint.
    fn end(self) {
        if let Some((machine, ..)) = &self.made {
            machine.crash(&Ending::ProcessKill);
        }
        drop(self.connections);
    }
}

/// What SQLite's check says of a damaged file; nothing of a sound one, or if it is not asked.
async fn check(connection: &Connection, is_asked: bool) -> libsql::Result<Option<String>> {
    if !is_asked {
        return Ok(None);
    }
    let answer = first_text(connection, "PRAGMA integrity_check(1)").await?;
    Ok(Some(answer).filter(|answer| answer != "ok"))
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
