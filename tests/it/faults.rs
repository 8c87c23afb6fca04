//! Faults, and the calls of dead processes, on plain files: each effect on each kind of operation does
//! what it says and nothing else, where and when it was asked to.

use std::collections::BTreeMap;
use stormglass_sim::disk::Pending;
use stormglass_sim::{
    Boot, Disk, Effect, Ending, Fault, FileKind, Handle, IoError, OpKind, OpenMode, Survivors,
    Target, When, World, WorldOptions, block_on,
};

const KINDS: [OpKind; 8] = [
    OpKind::Open,
    OpKind::Read,
    OpKind::Write,
    OpKind::Truncate,
    OpKind::Sync,
    OpKind::SyncDirectory,
    OpKind::Delete,
    OpKind::Rename,
];

fn world(seed: u64) -> World {
    World::new(seed, WorldOptions { keep_trace: true, ..WorldOptions::default() })
        .expect("this thread has no other world")
}

fn on(op: OpKind, when: When, effect: Effect) -> Fault {
    Fault { effect, target: Target { op: Some(op), ..Target::default() }, when }
}

/// All that can be told of a disk: what processes see, and what is pending.
fn seen(disk: &Disk) -> (BTreeMap<String, Vec<u8>>, Vec<Pending>) {
    let content = |path: &str| disk.contents(path).expect("a listed path has contents");
    let files = disk.paths().map(|path| (path.to_string(), content(path))).collect();
    (files, disk.pending())
}

fn after(disk: &Disk, ending: &Ending) -> BTreeMap<String, Vec<u8>> {
    let mut disk = disk.clone();
    disk.crash(ending);
    seen(&disk).0
}

/// What a power loss leaves when nothing that is pending survives.
fn durable(disk: &Disk) -> BTreeMap<String, Vec<u8>> {
    after(disk, &Ending::PowerLoss(Survivors::None))
}

/// A process with a file of 8 durable and 2 pending bytes, and a second file to delete or rename.
struct Stage {
    world: World,
    boot: Boot,
    file: Handle,
}

impl Stage {
    fn new(seed: u64) -> Stage {
        let world = world(seed);
        let boot = world.boot();
        let file = boot.open("/d/file", OpenMode::Create).expect("no fault is armed");
        file.write(0, b"durable!").expect("no fault is armed");
        file.sync().expect("no fault is armed");
        boot.sync_directory_of("/d/file").expect("no fault is armed");
        file.write(8, b"++").expect("no fault is armed");
        boot.open("/d/second", OpenMode::Create).expect("no fault is armed");
        Stage { world, boot, file }
    }

    /// One operation of kind `kind`, and no other.
    fn act(&self, kind: OpKind) -> Result<(), IoError> {
        match kind {
            OpKind::Open => self.boot.open("/d/third", OpenMode::Create).map(drop),
            OpKind::Read => self.file.read(0, &mut [0; 10]).map(|got| assert_eq!(got, 10)),
            OpKind::Write => self.file.write(4, b"late"),
            OpKind::Truncate => self.file.truncate(5),
            OpKind::Sync => self.file.sync(),
            OpKind::SyncDirectory => self.boot.sync_directory_of("/d/file"),
            OpKind::Delete => self.boot.delete("/d/second", false),
            OpKind::Rename => self.boot.rename("/d/second", "/d/other"),
            OpKind::Compute => self.boot.compute("guest"),
        }
    }

    fn seen(&self) -> (BTreeMap<String, Vec<u8>>, Vec<Pending>) {
        seen(&self.world.image())
    }
}

/// Goal: a failed operation leaves no mark on the disk and does not repeat. Method: each kind of
/// operation fails once, with the disk compared whole, and then goes through.
#[test]
fn an_input_output_error_changes_nothing_and_strikes_once() {
    for kind in KINDS {
        let stage = Stage::new(1);
        stage.world.arm(on(kind, When::Nth(1), Effect::Eio));
        let before = stage.seen();
        assert_eq!(stage.act(kind), Err(IoError::Eio), "{kind:?}");
        assert_eq!(stage.seen(), before, "{kind:?}");
        let durable_before = durable(&stage.world.image());
        assert_eq!(stage.act(kind), Ok(()), "{kind:?}");
        let moved = stage.seen() != before || durable(&stage.world.image()) != durable_before;
        assert_eq!(moved, kind != OpKind::Read, "{kind:?} did nothing at all");
        let expected = BTreeMap::from([(("eio", kind, FileKind::Other), 1)]);
        assert_eq!(stage.world.ledger(), expected);
    }
}

