//! Exploring one run: every crash point of it, every error of the device.

use crate::command::{Ran, broken, passed, stormglass};
use std::collections::BTreeSet;
use std::path::Path;
use stormglass_scenarios::explore::report::Report;
use stormglass_scenarios::explore::watch::Watch;
use stormglass_scenarios::explore::{Budget, explore};
use stormglass_scenarios::plan::Plan;
use stormglass_scenarios::runner::{self, PlayOptions};
use stormglass_scenarios::scenario::{self, Settings};
use stormglass_scenarios::verdict::{Played, Verdict};
use stormglass_sim::trace::Event;
use stormglass_sim::{Effect, Ending, Fault, Seed, Survivors, When};

/// The seed that the README explores.
const SEED: &str = "42";

fn table(told: &str) -> Vec<&str> {
    told.lines()
        .skip_while(|line| !line.starts_with("phase"))
        .take_while(|l| !l.is_empty())
        .collect()
}

/// Goal: a sound platform passes, in however many processes; what is counted does not depend on them. Method:
/// one process and three.
#[test]
fn every_crash_point_of_a_sound_run_passes_in_any_number_of_processes() {
    let one = passed(&["explore", "--seed", SEED, "--states", "6", "--jobs", "1"]);
    let three = passed(&["explore", "--seed", SEED, "--states", "6", "--jobs", "3"]);
    assert_eq!(table(&one), table(&three));
    let all = table(&one).pop().expect("a line for all").to_string();
    let counts: Vec<u64> = all.split_whitespace().skip(1).map(|n| n.parse().unwrap()).collect();
    let [points, states, left_out, images, recoveries, violations] = counts[..] else {
        panic!("six columns: {all}")
    };
    assert!(points > 200 && states > points && images > 100 && recoveries >= images, "{all}");
    assert!(left_out > 0 && violations == 0, "{all}");
    assert!(one.contains("left out ") && !one.contains("not explored "), "{one}");
    // Most of them come to where another has been.
    assert!(one.contains("to the end "), "{one}");
}

/// Watches nothing.
struct Nobody;

impl Watch for Nobody {
    fn begins(&mut self, _: &dyn Fn() -> Plan) {}
    fn explored(&mut self, _: &Report) {}
}

/// Goal: slices leave nothing to nobody, within recoveries neither. Method: one slice, and two together.
#[test]
fn slices_of_depth_two_make_what_one_process_makes() {
    let plan = scenario::plan("restart", Seed(101), &Settings::default()).expect("a plan");
    let slice = |slice| {
        let budget = Budget { states: 1, depth: 2, recoveries_max: u64::MAX, slice };
        explore(&plan, budget, &mut Nobody).expect("a world")
    };
    let (whole, parts) = (slice((0, 1)), Report::joined([slice((0, 2)), slice((1, 2))]));
    let counts = |report: &Report| -> Vec<(String, u64, u64)> {
        let phases = report.phases.iter();
        phases.map(|(name, counts)| (name.clone(), counts.points, counts.recoveries)).collect()
    };
    for phase in ["recovery of a recovery", "end of a recovery"] {
        assert!(whole.phases[phase].recoveries > 100, "{phase}");
    }
    assert_eq!(counts(&whole), counts(&parts));
}

/// Goal: what no random crash of this seed shows is found in one exploration, and what is found fails alone.
/// Method: an acknowledgement before the commit; the bundle is replayed.
#[test]
fn what_is_found_at_a_crash_point_is_a_plan_that_fails_alone() {
    let arguments = ["--seed", SEED, "--states", "6", "--defect", "ack-before-commit"];
    let Ran { code, out, .. } = stormglass(&[&["explore"], &arguments[..]].concat());
    assert_eq!(code, Some(1), "{out}");
    assert_eq!(broken(&out), "I1 durability: acknowledged event missing");
    let bundle = out.lines().find_map(|line| line.strip_prefix("bundle ")).expect("a bundle");
    let Ran { code, out, .. } = stormglass(&["replay", bundle.trim()]);
    assert_eq!(code, Some(1), "{out}");
    assert_eq!(broken(&out), "I1 durability: acknowledged event missing");
}

