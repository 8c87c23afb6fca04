//! Two readings of one spec: the platform's parser, and the harness's own reader that makes the model's
//! automaton. Each is told in words of its own, written here; equal words are equal readings.

use super::{extra_specs, own_specs};
use serde_json::Value;
use std::fs;
use stormglass_model::automaton as model;
use stormglass_model::workload::session::session;
use stormglass_model::workload::task::task;
use stormglass_platform::spec::{self, Assertion, Comparison, Effect, Guard, VariableKind};
use stormglass_scenarios::foreign::{self, Claim, Foreign, Holds};

/// What a reading says, a line each.
type Words = Vec<String>;

fn platform_guard(guard: &Guard) -> String {
    match guard {
        Guard::Compare { var, op, value } => {
            let op = match op {
                Comparison::Greater => "above",
                Comparison::AtLeast => "at least",
                Comparison::Less => "below",
                Comparison::AtMost => "at most",
            };
            format!("{var} {op} {value}")
        }
        Guard::IsTrue(var) => format!("{var} yes"),
        Guard::IsFalse(var) => format!("{var} no"),
        Guard::ListContains { var, value } => format!("{var} has {value}"),
        Guard::ListLengthMin { var, min } => format!("{var} long {min}"),
        Guard::StateIn(states) => format!("in {states:?}"),
    }
}

fn model_guard(guard: &model::Guard) -> String {
    match guard {
        model::Guard::Above(var, value) => format!("{var} above {value}"),
        model::Guard::AtLeast(var, value) => format!("{var} at least {value}"),
        model::Guard::Below(var, value) => format!("{var} below {value}"),
        model::Guard::AtMost(var, value) => format!("{var} at most {value}"),
        model::Guard::IsTrue(var) => format!("{var} yes"),
        model::Guard::IsFalse(var) => format!("{var} no"),
        model::Guard::ListContains(var, value) => format!("{var} has {value}"),
        model::Guard::ListLengthAtLeast(var, min) => format!("{var} long {min}"),
        model::Guard::StateIn(states) => format!("in {states:?}"),
    }
}

fn platform_effect(effect: &Effect) -> String {
    match effect {
        Effect::Increment(var) => format!("{var} up"),
        Effect::Decrement(var) => format!("{var} down"),
        Effect::SetBool { var, value } => format!("{var} {value}"),
        Effect::Emit(event) => format!("emit {event}"),
        Effect::Trigger(name) => format!("trigger {name}"),
        Effect::ListAppend(var) => format!("{var} append"),
        Effect::ListRemoveAt(var) => format!("{var} remove"),
        Effect::Schedule { action, delay_seconds } => format!("{action} in {delay_seconds}000 ms"),
        Effect::ScheduleAt { action, field } => format!("{action} at {field}"),
        Effect::Spawn {
            entity_type,
            entity_id_source,
            initial_action,
            store_id_in,
            copy_fields,
        } => {
            let source = Some(entity_id_source).filter(|source| *source != spec::FRESH_ID);
            format!("{entity_type} {source:?} {initial_action:?} {store_id_in:?} {copy_fields:?}")
        }
    }
}

fn model_effect(effect: &model::Effect) -> String {
    match effect {
        model::Effect::Increment(var) => format!("{var} up"),
        model::Effect::Decrement(var) => format!("{var} down"),
        model::Effect::SetFlag(var, value) => format!("{var} {value}"),
        model::Effect::Emit(event) => format!("emit {event}"),
        model::Effect::Trigger(name) => format!("trigger {name}"),
        model::Effect::ListAppend(var) => format!("{var} append"),
        model::Effect::ListRemoveAt(var) => format!("{var} remove"),
        model::Effect::Schedule { action, delay_ms } => format!("{action} in {delay_ms} ms"),
        model::Effect::ScheduleAt { action, field } => format!("{action} at {field}"),
        model::Effect::Spawn(spawn) => {
            let model::Spawn { entity_type, id_source, initial_action, store_id_in, copy_fields } =
                spawn;
            format!(
                "{entity_type} {id_source:?} {initial_action:?} {store_id_in:?} {copy_fields:?}"
            )
        }
    }
}