/// Goal: a failed sync loses nothing either. Method: after it the bytes are not durable but still
/// pending, and the next sync makes them durable without another write.
#[test]
fn a_failed_sync_makes_nothing_durable_and_a_later_one_covers_it() {
    let stage = Stage::new(2);
    stage.world.arm(on(OpKind::Sync, When::Nth(1), Effect::Eio));
    assert_eq!(stage.file.sync(), Err(IoError::Eio));
    assert_eq!(durable(&stage.world.image())["/d/file"], b"durable!");
    let all = Ending::PowerLoss(Survivors::All);
    assert_eq!(after(&stage.world.image(), &all)["/d/file"], b"durable!++");
    stage.file.sync().expect("the fault struck once");
    assert_eq!(durable(&stage.world.image())["/d/file"], b"durable!++");
}

/// Goal: only what takes space can fail for want of it. Method: each kind of operation, and an open
/// that makes no file; what is not struck leaves the fault idle.
#[test]
fn want_of_space_strikes_creations_writes_and_truncations_only() {
    for kind in KINDS {
        let stage = Stage::new(3);
        let fault = on(kind, When::FromNth(1), Effect::NoSpace);
        stage.world.arm(fault.clone());
        let before = stage.seen();
        if matches!(kind, OpKind::Open | OpKind::Write | OpKind::Truncate) {
            assert_eq!(stage.act(kind), Err(IoError::NoSpace), "{kind:?}");
            assert_eq!(stage.seen(), before, "{kind:?}");
        } else {
            assert_eq!(stage.act(kind), Ok(()), "{kind:?}");
            assert_eq!(stage.world.idle_faults(), [fault]);
        }
    }
    let stage = Stage::new(3);
    stage.world.arm(on(OpKind::Open, When::FromNth(1), Effect::NoSpace));
    for mode in [OpenMode::Existing, OpenMode::Create] {
        assert_eq!(stage.boot.open("/d/file", mode).map(drop), Ok(()), "{mode:?}");
    }
    assert_eq!(stage.boot.open("/d/absent", OpenMode::Existing).err(), Some(IoError::NotFound));
    assert!(stage.world.ledger().is_empty());
}

/// Goal: a full disk behaves alike whether by fault or by quota. Method: a quota on the machine; the
/// failure is in the trace under the same word.
#[test]
fn the_machine_keeps_its_quota() {
    let stage = Stage::new(4);
    stage.world.set_quota(Some(12));
    let before = stage.seen();
    assert_eq!(stage.file.write(10, b"xyz"), Err(IoError::NoSpace));
    assert_eq!(stage.file.truncate(13), Err(IoError::NoSpace));
    assert_eq!(stage.seen(), before);
    let outcomes = |word: &str| {
        let records = serde_json::to_value(stage.world.records()).expect("plain data");
        let records = records.as_array().expect("a list").clone();
        records.iter().filter(|record| record["outcome"] == word).count()
    };
    assert_eq!(outcomes("no-space"), 2);
    stage.file.write(10, b"xy").expect("exactly the quota");
}

