//! Guests written by hand: buffers byte by byte, NaNs, fuel, the context, modules that cannot run.

use serde_json::{Value, json};

use super::guests::{act, called_back, create, failed, modules, ok, world};
use super::world::{START_MS, run};
use crate::Modules;

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
pub const MIRROR: &str = r#"(module
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
        world.clock.set(START_MS + 60_000);
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
