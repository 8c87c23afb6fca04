//! When a state is kept: every so many events, when its actor has been idle, and when the platform stops.

use serde_json::json;

use super::world::{World, act, create, get, run, word};
use crate::seams::Clock;

async fn snapshot(world: &World) -> Vec<String> {
    world.sql("acme", "SELECT sequence_nr FROM snapshots").await
}

#[test]
fn a_state_is_kept_every_so_many_events() {
    run(async {
        let mut world = World::new();
        world.config.snapshot_every = 3;
        let platform = world.start();
        platform.handle(create("a", json!({}))).await;
        for expected in [None, Some("3"), Some("3"), Some("3"), Some("6")] {
            let noted = platform.handle(act("a", "Note", json!({"notes": 1}))).await;
            assert_eq!(word(&noted), "200");
            // Kept after the answer: another one is given behind it.
            platform.handle(get("a")).await;
            assert_eq!(snapshot(&world).await.first().map(String::as_str), expected);
        }
    });
}

#[test]
fn an_idle_actor_keeps_its_state_and_goes() {
    run(async {
        let mut world = World::new();
        world.config.idle_ms = 5_000;
        let platform = world.start();
        platform.handle(create("a", json!({}))).await;
        let replays = || platform.metrics().replays.get();
        world.clock.sleep(4_000).await;
        platform.handle(get("a")).await;
        world.clock.sleep(4_000).await;
        assert_eq!((snapshot(&world).await.len(), replays()), (0, 1), "it was asked meanwhile");
        world.clock.sleep(2_000).await;
        assert_eq!(snapshot(&world).await, ["1"]);
        assert_eq!(word(&platform.handle(get("a")).await), "200");
        assert_eq!(replays(), 2, "the next one reads its journal");
    });
}

#[test]
fn a_stop_waits_until_every_state_is_kept() {
    run(async {
        let world = World::new();
        let platform = world.start();
        for id in ["a", "b", "c"] {
            platform.handle(create(id, json!({}))).await;
        }
        platform.shutdown().await;
        assert_eq!(snapshot(&world).await, ["1"; 3]);
        assert_eq!(word(&platform.handle(get("a")).await), "Unavailable");
    });
}