/// Goal: a read that the device cuts short is right in the end, and visibly more than one. Method: all
/// reads cut by 7 bytes; the bytes, and the lengths asked for in the trace.
#[test]
fn a_short_read_is_continued_until_the_bytes_are_there() {
    let stage = Stage::new(5);
    let fault = on(OpKind::Read, When::FromNth(1), Effect::ShortRead { missing_bytes: 7 });
    stage.world.arm(fault);
    let begin = stage.world.op_count();
    let mut bytes = [0; 10];
    assert_eq!(stage.file.read(0, &mut bytes), Ok(10));
    assert_eq!(&bytes, b"durable!++");
    // 3 of 10, then one at a time.
    assert_eq!(stage.world.op_count() - begin, 1 + 7);
    assert_eq!(stage.world.ledger()[&("short-read", OpKind::Read, FileKind::Other)], 8);
    let mut beyond = [b'x'; 16];
    assert_eq!(stage.file.read(4, &mut beyond), Ok(6));
    assert_eq!(&beyond[..6], b"ble!++");
    for kind in KINDS.into_iter().filter(|kind| *kind != OpKind::Read) {
        let stage_fault = on(kind, When::FromNth(1), Effect::ShortRead { missing_bytes: 1 });
        stage.world.arm(stage_fault.clone());
        assert_eq!(
            stage.act(kind),
            if kind == OpKind::Rename { Err(IoError::NotFound) } else { Ok(()) }
        );
        assert!(stage.world.idle_faults().contains(&stage_fault), "{kind:?}");
    }
}

/// Goal: a write that runs out of space leaves what there was room for, and says that it failed. Method: writes over
/// and past the end of ten bytes; a part as long as the write is one byte less.
#[test]
fn a_short_write_leaves_its_beginning_and_fails() {
    for (written_bytes, left) in [(0, "durable!++"), (2, "durxyle!++"), (9, "durxyze!++")] {
        let stage = Stage::new(5);
        let effect = Effect::ShortWrite { written_bytes };
        stage.world.arm(on(OpKind::Write, When::Nth(1), effect));
        assert_eq!(stage.file.write(3, b"xyz!"), Err(IoError::NoSpace));
        let mut bytes = [0; 10];
        assert_eq!(stage.file.read(0, &mut bytes), Ok(10));
        assert_eq!(String::from_utf8_lossy(&bytes), left);
        assert_eq!(stage.world.ledger()[&("short-write", OpKind::Write, FileKind::Other)], 1);
        stage.file.write(3, b"xyz!").expect("there is room again");
    }
    let stage = Stage::new(5);
    let fault = on(OpKind::Truncate, When::FromNth(1), Effect::ShortWrite { written_bytes: 1 });
    stage.world.arm(fault.clone());
    assert_eq!(stage.act(OpKind::Truncate), Ok(()));
    assert!(stage.world.idle_faults().contains(&fault));
}

/// Goal: slowness is time and nothing else. Method: each kind of operation; both clocks, and the disk
/// against that of a run without the fault.
#[test]
fn a_slow_operation_moves_the_clock_and_then_goes_on() {
    for kind in KINDS {
        let run = |ms: i64| {
            let stage = Stage::new(6);
            stage.world.arm(on(kind, When::Nth(1), Effect::Slow { ms }));
            let begin = (stage.world.clock().now_utc_ms(), stage.world.clock().monotonic_ms());
            assert_eq!(stage.act(kind), Ok(()), "{kind:?}");
            let end = (stage.world.clock().now_utc_ms(), stage.world.clock().monotonic_ms());
            assert_eq!((end.0 - begin.0, end.1 - begin.1), (ms, ms), "{kind:?}");
            (stage.seen(), stage.world.fingerprint())
        };
        let (slow, quick) = (run(1_234), run(0));
        assert_eq!(slow.0, quick.0, "{kind:?}");
        assert_ne!(slow.1, quick.1, "{kind:?}: the trace shows the time");
    }
}

/// Goal: a crash comes between two operations. Method: one instead of each kind of operation, with and
/// without a power loss; the disk is what the ending makes of the one before, and no operation counts.
#[test]
fn a_crash_at_an_operation_happens_before_it() {
    let power_loss = Ending::PowerLoss(Survivors::Prefix(1));
    for (kind, ending) in
        KINDS.iter().flat_map(|kind| [(*kind, Ending::ProcessKill), (*kind, power_loss.clone())])
    {
        let stage = Stage::new(7);
        stage.world.arm(on(kind, When::Nth(1), Effect::Crash(ending.clone())));
        let (before, op_count) = (stage.world.image(), stage.world.op_count());
        assert_eq!(stage.act(kind), Err(IoError::Dead), "{kind:?}");
        assert!(!stage.boot.is_alive() && !stage.world.is_running());
        assert_eq!(seen(&stage.world.image()).0, after(&before, &ending), "{kind:?} {ending:?}");
        assert_eq!(stage.world.op_count(), op_count);
        let crashes = stage.world.crashes();
        assert_eq!((crashes.len(), crashes[0].op, crashes[0].boot), (1, op_count, 1));
        assert_eq!(crashes[0].ending, ending);
        let fates = if ending == Ending::ProcessKill { 0 } else { before.pending().len() };
        assert_eq!(crashes[0].fates.len(), fates);
    }
}

