//! Simpler steps: sent alone, without key and version, asking for all, with values of a plain shape.

use super::drops::values;
use crate::plan::{Action, Part, Plan, Step};
use crate::recipe::{Alphabet, Recipe};

/// Each aspect of a step as it is when nobody cares.
const ASPECTS: &[fn(&mut Step)] = &[
    |step| step.together = false,
    |step| step.key = None,
    |step| step.if_match = None,
    |step| match &mut step.action {
        Action::History { page, .. } => *page = None,
        Action::List { top, .. } => *top = None,
        _ => {}
    },
    |step| {
        if let Action::List { part, .. } = &mut step.action {
            *part = Part::default();
        }
    },
];

/// No step together with another; then each aspect of each step; then each value.
pub(super) fn simpler(plan: &Plan, place: usize) -> Option<Vec<Plan>> {
    let mut tried = plan.clone();
    let Some(at) = place.checked_sub(1) else {
        tried.steps.iter_mut().for_each(|step| step.together = false);
        return Some(vec![tried]);
    };
    let (step, aspect) = (at / ASPECTS.len(), ASPECTS[at % ASPECTS.len()]);
    if let Some(step) = tried.steps.get_mut(step) {
        aspect(step);
        return Some(vec![tried]);
    }
    plainer(plan, at - plan.steps.len() * ASPECTS.len())
}

/// The `nth` value of a plan as texts of its size.
fn plainer(plan: &Plan, nth: usize) -> Option<Vec<Plan>> {
    let recipe = plan.steps.iter().flat_map(|step| step.action.values()).nth(nth)?;
    let with = |(_, recipe): (String, Recipe)| {
        let mut tried = plan.clone();
        let all = tried.steps.iter_mut().filter_map(|step| values(&mut step.action)).flatten();
        all.skip(nth).take(1).for_each(|value| value.1 = recipe.clone());
        tried
    };
    let name = recipe.0.clone();
    Some(texts(&recipe.1).into_iter().map(|text| with((name.clone(), text))).collect())
}

fn texts(recipe: &Recipe) -> Vec<Recipe> {
    let content = match recipe {
        Recipe::Text { alphabet: Alphabet::Plain, .. }
        | Recipe::Null
        | Recipe::Bool(_)
        | Recipe::Number(_)
        | Recipe::Words(_)
        | Recipe::Json(_) => return Vec::new(),
        Recipe::Text { content, .. }
        | Recipe::List { content, .. }
        | Recipe::Keys { content, .. }
        | Recipe::Object { content, .. } => *content,
    };
    let json_bytes = u32::try_from(recipe.value().to_string().len()).unwrap_or(u32::MAX);
    vec![Recipe::Text { json_bytes, content, alphabet: Alphabet::Plain }]
}
