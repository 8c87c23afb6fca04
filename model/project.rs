//! Effects and projection (contract, sections 2, 4 and 5): the event and the state of an accepted
//! request.
//!
//! The size of a value decides how it is kept, and nothing else does: null, counters, flags, `Id`
//! and `Status` stay inline whatever the ceiling.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::automaton::{Effect, Mode, VarKind, Variable};
use crate::canonical::{Content, same};
use crate::clock::rfc3339_ms;
use crate::decide::is_valid_id;
use crate::entity::{
    Event, Existence, Field, Kept, Origin, Params, State, Written, is_unknown_id, unknown_id,
};
use crate::inner::{Due, Intended, Intent};
use crate::request::{Kind, Request, Rules};

/// An accepted request on its way to an event.
pub struct Draft<'a> {
    /// The rules in force.
    pub rules: &'a Rules,
    /// The state before.
    pub state: &'a State,
    /// The request.
    pub request: &'a Request,
    /// Where its event comes from.
    pub origin: Origin,
}

/// Why an action that its state and guards allow is refused all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An effect does not fit its params: nothing to append, or no item at the index.
    Params,
    /// A field holds no time or no id where a schedule or a spawn needs one.
    Field,
}

/// The event of the request and the state after it, or why there is none.
pub fn project(draft: &Draft<'_>) -> Result<(Event, State), Refusal> {
    let params = draft.request.params();
    let mut event = Event {
        sequence_nr: draft.state.sequence_nr + 1,
        action: draft.request.action().to_owned(),
        from: draft.state.status.clone(),
        to: draft.state.status.clone(),
        params,
        key: draft.request.key.clone(),
        stamp: draft.origin.stamp,
        is_stamp_known: false,
        writes: Default::default(),
        intents: Vec::new(),
        op: draft.origin.op,
        boot: draft.origin.boot,
        sent: draft.origin.sent,
    };
    let mut state = draft.state.clone();
    match &draft.request.kind {
        Kind::Create => {
            state.existence = Existence::Live;
            event.to = draft.rules.automaton.initial.to_owned();
            initialize(draft, &mut state, &mut event);
        }
        Kind::Delete { .. } => state.existence = Existence::Deleted,
        Kind::Act { action, .. } => {
            let action = draft.rules.automaton.action(action).ok_or(Refusal::Params)?;
            event.to = action.to.map_or(event.to, str::to_owned);
            for effect in draft.rules.automaton.effects_of(action) {
                apply(draft.rules, &effect, &mut state, &mut event).ok_or(Refusal::Params)?;
            }
        }
        _ => {}
    }
    project_params(draft.rules, &mut event);
    settle(draft.rules, &mut state, &event);
    intend(draft, &mut state, &mut event)?;
    if let Some(key) = event.key.clone() {
        Arc::make_mut(&mut state.keys).insert(key, Arc::new(event.clone()));
    }
    Ok((event, state))
}

/// What the action leaves to be done: schedules and spawns, which look at the entity as it is after the
/// event's changes, and then its triggers.
fn intend(draft: &Draft<'_>, state: &mut State, event: &mut Event) -> Result<(), Refusal> {
    let Kind::Act { action, .. } = &draft.request.kind else {
        return Ok(());
    };
    let rules = draft.rules;
    let action = rules.automaton.action(action).ok_or(Refusal::Params)?;
    let mut intended = Vec::new();
    for effect in rules.automaton.effects_of(action) {
        match effect {
            Effect::Schedule { action, delay_ms } => {
                intended.push(Intended::Schedule { action, due: Due::After(delay_ms) });
            }
            Effect::ScheduleAt { action, field } => {
                let at_ms = state.value(field).and_then(Value::as_str).and_then(rfc3339_ms);
                let due = Due::At(at_ms.ok_or(Refusal::Field)?);
                intended.push(Intended::Schedule { action, due });
            }
            Effect::Spawn(spawn) => {
                let id = match spawn.id_source {
                    None => None,
                    Some(field) => {
                        let id = state.value(field).and_then(Value::as_str);
                        let id = id.filter(|id| is_valid_id(id)).ok_or(Refusal::Field)?;
                        Some(id.to_owned())
                    }
                };
                if let Some(field) = spawn.store_id_in {
                    match &id {
                        Some(id) => {
                            let written = kept_id(rules, field, id);
                            event.writes.insert(field.to_owned(), written);
                        }
                        None => write_inline(event, field, unknown_id()),
                    }
                    settle(rules, state, event);
                }
                intended.push(Intended::Spawn { spawn, id });
            }
            _ => {}
        }
    }
    intended.extend(rules.automaton.triggered(action).into_iter().cloned().map(Intended::Trigger));
    let rules = Arc::new(rules.clone());
    let intents = intended.into_iter().enumerate().map(|(n, what)| {
        let rules = rules.clone();
        Intent { n: n as u64, rules, what }
    });
    event.intents = intents.collect();
    Ok(())
}

