//! Modules that run: what they read, what they call back, and every way in which they fail.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use super::world::{HeldAt, World, run, word};
use crate::seams::{BoxFuture, Clock, Point, Points};
use crate::{Answer, Modules, Op, Platform, Request, SpecText, Specs};

/// The project's own guests, and one that a test may write by hand.
pub fn modules(written: Option<&str>) -> Modules {
    let wasm: [(&str, &[u8]); 4] = [
        ("workspace_provisioner", include_bytes!("../../sdk/wasm/workspace_provisioner.wasm")),
        ("echo", include_bytes!("../../sdk/wasm/echo.wasm")),
        ("hostile", include_bytes!("../../sdk/wasm/hostile.wasm")),
        ("scripted", include_bytes!("../../sdk/wasm/scripted.wasm")),
    ];
    static OWN: LazyLock<Modules> = LazyLock::new(|| modules(Some("")));
    match written {
        None => OWN.clone(),
        Some("") => {
            let own = wasm.map(|(name, bytes)| (name.to_owned(), bytes.to_vec()));
            Modules::read(&own)
        }
        Some(text) => {
            let bytes = wat::parse_str(text).unwrap();
            Modules::read(&[("written".to_owned(), bytes)])
        }
    }
}

/// A world whose tenants have guests.
pub fn world(modules: Modules) -> World {
    let mut world = World::new();
    let (file, text) = ("guests".to_owned(), include_str!("guests.ioa.toml").to_owned());
    world.config.specs = Specs::read(&[SpecText { file, text }], false).unwrap();
    world.config.modules = modules;
    world.config.guests.fuel = 20_000_000;
    world.config.guests.slice_fuel = 1_000_000;
    world
}

pub fn create(id: &str, mut body: Value) -> Request {
    body["Id"] = Value::from(id);
    Request::new("acme", Op::Create { set: "Guests".to_owned(), body: body.into() })
}

pub fn act(id: &str, action: &str, params: Value) -> Request {
    let (set, id, action) = ("Guests".to_owned(), id.to_owned(), action.to_owned());
    Request::new("acme", Op::Act { set, id, action, params: params.into() })
}

pub async fn fields(platform: &Platform, id: &str) -> Value {
    let (set, id) = ("Guests".to_owned(), id.to_owned());
    platform.handle(Request::new("acme", Op::Get { set, id })).await.body["fields"].take()
}

pub async fn events(platform: &Platform, id: &str) -> Vec<Value> {
    let (set, id) = ("Guests".to_owned(), id.to_owned());
    let op = Op::History { set, id, top: None, skip: 0 };
    let page = platform.handle(Request::new("acme", op)).await.body["value"].take();
    page.as_array().unwrap().clone()
}

pub fn ok(answer: &Answer) {
    assert!(answer.is_success(), "{}: {}", word(answer), answer.body);
}

/// Does something with a platform that is held at a point, and ends it as a kill does.
pub async fn interrupted(world: &World, label: &'static str, requests: Vec<Request>) {
    let platform = world.start_with(Arc::new(HeldAt(label)));
    for request in requests {
        ok(&platform.handle(request).await);
    }
    world.clock.sleep(100).await;
}

/// Waits until nothing that is due is open.
pub async fn settled(world: &World) {
    for _ in 0..200 {
        world.clock.sleep(100).await;
        let open = "SELECT count(*) FROM outbox WHERE state = 'open' AND due_at IS NULL";
        if world.sql("acme", open).await == ["0"] {
            return;
        }
    }
    panic!("rows are still open after twenty seconds");
}

/// The rows' ends, in the order of their writing.
pub async fn ends(world: &World) -> Vec<String> {
    let end = "SELECT state || coalesce(' ' || reason, '') FROM outbox ORDER BY id";
    world.sql("acme", end).await
}

/// The action that was called back after `request`, and its params.
pub async fn called_back(world: &World, platform: &Platform, request: Request) -> (String, Value) {
    let id = request.op.id().unwrap().to_owned();
    ok(&platform.handle(request).await);
    settled(world).await;
    let last = events(platform, &id).await.pop().unwrap();
    (last["action"].as_str().unwrap().to_owned(), last["params"].clone())
}

