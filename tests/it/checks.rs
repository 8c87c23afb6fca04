//! The judge watches and does not touch, and what it watches keeps its promises under each protocol.

use crate::command::{line, passed};
use stormglass_scenarios::rows;
use stormglass_scenarios::runner::PlayOptions;
use stormglass_scenarios::scenario::{self, Settings};
use stormglass_scenarios::verdict::{Played, Verdict};
use stormglass_sim::Seed;

fn play(seed: u64, checks: bool) -> Played {
    let options = PlayOptions { keep_trace: true, checks };
    let played = scenario::play("overflow", Seed(seed), &Settings::default(), options)
        .expect("a scenario's name");
    played.expect("this thread has no other world")
}

/// Goal: a check that reads the disk through the world it checks would change what it finds. Method:
/// the same seeds with the judge and without one, record by record.
#[test]
fn the_trace_is_the_same_with_and_without_checks() {
    let mut reading_count = 0;
    for seed in 0..30 {
        let (watched, alone) = (play(seed, true), play(seed, false));
        assert_eq!(watched.outcome.verdict, Verdict::Passed, "seed {seed}");
        assert!(watched.records.len() > 50, "seed {seed} does something");
        let differs = watched.records.iter().zip(&alone.records).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(watched.records.len(), alone.records.len(), "seed {seed}");
        assert_eq!(watched.outcome.fingerprint, alone.outcome.fingerprint, "seed {seed}");
        assert_eq!(alone.outcome.counts["check readings"], 0, "seed {seed} was not watched");
        reading_count += watched.outcome.counts["check readings"];
    }
    assert!(reading_count > 30, "the judge read tables {reading_count} times in 30 runs");
}

/// Goal: what the judge reads by SQLite's file format is what SQLite reads. Method: every reading of 40
/// runs is made both ways; one that differed would fail its run.
#[test]
fn both_readers_of_tables_agree() {
    rows::read_twice();
    for seed in 1000..1040 {
        let played = play(seed, true);
        assert_eq!(played.outcome.verdict, Verdict::Passed, "seed {seed}");
        assert!(played.outcome.counts["check readings"] > 0, "seed {seed} was read");
    }
}

/// Goal: the order of event and blobs is the platform's choice; no order breaks a promise. Method: the
/// same 40 seeds under each, with crashes in them that tell the orders apart.
#[test]
fn the_same_seeds_pass_under_each_protocol() {
    let mut torn_counts = Vec::new();
    for protocol in ["event-then-blobs", "blobs-then-event", "atomic"] {
        let text = passed(&["campaign", "--seeds", "0..40", "--protocol", protocol]);
        assert!(
            text.contains("\n40 runs, 0 findings (0 signatures), 0 harness errors, "),
            "{protocol}: {text}"
        );
        // `between event and blobs: power-loss 9, idle: power-loss 70`.
        let crashes = line(&text, "crash").split(", ");
        let torn = crashes.filter_map(|one| one.strip_prefix("between event and blobs: "));
        let counts = torn.filter_map(|one| one.split(' ').nth(1)?.parse::<u64>().ok());
        torn_counts.push(counts.sum::<u64>());
    }
    assert!(torn_counts[0] > 0, "the event first: a crash leaves it without its blob");
    assert_eq!(torn_counts[1..], [0, 0], "no crash leaves an event without blobs that came before");
}
