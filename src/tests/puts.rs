//! Blobs that are put late, or after they failed, and an append of which nobody knew whether it was there.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};

use super::world::{START_MS, TestClock, World, act, create, get, history, patch, run, word};
use crate::seams::{BoxFuture, Clock, NoPoints, Point, Points};
use crate::{SweepSettings, WriteProtocol};

/// A value over the ceiling of its field, which does not expire.
fn prompt(text: &str) -> Value {
    json!({"system_prompt": format!("{text:-<100}")})
}

const COUNT_BLOBS: &str = "SELECT count(*) FROM blobs";

/// Goal: whatever comes after an event whose put failed waits for that put (section 4, I5), also what is answered
/// without a look at the value. Method: a put that fails until it is let go, and then one request of each kind.
#[test]
fn a_put_that_failed_is_made_before_the_next_answer_of_any_kind() {
    run(async {
        let repeated = || act("a", "Configure", prompt("kept")).with_key("k".to_owned());
        let other = || act("a", "Configure", prompt("other")).with_key("k".to_owned());
        let stale = || patch("a", json!({"colour": "grey"})).with_if_match("\"1\"".to_owned());
        let requests = [
            (get("a"), "200"),
            (history("a"), "200"),
            (create("a", json!({})), "EntityExists"),
            (act("a", "Close", json!({})), "GuardFalse"),
            (stale(), "PreconditionFailed"),
            (repeated(), "200"),
            (other(), "KeyReused"),
        ];
        for (request, expected) in requests {
            let world = World::new();
            let platform = world.start();
            platform.handle(create("a", json!({}))).await;
            let before = world.sql("acme", COUNT_BLOBS).await;
            let refuse =
                "CREATE TRIGGER t BEFORE INSERT ON blobs BEGIN SELECT RAISE(ABORT, 'no'); END";
            world.sql("acme", refuse).await;
            assert_eq!(word(&platform.handle(repeated()).await), "Unavailable");
            assert_eq!(world.sql("acme", "SELECT count(*) FROM events").await, ["2"]);
            assert_eq!(word(&platform.handle(request.clone()).await), "Unavailable");
            world.sql("acme", "DROP TRIGGER t").await;
            assert_eq!(world.sql("acme", COUNT_BLOBS).await, before);
            assert_eq!(word(&platform.handle(request).await), expected);
            assert_ne!(world.sql("acme", COUNT_BLOBS).await, before, "{expected}");
        }
    });
}

/// Points at one of which the wall clock is set.
struct LateAt(&'static str, Arc<TestClock>, i64);

impl Points for LateAt {
    fn reach<'a>(&'a self, point: Point<'a>) -> BoxFuture<'a, ()> {
        if point.label == self.0 {
            self.1.set(self.2);
        }
        Box::pin(std::future::ready(()))
    }
}

/// Goal: a put that comes at a body's deadline or later leaves that body out (section 4), and makes the others of
/// its event. Method: an append that takes as long as the value has to live, or a millisecond more or less.
#[test]
fn a_put_that_comes_too_late_leaves_the_body_out() {
    run(async {
        for (late_ms, is_put) in [(59_999, true), (60_000, false), (60_001, false)] {
            let world = World::new();
            let body =
                json!({"Id": "a", "scratch": "short-lived", "system_prompt": "p".repeat(100)});
            let points = LateAt("store.append", Arc::clone(&world.clock), START_MS + late_ms);
            let platform = world.start_with(Arc::new(points));
            let answer = platform.handle(create("a", body)).await;
            assert_eq!(word(&answer), "201");
            let rows = "SELECT count(*) FROM blobs WHERE expires_at IS NOT NULL";
            let expected = if is_put { "1" } else { "0" };
            assert_eq!(world.sql("acme", rows).await, [expected], "{late_ms} ms");
            let rows = "SELECT count(*) FROM blobs WHERE expires_at IS NULL";
            assert_eq!(world.sql("acme", rows).await, ["1"], "{late_ms} ms");
            let shown = if is_put { json!("short-lived") } else { Value::Null };
            assert_eq!(answer.body["fields"]["scratch"], shown, "{late_ms} ms");
        }
    });
}

/// Points at which another program looks how many blobs there are: those of the background sweeper's calls.
#[derive(Default)]
struct Watched {
    rival: OnceLock<libsql::Connection>,
    counts: Mutex<Vec<u64>>,
}

impl Watched {
    async fn look(&self) {
        let Some(rival) = self.rival.get() else { return };
        let row = rival.query(COUNT_BLOBS, ()).await.unwrap().next().await.unwrap().unwrap();
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).push(row.get(0).unwrap());
    }
}

