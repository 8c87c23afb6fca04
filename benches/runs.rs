//! What a run costs, and where its time goes: `cargo bench --bench runs`.
//!
//! The platform's requests on the simulated disk and on libsql's `:memory:`; a crash and the way
//! back; whole runs of two mixes with and without checks; two processes against one; the memory of a
//! process that plays many. Ratios are of
//! one process or of one counter, for times drift with the machine's other work. To that end this
//! program runs itself, with a job and a number of plans. With `-- --memory` the last part plays as
//! many runs as its aim is set for, which takes minutes.
//!
//! **Invariant:** every number printed was measured in this run.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the host's clock: it is what it is for"
)]

mod counter;
mod measure;
mod mix;
mod mixes;
mod recovery;
mod requests;
#[allow(dead_code, reason = "the other bench uses the rest")]
mod rows;
mod sampler;
mod workers;

use counter::Counter;
use measure::{fastest, resident_bytes, time_us};
use mixes::{MIXES, Mix};
use requests::Store;
use sampler::Sampler;
use std::array;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use stormglass_scenarios::check::Part;
use stormglass_scenarios::plan::{Action, Plan};
use stormglass_scenarios::runner::{PlayOptions, play_watched};
use stormglass_scenarios::verdict::{Played, Verdict};

/// The command's, so that what is measured is what people run.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The first argument of this program when it runs itself.
const JOB: &str = "job";
/// Two numbers of plans: the difference leaves the start-up out.
const COUNTED: (u64, u64) = (5, 25);
/// Plans of each timed round.
const TIMED: u64 = 60;
const ROUNDS: usize = 5;
/// Runs before and after which the memory is read, if it is asked for and if not.
const MEMORY_RUNS: (u64, u64) = (1_000, 10_000);
const FEW_MEMORY_RUNS: (u64, u64) = (500, 1_500);
const MEMORY_AIM_BYTES: i64 = 1 << 20;
const STORE_AIM: f64 = 1.15;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match &args[1..] {
        [first, job, counts @ ..] if first == JOB => {
            let number = |count: &String| count.parse().expect("a number of plans");
            run_job(job, &counts.iter().map(number).collect::<Vec<u64>>());
        }
        rest => {
            print_stores();
            recovery::print_recoveries();
            print_runs();
            workers::print(&MIXES);
            print_memory(rest.iter().any(|arg| arg == "--memory"));
        }
    }
}

fn run_job(job: &str, counts: &[u64]) {
    let serve_all = |count, store| {
        for number in 0..count {
            requests::serve(&requests::plan(number), store);
        }
    };
    match (job, counts) {
        ("memory", [count]) => serve_all(*count, Store::Memory),
        ("disk", [count]) => serve_all(*count, Store::Disk),
        ("play", [warm, count]) => memory_of_runs(*warm, *count),
        ("work", [mix]) => workers::work(MIXES[*mix as usize]),
        _ => panic!("no job is called {job}"),
    }
}

/// What the platform's store calls of libsql. None of them calls another.
const STORE_CALLS: [&str; 4] = [
    "stormglass_platform::store::sql::Database::open*",
    "stormglass_platform::store::sql::Database::execute*",
    "stormglass_platform::store::sql::Database::rows*",
    "sqlite3_close_v2",
];

/// Prints the store's work on the disk against that in memory.
fn print_stores() {
    let counter = Counter::choose();
    match counter {
        Some(counter) => println!("instructions: counted by {}", counter.name()),
        None => println!("instructions: neither perf nor valgrind counts here, so times only"),
    }
    println!("\nfault-free requests                 :memory:        disk    ratio");
    if let Some(counter) = counter {
        print_instructions(counter);
    }
    let plans: Vec<Plan> = (0..TIMED).map(requests::plan).collect();
    let (mut memory, mut disk, mut request_count) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let mut serve = |store| {
            time_us(|| request_count = plans.iter().map(|plan| requests::serve(plan, store)).sum())
        };
        memory.push(serve(Store::Memory));
        disk.push(serve(Store::Disk));
    }
    let each = |rounds| fastest(rounds) / request_count as f64;
    let (memory, disk) = (each(memory), each(disk));
    println!("  {:<30} {memory:>11.1} {disk:>11.1}   x{:>5.2}", "us a request", disk / memory);
}

