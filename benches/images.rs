//! Images of the disk and recoveries from crashes: what exploring crash points costs.
//!
//! **Invariant:** a duration is the fastest of many, and what is not named in its column is done
//! outside of it.

use crate::measure::{fastest, resident_bytes, time_us};
use crate::rows::{PATH, Row, Table, WAL_PATH, connect, pragma, world};
use stormglass_sim::{Disk, Ending, Handle, OpenMode, Survivors, World, block_on};

const PAGE: u64 = 4096;
const ROUNDS: usize = 31;
const BATCH: usize = 200;
const SNAPSHOT_AIM_US: f64 = 1.5;

/// Prints what a snapshot costs by the size of the file, and the first write after it.
pub fn print_snapshots() {
    println!("\nsnapshot       world.image() us   aim   next write us   write without us");
    for (name, size) in
        [("100 KiB", 100 << 10), ("1 MiB", 1 << 20), ("8 MiB", 8 << 20), ("64 MiB", 64 << 20)]
    {
        let world = world(false);
        let handle = filled(&world, size);
        let (mut images, mut writes, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let mut kept: Vec<Disk> = Vec::with_capacity(2 * BATCH);
            images.push(time_us(|| kept.extend((0..BATCH).map(|_| world.image()))));
            let both = time_us(|| {
                for turn in 0..BATCH {
                    kept.push(world.image());
                    write_page(&handle, size, round * BATCH + turn);
                }
            });
            writes.push(both - images[round]);
            drop(kept);
            handle.sync().expect("no fault is armed");
            plain.push(time_us(|| {
                (0..BATCH).for_each(|turn| write_page(&handle, size, round * BATCH + turn));
            }));
            handle.sync().expect("no fault is armed");
        }
        let each = |rounds: Vec<f64>| fastest(rounds) / BATCH as f64;
        let (image, write, plain) = (each(images), each(writes), each(plain));
        println!("  {name:<10} {image:>19.2} {SNAPSHOT_AIM_US:>5} {write:>15.2} {plain:>18.2}");
    }
}

/// Prints how much memory a kept snapshot holds once a write has followed it. To be called before
/// anything else has left free memory behind.
pub fn print_snapshot_memory() {
    let (size, count) = (16 << 20, 4000);
    let world = world(false);
    let handle = filled(&world, size);
    let mut kept: Vec<Disk> = Vec::with_capacity(count);
    let before = resident_bytes();
    (0..count).for_each(|turn| write_page(&handle, size, turn));
    let between = resident_bytes();
    for turn in 0..count {
        kept.push(world.image());
        write_page(&handle, size, turn);
    }
    let (Some(before), Some(between), Some(after)) = (before, between, resident_bytes()) else {
        return println!("\nmemory: this system does not tell it");
    };
    let more = (after - between) - (between - before);
    let each = more as f64 / count as f64 / 1024.0;
    println!("\nmemory: {each:.1} KiB a snapshot of 16 MiB with a write after each, {count} kept");
}

/// A durable file of `size` bytes.
fn filled(world: &World, size: u64) -> Handle {
    let boot = world.boot();
    let handle = boot.open("/data.db", OpenMode::Create).expect("no fault is armed");
    for page in 0..size / PAGE {
        handle.write(page * PAGE, &[page as u8; PAGE as usize]).expect("there is no quota");
    }
    handle.sync().expect("no fault is armed");
    boot.sync_directory_of("/data.db").expect("no fault is armed");
    handle
}

/// Writes one page, each turn another, all over the file.
fn write_page(handle: &Handle, size: u64, turn: usize) {
    let page = turn as u64 * 7919 % (size / PAGE);
    handle.write(page * PAGE, &[turn as u8; PAGE as usize]).expect("there is no quota");
}

/// Prints what a power loss and the way back cost, by the size of the log.
pub fn print_recoveries() {
    println!("\npower loss      survivors   crash us   boot, open   first read   all us   ratio");
    let mut first_us = None;
    for (name, wal_bytes) in [("one row", 0), ("1 MB", 1_000_000), ("3.5 MB", 3_500_000)] {
        let image = image_with_log(wal_bytes);
        for (kept, survivors) in [("none", Survivors::None), ("all", Survivors::All)] {
            let ending = Ending::PowerLoss(survivors);
            let samples: Vec<[f64; 3]> = (0..ROUNDS).map(|_| recovery(&image, &ending)).collect();
            let [crash, open, read] =
                [0, 1, 2].map(|at| fastest(samples.iter().map(|sample| sample[at]).collect()));
            let all = fastest(samples.iter().map(|sample| sample.iter().sum()).collect());
            let ratio = all / *first_us.get_or_insert(all);
            println!(
                "  {name:<13} {kept:<9} {crash:>10.1} {open:>12.1} {read:>12.1} {all:>8.1} \
                 {ratio:>10.2}"
            );
        }
    }
}

/// A database whose log has `wal_bytes` bytes, all synced, and one transaction more that is not.
fn image_with_log(wal_bytes: u64) -> Disk {
    let world = world(false);
    let mut table = Table::on_disk(&world, Row::Blob(1 << 10));
    table.insert(200);
    pragma(table.connection(), "wal_checkpoint(TRUNCATE)");
    pragma(table.connection(), "wal_autocheckpoint = 0");
    // The sync of one more makes it durable that the log was cut.
    table.insert(1);
    let log_bytes = |image: &Disk| image.find(WAL_PATH).map_or(0, |log| image.len(log));
    while log_bytes(&world.image()) < wal_bytes {
        table.insert(1);
    }
    pragma(table.connection(), "synchronous = OFF");
    table.insert(1);
    let image = world.image();
    world.crash(&Ending::ProcessKill);
    image
}

/// Microseconds of the power loss, of opening the database again, and of the first read.
fn recovery(image: &Disk, ending: &Ending) -> [f64; 3] {
    let world = world(false);
    world.insert_disk(image.clone());
    world.boot();
    let mut connection = None;
    let crash = time_us(|| world.crash(ending));
    let open = time_us(|| connection = Some(connect(&world.boot().uri(PATH))));
    let connection = connection.expect("just opened");
    let read = time_us(|| {
        let mut rows = block_on(connection.query("SELECT max(rowid) FROM blobs", ())).expect("SQL");
        block_on(rows.next()).expect("the database is sound");
    });
    // Dead, the connection does no more than free its memory.
    world.crash(&Ending::ProcessKill);
    [crash, open, read]
}