impl Points for Watched {
    fn reach<'a>(&'a self, point: Point<'a>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if (point.label, point.origin) == ("store.sweep", "sweeper") {
                self.look().await;
            }
        })
    }
}

/// Goal: the background sweeper takes no more rows in one transaction than its batch (I20), until one is not full.
/// Method: batches of 2 over five rows, counted before each of its calls.
#[test]
fn the_background_sweeper_takes_a_batch_at_a_time() {
    run(async {
        let mut world = World::new();
        world.config.protocol = WriteProtocol::Atomic;
        let platform = world.start();
        for number in 0..5 {
            let created = create(&format!("s{number}"), json!({"scratch": number}));
            assert_eq!(word(&platform.handle(created).await), "201");
        }
        platform.shutdown().await;
        world.clock.set(START_MS + 60_000);
        world.config.sweep = SweepSettings { interval_ms: 50, batch: 2, enabled: true };
        let watched = Arc::new(Watched::default());
        assert!(watched.rival.set(world.rival("acme").await).is_ok());
        let _platform = world.start_with(Arc::clone(&watched) as Arc<dyn Points>);
        world.clock.sleep(120).await;
        let counts = watched.counts.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(counts[..3], [5, 3, 1]);
        assert!(counts[3..].iter().all(|count| *count == 0), "{counts:?}");
    });
}

/// Points at which another program makes a commit fail, and then writes what it was to write.
#[derive(Default)]
struct Meddler(OnceLock<libsql::Connection>);

impl Points for Meddler {
    fn reach<'a>(&'a self, point: Point<'a>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            // The journal is read again once the doubt is to be settled.
            let (Some(rival), "store.journal") = (self.0.get(), point.label) else { return };
            rival.execute("DROP TRIGGER doubt", ()).await.unwrap();
            let last = "SELECT payload FROM events ORDER BY sequence_nr DESC LIMIT 1";
            let row = rival.query(last, ()).await.unwrap().next().await.unwrap().unwrap();
            let payload: String = row.get(0).unwrap();
            let payload = payload.replace("\"sequence_nr\":2", "\"sequence_nr\":3");
            let sha256 = crate::canonical::sha256_hex(payload.as_bytes());
            let copy =
                "INSERT INTO events SELECT NULL, tenant, entity_type, entity_id, 3, event_type,
                ?1, ?2, created_at FROM events WHERE sequence_nr = 2";
            rival.execute(copy, (payload, format!("{{\"sha256\":\"{sha256}\"}}"))).await.unwrap();
        })
    }
}

/// Goal: an append in doubt that is in the journal is a success, one that is not is 503 (section 4). Method: a
/// commit that fails for a row without its parent, and a program that puts the event there, or does not. A failed
/// commit of SQLite's log never shows its event to its own connection, so that no campaign comes to the first.
#[test]
fn an_append_in_doubt_is_what_the_journal_says() {
    run(async {
        for (is_there, expected, last) in [(true, "200", 3), (false, "Unavailable", 2)] {
            let (world, points) = (World::new(), Arc::new(Meddler::default()));
            let points_of = |is_there| match is_there {
                true => Arc::clone(&points) as Arc<dyn Points>,
                false => Arc::new(NoPoints) as Arc<dyn Points>,
            };
            let platform = world.start_with(points_of(is_there));
            platform.handle(create("a", json!({}))).await;
            let grey = || patch("a", json!({"colour": "grey"}));
            assert_eq!(word(&platform.handle(grey()).await), "200");
            for sql in [
                "CREATE TABLE parents (id INTEGER PRIMARY KEY)",
                "CREATE TABLE children (parent INTEGER REFERENCES parents (id)
                    DEFERRABLE INITIALLY DEFERRED)",
                "CREATE TRIGGER doubt AFTER INSERT ON events
                    BEGIN INSERT INTO children VALUES (1); END",
            ] {
                world.sql("acme", sql).await;
            }
            assert!(points.0.set(world.rival("acme").await).is_ok());
            let answer = platform.handle(grey()).await;
            assert_eq!(word(&answer), expected);
            let read = platform.handle(get("a")).await;
            assert_eq!((word(&read).as_str(), read.sequence_nr), ("200", Some(last)));
        }
    });
}
