//! Fewer clients, tenants and entities: each becomes the lowest one that is there, or a lower number.

use crate::change::Change;
use crate::plan::{Action, Plan, Who, entity_id, entity_number};
use std::collections::BTreeSet;

/// Whoever takes part in a run.
struct Role {
    /// Those that are there.
    there: fn(&Plan) -> BTreeSet<u32>,
    /// Makes one of them another.
    set: fn(&mut Plan, u32, u32),
    /// The first number.
    least: u32,
}

const ROLES: [Role; 3] = [
    Role { there: clients, set: set_client, least: 1 },
    Role { there: tenants, set: set_tenant, least: 0 },
    Role { there: entities, set: set_entity, least: 0 },
];

/// For each role: all of them one, then each a lower one; at last specs that nobody asks.
pub(super) fn simpler(plan: &Plan, place: usize) -> Option<Vec<Plan>> {
    let mut left = place;
    for role in ROLES {
        let there = (role.there)(plan);
        if left == 0 {
            return Some(all_one(plan, &there, role.set));
        }
        left -= 1;
        if let Some(one) = there.iter().nth(left) {
            return Some(lower(plan, &there, *one, &role));
        }
        left -= there.len();
    }
    let specs = plan.specs.as_ref().map_or(0, Vec::len);
    (left < specs).then(|| without_spec(plan, specs - 1 - left).into_iter().collect())
}

fn all_one(plan: &Plan, there: &BTreeSet<u32>, set: fn(&mut Plan, u32, u32)) -> Vec<Plan> {
    let Some(lowest) = there.first() else { return Vec::new() };
    let mut tried = plan.clone();
    there.iter().for_each(|one| set(&mut tried, *one, *lowest));
    vec![tried]
}

/// One of them as each lower one that is there, and as the lowest number that is free.
fn lower(plan: &Plan, there: &BTreeSet<u32>, one: u32, role: &Role) -> Vec<Plan> {
    let free = (role.least..one).find(|number| !there.contains(number));
    let others = there.range(..one).copied().chain(free);
    let with = |other| {
        let mut tried = plan.clone();
        (role.set)(&mut tried, one, other);
        tried
    };
    others.map(with).collect()
}

fn clients(plan: &Plan) -> BTreeSet<u32> {
    plan.steps.iter().map(|step| step.client).collect()
}

fn set_client(plan: &mut Plan, from: u32, to: u32) {
    plan.steps.iter_mut().filter(|step| step.client == from).for_each(|step| step.client = to);
}

fn tenants(plan: &Plan) -> BTreeSet<u32> {
    let mut plan = plan.clone();
    plan.steps.iter_mut().filter_map(|step| tenant(&mut step.action)).map(|one| *one).collect()
}

fn set_tenant(plan: &mut Plan, from: u32, to: u32) {
    let all = plan.steps.iter_mut().filter_map(|step| tenant(&mut step.action));
    all.filter(|one| **one == from).for_each(|one| *one = to);
}

/// Those whose ids a plan makes up: the platform's own follow from what it does.
fn entities(plan: &Plan) -> BTreeSet<u32> {
    let mut plan = plan.clone();
    let all = plan.steps.iter_mut().filter_map(|step| who(&mut step.action));
    all.filter(|who| is_made_up_by_plans(**who)).map(|who| who.entity).collect()
}

fn is_made_up_by_plans(who: Who) -> bool {
    entity_id(who).starts_with('s') && entity_number(&entity_id(who)) == Some(who.entity)
}

fn set_entity(plan: &mut Plan, from: u32, to: u32) {
    let all = plan.steps.iter_mut().filter_map(|step| who(&mut step.action));
    all.filter(|who| who.entity == from).for_each(|who| who.entity = to);
}

fn tenant(action: &mut Action) -> Option<&mut u32> {
    match action {
        Action::List { tenant, .. }
        | Action::Sweep { tenant, .. }
        | Action::Checkpoint { tenant }
        | Action::Rot { tenant, .. }
        | Action::Reconfigure { change: Change::Mode { tenant, .. } } => Some(tenant),
        other => who(other).map(|who| &mut who.tenant),
    }
}

fn who(action: &mut Action) -> Option<&mut Who> {
    match action {
        Action::Create { who, .. }
        | Action::Act { who, .. }
        | Action::Patch { who, .. }
        | Action::Delete { who }
        | Action::Get { who }
        | Action::History { who, .. }
        | Action::Malformed { who, .. } => Some(who),
        _ => None,
    }
}

/// The plan without one of the specs that it brings, if no step asks its set.
fn without_spec(plan: &Plan, at: usize) -> Option<Plan> {
    let mut rest = plan.clone();
    let specs = rest.specs.as_mut()?;
    if specs.len() < 2 {
        return None;
    }
    specs.remove(at);
    let at = at as u32;
    for set in rest.steps.iter_mut().filter_map(|step| set(&mut step.action)) {
        match (*set).cmp(&at) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => return None,
            std::cmp::Ordering::Greater => *set -= 1,
        }
    }
    Some(rest)
}

fn set(action: &mut Action) -> Option<&mut u32> {
    match action {
        Action::List { set, .. }
        | Action::Reconfigure { change: Change::Ceiling { set, .. } | Change::Ttl { set, .. } } => {
            Some(set)
        }
        other => who(other).map(|who| &mut who.set),
    }
}
