//! What the contract's section 4 decides for one request in one state: the answer, and the event.
//!
//! The checks stand in the contract's order: body, entity set, idempotency key, entity, `If-Match`,
//! action, state, guard. Where the contract leaves the code open, every code that fits is allowed.
//!
//! Not modelled: methods that no route knows (405), options that no list has (400 `NotSupported`).

use std::sync::Arc;

use serde_json::Value;

use crate::automaton::{ActionKind, guards_hold};
use crate::canonical::same;
use crate::entity::{Event, Existence, Origin, Params, State};
use crate::project::{Draft, Refusal, project};
use crate::request::{Body, Kind, Rejection, Request, Rules};

/// A body, or params that an effect cannot use.
pub const INVALID_BODY: Rejection = Rejection { status: 400, code: "InvalidBody" };
const RESERVED_NAME: Rejection = Rejection { status: 400, code: "ReservedName" };
const INVALID_NAME: Rejection = Rejection { status: 400, code: "InvalidName" };
const TOO_LARGE: Rejection = Rejection { status: 413, code: "BodyTooLarge" };
/// No spec has such a set.
pub const UNKNOWN_SET: Rejection = Rejection { status: 404, code: "UnknownSet" };
/// The spec has no such action, or nobody may call it.
pub const UNKNOWN_ACTION: Rejection = Rejection { status: 404, code: "UnknownAction" };
const NOT_CALLABLE: Rejection = Rejection { status: 405, code: "" };
/// No such entity, or no longer.
pub const NOT_FOUND: Rejection = Rejection { status: 404, code: "EntityNotFound" };
const EXISTS: Rejection = Rejection { status: 409, code: "EntityExists" };
/// The key was seen with another request.
pub const KEY_REUSED: Rejection = Rejection { status: 409, code: "KeyReused" };
const WRONG_STATE: Rejection = Rejection { status: 409, code: "WrongState" };
const GUARD_FALSE: Rejection = Rejection { status: 409, code: "GuardFalse" };
const STALE: Rejection = Rejection { status: 412, code: "" };

/// What a request gets in a state.
#[derive(Clone, Debug)]
pub enum Decision {
    /// The event is appended and the state follows it.
    Accept {
        /// The event.
        event: Arc<Event>,
        /// The state after it.
        state: Arc<State>,
    },
    /// The key was seen with this request: the present state, and nothing is written.
    Repeat,
    /// A read shows the state.
    Show,
    /// One of these rejections; nothing is written.
    Reject(Vec<Rejection>),
}

fn reject(rejection: Rejection) -> Decision {
    Decision::Reject(vec![rejection])
}

/// What is decided without looking at any entity: body, entity set, id and key.
pub fn decide_alone(rules: Option<&Rules>, request: &Request) -> Option<Vec<Rejection>> {
    if request.is_write() {
        let problems = body_problems(rules, request);
        if !problems.is_empty() {
            return Some(problems);
        }
    }
    if rules.is_none() {
        return Some(vec![UNKNOWN_SET]);
    }
    if request.entity_id().is_some_and(|id| !is_valid_id(id)) {
        // The id that a creation takes from its body may count as a fault of the body.
        return Some(vec![INVALID_NAME, INVALID_BODY]);
    }
    if request.is_write() && request.key.as_deref().is_some_and(|key| !is_valid_key(key)) {
        return Some(vec![INVALID_NAME, RESERVED_NAME, INVALID_BODY]);
    }
    None
}

/// Whether an entity may have this id.
pub fn is_valid_id(id: &str) -> bool {
    (1..=255).contains(&id.len()) && !id.chars().any(char::is_control)
}

fn is_valid_key(key: &str) -> bool {
    let printable = key.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    (1..=255).contains(&key.len()) && printable && !key.starts_with("temper:")
}

