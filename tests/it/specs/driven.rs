//! Specs driven through the harness: the platform keeps its promises under any of them, whatever a spec does
//! with its own.

use super::{extra_specs, name_of, own_specs};
use crate::command::{Ran, file, line, passed, stormglass};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use stormglass_scenarios::drive;
use stormglass_scenarios::plan::{Action, Plan};
use stormglass_scenarios::scenario::Settings;
use stormglass_sim::Seed;

/// Seeds of each spec: enough for the invariants below to break.
const SEEDS: &str = "0..60";

/// The specs that break their own invariants, and which.
const BROKEN: [(&str, &[&str]); 2] = [
    ("cart", &["Cart.PaidIsLocked", "Cart.ShippedIsFinal"]),
    (
        "issue",
        &[
            "Issue.InProgressRequiresAssignee",
            "Issue.PlannedRequiresPlan",
            "Issue.TodoRequiresPriority",
        ],
    ),
];

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of plain letters")
}

fn out() -> String {
    format!("{}/driven", env!("CARGO_TARGET_TMPDIR"))
}

/// Drives a spec; returns the invariants that it breaks itself.
fn drive_one(paths: &[&Path]) -> BTreeSet<String> {
    let files: Vec<&str> = paths.iter().map(|path| text(path)).collect();
    let rest = ["--seeds", SEEDS, "--out", &out()];
    let told = passed(&[&["spec", "drive"], &files[..], &rest].concat());
    assert_eq!(told.matches(": 60 runs, 0 failed, ").count(), paths.len(), "{told}");
    let broken =
        told.lines().filter_map(|line| line.split_once("breaks its own ")?.1.split(' ').next());
    broken.map(str::to_string).collect()
}

fn expected(path: &Path) -> BTreeSet<String> {
    let name = name_of(path);
    let known = BROKEN.iter().filter(|(spec, _)| *spec == name);
    known.flat_map(|(_, claims)| claims.iter().map(|claim| claim.to_string())).collect()
}

/// Goal: the platform keeps its promises under every spec of the project. Method: each is driven for some
/// seeds; what a spec breaks of its own is pinned.
#[test]
fn every_own_spec_is_driven_without_a_violation() {
    for path in own_specs() {
        assert_eq!(drive_one(&[&path]), expected(&path), "{}", path.display());
    }
}

/// The same for public specs; what is no TOML cannot be driven.
#[test]
fn every_extra_spec_is_driven_without_a_violation() {
    for path in extra_specs() {
        if drive::read_files(std::slice::from_ref(&path)).is_ok() {
            assert_eq!(drive_one(&[&path]), expected(&path), "{}", path.display());
        }
    }
}

fn spec(name: &str) -> PathBuf {
    own_specs().into_iter().find(|path| path.ends_with(name)).expect("a spec of the project")
}

/// Goal: a failure under a foreign spec is one that others can see. Method: a planted defect is found, and
/// its bundle is replayed when the spec's file is gone.
#[test]
fn a_bundle_of_a_driven_spec_replays_without_its_file() {
    let text_of = fs::read_to_string(spec("tests/specs/record.ioa.toml")).expect("it is text");
    let path = file("gone.ioa.toml", &text_of);
    let seeds = ["--seeds", "0..40", "--defect", "replay-drops-blobs", "--out", &out()];
    let Ran { code, out: told, .. } =
        stormglass(&[&["spec", "drive", text(&path)], &seeds[..]].concat());
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("VIOLATED I5 no dangling reference"), "{told}");
    let command = line(&told, "  replay       cargo stormglass replay ");
    let bundle = command.split("  ").next().expect("a path stands there");
    fs::remove_file(&path).expect("it was just written");
    let replayed = stormglass(&["replay", bundle]);
    assert_eq!(replayed.code, Some(1), "{}{}", replayed.out, replayed.err);
    assert!(replayed.out.contains("\nsame         it ended as recorded"), "{}", replayed.out);
}

/// Goal: the plan decides everything, the specs included. Method: two processes, and a plan that went
/// through JSON.
#[test]
fn a_driven_spec_makes_one_trace() {
    let path = spec("tests/specs/job.ioa.toml");
    let one = ["--spec", text(&path), "--seed", "5"];
    let told = passed(&[&["check-determinism"], &one[..]].concat());
    assert!(told.contains("all equal"), "{told}");
    let plan = passed(&[&["run", "--plan"], &one[..]].concat());
    let written = file("driven-plan.json", &plan);
    let replayed = passed(&["replay", text(&written)]);
    let played = passed(&[&["run"], &one[..]].concat());
    assert_eq!(line(&replayed, "fingerprint"), line(&played, "fingerprint"));
}

/// Goal: a walk reaches what a spec has. Method: over some seeds every action of every own spec is called, and
/// each value of a text lies at, below and above its ceiling.
#[test]
fn walks_reach_every_action_and_every_ceiling() {
    for path in own_specs() {
        let specs = drive::read_files(std::slice::from_ref(&path)).expect("a sound spec");
        let plans = (0..150).map(|seed| drive::plan(&specs, Seed(seed), &Settings::default()));
        let plans: Vec<Plan> = plans.collect();
        let steps = || plans.iter().flat_map(|plan| &plan.steps);
        let called = steps().filter_map(|step| match &step.action {
            Action::Act { action, .. } => Some(action.as_str()),
            _ => None,
        });
        let called: BTreeSet<&str> = called.collect();
        let automaton = &stormglass_scenarios::foreign::read_all(&specs)[0].automaton;
        for action in &automaton.actions {
            assert!(
                called.contains(action.name),
                "{}: {} is never called",
                name_of(&path),
                action.name
            );
        }
        for variable in automaton.variables.iter().filter(|one| one.ttl_ms.is_some()) {
            let ceiling = variable.ceiling_bytes.unwrap_or(0);
            let values = steps().flat_map(|step| step.action.values());
            let sizes: BTreeSet<u64> = values
                .filter(|(name, _)| name == variable.name)
                .map(|(_, value)| value.value().to_string().len() as u64)
                .collect();
            for size in (ceiling.max(3) - 1)..=(ceiling.max(3) + 1) {
                let is_near = ceiling > 2 && ceiling < 100_000;
                assert!(!is_near || sizes.contains(&size), "{}: no {size} bytes", variable.name);
            }
        }
    }
}
