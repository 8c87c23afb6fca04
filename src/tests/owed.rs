//! What an event is owed when the world has moved on: rows that many wait for, specs without the
//! integration, parents that are gone, values that expired meanwhile.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::guests::{
    act, called_back, create, ends, events, failed, interrupted, modules, ok, settled, world,
};
use super::world::{START_MS, delete, run, word};
use super::written::MIRROR;
use crate::seams::{BoxFuture, Clock, Point, Points};
use crate::{Op, SpecText, Specs};

/// Goal: no row is forgotten for want of a place. Method: three times as many as are acted upon at once, all
/// found open by one start.
#[test]
fn a_start_acts_upon_every_row_that_it_finds() {
    run(async {
        let world = world(modules(None));
        let ids = || (0..48).map(|number| format!("a{number:02}"));
        let owed = |id: String| [create(&id, json!({})), act(&id, "Echo", json!({}))];
        interrupted(&world, "outbox.take", ids().flat_map(owed).collect()).await;
        assert_eq!(ends(&world).await, vec!["open"; 48]);
        let _platform = world.start();
        settled(&world).await;
        assert_eq!(ends(&world).await, vec!["done"; 48]);
    });
}

#[test]
fn a_row_whose_integration_is_in_no_spec_any_more_is_closed() {
    run(async {
        let mut world = world(modules(None));
        let requests = vec![create("a", json!({})), act("a", "Provision", json!({}))];
        interrupted(&world, "outbox.take", requests).await;
        let text = include_str!("guests.ioa.toml").replace(
            "name = \"provisioner\"\ntrigger = \"provision\"",
            "name = \"another\"\ntrigger = \"nothing\"",
        );
        let specs = [SpecText { file: "guests".to_owned(), text }];
        world.config.specs = Specs::read(&specs, false).unwrap();
        let platform = world.start();
        settled(&world).await;
        assert_eq!(ends(&world).await, ["closed no callback"]);
        assert_eq!(events(&platform, "a").await.len(), 2);
    });
}

/// Goal: expiry is judged when the guest's state is made ready, not at the event. Method: a run that is owed
/// before a deadline and begun at it, and one a millisecond sooner.
#[test]
fn a_guest_reads_by_the_clock_of_its_run() {
    run(async {
        for (late_ms, expected) in [
            (59_999, ("Succeeded".to_owned(), json!({"echo": "secret"}))),
            (60_000, failed("echo_token", "failed", "token: expired")),
        ] {
            let world = world(modules(None));
            let requests =
                vec![create("a", json!({"token": "secret"})), act("a", "EchoToken", json!({}))];
            interrupted(&world, "outbox.take", requests).await;
            world.clock.set(START_MS + late_ms);
            let platform = world.start();
            settled(&world).await;
            let last = events(&platform, "a").await.pop().unwrap();
            let called = (last["action"].as_str().unwrap().to_owned(), last["params"].clone());
            assert_eq!(called, expected, "{late_ms} ms after the event");
        }
    });
}

/// Goal: params are shown as history shows them. Method: a guest that calls back with its context, run when
/// the value that its own event wrote has expired.
#[test]
fn the_context_hides_what_has_expired() {
    run(async {
        let world = world(modules(Some(MIRROR)));
        let requests = vec![create("a", json!({})), act("a", "Try", json!({"token": "secret"}))];
        interrupted(&world, "outbox.take", requests).await;
        world.clock.set(START_MS + 60_000);
        let platform = world.start();
        settled(&world).await;
        let context = events(&platform, "a").await[2]["params"].take();
        assert_eq!(context["trigger_params"], json!({"token": null}));
        assert_eq!(context["entity_state"]["fields"]["token"], Value::Null);
        assert_eq!(context["entity_state"]["@temper.expired"], json!(["token"]));
    });
}

/// Goal: params are measured as fields are. Method: a param that is no field, around the size from which on it
/// is an envelope, which no callback may bring.
#[test]
fn the_context_shows_large_params_as_envelopes() {
    run(async {
        let world = world(modules(Some(MIRROR)));
        let platform = world.start();
        for (id, size, is_shown) in [("a", 131_070, true), ("b", 131_071, false)] {
            ok(&platform.handle(create(id, json!({}))).await);
            let text = "m".repeat(size);
            let called =
                called_back(&world, &platform, act(id, "Try", json!({"rings": text}))).await;
            if is_shown {
                assert_eq!(called.1["trigger_params"]["rings"], text);
            } else {
                assert_eq!(called, failed("written", "rejected", "400 ReservedName"));
            }
        }
    });
}