fn print_instructions(counter: Counter) {
    let (few, many) = COUNTED;
    let slope = |job: &str, within: &[&str]| {
        let count =
            |plans: u64| Some(counter.count_self(&[JOB, job, &plans.to_string()], within)? as f64);
        Some((count(many)? - count(few)?) / (many - few) as f64)
    };
    let mut ratio = None;
    let rows: [(&str, &[&str]); 2] =
        [("instructions a run, all", &[]), ("of them in the store's calls", &STORE_CALLS)];
    for (name, within) in rows {
        let (Some(memory), Some(disk)) = (slope("memory", within), slope("disk", within)) else {
            println!("  {name:<30} this counter does not tell them apart");
            continue;
        };
        ratio = Some(disk / memory);
        println!("  {name:<30} {memory:>11.0} {disk:>11.0}   x{:>5.2}", disk / memory);
    }
    let holds = ratio.is_some_and(|ratio| ratio <= STORE_AIM);
    println!("  aim: x{STORE_AIM} or less: {}", if holds { "holds" } else { "missed" });
}

/// Prints runs per second, and where their time goes.
fn print_runs() {
    println!("\nruns of one core               a second   us each   platform   tables   model");
    for mix in MIXES {
        let plans: Vec<Plan> = (0..TIMED).map(|number| mix.plan(number)).collect();
        let calm: Vec<Plan> = plans.iter().map(without_faults).collect();
        println!("{}", mix.name());
        let whole = print_kind("whole, checks on", &plans, true);
        print_kind("whole, checks off", &plans, false);
        print_kind("no crash or fault, checks on", &calm, true);
        print_kind("no crash or fault, checks off", &calm, false);
        let aim = mix.aim();
        let holds = if whole >= aim { "holds" } else { "missed" };
        println!("  aim: {aim:.0} a second, whole, with checks on: {holds}");
    }
    println!("  platform: with its store, the simulated world and the runner's own steps.");
}

/// Prints one kind of run and returns how many a second there were.
fn print_kind(name: &str, plans: &[Plan], checks: bool) -> f64 {
    let (mut shares, mut rounds) = ([0.0; 3], Vec::new());
    for _ in 0..ROUNDS {
        let sampler: Sampler<3> = Sampler::start();
        rounds.push(time_us(|| play_all(plans, checks, &sampler.turns())));
        let times = sampler.stop();
        shares = array::from_fn(|part| shares[part] + times[part]);
    }
    let each_us = fastest(rounds) / plans.len() as f64;
    let all: f64 = shares.iter().sum();
    let [platform, tables, model] = shares.map(|share| 100.0 * share / all);
    println!(
        "  {name:<30} {:>7.0} {each_us:>9.0} {platform:>8.0} % {tables:>6.0} % {model:>5.0} %",
        1e6 / each_us
    );
    1e6 / each_us
}

fn without_faults(plan: &Plan) -> Plan {
    let mut calm = plan.clone();
    calm.faults.clear();
    calm.steps.retain(|step| !matches!(step.action, Action::Crash { .. } | Action::Restart));
    calm
}

fn play_all(plans: &[Plan], checks: bool, turns: &AtomicUsize) {
    let watch = |part: Part| turns.store(part as usize, Ordering::Relaxed);
    for plan in plans {
        watch(Part::Platform);
        let options = PlayOptions { keep_trace: false, checks };
        passed(&play_watched(plan, options, &watch).expect("one world at a time"));
    }
}

fn passed(played: &Played) {
    let verdict = &played.outcome.verdict;
    assert!(matches!(verdict, Verdict::Passed), "a run of the platform as it is: {verdict:?}");
}

/// Prints by how much a process grows that plays many runs.
fn print_memory(is_asked: bool) {
    let (warm, count) = if is_asked { MEMORY_RUNS } else { FEW_MEMORY_RUNS };
    let this = std::env::current_exe().expect("a running program has a path");
    let counts = [warm.to_string(), count.to_string()];
    let output = Command::new(this).args([JOB, "play"]).args(counts).output();
    let output = output.expect("this program runs once, so it runs twice");
    print!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    if !is_asked {
        let (_, count) = MEMORY_RUNS;
        println!("  aim: not decided. `cargo bench --bench runs -- --memory` plays {count} runs.");
    }
}

fn memory_of_runs(warm: u64, count: u64) {
    Mix::Default.play(0..warm);
    let before = resident_bytes();
    Mix::Default.play(warm..count);
    let (Some(before), Some(after)) = (before, resident_bytes()) else {
        return println!("\nmemory: this system does not tell it");
    };
    let (growth, kib) = (after - before, |bytes: i64| bytes / 1024);
    println!("\nmemory of one process      KiB resident");
    println!("  after {warm:>6} runs {:>20}", kib(before));
    println!("  after {count:>6} runs {:>20}", kib(after));
    println!("  growth {:>27}", kib(growth));
    if count == MEMORY_RUNS.1 {
        let verdict = if growth < MEMORY_AIM_BYTES { "holds" } else { "missed" };
        println!("  aim: under {} KiB: {verdict}", kib(MEMORY_AIM_BYTES));
    }
}
