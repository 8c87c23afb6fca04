//! Another program on a tenant's file: what no simulated world has, because a file there has one server.

use std::sync::{Arc, OnceLock};

use serde_json::json;

use super::world::{World, create, get, patch, run, word};
use crate::seams::{BoxFuture, Clock, Point, Points};

/// Goal: a lock that somebody else holds for a while is waited for, one that stays is not (section 3). Method:
/// another connection in a write transaction, which ends 50 ms later or never.
#[test]
fn a_lock_is_waited_for_and_not_for_ever() {
    run(async {
        let world = World::new();
        let platform = world.start();
        platform.handle(create("a", json!({}))).await;
        let rival = world.rival("acme").await;
        let lock = async || rival.execute("BEGIN IMMEDIATE", ()).await.unwrap();

        lock().await;
        let let_go = async {
            world.clock.sleep(50).await;
            rival.execute("ROLLBACK", ()).await.unwrap();
        };
        let asked = platform.handle(patch("a", json!({"colour": "grey"})));
        let (answer, ()) = tokio::join!(asked, let_go);
        assert_eq!((word(&answer).as_str(), answer.sequence_nr), ("200", Some(2)));

        lock().await;
        let answer = platform.handle(patch("a", json!({"colour": "blue"}))).await;
        assert_eq!(word(&answer), "Unavailable");
        rival.execute("ROLLBACK", ()).await.unwrap();
        let answer = platform.handle(get("a")).await;
        assert_eq!(answer.body["fields"]["colour"], "grey", "nothing came of it");
    });
}

/// Goal: an event that the actor does not know is read before its own is appended (section 3). Method: a second
/// server writes one, and its boot is taken out of the file again.
#[test]
fn an_append_that_finds_another_journal_replays_it_first() {
    run(async {
        let world = World::new();
        let platform = world.start();
        platform.handle(create("a", json!({}))).await;
        let other = world.start();
        other.handle(patch("a", json!({"colour": "grey"}))).await;
        world.sql("acme", "DELETE FROM boots WHERE id = (SELECT max(id) FROM boots)").await;
        let answer = platform.handle(patch("a", json!({"shape": "round"}))).await;
        assert_eq!((word(&answer).as_str(), answer.sequence_nr), ("200", Some(3)));
        let fields = &platform.handle(get("a")).await.body["fields"];
        assert_eq!((&fields["colour"], &fields["shape"]), (&json!("grey"), &json!("round")));
    });
}

/// Another program that writes an event whenever one is about to be appended: the last one once more.
#[derive(Default)]
struct Overtakes(OnceLock<libsql::Connection>);

impl Overtakes {
    async fn write(rival: &libsql::Connection) {
        let last = "SELECT payload, sequence_nr FROM events ORDER BY sequence_nr DESC LIMIT 1";
        let row = rival.query(last, ()).await.unwrap().next().await.unwrap().unwrap();
        let (payload, number): (String, u64) = (row.get(0).unwrap(), row.get(1).unwrap());
        let next = number + 1;
        let number = |number: u64| format!("\"sequence_nr\":{number}");
        let payload = payload.replace(&number(next - 1), &number(next));
        let sha256 = crate::canonical::sha256_hex(payload.as_bytes());
        let copy = "INSERT INTO events SELECT NULL, tenant, entity_type, entity_id, ?1, event_type,
                ?2, ?3, created_at FROM events ORDER BY sequence_nr DESC LIMIT 1";
        let metadata = format!("{{\"sha256\":\"{sha256}\"}}");
        rival.execute(copy, (next, payload, metadata)).await.unwrap();
    }
}

impl Points for Overtakes {
    fn reach<'a>(&'a self, point: Point<'a>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let (Some(rival), "store.append") = (self.0.get(), point.label) {
                Self::write(rival).await;
            }
        })
    }
}

/// Goal: an append that is overtaken twice is given up (section 3). Method: a program that always does.
#[test]
fn an_append_that_is_overtaken_twice_is_unavailable() {
    run(async {
        let (world, points) = (World::new(), Arc::new(Overtakes::default()));
        let platform = world.start_with(Arc::clone(&points) as Arc<dyn Points>);
        platform.handle(create("a", json!({}))).await;
        platform.handle(patch("a", json!({"colour": "grey"}))).await;
        assert!(points.0.set(world.rival("acme").await).is_ok());
        let answer = platform.handle(patch("a", json!({"colour": "blue"}))).await;
        assert_eq!(word(&answer), "Unavailable");
        assert_eq!(world.sql("acme", "SELECT count(*) FROM events").await, ["4"]);
        let answer = platform.handle(get("a")).await;
        assert_eq!(
            (answer.sequence_nr, &answer.body["fields"]["colour"]),
            (Some(4), &json!("grey"))
        );
    });
}
