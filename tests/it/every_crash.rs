//! A script of 20 transactions, crashed at every disk operation, in every ending.
//!
//! Goal: what `synchronous` and `journal_mode` buy is exactly what is seen. Method: the script is played
//! once for each of its disk operations and killed there; from the image of that moment every ending
//! is tried on a machine of its own and the database opened again.

use stormglass_sim::disk::Disk;
use stormglass_sim::{
    Digest, Effect, Ending, Fault, Survivors, World, WorldOptions, block_on, crash_state,
};

const PATH: &str = "/ledger.db";
const TRANSACTION_COUNT: u64 = 20;
/// Random crash states at each operation, besides the systematic ones.
const SAMPLE_COUNT: u64 = 8;

#[derive(Clone, Copy)]
struct Settings {
    journal: &'static str,
    synchronous: &'static str,
}

/// What was seen under one setting and one kind of ending.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    recoveries: u64,
    /// Acknowledged rows were missing; all that was there was a prefix.
    lost_rows: u64,
    /// An integrity check failed, the database did not open, or rows were there without earlier ones.
    corrupt: u64,
}

/// Opens the database of `uri` under `settings`.
async fn open(uri: &str, settings: Settings) -> libsql::Result<libsql::Connection> {
    let connection = libsql::Builder::new_local(uri).build().await?.connect()?;
    let Settings { journal, synchronous } = settings;
    for pragma in [
        format!("journal_mode = {journal}"),
        format!("synchronous = {synchronous}"),
        "wal_autocheckpoint = 12".to_string(),
    ] {
        connection.query(&format!("PRAGMA {pragma}"), ()).await?.next().await?;
    }
    Ok(connection)
}

/// Plays the script until it ends or the process dies; returns how many rows were acknowledged.
async fn play(uri: &str, settings: Settings) -> u64 {
    let Ok(connection) = open(uri, settings).await else { return 0 };
    let table = "CREATE TABLE entries(n INTEGER PRIMARY KEY, body BLOB)";
    if connection.execute(table, ()).await.is_err() {
        return 0;
    }
    for n in 0..TRANSACTION_COUNT {
        let body = vec![n as u8; 200 + 900 * (n as usize % 4)];
        let inserted = connection.execute("INSERT INTO entries VALUES (?1, ?2)", (n, body)).await;
        if inserted.is_err() {
            return n;
        }
    }
    TRANSACTION_COUNT
}

/// How many rows there are, or nothing if the database is corrupt.
async fn survivors(uri: &str) -> Option<u64> {
    let connection = libsql::Builder::new_local(uri).build().await.ok()?.connect().ok()?;
    let mut rows = connection.query("PRAGMA integrity_check", ()).await.ok()?;
    if rows.next().await.ok()??.get::<String>(0).ok()? != "ok" {
        return None;
    }
    drop(rows);
    let tables = "SELECT count(*) FROM sqlite_schema";
    let mut rows = connection.query(tables, ()).await.ok()?;
    if rows.next().await.ok()??.get::<u64>(0).ok()? == 0 {
        return Some(0);
    }
    drop(rows);
    let prefix = "SELECT count(*), coalesce(max(n) + 1, 0) FROM entries";
    let mut rows = connection.query(prefix, ()).await.ok()?;
    let row = rows.next().await.ok()??;
    let (count, end): (u64, u64) = (row.get(0).ok()?, row.get(1).ok()?);
    (count == end).then_some(count)
}

fn recover(world: &World, image: &Disk, ending: &Ending, acknowledged: u64, seen: &mut Seen) {
    let machine = world.side_machine(image.clone(), ending);
    seen.recoveries += 1;
    match block_on(survivors(&machine.boot().uri(PATH))) {
        None => seen.corrupt += 1,
        Some(count) if count < acknowledged => seen.lost_rows += 1,
        Some(count) => assert!(count <= acknowledged + 1, "a row that nobody wrote"),
    }
}

