//! Restarts over files that somebody or something has damaged, and a second server.

use serde_json::{Value, json};

use super::world::{World, act, create, get, history, run, word};
use crate::{Op, Request};

fn prompt(text: &str) -> Value {
    json!({"system_prompt": format!("{text:-<100}")})
}

#[test]
fn a_restart_puts_back_blobs_that_are_missing_or_damaged() {
    run(async {
        let world = World::new();
        let platform = world.start();
        platform.handle(create("a", prompt("kept"))).await;
        let whole = platform.handle(get("a")).await.body;
        drop(platform);
        for damage in [
            "DELETE FROM blobs",
            "UPDATE blobs SET data = 'x'",
            "UPDATE blobs SET size_bytes = 1",
            "UPDATE blobs SET expires_at = '2024-01-01 00:00:01.000'",
        ] {
            world.sql("acme", damage).await;
            let platform = world.start();
            assert_eq!(platform.handle(get("a")).await.body, whole, "{damage}");
            let row = "SELECT count(*) FROM blobs WHERE expires_at IS NULL AND size_bytes = 102";
            assert_eq!(world.sql("acme", row).await, ["1"], "{damage}");
        }
    });
}

#[test]
fn a_read_puts_back_a_blob_that_went_missing_meanwhile() {
    run(async {
        let world = World::new();
        let platform = world.start();
        platform.handle(create("a", prompt("kept"))).await;
        let whole = platform.handle(get("a")).await.body;
        world.sql("acme", "DELETE FROM blobs").await;
        assert_eq!(platform.handle(get("a")).await.body, whole);
        world.sql("acme", "UPDATE blobs SET data = 'null'").await;
        assert_eq!(platform.handle(get("a")).await.body, whole);
    });
}

#[test]
fn a_snapshot_hides_no_loss_and_a_damaged_one_is_replaced() {
    run(async {
        let mut world = World::new();
        world.config.snapshot_every = 3;
        let platform = world.start();
        platform.handle(create("a", prompt("before the snapshot"))).await;
        for number in 0..5 {
            let note = json!({"notes": format!("note number {number}")});
            platform.handle(act("a", "Note", note).with_key(format!("k{number}"))).await;
        }
        let whole = platform.handle(get("a")).await.body;
        platform.shutdown().await;
        drop(platform);
        assert_eq!(world.sql("acme", "SELECT sequence_nr FROM snapshots").await, ["6"]);
        for damage in [
            "DELETE FROM blobs",
            "UPDATE snapshots SET snapshot = replace(snapshot, 'Draft', 'Droft')",
            "UPDATE snapshots SET sequence_nr = 9",
            "DELETE FROM snapshots",
        ] {
            world.sql("acme", damage).await;
            let platform = world.start();
            assert_eq!(platform.handle(get("a")).await.body, whole, "{damage}");
            let repeated = act("a", "Note", json!({"notes": "note number 1"})).with_key("k1");
            assert_eq!(platform.handle(repeated).await.body, whole, "{damage}");
            platform.shutdown().await;
            let stored = world.sql("acme", "SELECT sequence_nr FROM snapshots").await;
            assert_eq!(stored, ["6"], "{damage}");
        }
    });
}

#[test]
fn a_damaged_journal_is_named_and_never_read_as_something_else() {
    run(async {
        let world = World::new();
        let platform = world.start();
        platform.handle(create("a", json!({}))).await;
        platform.handle(act("a", "Configure", prompt("p"))).await;
        drop(platform);
        for damage in [
            "UPDATE events SET payload = replace(payload, 'Draft', 'Droft') WHERE sequence_nr = 2",
            "UPDATE events SET metadata = 'x' WHERE sequence_nr = 1",
            "UPDATE events SET sequence_nr = 3 WHERE sequence_nr = 2",
            "UPDATE events SET payload = CAST(x'ff00' AS TEXT) WHERE sequence_nr = 3",
        ] {
            world.sql("acme", damage).await;
            let platform = world.start();
            for request in [get("a"), history("a"), act("a", "Turn", "")] {
                let answer = platform.handle(request).await;
                assert_eq!(word(&answer), "EventUndecodable", "{damage}");
            }
        }
        assert_eq!(world.sql("acme", "SELECT count(*) FROM events").await, ["2"]);
    });
}

