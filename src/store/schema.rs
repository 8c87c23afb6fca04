//! Tables, and the steps from older schemas to them.
//!
//! **Invariant:** every step can be run again. The columns of the older schema keep their meaning. The
//! file says which steps it has had (`user_version`), by the transaction that took them: a file that was
//! opened before is opened without any.

use super::StoreError;
use super::sql::{Database, text};
use crate::defect;

/// The version of a file that has had every step below.
const VERSION: i64 = 1;

const TABLES: [&str; 6] = [
    "CREATE TABLE IF NOT EXISTS events (
        id INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        entity_type TEXT NOT NULL,
        entity_id TEXT NOT NULL,
        sequence_nr INTEGER NOT NULL,
        event_type TEXT NOT NULL,
        payload TEXT NOT NULL,
        metadata TEXT,
        created_at TEXT NOT NULL,
        UNIQUE (tenant, entity_type, entity_id, sequence_nr)
    )",
    "CREATE TABLE IF NOT EXISTS snapshots (
        tenant TEXT NOT NULL,
        entity_type TEXT NOT NULL,
        entity_id TEXT NOT NULL,
        sequence_nr INTEGER NOT NULL,
        snapshot BLOB NOT NULL,
        created_at TEXT NOT NULL,
        PRIMARY KEY (tenant, entity_type, entity_id)
    )",
    "CREATE TABLE IF NOT EXISTS blobs (
        blob_key TEXT PRIMARY KEY,
        data BLOB NOT NULL,
        size_bytes INTEGER NOT NULL,
        created_at TEXT NOT NULL,
        expires_at TEXT
    )",
    "CREATE TABLE IF NOT EXISTS outbox (
        id INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        entity_type TEXT NOT NULL,
        entity_id TEXT NOT NULL,
        sequence_nr INTEGER NOT NULL,
        n INTEGER NOT NULL,
        kind TEXT NOT NULL,
        payload TEXT NOT NULL,
        due_at TEXT,
        state TEXT NOT NULL DEFAULT 'open',
        reason TEXT,
        created_at TEXT NOT NULL,
        settled_at TEXT,
        UNIQUE (tenant, entity_type, entity_id, sequence_nr, n)
    )",
    "CREATE TABLE IF NOT EXISTS boots (
        id INTEGER PRIMARY KEY,
        started_at TEXT NOT NULL,
        barriers INTEGER NOT NULL DEFAULT 0
    )",
    "CREATE INDEX IF NOT EXISTS outbox_open ON outbox (due_at, id) WHERE state = 'open'",
];

/// Sets the connection's modes. Called outside a transaction.
pub(super) fn configure(db: &mut Database, checkpoint_pages: u32) -> Result<(), StoreError> {
    let journal_mode =
        if defect!("wal-off") { "PRAGMA journal_mode=MEMORY" } else { "PRAGMA journal_mode=WAL" };
    let mode = db.row(journal_mode, Vec::new())?.and_then(|mut row| row.text(0));
    // A database in memory has no log, and nothing to lose.
    if !matches!(mode.as_deref(), Some("wal" | "memory")) {
        return Err(StoreError::NoLog(mode.unwrap_or_default()));
    }
    let synchronous = if defect!("sync-normal") {
        "PRAGMA synchronous=NORMAL"
    } else {
        "PRAGMA synchronous=FULL"
    };
    db.execute(synchronous, Vec::new())?;
    if checkpoint_pages != crate::platform::CHECKPOINT_PAGES {
        db.set("wal_autocheckpoint", checkpoint_pages)?;
    }
    Ok(())
}

/// Brings a file of any age to today's tables, and refuses one that is not this tenant's alone.
pub(super) fn migrate(db: &mut Database, tenant: &str) -> Result<(), StoreError> {
    let version = db.row("PRAGMA user_version", Vec::new())?.and_then(|row| row.integer(0));
    if version.unwrap_or(0) < VERSION {
        take_steps(db)?;
    }
    refuse_other_tenants(db, tenant)
}

fn take_steps(db: &mut Database) -> Result<(), StoreError> {
    for table in TABLES {
        db.execute(table, Vec::new())?;
    }
    let column = "SELECT 1 FROM pragma_table_info('blobs') WHERE name = 'expires_at'";
    if db.row(column, Vec::new())?.is_none() {
        db.execute("ALTER TABLE blobs ADD COLUMN expires_at TEXT", Vec::new())?;
    }
    db.execute(
        "CREATE INDEX IF NOT EXISTS blobs_expires_at ON blobs (expires_at)
            WHERE expires_at IS NOT NULL",
        Vec::new(),
    )?;
    db.execute("PRAGMA user_version = 1", Vec::new())?;
    Ok(())
}

fn refuse_other_tenants(db: &mut Database, tenant: &str) -> Result<(), StoreError> {
    // The ends of the index tell whether there is another name, without reading it whole.
    let ends = "SELECT CAST(min(tenant) AS BLOB), CAST(max(tenant) AS BLOB) FROM events";
    let Some(mut row) = db.row(ends, Vec::new())? else {
        return Ok(());
    };
    let (first, last) = (row.bytes(0), row.bytes(1));
    let own = Some(tenant.as_bytes().to_vec());
    if first.is_none() || (first == own && last == own) {
        return Ok(());
    }
    let names = "SELECT DISTINCT CAST(tenant AS BLOB) FROM events WHERE tenant <> ?1 ORDER BY 1";
    let rows = db.rows(names, vec![text(tenant)])?;
    let names: Vec<String> = rows
        .into_iter()
        .filter_map(|mut row| row.bytes(0))
        .map(|name| String::from_utf8_lossy(&name).into_owned())
        .collect();
    Err(StoreError::OtherTenants { names: names.join(", ") })
}
