//! Writes that share a transaction.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use serde_json::json;
use tokio::sync::Semaphore;

use super::world::{World, act, create, run, word};
use crate::seams::{BoxFuture, Clock, Point, Points};
use crate::{Answer, Platform};

/// Holds the appends of `a` and `b` until the test lets them go on.
struct Held {
    arrived: Semaphore,
    open: Semaphore,
}

impl Held {
    fn new() -> Arc<Self> {
        Arc::new(Self { arrived: Semaphore::new(0), open: Semaphore::new(2) })
    }
}

impl Points for Held {
    fn reach<'a>(&'a self, point: Point<'a>) -> BoxFuture<'a, ()> {
        let is_held = ["Session('a')", "Session('b')"].contains(&point.entity);
        Box::pin(async move {
            if is_held && point.label == "store.append" {
                self.arrived.add_permits(1);
                self.open.acquire().await.unwrap().forget();
            }
        })
    }
}

/// Has `a` and `b` wait with their second event, then `c` make its own, and runs `between` before the
/// first two go on.
async fn three(platform: &Platform, held: &Held, between: impl AsyncFnOnce()) -> [Answer; 3] {
    let write = |id: &'static str| platform.handle(act(id, "Note", json!({"notes": id})));
    let last = async {
        held.arrived.acquire_many(4).await.unwrap().forget();
        let answer = write("c").await;
        between().await;
        held.open.add_permits(3);
        answer
    };
    let (a, b, c) = tokio::join!(write("a"), write("b"), last);
    [a, b, c]
}

async fn entities(platform: &Platform) {
    for id in ["a", "b", "c"] {
        assert_eq!(word(&platform.handle(create(id, json!({}))).await), "201");
    }
}

/// Goal: whoever has the connection makes what waits. Method: two appends are held before they have it,
/// and are in the file after the third, while their own tasks still wait.
#[test]
fn writes_that_wait_are_made_by_the_one_that_goes_on() {
    run(async {
        let world = World::new();
        let held = Held::new();
        let platform = world.start_with(Arc::clone(&held) as Arc<dyn Points>);
        entities(&platform).await;
        let between = async || {
            let rows = "SELECT entity_id FROM events WHERE sequence_nr = 2 ORDER BY entity_id";
            assert_eq!(world.sql("acme", rows).await, ["a", "b", "c"]);
        };
        let answers = three(&platform, &held, between).await;
        assert_eq!(answers.map(|answer| answer.sequence_nr), [Some(2), Some(2), Some(2)]);
        let count = world.sql("acme", "SELECT count(*) FROM events").await;
        assert_eq!(count, ["6"], "each was made once");
    });
}

/// Holds the appends of `e0`, `e1`, ... until the test lets them go on.
struct CrowdHeld(Semaphore);

impl Points for CrowdHeld {
    fn reach<'a>(&'a self, point: Point<'a>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if point.entity.starts_with("Session('e") && point.label == "store.append" {
                self.0.acquire().await.unwrap().forget();
            }
        })
    }
}

/// Goal: nobody is kept waiting for a crowd. Method: more appends wait than a transaction may have; the one that goes
/// on makes as many as that, its own among them.
#[test]
fn a_transaction_has_thirty_two_writes_at_most() {
    run(async {
        let world = World::new();
        let held = Arc::new(CrowdHeld(Semaphore::new(40)));
        let platform = world.start_with(Arc::clone(&held) as Arc<dyn Points>);
        let ids: Vec<String> = (0..40).map(|n| format!("e{n}")).collect();
        for id in ids.iter().map(String::as_str).chain(["c"]) {
            assert_eq!(word(&platform.handle(create(id, json!({}))).await), "201");
        }
        let note = |id: &str| act(id, "Note", json!({"notes": 1}));
        let mut crowd: Vec<_> = ids.iter().map(|id| Box::pin(platform.handle(note(id)))).collect();
        let last = async {
            world.clock.sleep(100).await;
            assert_eq!(word(&platform.handle(note("c")).await), "200");
            let rows = "SELECT count(*) FROM events WHERE sequence_nr = 2";
            assert_eq!(world.sql("acme", rows).await, ["32"]);
            held.0.add_permits(40);
        };
        let all = poll_fn(|cx| {
            crowd.retain_mut(|one| one.as_mut().poll(cx).is_pending());
            if crowd.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::join!(all, last);
        let count = world.sql("acme", "SELECT count(*) FROM events").await;
        assert_eq!(count, ["82"], "each was made once");
    });
}

/// Goal: a write that fails takes no other with it, and what was given up for its sake is made once.
/// Method: a row that `b` does not know of is in its journal, so that its append is refused, while two
/// others share its transaction.
#[test]
fn a_write_that_is_refused_takes_no_other_with_it() {
    run(async {
        let world = World::new();
        let held = Held::new();
        let platform = world.start_with(Arc::clone(&held) as Arc<dyn Points>);
        entities(&platform).await;
        assert_eq!(word(&platform.handle(act("c", "Note", json!({"notes": 1}))).await), "200");
        // The event that `c` has made, as one of `b`.
        let payload =
            &world.sql("acme", "SELECT payload FROM events WHERE sequence_nr = 2").await[0];
        let payload = payload.replace("\"entity_id\":\"c\"", "\"entity_id\":\"b\"");
        let sum = crate::canonical::sha256_hex(payload.as_bytes());
        let insert = format!(
            "INSERT INTO events SELECT NULL, tenant, entity_type, 'b', 2, event_type, '{payload}',
                '{{\"sha256\":\"{sum}\"}}', created_at
            FROM events WHERE sequence_nr = 2"
        );
        world.sql("acme", &insert).await;
        let answers = three(&platform, &held, async || {}).await;
        assert_eq!(answers.map(|answer| answer.sequence_nr), [Some(2), Some(3), Some(3)]);
        let rows = "SELECT entity_id || sequence_nr FROM events ORDER BY entity_id, sequence_nr";
        let rows = world.sql("acme", rows).await;
        assert_eq!(rows, ["a1", "a2", "b1", "b2", "b3", "c1", "c2", "c3"]);
    });
}
