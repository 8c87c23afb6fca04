//! The fingerprint of a run: it moves with every single thing that happened, and with nothing that did
//! not: not with the process, nor with what the process did before.

use std::collections::BTreeSet;
use std::process::Command;
use stormglass_sim::trace::{Event, Record, Trace};
use stormglass_sim::{
    Boot, Digest, Ending, OpKind, OpenMode, Survivors, World, WorldOptions, block_on,
};

/// What one run of [`small_run`] is to differ in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Twist {
    Nothing,
    WriteBit,
    AnswerBit,
    RequestBit,
    CheckBit,
    ClockStep,
    TimePassed,
    StartTime,
    TwoAnswersSwapped,
    OneAnswerLess,
    AnotherOutcome,
    AnotherRead,
    AnotherEnding,
    AnotherSurvivor,
    SqlBit,
    Seed,
}

const TWISTS: [Twist; 15] = [
    Twist::WriteBit,
    Twist::AnswerBit,
    Twist::RequestBit,
    Twist::CheckBit,
    Twist::ClockStep,
    Twist::TimePassed,
    Twist::StartTime,
    Twist::TwoAnswersSwapped,
    Twist::OneAnswerLess,
    Twist::AnotherOutcome,
    Twist::AnotherRead,
    Twist::AnotherEnding,
    Twist::AnotherSurvivor,
    Twist::SqlBit,
    Twist::Seed,
];

/// What can be seen of a run from outside.
#[derive(Debug, PartialEq)]
struct Seen {
    fingerprint: Digest,
    records: Vec<Record>,
    log: Digest,
}

/// Tells a copy of this binary that it is to print its runs, not to compare them.
const CHILD: &str = "STORMGLASS_FINGERPRINT_CHILD";
/// What such a copy puts before each of its lines, to be told from the test runner's.
const MARK: &str = "@@ ";

type Opened = (libsql::Database, libsql::Connection);

async fn sql(boot: &Boot, first_value: i64) -> libsql::Result<(Opened, String)> {
    let database = libsql::Builder::new_local(boot.uri("/app.db")).build().await?;
    let connection = database.connect()?;
    connection.query("PRAGMA journal_mode = WAL", ()).await?;
    connection.execute("CREATE TABLE seen(value, number, bytes, at)", ()).await?;
    let insert = "INSERT INTO seen VALUES (?1, random(), randomblob(16), datetime('now'))";
    for value in [first_value, 2] {
        connection.execute(insert, [value]).await?;
    }
    let select = "SELECT group_concat(number || ' ' || hex(bytes) || ' ' || at) FROM seen";
    let mut rows = connection.query(select, ()).await?;
    let answer = rows.next().await?.expect("an aggregate has a row").get(0)?;
    drop(rows);
    Ok(((database, connection), answer))
}

/// `yes` when `twist` is the one that this run has, else `no`.
fn if_is<T>(twist: Twist, wanted: Twist, yes: T, no: T) -> T {
    if twist == wanted { yes } else { no }
}

/// A request, work on a plain file, answers and a clock step: everything but SQL.
fn plain_part(world: &World, boot: &Boot, twist: Twist) {
    let is = |wanted| twist == wanted;
    world.request("ann", if is(Twist::RequestBit) { "pay 101" } else { "pay 100" });
    let file = boot.open("/d/file", OpenMode::Create).expect("no fault is armed");
    let mut bytes = [b'x'; 64];
    bytes[33] ^= u8::from(is(Twist::WriteBit));
    file.write(0, &bytes).expect("no quota");
    file.read(u64::from(is(Twist::AnotherRead)), &mut [0; 8]).expect("no fault is armed");
    world.set_quota(is(Twist::AnotherOutcome).then_some(64));
    let truncated = file.truncate(70);
    assert_eq!(truncated.is_err(), is(Twist::AnotherOutcome));
    world.set_quota(None);
    world.step_clock(1_000 + i64::from(is(Twist::ClockStep)));
    world.clock().advance(5 + i64::from(is(Twist::TimePassed)));
    let mut answers = vec!["ann", "ben", "cid"];
    if is(Twist::TwoAnswersSwapped) {
        answers.swap(1, 2);
    }
    if is(Twist::OneAnswerLess) {
        answers.pop();
    }
    for who in answers {
        let bit = who == "ben" && is(Twist::AnswerBit);
        world.answer(who, if bit { "paie" } else { "paid" });
    }
}

