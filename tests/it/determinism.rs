//! Equal seeds make equal runs: in any process, at any parallelism, after any other runs.
//!
//! More seeds, and a build with other optimisations, take too long for every `cargo test`. All of these
//! print one `fingerprint`:
//!
//! ```text
//! cargo stormglass campaign --seeds 0..200 --jobs 1
//! cargo stormglass campaign --seeds 0..200 --jobs 8
//! cargo run --release -p stormglass-scenarios -- campaign --seeds 0..200
//! ```

use crate::command::{line, passed};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use stormglass_scenarios::campaign::Summary;
use stormglass_scenarios::determinism::{self, Comparison};
use stormglass_scenarios::runner::PlayOptions;
use stormglass_scenarios::scenario::{self, Settings};
use stormglass_scenarios::verdict::Outcome;
use stormglass_sim::Seed;

fn play(name: &str, seed: u64) -> Outcome {
    let options = PlayOptions { keep_trace: false, checks: true };
    let played =
        scenario::play(name, Seed(seed), &Settings::default(), options).expect("a scenario's name");
    played.expect("this thread has no other world").outcome
}

/// The hash over the fingerprints of all `seeds`, played in this process.
fn of_this_process(name: &str, seeds: Range<u64>) -> String {
    let mut summary = Summary::default();
    for seed in seeds {
        summary.add(Seed(seed), play(name, seed));
    }
    summary.fingerprint().to_string()
}

/// The same, from worker processes.
fn of_processes(name: &str, seeds: &str, jobs: &str) -> String {
    let arguments = ["campaign", "--scenario", name, "--seeds", seeds, "--jobs", jobs];
    line(&passed(&arguments), "fingerprint").to_string()
}

/// Goal: nothing of a process and nothing of the runs before it reaches a run. Method: the hash over
/// all fingerprints, from one worker, from two that share the seeds as it comes, and from this process
/// after 50 runs of other seeds. `check-determinism --seed N` names the record where a seed differs.
fn equal_everywhere(name: &str, seeds: Range<u64>) {
    let range = format!("{}..{}", seeds.start, seeds.end);
    let alone = of_processes(name, &range, "1");
    assert_eq!(alone, of_processes(name, &range, "2"));
    of_this_process(name, 5_000..5_050);
    assert_eq!(alone, of_this_process(name, seeds));
}

#[test]
fn two_hundred_scripts_are_equal_in_any_process_and_after_fifty_others() {
    equal_everywhere("sql", 0..200);
}

/// 100 seeds, so that it takes some ten seconds; the head of this file has more.
#[test]
fn a_hundred_runs_of_the_platform_are_equal_in_any_process_and_after_fifty_others() {
    equal_everywhere("overflow", 0..100);
}

/// Goal: whole traces are compared, not only their hashes. Method: the command that users have.
#[test]
fn check_determinism_compares_every_record() {
    for name in ["sql", "overflow"] {
        let text = passed(&["check-determinism", "--scenario", name, "--seed", "7"]);
        let words: Vec<&str> = text.split_whitespace().collect();
        let count = words.windows(2).find(|pair| pair[1] == "records").map(|pair| pair[0]);
        let count: usize = count.and_then(|count| count.parse().ok()).expect("a number of records");
        assert!(count > 100, "{text}");
    }
}

/// Goal: a comparison of nothing with nothing is no proof. Method: two processes that refuse to play.
#[test]
fn processes_without_a_trace_are_not_equal() {
    let program = Path::new(env!("CARGO_BIN_EXE_stormglass"));
    let arguments = ["run", "--trace", "--seed", "none"].map(str::to_string);
    let compared = determinism::compare(program, &arguments).expect("both processes start");
    assert!(compared.why_broken().is_some(), "it is no pass");
    let Comparison::NoTrace { last_words } = compared.comparison else { panic!("{compared:?}") };
    assert!(last_words.contains("`none` is no seed"), "{last_words}");
}

#[test]
fn different_seeds_make_different_runs() {
    for name in ["sql", "overflow"] {
        let fingerprints: BTreeSet<String> =
            (0..20).map(|seed| play(name, seed).fingerprint).collect();
        assert_eq!(fingerprints.len(), 20, "{name}");
    }
}
