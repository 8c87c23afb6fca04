//! The harness's own test: wrong turns of the platform are found, each by a promise that it breaks.
//!
//! `tests/defects/` has a plan for each, shrunk to what it takes. Where the platform's behaviour has moved
//! one, find it again: `cargo stormglass defects --find NAME --save`.

use crate::command::{Ran, broken, line, passed, plans_in, stormglass};
use std::collections::BTreeSet;
use stormglass_scenarios::{defects, hunt};

/// Known defects that no plan finds yet. One that gets its plan is taken off this list.
const WITHOUT_PLAN: &[&str] = &[];

/// Goal: the defect is found by one of its own promises, with every fault of its plan, and it is the
/// defect that fails. Method: each plan of the folder with its defect and without.
#[test]
fn every_plan_finds_its_defect_and_passes_without_it() {
    let plans = plans_in("defects");
    assert!(!plans.is_empty(), "there are plans to play");
    for (defect, path) in plans {
        let path = path.to_str().expect("a path of plain letters");
        let Ran { code, out, err } = stormglass(&["replay", path, "--defect", &defect]);
        assert_eq!(code, Some(1), "{defect} is found\n{out}{err}");
        let promise = broken(&out);
        let invariant = promise.split(' ').next().expect("a split has a first part").to_string();
        let own = hunt::invariants_of(&defect);
        assert!(own.contains(&invariant), "{defect} broke {invariant}, not {own:?}\n{out}");
        assert!(!out.contains("\nmoved "), "{defect}: a fault of its plan never strikes\n{out}");
        passed(&["replay", path]);
    }
}

#[test]
fn every_known_defect_has_a_plan_or_is_listed_without() {
    let known: BTreeSet<String> =
        defects::known().iter().map(|(name, ..)| name.to_string()).collect();
    let with: BTreeSet<String> = plans_in("defects").into_iter().map(|(name, _)| name).collect();
    let without: BTreeSet<String> = WITHOUT_PLAN.iter().map(ToString::to_string).collect();
    assert_eq!(with.intersection(&without).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(with.union(&without).cloned().collect::<BTreeSet<_>>(), known);
}

/// Goal: the numbers of `--find` are those of its seeds. Method: two disjoint ranges, with one process
/// and with two, and what it says of the first failing seed is what `run` says.
#[test]
fn the_hunt_for_a_defect_ends_at_the_lowest_seed_that_fails() {
    let find = |jobs: &str| {
        let ranges = ["--ranges", "2", "--first", "0x10", "--seeds-max", "300"];
        let find = ["defects", "--find", "ack-before-commit", "--jobs", jobs];
        let Ran { code, out, .. } = stormglass(&[&find[..], &ranges].concat());
        let rows = out.lines().filter_map(|line| {
            let (head, seed) = line.split_once("  seed ")?;
            let words: Vec<&str> = head.split_whitespace().collect();
            let (start, count) = (words[1].to_string(), words[2].parse::<u64>().expect("seeds"));
            Some((start, count, seed.split(' ').next()?.to_string()))
        });
        (code, rows.collect::<Vec<_>>())
    };
    let (code, rows) = find("1");
    // Whether what is found first is the defect's own depends on the seeds.
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!((rows[0].0.as_str(), rows[1].0.as_str()), ("0x10", "0x13c"));
    for (start, count, seed) in &rows {
        let number = |hex: &str| u64::from_str_radix(&hex[2..], 16).expect("a hex number");
        assert_eq!(number(seed) + 1, number(start) + count);
        let failing = ["run", "--defect", "ack-before-commit", "--seed", seed];
        assert_eq!(stormglass(&failing).code, Some(1));
    }
    assert_eq!(find("2"), (code, rows));
}

#[test]
fn list_names_every_defect_and_what_finds_it() {
    let (text, alone) = (passed(&["list"]), passed(&["defects"]));
    let known = defects::known();
    assert!(known.len() > 20, "the platform was built with its defects");
    for (name, description, invariants) in known {
        let told = format!("{description} ({invariants})");
        assert_eq!(line(&text, &format!("  {name} ")), told);
        assert_eq!(line(&alone, &format!("{name} ")), told);
    }
}
