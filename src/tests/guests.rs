//! Modules that run: what they read, what they call back, and every way in which they fail.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use super::world::{World, run, word};
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
async fn called_back(world: &World, platform: &Platform, request: Request) -> (String, Value) {
    let id = request.op.id().unwrap().to_owned();
    ok(&platform.handle(request).await);
    settled(world).await;
    let last = events(platform, &id).await.pop().unwrap();
    (last["action"].as_str().unwrap().to_owned(), last["params"].clone())
}

fn failed(integration: &str, error: &str, message: &str) -> (String, Value) {
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
        for mode in ["pointers", "negative", "twice", "none"] {
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

/// Lets monotonic time pass at each point of one label.
struct Slow(Arc<super::world::TestClock>, &'static str);

impl Points for Slow {
    fn reach<'a>(&'a self, point: Point<'a>) -> BoxFuture<'a, ()> {
        if point.label == self.1 {
            self.0.pass(30_000);
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
            let platform = world.start_with(Arc::new(Slow(Arc::clone(&world.clock), label)));
            ok(&platform.handle(create("a", json!({}))).await);
            let torment = act("a", "Torment", json!({"mode": mode}));
            let called = called_back(&world, &platform, torment).await;
            assert_eq!(called, failed("hostile", "timeout", "the guest took too long"), "{label}");
        }
    });
}

/// A guest of one test: `run` is given, and says whether all was well.
fn written(body: &str) -> String {
    format!(
        r#"(module
            (import "env" "host_set_result" (func $set_result (param i32 i32) (result i32)))
            (import "env" "host_read_field" (func $read (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 2)
            (data (i32.const 0) "user_message{{\"success\":true}}")
            (func (export "run") (param i32 i32) (result i32) (local $n i32)
                {body}
                (call $set_result (i32.const 12) (i32.const 16))))"#
    )
}

async fn tried(body: &str, fuel: u64) -> (String, Value) {
    let mut world = world(modules(Some(&written(body))));
    world.config.guests.fuel = fuel;
    let platform = world.start();
    ok(&platform.handle(create("a", json!({"user_message": "four"}))).await);
    called_back(&world, &platform, act("a", "Try", json!({}))).await
}

#[test]
fn a_buffer_of_every_size_around_the_values_is_filled_whole_or_not_at_all() {
    run(async {
        let body = r#"
            (loop $again
                (i32.store (i32.const 1024) (i32.const -1))
                (i32.store (i32.const 1028) (i32.const -1))
                (if (i32.ne (i32.const 4) (call $read
                        (i32.const 0) (i32.const 12) (i32.const 1024) (local.get $n)))
                    (then unreachable))
                (if (i32.ne (i32.load (i32.const 1028)) (i32.const -1)) (then unreachable))
                (if (i32.ne (i32.load (i32.const 1024))
                        (select (i32.const -1) (i32.const 0x72756f66)
                            (i32.lt_u (local.get $n) (i32.const 4))))
                    (then unreachable))
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $n) (i32.const 9))))
            (if (i32.ne (i32.const -1) (call $read
                    (i32.const 0) (i32.const 4) (i32.const 1024) (i32.const 8)))
                (then unreachable))
            (if (i32.ne (i32.const -3) (call $read
                    (i32.const 0) (i32.const 12) (i32.const 131069) (i32.const 4)))
                (then unreachable))"#;
        assert_eq!(tried(body, 1_000_000).await, ("Succeeded".to_owned(), json!({})));
    });
}

/// Goal: a plan means the same on every machine. Method: NaNs whose sign and payload differ between
/// processors, and with what an operation is given, have one form.
#[test]
fn nans_have_one_form() {
    run(async {
        let body = r#"
            (if (i32.ne (i32.const 0x7fc00000) (i32.reinterpret_f32
                    (f32.div (f32.const 0) (f32.const 0)))) (then unreachable))
            (if (i32.ne (i32.const 0x7fc00000) (i32.reinterpret_f32
                    (f32.add (f32.const -nan:0x123456) (f32.const 1)))) (then unreachable))
            (if (i64.ne (i64.const 0x7ff8000000000000) (i64.reinterpret_f64
                    (f64.sqrt (f64.const -1)))) (then unreachable))"#;
        assert_eq!(tried(body, 1_000_000).await, ("Succeeded".to_owned(), json!({})));
    });
}

/// Goal: an update of the engine that counts otherwise is noticed. Method: the least fuel with which
/// one guest ends well, pinned.
#[test]
fn fuel_is_counted_by_the_rules_of_this_engine() {
    run(async {
        let body = r#"
            (loop $again
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $n) (i32.const 100))))"#;
        let fuel = 794;
        assert_eq!(tried(body, fuel).await.0, "Succeeded");
        let used_up = failed("written", "fuel", "the guest used up its fuel");
        assert_eq!(tried(body, fuel - 1).await, used_up);
    });
}