/// Crashes the script at every operation; returns what was seen after process kills and power losses,
/// and how many operations there were.
fn crash_everywhere(settings: Settings) -> (Seen, Seen, u64) {
    let (mut kills, mut power_losses) = (Seen::default(), Seen::default());
    for n in 1.. {
        let world = World::new(1, WorldOptions::default()).expect("libsql initialises");
        world.arm(Fault::at_op(n, Effect::Crash(Ending::ProcessKill)));
        let acknowledged = block_on(play(&world.boot().uri(PATH), settings));
        let image = world.image();
        recover(&world, &image, &Ending::ProcessKill, acknowledged, &mut kills);
        let sector_size_bytes = image.options().sector_size_bytes;
        for choice in crash_state::bounded(&image.pending(), sector_size_bytes, SAMPLE_COUNT) {
            let ending = Ending::PowerLoss(choice);
            recover(&world, &image, &ending, acknowledged, &mut power_losses);
        }
        if world.is_running() {
            return (kills, power_losses, n - 1);
        }
    }
    unreachable!("a script ends")
}

fn show(settings: Settings, kills: &Seen, power_losses: &Seen, op_count: u64) {
    let Settings { journal, synchronous } = settings;
    println!("journal_mode={journal} synchronous={synchronous}: {op_count} disk operations");
    for (ending, seen) in [("process kill", kills), ("power loss", power_losses)] {
        let Seen { recoveries, lost_rows, corrupt } = seen;
        println!(
            "  {ending:<13} {recoveries:>6} recoveries, rows lost {lost_rows}, corrupt {corrupt}"
        );
    }
}

fn nothing_lost(seen: &Seen) -> bool {
    seen.recoveries > 0 && seen.lost_rows == 0 && seen.corrupt == 0
}

#[test]
fn wal_with_full_sync_loses_nothing_anywhere() {
    let settings = Settings { journal: "WAL", synchronous: "FULL" };
    let (kills, power_losses, op_count) = crash_everywhere(settings);
    show(settings, &kills, &power_losses, op_count);
    assert!(nothing_lost(&kills), "{kills:?}");
    assert!(nothing_lost(&power_losses), "{power_losses:?}");
}

#[test]
fn wal_with_normal_sync_loses_rows_to_power_losses_but_never_integrity() {
    let settings = Settings { journal: "WAL", synchronous: "NORMAL" };
    let (kills, power_losses, op_count) = crash_everywhere(settings);
    show(settings, &kills, &power_losses, op_count);
    assert!(nothing_lost(&kills), "{kills:?}");
    assert_eq!(power_losses.corrupt, 0, "{power_losses:?}");
    assert!(power_losses.lost_rows > 0, "no loss was seen: the disk forgets nothing");
}

#[test]
fn a_journal_in_memory_is_seen_to_corrupt_after_kills_and_power_losses() {
    let settings = Settings { journal: "MEMORY", synchronous: "FULL" };
    let (kills, power_losses, op_count) = crash_everywhere(settings);
    show(settings, &kills, &power_losses, op_count);
    assert!(kills.corrupt > 0, "no process kill fell between two writes: {kills:?}");
    assert!(power_losses.corrupt > 0, "{power_losses:?}");
}

/// Goal: the choices among survivors are not all the same. Method: several endings of one moment at
/// which several writes to the log are pending.
#[test]
fn endings_of_one_moment_leave_different_disks() {
    let settings = Settings { journal: "WAL", synchronous: "NORMAL" };
    let killed_at = |n| {
        let world = World::new(1, WorldOptions::default()).expect("libsql initialises");
        world.arm(Fault::at_op(n, Effect::Crash(Ending::ProcessKill)));
        block_on(play(&world.boot().uri(PATH), settings));
        world.image()
    };
    let image = (90..).map(killed_at).find(|image| image.pending().len() > 4);
    let image = image.expect("the log is not synced at every commit");
    let disk_after = |survivors| {
        let mut image = image.clone();
        image.crash(&Ending::PowerLoss(survivors));
        ["", "-wal"].map(|suffix| {
            image.contents(&format!("{PATH}{suffix}")).map(|bytes| Digest::of(&bytes))
        })
    };
    let (none, all) = (disk_after(Survivors::None), disk_after(Survivors::All));
    let half = disk_after(Survivors::Prefix(2));
    assert_ne!(none, all);
    assert_ne!(half, all);
    assert_ne!(half, none);
}
