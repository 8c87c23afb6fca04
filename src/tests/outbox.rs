//! What is owed is done once: over restarts, rejections, deletions, clock steps.

use std::sync::Arc;

use serde_json::{Value, json};

use super::guests::{act, create, ends, events, fields, interrupted, modules, ok, settled, world};
use super::world::{HeldAt, START_MS, run};
use crate::seams::Clock;
use crate::{Op, Platform, Request};

fn delete(id: &str) -> Request {
    Request::new("acme", Op::Delete { set: "Guests".to_owned(), id: id.to_owned() })
}

fn patch(id: &str, body: Value) -> Request {
    let (set, id) = ("Guests".to_owned(), id.to_owned());
    Request::new("acme", Op::Patch { set, id, body: body.into() })
}

async fn actions(platform: &Platform, id: &str) -> Vec<String> {
    let action = |event: Value| event["action"].as_str().unwrap().to_owned();
    events(platform, id).await.into_iter().map(action).collect()
}

#[test]
fn what_a_killed_server_owed_is_done_by_the_next_one_once() {
    run(async {
        for label in ["outbox.take", "guest.start", "guest.call", "guest.end", "store.settle"] {
            let world = world(modules(None));
            let requests =
                vec![create("a", json!({"user_message": "m"})), act("a", "Echo", json!({}))];
            interrupted(&world, label, requests).await;
            for _ in 0..2 {
                let platform = world.start();
                settled(&world).await;
                let done = ["Created", "Echo", "Succeeded"];
                assert_eq!(actions(&platform, "a").await, done, "{label}");
                assert_eq!(ends(&world).await, ["done"], "{label}");
            }
        }
    });
}

/// Goal: a repeated run sees what the first one saw. Method: the field changes, and its old body's row
/// goes, before the next server runs the guest.
#[test]
fn a_repeated_run_sees_the_state_right_after_its_event() {
    run(async {
        let world = world(modules(None));
        let old = "old".repeat(1000);
        let requests = vec![
            create("a", json!({"user_message": old})),
            act("a", "Echo", json!({})),
            patch("a", json!({"user_message": "new"})),
        ];
        interrupted(&world, "guest.start", requests).await;
        world.sql("acme", "DELETE FROM blobs").await;
        let platform = world.start();
        settled(&world).await;
        let last = events(&platform, "a").await.pop().unwrap();
        assert_eq!(last["params"], json!({"echo": old}));
        assert_eq!(fields(&platform, "a").await["user_message"], "new");
    });
}

#[test]
fn a_callback_that_the_state_refuses_closes_its_row() {
    run(async {
        let world = world(modules(None));
        let requests =
            vec![create("a", json!({})), act("a", "Echo", json!({})), act("a", "Shut", json!({}))];
        interrupted(&world, "guest.start", requests).await;
        let platform = world.start();
        settled(&world).await;
        assert_eq!(ends(&world).await, ["closed 409 WrongState"]);
        assert_eq!(actions(&platform, "a").await, ["Created", "Echo", "Shut"]);
    });
}

/// Goal: a callback in doubt is repeated with its key, and is one event in the end. Method: its event, or
/// what is to be put after it, cannot be written for a while.
#[test]
fn a_callback_in_doubt_is_repeated_and_applied_once() {
    run(async {
        for failing in ["INSERT ON events WHEN NEW.event_type = 'Succeeded'", "INSERT ON blobs"] {
            let world = world(modules(None));
            let platform = world.start();
            ok(&platform.handle(create("a", json!({"token": null}))).await);
            let fails =
                format!("CREATE TRIGGER t BEFORE {failing} BEGIN SELECT RAISE(ABORT, 'no'); END");
            world.sql("acme", &fails).await;
            ok(&platform.handle(act("a", "Torment", json!({"mode": "large"}))).await);
            world.clock.sleep(3_000).await;
            world.sql("acme", "DROP TRIGGER t").await;
            world.clock.sleep(6_000).await;
            assert_eq!(ends(&world).await, ["done"], "{failing}");
            let done = ["Created", "Torment", "Succeeded"];
            assert_eq!(actions(&platform, "a").await, done, "{failing}");
            let payload = fields(&platform, "a").await["payload"].take();
            assert_eq!(payload.as_str().map(str::len), Some(300 << 10), "{failing}");
        }
    });
}

