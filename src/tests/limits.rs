//! Bounds that the contract names in numbers: at each what is still taken, one further what is not.

use serde_json::{Value, json};

use super::guests::{act, called_back, create, failed, modules, ok, world};
use super::world::{World, get, run, word};
use super::{guests, world as sessions};
use crate::request::BODY_MAX;
use crate::{Config, Filter, MODULE_MAX, Modules, Op, Platform, Request};

#[test]
fn defaults_are_those_of_the_contract() {
    let Config { snapshot_every, idle_ms, checkpoint_pages, sweep, guests, .. } = Config::default();
    assert_eq!((snapshot_every, idle_ms, checkpoint_pages), (100, 300_000, 1_000));
    assert_eq!((sweep.interval_ms, sweep.batch, sweep.enabled), (21_600_000, 10_000, true));
    assert_eq!((guests.fuel, guests.memory_bytes), (1_000_000_000, 67_108_864));
    assert_eq!((MODULE_MAX, BODY_MAX), (10_485_760, 8_388_608));
}

#[test]
fn ids_and_keys_have_at_most_255_bytes() {
    run(async {
        let world = World::new();
        let platform = world.start();
        // Two bytes a letter: it is bytes that count.
        let id = "\u{e9}".repeat(127) + "x";
        assert_eq!(word(&platform.handle(sessions::create(&id, json!({}))).await), "201");
        assert_eq!(word(&platform.handle(get(&id)).await), "200");
        let longer = format!("{id}x");
        assert_eq!(word(&platform.handle(get(&longer)).await), "InvalidName");
        let refused = platform.handle(sessions::create(&longer, json!({}))).await;
        assert_eq!(word(&refused), "InvalidName");
        let patch = |key: String| sessions::patch(&id, json!({"title": "a"})).with_key(key);
        assert_eq!(word(&platform.handle(patch("k".repeat(255))).await), "200");
        assert_eq!(word(&platform.handle(patch("k".repeat(256))).await), "InvalidName");
    });
}

fn list(top: Option<u64>) -> Request {
    let (select, filter) = (Some(vec!["Id".to_owned()]), None);
    Request::new("acme", Op::List { set: "Sessions".to_owned(), top, skip: 0, select, filter })
}

fn pages(id: &str, top: Option<u64>, skip: u64) -> Request {
    Request::new("acme", Op::History { set: "Sessions".to_owned(), id: id.to_owned(), top, skip })
}

async fn count(platform: &Platform, request: Request) -> usize {
    let answer = platform.handle(request).await;
    assert!(answer.is_success(), "{}", answer.body);
    answer.body["value"].as_array().unwrap().len()
}

/// Goal: a page is as long as it is said to be. Method: one entity, and one event, more than a page holds
/// unless it is asked for more.
#[test]
fn a_page_has_a_hundred_rows_unless_it_says_otherwise() {
    run(async {
        let world = World::new();
        let platform = world.start();
        for number in 0..101 {
            let request = sessions::create(&format!("s{number:03}"), json!({}));
            assert_eq!(word(&platform.handle(request).await), "201");
            if number > 0 {
                let patched = platform.handle(sessions::patch("s000", json!({"title": number})));
                assert_eq!(word(&patched.await), "200");
            }
        }
        assert_eq!(count(&platform, list(None)).await, 100);
        assert_eq!(count(&platform, list(Some(1000))).await, 101);
        assert_eq!(word(&platform.handle(list(Some(1001))).await), "NotSupported");
        // What a filter leaves is skipped over more ids than are read at once.
        let filter = Filter { field: "Status".to_owned(), value: json!("Draft") };
        let filtered = Op::List {
            set: "Sessions".to_owned(),
            top: None,
            skip: 100,
            select: None,
            filter: Some(filter),
        };
        assert_eq!(count(&platform, Request::new("acme", filtered)).await, 1);
        assert_eq!(count(&platform, pages("s000", None, 0)).await, 100);
        assert_eq!(count(&platform, pages("s000", Some(1000), 0)).await, 101);
        assert_eq!(word(&platform.handle(pages("s000", Some(1001), 0)).await), "NotSupported");
        let first = platform.handle(pages("s000", Some(40), 20)).await.body;
        assert_eq!(
            (&first["@odata.count"], &first["@temper.next_skip"]),
            (&json!(101), &json!(60))
        );
        let last = platform.handle(pages("s000", Some(41), 60)).await.body;
        assert_eq!(last["value"].as_array().unwrap().len(), 41);
        assert_eq!(last.get("@temper.next_skip"), None);
    });
}