/// An event that is gone while its actor lives: what the actor remembers is right, a history without it
/// would not be.
#[test]
fn a_history_names_the_event_that_it_lacks() {
    run(async {
        let world = World::new();
        let platform = world.start();
        platform.handle(create("a", json!({}))).await;
        for text in ["p", "q"] {
            platform.handle(act("a", "Configure", prompt(text))).await;
        }
        world.sql("acme", "DELETE FROM events WHERE sequence_nr = 2").await;
        let answer = platform.handle(history("a")).await;
        assert_eq!(word(&answer), "EventUndecodable");
        let message = answer.body["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("event 2 of entity "), "{message}");
    });
}

#[test]
fn a_lost_body_that_the_journal_cannot_give_names_its_field() {
    run(async {
        let mut world = World::new();
        world.config.snapshot_every = 2;
        let platform = world.start();
        platform.handle(create("a", prompt("lost"))).await;
        platform.handle(act("a", "Note", json!({"notes": 1}))).await;
        platform.shutdown().await;
        drop(platform);
        world.sql("acme", "UPDATE events SET payload = '{}' WHERE sequence_nr = 1").await;
        world.sql("acme", "DELETE FROM blobs WHERE size_bytes = 102").await;
        let platform = world.start();
        let answer = platform.handle(get("a")).await;
        assert_eq!(word(&answer), "BlobLost");
        let message = answer.body["error"]["message"].as_str().unwrap();
        assert_eq!(message, "blob of field `system_prompt` of entity `Session('a')` is lost");
        // Writing the field again heals the entity.
        let configured = platform.handle(act("a", "Configure", prompt("found"))).await;
        assert_eq!(word(&configured), "200");
    });
}

#[test]
fn an_actor_behind_its_journal_replays_and_appends_once_more() {
    run(async {
        let world = World::new();
        let platform = world.start();
        platform.handle(create("a", json!({}))).await;
        platform.handle(act("a", "Note", json!({"notes": 1}))).await;
        let payload =
            &world.sql("acme", "SELECT payload FROM events WHERE sequence_nr = 2").await[0];
        let payload = payload.replace("\"sequence_nr\":2", "\"sequence_nr\":3");
        let sha256 = crate::canonical::sha256_hex(payload.as_bytes());
        let copy = format!(
            "INSERT INTO events SELECT NULL, tenant, entity_type, entity_id, 3, event_type,
                '{payload}', '{{\"sha256\":\"{sha256}\"}}', created_at
            FROM events WHERE sequence_nr = 2"
        );
        world.sql("acme", &copy).await;
        let answer = platform.handle(act("a", "Note", json!({"notes": 2}))).await;
        assert_eq!((answer.status, answer.sequence_nr), (200, Some(4)));
        assert_eq!(answer.body["fields"]["notes"], json!([1, 1, 2]));
    });
}

#[test]
fn a_newer_server_ends_the_older_ones_service() {
    run(async {
        let world = World::new();
        let older = world.start();
        older.handle(create("a", json!({}))).await;
        let newer = world.start();
        assert_eq!(word(&newer.handle(get("a")).await), "200");
        assert_eq!(word(&older.handle(act("a", "Configure", "")).await), "Unavailable");
        assert_eq!(word(&older.handle(get("a")).await), "Unavailable");
        assert_eq!(word(&newer.handle(act("a", "Configure", "")).await), "200");
        assert_eq!(world.sql("acme", "SELECT count(*) FROM events").await, ["2"]);
    });
}

/// What an actor remembers would be an answer without any transaction.
#[test]
fn an_older_server_answers_no_read_from_memory() {
    run(async {
        let world = World::new();
        let older = world.start();
        older.handle(create("a", json!({}))).await;
        assert_eq!(word(&older.handle(get("a")).await), "200");
        let newer = world.start();
        assert_eq!(word(&newer.handle(act("a", "Configure", "")).await), "200");
        assert_eq!(word(&older.handle(get("a")).await), "Unavailable");
    });
}

#[test]
fn a_file_of_other_tenants_is_refused_with_their_names() {
    run(async {
        let world = World::new();
        drop(world.start().handle(create("a", json!({}))).await);
        world.sql("acme", "UPDATE events SET tenant = 'other'").await;
        let answer = world.start().handle(get("a")).await;
        assert_eq!(word(&answer), "Unavailable");
        assert!(answer.body.to_string().contains("other tenants: other"), "{answer:?}");
    });
}

#[test]
fn a_database_of_the_older_schema_is_folded_under_todays_spec() {
    run(async {
        let world = World::new();
        for sql in [
            "CREATE TABLE events (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL,
                entity_type TEXT NOT NULL, entity_id TEXT NOT NULL, sequence_nr INTEGER NOT NULL,
                event_type TEXT NOT NULL, payload TEXT NOT NULL, metadata TEXT,
                created_at TEXT NOT NULL, UNIQUE (tenant, entity_type, entity_id, sequence_nr))",
            "CREATE TABLE blobs (blob_key TEXT PRIMARY KEY, data BLOB NOT NULL,
                size_bytes INTEGER NOT NULL, created_at TEXT NOT NULL)",
            "INSERT INTO events VALUES (1, 'acme', 'Session', 'a', 1, 'Created',
                '{\"action\":\"Created\",\"from_status\":\"\",\"to_status\":\"Draft\",
                \"timestamp\":\"2024-01-01T00:00:00Z\",\"params\":{\"scratch\":\"s\"}}', '{}', '')",
            "INSERT INTO events VALUES (2, 'acme', 'Session', 'a', 2, 'Turn',
                '{\"action\":\"Turn\",\"from_status\":\"Draft\",\"to_status\":\"Active\",
                \"timestamp\":\"2024-01-01T00:00:00Z\",\"params\":{\"gone\":7}}', NULL, '')",
        ] {
            world.sql("acme", sql).await;
        }
        let platform = world.start();
        let body = platform.handle(get("a")).await.body;
        assert_eq!((&body["status"], &body["sequence_nr"]), (&json!("Active"), &json!(2)));
        assert_eq!(body["fields"]["turn_count"], 1);
        assert_eq!((&body["fields"]["gone"], &body["fields"]["scratch"]), (&json!(7), &json!("s")));
        let deadlines = world.sql("acme", "SELECT expires_at FROM blobs").await;
        assert_eq!(deadlines, ["2024-01-01 00:01:00.000"]);
        assert_eq!(word(&platform.handle(act("a", "Configure", "")).await), "200");
        let shown = platform.handle(history("a")).await.body;
        assert_eq!(shown["value"].as_array().unwrap().len(), 3);
    });
}

