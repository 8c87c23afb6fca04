//! Plans and folds: what events record, and that a replay is the life it records.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::event::{CREATED, Event, UPDATED};
use super::plan::Planner;
use super::snapshot::{decode_snapshot, encode_snapshot};
use super::state::{EntityState, Field, fold};
use crate::overflow::OverflowMode;
use crate::seams::Ids;
use crate::spec::TransitionTable;
use crate::store::EntityKey;

struct NoIds;

impl Ids for NoIds {
    fn next_id(&self) -> String {
        "fresh".to_owned()
    }
}

/// An entity and what its events have made of it, live.
struct Life {
    table: TransitionTable,
    key: EntityKey,
    events: Vec<Event>,
    state: Option<EntityState>,
}

impl Life {
    fn new() -> Self {
        let spec = include_str!("../../tests/specs/session.ioa.toml");
        let parsed = crate::spec::parse("session", spec, false).unwrap();
        let (entity_type, entity_id) = ("Session".to_owned(), "s".to_owned());
        let key = EntityKey { entity_type, entity_id };
        let table = TransitionTable::new(parsed.automaton);
        Self { table, key, events: Vec::new(), state: None }
    }

    /// The code of a refusal, or nothing for what was accepted and folded in.
    fn act(&mut self, action: &str, params: Value) -> Option<&'static str> {
        let Value::Object(params) = params else { panic!("params are an object") };
        let planner = Planner {
            table: &self.table,
            mode: OverflowMode::default(),
            now_ms: 1_000_000 + self.events.len() as i64,
            ids: &NoIds,
            logical: &BTreeMap::new(),
            idempotency_key: None,
        };
        let planned = match &self.state {
            None => Ok(planner.create(&self.key, params)),
            Some(state) if action == UPDATED => Ok(planner.patch(&self.key, state, params)),
            Some(state) => {
                let action = self.table.action(action).expect("the spec has it");
                planner.act(&self.key, state, action, params)
            }
        };
        match planned {
            Ok(event) => {
                self.state = Some(fold(self.state.take(), &event).0);
                self.events.push(event);
                None
            }
            Err(error) => Some(error.code()),
        }
    }
}

fn lived() -> Life {
    let mut life = Life::new();
    let long = "a note that is longer than forty-eight bytes, by a little";
    for (action, params) in [
        (CREATED, json!({"system_prompt": "p".repeat(70), "other": {"b": [1.0, -0.0]}})),
        ("Note", json!({"notes": long})),
        ("Configure", json!({"user_message": null, "scratch": 1})),
        ("Turn", json!({"turn_count": 77})),
        ("Turn", json!({})),
        ("Label", json!({"labels": "new"})),
        ("Note", json!({"notes": "urgent"})),
        ("Urge", json!({})),
        (UPDATED, json!({"other": null})),
        ("Unnote", json!({"notes_index": 0})),
    ] {
        assert_eq!(life.act(action, params), None, "{action}");
    }
    life
}

#[test]
fn effects_move_counters_bools_and_lists() {
    let life = lived();
    let state = life.state.unwrap();
    assert_eq!((state.status.as_str(), state.sequence_nr), ("Active", 10));
    assert_eq!((state.counters["turn_count"], state.bools["ready"]), (1, true));
    assert_eq!(state.lists["notes"], [json!("urgent")]);
    // The repeat of a label changed nothing, so the set was not projected again.
    assert_eq!(state.lists["labels"], [json!("new")]);
    assert!(!life.events[5].changes.fields.contains_key("labels"));
    assert_eq!(life.events[3].emitted, ["turned"]);
    assert_eq!(state.fields["notes"], Field::Inline(json!(["urgent"])));
    assert!(matches!(state.fields["scratch"], Field::Blob(_)));
    assert_eq!(state.fields["other"], Field::Inline(Value::Null));
}

#[test]
fn guards_states_and_indices_refuse() {
    let mut life = Life::new();
    life.act(CREATED, json!({}));
    assert_eq!(life.act("Turn", json!({})), Some("WrongState"));
    assert_eq!(life.act("Close", json!({})), Some("GuardFalse"));
    assert_eq!(life.act("Unnote", json!({"notes_index": 0})), Some("GuardFalse"));
    assert_eq!(life.act("Note", json!({})), Some("InvalidBody"));
    life.act("Note", json!({"notes": null}));
    for index in [json!(1), json!(-1), json!("0"), json!(0.0), Value::Null] {
        let refused = life.act("Unnote", json!({"notes_index": index}));
        assert_eq!(refused, Some("InvalidBody"), "{index}");
    }
    assert_eq!(life.events.len(), 2);
}

#[test]
fn a_replay_of_the_written_events_is_the_live_state() {
    let life = lived();
    let live = life.state.unwrap();
    let mut replayed = None;
    for event in &life.events {
        let stored = crate::canonical::parse_stored(event.to_text().as_bytes()).unwrap();
        let read: Event = serde_json::from_value(stored).unwrap();
        assert_eq!(read, *event);
        replayed = Some(fold(replayed, &read).0);
    }
    assert_eq!(replayed.as_ref(), Some(&live));
    let snapshot = encode_snapshot(&live);
    assert!(snapshot.text.as_ref().unwrap().contains("\"scratch\":{\"__temper_blob_encoding\""));
    assert_eq!(decode_snapshot(&life.key, &snapshot), Some(live));
}