/// Goal: other entities of a thread that runs a guest are served meanwhile. Method: an endless guest
/// with much fuel, and requests that are answered before it ends.
#[test]
fn a_long_run_lets_others_run_between_its_slices() {
    run(async {
        let mut world = world(modules(None));
        world.config.guests.fuel = 200_000_000;
        let platform = world.start();
        ok(&platform.handle(create("a", json!({}))).await);
        ok(&platform.handle(act("a", "Torment", json!({"mode": "loop"}))).await);
        for number in 0..5 {
            ok(&platform.handle(create(&format!("b{number}"), json!({}))).await);
        }
        assert_eq!(ends(&world).await, ["open"]);
        settled(&world).await;
        assert_eq!(ends(&world).await, ["done"]);
    });
}

#[test]
fn a_deletion_closes_what_was_owed_and_nothing_comes_after_it() {
    run(async {
        let world = world(modules(None));
        let requests = vec![
            create("a", json!({})),
            act("a", "Echo", json!({})),
            act("a", "Remind", json!({})),
            delete("a"),
        ];
        interrupted(&world, "guest.end", requests).await;
        assert_eq!(ends(&world).await, ["closed entity deleted"; 2]);
        world.clock.set(START_MS + 31_000);
        let platform = world.start();
        world.clock.sleep(61_000).await;
        assert_eq!(actions(&platform, "a").await, ["Created", "Echo", "Remind", "Deleted"]);
        assert_eq!(ends(&world).await, ["closed entity deleted"; 2]);
    });
}

#[test]
fn a_deletion_while_a_guest_runs_wins() {
    run(async {
        let world = world(modules(None));
        let platform = world.start_with(Arc::new(HeldAt("guest.end")));
        ok(&platform.handle(create("a", json!({}))).await);
        ok(&platform.handle(act("a", "Echo", json!({}))).await);
        world.clock.sleep(100).await;
        ok(&platform.handle(delete("a")).await);
        assert_eq!(ends(&world).await, ["closed entity deleted"]);
        assert_eq!(actions(&platform, "a").await, ["Created", "Echo", "Deleted"]);
    });
}

/// Goal: a scheduled action comes when the wall clock says so, never before, at most a minute late.
/// Method: steps of the clock in both directions, with a restart in between.
#[test]
fn a_schedule_follows_the_wall_clock_over_steps_and_restarts() {
    run(async {
        let world = world(modules(None));
        let rings = async |platform: &Platform| fields(platform, "a").await["rings"].clone();
        let platform = world.start();
        ok(&platform.handle(create("a", json!({}))).await);
        ok(&platform.handle(act("a", "Remind", json!({}))).await);
        world.clock.set(START_MS - 3_600_000);
        world.clock.sleep(120_000).await;
        assert_eq!(rings(&platform).await, 0);
        world.clock.set(START_MS + 29_999);
        world.clock.sleep(61_000).await;
        assert_eq!(rings(&platform).await, 0);
        world.clock.set(START_MS + 30_000);
        world.clock.sleep(61_000).await;
        assert_eq!(rings(&platform).await, 1);
        let alarm = json!({"alarm": "2024-01-01T02:00:00+01:00"});
        ok(&platform.handle(act("a", "RemindAt", alarm)).await);
        ok(&platform.handle(act("a", "RemindAt", json!({"alarm": "2023-01-01T00:00:00Z"}))).await);
        world.clock.sleep(100).await;
        // The time that has passed at once, the other one not yet.
        assert_eq!(rings(&platform).await, 2);
        platform.shutdown().await;
        drop(platform);
        world.clock.set(START_MS + 3_600_000);
        let platform = world.start();
        world.clock.sleep(100).await;
        assert_eq!(rings(&platform).await, 3);
        assert_eq!(ends(&world).await, ["done"; 3]);
        let shown = events(&platform, "a").await.pop().unwrap();
        assert_eq!((&shown["action"], &shown["params"]), (&json!("Ring"), &json!({})));
    });
}