/// Which of 12 writes, each after a read, fail.
fn struck(world: &World, fault: Fault) -> Vec<u64> {
    let boot = world.boot();
    let file = boot.open("/file", OpenMode::Create).expect("no fault is armed");
    world.arm(fault);
    let mut struck = Vec::new();
    for at in 1..=12 {
        let _ = file.read(0, &mut [0; 1]);
        if file.write(at, b"x").is_err() {
            struck.push(at);
        }
    }
    struck
}

/// Goal: a fault strikes when it says, counting only what it looks at. Method: writes among reads.
#[test]
fn faults_strike_at_the_operations_they_name() {
    let strikes = |when| struck(&world(8), on(OpKind::Write, when, Effect::Eio));
    assert_eq!(strikes(When::Nth(3)), [3]);
    assert_eq!(strikes(When::FromNth(10)), [10, 11, 12]);
    assert_eq!(strikes(When::Nth(13)), [0u64; 0]);
    assert_eq!(strikes(When::Rate { per_million: 0 }), [0u64; 0]);
    assert_eq!(strikes(When::Rate { per_million: 1_000_000 }).len(), 12);
    let half = strikes(When::Rate { per_million: 500_000 });
    assert!((2..=10).contains(&half.len()), "{half:?}");
    assert_eq!(half, strikes(When::Rate { per_million: 500_000 }), "one seed, one draw");
    // Every operation: each write is the second of two.
    let any = Fault::at_op(6, Effect::Eio);
    assert_eq!(struck(&world(8), any), [3]);
}

/// Goal: a fault looks at what it names and at nothing else. Method: writes to two kinds of files in
/// two scopes; every combination of a target's parts.
#[test]
fn faults_look_only_at_their_target() {
    let scopes = ["step 1", "step 2"];
    let files = [("/a.db", FileKind::Database), ("/a.db-wal", FileKind::Wal)];
    for (scope, file) in [(None, None), (Some(0), None), (None, Some(1)), (Some(1), Some(0))] {
        let world = world(9);
        let boot = world.boot();
        let target = Target {
            scope: scope.map(|at: usize| scopes[at].to_string()),
            op: Some(OpKind::Write),
            file: file.map(|at: usize| files[at].1),
        };
        world.arm(Fault { effect: Effect::Eio, target, when: When::FromNth(1) });
        for (scope_at, scope_name) in scopes.iter().enumerate() {
            world.enter(scope_name);
            for (file_at, (path, _)) in files.iter().enumerate() {
                let file_open = boot.open(path, OpenMode::Create).expect("no open is a target");
                let hit =
                    scope.is_none_or(|at| at == scope_at) && file.is_none_or(|at| at == file_at);
                let failed = file_open.write(0, b"x").is_err();
                assert_eq!(failed, hit, "{scope_name} {path} under {scope:?} {file:?}");
                assert_eq!(file_open.sync(), Ok(()));
            }
        }
    }
}

/// Goal: shrinking a plan moves no fault. Method: which writes of each scope fail under a rate, with
/// one scope whole, cut to half, and gone.
#[test]
fn faults_by_rate_stay_where_they_are_when_another_scope_is_dropped() {
    let run = |middle_writes: u64| -> Vec<Vec<u64>> {
        let world = world(10);
        let file = world.boot().open("/file", OpenMode::Create).expect("no fault is armed");
        world.arm(on(OpKind::Write, When::Rate { per_million: 300_000 }, Effect::Eio));
        let scope = |(name, count): (&str, u64)| {
            world.enter(name);
            (0..count).filter(|at| file.write(*at, b"x").is_err()).collect()
        };
        [("step 1", 40), ("step 2", middle_writes), ("step 3", 40)].map(scope).into()
    };
    let whole = run(40);
    assert!(whole.iter().all(|strikes| (2..30).contains(&strikes.len())), "{whole:?}");
    assert!(whole[0] != whole[1] && whole[1] != whole[2] && whole[0] != whole[2], "{whole:?}");
    for middle_writes in [0, 20, 80] {
        let cut = run(middle_writes);
        assert_eq!((&cut[0], &cut[2]), (&whole[0], &whole[2]), "{middle_writes} in the middle");
    }
}

