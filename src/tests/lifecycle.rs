//! Creation, actions, PATCH, DELETE, history and lists, as clients see them.

use std::future::ready;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::world::{HeldAt, PROTOCOLS, World, act, create, delete, get, history, patch, run, word};
use crate::seams::{BoxFuture, Point, Points};
use crate::{Op, OverflowMode, Platform, Request};

async fn words(platform: &Platform, requests: Vec<Request>) -> Vec<String> {
    let mut words = Vec::new();
    for request in requests {
        words.push(word(&platform.handle(request).await));
    }
    words
}

#[test]
fn a_large_value_reads_back_over_a_restart_under_each_protocol() {
    for protocol in PROTOCOLS {
        run(async {
            let mut world = World::new();
            world.config.protocol = protocol;
            let platform = world.start();
            let created = platform.handle(create("s1", json!({}))).await;
            assert_eq!((created.status, created.sequence_nr), (201, Some(1)));
            let initial = &created.body["fields"];
            assert_eq!(initial["system_prompt"], "be brief");
            assert_eq!((&initial["phase"], &initial["turn_count"]), (&json!("Draft"), &json!(0)));
            let large = "x".repeat(200_000);
            let params =
                json!({"user_message": large, "system_prompt": "p".repeat(63), "extra": 1.0});
            let configured = platform.handle(act("s1", "Configure", params)).await;
            assert_eq!(configured.status, 200, "{:?}", configured.code);
            drop(platform);
            let read = world.start().handle(get("s1")).await;
            assert_eq!(read.body, configured.body);
            assert_eq!(read.body["fields"]["user_message"], large);
            assert_eq!(read.body["fields"]["extra"], json!(1.0));
            assert_eq!(read.body["@odata.id"], "Sessions('s1')");
            // The message, the prompt of 65 bytes, and the scratch field whose ceiling is 0.
            let blobs = world.sql("acme", "SELECT blob_key FROM blobs").await;
            assert_eq!(blobs.len(), 3);
        });
    }
}

