//! The checks that need a whole spec: names refer to what exists, variables have the right types.
//!
//! **Invariant:** after [`finish`] no name in the automaton dangles.

use std::collections::BTreeMap;
use std::ops::Range;

use super::automaton::{
    Action, Assertion, Automaton, Integration, Invariant, Variable, VariableKind,
};
use super::diagnostic::{Problem, Source, nearest};
use super::effect::Effect;
use super::guard::Guard;
use super::parse::{Draft, default_initial};
use super::section::Placed;

/// A name that refers to nothing, with the nearest that refers to something.
pub(super) fn unknown<'a>(
    kind: &'static str,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Problem {
    Problem::Unknown { kind, name: name.to_owned(), nearest: nearest(name, known) }
}

pub(super) fn name_is_known(
    source: &mut Source<'_>,
    kind: &'static str,
    key: &str,
    (name, span): (&String, &Range<usize>),
    known: &[Placed<String>],
) {
    if known.iter().all(|(one, _)| one != name) {
        source.error(span, key, unknown(kind, name, known.iter().map(|(one, _)| one.as_str())));
    }
}

/// Turns a draft into an automaton; what is wrong with it goes into the source's diagnostics.
pub(super) fn finish(source: &mut Source<'_>, draft: Draft) -> Option<Automaton> {
    let head = draft.head?;
    let (initial, initial_span) = &head.initial;
    name_is_known(source, "state", "automaton.initial", (initial, initial_span), &head.states);
    let mut variables = distinct(source, "state.name", draft.variables, |one| one.name.as_str());
    let mut actions = distinct(source, "action.name", draft.actions, |one| one.name.as_str());
    let states = distinct(source, "automaton.states", head.states, String::as_str);
    let action_names: Vec<Placed<String>> =
        actions.iter().map(|(action, span)| (action.name.clone(), span.clone())).collect();
    for used in &draft.names {
        let known = if used.kind == "state" { &states } else { &action_names };
        name_is_known(source, used.kind, used.key, (&used.name.0, &used.name.1), known);
    }
    let plain_states: Vec<String> = states.iter().map(|(state, _)| state.clone()).collect();
    for (action, span) in &actions {
        check_effects(source, action, span, &mut variables, &action_names);
    }
    for (action, span) in &mut actions {
        name_items(source, action, span, &variables);
        for guard in &action.guards {
            check_guard(source, guard, (span, "action.guard"), &variables, &states);
        }
    }
    for (invariant, span) in &draft.invariants {
        check_invariant(source, invariant, span, &variables, &states);
    }
    let integrations = distinct(source, "integration.name", draft.integrations, |one| &one.name);
    for (integration, span) in &integrations {
        check_trigger(source, integration, span, &actions);
    }
    Some(Automaton {
        name: head.name,
        states: plain_states,
        initial: head.initial.0,
        terminal: head.terminal,
        variables: variables.into_iter().map(|(variable, _)| variable).collect(),
        actions: actions.into_iter().map(|(action, _)| action).collect(),
        integrations: integrations.into_iter().map(|(integration, _)| integration).collect(),
        invariants: draft.invariants.into_iter().map(|(invariant, _)| invariant).collect(),
        not_executed: draft.not_executed,
    })
}

/// Keeps the first of each name: equal repeats are warned of, differing ones are errors.
fn distinct<T: PartialEq>(
    source: &mut Source<'_>,
    key: &str,
    items: Vec<Placed<T>>,
    name_of: impl Fn(&T) -> &str,
) -> Vec<Placed<T>> {
    let mut kept: Vec<Placed<T>> = Vec::new();
    let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
    for (item, span) in items {
        let name = name_of(&item).to_owned();
        match by_name.get(&name) {
            None => {
                by_name.insert(name, kept.len());
                kept.push((item, span));
            }
            Some(index) if kept[*index].0 == item => {
                source.warn(&span, key, Problem::Repeated(name));
            }
            Some(_) => source.error(&span, key, Problem::Conflict(name)),
        }
    }
    kept
}

/// The old convention: `AddItem` and `RemoveItem` count in every counter.
fn name_items(
    source: &mut Source<'_>,
    action: &mut Action,
    span: &Range<usize>,
    variables: &[Placed<Variable>],
) {
    let name = action.name.to_lowercase();
    let adds = name.contains("additem") || name.contains("add_item");
    let removes = name.contains("removeitem") || name.contains("remove_item");
    if !action.effects.is_empty() || !(adds || removes) {
        return;
    }
    let counters = variables.iter().filter(|(one, _)| one.kind == VariableKind::Counter);
    let effect = |name: String| {
        if adds { Effect::Increment(name) } else { Effect::Decrement(name) }
    };
    action.effects = counters.map(|(counter, _)| effect(counter.name.clone())).collect();
    let verb = if adds { "adds 1 to" } else { "takes 1 from" };
    source.warn(span, "action.effect", Problem::NamedItemEffect(verb));
}

