//! What is in a tenant's tables, read on a copy of the disk as if the process had been killed.
//!
//! Rows are read by SQLite's file format (`format`): no connection, no statement, and what has not
//! changed is not read twice. Where that reader gives up, libsql reads them on a fork (`fork`), and
//! what it says counts. After a crash libsql checks each file there that it has not yet found sound.
//!
//! **Invariant:** the run does not notice. The copy is a machine of its own, without trace and faults,
//! and SQLite's random numbers are held still.

mod fork;
mod format;
mod seen;

use crate::seams::{database_path, tenants_on};
use crate::times::utc_ms;
pub use seen::Seen;

use fork::Fork;
use format::Known;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use stormglass_model::entity::EntityKey;
use stormglass_model::tables::{EventRow, IntentRow, KeptRow, OutboxRow, OutboxState, TenantRows};
use stormglass_sim::disk::Grid;
use stormglass_sim::{Disk, DiskOptions, World};

static READS_TWICE: AtomicBool = AtomicBool::new(false);

/// From now on every reading of this process is made by both readers, and is an error where they
/// differ: how a test shows that they agree.
pub fn read_twice() {
    READS_TWICE.store(true, Ordering::Relaxed);
}

/// What one look at a tenant's file found.
pub struct Look {
    /// The tenant.
    pub tenant: String,
    /// What `PRAGMA integrity_check` says of a damaged file, if it was asked.
    pub damage: Option<String>,
    /// The rows, or why they cannot be read.
    pub rows: Result<Arc<TenantRows>, String>,
}

/// Reads tables. A file that nothing was written to since it was last read is not read again, and one that
/// SQLite has found sound as it is is not checked again. A clone goes on by itself, but for what other runs have
/// seen.
#[derive(Clone, Default)]
pub struct Reader {
    last: Option<Disk>,
    rows: BTreeMap<String, Arc<TenantRows>>,
    known: BTreeMap<String, Arc<Known>>,
    /// By tenant, the disk on which SQLite last found its file sound.
    sound: BTreeMap<String, Disk>,
    /// Whether what is read after a crash is checked later, by [`Reader::check`].
    pub puts_checks_off: bool,
    /// What other runs have found, where many begin with the same files.
    pub seen: Option<Seen>,
}

impl Reader {
    /// Looks at the files of `tenants` and of every other tenant on `disk`, as if the process had been
    /// killed at that moment; in the order of their names, without those that are spared. A tenant without a
    /// file has no rows. After a crash SQLite checks what it has not seen yet.
    pub async fn look(
        &mut self,
        world: &World,
        (disk, is_crashed): (Disk, bool),
        (tenants, spared): (&BTreeSet<String>, &BTreeSet<String>),
    ) -> Vec<Look> {
        let last = self.last.replace(disk.clone());
        let known = std::mem::take(&mut self.rows);
        let is_known = |tenant: &String| is_unchanged(tenant, &disk, last.as_ref());
        let mut looks = Vec::new();
        let mut fork = Fork::new(world, &disk);
        let on_disk = tenants_on(&disk);
        let all: BTreeSet<&String> = on_disk.iter().chain(tenants).collect();
        for tenant in all.into_iter().filter(|tenant| !spared.contains(*tenant)) {
            let checks = is_crashed && !self.puts_checks_off && !self.is_sound(tenant, &disk);
            let rows = known.get(tenant).filter(|_| !checks && is_known(tenant)).cloned();
            let seen = self.seen.as_ref().filter(|_| rows.is_none() && !checks);
            let seen = seen.map(|seen| (seen.clone(), seen.files(tenant, &disk)));
            let rows = rows.or_else(|| seen.as_ref().and_then(|(seen, files)| seen.rows(*files)));
            let look = match rows {
                Some(rows) => Look::found(tenant, rows),
                None if on_disk.contains(tenant) => {
                    let known = Arc::make_mut(self.known.entry(tenant.clone()).or_default());
                    let look = look_at(tenant, (&disk, known), (&mut fork, checks)).await;
                    if let (Some((seen, files)), Ok(rows)) = (seen, &look.rows) {
                        seen.add_rows(files, rows);
                    }
                    look
                }
                None => Look::at_nothing(tenant),
            };
            if let Ok(rows) = &look.rows {
                if checks && look.damage.is_none() {
                    self.found_sound(tenant, &disk);
                }
                self.rows.insert(tenant.clone(), Arc::clone(rows));
            }
            looks.push(look);
        }
        fork.end();
        looks
    }

