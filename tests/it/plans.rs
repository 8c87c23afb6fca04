//! Plans as files: what a seed made is written, read and played again, and nothing in it is overlooked.

use crate::command::{file, line, passed};
use serde_json::{Value, json};
use stormglass_scenarios::plan::{Plan, PlanError};
use stormglass_scenarios::runner::{self, PlayOptions};
use stormglass_scenarios::scenario::{self, Settings};
use stormglass_sim::{Effect, Fault, Seed, Target, When};

fn plan(seed: u64) -> Plan {
    scenario::plan("overflow", Seed(seed), &Settings::default()).expect("the scenario has plans")
}

#[test]
fn a_plan_is_the_same_after_it_was_written_and_read() {
    for seed in 0..200 {
        let plan = plan(seed);
        assert_eq!(Plan::from_json(&plan.to_json()).expect("a plan's own JSON"), plan);
    }
}

/// Goal: a plan needs its seed no more. Method: plans that went through JSON leave the fingerprints
/// that their seeds leave.
#[test]
fn a_plan_that_was_read_plays_as_its_seed_does() {
    let options = PlayOptions { keep_trace: false, checks: true };
    for seed in 100..110 {
        let read = Plan::from_json(&plan(seed).to_json()).expect("a plan's own JSON");
        let replayed = runner::play(&read, options).expect("this thread has no other world");
        let played = scenario::play("overflow", Seed(seed), &Settings::default(), options);
        let played = played.expect("a scenario's name").expect("this thread has no other world");
        assert_eq!(replayed.outcome.verdict, played.outcome.verdict, "seed {seed}");
        assert_eq!(replayed.outcome.fingerprint, played.outcome.fingerprint, "seed {seed}");
        assert_eq!(replayed.story, played.story, "seed {seed}");
    }
}

/// The same through the commands that people use.
#[test]
fn replay_of_a_printed_plan_tells_the_same_run() {
    let path = file("replayed.json", &passed(&["run", "--seed", "42", "--plan"]));
    let replayed = passed(&["replay", path.to_str().expect("a path of plain letters")]);
    let played = passed(&["run", "--seed", "42"]);
    assert_eq!(line(&replayed, "fingerprint"), line(&played, "fingerprint"));
    // The settings come first, then the story, then what came of it.
    let told = |text: &str| text.split("\n\n").take(2).map(str::to_string).collect::<Vec<_>>();
    assert_eq!(told(&replayed), told(&played));
    assert!(told(&played)[0].starts_with("settings ") && told(&played)[1].contains("server up"));
}

/// Goal: a plan whose faults have lost their place is not taken for one that still means the same. Method:
/// a fault at a step that is not there.
#[test]
fn replay_names_the_faults_that_never_struck() {
    let mut plan = plan(42);
    let target = Target { scope: Some("step 999".to_string()), ..Target::default() };
    plan.faults = vec![Fault { effect: Effect::Eio, target, when: When::Nth(1) }];
    let path = file("moved.json", &plan.to_json());
    let told = passed(&["replay", path.to_str().expect("a path of plain letters")]);
    let moved = line(&told, "moved ");
    assert!(moved.starts_with("this fault never struck: ") && moved.contains("step 999"), "{told}");
    plan.faults.clear();
    let path = file("unmoved.json", &plan.to_json());
    let told = passed(&["replay", path.to_str().expect("a path of plain letters")]);
    assert!(!told.contains("\nmoved "), "{told}");
}

/// How many objects a value holds, itself included.
fn object_count(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(object_count).sum(),
        Value::Object(members) => 1 + members.values().map(object_count).sum::<usize>(),
        _ => 0,
    }
}

/// Adds a key to the `nth` object of a value.
fn add_key(value: &mut Value, nth: &mut usize) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| add_key(item, nth)),
        Value::Object(members) => {
            members.values_mut().for_each(|member| add_key(member, nth));
            if *nth == 0 {
                members.insert("colour".to_string(), json!(3));
            }
            *nth = nth.wrapping_sub(1);
        }
        _ => {}
    }
}

/// Goal: a key that is misspelled is not a key that is left out. Method: one key too many in each
/// object of a plan, wherever it stands.
#[test]
fn an_unknown_key_is_refused_at_any_depth() {
    for seed in 0..8 {
        let value: Value = serde_json::from_str(&plan(seed).to_json()).expect("JSON");
        for nth in 0..object_count(&value) {
            let mut changed = value.clone();
            add_key(&mut changed, &mut nth.clone());
            assert_ne!(changed, value);
            let text = serde_json::to_string_pretty(&changed).expect("a value is plain data");
            let read = Plan::from_json(&text);
            assert!(matches!(read, Err(PlanError::Shape(_))), "seed {seed}, object {nth}");
        }
    }
}

/// Goal: half a file is no plan, and the message has its place. Method: a plan cut off after every
/// 37th byte.
#[test]
fn a_truncated_plan_is_refused_with_line_and_column() {
    let text = plan(3).to_json();
    for end in (0..text.len()).step_by(37) {
        let error = Plan::from_json(&text[..end]).expect_err("half a file is no plan").to_string();
        let line = text[..end].split('\n').count();
        assert!(error.contains(&format!(" at line {line} column ")), "cut at {end}: {error}");
    }
}
