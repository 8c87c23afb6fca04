//! Deadlines, the sweep, and a clock that steps.

use serde_json::{Value, json};

use super::world::{START_MS, World, act, create, get, history, run, word};
use crate::{SweepSettings, WriteProtocol};

/// A field with a ceiling of 0 and sixty seconds to live.
fn scratch(text: &str) -> Value {
    json!({"Id": "a", "scratch": text})
}

#[test]
fn a_reference_expires_exactly_at_its_deadline_whatever_was_swept() {
    run(async {
        let world = World::new();
        let platform = world.start();
        platform.handle(create("a", scratch("here"))).await;
        let read = async || {
            let body = platform.handle(get("a")).await.body;
            (body["fields"]["scratch"].clone(), body["@temper.expired"].clone())
        };
        world.clock.set(START_MS + 59_999);
        assert_eq!(read().await, (json!("here"), Value::Null));
        assert_eq!(platform.sweep("acme", 10).await, Ok(0));
        world.clock.set(START_MS + 60_000);
        assert_eq!(read().await, (Value::Null, json!(["scratch"])));
        let shown = platform.handle(history("a")).await.body["value"][0].take();
        assert_eq!(shown["params"]["scratch"], Value::Null);
        assert_eq!(shown["@temper.expired"], json!(["scratch"]));
        assert_eq!(platform.sweep("acme", 10).await, Ok(1));
        assert_eq!(read().await, (Value::Null, json!(["scratch"])));
        // The clock is set back: the deadline is ahead again, and the journal has the value.
        world.clock.set(START_MS + 59_999);
        assert_eq!(read().await, (json!("here"), Value::Null));
    });
}

#[test]
fn a_later_deadline_renews_a_row_and_none_makes_it_permanent() {
    run(async {
        let world = World::new();
        let platform = world.start();
        platform.handle(create("a", scratch("same"))).await;
        let deadline = async || {
            let sql = "SELECT expires_at FROM blobs WHERE data = CAST('\"same\"' AS BLOB)";
            world.sql("acme", sql).await
        };
        assert_eq!(deadline().await, ["2024-01-01 00:01:00.000"]);
        world.clock.set(START_MS + 90_000);
        platform.handle(create("b", scratch("same"))).await;
        platform.handle(create("c", json!({"scratch": "same"}))).await;
        assert_eq!(deadline().await, ["2024-01-01 00:02:30.000"]);
        // An earlier deadline, after the clock was set back, lowers nothing.
        world.clock.set(START_MS);
        platform.handle(create("d", json!({"scratch": "same"}))).await;
        assert_eq!(deadline().await, ["2024-01-01 00:02:30.000"]);
        let prompt = json!({"system_prompt": "p".repeat(100)});
        platform.handle(act("c", "Configure", prompt)).await;
        world.clock.set(START_MS + 1_000_000_000);
        // "same" and the empty scratch of nobody: the permanent prompt stays.
        assert_eq!(platform.sweep("acme", 10).await, Ok(1));
        assert_eq!(world.sql("acme", "SELECT count(*) FROM blobs").await, ["1"]);
    });
}

#[test]
fn a_sweep_takes_the_oldest_first_and_no_more_than_it_may() {
    run(async {
        let world = World::new();
        let platform = world.start();
        for number in 0..5 {
            world.clock.set(START_MS + number * 1000);
            let body = json!({"scratch": number});
            platform.handle(create(&format!("s{number}"), body)).await;
        }
        world.clock.set(START_MS + 63_000);
        assert_eq!(platform.sweep("acme", 3).await, Ok(3));
        let left = world.sql("acme", "SELECT data FROM blobs ORDER BY data").await;
        assert_eq!(left, ["3", "4"]);
        assert_eq!(platform.sweep("acme", 3).await, Ok(1));
        assert_eq!(platform.sweep("nobody", 3).await, Ok(0));
    });
}

#[test]
fn the_background_sweeper_drains_every_tenant() {
    run(async {
        let mut world = World::new();
        world.config.sweep = SweepSettings { interval_ms: 20, batch: 2, enabled: true };
        world.config.protocol = WriteProtocol::Atomic;
        let platform = world.start();
        for tenant in ["acme", "other"] {
            for number in 0..5 {
                let mut request = create(&format!("s{number}"), json!({"scratch": number}));
                request.tenant = tenant.to_owned();
                assert_eq!(word(&platform.handle(request).await), "201");
            }
        }
        world.clock.set(START_MS + 60_000);
        use crate::seams::Clock;
        world.clock.sleep(100).await;
        for tenant in ["acme", "other"] {
            assert_eq!(world.sql(tenant, "SELECT count(*) FROM blobs").await, ["0"]);
        }
        platform.shutdown().await;
        assert_eq!(word(&platform.handle(get("s1")).await), "Unavailable");
    });
}
