//! Equal seeds make equal runs, in any process and after any other runs.

use std::process::{Command, Output};
use stormglass_scenarios::campaign;

/// Runs the command line in a process of its own.
fn stormglass(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stormglass"))
        .args(arguments)
        .output()
        .expect("the binary of this package starts")
}

fn line<'a>(text: &'a str, head: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(head));
    line.unwrap_or_else(|| panic!("no line `{head}` in\n{text}")).trim()
}

/// Goal: the fingerprints of 200 SQL scripts (several connections, faults, clock steps) are the same in
/// two processes, and in this one after 50 other scripts. Method: the hash over all 200, which
/// `campaign` prints; `check-determinism --seed N` then names the record for the seed that differs.
#[test]
fn two_hundred_scripts_are_equal_in_two_processes_and_after_fifty_others() {
    let in_a_process = || {
        let output = stormglass(&["campaign", "--seeds", "0..200"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        line(&text, "fingerprint").to_string()
    };
    let first = in_a_process();
    assert_eq!(first, in_a_process());

    campaign::run(5_000..5_050, |_, _| true).expect("a world can be made");
    let after_others = campaign::run(0..200, |_, _| true).expect("a world can be made");
    assert_eq!(first, after_others.fingerprint.expect("runs were made").to_string());
}

/// Goal: whole traces are compared, not only their hashes. Method: the command that users have.
#[test]
fn check_determinism_compares_every_record() {
    let output = stormglass(&["check-determinism", "--seed", "7"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    let words: Vec<&str> = text.split_whitespace().collect();
    let count = words.windows(2).find(|pair| pair[1] == "records").map(|pair| pair[0]);
    let count: usize = count.and_then(|count| count.parse().ok()).expect("a number of records");
    assert!(count > 100, "{text}");
}

#[test]
fn different_seeds_make_different_runs() {
    let fingerprint = |seed: u64| {
        let summary = campaign::run(seed..seed + 1, |_, _| true).expect("a world can be made");
        summary.fingerprint.expect("a run was made")
    };
    assert_ne!(fingerprint(1), fingerprint(2));
}