#[test]
fn a_spawn_creates_and_starts_its_child_with_logical_values() {
    run(async {
        let world = world(modules(None));
        let platform = world.start();
        let message = "m".repeat(5000);
        let body = json!({"user_message": message, "token": "t"});
        ok(&platform.handle(create("a", body)).await);
        world.clock.set(START_MS + 60_000);
        ok(&platform.handle(act("a", "Delegate", json!({}))).await);
        settled(&world).await;
        let child = fields(&platform, "a").await["child"].as_str().unwrap().to_owned();
        assert_eq!(actions(&platform, &child).await, ["Created", "Echo", "Succeeded"]);
        let created = events(&platform, &child).await[0]["params"].take();
        // The token was expired, and `notes_copy` is no field of the parent.
        let copied =
            json!({"Id": child, "user_message": message, "token": null, "notes_copy": null});
        assert_eq!(created, copied);
        assert_eq!(fields(&platform, &child).await["echo"], message);
        assert_eq!(ends(&world).await, ["done"; 2]);
        let keys = "SELECT json_extract(payload, '$.idempotency_key') FROM events
            WHERE entity_id <> 'a' AND sequence_nr < 3 ORDER BY sequence_nr";
        let expected = ["temper:Guest('a'):2:0", "temper:Guest('a'):2:0:initial"];
        assert_eq!(world.sql("acme", keys).await, expected);
    });
}

#[test]
fn a_spawn_leaves_a_child_that_is_there_alone() {
    run(async {
        let world = world(modules(None));
        let platform = world.start();
        ok(&platform.handle(create("a", json!({"user_message": "mine"}))).await);
        ok(&platform.handle(create("b", json!({"user_message": "own"}))).await);
        for child in ["b", "c", "c"] {
            ok(&platform.handle(act("a", "DelegateTo", json!({"child": child}))).await);
            settled(&world).await;
        }
        assert_eq!(fields(&platform, "b").await["user_message"], "own");
        assert_eq!(fields(&platform, "c").await["user_message"], "mine");
        assert_eq!(actions(&platform, "c").await, ["Created"]);
        assert_eq!(ends(&world).await, ["closed child exists", "done", "closed child exists"]);
    });
}

#[test]
fn a_child_is_started_by_the_next_server_if_the_first_only_created_it() {
    run(async {
        let world = world(modules(None));
        let requests = vec![create("a", json!({})), act("a", "Delegate", json!({}))];
        let platform = world.start();
        for request in requests {
            ok(&platform.handle(request).await);
        }
        settled(&world).await;
        let child = fields(&platform, "a").await["child"].as_str().unwrap().to_owned();
        drop(platform);
        // As if the first server had ended between the creation and what comes after it.
        world.sql("acme", "DELETE FROM events WHERE entity_id <> 'a' AND sequence_nr > 1").await;
        world.sql("acme", "DELETE FROM outbox WHERE entity_id <> 'a'").await;
        world.sql("acme", "UPDATE outbox SET state = 'open', settled_at = NULL").await;
        let platform = world.start();
        settled(&world).await;
        assert_eq!(actions(&platform, &child).await, ["Created", "Echo", "Succeeded"]);
        assert_eq!(fields(&platform, "a").await["child"], child);
    });
}

#[test]
fn many_rows_of_many_entities_are_all_settled_and_two_worlds_are_alike() {
    let lived = || {
        let mut journal = Vec::new();
        run(async {
            let world = world(modules(None));
            let platform = world.start();
            for number in 0..40 {
                let id = format!("a{number:02}");
                ok(&platform.handle(create(&id, json!({"user_message": id}))).await);
                ok(&platform.handle(act(&id, "Echo", json!({}))).await);
                ok(&platform.handle(act(&id, "Torment", json!({"mode": "none"}))).await);
            }
            settled(&world).await;
            assert_eq!(ends(&world).await, vec!["done"; 80]);
            let all = "SELECT payload FROM events ORDER BY id";
            journal = world.sql("acme", all).await;
            platform.shutdown().await;
        });
        journal
    };
    let first = lived();
    assert_eq!(first.len(), 200);
    assert_eq!(first, lived());
}

#[test]
fn a_stop_lets_a_running_guest_call_back_and_starts_nothing_more() {
    run(async {
        let world = world(modules(None));
        let platform = world.start();
        ok(&platform.handle(create("a", json!({}))).await);
        ok(&platform.handle(act("a", "Echo", json!({}))).await);
        platform.shutdown().await;
        let left = ends(&world).await;
        world.clock.sleep(10_000).await;
        assert_eq!(ends(&world).await, left);
        drop(platform);
        let platform = world.start();
        settled(&world).await;
        assert_eq!(actions(&platform, "a").await, ["Created", "Echo", "Succeeded"]);
    });
}
