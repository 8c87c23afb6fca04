//! Single sentences of the contract about one action: what it leads to, and what refuses it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::world::{PROTOCOLS, World, act, create, delete, get, history, patch, run, word};
use crate::{Config, Op, OverflowMode, Request, SpecText, Specs, SpecsError};

const COUNTED: &str = r#"
    [automaton]
    name = "Count"
    states = ["Open", "Shut"]
    initial = "Open"
    terminal = ["Shut"]
    [[state]]
    name = "n"
    type = "counter"
    initial = "2"
    [[state]]
    name = "m"
    type = "counter"
    [[state]]
    name = "on"
    type = "bool"
    initial = true
    [[action]]
    name = "Up"
    guard = [{ type = "max_count", var = "n", max = 4 }, { type = "is_true", var = "on" }]
    effect = "increment n"
    [[action]]
    name = "Down"
    effect = "decrement n"
    [[action]]
    name = "Off"
    effect = { type = "set_bool", var = "on", value = "false" }
    [[action]]
    name = "AddItem"
    [[action]]
    name = "RemoveItem"
    [[action]]
    name = "Shut"
    to = "Shut"
    [[action]]
    name = "Soon"
    effect = [{ type = "schedule", action = "Up", delay_seconds = 0 }]
"#;

fn specs(texts: &[&str]) -> Result<Specs, SpecsError> {
    let text = |text: &&str| SpecText { file: "count".to_owned(), text: (*text).to_owned() };
    Specs::read(&texts.iter().map(text).collect::<Vec<_>>(), false)
}

fn counted(mut request: Request) -> Request {
    match &mut request.op {
        Op::Create { set, .. }
        | Op::Act { set, .. }
        | Op::Patch { set, .. }
        | Op::Delete { set, .. }
        | Op::Get { set, .. }
        | Op::List { set, .. }
        | Op::History { set, .. } => "Counts".clone_into(set),
    }
    request
}

#[test]
fn counters_begin_as_the_spec_says_and_stop_at_nothing() {
    run(async {
        let mut world = World::new();
        world.config.specs = specs(&[COUNTED]).unwrap();
        let platform = world.start();
        let created = platform.handle(counted(create("a", json!({})))).await.body;
        assert_eq!(created["counters"], json!({"n": 2, "m": 0}));
        for (action, expected, counters) in [
            ("Up", "200", [3, 0]),
            ("Up", "200", [4, 0]),
            ("Up", "GuardFalse", [4, 0]),
            ("AddItem", "200", [5, 1]),
            ("RemoveItem", "200", [4, 0]),
            ("RemoveItem", "200", [3, 0]),
            ("Down", "200", [2, 0]),
            ("Down", "200", [1, 0]),
            ("Down", "200", [0, 0]),
            ("Down", "200", [0, 0]),
            ("Off", "200", [0, 0]),
            ("Up", "GuardFalse", [0, 0]),
            ("Soon", "200", [0, 0]),
            ("Shut", "200", [0, 0]),
        ] {
            let answer = platform.handle(counted(act("a", action, ""))).await;
            assert_eq!(word(&answer), expected, "{action}");
            let shown = platform.handle(counted(get("a"))).await.body;
            let [n, m] = counters;
            assert_eq!(shown["counters"], json!({"n": n, "m": m}), "after {action}");
        }
    });
}

#[test]
fn an_entity_type_has_one_spec() {
    let twice = specs(&[COUNTED, COUNTED]).map(|_| ());
    assert_eq!(twice, Err(SpecsError::Two("Count".to_owned())));
}

#[test]
fn a_version_counts_for_every_write_but_a_creation() {
    run(async {
        let world = World::new();
        let platform = world.start();
        for (expected, request) in [
            ("201", create("a", json!({})).with_if_match("\"7\"")),
            ("200", get("a").with_if_match("\"7\"")),
            ("PreconditionFailed", act("a", "Configure", "").with_if_match("\"7\"")),
            ("PreconditionFailed", patch("a", json!({})).with_if_match("\"7\"")),
            ("PreconditionFailed", delete("a").with_if_match("\"7\"")),
            ("PreconditionFailed", delete("a").with_if_match("1")),
            ("200", patch("a", json!({})).with_if_match("\"7\", \"1\"")),
            ("204", delete("a").with_if_match("*")),
        ] {
            assert_eq!(word(&platform.handle(request.clone()).await), expected, "{request:?}");
        }
    });
}

