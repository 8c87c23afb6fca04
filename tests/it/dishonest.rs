//! Dishonest faults: each does the harm that it says and no other, and runs that have one are judged by what
//! can hold then.
//!
//! A simulator whose lying sync is honest, or whose rot changes nothing, would find every platform sound:
//! these tests are red then.

use crate::command::{line, passed};
use stormglass_scenarios::profile::{Percent, Profile};
use stormglass_scenarios::runner::PlayOptions;
use stormglass_scenarios::scenario::{self, Settings};
use stormglass_scenarios::workload::SCENARIOS;
use stormglass_sim::disk::Pending;
use stormglass_sim::{
    Boot, Damage, Effect, Ending, Fault, FileKind, Handle, Harm, IoError, OpKind, OpenMode, Seed,
    Survivors, Target, When, World, WorldOptions, block_on,
};

const FILE: &str = "/d/file";
const NOTHING: Ending = Ending::PowerLoss(Survivors::None);

fn world() -> World {
    let options = WorldOptions { keep_trace: true, ..WorldOptions::default() };
    World::new(7, options).expect("this thread has no other world")
}

fn on(op: OpKind, effect: Effect) -> Fault {
    Fault { effect, target: Target { op: Some(op), ..Target::default() }, when: When::Nth(1) }
}

/// A file whose first two sectors are durable.
fn file(world: &World) -> (Boot, Handle) {
    let boot = world.boot();
    let file = boot.open(FILE, OpenMode::Create).expect("no fault is armed");
    file.write(0, &[b'.'; 1024]).expect("no fault is armed");
    file.sync().expect("no fault is armed");
    boot.sync_directory_of(FILE).expect("no fault is armed");
    (boot, file)
}

fn durable(world: &World) -> Vec<u8> {
    let mut image = world.image();
    image.crash(&NOTHING);
    image.contents(FILE).expect("its name is durable")
}

fn cached(world: &World) -> Vec<u8> {
    world.image().contents(FILE).expect("it has a name")
}

#[test]
fn a_lying_sync_answers_ok_and_makes_nothing_durable() {
    let world = world();
    let (_boot, file) = file(&world);
    file.write(3, b"late").expect("no fault is armed");
    let pending: Vec<Pending> = world.image().pending();
    world.arm(on(OpKind::Sync, Effect::LyingSync));
    assert_eq!(file.sync(), Ok(()));
    assert_eq!(world.image().pending(), pending);
    assert_eq!(durable(&world), [b'.'; 1024]);
    assert_eq!(&cached(&world)[3..7], b"late");
    assert_eq!(world.ledger()[&("lying-sync", OpKind::Sync, FileKind::Other)], 1);
    assert!(!world.keep_image(), "an image would lack what was answered for");
    // A kill harms nothing, and the power takes what was answered for.
    world.crash(&Ending::ProcessKill);
    assert_eq!(world.damages(), []);
    world.crash(&NOTHING);
    assert_eq!(cached(&world), [b'.'; 1024]);
    let [Damage { path, harm, .. }] = &world.damages()[..] else { panic!("one file is damaged") };
    assert_eq!((&**path, harm), (FILE, &Harm::Unkept));
}

#[test]
fn a_sync_that_does_not_lie_covers_what_another_lied_about() {
    let world = world();
    let (_boot, file) = file(&world);
    world.arm(on(OpKind::Sync, Effect::LyingSync));
    file.write(3, b"late").expect("no fault is armed");
    file.sync().expect("it lies");
    file.sync().expect("it does not");
    assert_eq!(&durable(&world)[3..7], b"late");
    world.crash(&NOTHING);
    assert_eq!(world.damages(), []);
}