/// The same run every time, but for what `twist` says.
fn small_run(seed: u64, twist: Twist) -> Seen {
    let mut options = WorldOptions { keep_trace: true, ..WorldOptions::default() };
    options.start_utc_ms += if_is(twist, Twist::StartTime, 1, 0);
    let world = World::new(seed + if_is(twist, Twist::Seed, 1, 0), options)
        .expect("this thread has no other world");
    let boot = world.boot();
    plain_part(&world, &boot, twist);
    let ran = block_on(sql(&boot, if_is(twist, Twist::SqlBit, 0, 1)));
    let (opened, answer) = ran.expect("no fault is armed");
    assert_eq!(answer.matches("2026-01-01 00:00:01").count(), 2, "SQL reads the clock: {answer}");
    world.answer("sql", answer);
    let log = world.image().contents("/app.db-wal").expect("the connections are open");
    assert!(log.len() > 8_192, "the log holds only {} bytes", log.len());
    world.check("total", if_is(twist, Twist::CheckBit, "201", "200"));
    let survivors = Survivors::Prefix(if_is(twist, Twist::AnotherSurvivor, 2, 1));
    let power_loss = Ending::PowerLoss(survivors);
    world.crash(&if_is(twist, Twist::AnotherEnding, Ending::ProcessKill, power_loss));
    drop(opened);
    Seen { fingerprint: world.fingerprint(), records: world.records(), log: Digest::of(&log) }
}

/// Goal: nothing that happens in a run escapes its fingerprint. Method: the run again and again, each
/// time with one bit, one millisecond, one record or one ending other than it was.
#[test]
fn a_run_with_any_one_difference_has_another_fingerprint() {
    let plain = small_run(1, Twist::Nothing);
    assert_eq!(small_run(1, Twist::Nothing), plain);
    let mut fingerprints = BTreeSet::from([plain.fingerprint]);
    for twist in TWISTS {
        let other = small_run(1, twist);
        assert!(fingerprints.insert(other.fingerprint), "{twist:?} leaves no mark");
    }
}

fn fingerprint(records: impl IntoIterator<Item = Record>) -> Digest {
    let mut trace = Trace::new(false);
    records.into_iter().for_each(|record| trace.add(record));
    trace.fingerprint()
}

fn flipped(text: &str) -> String {
    let last = text.chars().last().expect("no text of the run is empty");
    let other = char::from_u32(u32::from(last) ^ 1).expect("ASCII stays ASCII");
    format!("{}{other}", &text[..text.len() - 1])
}

