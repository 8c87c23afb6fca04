//! Bits that flip at rest, aimed at a row or at any place of a tenant's files.
//!
//! **Invariant:** it is known what was hit: where the bytes are those of one row's value, and no other row
//! has changed by it, the row and who rests on it; otherwise no more than the file. It is found out on a
//! copy of the disk, before the disk itself is touched.

use crate::plan::tenant_name;
use crate::seams::database_path;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use stormglass_model::entity::EntityKey;
use stormglass_sim::sqlite_file::{Memory, ReadError, Row, Tables};
use stormglass_sim::{Boot, Disk, World};

/// Where bits flip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In the body of a blob.
    Blob,
    /// In the payload of an event.
    Event,
    /// In a snapshot.
    Snapshot,
    /// Anywhere in the database's file.
    Database,
    /// Anywhere in its write-ahead log.
    Wal,
}

impl Place {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Place::Blob => "blob",
            Place::Event => "event",
            Place::Snapshot => "snapshot",
            Place::Database => "database",
            Place::Wal => "wal",
        }
    }
}

/// Bits that flip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rot {
    /// Where.
    pub place: Place,
    /// Which row: this number, modulo how many there are.
    pub row: u32,
    /// Which of the row's or the file's bytes is the first: this number, modulo how many there are.
    pub at: u64,
    /// How many bytes, as far as they lie in one sector.
    pub bytes: u32,
    /// Which bits of each.
    pub mask: u8,
}

/// What was hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hit {
    /// Nothing: there is no such row or file.
    Nothing,
    /// A row's value, on which these entities rest.
    Row(BTreeSet<EntityKey>),
    /// Bytes of a file, whatever they are.
    File,
}

/// Bytes of a row that are looked for in a file: as few as are hardly anywhere else.
const NEEDLE: usize = 16;
/// Places within a row at which it is tried.
const TRIES: u64 = 8;

/// Flips bits in a tenant's files, in a run's world. A row whose bytes are in the log is not hit: there the
/// rest of the log is damaged with it.
pub fn strike(world: &World, tenant: &str, rot: &Rot) -> Hit {
    let image = world.image();
    let path = database_path(tenant);
    let log = path.clone() + "-wal";
    let flip = |path: &str, at: u64| world.rot(path, at, (rot.bytes, rot.mask));
    let anywhere = |path: &str| {
        let len = image.find(path).map_or(0, |file| image.durable_len(file));
        if len == 0 {
            return Hit::Nothing;
        }
        flip(path, rot.at % len);
        Hit::File
    };
    match rot.place {
        Place::Database => return anywhere(&path),
        Place::Wal => return anywhere(&log),
        Place::Blob | Place::Event | Place::Snapshot => {}
    }
    let Ok(before) = values(&image, tenant, rot.place) else { return Hit::Nothing };
    if before.is_empty() {
        return Hit::Nothing;
    }
    let row = &before[rot.row as usize % before.len()];
    for needle in needles(&row.value, rot.at) {
        for at in places_of(&image, &path, needle) {
            if hits_alone(&image, (tenant, &path), (rot, at), &before, row.rowid) {
                let Ok(entities) = resting_on(&image, tenant, rot.place, row) else {
                    return Hit::Nothing;
                };
                flip(&path, at);
                return Hit::Row(entities);
            }
        }
    }
    Hit::Nothing
}

/// Brings a tenant's log to its file, by a connection of its own, and says whether that was done. What a
/// fault makes of it is the run's: an administrator is not owed an answer.
pub async fn checkpoint(world: &World, boot: &Boot, tenant: u32) -> bool {
    let path = database_path(&tenant_name(tenant));
    if world.image().find(&path).is_none() {
        return false;
    }
    let done = async {
        let database = libsql::Builder::new_local(boot.uri(&path)).build().await?;
        let connection = database.connect()?;
        let mut rows = connection.query("PRAGMA wal_checkpoint(TRUNCATE)", ()).await?;
        rows.next().await
    };
    done.await.is_ok()
}

/// A row's value that can be hit.
struct Kept {
    rowid: i64,
    /// What names the row: a blob's key, or the entity.
    names: Vec<String>,
    value: Vec<u8>,
}

fn values(disk: &Disk, tenant: &str, place: Place) -> Result<Vec<Kept>, ReadError> {
    let (table, columns): (&str, &[&str]) = match place {
        Place::Blob => ("blobs", &["blob_key", "data"]),
        Place::Snapshot => ("snapshots", &["entity_type", "entity_id", "snapshot"]),
        _ => ("events", &["entity_type", "entity_id", "payload"]),
    };
    let mut memory = Memory::default();
    let tables = Tables::open(disk, &database_path(tenant), &mut memory)?;
    let mut found = Vec::new();
    if !tables.has(table) {
        return Ok(found);
    }
    let last = columns.len() - 1;
    tables.rows(table, columns, |row: &Row<'_>| {
        let names = (0..last).map(|at| row.text(at).map(str::to_string));
        let names = names.collect::<Result<Vec<_>, ReadError>>()?;
        let value = row.bytes(last)?.to_vec();
        found.push(Kept { rowid: row.rowid(), names, value });
        Ok::<(), ReadError>(())
    })?;
    Ok(found)
}

/// Pieces of a value, the first where it was asked for.
fn needles(value: &[u8], at: u64) -> impl Iterator<Item = &[u8]> {
    let room = value.len().saturating_sub(NEEDLE) as u64 + 1;
    let starts = (0..TRIES).map(move |n| ((at % room + n * (room / TRIES + 1)) % room) as usize);
    starts.filter_map(|start| value.get(start..start + NEEDLE))
}

/// Where these bytes are in a file, in order.
fn places_of(disk: &Disk, path: &str, needle: &[u8]) -> Vec<u64> {
    let bytes = disk.contents(path).unwrap_or_default();
    let places = bytes.windows(needle.len()).enumerate();
    places.filter(|(_, window)| *window == needle).map(|(at, _)| at as u64).collect()
}

/// Whether the flip changes the value of this row and no other's: told on a copy of the disk.
fn hits_alone(
    image: &Disk,
    (tenant, path): (&str, &str),
    (rot, at): (&Rot, u64),
    before: &[Kept],
    rowid: i64,
) -> bool {
    let mut copy = image.clone();
    let Some(file) = copy.find(path) else { return false };
    // No more bytes than are known to be the value's.
    if rot.bytes as usize > NEEDLE || copy.rot(file, at, rot.bytes, rot.mask).is_empty() {
        return false;
    }
    let Ok(after) = values(&copy, tenant, rot.place) else { return false };
    let is_as_it_should = |(one, other): (&Kept, &Kept)| {
        let is_same = one.value == other.value;
        one.rowid == other.rowid && one.names == other.names && is_same != (one.rowid == rowid)
    };
    after.len() == before.len() && before.iter().zip(&after).all(is_as_it_should)
}

/// The entities that rest on a row: its own, or those that ever had this body.
fn resting_on(
    image: &Disk,
    tenant: &str,
    place: Place,
    row: &Kept,
) -> Result<BTreeSet<EntityKey>, ReadError> {
    let key = |names: &[String]| {
        let set = format!("{}s", names[0]);
        EntityKey { tenant: tenant.to_string(), set, id: names[1].clone() }
    };
    if place != Place::Blob {
        return Ok(BTreeSet::from([key(&row.names)]));
    }
    let events = values(image, tenant, Place::Event)?;
    let names = row.names[0].as_bytes();
    let has_it = |event: &&Kept| event.value.windows(names.len()).any(|window| window == names);
    Ok(events.iter().filter(has_it).map(|event| key(&event.names)).collect())
}
