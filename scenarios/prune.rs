//! Drops what a failing plan does not need: delta debugging over its steps and faults.
//!
//! **Invariant:** every plan that is kept fails in the same way as the first one: `still_fails` said so.
//! The order of the tries depends on the plan alone, so that equal plans are pruned alike.
//! **Not done:** smaller values, shorter waits, gentler crashes.

use crate::plan::{Plan, Step};

/// Plans that are tried at most.
pub const TRIES_MAX: u64 = 400;

/// What is left of a plan, and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Pruned {
    /// The plan.
    pub plan: Plan,
    /// Plans that were tried.
    pub try_count: u64,
}

/// What a plan is made of, as far as it can be dropped.
#[derive(Clone, Copy)]
enum Part {
    Steps,
    Faults,
    Fuel,
}

impl Part {
    fn count(self, plan: &Plan) -> usize {
        match self {
            Part::Steps => plan.steps.len(),
            Part::Faults => plan.faults.len(),
            Part::Fuel => plan.fuel.len(),
        }
    }

    /// The plan without `len` of these from `at` on.
    fn drop(self, plan: &Plan, at: usize, len: usize) -> Plan {
        let mut rest = plan.clone();
        match self {
            Part::Steps => rest.steps = without(&plan.steps, at, len),
            Part::Faults => drop(rest.faults.drain(at..at + len)),
            Part::Fuel => drop(rest.fuel.drain(at..at + len)),
        }
        rest
    }
}

/// Steps that were sent together stay so; the first that is left of a group waits for what came before
/// it, as the first of the whole group did.
fn without(steps: &[Step], at: usize, len: usize) -> Vec<Step> {
    let mut rest = Vec::new();
    let mut has_first = false;
    for (index, step) in steps.iter().enumerate() {
        has_first &= step.together;
        if index < at || index >= at + len {
            rest.push(Step { together: step.together && has_first, ..step.clone() });
            has_first = true;
        }
    }
    rest
}

/// Prunes `plan`, which fails. `still_fails` says whether another plan fails in the same way; it is asked
/// at most `tries_max` times, and nothing when it is to end: the best so far is kept.
pub fn prune(
    plan: &Plan,
    tries_max: u64,
    still_fails: &mut dyn FnMut(&Plan) -> Option<bool>,
) -> Pruned {
    // What the seed drew says little of what is left.
    let mut best = Pruned { plan: Plan { swarm: None, ..plan.clone() }, try_count: 0 };
    loop {
        let before = best.plan.clone();
        for part in [Part::Steps, Part::Faults, Part::Fuel] {
            if !drop_all(&mut best, part, tries_max, still_fails) {
                return best;
            }
        }
        if best.plan == before {
            return best;
        }
    }
}

/// Halves first, then ever smaller pieces, at last single ones. False when it has to end.
fn drop_all(
    best: &mut Pruned,
    part: Part,
    tries_max: u64,
    still_fails: &mut dyn FnMut(&Plan) -> Option<bool>,
) -> bool {
    let mut len = part.count(&best.plan).div_ceil(2);
    while len > 0 {
        // From the end: what comes after the failure goes first, and earlier steps keep their place.
        let mut end = part.count(&best.plan);
        while end > 0 {
            let at = end.saturating_sub(len);
            if best.try_count == tries_max {
                return false;
            }
            let tried = part.drop(&best.plan, at, end - at);
            best.try_count += 1;
            match still_fails(&tried) {
                None => return false,
                Some(true) => best.plan = tried,
                Some(false) => {}
            }
            end = at;
        }
        len /= 2;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;
    use crate::scenario::{self, Settings};
    use std::collections::BTreeSet;
    use stormglass_sim::{Effect, Fault, Seed};

    fn plan(step_count: u32) -> Plan {
        let mut plan = scenario::plan("overflow", Seed(1), &Settings::default()).unwrap();
        let step = |id| Step {
            id,
            client: 1,
            together: id % 3 != 1,
            key: None,
            if_match: None,
            action: Action::List {
                tenant: 0,
                set: 0,
                top: None,
                part: crate::plan::Part::default(),
            },
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
            let pruned = prune(&plan(9), TRIES_MAX, &mut |tried| {
                Some(ids(tried).is_superset(&needed) && tried.faults.contains(&fault))
            });
            assert_eq!(ids(&pruned.plan), needed);
            assert_eq!(pruned.plan.faults, [fault]);
        }
    }

    #[test]
    fn equal_plans_are_pruned_alike_and_never_beyond_the_bound() {
        let prune_once = |tries_max| {
            let mut tried = Vec::new();
            let pruned = prune(&plan(30), tries_max, &mut |plan| {
                tried.push(plan.clone());
                Some(ids(plan).contains(&7) && ids(plan).contains(&22))
            });
            (pruned, tried)
        };
        assert_eq!(prune_once(TRIES_MAX), prune_once(TRIES_MAX));
        let (pruned, tried) = prune_once(5);
        assert_eq!((pruned.try_count, tried.len()), (5, 5));
        assert!(ids(&pruned.plan).is_superset(&BTreeSet::from([7, 22])));
    }

    #[test]
    fn when_it_has_to_end_the_best_so_far_is_kept() {
        let mut left = 3;
        let pruned = prune(&plan(16), TRIES_MAX, &mut |plan| {
            left -= 1;
            (left > 0).then(|| ids(plan).contains(&1))
        });
        assert_eq!(ids(&pruned.plan), (1..=8).collect());
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
}