fn platform_words(automaton: &spec::Automaton) -> Words {
    let spec::Automaton { name, states, initial, terminal, .. } = automaton;
    let mut words = vec![format!("{name} {states:?} {initial} {terminal:?}")];
    for variable in &automaton.variables {
        let kind = match variable.kind {
            VariableKind::String => "text",
            VariableKind::Counter => "counter",
            VariableKind::Bool => "flag",
            VariableKind::List => "list",
            VariableKind::Set => "set",
            VariableKind::Status => "status",
        };
        let ttl_ms = variable.overflow_ttl_seconds.map(|seconds| seconds * 1_000);
        let (name, ceiling) = (&variable.name, variable.overflow_inline_max_bytes);
        words.push(format!("{name} {kind} {} {ceiling:?} {ttl_ms:?}", variable.initial));
    }
    for action in &automaton.actions {
        let kind = format!("{:?}", action.kind);
        let guards: Words = action.guards.iter().map(platform_guard).collect();
        let effects: Words = action.effects.iter().map(platform_effect).collect();
        let spec::Action { name, from, to, params, .. } = action;
        words.push(format!("{name} {kind} {from:?} {to:?} {guards:?} {effects:?} {params:?}"));
    }
    for integration in &automaton.integrations {
        let spec::Integration {
            name, trigger, on_success, on_failure, config, timeout_secs, ..
        } = integration;
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
        let config: Vec<(&str, String)> =
            config.iter().map(|(key, value)| (key.as_str(), text(value))).collect();
        let ends = format!("{on_success:?} {on_failure:?} {timeout_secs}000 ms");
        words.push(format!("{name} {trigger} {ends} {config:?}"));
    }
    words
}

fn model_words(automaton: &model::Automaton) -> Words {
    let model::Automaton { name, states, initial, terminal, .. } = automaton;
    let mut words = vec![format!("{name} {states:?} {initial} {terminal:?}")];
    for variable in &automaton.variables {
        let kind = format!("{:?}", variable.kind).to_lowercase();
        let model::Variable { name, initial, ceiling_bytes, ttl_ms, .. } = variable;
        words.push(format!("{name} {kind} {initial} {ceiling_bytes:?} {ttl_ms:?}"));
    }
    for action in &automaton.actions {
        let kind = format!("{:?}", action.kind);
        let guards: Words = action.guards.iter().map(model_guard).collect();
        // With those that its name alone implies.
        let effects: Words = automaton.effects_of(action).iter().map(model_effect).collect();
        let model::Action { name, from, to, params, .. } = action;
        words.push(format!("{name} {kind} {from:?} {to:?} {guards:?} {effects:?} {params:?}"));
    }
    for integration in &automaton.integrations {
        let model::Integration {
            name, trigger, on_success, on_failure, config, timeout_ms, ..
        } = integration;
        let ends = format!("{on_success:?} {on_failure:?} {timeout_ms} ms");
        words.push(format!("{name} {trigger} {ends} {config:?}"));
    }
    words
}

fn platform_claims(automaton: &spec::Automaton) -> Words {
    let claims = automaton.invariants.iter().filter_map(|invariant| {
        let holds = match &invariant.assertion {
            Assertion::NoFurtherTransitions => "no more".to_string(),
            Assertion::Holds(guard) => format!("None {}", platform_guard(guard)),
            Assertion::StatusImplies { states, guard } => {
                format!("{:?} {}", Some(states), platform_guard(guard))
            }
            Assertion::NotExecuted(_) => return None,
        };
        Some(format!("{} {:?} {holds}", invariant.name, invariant.when))
    });
    claims.collect()
}

fn own_claims(claims: &[Claim]) -> Words {
    let told = claims.iter().map(|Claim { name, when, holds }| {
        let holds = match holds {
            Holds::NoFurtherTransitions => "no more".to_string(),
            Holds::Guard(states, guard) => format!("{states:?} {}", model_guard(guard)),
        };
        format!("{name} {when:?} {holds}")
    });
    told.collect()
}

/// Goal: platform and model cannot share a misreading of a spec. Method: each reads every spec that there
/// is, and says what it read.
#[test]
fn platform_and_harness_read_every_spec_alike() {
    for path in own_specs().into_iter().chain(extra_specs()) {
        let text = fs::read_to_string(&path).expect("a spec is text");
        let file = path.display().to_string();
        let (platform, own) = (spec::parse(&file, &text, false), foreign::read(&text));
        assert_eq!(platform.is_ok(), own.is_ok(), "{file}: {:?}", own.err());
        let (Ok(spec::Parsed { automaton, .. }), Ok(own)) = (platform, own) else { continue };
        let Foreign { automaton: of_model, invariants } = own;
        assert_eq!(platform_words(&automaton), model_words(&of_model), "{file}");
        assert_eq!(platform_claims(&automaton), own_claims(&invariants), "{file}");
    }
}

/// Goal: the model's automata that were written by hand are the specs that the platform runs. Method: what
/// the reader makes of the text; of variables and actions the order means nothing.
#[test]
fn the_models_own_automata_are_those_of_the_workloads_specs() {
    let sorted = |mut words: Words| {
        words.sort();
        words
    };
    let workload = [
        (include_str!("../../../scenarios/specs/session.ioa.toml"), session()),
        (include_str!("../../../scenarios/specs/task.ioa.toml"), task()),
    ];
    for (text, by_hand) in workload {
        let read = foreign::read(text).expect("a spec of the workload").automaton;
        let guests =
            |of: &model::Automaton| of.integrations.iter().map(|i| i.guest).collect::<Vec<_>>();
        assert_eq!(guests(&read), guests(&by_hand));
        assert_eq!(sorted(model_words(&read)), sorted(model_words(&by_hand)));
    }
}
