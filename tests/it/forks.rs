//! Worlds that go on from a moment of a run, held against the plans that say they come to the same.
//!
//! Goal: exploring misses nothing that a plan with a crash at that moment finds, and finds nothing that it does not.
//! Method: of every moment of a run that passes, the kill: one world goes on from there, and the plan is played whole.
//! The runs have guests, of which the judge must know what they came to before the kill.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::process::Command;
use stormglass_scenarios::defects;
use stormglass_scenarios::plan::{FuelLimit, Plan};
use stormglass_scenarios::rows::Seen;
use stormglass_scenarios::runner::{self, Known, Moment, PlayOptions};
use stormglass_scenarios::scenario::{self, Settings};
use stormglass_scenarios::verdict::{Signature, Verdict};
use stormglass_sim::{Ending, Seed};

/// Tells a copy of this binary which defect to plant, and the seed that it plays.
const CHILD: &str = "STORMGLASS_FORKS_CHILD";

/// Every moment's kill, as a plan and with what came of the world that went on from there.
fn gone_on(plan: &Plan) -> Vec<(Plan, Verdict)> {
    let all = runner::record(plan, |recording| {
        assert_eq!(recording.verdict, Verdict::Passed);
        let known = RefCell::new(Known::new(Seen::default()));
        let kill = Ending::ProcessKill;
        let of_moment = |moment: Moment<'_>| {
            let (disk, up_to) = (moment.boundary.end(&kill), recording.plan_up_to(moment));
            let recovered = recording.recover(moment, (&kill, &disk), (&up_to, &known));
            (recording.plan_of(moment, &kill, &[]), recovered.verdict)
        };
        recording.moments().map(of_moment).collect::<Vec<_>>()
    });
    all.expect("a world")
}

/// The signatures of what is found after the kills, which are the same both ways.
fn found_both_ways(plan: &Plan) -> BTreeSet<String> {
    let all = gone_on(plan);
    assert!(all.len() > 50, "{} moments", all.len());
    let options = PlayOptions { keep_trace: false, checks: true };
    let words = |verdict: &Verdict| Signature::of(verdict).map(|found| found.to_string());
    let mut found = BTreeSet::new();
    for (at, (plan, verdict)) in all.iter().enumerate() {
        let whole = runner::play(plan, options).expect("a world").outcome.verdict;
        assert_eq!(words(verdict), words(&whole), "moment {at}: {}", verdict.in_words());
        found.extend(words(verdict));
    }
    found
}

fn with_guests(seed: u64) -> Plan {
    scenario::plan("wasm", Seed(seed), &Settings::default()).expect("a plan")
}

#[test]
fn a_sound_platform_passes_both_ways() {
    for seed in [2, 7] {
        assert_eq!(found_both_ways(&with_guests(seed)), BTreeSet::new(), "seed {seed}");
    }
}

/// Every guest of the run is given half of what it uses: one that ends for want of fuel right before the kill is known
/// to have, or its outcome is taken for one that no guest has produced.
#[test]
fn guests_that_want_for_fuel_are_known_to_whoever_goes_on() {
    for seed in [2, 7] {
        let mut plan = with_guests(seed);
        let used = runner::record(&plan, |recording| recording.fuel.clone()).expect("a world");
        let half = |used: Vec<u64>| used.last().expect("its end") / 2;
        let limits = used.into_iter().map(|((scope, nth), used)| {
            let fuel = half(used);
            FuelLimit { scope, nth, fuel }
        });
        plan.fuel = limits.collect();
        assert!(!plan.fuel.is_empty(), "seed {seed} has no guest");
        assert_eq!(found_both_ways(&plan), BTreeSet::new(), "seed {seed}");
    }
}

/// Goal: what a defect does at a crash point is found both ways, under the same signature. Method: a process of its own
/// for each defect, because what is planted is planted in all of it; seeds whose runs pass as they are.
#[test]
fn what_a_defect_does_is_found_both_ways() {
    if let Ok(child) = std::env::var(CHILD) {
        let (defect, seed) = child.split_once(' ').expect("a defect and a seed");
        defects::plant(Some(defect)).expect("a known defect");
        let found = found_both_ways(&with_guests(seed.parse().expect("a seed")));
        assert!(!found.is_empty(), "nothing is found");
        return;
    }
    for child in ["callback-twice 1", "ack-before-commit 1"] {
        let ran = Command::new(std::env::current_exe().expect("a test binary has a path"))
            .args(["forks::what_a_defect_does_is_found_both_ways", "--exact", "--test-threads=1"])
            .env(CHILD, child)
            .output()
            .expect("the test binary starts");
        let told = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        assert!(ran.status.success() && told.contains("1 passed"), "{child}: {told}");
    }
}