/// A guest that asks for pages of memory, having one, and calls back if it was given them.
fn grows_by(pages: u32) -> String {
    format!(
        r#"(module
            (import "env" "host_set_result" (func $set_result (param i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "{{\"success\":true}}")
            (func (export "run") (param i32 i32) (result i32)
                (drop (memory.grow (i32.const {pages})))
                (call $set_result (i32.const 0) (i32.const 16))))"#
    )
}

#[test]
fn memory_ends_at_its_last_byte() {
    run(async {
        let too_much = "the guest asked for more memory than it may have";
        for (pages, expected) in
            [(3, ("Succeeded".to_owned(), json!({}))), (4, failed("written", "memory", too_much))]
        {
            let mut world = world(modules(Some(&grows_by(pages))));
            world.config.guests.memory_bytes = 4 * 65_536;
            let platform = world.start();
            ok(&platform.handle(create("a", json!({}))).await);
            let called = called_back(&world, &platform, act("a", "Try", json!({}))).await;
            assert_eq!(called, expected, "one page and {pages}");
        }
    });
}

/// Goal: a callback is a request like any other. Method: a guest whose params are as large as a body may be,
/// and one byte larger.
#[test]
fn a_callback_is_no_larger_than_a_body() {
    let head = r#"{"success":true,"params":"#;
    let params_of = |size: usize| {
        format!(
            r#"(module
                (import "env" "host_set_result" (func $set_result (param i32 i32) (result i32)))
                (memory (export "memory") 130)
                (data (i32.const 0) "{}{{\"p\":\"")
                (func (export "run") (param i32 i32) (result i32)
                    (memory.fill (i32.const {text}) (i32.const 120) (i32.const {length}))
                    (i32.store (i32.const {end}) (i32.const 0x7d7d22))
                    (call $set_result (i32.const 0) (i32.const {whole}))))"#,
            head.replace('"', "\\\""),
            text = head.len() + 6,
            length = size - 8,
            end = head.len() + size - 2,
            whole = head.len() + size + 1,
        )
    };
    run(async {
        for (size, is_taken) in [(BODY_MAX, true), (BODY_MAX + 1, false)] {
            let world = world(modules(Some(&params_of(size))));
            let platform = world.start();
            ok(&platform.handle(create("a", json!({}))).await);
            let called = called_back(&world, &platform, act("a", "Try", json!({}))).await;
            if is_taken {
                assert_eq!(called.0, "Succeeded");
                assert_eq!(called.1["p"].as_str().map(str::len), Some(size - 8));
            } else {
                assert_eq!(called, failed("written", "rejected", "413 BodyTooLarge"));
            }
        }
    });
}

#[test]
fn a_module_of_ten_mebibytes_is_run() {
    let mut module = wat::parse_str(grows_by(0)).unwrap();
    // A section of its own: its size in five bytes, a name of no letter, and nothing that counts.
    let size = MODULE_MAX - module.len() - 6;
    module.push(0);
    module
        .extend((0..5).map(|at| ((size >> (7 * at)) & 0x7f) as u8 | if at < 4 { 0x80 } else { 0 }));
    module.resize(MODULE_MAX, 0);
    let modules = Modules::read(&[("large".to_owned(), module)]);
    assert_eq!(modules.names().collect::<Vec<_>>(), [("large", None)]);
}

#[test]
fn a_state_that_is_ready_late_was_the_guests_time() {
    run(async {
        let world = world(modules(None));
        let slow = guests::Slow::at(&world, "store.events");
        let platform = world.start_with(slow);
        ok(&platform.handle(create("a", json!({}))).await);
        let torment = act("a", "Torment", json!({"mode": "none"}));
        let called = called_back(&world, &platform, torment).await;
        assert_eq!(called, failed("hostile", "timeout", "the guest took too long"));
        let shown: Value = guests::fields(&platform, "a").await;
        assert_eq!(shown["error"], "timeout");
    });
}