/// Goal: the run's own end is explored with the rest, and what is found there is told as a plan. Method: a write of
/// the end that is acknowledged before its commit; its bundle is replayed, and shrinks to a run with few steps.
#[test]
fn what_is_found_in_the_runs_own_end_is_a_plan_that_fails_alone() {
    let arguments = ["--seed", SEED, "--states", "6", "--defect", "ack-before-commit"];
    let Ran { code, out, .. } = stormglass(&[&["explore"], &arguments[..]].concat());
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("the run's end 230 of the points"), "{out}");
    let in_end = |bundle: &&str| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(bundle);
        let plan = std::fs::read_to_string(folder.join("plan.json")).expect("a plan");
        plan.contains("\"end 1/")
    };
    let mut bundles = out.lines().filter_map(|line| line.strip_prefix("bundle ")).map(str::trim);
    let bundle = bundles.find(in_end).expect("one of the run's end");
    let Ran { code, out, .. } = stormglass(&["replay", bundle]);
    assert_eq!(code, Some(1), "{out}");
    assert_eq!(broken(&out), "I1 durability: acknowledged event missing");
    let Ran { code, out, .. } = stormglass(&["shrink", bundle]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains(" steps to 1, ") && out.contains(" faults to 1 "), "{out}");
}

/// Goal: a crash in an end that a crash has begun anew is addressed as well. Method: a plan without a step that
/// matters and two such crashes; without either of them it passes, as it does with both.
#[test]
fn an_end_that_is_cut_off_twice_begins_a_third_time() {
    let mut plan =
        scenario::plan("overflow", Seed(42), &Settings::default()).expect("it has plans");
    plan.faults.clear();
    let effect = Effect::Crash(Ending::PowerLoss(Survivors::None));
    let crash = |scope: &str, n| Fault::in_scope(scope, effect.clone(), When::Nth(n));
    let options = PlayOptions { keep_trace: true, checks: true };
    let played = |faults: Vec<Fault>| {
        let plan = Plan { faults, ..plan.clone() };
        let Played { outcome, records, moved, .. } = runner::play(&plan, options).expect("a world");
        assert_eq!(outcome.verdict, Verdict::Passed);
        let count = records.iter().filter(|one| matches!(one.event, Event::Crash { .. })).count();
        (count, moved)
    };
    let (none, _) = played(vec![]);
    // The run is too short for this many operations of its end.
    let never = crash("end 2", 100_000);
    let (once, moved) = played(vec![crash("end 1/step 0", 9), never.clone()]);
    assert_eq!((once, moved), (none + 1, vec![never]));
    let (twice, moved) = played(vec![crash("end 1/step 0", 9), crash("end 2", 5)]);
    assert_eq!((twice, moved), (none + 2, vec![]));
    // Errors have stopped by then.
    let error = Fault::in_scope("end 1", Effect::Eio, When::Nth(1));
    assert_eq!(played(vec![error.clone()]), (none, vec![error]));
}

/// Goal: a run with a dishonest fault is explored, and nobody is accused of the damage. Method: a seed for each kind
/// (a sync that lies, rot, an older image, a sync that forgets), and one in which a crash is struck right
/// after a sync has lied.
#[test]
fn a_run_with_dishonest_faults_is_explored_under_the_judge_of_damage() {
    for (seed, faults) in
        [("1", "lying-sync"), ("2", "rot"), ("7", "disk-swap"), ("10", "forgetting-sync")]
    {
        let of_damage = ["--profile", "damage", "--seed", seed];
        let plan = passed(&[&["run", "--plan"], &of_damage[..]].concat());
        assert!(plan.contains(faults), "seed {seed} has no {faults}");
        passed(&[&["explore", "--states", "4"], &of_damage[..]].concat());
    }
    passed(&["explore", "--states", "2", "--profile", "damage", "--seed", "20"]);
}

/// Goal: an error at any operation, once or from there on, breaks no promise. Method: all of them, in a run.
#[test]
fn a_sound_platform_survives_an_error_at_every_operation() {
    let told = passed(&["explore", "--seed", SEED, "--faults", "eio,enospc"]);
    for row in ["eio sync once", "eio read from there on", "enospc write once"] {
        assert!(told.contains(row), "{told}");
    }
    // The longest name makes the first column as wide.
    let widths: BTreeSet<usize> = table(&told).iter().map(|row| row.chars().count()).collect();
    assert_eq!(widths.len(), 1, "{told}");
    let (_, rest) = told.split_once("\nnot explored ").expect("the run's own end");
    assert!(rest.starts_with("230 operations of the run's own end, "), "{told}");
    assert!(told.lines().all(|line| line.chars().count() <= 100), "{told}");
}