    /// Has SQLite check every file on `disk` that it has not found sound as it is, but for those that are
    /// spared. Returns what it says of the first that is damaged, with the tenant.
    ///
    /// # Errors
    /// A file that cannot be opened, and why.
    pub async fn check(
        &mut self,
        world: &World,
        disk: &Disk,
        spared: &BTreeSet<String>,
    ) -> Result<Option<(String, String)>, String> {
        self.puts_checks_off = false;
        let mut fork = Fork::new(world, disk);
        let mut found = Ok(None);
        for tenant in tenants_on(disk) {
            if spared.contains(&tenant) || self.is_sound(&tenant, disk) {
                continue;
            }
            let damage = async { fork::damage(&fork.open(&tenant).await?).await };
            found = damage.await.map(|damage| Some((tenant.clone(), damage?)));
            if !matches!(found, Ok(None)) {
                break;
            }
            self.found_sound(&tenant, disk);
        }
        fork.end();
        found
    }

    /// Whether SQLite has found a tenant's files sound as they are.
    fn is_sound(&self, tenant: &str, disk: &Disk) -> bool {
        let is_seen = |seen: &Seen| seen.is_sound(seen.files(tenant, disk));
        is_unchanged(tenant, disk, self.sound.get(tenant))
            || self.seen.as_ref().is_some_and(is_seen)
    }

    fn found_sound(&mut self, tenant: &str, disk: &Disk) {
        self.sound.insert(tenant.to_string(), disk.clone());
        if let Some(seen) = &self.seen {
            seen.add_sound(seen.files(tenant, disk));
        }
    }

    /// What was last found, by the names of the tenants; nothing of what could not be read.
    pub fn rows(&self) -> Vec<Arc<TenantRows>> {
        self.rows.values().cloned().collect()
    }
}

/// The rows of a tenant in a file of the host and in its log, which nobody writes to now, read by SQLite's
/// file format: nothing is opened, so nothing is recovered.
///
/// # Errors
/// Files that cannot be read, or in which there is something else.
pub fn of_bytes(path: &Path, tenant: &str) -> Result<TenantRows, String> {
    let mut disk = Disk::new(DiskOptions::default());
    for suffix in ["", "-wal", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let bytes = match std::fs::read(&name) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound && !suffix.is_empty() => continue,
            Err(error) => return Err(error.to_string()),
        };
        let file = disk.create(&(database_path(tenant) + suffix), Grid::Pages);
        disk.write(file, 0, &bytes).map_err(|error| error.to_string())?;
    }
    format::read(&disk, tenant, &mut Known::default())
}

/// The rows of every tenant that has a file on `disk`, by name, read by SQLite's file format: what a process would
/// find that came up now. Nothing is opened.
pub fn of_disk(disk: &Disk) -> Vec<(String, Result<TenantRows, String>)> {
    let read = |tenant: String| {
        let rows = format::read(disk, &tenant, &mut Known::default());
        (tenant, rows)
    };
    tenants_on(disk).into_iter().map(read).collect()
}

/// The rows of one tenant on `disk`, by the same reader.
///
/// # Errors
/// A file that cannot be read so.
pub fn of_tenant(disk: &Disk, tenant: &str) -> Result<TenantRows, String> {
    format::read(disk, tenant, &mut Known::default())
}

/// The rows of a tenant in a file of the host, opened by SQLite; what its own check says comes with them.
///
/// # Errors
/// A file that cannot be read.
pub async fn of_file(path: &Path, tenant: &str) -> Result<(TenantRows, Option<String>), String> {
    let words = |error: libsql::Error| error.to_string();
    let database = libsql::Builder::new_local(path).build().await.map_err(words)?;
    let connection = database.connect().map_err(words)?;
    let damage = fork::damage(&connection).await?;
    Ok((fork::read_rows(&connection, tenant).await?, damage))
}

/// Whether nothing was written to a tenant's files since `last`.
pub fn is_unchanged(tenant: &str, disk: &Disk, last: Option<&Disk>) -> bool {
    last.is_some_and(|last| files_of(tenant).iter().all(|file| disk.is_unchanged_since(last, file)))
}