/// What is wrong with the body of a request, whatever the entity: all that is decided alone of one
/// that the platform itself makes.
pub fn body_problems(rules: Option<&Rules>, request: &Request) -> Vec<Rejection> {
    let params = match &request.body {
        Body::Invalid => return vec![INVALID_BODY],
        Body::TooLarge => return vec![TOO_LARGE],
        Body::Object(params) => params,
    };
    let creates = request.kind == Kind::Create;
    let mut problems = Vec::new();
    let reserved = |name: &str| name == "Status" || (name == "Id" && !creates);
    if params.iter().any(|(name, content)| reserved(name) || is_reserved(name, content.value())) {
        problems.push(RESERVED_NAME);
    }
    if creates && params.get("Id").is_some_and(|id| !id.value().is_string()) {
        problems.extend([INVALID_BODY, INVALID_NAME]);
    }
    let feeds = creates || matches!(request.kind, Kind::Patch { .. });
    let fed = |name: &str| rules.is_some_and(|rules| rules.automaton.is_fed_by_effects(name));
    if feeds && params.keys().any(|name| fed(name)) {
        // The contract says 400 and leaves the code open.
        problems.extend([RESERVED_NAME, INVALID_BODY]);
    }
    problems
}

fn is_reserved(name: &str, value: &Value) -> bool {
    if name.starts_with("__temper_") {
        return true;
    }
    match value {
        Value::Object(map) => map.iter().any(|(name, value)| is_reserved(name, value)),
        Value::Array(items) => items.iter().any(|item| is_reserved("", item)),
        _ => false,
    }
}

/// What `request` gets in `state`, for requests that [`decide_alone`] lets pass.
///
/// `origin` says when the platform's clock can have been read for it.
pub fn decide(rules: &Rules, state: &State, request: &Request, origin: Origin) -> Decision {
    if let Kind::History { .. } = request.kind {
        let known = state.existence != Existence::Never;
        return if known { Decision::Show } else { reject(NOT_FOUND) };
    }
    if let Some(decision) = seen_key(state, request) {
        return decision;
    }
    if let Some(rejection) = entity_problem(state, request) {
        return reject(rejection);
    }
    let draft = Draft { rules, state, request, origin };
    match &request.kind {
        Kind::Act { action, .. } => act(&draft, action),
        Kind::Create | Kind::Patch { .. } | Kind::Delete { .. } => accept(&draft),
        Kind::Read { .. } | Kind::History { .. } | Kind::List(_) => Decision::Show,
    }
}

fn seen_key(state: &State, request: &Request) -> Option<Decision> {
    if !request.is_write() {
        return None;
    }
    let event = state.keys.get(request.key.as_ref()?)?;
    let repeats = event.action == request.action() && same_params(&event.params, &request.params());
    Some(if repeats { Decision::Repeat } else { reject(KEY_REUSED) })
}

/// Whether two sets of params have the same canonical JSON.
pub fn same_params(left: &Params, right: &Params) -> bool {
    let equal = |name: &String, value: &Value| {
        right.get(name).is_some_and(|other| same(value, other.value()))
    };
    left.len() == right.len() && left.iter().all(|(name, content)| equal(name, content.value()))
}

fn entity_problem(state: &State, request: &Request) -> Option<Rejection> {
    if request.kind == Kind::Create {
        return (state.existence != Existence::Never).then_some(EXISTS);
    }
    if state.existence != Existence::Live {
        return Some(NOT_FOUND);
    }
    let stale = request.if_match.is_some_and(|nr| nr != state.sequence_nr);
    (request.is_write() && stale).then_some(STALE)
}

fn act(draft: &Draft<'_>, name: &str) -> Decision {
    let automaton = &draft.rules.automaton;
    let Some(action) = automaton.action(name) else {
        return reject(UNKNOWN_ACTION);
    };
    if action.kind == ActionKind::Output {
        return Decision::Reject(vec![UNKNOWN_ACTION, NOT_CALLABLE]);
    }
    let status = draft.state.status.as_str();
    let legal = match &action.from {
        Some(states) => states.contains(&status),
        None => !automaton.terminal.contains(&status),
    };
    if !legal {
        return reject(WRONG_STATE);
    }
    if !guards_hold(&action.guards, draft.state) {
        return reject(GUARD_FALSE);
    }
    accept(draft)
}

