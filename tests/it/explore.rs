//! Exploring one run: every crash point of it, every error of the device.

use crate::command::{Ran, broken, passed, stormglass};

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
    assert!(one.contains("left out ") && one.contains("not explored "), "{one}");
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

/// Goal: an error at any operation, once or from there on, breaks no promise. Method: all of them, in a run.
#[test]
fn a_sound_platform_survives_an_error_at_every_operation() {
    let told = passed(&["explore", "--seed", SEED, "--faults", "eio,enospc"]);
    for row in ["eio sync once", "eio read from there on", "enospc write once"] {
        assert!(told.contains(row), "{told}");
    }
}

#[test]
fn a_seed_without_a_plan_is_refused_with_the_mend() {
    let Ran { code, err, .. } = stormglass(&["explore", "--seed", "1", "--scenario", "sql"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("choose another with --scenario"), "{err}");
}