fn check_effects(
    source: &mut Source<'_>,
    action: &Action,
    span: &Range<usize>,
    variables: &mut Vec<Placed<Variable>>,
    actions: &[Placed<String>],
) {
    use VariableKind::{Bool, Counter, List, Set};
    for effect in &action.effects {
        let (name, kinds): (&String, &[VariableKind]) = match effect {
            Effect::Increment(name) | Effect::Decrement(name) => (name, &[Counter]),
            Effect::SetBool { var, .. } => (var, &[Bool]),
            Effect::ListAppend(name) | Effect::ListRemoveAt(name) => (name, &[List, Set]),
            Effect::Schedule { action, .. } | Effect::ScheduleAt { action, .. } => {
                name_is_known(source, "action", "action.effect", (action, span), actions);
                continue;
            }
            Effect::Spawn { store_id_in: Some(field), .. } => {
                let settable = |one: &Variable| one.name != *field || !one.kind.is_set_by_effects();
                if crate::overflow::is_reserved_param(field) {
                    source.error(span, "action.effect", Problem::Reserved(field.clone()));
                } else if let Some((other, _)) = variables.iter().find(|(one, _)| !settable(one)) {
                    source.error(span, "action.effect", wrong_kind(other, VariableKind::String));
                }
                continue;
            }
            Effect::Emit(_) | Effect::Trigger(_) | Effect::Spawn { .. } => continue,
        };
        match variables.iter().find(|(variable, _)| variable.name == *name) {
            Some((variable, _)) if kinds.contains(&variable.kind) => {}
            Some((variable, _)) => {
                source.error(span, "action.effect", wrong_kind(variable, kinds[0]));
            }
            None if is_reserved(name) => {
                source.error(span, "action.effect", Problem::Reserved(name.clone()));
            }
            None => {
                let problem = Problem::Undeclared { name: name.clone(), kind: kinds[0].name() };
                source.warn(span, "action.effect", problem);
                variables.push((undeclared(name, kinds[0]), span.clone()));
            }
        }
    }
}

/// A name that no variable of effects can have: it is a field of the platform's.
fn is_reserved(name: &str) -> bool {
    crate::overflow::is_reserved_param(name)
}

/// The states that a guard names exist; what it reads is of the type that it looks for.
fn check_guard(
    source: &mut Source<'_>,
    guard: &Guard,
    (span, key): (&Range<usize>, &str),
    variables: &[Placed<Variable>],
    states: &[Placed<String>],
) {
    use VariableKind::{Bool, Counter, List, Set};
    let (name, kinds): (&String, &[VariableKind]) = match guard {
        Guard::StateIn(named) => {
            for state in named {
                name_is_known(source, "state", key, (state, span), states);
            }
            return;
        }
        Guard::Compare { var, .. } => (var, &[Counter]),
        Guard::IsTrue(var) | Guard::IsFalse(var) => (var, &[Bool]),
        Guard::ListContains { var, .. } | Guard::ListLengthMin { var, .. } => (var, &[List, Set]),
    };
    let read = variables.iter().find(|(variable, _)| variable.name == *name);
    if let Some((variable, _)) = read.filter(|(variable, _)| !kinds.contains(&variable.kind)) {
        let (kind, wanted) = (variable.kind.name(), kinds[0].name());
        source.warn(span, key, Problem::BlindGuard { name: name.clone(), kind, wanted });
    }
}

fn check_invariant(
    source: &mut Source<'_>,
    invariant: &Invariant,
    span: &Range<usize>,
    variables: &[Placed<Variable>],
    states: &[Placed<String>],
) {
    let key = "invariant.assert";
    let guard = match &invariant.assertion {
        Assertion::NoFurtherTransitions | Assertion::NotExecuted(_) => return,
        Assertion::Holds(guard) => guard,
        Assertion::StatusImplies { states: named, guard } => {
            for state in named {
                name_is_known(source, "state", key, (state, span), states);
            }
            guard
        }
    };
    check_guard(source, guard, (span, key), variables, states);
}

/// An integration whose trigger nothing pulls is no error: its action may be yet to be written.
fn check_trigger(
    source: &mut Source<'_>,
    integration: &Integration,
    span: &Range<usize>,
    actions: &[Placed<Action>],
) {
    let pulls = |action: &Action| {
        let is_effect = |effect: &Effect| *effect == Effect::Trigger(integration.trigger.clone());
        action.name == integration.trigger || action.effects.iter().any(is_effect)
    };
    if !actions.iter().any(|(action, _)| pulls(action)) {
        let problem = Problem::NeverTriggered(integration.trigger.clone());
        source.warn(span, "integration.trigger", problem);
    }
}

fn wrong_kind(variable: &Variable, wanted: VariableKind) -> Problem {
    Problem::WrongKind {
        name: variable.name.clone(),
        kind: variable.kind.name(),
        wanted: wanted.name(),
    }
}

fn undeclared(name: &str, kind: VariableKind) -> Variable {
    Variable {
        name: name.to_owned(),
        kind,
        initial: default_initial(kind),
        overflow_inline_max_bytes: None,
        overflow_ttl_seconds: None,
        query_indexed: false,
    }
}