fn initialize(draft: &Draft<'_>, state: &mut State, event: &mut Event) {
    write_inline(event, "Id", json!(state.id));
    for variable in &draft.rules.automaton.variables {
        let initial = &variable.initial;
        match variable.kind {
            VarKind::Counter => {
                set_counter(state, event, variable.name, initial.as_i64().unwrap_or(0))
            }
            VarKind::Flag => set_flag(state, event, variable.name, *initial == json!(true)),
            VarKind::List | VarKind::Set => {
                let items = initial.as_array().cloned().unwrap_or_default();
                set_list(draft.rules, state, event, (variable.name, items));
            }
            VarKind::Status => {}
            VarKind::Text => {
                let content = Arc::new(Content::new(initial.clone()));
                write(draft.rules, event, variable.name, &content);
            }
        }
    }
}

fn apply(rules: &Rules, effect: &Effect, state: &mut State, event: &mut Event) -> Option<()> {
    let counter = |state: &State, name: &str| state.counters.get(name).copied().unwrap_or(0);
    match effect {
        Effect::Increment(name) => {
            let count = counter(state, name) + 1;
            set_counter(state, event, name, count);
        }
        Effect::Decrement(name) => {
            let count = (counter(state, name) - 1).max(0);
            set_counter(state, event, name, count);
        }
        Effect::SetFlag(name, value) => set_flag(state, event, name, *value),
        Effect::Emit(_)
        | Effect::Trigger(_)
        | Effect::Schedule { .. }
        | Effect::ScheduleAt { .. }
        | Effect::Spawn(_) => {}
        Effect::ListAppend(name) => {
            let item = event.params.get(*name)?.value().clone();
            let mut items = list(state, name);
            let is_set = rules.automaton.variable(name).is_some_and(|v| v.kind == VarKind::Set);
            if !is_set || !items.iter().any(|old| same(old, &item)) {
                items.push(item);
                set_list(rules, state, event, (name, items));
            }
        }
        Effect::ListRemoveAt(name) => {
            let index = event.params.get(&format!("{name}_index"))?.value().as_u64()?;
            let mut items = list(state, name);
            let index = usize::try_from(index).ok().filter(|index| *index < items.len())?;
            items.remove(index);
            set_list(rules, state, event, (name, items));
        }
    }
    Some(())
}

fn list(state: &State, name: &str) -> Vec<Value> {
    state.lists.get(name).map(|items| items.to_vec()).unwrap_or_default()
}

fn set_counter(state: &mut State, event: &mut Event, name: &str, count: i64) {
    state.counters.insert(name.to_owned(), count);
    write_inline(event, name, json!(count));
}

fn set_flag(state: &mut State, event: &mut Event, name: &str, value: bool) {
    state.flags.insert(name.to_owned(), value);
    write_inline(event, name, json!(value));
}

fn set_list(rules: &Rules, state: &mut State, event: &mut Event, list: (&str, Vec<Value>)) {
    let (name, items) = list;
    let content = Arc::new(Content::new(Value::Array(items.clone())));
    state.lists.insert(name.to_owned(), Arc::new(items));
    write(rules, event, name, &content);
}

fn project_params(rules: &Rules, event: &mut Event) {
    let params: Params = event.params.clone();
    for (name, content) in &params {
        // A param with the name of such a variable is journalled and feeds its effects only.
        if !rules.automaton.is_fed_by_effects(name) {
            write(rules, event, name, content);
        }
    }
}

