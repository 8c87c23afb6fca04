//! What the plans of many seeds hold between them, and that a seed's plan is its own.

use super::author::{AROUND_MS, EXPIRING, TTL_MS};
use super::draw::Draw;
use super::values::is_over;
use super::*;
use crate::plan::Step;
use crate::profile::{BUILT_IN, Profile};
use crate::recipe::Recipe;
use std::collections::BTreeSet;

/// The plans of `count` seeds of every scenario.
fn plans(profile: &Profile, count: u64) -> Vec<Plan> {
    let of_seed = |seed| SCENARIOS.iter().map(move |known| known.plan(Seed(seed), profile));
    (0..count).flat_map(of_seed).collect()
}

/// A stored seed must mean the same plan for ever: pinned, so that no dependency moves it unseen.
#[test]
fn draws_are_pinned() {
    let mut draw = Draw::new(Seed(42), "workload");
    let drawn: Vec<u32> = (0..4).map(|_| draw.below(1_000)).collect();
    assert_eq!(drawn, [801, 983, 984, 39]);
}

#[test]
fn a_seed_makes_one_plan_and_other_seeds_make_others() {
    let profile = Profile::default();
    let made = plans(&profile, 50);
    assert_eq!(made, plans(&profile, 50));
    let different: BTreeSet<String> = made.iter().map(Plan::to_json).collect();
    assert_eq!(different.len(), made.len());
}

/// Goal: no kind of step, size, setting or fault is only in the source. Method: look for each in the
/// plans of 300 seeds of every scenario.
#[test]
fn the_seeds_of_every_profile_reach_every_kind_of_step_size_and_fault() {
    for (name, _) in BUILT_IN {
        let profile = Profile::load(name).expect("it is built in");
        let plans = plans(&profile, 300);
        let steps: Vec<&Step> = plans.iter().flat_map(|plan| &plan.steps).collect();
        let kinds: BTreeSet<String> = steps.iter().map(|step| kind(&step.action)).collect();
        assert_eq!(kinds.len(), 16, "{name}: {kinds:?}");
        let sizes: BTreeSet<u32> = steps.iter().flat_map(|step| sizes(&step.action)).collect();
        for size in [1_023, 1_024, 1_025, 32_768, 131_071, 131_072, 131_073, 204_800] {
            assert!(sizes.contains(&size), "{name}: no value of {size} bytes");
        }
        let effects: BTreeSet<&str> =
            plans.iter().flat_map(|plan| &plan.faults).map(|fault| fault.effect.name()).collect();
        // The honest ones, and those of a plan in ten.
        assert_eq!(effects.len(), 10, "{name}: {effects:?}");
        assert!(
            steps.iter().any(|step| step.if_match.is_some()) && steps.iter().any(|s| s.together)
        );
        let is_repeat = |plan: &Plan| {
            let keys: Vec<u32> = plan.steps.iter().filter_map(|step| step.key).collect();
            keys.iter().collect::<BTreeSet<_>>().len() < keys.len()
        };
        assert!(plans.iter().any(is_repeat), "{name}: no key is used twice");
    }
}

fn kind(action: &Action) -> String {
    let name = format!("{action:?}");
    name.split([' ', '{', '(']).next().unwrap_or_default().to_string()
}

fn sizes(action: &Action) -> Vec<u32> {
    let size = |(_, value): &(String, Recipe)| match value {
        Recipe::Text { json_bytes, .. } => Some(*json_bytes),
        _ => None,
    };
    action.values().iter().filter_map(size).collect()
}

/// Goal: the clock reads a deadline exactly, and a second and a millisecond before and after it.
/// Method: follow the clock through the plans' waits and steps.
#[test]
fn plans_stop_the_clock_at_and_around_deadlines() {
    let mut met = BTreeSet::new();
    for plan in plans(&Profile::default(), 200) {
        let (mut now_ms, mut deadlines) = (0, BTreeSet::new());
        for step in &plan.steps {
            match &step.action {
                Action::Wait { ms } => now_ms += ms,
                Action::StepClock { by_ms } => now_ms += by_ms,
                _ => {}
            }
            let around = |ms: &i64| deadlines.contains(&(now_ms - ms));
            met.extend(AROUND_MS.iter().filter(|ms| around(ms)));
            let expires = |(name, value): &(String, Recipe)| name == EXPIRING && is_over(value);
            if step.action.values().iter().any(expires) {
                deadlines.insert(now_ms + TTL_MS);
            }
        }
    }
    assert_eq!(met, BTreeSet::from(AROUND_MS));
}

/// Goal: faults that find nothing to strike are no faults. Method: every scope that a plan's fault names
/// is a step of the plan, the runner's own, or a boot.
#[test]
fn faults_name_steps_that_the_plan_has() {
    for plan in plans(&Profile::default(), 100) {
        let ids: BTreeSet<u32> = plan.steps.iter().map(|step| step.id).chain([0]).collect();
        for fault in &plan.faults {
            let Some(step) = fault.target.scope.as_deref().and_then(|s| s.strip_prefix("step "))
            else {
                continue;
            };
            let id = step.split('/').next().and_then(|id| id.parse().ok());
            assert!(id.is_some_and(|id| ids.contains(&id)), "{fault:?}");
        }
    }
}

#[test]
fn profiles_bound_what_is_drawn() {
    let text =
        "steps = [4, 4]\nclients = [1, 1]\ntenants = [2, 2]\nentities = [3, 3]\nlarge_runs = 0
        faulty_runs = 0\nfaults = [9, 9]\ncrashes = 0\nin_recovery = 0";
    let narrow: Profile = toml::from_str(text).expect("a profile");
    for plan in plans(&narrow, 30) {
        assert!(plan.steps.iter().all(|step| step.client == 1));
        let whos: BTreeSet<(u32, u32)> = plan
            .steps
            .iter()
            .filter_map(|s| s.action.who())
            .map(|w| (w.tenant, w.entity))
            .collect();
        // Some sequences of steps bring entities of their own, numbered behind the plan's.
        assert!(whos.iter().all(|(tenant, entity)| *tenant < 2 && *entity < 3 + 24), "{whos:?}");
        assert!(plan.steps.iter().flat_map(|s| sizes(&s.action)).all(|size| size <= 3_000));
        // What is left are the faults that a sequence of steps brings along, at most two of each.
        assert!(plan.faults.len() < 9, "{:?}", plan.faults);
    }
}
