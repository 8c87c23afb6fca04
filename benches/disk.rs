//! What the simulated disk costs: `cargo bench --bench disk`.
//!
//! The same statements on it (write-ahead log, `synchronous=FULL`, with the trace's hash) and on
//! libsql's `:memory:`; an image of the disk; a crash and the way back. Times drift with the
//! machine's other work, so what is compared is measured side by side, and instructions are counted
//! where something here can count them. To that end this program runs itself, with a row and a
//! number of rows; the difference between two numbers leaves the start-up out.
//!
//! Each row has an aim, what was hoped for before anything was measured. Whether it holds is
//! printed, and where the surplus over `:memory:` lies: the log's checksums are SQLite's own; the
//! hash takes in every byte that is read or written; the bytes' share is to allocate, copy and file
//! each chunk.
//!
//! **Invariant:** every number printed was measured in this run.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the host's clock: it is what it is for"
)]

#[allow(dead_code, reason = "shared with `runs`, which uses all of it")]
mod counter;
mod images;
mod measure;
mod replay;
mod rows;

use counter::Counter;
use measure::{fastest, time_us};
use replay::Part;
use rows::{ROWS, Row, Table, world};
use std::collections::BTreeMap;

const ROUNDS: usize = 31;
/// The first argument of this program when it runs itself.
const JOB: &str = "job";

/// What one process does under a counter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    Memory,
    Disk,
    /// As `Disk`, with the records of the trace kept.
    Record,
    /// As `Record`, and then one part of the disk's work once more.
    Replay(Part),
}

const JOBS: [(&str, Job); 6] = [
    ("memory", Job::Memory),
    ("disk", Job::Disk),
    ("record", Job::Record),
    ("replay-calls", Job::Replay(Part::Calls)),
    ("replay-bytes", Job::Replay(Part::Bytes)),
    ("replay-hash", Job::Replay(Part::Hash)),
];

impl Job {
    fn run(self, row: Row, count: u64) {
        match self {
            Job::Memory => Table::in_memory(row).insert(count),
            Job::Disk => {
                let world = world(false);
                Table::on_disk(&world, row).insert(count);
            }
            Job::Record => drop(replay::record(row, count)),
            Job::Replay(part) => drop(part.replay(&replay::record(row, count))),
        }
    }
}

/// Where a transaction's cost lies, in instructions or in microseconds.
struct Split {
    memory: f64,
    disk: f64,
    parts: BTreeMap<Part, f64>,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, first, job, row, count] = &args[..]
        && first == JOB
    {
        return run_job(job, row, count);
    }
    images::print_snapshot_memory();
    let counter = Counter::choose();
    match counter {
        Some(counter) => println!("instructions: counted by {}", counter.name()),
        None => println!("instructions: neither perf nor valgrind counts here, so times only"),
    }
    let splits =
        ROWS.map(|(name, row, _)| (counter.map(|counter| counted(counter, name, row)), timed(row)));
    print_ratios(&splits);
    print_calls();
    print_splits(&splits);
    print_aims(&splits);
    images::print_snapshots();
    images::print_recoveries();
}

fn run_job(job: &str, row: &str, count: &str) {
    let (_, job) = JOBS.into_iter().find(|(name, _)| *name == job).expect("a job's name");
    let (_, row, _) = ROWS.into_iter().find(|(name, ..)| *name == row).expect("a row's name");
    job.run(row, count.parse().expect("a number of rows"));
}

/// Two numbers of rows. Their difference spans several checkpoints, whose cost belongs to the rows.
fn row_counts(row: Row) -> (u64, u64) {
    match row {
        Row::Blob(size) if size > 100_000 => (20, 120),
        _ => (500, 1500),
    }
}

/// Instructions per transaction.
fn counted(counter: Counter, name: &str, row: Row) -> Split {
    let (few, many) = row_counts(row);
    let slopes: BTreeMap<Job, f64> = JOBS
        .into_iter()
        .map(|(job_name, job)| {
            let count = |rows: u64| {
                let args = [JOB, job_name, name, &rows.to_string()];
                counter.count_self(&args, &[]).expect("every counter counts all")
            };
            (job, (count(many) as f64 - count(few) as f64) / (many - few) as f64)
        })
        .collect();
    let of_part = |part| (part, slopes[&Job::Replay(part)] - slopes[&Job::Record]);
    let parts = Part::ALL.into_iter().map(of_part).collect();
    let (memory, disk) = (slopes[&Job::Memory], slopes[&Job::Disk]);
    Split { memory, disk, parts }
}