fn write_inline(event: &mut Event, name: &str, value: Value) {
    let content = Arc::new(Content::new(value));
    event.writes.insert(name.to_owned(), Written { content, kept: Kept::Inline });
}

/// How the field that takes a child's id keeps it. Of an id that nothing has shown so far this is not known: how
/// long it is, is the platform's affair.
pub(crate) fn kept_id(rules: &Rules, field: &str, id: &str) -> Written {
    let content = Arc::new(Content::new(id.into()));
    keep(rules.mode, rules.automaton.variable(field), &content)
}

/// What an event wrote in a field, if an id that it gave to a child and that nothing has shown is this one.
pub(crate) fn written_with<'e>(event: &'e Event, name: &str, id: Option<&str>) -> Cow<'e, Written> {
    let written = &event.writes[name];
    let Some(id) = id.filter(|_| is_unknown_id(written.content.value())) else {
        return Cow::Borrowed(written);
    };
    match event.spawn_into(name) {
        Some(intent) => Cow::Owned(kept_id(&intent.rules, name, id)),
        None => Cow::Borrowed(written),
    }
}

/// Whether a text stands for a value that was cut off.
pub(crate) fn is_placeholder(text: &str) -> bool {
    text.starts_with("[truncated: ")
}

fn write(rules: &Rules, event: &mut Event, name: &str, content: &Arc<Content>) {
    let variable = rules.automaton.variable(name);
    event.writes.insert(name.to_owned(), keep(rules.mode, variable, content));
}

fn keep(mode: Mode, variable: Option<&Variable>, content: &Arc<Content>) -> Written {
    let own = variable.and_then(|variable| variable.ceiling_bytes);
    let limit_bytes = own.unwrap_or(mode.default_inline_max());
    let size_bytes = content.size_bytes();
    if content.value().is_null() || size_bytes <= limit_bytes {
        return Written { content: content.clone(), kept: Kept::Inline };
    }
    match mode {
        Mode::BlobRefs { .. } => {
            let ttl_ms = variable.and_then(|variable| variable.ttl_ms);
            Written { content: content.clone(), kept: Kept::Blob { ttl_ms } }
        }
        Mode::InlineTruncate { .. } => {
            let placeholder =
                json!(format!("[truncated: {size_bytes} bytes exceeds {limit_bytes} limit]"));
            let content = Arc::new(Content::new(placeholder));
            Written { content, kept: Kept::Truncated { limit_bytes } }
        }
    }
}

