//! The disk's own share of a transaction: the calls that a trace recorded, again, without SQLite.
//!
//! **Invariant:** each replay follows the records in their order and with their sizes; what one
//! replay does more than another is what the difference of their costs is said to be.

use crate::rows::{Row, Table, world};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use stormglass_sim::disk::{Disk, Grid};
use stormglass_sim::trace::{Event, Record, Trace};
use stormglass_sim::{Digest, DiskOptions, FileKind, Handle, OpKind, OpenMode, World};

/// Which part of the work is done again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All of it: the calls on open files, with locks, fault plan, trace and hash.
    Calls,
    /// What the disk does with the bytes: copies, chunks, lists of what is pending.
    Bytes,
    /// The hash over the bytes and over the records.
    Hash,
}

impl Part {
    /// All parts.
    pub const ALL: [Part; 3] = [Part::Calls, Part::Bytes, Part::Hash];

    /// Does this part of the work that `records` tell of, and returns what came of it: to free that
    /// is no part of the work.
    pub fn replay(self, records: &[Record]) -> Box<dyn Any> {
        match self {
            Part::Calls => Box::new(calls(records)),
            Part::Bytes => Box::new(bytes(records)),
            Part::Hash => Box::new(hash(records)),
        }
    }
}

/// What inserting `count` rows asked of the disk.
pub fn record(row: Row, count: u64) -> Vec<Record> {
    let world = world(true);
    let mut table = Table::on_disk(&world, row);
    table.insert(count);
    world.records()
}

/// Calls and bytes by kind of call and of file, of the rows only.
pub fn tally(row: Row, count: u64) -> BTreeMap<(OpKind, FileKind), (u64, u64)> {
    let world = world(true);
    let mut table = Table::on_disk(&world, row);
    let set_up_count = world.records().len();
    table.insert(count);
    let mut tally = BTreeMap::new();
    for call in world.records()[set_up_count..].iter().filter_map(Call::of) {
        let (calls, bytes) = tally.entry((call.kind, FileKind::of_path(call.path))).or_default();
        *calls += 1;
        *bytes += call.len;
    }
    tally
}

struct Call<'a> {
    kind: OpKind,
    path: &'a Arc<str>,
    offset: u64,
    len: u64,
}

impl Call<'_> {
    fn of(record: &Record) -> Option<Call<'_>> {
        match &record.event {
            Event::Disk { kind, file: path, offset, len, .. } => {
                Some(Call { kind: *kind, path, offset: *offset, len: *len })
            }
            _ => None,
        }
    }
}

/// Room for the longest read or write.
fn buffer(records: &[Record]) -> Vec<u8> {
    let longest = records.iter().filter_map(Call::of).map(|call| call.len).max();
    (0..longest.unwrap_or(0)).map(|at| at as u8).collect()
}

fn calls(records: &[Record]) -> World {
    let mut buffer = buffer(records);
    let world = world(false);
    let boot = world.boot();
    let mut handles: BTreeMap<&str, Handle> = BTreeMap::new();
    for Call { kind, path, offset, len } in records.iter().filter_map(Call::of) {
        let bytes = &mut buffer[..len as usize];
        if kind == OpKind::Open {
            let opened = boot.open(path, OpenMode::Create).expect("no fault is armed");
            handles.insert(path, opened);
            continue;
        }
        let handle = &handles[&**path];
        let done = match kind {
            OpKind::Read => handle.read(offset, bytes).map(drop),
            OpKind::Write => handle.write(offset, bytes),
            OpKind::Truncate => handle.truncate(offset),
            OpKind::Sync => handle.sync(),
            OpKind::SyncDirectory => boot.sync_directory_of(path),
            OpKind::Open | OpKind::Delete | OpKind::Rename | OpKind::Compute => Ok(()),
        };
        done.expect("no fault is armed");
    }
    drop(handles);
    world
}

fn bytes(records: &[Record]) -> Disk {
    let mut buffer = buffer(records);
    let mut disk = Disk::new(DiskOptions::default());
    let mut files = BTreeMap::new();
    for Call { kind, path, offset, len } in records.iter().filter_map(Call::of) {
        let bytes = &mut buffer[..len as usize];
        let file = *files.entry(&**path).or_insert_with(|| {
            let is_log = FileKind::of_path(path) == FileKind::Wal;
            disk.create(path, if is_log { Grid::Frames } else { Grid::Pages })
        });
        match kind {
            OpKind::Read => drop(disk.read(file, offset, bytes)),
            OpKind::Write => disk.write(file, offset, bytes).expect("there is no quota"),
            OpKind::Truncate => disk.truncate(file, offset).expect("there is no quota"),
            OpKind::Sync => disk.sync(file),
            OpKind::SyncDirectory => disk.sync_directory_of(path),
            OpKind::Open | OpKind::Delete | OpKind::Rename | OpKind::Compute => {}
        }
    }
    disk
}

fn hash(records: &[Record]) -> Digest {
    let buffer = buffer(records);
    let mut trace = Trace::new(false);
    for record in records {
        let mut record = record.clone();
        if let Event::Disk { kind: OpKind::Read | OpKind::Write, len, bytes, .. } =
            &mut record.event
        {
            *bytes = Digest::of(&buffer[..*len as usize]);
        }
        trace.add(record);
    }
    trace.fingerprint()
}