#[test]
fn checks_decide_in_their_order() {
    run(async {
        let world = World::new();
        let platform = world.start();
        let expected = [
            ("201", create("a", json!({}))),
            ("EntityExists", create("a", json!({}))),
            ("WrongState", act("a", "Turn", "{}")),
            ("200", act("a", "Configure", "{}").with_key("k")),
            ("200", act("a", "Configure", "").with_key("k").with_if_match("\"9\"")),
            ("KeyReused", act("a", "Turn", "").with_key("k")),
            ("PreconditionFailed", act("a", "Nothing", "").with_if_match("\"9\"")),
            ("UnknownAction", act("a", "Nothing", "").with_if_match("\"2\"")),
            ("UnknownAction", act("a", "SessionClosed", "")),
            ("GuardFalse", act("a", "Close", "")),
            ("InvalidBody", act("a", "Note", "{}")),
            ("EntityNotFound", act("b", "Nothing", "")),
            ("InvalidBody", act("b", "Nothing", "{")),
            ("EntityNotFound", get("b")),
            ("200", patch("a", json!({"free": [1]}))),
            ("ReservedName", patch("a", json!({"turn_count": 5}))),
            ("200", act("a", "Turn", "")),
            ("200", act("a", "Close", "")),
            ("WrongState", act("a", "Note", r#"{"notes":1}"#)),
            ("204", delete("a").with_key("end")),
            ("204", delete("a").with_key("end")),
            ("204", act("a", "Configure", "").with_key("k")),
            ("KeyReused", delete("a").with_key("k")),
            ("EntityNotFound", delete("a")),
            ("EntityNotFound", get("a")),
            ("EntityExists", create("a", json!({}))),
            ("200", history("a")),
        ];
        for (index, (expected, request)) in expected.into_iter().enumerate() {
            assert_eq!(
                word(&platform.handle(request.clone()).await),
                expected,
                "{index}: {request:?}"
            );
        }
        let other = Request { tenant: "other".to_owned(), ..get("a") };
        assert_eq!(word(&platform.handle(other).await), "EntityNotFound");
        assert!(platform.table("Session").is_some());
    });
}

#[test]
fn effects_reach_fields_and_lists_are_whole_for_guards() {
    run(async {
        let world = World::new();
        let platform = world.start();
        let long = "urgent and much longer than the ceiling of this list";
        let requests = vec![
            create("a", json!({})),
            act("a", "Note", json!({"notes": long})),
            act("a", "Urge", ""),
            act("a", "Note", json!({"notes": "urgent"})),
            act("a", "Urge", ""),
            act("a", "Unnote", json!({"notes_index": 2})),
            act("a", "Unnote", json!({"notes_index": 0})),
            act("a", "Label", json!({"labels": "new"})),
            act("a", "Label", json!({"labels": "old"})),
        ];
        let answered = words(&platform, requests).await;
        let expected =
            ["201", "200", "GuardFalse", "200", "200", "InvalidBody", "200", "200", "200"];
        assert_eq!(answered, expected);
        let fields = platform.handle(get("a")).await.body["fields"].take();
        assert_eq!(fields["notes"], json!(["urgent"]));
        assert_eq!(fields["labels"], json!(["new", "old"]));
        let shown = platform.handle(history("a")).await.body;
        assert_eq!(shown["@odata.count"], 7);
        assert_eq!(shown["value"][1]["params"], json!({"notes": long}));
        assert_eq!(shown["value"][1]["timestamp"], "2024-01-01 00:00:00.000");
    });
}

#[test]
fn triggers_schedules_and_spawns_become_outbox_rows_with_their_event() {
    run(async {
        let world = World::new();
        // What is owed is held back, or it would act upon the entity meanwhile.
        let platform = world.start_with(Arc::new(HeldAt("outbox.take")));
        let job = |action: Option<(&str, Value)>| {
            let set = "Jobs".to_owned();
            Request::new(
                "acme",
                match action {
                    None => Op::Create { set, body: json!({"Id": "j"}).into() },
                    Some((action, params)) => Op::Act {
                        set,
                        id: "j".to_owned(),
                        action: action.to_owned(),
                        params: params.into(),
                    },
                },
            )
        };
        let long = "longer than the thirty-two bytes of its ceiling";
        let requests = vec![
            job(None),
            job(Some(("Start", json!({"input": long})))),
            job(Some(("Delegate", json!({})))),
            job(Some(("WaitUntil", json!({"wake_at": "soon"})))),
            job(Some(("DelegateTo", json!({"child": "c"})))),
            job(Some(("Wait", json!({})))),
        ];
        let answered = words(&platform, requests).await;
        assert_eq!(answered, ["201", "200", "200", "GuardFalse", "200", "200"]);
        let rows = world.sql("acme", "SELECT sequence_nr || ' ' || payload FROM outbox").await;
        let spawn = |id: &str, rest: &str| {
            format!(r#"{{"entity_id":"{id}","entity_type":"Job","fields":{{"input":"{long}"{rest}"#)
        };
        assert_eq!(
            rows,
            [
                r#"2 {"integration":"work","kind":"trigger"}"#.to_owned(),
                "3 ".to_owned() + &spawn("id-0", r#"},"initial_action":"Start","kind":"spawn"}"#),
                "4 ".to_owned() + &spawn("c", r#","wake_at":""},"kind":"spawn"}"#),
                r#"5 {"action":"Start","due_at":"2024-01-01 00:00:30.000","kind":"schedule"}"#
                    .to_owned(),
            ]
        );
        let set = "Jobs".to_owned();
        let shown = platform.handle(Request::new("acme", Op::Get { set, id: "j".into() })).await;
        assert_eq!(shown.body["fields"]["child"], "c");
        let set = "Jobs".to_owned();
        platform.handle(Request::new("acme", Op::Delete { set, id: "j".into() })).await;
        let states = "SELECT DISTINCT state || ', ' || reason FROM outbox";
        assert_eq!(world.sql("acme", states).await, ["closed, entity deleted"]);
    });
}

#[test]
fn lists_show_living_entities_in_order_of_id() {
    run(async {
        let world = World::new();
        let platform = world.start();
        for id in ["b", "c", "a", "d'e"] {
            platform.handle(create(id, json!({}))).await;
        }
        platform.handle(delete("c")).await;
        let list = |skip, top| {
            let op = Op::List { set: "Sessions".to_owned(), top, skip, select: None, filter: None };
            Request::new("acme", op)
        };
        let ids = async |request| {
            let body = platform.handle(request).await.body;
            let items = body["value"].as_array().unwrap().clone();
            items.iter().map(|item| item["@odata.id"].to_string()).collect::<Vec<_>>().join(" ")
        };
        let all = r#""Sessions('a')" "Sessions('b')" "Sessions('d''e')""#;
        assert_eq!(ids(list(0, None)).await, all);
        assert_eq!(ids(list(1, Some(1))).await, r#""Sessions('b')""#);
        assert_eq!(word(&platform.handle(list(0, Some(1001))).await), "NotSupported");
    });
}

#[test]
fn a_creation_takes_its_id_from_its_key_and_repeats() {
    run(async {
        let world = World::new();
        let platform = world.start();
        let keyed = |body: &str| {
            let (set, body) = ("Sessions".to_owned(), body.into());
            Request::new("acme", Op::Create { set, body }).with_key("once")
        };
        let created = platform.handle(keyed(r#"{"extra":1}"#)).await;
        assert_eq!((created.status, &created.body["entity_id"]), (201, &json!("once")));
        assert_eq!(platform.handle(keyed(r#"{"extra":1}"#)).await.status, 200);
        assert_eq!(word(&platform.handle(keyed(r#"{"extra":2}"#)).await), "KeyReused");
        drop(platform);
        assert_eq!(world.start().handle(keyed(r#"{"extra":1}"#)).await.status, 200);
        assert_eq!(world.sql("acme", "SELECT count(*) FROM events").await, ["1"]);
    });
}

#[test]
fn truncation_leaves_a_placeholder_and_history_the_value() {
    run(async {
        let mut world = World::new();
        let mode = OverflowMode::InlineTruncate { default_inline_max: 8 };
        world.config.modes.insert("acme".to_owned(), mode);
        let platform = world.start();
        let created = platform.handle(create("a", json!({"extra": "1234567"}))).await;
        assert_eq!(created.body["fields"]["extra"], "[truncated: 9 bytes exceeds 8 limit]");
        let shown = platform.handle(history("a")).await.body;
        assert_eq!(shown["value"][0]["params"]["extra"], "1234567");
        assert_eq!(world.sql("acme", "SELECT count(*) FROM blobs").await, ["0"]);
    });
}

/// Deletes an entity at the moment when a list, having read its id, asks for it.
#[derive(Default)]
struct DeletesWhatIsListed(OnceLock<Arc<Platform>>, AtomicU32);

impl Points for DeletesWhatIsListed {
    fn reach<'a>(&'a self, point: Point<'a>) -> BoxFuture<'a, ()> {
        let is_asked = (point.label, point.origin) == ("mailbox.send", "list");
        let platform = self.0.get().filter(|_| is_asked).cloned();
        let id = match point.entity {
            "Session('a')" => "a",
            "Session('b')" => "b",
            _ => return Box::pin(ready(())),
        };
        Box::pin(async move {
            if let Some(platform) = platform {
                self.1.fetch_add(1, Ordering::Relaxed);
                assert_eq!(word(&platform.handle(delete(id)).await), "204");
            }
        })
    }
}

#[test]
fn a_page_is_full_also_where_entities_are_deleted_while_it_is_made() {
    run(async {
        let world = World::new();
        let points = Arc::new(DeletesWhatIsListed::default());
        let platform = Arc::new(world.start_with(Arc::clone(&points) as Arc<dyn Points>));
        for id in ["a", "b", "c", "d", "e"] {
            platform.handle(create(id, json!({}))).await;
        }
        assert!(points.0.set(Arc::clone(&platform)).is_ok());
        let op = Op::List {
            set: "Sessions".to_owned(),
            top: Some(2),
            skip: 0,
            select: None,
            filter: None,
        };
        let page = platform.handle(Request::new("acme", op).with_origin("list")).await.body;
        assert_eq!(points.1.load(Ordering::Relaxed), 2, "both entities of the page were deleted");
        let ids = page["value"].as_array().unwrap().iter().map(|item| &item["entity_id"]);
        assert_eq!(ids.collect::<Vec<_>>(), ["c", "d"]);
    });
}