fn accept(draft: &Draft<'_>) -> Decision {
    match project(draft) {
        Ok((event, state)) => Decision::Accept { event: Arc::new(event), state: Arc::new(state) },
        Err(Refusal::Params) => reject(INVALID_BODY),
        Err(Refusal::Field) => reject(GUARD_FALSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::automaton::Mode;
    use crate::clock::{Mark, Span};
    use crate::entity::{BootId, OpId};
    use crate::workload::session::session;
    use serde_json::json;

    const ORIGIN: Origin = Origin {
        op: OpId(0),
        boot: BootId(1),
        sent: Mark::ZERO,
        stamp: Span { lo_ms: 0, hi_ms: 0 },
    };

    fn rules() -> Rules {
        let mode = Mode::BlobRefs { default_inline_max: 131_072 };
        Rules { automaton: Arc::new(session()), mode }
    }

    fn request(kind: Kind, body: Value) -> Request {
        Request::new("t", "Sessions", kind).body(body.as_object().unwrap())
    }

    fn act(action: &str, body: Value) -> Request {
        request(Kind::Act { id: "a".into(), action: action.into() }, body)
    }

    fn after(requests: &[Request]) -> Arc<State> {
        let mut state = Arc::new(State::never("a"));
        for request in requests {
            match decide(&rules(), &state, request, ORIGIN) {
                Decision::Accept { state: next, .. } => state = next,
                other => panic!("{} gave {other:?}", request.action()),
            }
        }
        state
    }

    fn code(state: &State, request: &Request) -> &'static str {
        if let Some(rejections) = decide_alone(Some(&rules()), request) {
            return rejections[0].code;
        }
        match decide(&rules(), state, request, ORIGIN) {
            Decision::Reject(rejections) => rejections[0].code,
            Decision::Accept { .. } => "accept",
            Decision::Repeat => "repeat",
            Decision::Show => "show",
        }
    }

    #[test]
    fn the_first_check_that_fails_is_the_answer() {
        let create = request(Kind::Create, json!({"Id": "a"}));
        let state = after(std::slice::from_ref(&create));
        let never = State::never("a");
        let mut stale = act("Start", json!({}));
        stale.if_match = Some(9);
        assert_eq!(code(&never, &act("Nothing", json!({}))), "EntityNotFound");
        assert_eq!(code(&state, &act("Nothing", json!({}))), "UnknownAction");
        assert_eq!(code(&state, &act("Told", json!({}))), "UnknownAction");
        assert_eq!(code(&state, &act("Start", json!({}))), "WrongState");
        assert_eq!(code(&state, &stale), "");
        assert_eq!(code(&state, &act("Unnote", json!({"notes_index": 0}))), "GuardFalse");
        assert_eq!(code(&state, &create), "EntityExists");
        assert_eq!(code(&state, &act("Nothing", json!({"Id": 1}))), "ReservedName");
        assert_eq!(code(&state, &act("Write", json!({"x": [{"__temper_y": 1}]}))), "ReservedName");
        assert_eq!(code(&state, &request(Kind::Create, json!({"turns": 1}))), "ReservedName");
        assert_eq!(code(&state, &act("Write", json!({"status": 1}))), "accept");
        assert_eq!(code(&state, &act("Write", json!({})).key("temper:1")), "InvalidName");
    }

    #[test]
    fn a_key_answers_before_everything_that_depends_on_the_state() {
        let configure = act("Configure", json!({"user_message": "x"})).key("k");
        let create = request(Kind::Create, json!({"Id": "a"})).key("c");
        let delete = request(Kind::Delete { id: "a".into() }, json!({}));
        let state = after(&[create.clone(), configure.clone(), delete]);
        assert_eq!(code(&state, &configure), "repeat");
        assert_eq!(code(&state, &create), "repeat");
        let other = act("Configure", json!({"user_message": "y"})).key("k");
        assert_eq!(code(&state, &other), "KeyReused");
        assert_eq!(code(&state, &act("Configure", json!({}))), "EntityNotFound");
        assert_eq!(
            code(&state, &request(Kind::Read { id: "a".into() }, json!({}))),
            "EntityNotFound"
        );
        assert_eq!(code(&state, &request(Kind::History { id: "a".into() }, json!({}))), "show");
    }

    #[test]
    fn a_terminal_state_is_left_only_by_an_action_that_names_it() {
        let steps = [
            request(Kind::Create, json!({"Id": "a"})),
            act("Configure", json!({})),
            act("Start", json!({})),
            act("Tick", json!({})),
            act("Finish", json!({})),
        ];
        let done = after(&steps);
        assert_eq!(done.status, "Done");
        assert_eq!(code(&done, &act("Write", json!({}))), "WrongState");
        assert_eq!(code(&done, &act("Reopen", json!({}))), "accept");
        assert_eq!(code(&done, &request(Kind::Patch { id: "a".into() }, json!({}))), "accept");
    }
}