#[test]
fn a_patch_sets_what_it_names_in_any_state() {
    run(async {
        let mut world = World::new();
        world.config.specs = specs(&[COUNTED]).unwrap();
        let platform = world.start();
        platform.handle(counted(create("a", json!({"x": 1, "y": 2})))).await;
        platform.handle(counted(act("a", "Shut", ""))).await;
        let patched = platform.handle(counted(patch("a", json!({"x": null, "z": [3]})))).await;
        let fields = &patched.body["fields"];
        assert_eq!(
            (&fields["x"], &fields["y"], &fields["z"]),
            (&Value::Null, &json!(2), &json!([3]))
        );
        assert_eq!((&fields["Status"], fields.get("x").is_some()), (&json!("Shut"), true));
        assert_eq!(word(&platform.handle(counted(act("a", "Down", ""))).await), "WrongState");
    });
}

#[test]
fn history_tells_where_each_event_came_from_and_led_to() {
    run(async {
        let world = World::new();
        let platform = world.start();
        platform.handle(create("a", json!({}))).await;
        platform.handle(act("a", "Configure", "")).await;
        platform.handle(patch("a", json!({}))).await;
        platform.handle(delete("a")).await;
        let shown = platform.handle(history("a")).await.body["value"].take();
        let word = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
        let told: Vec<[String; 3]> = shown
            .as_array()
            .unwrap()
            .iter()
            .map(|event| ["action", "from", "to"].map(|name| word(event, name)))
            .collect();
        let expected = [
            ["Created", "", "Draft"],
            ["Configure", "Draft", "Active"],
            ["Updated", "Active", "Active"],
            ["Deleted", "Active", "Active"],
        ];
        assert_eq!(told, expected);
    });
}

#[test]
fn a_blob_is_counted_under_each_protocol() {
    for protocol in PROTOCOLS {
        run(async {
            let mut world = World::new();
            world.config.protocol = protocol;
            let platform = world.start();
            for id in ["a", "b"] {
                platform.handle(create(id, json!({"scratch": "same"}))).await;
            }
            assert_eq!(platform.metrics().blobs_put.get(), 1, "{protocol:?}");
        });
    }
}

/// Goal: a mode is its tenant's. Method: one tenant of two truncates.
#[test]
fn a_tenant_has_its_own_mode() {
    run(async {
        let mut world = World::new();
        let truncates = OverflowMode::InlineTruncate { default_inline_max: 8 };
        world.config.modes = BTreeMap::from([("acme".to_owned(), truncates)]);
        world.config.mode = OverflowMode::BlobRefs { default_inline_max: 8 };
        let platform = world.start();
        for (tenant, expected) in
            [("acme", "[truncated: 12 bytes exceeds 8 limit]"), ("other", "0123456789")]
        {
            let created = create("a", json!({"free": "0123456789"}));
            let created = Request { tenant: tenant.to_owned(), ..created };
            let shown = platform.handle(created).await.body["fields"]["free"].take();
            assert_eq!(shown, expected, "{tenant}");
        }
        let defaults = Config::default().mode;
        assert_eq!(defaults, OverflowMode::BlobRefs { default_inline_max: 131_072 });
    });
}

/// Goal: nobody asks a tenant into being. Method: reads and refused writes of one that nobody knows.
#[test]
fn asking_makes_no_tenant() {
    run(async {
        let world = World::new();
        let platform = world.start();
        for request in
            [get("a"), history("a"), patch("a", json!({})), delete("a"), act("a", "Turn", "")]
        {
            assert_eq!(word(&platform.handle(request).await), "EntityNotFound");
        }
        assert_eq!(platform.sweep("acme", 1).await, Ok(0));
        assert_eq!(platform.metrics().replays.get(), 0);
    });
}
