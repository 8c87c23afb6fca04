//! The checks that need no entity: names, body, entity set. Pure.
//!
//! **Invariant:** what passes here has no name that is the platform's, and a canonical form.

use serde_json::{Map, Value};

use crate::answer::RequestError;
use crate::entity::EntityOp;
use crate::list::Choice;
use crate::overflow::{RESERVED_PREFIX, is_reserved_param, reserved_key};
use crate::platform::is_valid_id;
use crate::request::{BODY_MAX, Body, Op, Request};
use crate::seams::Ids;
use crate::spec::TransitionTable;
use crate::store::EntityKey;
use crate::tenant::is_valid_tenant;
use crate::{canonical, defect};

/// Rows of a page, unless the request says otherwise.
const TOP: u64 = 100;
/// Rows of a page at most.
const TOP_MAX: u64 = 1000;

/// A request that may be asked of an entity or a set.
pub(crate) enum Intake {
    /// For an actor.
    Entity {
        /// The entity.
        key: EntityKey,
        /// What is asked of it.
        op: EntityOp,
    },
    /// For the tenant.
    List {
        /// The set's type.
        entity_type: String,
        /// Leave out so many first.
        skip: u64,
        /// At most so many.
        top: u64,
        /// Which entities, and what of them.
        choice: Choice,
    },
}

/// Who sends a request. Keys that begin with `temper:`, and may be of any length, are the platform's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Anybody outside.
    Client,
    /// The outbox.
    Platform,
}

/// Checks a request in the contract's order: body, entity set, then the names that lead to an entity.
pub(crate) fn check<'t>(
    (request, sender): (&Request, Sender),
    table_of: impl Fn(&str) -> Option<&'t TransitionTable>,
    ids: &dyn Ids,
) -> Result<Intake, RequestError> {
    let invalid_tenant =
        || RequestError::InvalidName { what: "tenant", name: request.tenant.clone() };
    is_valid_tenant(&request.tenant).then_some(()).ok_or_else(invalid_tenant)?;
    let body = match &request.op {
        Op::Create { body, .. } | Op::Patch { body, .. } | Op::Act { params: body, .. } => {
            parse_body(body)?
        }
        _ => Map::new(),
    };
    let is_spawn = sender == Sender::Platform && matches!(request.op, Op::Create { .. });
    if !(is_spawn && defect!("spawn-copies-envelope")) {
        check_reserved(&request.op, &body)?;
    }
    let top = match &request.op {
        Op::List { top, .. } | Op::History { top, .. } => page_size(*top)?,
        _ => TOP,
    };
    let set = request.op.set();
    let table = table_of(set).ok_or_else(|| RequestError::UnknownSet(set.to_owned()))?;
    let sets_fields = matches!(request.op, Op::Create { .. } | Op::Patch { .. });
    if let Some(name) = body.keys().find(|name| sets_fields && table.is_set_by_effects(name)) {
        return Err(RequestError::ReservedName(name.clone()));
    }
    check_names(request, sender)?;
    let entity_type = table.entity_type().to_owned();
    let op = match &request.op {
        Op::List { skip, select, filter, .. } => {
            let choice = Choice { select: select.clone(), filter: filter.clone() };
            return Ok(Intake::List { entity_type, skip: *skip, top, choice });
        }
        Op::Create { .. } => EntityOp::Create(body),
        Op::Act { action, .. } => EntityOp::Act(action.clone(), body),
        Op::Patch { .. } => EntityOp::Patch(body),
        Op::Delete { .. } => EntityOp::Delete,
        Op::Get { .. } => EntityOp::Get,
        Op::History { skip, .. } => EntityOp::History(*skip, top),
    };
    let named = request.op.id().map(str::to_owned);
    let entity_id = match (&op, named) {
        (EntityOp::Create(body), _) => {
            let sent = body.get("Id").and_then(Value::as_str).map(str::to_owned);
            sent.or_else(|| request.idempotency_key.clone()).unwrap_or_else(|| ids.next_id())
        }
        (_, named) => named.expect("only creations and lists name no entity"),
    };
    Ok(Intake::Entity { key: EntityKey { entity_type, entity_id }, op })
}

fn check_names(request: &Request, sender: Sender) -> Result<(), RequestError> {
    let invalid = |what, name: &str| RequestError::InvalidName { what, name: name.to_owned() };
    if let Some(id) = request.op.id().filter(|id| !is_valid_id(id)) {
        return Err(invalid("id", id));
    }
    if let (Some(key), Sender::Client) = (&request.idempotency_key, sender) {
        let printable = key.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
        if !printable || !(1..=255).contains(&key.len()) {
            return Err(invalid("idempotency key", key));
        }
        if key.starts_with("temper:") {
            return Err(RequestError::ReservedName(key.clone()));
        }
    }
    Ok(())
}