/// Microseconds per transaction: the fastest of rounds in which each job runs once.
fn timed(row: Row) -> Split {
    let (few, many) = row_counts(row);
    let records = replay::record(row, many);
    let (mut memory, mut disk) = (Vec::new(), Vec::new());
    let mut parts: BTreeMap<Part, Vec<f64>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let mut table = Table::in_memory(row);
        table.insert(few);
        memory.push(time_us(|| table.insert(many - few)));
        let world = world(false);
        let mut table = Table::on_disk(&world, row);
        table.insert(few);
        disk.push(time_us(|| table.insert(many - few)));
        drop((table, world));
        for part in Part::ALL {
            let mut made = None;
            let time = time_us(|| made = Some(part.replay(&records)));
            parts.entry(part).or_default().push(time);
        }
    }
    let each = |rounds| fastest(rounds) / (many - few) as f64;
    let parts = parts.into_iter().map(|(part, rounds)| (part, fastest(rounds) / many as f64));
    Split { memory: each(memory), disk: each(disk), parts: parts.collect() }
}

type Splits = [(Option<Split>, Split); 3];

fn print_ratios(splits: &Splits) {
    println!(
        "\none transaction   instructions   aim   without us     time   :memory: us   disk us"
    );
    for ((name, _, aim), (counted, timed)) in ROWS.iter().zip(splits) {
        let ratio = |split: &Split| format!("x{:.2}", split.disk / split.memory);
        let without = |split: &Split| {
            format!("x{:.2}", (split.disk - split.parts[&Part::Calls]) / split.memory)
        };
        let or_none = |text: Option<String>| text.unwrap_or("-".to_string());
        let instructions = or_none(counted.as_ref().map(ratio));
        let without = or_none(counted.as_ref().map(without));
        let (time, memory, disk) = (ratio(timed), timed.memory, timed.disk);
        println!(
            "  {name:<15} {instructions:>12} {aim:>5.1} {without:>12} {time:>8} {memory:>13.1} \
             {disk:>9.1}"
        );
    }
    println!(
        "  without us: what would be left if the disk's calls cost nothing: SQLite's own log."
    );
}

fn print_calls() {
    println!("\ncalls on the disk     a transaction   bytes each");
    for (name, row, _) in ROWS {
        let count = row_counts(row).1;
        for ((kind, file), (calls, bytes)) in replay::tally(row, count) {
            let call = format!("{kind:?} {file:?}");
            let (each, size) = (calls as f64 / count as f64, bytes as f64 / calls as f64);
            println!("  {name:<8} {call:<16} {each:>10.3} {size:>12.0}");
        }
    }
}

fn print_splits(splits: &Splits) {
    println!("\nsurplus over :memory:                SQLite     bytes      hash   locks, records");
    for ((name, ..), (counted, timed)) in ROWS.iter().zip(splits) {
        for (unit, split) in [("instructions", counted.as_ref()), ("us", Some(timed))] {
            let Some(Split { memory, disk, parts }) = split else { continue };
            let [calls, bytes, hash] = Part::ALL.map(|part| parts[&part]);
            let surplus = disk - memory;
            let digits = usize::from(unit == "us");
            println!(
                "  {name:<8} {surplus:>9.digits$} {unit:<12} {:>9.digits$} {bytes:>9.digits$} \
                 {hash:>9.digits$} {:>16.digits$}",
                surplus - calls,
                calls - bytes - hash,
            );
        }
    }
    println!(
        "  SQLite: what is not in the disk's calls: its log's checksums and index, its journal"
    );
    println!("  in memory (which it saves), its checkpoints, and calls without record (locks).");
}

/// Whether each aim holds, and each part's share of the surplus. Times decide nothing: they drift.
fn print_aims(splits: &Splits) {
    println!("\naims                 of the surplus: SQLite   bytes    hash   locks, records");
    for ((name, _, aim), (counted, _)) in ROWS.iter().zip(splits) {
        let Some(Split { memory, disk, parts }) = counted else {
            println!("  {name:<8} not decided: no instructions were counted");
            continue;
        };
        let over = disk / memory - aim;
        let verdict =
            if over <= 0.0 { "holds".to_string() } else { format!("missed by x{over:.2}") };
        let [calls, bytes, hash] = Part::ALL.map(|part| parts[&part]);
        let surplus = disk - memory;
        let [sqlite, bytes, hash, rest] =
            [surplus - calls, bytes, hash, calls - bytes - hash].map(|cost| 100.0 * cost / surplus);
        println!(
            "  {name:<8} {verdict:<24} {sqlite:>6.0} % {bytes:>5.0} % {hash:>5.0} % {rest:>14.0} %"
        );
    }
}
