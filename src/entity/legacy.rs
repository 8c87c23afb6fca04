//! Events of the older schema, which record less than a fold needs.
//!
//! **Invariant:** such an event is folded under today's spec: its effects run, its guards do not,
//! its `to` is trusted, its deadlines are counted from its timestamp. It is never written back.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::actor::Actor;
use super::event::{CREATED, Changes, DELETED, Event, FORMAT, UPDATED};
use super::plan::Planner;
use super::state::EntityState;
use crate::answer::RequestError;
use crate::spec::{Action, ActionKind};
use crate::store::{EntityKey, EventRow};
use crate::time;

/// What an older payload tells by itself.
pub(super) fn read(
    key: &EntityKey,
    row: &EventRow,
    mut payload: Value,
) -> Result<Event, RequestError> {
    let undecodable = |reason: &str| RequestError::EventUndecodable {
        entity: key.to_string(),
        sequence_nr: row.sequence_nr,
        reason: reason.to_owned(),
    };
    let words = |names: [&str; 2]| {
        names.iter().find_map(|name| payload.get(*name)?.as_str()).map(str::to_owned)
    };
    let action = words(["action", "event_type"]).or_else(|| row.event_type.clone());
    let action = action.ok_or_else(|| undecodable("it names no action"))?;
    let (from, to) = (words(["from_status", "from"]), words(["to_status", "to"]));
    let written = words(["timestamp", "created_at"]).or_else(|| row.created_at.clone());
    let timestamp_ms = written.as_deref().and_then(time::from_text);
    let timestamp_ms = timestamp_ms.ok_or_else(|| undecodable("it has no timestamp"))?;
    let params = match payload.get_mut("params").map(Value::take) {
        Some(Value::Object(params)) => params,
        Some(Value::Null) | None => Map::new(),
        Some(_) => return Err(undecodable("its params are no object")),
    };
    Ok(Event {
        format: FORMAT,
        entity_type: key.entity_type.clone(),
        entity_id: key.entity_id.clone(),
        sequence_nr: row.sequence_nr,
        action,
        from: from.unwrap_or_default(),
        to: to.unwrap_or_default(),
        timestamp: time::to_text(timestamp_ms),
        params,
        idempotency_key: None,
        changes: Changes::default(),
        emitted: Vec::new(),
        intents: Vec::new(),
    })
}

/// The event with what today's spec makes of it.
pub(super) fn upgrade(
    actor: &Actor,
    row: &EventRow,
    payload: Value,
    state: Option<&EntityState>,
) -> Result<Event, RequestError> {
    let older = read(&actor.key, row, payload)?;
    let table = actor.tenant.core.table(&actor.key.entity_type);
    let planner = Planner {
        table,
        mode: actor.tenant.mode,
        now_ms: time::from_text(&older.timestamp).unwrap_or(0),
        ids: actor.tenant.core.seams.ids.as_ref(),
        logical: &BTreeMap::new(),
        idempotency_key: None,
    };
    let key = &actor.key;
    let mut event = match (state, older.action.as_str()) {
        (None, CREATED) => planner.create(key, older.params),
        (None, _) => return Err(actor.undecodable(row.sequence_nr, "it is no creation")),
        (Some(state), DELETED) => planner.delete(key, state),
        (Some(state), UPDATED) => planner.patch(key, state, older.params),
        (Some(state), name) => {
            let plain = plain_action(name);
            let action = table.action(name).unwrap_or(&plain);
            let accepted = planner.accept(key, state, action, older.params);
            accepted.map_err(|error| actor.undecodable(row.sequence_nr, &error.to_string()))?
        }
    };
    if !older.to.is_empty() {
        event.to = older.to;
    }
    // What it triggered ran long ago.
    event.intents.clear();
    Ok(event)
}

/// An action that today's spec does not have any more: its params are fields, it has no effect.
fn plain_action(name: &str) -> Action {
    Action {
        name: name.to_owned(),
        kind: ActionKind::Internal,
        from: None,
        to: None,
        guards: Vec::new(),
        effects: Vec::new(),
        params: Vec::new(),
        hint: None,
    }
}