#[test]
fn a_forgetting_sync_fails_and_no_later_one_covers_its_writes() {
    let world = world();
    let (_boot, file) = file(&world);
    file.write(3, b"lost").expect("no fault is armed");
    world.arm(on(OpKind::Sync, Effect::ForgettingSync));
    assert_eq!(file.sync(), Err(IoError::Eio));
    assert_eq!(world.image().pending(), []);
    file.write(600, b"kept").expect("no fault strikes any more");
    assert_eq!(file.sync(), Ok(()));
    let mut expected = [b'.'; 1024];
    expected[600..604].copy_from_slice(b"kept");
    assert_eq!(durable(&world), expected);
    assert_eq!(&cached(&world)[3..7], b"lost", "the page cache has it as long as it lives");
    world.crash(&Ending::ProcessKill);
    assert_eq!(&cached(&world)[3..7], b"lost");
    world.crash(&NOTHING);
    assert_eq!(cached(&world), expected);
    assert_eq!(world.damages().len(), 1);
}

/// A page that is written to again is dirty again, and is written back whole.
#[test]
fn a_forgotten_sector_is_durable_once_it_is_written_to_and_synced() {
    let world = world();
    let (_boot, file) = file(&world);
    file.write(3, b"lost").expect("no fault is armed");
    world.arm(on(OpKind::Sync, Effect::ForgettingSync));
    assert_eq!(file.sync(), Err(IoError::Eio));
    file.write(100, b"more").expect("no fault strikes any more");
    assert_eq!(file.sync(), Ok(()));
    assert_eq!(durable(&world), cached(&world));
    world.crash(&NOTHING);
    assert_eq!((&cached(&world)[3..7], world.damages()), (&b"lost"[..], Vec::new()));
}

#[test]
fn bit_rot_flips_its_bits_and_no_others() {
    let world = world();
    let (_boot, file) = file(&world);
    file.write(510, b"dirty").expect("no fault is armed");
    // Within one sector, and not what is dirty in the page cache.
    world.rot(FILE, 508, (10, 0x81));
    let mut expected = [b'.'; 1024];
    (508..512).for_each(|at| expected[at] ^= 0x81);
    assert_eq!(durable(&world), expected);
    expected[510..515].copy_from_slice(b"dirty");
    assert_eq!(cached(&world), expected);
    assert_eq!(world.ledger()[&("bit-rot", OpKind::Read, FileKind::Other)], 1);
    assert_eq!(world.damages()[0].harm, Harm::Rotten(508..512));
    // Past the end, or in no file, there is nothing to rot.
    world.rot(FILE, 1024, (1, 1));
    world.rot("/d/other", 0, (1, 1));
    assert_eq!(world.damage_count(), 1);
    // As an effect of a read the place is a number modulo the file's length, and no mask is none.
    world.arm(on(OpKind::Read, Effect::BitRot { at: 1024 + 2, bytes: 1, mask: 0 }));
    let mut read = [0; 4];
    file.read(0, &mut read).expect("rot fails nothing");
    assert_eq!(read, [b'.', b'.', b'.' ^ 1, b'.']);
}

#[test]
fn an_older_image_is_put_back_and_newer_ones_are_forgotten() {
    let world = world();
    let (_boot, file) = file(&world);
    assert!(world.keep_image());
    file.write(0, b"one").expect("no fault is armed");
    file.sync().expect("no fault is armed");
    file.write(9, b"pending").expect("no fault is armed");
    assert!(world.keep_image());
    file.write(0, b"two").expect("no fault is armed");
    file.sync().expect("no fault is armed");
    world.crash(&Ending::DiskSwap { back: 0 });
    let mut expected = [b'.'; 1024];
    expected[..3].copy_from_slice(b"one");
    assert_eq!(cached(&world), expected, "an image has nothing that was pending");
    world.crash(&Ending::DiskSwap { back: 1 });
    assert_eq!(cached(&world), [b'.'; 1024]);
    world.crash(&Ending::DiskSwap { back: 9 });
    assert_eq!(world.image().paths().count(), 0, "the oldest is of the machine's making");
    let images: Vec<_> = world.crashes().iter().map(|crash| crash.image).collect();
    assert_eq!(images, [Some(2), Some(1), Some(0)]);
}