fn parse_body(body: &Body) -> Result<Map<String, Value>, RequestError> {
    if body.0.len() > BODY_MAX {
        return Err(RequestError::BodyTooLarge(body.0.len()));
    }
    if body.0.is_empty() {
        return Ok(Map::new());
    }
    match canonical::parse(&body.0) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Err(RequestError::InvalidBody("it is no object".to_owned())),
        Err(error) => Err(RequestError::InvalidBody(error.to_string())),
    }
}

fn check_reserved(op: &Op, body: &Map<String, Value>) -> Result<(), RequestError> {
    let is_creation = matches!(op, Op::Create { .. });
    let reserved = |name: &String| RequestError::ReservedName(name.clone());
    if let Some(name) =
        body.keys().find(|name| is_own_name(name) && !(is_creation && *name == "Id"))
    {
        return Err(reserved(name));
    }
    if !defect!("spoofed-envelope") {
        if let Some(name) = body.keys().find(|name| name.starts_with(RESERVED_PREFIX)) {
            return Err(reserved(name));
        }
        if let Some(name) = body.values().find_map(reserved_key) {
            return Err(RequestError::ReservedName(name.to_owned()));
        }
    }
    match body.get("Id") {
        Some(Value::String(id)) if is_valid_id(id) => Ok(()),
        Some(Value::String(id)) => Err(RequestError::InvalidName { what: "id", name: id.clone() }),
        Some(_) => Err(RequestError::InvalidBody("`Id` is no string".to_owned())),
        None => Ok(()),
    }
}

fn is_own_name(name: &str) -> bool {
    is_reserved_param(name) && !name.starts_with(RESERVED_PREFIX)
}

fn page_size(top: Option<u64>) -> Result<u64, RequestError> {
    match top.unwrap_or(TOP) {
        top if top <= TOP_MAX => Ok(top),
        top => Err(RequestError::NotSupported(format!("a page of {top}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct OneId;

    impl Ids for OneId {
        fn next_id(&self) -> String {
            "generated".to_owned()
        }
    }

    fn code(op: Op) -> &'static str {
        let spec = "
            [automaton]
            name = 'Note'
            states = ['Open']
            initial = 'Open'
            [[state]]
            name = 'count'
            type = 'counter'
        ";
        let table = TransitionTable::new(crate::spec::parse("s", spec, false).unwrap().automaton);
        let table_of = |set: &str| (set == "Notes").then_some(&table);
        match check((&Request::new("acme", op), Sender::Client), table_of, &OneId) {
            Ok(_) => "ok",
            Err(error) => error.code(),
        }
    }

    fn create(body: &str) -> &'static str {
        code(Op::Create { set: "Notes".to_owned(), body: body.into() })
    }

    #[test]
    fn names_of_the_platform_are_refused_everywhere() {
        assert_eq!(create(r#"{"Id":"a","text":1}"#), "ok");
        assert_eq!(create(""), "ok");
        assert_eq!(create(r#"{"Id":1}"#), "InvalidBody");
        assert_eq!(create(r#"{"Id":null}"#), "InvalidBody");
        assert_eq!(create(r#"{"Id":""}"#), "InvalidName");
        assert_eq!(create(r#"{"Status":"Open"}"#), "ReservedName");
        assert_eq!(create(r#"{"count":1}"#), "ReservedName");
        assert_eq!(create(r#"{"a":[{"__temper_x":1}]}"#), "ReservedName");
        assert_eq!(create(r#"{"status":"id"}"#), "ok");
        assert_eq!(create("[]"), "InvalidBody");
        let act = |body: &str| {
            let (set, id, action) = ("Notes".to_owned(), "a".to_owned(), "X".to_owned());
            code(Op::Act { set, id, action, params: body.into() })
        };
        assert_eq!(act(r#"{"count":1}"#), "ok");
        assert_eq!(act(r#"{"Id":"a"}"#), "ReservedName");
    }

    #[test]
    fn the_body_is_judged_before_the_set() {
        let other = |body: &str| code(Op::Create { set: "Others".to_owned(), body: body.into() });
        assert_eq!(other("{"), "InvalidBody");
        assert_eq!(other("{}"), "UnknownSet");
        let large = " ".repeat(BODY_MAX + 1);
        assert_eq!(other(&large), "BodyTooLarge");
    }

    #[test]
    fn tenants_have_narrow_names() {
        for tenant in ["a", "0", "a-b_c", &"a".repeat(63)] {
            assert!(is_valid_tenant(tenant), "{tenant}");
        }
        for tenant in ["", "-a", "_a", "A", "a.b", "a/b", &"a".repeat(64)] {
            assert!(!is_valid_tenant(tenant), "{tenant}");
        }
    }
}