/// Goal: silent damage at any operation is survived as the contract says, and what is not is found. Method: all of it, in
/// a run of a sound platform; commits that are not synced, put back from an image; blobs whose hash nobody checks, rotten.
#[test]
fn silent_damage_at_every_operation_is_judged() {
    let all = "older-image,lying-sync,rot";
    let told = passed(&["explore", "--seed", "1", "--faults", all]);
    for row in ["older-image oldest", "lying-sync, then the power", "rot before a read"] {
        assert!(told.contains(row), "{told}");
    }
    let between = table(&told).into_iter().find(|row| row.starts_with("older-image between"));
    let counts: Vec<&str> = between.expect("a row").split_whitespace().skip(2).collect();
    assert!(counts[2].parse::<u64>().is_ok_and(|left_out| left_out > 0), "{told}");
    for (seed, fault, defect, promise) in
        [("101", "older-image", "sync-normal", "I1"), ("2013", "rot", "no-hash-check", "I22")]
    {
        let arguments = ["explore", "--seed", seed, "--faults", fault, "--defect", defect];
        let Ran { code, out, .. } = stormglass(&arguments);
        assert_eq!(code, Some(1), "{out}");
        assert!(out.contains(&format!("   plan   {promise} ")), "{out}");
    }
}

/// Goal: a run that fails before anything is done to it is told as the seed's, and that nothing was explored.
#[test]
fn a_run_that_fails_by_itself_is_not_explored_and_says_so() {
    let arguments = ["--scenario", "overflow", "--seed", "0", "--defect", "replay-drops-blobs"];
    let Ran { code, out, .. } = stormglass(&[&["explore"], &arguments[..]].concat());
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("\nFAIL overflow   seed 0x0   I18 "), "{out}");
    assert!(out.contains("\nnot explored anything: the run fails by itself already"), "{out}");
}

/// Goal: a guest that wants for fuel, wherever it does, is answered as the contract says, and nothing that was
/// acknowledged is lost. Method: every part of what each guest of a run uses, and each of its calls of the host.
#[test]
fn a_sound_platform_survives_guests_that_run_out_of_fuel_anywhere() {
    let told = passed(&["explore", "--scenario", "wasm", "--seed", "2", "--faults", "fuel"]);
    let count = |row: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(row)).unwrap_or_default();
        line.split_whitespace().next().map_or(0, |n| n.parse::<u64>().expect("a count"))
    };
    assert_eq!(count("fuel at each 64th"), 3 * 63, "{told}");
    assert!(count("fuel at each host call") > 3, "{told}");
    assert!(told.contains(" fault points, ") && !told.contains("no guest runs"), "{told}");
    let told = passed(&["explore", "--scenario", "sweeper", "--seed", "2", "--faults", "fuel"]);
    assert!(
        told.contains("\nno guest runs in this one") && told.contains("--scenario wasm"),
        "{told}"
    );
}

/// Goal: a single seed is enough for a defect at a crash point. Method: the exploration of a run that passes as
/// it is, under each; a row of the table has the seed, the defect and a promise that it breaks.
#[test]
fn one_seed_is_enough_for_each_defect_of_crash_points() {
    for (seed, defect, promise) in [
        ("42", "snapshot-goes-back", "I20"),
        ("101", "replay-drops-blobs", "I5"),
        ("101", "sync-normal", "I1"),
        ("101", "wal-off", "I14"),
        ("2013", "replay-skips-renewal", "I5"),
    ] {
        let arguments = ["explore", "--seed", seed, "--states", "16", "--defect", defect];
        let Ran { code, out, .. } = stormglass(&arguments);
        assert_eq!(code, Some(1), "{defect}: {out}");
        assert!(out.contains(&format!("   {promise} ")), "{defect}: {out}");
    }
}

#[test]
fn a_seed_without_a_plan_is_refused_with_the_mend() {
    let Ran { code, err, .. } = stormglass(&["explore", "--seed", "1", "--scenario", "sql"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("choose another with --scenario"), "{err}");
}