/// What is left of 12 acknowledged rows under `effect` at every sync, after a power loss.
fn rows_left(effect: Option<Effect>) -> Option<u64> {
    let world = world();
    let boot = world.boot();
    let open = async |boot: &Boot| {
        let database = libsql::Builder::new_local(boot.uri("/ledger.db")).build().await?;
        database.connect()
    };
    let count = async |boot: &Boot| -> libsql::Result<u64> {
        let mut rows = open(boot).await?.query("SELECT count(*) FROM entries", ()).await?;
        rows.next().await?.expect("a count").get(0)
    };
    let written = block_on(async {
        let connection = open(&boot).await?;
        for pragma in ["PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"] {
            connection.query(pragma, ()).await?.next().await?;
        }
        connection.execute("CREATE TABLE entries(n)", ()).await?;
        if let Some(effect) = effect {
            world.arm(Fault { when: When::FromNth(1), ..on(OpKind::Sync, effect) });
        }
        for n in 0..12 {
            connection.execute("INSERT INTO entries VALUES (?1)", [n]).await?;
        }
        world.crash(&NOTHING);
        Ok::<_, libsql::Error>(connection)
    });
    drop(written.expect("every row is acknowledged"));
    world.disarm_all();
    let boot = world.boot();
    let left = block_on(count(&boot)).ok();
    world.crash(&Ending::ProcessKill);
    left
}

/// The control: SQLite keeps what it acknowledged, unless syncs lie; then they are seen to.
#[test]
fn a_database_on_a_disk_that_lies_loses_what_it_acknowledged() {
    assert_eq!(rows_left(None), Some(12));
    assert_ne!(rows_left(Some(Effect::LyingSync)), Some(12));
}

/// Goal: a seed that draws no dishonest fault has the plan that it had without them. Method: plans of 1,000
/// seeds with the share of the profile and with none.
#[test]
fn only_the_seeds_that_draw_damage_have_another_plan() {
    let profile = Profile::default();
    let honest = Profile { damage: Percent(0), ..profile.clone() };
    let (mut damaged_count, run_count) = (0, 1_000);
    for seed in 0..run_count {
        let scenario = &SCENARIOS[seed as usize % SCENARIOS.len()];
        let plan = |profile| scenario.plan(Seed(seed), profile);
        let (drawn, plain) = (plan(&profile), plan(&honest));
        assert!(!plain.is_dishonest());
        assert_eq!(drawn.is_dishonest(), drawn != plain, "seed {seed}");
        damaged_count += u64::from(drawn.is_dishonest());
    }
    let percent = 100.0 * damaged_count as f64 / run_count as f64;
    assert!((7.0..=12.0).contains(&percent), "{percent} % of the runs");
}

/// Goal: damage is done, met, and answered by its name, and what holds then holds. Method: 300 runs that
/// all have a dishonest fault.
#[test]
fn runs_with_damage_pass_and_are_counted_apart() {
    let text = passed(&["campaign", "--profile", "damage", "--seeds", "0..300"]);
    assert!(text.contains("\n300 runs, 0 findings (0 signatures), 0 harness errors, "), "{text}");
    let words: String =
        text.split("\ndamage ").nth(1).unwrap_or_default().chars().take(400).collect();
    for what in ["older images", "rotten blob", "rotten event", "rotten snapshot", "unkept syncs"] {
        assert!(words.contains(what), "{what}: {words}");
    }
    assert!(words.contains("runs 300"), "{words}");
    assert!(line(&text, "answer").contains(" 500 "), "nothing was said to be lost: {text}");
}

/// The judge's skips and turns back are the run's own: the trace is the same with it and without.
#[test]
fn the_trace_of_a_damaged_run_is_the_same_without_checks() {
    let settings = Settings {
        profile: Profile::load("damage").expect("it is built in"),
        ..Settings::default()
    };
    for seed in 0..40 {
        let play = |checks| {
            let options = PlayOptions { keep_trace: true, checks };
            let played = scenario::play("overflow", Seed(seed), &settings, options);
            played.expect("a scenario's name").expect("this thread has no other world")
        };
        let (watched, alone) = (play(true), play(false));
        let differs = watched.records.iter().zip(&alone.records).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(watched.outcome.fingerprint, alone.outcome.fingerprint, "seed {seed}");
    }
}