/// The files that make up a tenant's database.
fn files_of(tenant: &str) -> [String; 3] {
    let path = database_path(tenant);
    let log = path.clone() + "-wal";
    let journal = path.clone() + "-journal";
    [path, log, journal]
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

/// Looks at one tenant's file.
async fn look_at(
    tenant: &str,
    (disk, known): (&Disk, &mut Known),
    (fork, checks): (&mut Fork<'_>, bool),
) -> Look {
    let mut damage = None;
    let by_format = format::read(disk, tenant, known);
    let asks_libsql = by_format.is_err() || READS_TWICE.load(Ordering::Relaxed);
    let rows = async {
        if !checks && !asks_libsql {
            return by_format;
        }
        let connection = fork.open(tenant).await?;
        if checks {
            damage = fork::damage(&connection).await?;
        }
        if !asks_libsql {
            return by_format;
        }
        let by_libsql = fork::read_rows(&connection, tenant).await?;
        match by_format {
            Ok(rows) if rows != by_libsql => Err(format!("{rows:?} by format, {by_libsql:?}")),
            _ => Ok(by_libsql),
        }
    };
    let rows = rows.await.map(Arc::new);
    Look { tenant: tenant.to_string(), damage, rows }
}

fn event_of_text(entity: EntityKey, sequence_nr: u64, payload: &str) -> Result<EventRow, String> {
    let payload: Value = serde_json::from_str(payload)
        .map_err(|error| format!("payload of event {sequence_nr} of {entity}: {error}"))?;
    event_of_payload(entity, sequence_nr, payload)
        .ok_or_else(|| format!("payload of event {sequence_nr} of an entity has another shape"))
}

fn deadline(at: Option<&str>) -> Result<Option<i64>, String> {
    at.map(|at| utc_ms(at).ok_or_else(|| format!("`{at}` is no time"))).transpose()
}

fn entity_key(tenant: &str, entity_type: &str, id: &str) -> EntityKey {
    let set = format!("{entity_type}s");
    EntityKey { tenant: tenant.to_string(), set, id: id.to_string() }
}

/// Reads the platform's payload: how it writes one is its own business, what it says is not.
fn event_of_payload(entity: EntityKey, sequence_nr: u64, mut payload: Value) -> Option<EventRow> {
    let words = |name: &str| payload.get(name).and_then(Value::as_str).map(str::to_string);
    let timestamp_ms = utc_ms(&words("timestamp")?)?;
    let fields = payload.pointer("/changes/fields").and_then(Value::as_object);
    let nothing = Map::new();
    let mut kept = BTreeMap::new();
    for (field, how) in fields.unwrap_or(&nothing) {
        kept.insert(field.clone(), kept_row(how)?);
    }
    let (action, from, to) = (words("action")?, words("from")?, words("to")?);
    let key = words("idempotency_key");
    let ids = payload.pointer("/changes/ids").and_then(Value::as_object).unwrap_or(&nothing);
    let id = |(field, id): (&String, &Value)| Some((field.clone(), id.as_str()?.to_string()));
    let ids = ids.iter().map(id).collect::<Option<BTreeMap<_, _>>>()?;
    let intents = payload.get("intents").and_then(Value::as_array).map_or(&[][..], |rows| rows);
    let intents = intents.iter().map(intent_row).collect::<Option<Vec<_>>>()?;
    let Value::Object(params) = payload.get_mut("params")?.take() else { return None };
    Some(EventRow {
        entity,
        sequence_nr,
        action,
        from,
        to,
        timestamp_ms,
        params,
        key,
        kept,
        ids,
        intents,
    })
}

fn intent_row(intent: &Value) -> Option<IntentRow> {
    let words = |name: &str| intent.get(name).and_then(Value::as_str).map(str::to_string);
    Some(match intent.get("kind")?.as_str()? {
        "trigger" => IntentRow::Trigger { integration: words("integration")? },
        "schedule" => {
            IntentRow::Schedule { action: words("action")?, due_at_ms: utc_ms(&words("due_at")?)? }
        }
        "spawn" => IntentRow::Spawn {
            entity_type: words("entity_type")?,
            entity_id: words("entity_id")?,
            initial_action: words("initial_action"),
            fields: match intent.get("fields") {
                Some(fields) => fields.as_object()?.clone(),
                None => Map::new(),
            },
        },
        _ => return None,
    })
}

/// A row of `outbox`: its place, its kind and what became of it.
fn outbox_row(
    (entity, sequence_nr, n): (EntityKey, u64, u64),
    kind: &str,
    due_at: Option<&str>,
    (state, reason): (&str, Option<&str>),
) -> Result<OutboxRow, String> {
    let state = match (state, reason) {
        ("open", None) => OutboxState::Open,
        ("done", None) => OutboxState::Done,
        ("closed", Some(reason)) => OutboxState::Closed(reason.to_string()),
        other => return Err(format!("row {n} of event {sequence_nr} of {entity} is {other:?}")),
    };
    let due_at_ms = deadline(due_at)?;
    Ok(OutboxRow { entity, sequence_nr, n, kind: kind.to_string(), due_at_ms, state })
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