/// Goal: a campaign can tell which faults mattered. Method: a known run; the ledger and the idle
/// faults, whole.
#[test]
fn the_ledger_counts_each_strike_and_names_the_idle() {
    let stage = Stage::new(11);
    let idle = on(OpKind::Delete, When::Nth(2), Effect::Eio);
    let faults = [
        on(OpKind::Write, When::FromNth(2), Effect::Eio),
        Fault::at_op(1, Effect::Slow { ms: 1 }),
        idle.clone(),
        on(OpKind::Read, When::Nth(1), Effect::ShortRead { missing_bytes: 2 }),
    ];
    for fault in faults {
        stage.world.arm(fault);
    }
    let acts = [OpKind::Write, OpKind::Write, OpKind::Write, OpKind::Read, OpKind::Delete];
    let failures = acts.iter().filter(|kind| stage.act(**kind).is_err()).count();
    assert_eq!(failures, 2);
    let expected = BTreeMap::from([
        (("eio", OpKind::Write, FileKind::Other), 2),
        (("slow", OpKind::Write, FileKind::Other), 1),
        (("short-read", OpKind::Read, FileKind::Other), 1),
    ]);
    assert_eq!(stage.world.ledger(), expected);
    assert_eq!(stage.world.idle_faults(), [idle]);
    stage.world.disarm_all();
    assert_eq!(stage.act(OpKind::Write), Ok(()));
    assert_eq!((stage.world.ledger(), stage.world.idle_faults()), (expected, vec![]));
}

/// Goal: a dead process has no hands. Method: every call of a killed boot, while none runs and while the
/// next does, and its drops: all fail, and disk, counts and trace stay as they are.
#[test]
fn calls_of_a_dead_boot_fail_and_leave_no_mark() {
    for next_runs in [false, true] {
        let stage = Stage::new(12);
        stage.world.crash(&Ending::ProcessKill);
        let next = next_runs.then(|| {
            let boot = stage.world.boot();
            boot.open("/d/file", OpenMode::Existing).expect("the file outlived the process")
        });
        let mark = || (stage.seen(), stage.world.op_count(), stage.world.fingerprint());
        let before = mark();
        for kind in KINDS {
            assert_eq!(stage.act(kind), Err(IoError::Dead), "{kind:?}");
        }
        assert_eq!(stage.file.len(), Err(IoError::Dead));
        assert_eq!(stage.boot.delete("/d/second", true), Err(IoError::Dead));
        assert_eq!(mark(), before);
        let Stage { world, file, boot } = stage;
        drop((file, boot));
        assert_eq!((seen(&world.image()), world.op_count(), world.fingerprint()), before);
        if let Some(next) = next {
            assert_eq!(next.len(), Ok(10));
        }
    }
}

async fn database(boot: &Boot) -> libsql::Result<(libsql::Database, libsql::Connection)> {
    let database = libsql::Builder::new_local(boot.uri("/app.db")).build().await?;
    let connection = database.connect()?;
    connection.query("PRAGMA journal_mode = WAL", ()).await?;
    connection.execute("CREATE TABLE IF NOT EXISTS kept(n)", ()).await?;
    connection.execute("INSERT INTO kept VALUES (1)", ()).await?;
    Ok((database, connection))
}

