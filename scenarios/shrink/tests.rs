use super::drops::without;
use super::*;
use crate::plan::{Action, Part, Step, Who};
use crate::recipe::{Alphabet, Recipe};
use crate::scenario::{self, Settings};
use std::collections::BTreeSet;
use stormglass_sim::{Effect, Ending, Fault, Policy, Seed, Survivors, When};

fn plan(step_count: u32) -> Plan {
    let mut plan = scenario::plan("overflow", Seed(1), &Settings::default()).unwrap();
    let step = |id| Step {
        id,
        client: 1,
        together: id % 3 != 1,
        key: None,
        if_match: None,
        action: Action::List { tenant: 0, set: 0, top: None, part: Part::default() },
    };
    plan.steps = (1..=step_count).map(step).collect();
    plan.faults = (1..6).map(|n| Fault::at_op(n, Effect::Eio)).collect();
    plan
}

fn ids(plan: &Plan) -> BTreeSet<u32> {
    plan.steps.iter().map(|step| step.id).collect()
}

/// Goal: exactly what is needed stays. Method: every pair of steps, with one of the faults, is what
/// it takes to fail.
#[test]
fn what_is_needed_stays_and_nothing_else() {
    for (first, second) in (1..=9).flat_map(|a| (a..=9).map(move |b| (a, b))) {
        let needed = BTreeSet::from([first, second]);
        let fault = Fault::at_op(2, Effect::Eio);
        let shrunk = shrink(&plan(9), TRIES_MAX, &mut |tried| {
            Some(ids(tried).is_superset(&needed) && tried.faults.contains(&fault))
        });
        assert_eq!(ids(&shrunk.plan), needed);
        assert_eq!(shrunk.plan.faults, [fault]);
    }
}

#[test]
fn equal_plans_shrink_alike_and_never_beyond_the_bound() {
    let shrink_once = |tries_max| {
        let mut tried = Vec::new();
        let shrunk = shrink(&plan(30), tries_max, &mut |plan| {
            tried.push(plan.clone());
            Some(ids(plan).contains(&7) && ids(plan).contains(&22))
        });
        (shrunk, tried)
    };
    assert_eq!(shrink_once(TRIES_MAX), shrink_once(TRIES_MAX));
    let (shrunk, tried) = shrink_once(5);
    assert_eq!((shrunk.try_count, tried.len()), (5, 5));
    assert!(ids(&shrunk.plan).is_superset(&BTreeSet::from([7, 22])));
}

#[test]
fn when_it_has_to_end_the_best_so_far_is_kept() {
    let mut left = 3;
    let shrunk = shrink(&plan(16), TRIES_MAX, &mut |plan| {
        left -= 1;
        (left > 0).then(|| ids(plan).contains(&1))
    });
    assert_eq!(ids(&shrunk.plan), (1..=8).collect());
}

#[test]
fn steps_of_one_group_stay_together_and_never_join_another() {
    let plan = plan(6);
    let together = |steps: &[Step]| steps.iter().map(|step| step.together).collect::<Vec<_>>();
    assert_eq!(together(&plan.steps), [false, true, true, false, true, true]);
    assert_eq!(together(&without(&plan.steps, 0, 1)), [false, true, false, true, true]);
    assert_eq!(together(&without(&plan.steps, 2, 2)), [false, true, false, true]);
    assert_eq!(together(&without(&plan.steps, 0, 5)), [false]);
}

/// Goal: whatever a plan has more than it needs becomes less. Method: one that fails whatever is in it but one
/// write, one fault and a wait of a second.
#[test]
fn values_crashes_casts_and_settings_become_the_simplest() {
    let text = Recipe::Text { json_bytes: 3000, content: 4, alphabet: Alphabet::Wide };
    let write = |id, entity| Step {
        together: id > 1,
        key: Some(id),
        if_match: Some(3),
        ..Step::alone(
            id,
            3,
            Action::Patch {
                who: Who { tenant: 2, entity, set: 0 },
                values: vec![("a".to_string(), text.clone()), ("b".to_string(), text.clone())],
            },
        )
    };
    let mut whole = plan(0);
    let wait = Step::alone(9, 2, Action::Wait { ms: 5_000 });
    whole.steps = vec![write(1, 3), write(2, 7), write(4, 9), wait];
    let ending = Ending::PowerLoss(Survivors::Drawn(4));
    let when = When::Rate { per_million: 40_000 };
    whole.faults = vec![Fault::in_scope("step 2", Effect::Crash(ending), when)];
    whole.policy = Policy::Pct { depth: 3, span: 100 };
    let is_write = |step: &Step| step.action.is_write() && !step.action.values().is_empty();
    let waits = |step: &Step| matches!(step.action, Action::Wait { ms } if ms >= 1_000);
    let shrunk = shrink(&whole, TRIES_MAX, &mut |tried| {
        let has_fault = tried.faults.iter().any(|fault| matches!(fault.effect, Effect::Crash(_)));
        Some(has_fault && tried.steps.iter().any(is_write) && tried.steps.iter().any(waits))
    });
    let least = Recipe::Text { json_bytes: 2, content: 0, alphabet: Alphabet::Plain };
    let values = vec![("a".to_string(), least)];
    let who = Who { tenant: 0, entity: 0, set: 0 };
    assert_eq!(
        shrunk.plan.steps,
        [
            Step::alone(4, 1, Action::Patch { who, values }),
            Step::alone(9, 1, Action::Wait { ms: 1_000 })
        ]
    );
    let killed = Effect::Crash(Ending::ProcessKill);
    assert_eq!(shrunk.plan.faults, [Fault::in_scope("step 2", killed, When::Nth(1))]);
    assert_eq!((shrunk.plan.policy, shrunk.plan.swarm), (Policy::Random, None));
    assert_eq!((shrunk.plan.sweep_interval_ms, shrunk.plan.seed), (None, Seed(0)));
}

/// Goal: the tree keeps its promises whatever is judged. Method: plans of many seeds under a judgement that
/// follows from the plan's bytes alone; each proposal can be read, is new, and a refusal leads back.
#[test]
fn every_proposal_can_be_read_and_none_comes_twice() {
    for seed in 0..12 {
        let plan = scenario::plan("spec-change", Seed(seed), &Settings::default()).unwrap();
        let mut tree = PlanTree::new(&plan);
        let (mut seen, mut best) = (BTreeSet::new(), tree.current().to_json());
        let mut goes_on = tree.simplify();
        while goes_on && seen.len() < 300 {
            let text = tree.current().to_json();
            assert_eq!(Plan::from_json(&text).expect("it can be read"), tree.current());
            assert!(seen.insert(text.clone()), "a plan came twice");
            let fails = text.len().is_multiple_of(3);
            if fails {
                best = text;
            }
            goes_on = if fails { tree.simplify() } else { tree.complicate() };
        }
        if !goes_on {
            assert_eq!(tree.current().to_json(), best);
        }
        assert!(!seen.is_empty());
    }
}