pub fn failed(integration: &str, error: &str, message: &str) -> (String, Value) {
    let params = json!({"error": error, "error_message": message, "integration": integration});
    ("Failed".to_owned(), params)
}

#[test]
fn a_guest_reads_a_large_value_whole_and_its_result_is_in_the_entity() {
    run(async {
        let world = world(modules(None));
        let platform = world.start();
        let message = "x".repeat(200 << 10);
        ok(&platform.handle(create("a", json!({"user_message": message}))).await);
        let (action, params) =
            called_back(&world, &platform, act("a", "Provision", json!({}))).await;
        let digest = crate::canonical::sha256_hex(message.as_bytes());
        let expected = json!({"message_bytes": 200 << 10, "message_sha256": digest});
        assert_eq!((action.as_str(), params), ("Succeeded", expected));
        assert_eq!(fields(&platform, "a").await["message_bytes"], 200 << 10);
        assert_eq!(ends(&world).await, ["done"]);
        let keys = "SELECT json_extract(payload, '$.idempotency_key') FROM events
            WHERE sequence_nr = 3";
        assert_eq!(world.sql("acme", keys).await, ["temper:2:0"]);
    });
}

#[test]
fn a_field_reads_the_same_whatever_the_way_it_is_stored() {
    run(async {
        let world = world(modules(None));
        let platform = world.start();
        let expected =
            ["", "\u{e9}\"\\\n", &"m".repeat(1022), &"m".repeat(1023), &"m".repeat(131_073)];
        for (number, text) in expected.into_iter().enumerate() {
            let id = format!("a{number}");
            let body = json!({"user_message": text, "token": text});
            ok(&platform.handle(create(&id, body)).await);
            let echo = ("Succeeded".to_owned(), json!({"echo": text}));
            for action in ["Echo", "EchoToken"] {
                let called = called_back(&world, &platform, act(&id, action, json!({}))).await;
                assert_eq!(called, echo, "{} bytes", text.len());
            }
            for mode in ["short", "exact"] {
                let torment = act(&id, "Torment", json!({"mode": mode}));
                let (action, params) = called_back(&world, &platform, torment).await;
                assert_eq!(action, "Succeeded", "{mode} of {} bytes: {params}", text.len());
            }
        }
        ok(&platform
            .handle(create("b", json!({"user_message": {"b": [1.0, null], "a": true}})))
            .await);
        let json = ("Succeeded".to_owned(), json!({"echo": r#"{"a":true,"b":[1.0,null]}"#}));
        assert_eq!(called_back(&world, &platform, act("b", "Echo", json!({}))).await, json);
        ok(&platform.handle(create("n", json!({"user_message": null}))).await);
        let nothing = ("Succeeded".to_owned(), json!({"echo": ""}));
        assert_eq!(called_back(&world, &platform, act("n", "Echo", json!({}))).await, nothing);
        for note in ["longer than", "its ceiling"] {
            ok(&platform.handle(act("b", "Note", json!({"notes": note}))).await);
        }
        let list = ("Succeeded".to_owned(), json!({"echo": r#"["longer than","its ceiling"]"#}));
        assert_eq!(called_back(&world, &platform, act("b", "EchoNotes", json!({}))).await, list);
    });
}

#[test]
fn an_expired_field_is_told_as_expired() {
    run(async {
        let world = world(modules(None));
        let platform = world.start();
        ok(&platform.handle(create("a", json!({"token": "secret"}))).await);
        world.clock.set(super::world::START_MS + 60_000);
        let called = called_back(&world, &platform, act("a", "EchoToken", json!({}))).await;
        assert_eq!(called, failed("echo_token", "failed", "token: expired"));
    });
}

/// Goal: the host survives each guest, and tells what it did in the contract's words. Method: every
/// mode of the hostile guest, one after the other, on one entity.
#[test]
fn every_failure_has_its_words_and_the_host_goes_on() {
    run(async {
        let world = world(modules(None));
        let platform = world.start();
        ok(&platform.handle(create("a", json!({"user_message": "hello"}))).await);
        let invalid = ("result", "the guest's result is not valid");
        for (mode, (error, message)) in [
            ("trap", ("trap", "the guest trapped")),
            ("loop", ("fuel", "the guest used up its fuel")),
            ("memory", ("memory", "the guest asked for more memory than it may have")),
            ("recurse", ("trap", "the guest trapped")),
            ("not_json", invalid),
            ("not_object", invalid),
            ("no_success", invalid),
            ("duplicate_keys", invalid),
            ("silent", invalid),
            ("returns_nonzero", invalid),
            ("reserved", ("rejected", "400 ReservedName")),
            ("fails", ("failed", "no luck")),
        ] {
            let torment = act("a", "Torment", json!({"mode": mode}));
            let called = called_back(&world, &platform, torment).await;
            assert_eq!(called, failed("hostile", error, message), "{mode}");
        }
        for mode in ["pointers", "negative", "encoding", "twice", "none"] {
            let torment = act("a", "Torment", json!({"mode": mode}));
            let called = called_back(&world, &platform, torment).await;
            assert_eq!(called, ("Succeeded".to_owned(), json!({})), "{mode}");
        }
        let large = act("a", "Torment", json!({"mode": "large"}));
        let payload = json!({"payload": "x".repeat(300 << 10)});
        assert_eq!(called_back(&world, &platform, large).await, ("Succeeded".to_owned(), payload));
        let missed = called_back(&world, &platform, act("a", "Miss", json!({}))).await;
        assert_eq!(missed, failed("nowhere", "module", "the module cannot be run"));
        assert!(ends(&world).await.iter().all(|end| end == "done"));
    });
}

#[test]
fn without_on_success_the_result_names_the_callback() {
    run(async {
        let world = world(modules(None));
        let platform = world.start();
        ok(&platform.handle(create("a", json!({}))).await);
        let tempt = |mode: &str| act("a", "Tempt", json!({"mode": mode}));
        let rung = called_back(&world, &platform, tempt("named_action")).await;
        assert_eq!(rung, ("Ring".to_owned(), json!({})));
        let unknown = called_back(&world, &platform, tempt("unknown_action")).await;
        assert_eq!(unknown, failed("named", "rejected", "404 UnknownAction"));
        let (nothing, _) = called_back(&world, &platform, tempt("none")).await;
        assert_eq!(nothing, "Tempt");
        assert_eq!(ends(&world).await, ["done", "done", "closed no callback"]);
    });
}

/// Lets monotonic time pass at each point of one label, and counts them.
pub struct Slow(Arc<super::world::TestClock>, &'static str, AtomicU32);

impl Slow {
    pub fn at(world: &World, label: &'static str) -> Arc<Self> {
        Arc::new(Self(Arc::clone(&world.clock), label, AtomicU32::new(0)))
    }
}

impl Points for Slow {
    fn reach<'a>(&'a self, point: Point<'a>) -> BoxFuture<'a, ()> {
        if point.label == self.1 {
            self.0.pass(30_000);
            self.2.fetch_add(1, Ordering::Relaxed);
        }
        Box::pin(std::future::ready(()))
    }
}

#[test]
fn time_is_looked_at_before_at_each_slice_and_call_and_after() {
    run(async {
        for (label, mode) in [
            ("guest.start", "none"),
            ("guest.slice", "loop"),
            ("guest.call", "none"),
            ("guest.end", "none"),
        ] {
            let world = world(modules(None));
            let slow = Slow::at(&world, label);
            let platform = world.start_with(Arc::clone(&slow) as Arc<dyn Points>);
            ok(&platform.handle(create("a", json!({}))).await);
            let torment = act("a", "Torment", json!({"mode": mode}));
            let called = called_back(&world, &platform, torment).await;
            assert_eq!(called, failed("hostile", "timeout", "the guest took too long"), "{label}");
            // Whoever is late goes no further.
            assert_eq!(slow.2.load(Ordering::Relaxed), 1, "{label}");
        }
    });
}