/// Puts what the event wrote into the state.
fn settle(rules: &Rules, state: &mut State, event: &Event) {
    state.sequence_nr = event.sequence_nr;
    state.status.clone_from(&event.to);
    for (name, written) in &event.writes {
        let field = Field { written: written.clone(), sequence_nr: event.sequence_nr };
        state.fields.insert(name.clone(), field);
    }
    let content = Arc::new(Content::new(json!(event.to)));
    let written = Written { content, kept: Kept::Inline };
    let field = Field { written, sequence_nr: event.sequence_nr };
    // A `status` variable is the status under another name.
    let variables = rules.automaton.variables.iter();
    for variable in variables.filter(|variable| variable.kind == VarKind::Status) {
        state.fields.insert(variable.name.to_owned(), field.clone());
    }
    state.fields.insert("Status".into(), field);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Mark, Span};
    use crate::entity::{BootId, OpId};
    use crate::workload::session::session;

    fn run(mode: Mode, bodies: &[(&str, Value)]) -> (Event, State) {
        let rules = Rules { automaton: Arc::new(session()), mode };
        let mut last = None;
        let mut state = State::never("a");
        for (action, body) in bodies {
            let kind = match *action {
                "Created" => Kind::Create,
                "Updated" => Kind::Patch { id: "a".into() },
                other => Kind::Act { id: "a".into(), action: other.into() },
            };
            let request = Request::new("t", "Sessions", kind).body(body.as_object().unwrap());
            let origin =
                Origin { op: OpId(1), boot: BootId(1), sent: Mark::ZERO, stamp: Span::exactly(7) };
            let draft = Draft { rules: &rules, state: &state, request: &request, origin };
            let (event, next) = project(&draft).unwrap();
            state = next;
            last = Some(event);
        }
        (last.unwrap(), state)
    }

    const REFS: Mode = Mode::BlobRefs { default_inline_max: 131_072 };

    #[test]
    fn a_creation_projects_the_initial_values_and_the_params_over_them() {
        let (event, state) =
            run(REFS, &[("Created", json!({"Id": "a", "big": "x", "other": 1.0}))]);
        assert_eq!(event.to, "Created");
        let expected = [
            ("Id", json!("a")),
            ("Status", json!("Created")),
            ("big", json!("x")),
            ("user_message", json!("")),
            ("turns", json!(0)),
            ("ready", json!(false)),
            ("notes", json!([])),
            ("other", json!(1.0)),
        ];
        for (name, value) in expected {
            assert_eq!(state.value(name), Some(&value), "{name}");
        }
        assert!(!event.params.contains_key("Id"));
    }

    #[test]
    fn a_value_overflows_strictly_above_its_ceiling() {
        for (length, blob) in [(1021, false), (1022, false), (1023, true)] {
            let body =
                json!({"user_message": "x".repeat(length), "system_prompt": "y".repeat(length)});
            let (event, _) = run(REFS, &[("Created", json!({"Id": "a"})), ("Configure", body)]);
            let kept = |name: &str| event.writes[name].kept.clone();
            let message = if blob { Kept::Blob { ttl_ms: None } } else { Kept::Inline };
            let prompt = if blob { Kept::Blob { ttl_ms: Some(3_600_000) } } else { Kept::Inline };
            assert_eq!((kept("user_message"), kept("system_prompt")), (message, prompt));
        }
    }

    #[test]
    fn null_never_overflows_and_a_placeholder_is_the_value() {
        let mode = Mode::InlineTruncate { default_inline_max: 0 };
        let (event, state) = run(mode, &[("Created", json!({"Id": "a", "o": null, "p": "xy"}))]);
        assert_eq!(event.writes["o"].kept, Kept::Inline);
        assert_eq!(event.writes["turns"].kept, Kept::Inline);
        assert_eq!(event.writes["p"].kept, Kept::Truncated { limit_bytes: 0 });
        assert_eq!(state.value("p"), Some(&json!("[truncated: 4 bytes exceeds 0 limit]")));
        assert_eq!(event.params["p"].value(), &json!("xy"));
    }

    /// Goal: the id of a child is a value as any other, of a size that is known once it is.
    #[test]
    fn the_id_of_a_child_overflows_once_it_is_known() {
        let rules = |mode| Rules { automaton: Arc::new(session()), mode };
        let delegated = [("Created", json!({"Id": "a"})), ("Delegate", json!({}))];
        let refs = Mode::BlobRefs { default_inline_max: 4 };
        let (event, _) = run(refs, &delegated);
        assert_eq!(event.writes["task_id"].content.value(), &unknown_id());
        assert_eq!(kept_id(&rules(refs), "task_id", "g7").kept, Kept::Inline);
        assert_eq!(kept_id(&rules(refs), "task_id", "g17").kept, Kept::Blob { ttl_ms: None });
        let truncates = Mode::InlineTruncate { default_inline_max: 4 };
        let written = kept_id(&rules(truncates), "task_id", "g17");
        assert_eq!(written.kept, Kept::Truncated { limit_bytes: 4 });
        let placeholder = "[truncated: 5 bytes exceeds 4 limit]";
        assert_eq!(written.content.value(), placeholder);
        assert!(is_placeholder(placeholder) && !is_placeholder("g17"));
    }

    #[test]
    fn a_set_takes_a_value_once_and_then_is_not_projected() {
        let create = ("Created", json!({"Id": "a"}));
        let tag = ("Tag", json!({"tags": "x"}));
        let (event, state) = run(REFS, &[create, tag.clone(), tag]);
        assert_eq!(state.value("tags"), Some(&json!(["x"])));
        assert!(event.writes.is_empty());
        assert!(event.params.contains_key("tags"));
    }
}
