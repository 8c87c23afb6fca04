//! Another program on a tenant's file: what no simulated world has, because a file there has one server.

use serde_json::json;

use super::world::{World, create, get, patch, run, word};
use crate::seams::Clock;

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