/// A disk operation with one thing other than it was, in every way.
fn changed_operations(event: &Event) -> Vec<Event> {
    type Fields<'a> = (&'a mut OpKind, &'a mut u64, &'a mut u64, &'a mut Digest);
    let edits: [fn(Fields<'_>); 5] = [
        |(kind, ..)| *kind = if *kind == OpKind::Sync { OpKind::Read } else { OpKind::Sync },
        |(_, offset, ..)| *offset ^= 1,
        |(_, _, len, _)| *len ^= 1,
        |(.., bytes)| bytes.0 ^= 1 << 127,
        |(_, offset, len, _)| (*offset, *len) = (*len + 9, *offset),
    ];
    let edited = |edit: fn(Fields<'_>)| {
        let mut event = event.clone();
        if let Event::Disk { kind, offset, len, bytes, .. } = &mut event {
            edit((kind, offset, len, bytes));
        }
        event
    };
    let mut changed: Vec<Event> = edits.into_iter().map(edited).collect();
    let (mut another_file, mut another_outcome) = (event.clone(), event.clone());
    if let Event::Disk { file, .. } = &mut another_file {
        *file = flipped(file).into();
    }
    if let Event::Disk { outcome, .. } = &mut another_outcome {
        *outcome = if *outcome == "eio" { "ok" } else { "eio" };
    }
    changed.extend([another_file, another_outcome]);
    changed
}

/// `event` with one thing other than it was, in every way.
fn changed_events(event: &Event) -> Vec<Event> {
    match event {
        Event::Disk { .. } => changed_operations(event),
        Event::Crash { ending, pending, fates } => {
            let crash = |ending, pending, fates| Event::Crash { ending, pending, fates };
            vec![
                crash(flipped(ending), *pending, *fates),
                crash(ending.clone(), pending + 1, *fates),
                crash(ending.clone(), *pending, Digest(fates.0 ^ 1)),
            ]
        }
        Event::Boot => vec![Event::ClockStep { by_ms: 0 }],
        Event::ClockStep { by_ms } => vec![Event::ClockStep { by_ms: by_ms + 1 }],
        Event::Fault { effect } => vec![Event::Fault { effect: flipped(effect) }],
        Event::Point { label } => vec![Event::Point { label: flipped(label) }],
        Event::Request { who, what } => {
            let request = |who, what| Event::Request { who, what };
            vec![
                Event::Answer { who: who.clone(), what: what.clone() },
                request(flipped(who), what.clone()),
                request(who.clone(), flipped(what)),
                // The border between two texts counts, too.
                request(format!("{who}{what}"), String::new()),
            ]
        }
        Event::Answer { who, what } => vec![
            Event::Request { who: who.clone(), what: what.clone() },
            Event::Answer { who: flipped(who), what: what.clone() },
            Event::Answer { who: who.clone(), what: flipped(what) },
        ],
        Event::Check { name, found } => vec![
            Event::Check { name: flipped(name), found: found.clone() },
            Event::Check { name: name.clone(), found: flipped(found) },
        ],
    }
}

fn changed_records(record: &Record) -> Vec<Record> {
    let with = |event| Record { event, ..record.clone() };
    let mut changed: Vec<Record> = changed_events(&record.event).into_iter().map(with).collect();
    changed.push(Record { utc_ms: record.utc_ms + 1, ..record.clone() });
    changed.push(Record { monotonic_ms: record.monotonic_ms + 1, ..record.clone() });
    changed.push(Record { boot: record.boot + 1, ..record.clone() });
    changed.push(Record { op: record.op + 1, ..record.clone() });
    changed
}

/// Goal: the same from the records' side: no field of any record is left out of the hash. Method: a run's
/// records hashed anew, with each field of each record changed, each record dropped, doubled, and swapped
/// with the next: all fingerprints are different.
#[test]
fn each_field_and_the_place_of_each_record_count() {
    let run = small_run(1, Twist::Nothing);
    let records = run.records;
    assert_eq!(fingerprint(records.clone()), run.fingerprint, "the hash covers what is recorded");
    let mut fingerprints = BTreeSet::from([run.fingerprint]);
    let mut must_be_new = |changed: Vec<Record>, at: usize, how: &str| {
        assert!(fingerprints.insert(fingerprint(changed)), "{how} {at}: {:?}", records[at]);
    };
    for at in 0..records.len() {
        let (before, after) = (&records[..at], &records[at + 1..]);
        for changed in changed_records(&records[at]) {
            must_be_new([before, &[changed], after].concat(), at, "changed");
        }
        // Of equal neighbours it cannot be told which was dropped, doubled or swapped.
        if records.get(at + 1) != Some(&records[at]) {
            must_be_new([before, after].concat(), at, "dropped");
            must_be_new([before, &records[at..=at], &records[at..]].concat(), at, "doubled");
            if let Some(next) = records.get(at + 1) {
                let swapped = [next.clone(), records[at].clone()];
                must_be_new([before, &swapped, &after[1..]].concat(), at, "swapped");
            }
        }
    }
    println!("{} records, {} fingerprints", records.len(), fingerprints.len());
    assert!(fingerprints.len() > 500);
}

/// A run as lines: each record, the fingerprint, and the hash of the log's bytes.
fn lines(seen: &Seen) -> Vec<String> {
    let record = |record| serde_json::to_string(record).expect("plain data");
    let mut lines: Vec<String> = seen.records.iter().map(record).collect();
    lines.push(format!("fingerprint {}", seen.fingerprint));
    lines.push(format!("log {}", seen.log));
    lines
}

fn all_lines() -> Vec<String> {
    (1..=3).flat_map(|seed| lines(&small_run(seed, Twist::Nothing))).collect()
}

/// The lines of the same test in a process of its own.
fn lines_of_a_child() -> Vec<String> {
    let name = "fingerprint::two_processes_make_the_same_run";
    let child = Command::new(std::env::current_exe().expect("a test binary has a path"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .expect("the test binary can be run again");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    let text = String::from_utf8(child.stdout).expect("the lines are text");
    text.lines().filter_map(|line| line.strip_prefix(MARK)).map(str::to_string).collect()
}

/// Goal: a seed means the same run in every process. Method: this test runs itself in a process of its
/// own, which prints every record and a hash of the log's bytes; the first line that differs is named.
#[test]
fn two_processes_make_the_same_run() {
    if std::env::var_os(CHILD).is_some() {
        println!();
        all_lines().iter().for_each(|line| println!("{MARK}{line}"));
        return;
    }
    let (here, there) = (all_lines(), lines_of_a_child());
    for (number, (here, there)) in here.iter().zip(&there).enumerate() {
        assert_eq!(here, there, "the first difference is in line {number}");
    }
    assert_eq!(here.len(), there.len(), "one process recorded more than the other");
    assert!(here.len() > 120, "only {} lines", here.len());
}

/// Goal: a run does not depend on what its process did before. Method: the run before and after 50
/// others, some of which leave connections and processes behind.
#[test]
fn a_run_is_the_same_after_fifty_others() {
    let first = small_run(1, Twist::Nothing);
    let mut others = BTreeSet::new();
    let twists = TWISTS.into_iter().filter(|twist| *twist != Twist::Seed).cycle();
    for (seed, twist) in (2..52).zip(twists) {
        others.insert(small_run(seed, twist).log);
    }
    assert_eq!(others.len(), 50, "the log's salts and the random values are the seed's");
    let again = small_run(1, Twist::Nothing);
    for (number, (first, again)) in lines(&first).iter().zip(&lines(&again)).enumerate() {
        assert_eq!(first, again, "the first difference is in line {number}");
    }
    assert_eq!(first, again);
}