/// Goal: the kill of a process is not the closing of its databases. Method: two libsql connections, one
/// inside a transaction, dropped after a kill, before and after the next boot: the disk stays byte for
/// byte, the log included. Dropped while alive, they do checkpoint and delete it.
#[test]
fn dropping_the_connections_of_a_killed_boot_neither_checkpoints_nor_deletes_the_log() {
    let log = |world: &World| world.image().contents("/app.db-wal").map_or(0, |log| log.len());
    let living = world(13);
    let opened = block_on(database(&living.boot())).expect("no fault is armed");
    assert!(log(&living) > 0);
    drop(opened);
    assert_eq!(log(&living), 0, "a living connection takes its log away");
    drop(living);

    for next_runs in [false, true] {
        let world = world(13);
        let boot = world.boot();
        let opened = block_on(database(&boot)).expect("no fault is armed");
        let second = opened.0.connect().expect("no fault is armed");
        let begun = block_on(second.execute_batch("BEGIN IMMEDIATE; INSERT INTO kept VALUES (2)"));
        begun.expect("no fault is armed");
        world.crash(&Ending::ProcessKill);
        let next = next_runs.then(|| world.boot());
        let mark = || (seen(&world.image()), world.op_count(), world.fingerprint());
        let before = mark();
        assert!(log(&world) > 0);
        drop(opened);
        drop(second);
        assert!(mark() == before, "the dead boot's connections changed the disk");
        let next = next.unwrap_or_else(|| world.boot());
        let (_, connection) = block_on(database(&next)).expect("the log is whole");
        let count = block_on(async {
            let mut rows = connection.query("SELECT count(*) FROM kept", ()).await?;
            rows.next().await?.expect("an aggregate has a row").get::<i64>(0)
        });
        assert_eq!(count.expect("the database is whole"), 2, "one row of each boot");
    }
}

/// Goal: a log that begins anew is counted as such, and a crash says what it came instead of. Method: three rows by a
/// connection that brings its log to the file never, or at each commit; then a crash where it writes there.
#[test]
fn a_log_that_begins_anew_is_counted_and_a_crash_says_what_was_to_be() {
    let insert = |connection: &libsql::Connection, pages: u32| {
        block_on(async {
            let pages = format!("PRAGMA wal_autocheckpoint = {pages}");
            connection.query(&pages, ()).await?.next().await?;
            connection.execute("INSERT INTO kept VALUES (2)", ()).await
        })
    };
    for (pages, count) in [(1_000, 0), (1, 2)] {
        let world = world(13);
        let boot = world.boot();
        let (_database, connection) = block_on(database(&boot)).expect("no fault is armed");
        for _ in 0..3 {
            insert(&connection, pages).expect("no fault is armed");
        }
        assert_eq!(world.log_count(), count, "at {pages} pages");
        let (op, file) = (OpKind::Write, FileKind::Database);
        let target = Target { op: Some(op), file: Some(file), ..Target::default() };
        let effect = Effect::Crash(Ending::ProcessKill);
        world.arm(Fault { effect, target, when: When::Nth(1) });
        let outcome = insert(&connection, 1);
        world.boot();
        world.crash(&Ending::ProcessKill);
        let found: Vec<_> = world.crashes().iter().map(|crash| crash.instead_of).collect();
        assert_eq!(found, [Some((op, file)), None], "{outcome:?}");
    }
}

/// Goal: computing is an operation that a fault can slow down or end, and that no error of a device
/// strikes. Method: one fault of each kind at every operation, and the clock and the boot after it.
#[test]
fn computing_can_be_slow_or_interrupted_but_not_fail() {
    let compute = |effect: Effect| {
        let stage = Stage::new(9);
        stage.world.arm(on(OpKind::Compute, When::Nth(2), effect));
        let before_ms = stage.world.clock().monotonic_ms();
        let outcomes = [1, 2, 3].map(|_| stage.act(OpKind::Compute).is_ok());
        (outcomes, stage.world.clock().monotonic_ms() - before_ms)
    };
    assert_eq!(compute(Effect::Slow { ms: 31_000 }), ([true; 3], 31_000));
    assert_eq!(compute(Effect::Crash(Ending::ProcessKill)), ([true, false, false], 0));
    assert_eq!(compute(Effect::Eio), ([true; 3], 0));
    assert_eq!(compute(Effect::NoSpace), ([true; 3], 0));
}
