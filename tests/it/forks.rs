//! Worlds that go on from a moment of a run against the plans that say they come to the same.

use std::cell::RefCell;
use stormglass_scenarios::plan::{FuelLimit, Plan};
use stormglass_scenarios::planted::{self, Place, Plant};
use stormglass_scenarios::rows::Seen;
use stormglass_scenarios::runner::{self, Known, PlayOptions};
use stormglass_scenarios::scenario::{self, Settings};
use stormglass_scenarios::verdict::Verdict;
use stormglass_sim::{Effect, Ending, Fault, OpKind, Seed, Target, When};

/// Every moment's kill: what comes of the world that goes on, and of the plan that is played whole.
fn both_ways(plan: &Plan) -> Vec<(Verdict, Verdict)> {
    let gone_on = runner::record(plan, |recording| {
        let known = RefCell::new(Known::new(Seen::default()));
        let kill = Ending::ProcessKill;
        let moments = recording.moments().map(|moment| {
            let disk = moment.boundary.end(&kill);
            let up_to = recording.plan_up_to(moment);
            let recovered = recording.recover(moment, (&kill, &disk), (&up_to, &known));
            (recording.plan_of(moment, &kill, &[]), recovered.verdict)
        });
        moments.collect::<Vec<_>>()
    });
    let options = PlayOptions { keep_trace: false, checks: true };
    let played = |plan: &Plan| runner::play(plan, options).expect("a world").outcome.verdict;
    let both = gone_on.expect("a world").into_iter();
    both.map(|(plan, verdict)| (verdict, played(&plan))).collect()
}

/// How many of them find something, when all of them find the same.
fn agreed(what: &str, plan: &Plan) -> usize {
    let all = both_ways(plan);
    assert!(all.len() > 50, "{what}: {} moments", all.len());
    for (at, (gone_on, played)) in all.iter().enumerate() {
        println!("{what} {at}: {} / {}", gone_on.in_words().lines().next().unwrap_or_default(), played.in_words().lines().next().unwrap_or_default());
    }
    for (at, (gone_on, played)) in all.iter().enumerate() {
        assert_eq!(gone_on, played, "{what}, moment {at}");
    }
    all.iter().filter(|(gone_on, _)| *gone_on != Verdict::Passed).count()
}

fn with_guests(seed: u64) -> Plan {
    scenario::plan("wasm", Seed(seed), &Settings::default()).expect("a plan")
}

#[test]
fn sound() {
    for seed in [2, 5, 7] {
        agreed(&format!("seed {seed}"), &with_guests(seed));
    }
}

#[test]
fn fuel() {
    for seed in [2, 5, 7] {
        let mut plan = with_guests(seed);
        let limits = runner::record(&plan, |recording| recording.fuel.clone()).unwrap();
        plan.fuel = limits.into_iter().map(|((scope, nth), used)| FuelLimit { scope, nth, fuel: used.last().unwrap() / 2 }).collect();
        println!("{:?}", plan.fuel);
        agreed(&format!("seed {seed}"), &plan);
    }
}

#[test]
fn clock() {
    planted::plant(Some(Plant { place: Place::Clock, value: || 999 }));
    for seed in [2, 5, 7] {
        println!("{}", agreed(&format!("seed {seed}"), &with_guests(seed)));
    }
    planted::plant(None);
}
