//! What every test run plays: plans that once failed, the same 20 seeds of every scenario, and 80 seeds that
//! the commit draws, so that each commit tries others.
//!
//! Honoured, by the names that users of madsim know: `MADSIM_TEST_SEED` (the first of the drawn seeds),
//! `MADSIM_TEST_NUM` (how many), `MADSIM_TEST_JOBS` (processes), `MADSIM_TEST_CHECK_DETERMINISM` (compares
//! two processes for each of them).

use crate::command::{assert_committed, broken, passed, plans_in, stormglass};
use std::env;
use std::io::{self, Write};
use std::num::NonZero;
use std::ops::ControlFlow;
use std::str::FromStr;
use stormglass_scenarios::verdict::Verdict;
use stormglass_scenarios::workers::Crew;
use stormglass_scenarios::{build_info, host, scenario};
use stormglass_sim::Seed;

const FIXED_COUNT: u64 = 20;
const DRAWN_COUNT: u64 = 80;

/// What an environment variable says; a word that is none fails the test.
fn setting<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Plays seeds in worker processes; the first one that fails is told with its finding and its command.
fn play(seeds: impl Iterator<Item = Seed> + Send, arguments: &[&str]) {
    let worker = [&["worker"], arguments].concat().into_iter().map(str::to_string);
    let crew = Crew::new(env!("CARGO_BIN_EXE_stormglass").into(), worker.collect());
    let jobs = setting("MADSIM_TEST_JOBS").map_or_else(host::cores, NonZero::get);
    let (mut failure, mut played_count) = (None, 0);
    let seeds: Vec<Seed> = seeds.collect();
    let count = seeds.len();
    crew.play_all(seeds.into_iter(), jobs, |ended| {
        played_count += 1;
        if ended.outcome.verdict == Verdict::Passed {
            return ControlFlow::Continue(());
        }
        let words = ["cargo stormglass run"].iter().chain(arguments).copied().collect::<Vec<_>>();
        failure = Some(format!(
            "seed {}  {}\nreproduce    {} --seed {}",
            ended.seed,
            ended.outcome.verdict.in_words(),
            words.join(" "),
            ended.seed
        ));
        ControlFlow::Break(())
    })
    .expect("workers start");
    if let Some(failure) = failure {
        panic!("{failure}");
    }
    assert_eq!(played_count, count, "every seed is played");
}

/// The seeds that are drawn for this commit, or that the environment names.
fn drawn() -> (Seed, u64) {
    let of_commit = || build_info::commit()?.parse().ok();
    let first = setting("MADSIM_TEST_SEED").or_else(of_commit).unwrap_or(Seed(0));
    (first, setting("MADSIM_TEST_NUM").map_or(DRAWN_COUNT, NonZero::get))
}

fn range((first, count): (Seed, u64)) -> impl Iterator<Item = Seed> {
    (0..count).map(move |n| Seed(first.0.wrapping_add(n)))
}

/// Goal: what was mended stays mended, and its plan still means what it meant. Method: every plan passes,
/// and every fault of it strikes.
#[test]
fn plans_that_once_failed_pass_for_ever() {
    for (name, path) in plans_in("regressions") {
        let told = passed(&["replay", path.to_str().expect("a path of plain letters")]);
        assert_eq!(moved(&name, &told), None);
    }
}

/// Goal: whoever meets a kept plan reads what it is for. Method: each has its story beside it. That of a plan which
/// failed before stories were kept begins with what was wrong, in words, and goes on with its run as it is told today.
#[test]
fn every_regression_has_its_story() {
    for (name, path) in plans_in("regressions") {
        let story = std::fs::read_to_string(path.with_extension("txt"));
        let story = story.unwrap_or_else(|why| panic!("{name} has no story: {why}"));
        if story.starts_with("FAIL ") {
            assert!(broken(&story).starts_with('I'), "{story}");
            continue;
        }
        let (wrong, _) = story.split_once("\n\n").expect("what was wrong, and a blank line");
        assert!(wrong.starts_with("FAILED "), "{story}");
        let told = passed(&["replay", path.to_str().expect("a path of plain letters")]);
        let run = told.split("\n\n").nth(1).expect("its settings, and then its run");
        assert_committed(&format!("tests/regressions/{name}.txt"), &format!("{wrong}\n\n{run}\n"));
    }
}

/// What is to be said of a plan whose replay names faults that found no place.
pub fn moved(name: &str, told: &str) -> Option<String> {
    let faults: Vec<&str> = told.lines().filter(|line| line.starts_with("moved ")).collect();
    let faults = faults.join("\n");
    let mend = "it is no longer known to mean what it meant: shrink what it was for anew, or drop it by hand";
    (!faults.is_empty()).then(|| format!("{name} has moved, {mend}\n{faults}"))
}

#[test]
fn the_fixed_seeds_of_every_scenario_pass() {
    for (name, _) in scenario::all() {
        play(range((Seed(0), FIXED_COUNT)), &["--scenario", name]);
    }
}

#[test]
fn the_seeds_that_the_commit_draws_pass() {
    let (first, count) = drawn();
    // Not by `println`, which is kept back unless the test fails.
    let _ = writeln!(io::stderr(), "{count} seeds from {first}");
    play(range((first, count)), &[]);
}

/// Goal: the comparison of two processes for any seeds at all. Method: the command, for as many seeds as
/// are asked for; two without being asked.
#[test]
fn drawn_seeds_are_equal_in_two_processes() {
    let (first, count) = drawn();
    let is_asked = env::var_os("MADSIM_TEST_CHECK_DETERMINISM").is_some();
    for seed in range((first, if is_asked { count } else { count.min(2) })) {
        passed(&["check-determinism", "--seed", &seed.to_string()]);
    }
}

/// A test that fails says what was found and how it is seen again.
#[test]
fn a_failing_seed_is_told_with_its_command() {
    let played = std::panic::catch_unwind(|| {
        play(range((Seed(0), FIXED_COUNT)), &["--defect", "replay-drops-blobs"]);
    });
    let told = played.expect_err("some of the seeds find the defect");
    let told = told.downcast_ref::<String>().expect("a panic with words");
    let (finding, command) = told.split_once("\nreproduce    cargo ").expect("a command");
    assert!(finding.contains("VIOLATED I"), "{told}");
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    assert_eq!(stormglass(&words).code, Some(1), "{command}");
}