#[test]
fn the_context_names_the_action_and_not_what_it_triggers() {
    run(async {
        let world = world(modules(Some(MIRROR)));
        let platform = world.start();
        ok(&platform.handle(create("a", json!({}))).await);
        let (_, context) = called_back(&world, &platform, act("a", "TryAgain", json!({}))).await;
        assert_eq!(context["trigger_action"], "TryAgain");
        assert_eq!(context["integration_config"], json!({"prompt": "again"}));
    });
}

/// Points of which one is passed when its gate is opened: a label and an origin.
struct Gate((&'static str, &'static str), Semaphore);

impl Points for Gate {
    fn reach<'a>(&'a self, point: Point<'a>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if (point.label, point.origin) == self.0 {
                self.1.acquire().await.unwrap().forget();
            }
        })
    }

    /// What is held is not made along with what goes on.
    fn reach_together<'a>(&'a self, point: Point<'a>) -> (bool, BoxFuture<'a, ()>) {
        (false, self.reach(point))
    }
}

#[test]
fn an_action_stands_whoever_waits_for_it() {
    run(async {
        let world = world(modules(None));
        let gate = Arc::new(Gate(("actor.take", "impatient"), Semaphore::new(0)));
        let platform = world.start_with(Arc::clone(&gate) as Arc<dyn Points>);
        ok(&platform.handle(create("a", json!({}))).await);
        let asked = platform.handle(act("a", "Ring", json!({})).with_origin("impatient"));
        tokio::select! {
            biased;
            _ = asked => panic!("nobody let it go on"),
            () = world.clock.sleep(100) => {}
        }
        gate.1.add_permits(1);
        world.clock.sleep(100).await;
        assert_eq!(events(&platform, "a").await.len(), 2);
    });
}

/// Goal: of two children of one event each has its own key, and a first action that is refused closes its row.
#[test]
fn two_children_of_one_event_are_two() {
    run(async {
        let world = world(modules(None));
        let platform = world.start();
        ok(&platform.handle(create("a", json!({}))).await);
        ok(&platform.handle(act("a", "Twins", json!({}))).await);
        settled(&world).await;
        assert_eq!(ends(&world).await, ["done", "closed 404 UnknownAction"]);
        let keys = "SELECT json_extract(payload, '$.idempotency_key') FROM events
            WHERE entity_id <> 'a' ORDER BY 1";
        let expected =
            ["temper:Guest('a'):2:0", "temper:Guest('a'):2:0:initial", "temper:Guest('a'):2:1"];
        assert_eq!(world.sql("acme", keys).await, expected);
    });
}

/// Goal: a parent that is gone has no children any more. Method: it is deleted while the creation of its child
/// stands before the journal, with and without an action that was to follow.
#[test]
fn a_parent_that_is_deleted_before_its_child_is_there_has_none() {
    run(async {
        for (action, params) in [("Delegate", json!({})), ("DelegateTo", json!({"child": "c"}))] {
            let world = world(modules(None));
            let gate = Arc::new(Gate(("store.append", "outbox"), Semaphore::new(0)));
            let platform = world.start_with(Arc::clone(&gate) as Arc<dyn Points>);
            ok(&platform.handle(create("a", json!({}))).await);
            ok(&platform.handle(act("a", action, params)).await);
            world.clock.sleep(100).await;
            let mut deletion = delete("a");
            deletion.op = Op::Delete { set: "Guests".to_owned(), id: "a".to_owned() };
            assert_eq!(word(&platform.handle(deletion).await), "204");
            gate.1.add_permits(100);
            world.clock.sleep(60_000).await;
            assert_eq!(ends(&world).await, ["closed entity deleted"], "{action}");
            let children = "SELECT count(*) FROM events WHERE entity_id <> 'a'";
            assert_eq!(world.sql("acme", children).await, ["0"], "{action}");
        }
    });
}