#[test]
fn modules_that_cannot_run_are_kept_with_the_reason() {
    let wat = |text: &str| wat::parse_str(text).unwrap();
    let modules = [
        ("good", wat(&written(""))),
        ("large", vec![0; crate::MODULE_MAX + 1]),
        ("noise", b"no module".to_vec()),
        ("mute", wat("(module (memory (export \"memory\") 1))")),
        ("odd", wat("(module (memory (export \"memory\") 1) (func (export \"run\")))")),
        ("blind", wat("(module (func (export \"run\") (param i32 i32) (result i32) i32.const 0))")),
    ];
    let modules = Modules::read(&modules.map(|(name, bytes)| (name.to_owned(), bytes)));
    let reasons: Vec<(&str, Option<&str>)> = modules
        .names()
        .map(|(name, reason)| (name, reason.map(|reason| reason.split(',').next().unwrap())))
        .collect();
    let expected = [
        ("blind", Some("it exports no memory `memory`")),
        ("good", None),
        ("large", Some("it has 10485761 bytes")),
        ("mute", Some("it exports no function `run` from two i32 to one")),
    ];
    assert_eq!(reasons[..4], expected);
    assert!(reasons[4..].iter().all(|(_, reason)| reason.is_some()), "{reasons:?}");
}

/// A guest that calls back with its whole context as params.
const MIRROR: &str = r#"(module
    (import "env" "host_set_result" (func $set_result (param i32 i32) (result i32)))
    (import "env" "host_get_context" (func $context (param i32 i32) (result i32)))
    (memory (export "memory") 16)
    (data (i32.const 39) "{\"success\":true,\"params\":")
    (func (export "run") (param $zero i32) (param $length i32) (result i32)
        (if (i32.ne (local.get $length) (call $context (i32.const 64) (local.get $length)))
            (then unreachable))
        (i32.store8 (i32.add (i32.const 64) (local.get $length)) (i32.const 0x7d))
        (call $set_result (i32.const 39) (i32.add (i32.const 26) (local.get $length)))))"#;

#[test]
fn the_context_tells_the_state_right_after_the_event() {
    run(async {
        let world = world(modules(Some(MIRROR)));
        let platform = world.start();
        ok(&platform.handle(create("a", json!({"token": "t", "user_message": "hello"}))).await);
        ok(&platform.handle(act("a", "Note", json!({"notes": "a note over its ceiling"}))).await);
        world.clock.set(super::world::START_MS + 60_000);
        let try_it = act("a", "Try", json!({"extra": {"b": 1.0}, "token": "fresh"}));
        let (_, context) = called_back(&world, &platform, try_it).await;
        let expected = json!({
            "tenant": "acme",
            "entity_type": "Guest",
            "entity_id": "a",
            "trigger_action": "Try",
            "trigger_params": {"extra": {"b": 1.0}, "token": "fresh"},
            "integration_config": {"timeout_secs": "5"},
            "entity_state": {
                "entity_type": "Guest",
                "entity_id": "a",
                "status": "Open",
                "sequence_nr": 3,
                "counters": {"rings": 0},
                "booleans": {},
                "fields": {
                    "Id": "a",
                    "Status": "Open",
                    "user_message": "hello",
                    "token": "fresh",
                    "notes": ["a note over its ceiling"],
                    "rings": 0,
                    "alarm": "",
                    "child": "",
                    "extra": {"b": 1.0},
                },
            },
        });
        assert_eq!(context, expected);
    });
}

/// Goal: the context stays small. Method: a guest that calls back with what it is shown, where an
/// envelope is refused as a reserved name and a whole value is not.
#[test]
fn the_context_shows_values_over_the_default_ceiling_as_envelopes() {
    run(async {
        let world = world(modules(Some(MIRROR)));
        let platform = world.start();
        // With its quotation marks the first value has exactly the 131,072 bytes that are shown.
        for (id, size, shown) in [("a", 131_070, true), ("b", 131_071, false)] {
            let message = "m".repeat(size);
            ok(&platform.handle(create(id, json!({"user_message": message}))).await);
            let (action, params) = called_back(&world, &platform, act(id, "Try", json!({}))).await;
            if shown {
                assert_eq!(params["entity_state"]["fields"]["user_message"], message);
            } else {
                let refused = failed("written", "rejected", "400 ReservedName");
                assert_eq!((action, params), refused);
            }
        }
    });
}