/// Goal: a file says which steps it has had; whatever it says, it opens with all of them. Method: a file
/// with every table and no version, as earlier builds left it, then one that is up to date.
#[test]
fn a_file_without_a_version_takes_every_step_and_one_with_it_none() {
    run(async {
        let world = World::new();
        let version = || world.sql("acme", "PRAGMA user_version");
        assert_eq!(word(&world.start().handle(create("a", json!({}))).await), "201");
        assert_eq!(version().await, ["1"]);
        world.sql("acme", "PRAGMA user_version = 0").await;
        world.sql("acme", "DROP INDEX blobs_expires_at").await;
        assert_eq!(word(&world.start().handle(get("a")).await), "200");
        assert_eq!(version().await, ["1"]);
        let index = "SELECT name FROM sqlite_schema WHERE name = 'blobs_expires_at'";
        assert_eq!(world.sql("acme", index).await, ["blobs_expires_at"]);
        world.sql("acme", "DROP INDEX blobs_expires_at").await;
        assert_eq!(word(&world.start().handle(get("a")).await), "200");
        assert_eq!(world.sql("acme", index).await, [""; 0]);
    });
}

#[test]
fn a_tenant_is_made_by_its_first_creation_only() {
    run(async {
        let world = World::new();
        let platform = world.start();
        let elsewhere = |op| Request::new("new-tenant", op);
        let set = || "Sessions".to_owned();
        let read = elsewhere(Op::Get { set: set(), id: "a".into() });
        assert_eq!(word(&platform.handle(read).await), "EntityNotFound");
        let list =
            elsewhere(Op::List { set: set(), top: None, skip: 0, select: None, filter: None });
        assert_eq!(platform.handle(list).await.body["value"], json!([]));
        assert_eq!(platform.sweep("new-tenant", 1).await, Ok(0));
        let made = elsewhere(Op::Create { set: set(), body: "{}".into() });
        assert_eq!(platform.handle(made).await.body["entity_id"], "id-0");
    });
}

#[test]
fn values_of_the_deepest_nesting_survive_restarts_and_snapshots() {
    run(async {
        let mut world = World::new();
        world.config.snapshot_every = 1;
        let nested = "[".repeat(99) + &"]".repeat(99);
        let platform = world.start();
        let body = format!(r#"{{"Id":"a","extra":{nested},"system_prompt":{nested}}}"#);
        let op = Op::Create { set: "Sessions".to_owned(), body: body.as_str().into() };
        let created = platform.handle(Request::new("acme", op)).await;
        assert_eq!(word(&created), "201");
        platform.shutdown().await;
        let read = world.start().handle(get("a")).await;
        assert_eq!(read.body["fields"], created.body["fields"]);
        assert_eq!(world.sql("acme", "SELECT sequence_nr FROM snapshots").await, ["1"]);
    });
}
