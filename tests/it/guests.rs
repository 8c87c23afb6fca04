//! The committed modules of `sdk/wasm`: each does what it is for, under a host that is not the platform's.
//!
//! **Invariant:** what a guest promises is shown together with a host that breaks its own promise, which the guest
//! must notice.

mod host;

use std::sync::LazyLock;

use host::{End, Given, Guest, Ran, Wrong};
use wasmtime::Trap;

const MODULES: [&str; 4] = ["echo", "hostile", "scripted", "workspace_provisioner"];
static HOSTILE: LazyLock<Guest> = LazyLock::new(|| Guest::committed("hostile"));
const MESSAGE: &str = "h\u{e9}llo";

fn given(context: &str, field: &str, value: Result<&str, i32>) -> Given {
    let fields = [(field.to_owned(), value.map(str::to_owned))].into();
    Given { context: context.to_owned(), fields, wrong: None }
}

fn hostile(mode: &str, wrong: Option<Wrong>) -> Ran {
    let context = format!(r#"{{"trigger_params":{{"mode":"{mode}"}}}}"#);
    let given = Given { wrong, ..given(&context, "user_message", Ok(MESSAGE)) };
    HOSTILE.run(&given)
}

#[test]
fn modules_need_the_contracts_host_and_nothing_else() {
    for name in MODULES {
        let guest = Guest::committed(name);
        for import in guest.module.imports() {
            assert_eq!(import.module(), "env");
            let known = ["host_get_context", "host_set_result", "host_log", "host_read_field"];
            assert!(known.contains(&import.name()), "{name} imports {}", import.name());
        }
        let memory = guest.module.get_export("memory").unwrap().unwrap_memory().minimum();
        assert!(memory <= 4, "{name} starts with {memory} pages");
        assert!(guest.module.get_export("run").is_some());
    }
}

/// Sizes around the inline ceiling, and the largest body. The digests are coreutils'.
#[test]
fn the_provisioner_reads_every_byte_of_its_message() {
    let guest = Guest::committed("workspace_provisioner");
    for (size, digest) in [
        (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (1, "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"),
        (131_072, "15601535eca4a38b7e31ad6494861121cb9f84ccf55d4beb6a707d4f7a87813d"),
        (131_073, "0c5c5c759aa8164f9fb53c471ff060903c99edcb520fb7d9cb4bf7a45755f1c2"),
        (200 << 10, "5d4abf60daba0b11555b6da942dd4f40d5f99ee617e14ba4ba686b47d75a5049"),
        (8 << 20, "0c77bc0a0795a93612d45256897456d0fcb24f151c44c150d07ecd03f4ef5168"),
    ] {
        let ran = guest.run(&given("{}", "user_message", Ok(&"x".repeat(size))));
        let params = format!(r#"{{"message_bytes":{size},"message_sha256":"{digest}"}}"#);
        assert_eq!(ran.result(), format!(r#"{{"success":true,"params":{params}}}"#));
    }
}

/// A host that takes an exact buffer for a short one writes nothing: the digest is that of zeros.
#[test]
fn a_host_that_is_off_by_one_shows_in_the_digest() {
    let guest = Guest::committed("workspace_provisioner");
    let right = given("{}", "user_message", Ok(MESSAGE));
    let wrong = Given { wrong: Some(Wrong::ExactIsShort), ..right.clone() };
    assert_ne!(guest.run(&right).results, guest.run(&wrong).results);
}

#[test]
fn echo_gives_back_what_it_read_and_names_what_it_could_not_read() {
    let guest = Guest::committed("echo");
    let echoed = |value| {
        let context =
            r#"{"entity_state":{"field":"no"},"integration_config":{"field":"system_prompt"}}"#;
        guest.run(&given(context, "system_prompt", value)).result().to_owned()
    };
    assert_eq!(
        echoed(Ok("a \"\u{1}\u{1f600}")),
        "{\"success\":true,\"params\":{\"echo\":\"a \\\"\\u0001\u{1f600}\"}}"
    );
    assert_eq!(echoed(Ok(r#"["x",1]"#)), r#"{"success":true,"params":{"echo":"[\"x\",1]"}}"#);
    assert_eq!(echoed(Ok("")), r#"{"success":true,"params":{"echo":""}}"#);
    for (code, words) in
        [(-1, "no such field"), (-2, "not resolvable"), (-3, "invalid"), (-4, "expired")]
    {
        assert_eq!(
            echoed(Err(code)),
            format!(r#"{{"success":false,"error":"system_prompt: {words}"}}"#)
        );
    }
    let large = "\u{e9}".repeat(4 << 20);
    assert_eq!(
        echoed(Ok(&large)).len(),
        large.len() + r#"{"success":true,"params":{"echo":""}}"#.len()
    );
}

#[test]
fn echo_tells_what_it_was_shown_where_it_is_asked_to() {
    let guest = Guest::committed("echo");
    let told = |params: &str, value| {
        let state = r#""entity_state":{"sequence_nr":7,"status":"Open"}"#;
        let config = r#""integration_config":{"field":"a","shown":"b"}"#;
        let context = format!(r#"{{{state},{config},"trigger_params":{params}}}"#);
        guest.run(&given(&context, "a", value)).result().to_owned()
    };
    let shown = |shown: &str| {
        format!(r#"{{"success":true,"params":{{"echo":"x","shown":"Open 7 {shown}"}}}}"#)
    };
    assert_eq!(told("{}", Ok("x")), shown("absent"));
    assert_eq!(told(r#"{"b":null}"#, Ok("x")), shown("null"));
    assert_eq!(told(r#"{"b":{"__temper_blob_ref":"k"}}"#, Ok("x")), shown("reference"));
    // SHA-256 of `[1]`.
    let digest = "080a9ed428559ef602668b4c00f114f1a11c3f6b02a435f0bdc154578e4d7f22";
    assert_eq!(told(r#"{"b":[1]}"#, Ok("x")), shown(digest));
    let error = r#"{"success":false,"error":"a: expired, shown Open 7 null"}"#;
    assert_eq!(told(r#"{"b":null}"#, Err(-4)), error);
}

#[test]
fn what_never_ends_is_ended_by_its_limit() {
    assert_eq!(hostile("trap", None).end, End::Trapped(Trap::UnreachableCodeReached));
    assert_eq!(hostile("loop", None).end, End::Trapped(Trap::OutOfFuel));
    assert_eq!(hostile("memory", None).end, End::Trapped(Trap::UnreachableCodeReached));
    let panic = hostile("panic", None);
    assert_eq!(panic.end, End::Trapped(Trap::UnreachableCodeReached));
    assert!(panic.lines[0].starts_with("0 panicked at 'the glass broke'"), "{:?}", panic.lines);
    let recursion = hostile("recurse", None);
    assert!(matches!(recursion.end, End::Trapped(Trap::MemoryOutOfBounds | Trap::StackOverflow)));
    assert!(recursion.fuel < 1_000_000, "a small stack ends soon");
}

#[test]
fn bad_pointers_lengths_and_buffers_are_tried_and_a_wrong_answer_is_noticed() {
    assert_eq!(hostile("pointers", None).result(), r#"{"success":true}"#);
    assert_eq!(hostile("negative", None).result(), r#"{"success":true}"#);
    assert_eq!(hostile("encoding", None).result(), r#"{"success":true}"#);
    assert_eq!(hostile("short", None).result(), r#"{"success":true,"params":{"needed":6}}"#);
    assert_eq!(hostile("exact", None).result(), r#"{"success":true,"params":{"read":6}}"#);
    for (mode, wrong) in [
        ("pointers", Wrong::EndUnchecked),
        ("negative", Wrong::NegativeIsEmpty),
        ("encoding", Wrong::TextIsMended),
    ] {
        assert!(hostile(mode, Some(wrong)).result().starts_with(r#"{"success":false"#), "{mode}");
    }
    for (mode, wrong) in [("short", Wrong::ShortIsFilled), ("exact", Wrong::ExactIsShort)] {
        let end = hostile(mode, Some(wrong)).end;
        assert_eq!(end, End::Trapped(Trap::UnreachableCodeReached), "{mode}");
    }
}

#[test]
fn results_are_as_bad_as_their_mode_says() {
    for (mode, result) in [
        ("not_json", r#"{"success":true"#),
        ("not_object", r#"[{"success":true}]"#),
        ("no_success", r#"{"params":{}}"#),
        ("params_list", r#"{"success":true,"params":[1]}"#),
        ("action_number", r#"{"success":true,"action":1}"#),
        ("reserved_deep", r#"{"success":true,"params":{"a":[{"__temper_x":1}]}}"#),
        ("duplicate_keys", r#"{"success":false,"success":true}"#),
        ("reserved", r#"{"success":true,"params":{"__temper_x":1}}"#),
        ("unknown_action", r#"{"success":true,"action":"NoSuchAction"}"#),
        ("named_action", r#"{"success":true,"action":"Ring"}"#),
        ("fails", r#"{"success":false,"error":"no luck"}"#),
        ("silent", ""),
        ("twice", r#"{"success":true}"#),
        ("anything else", r#"{"success":true}"#),
    ] {
        assert_eq!(hostile(mode, None).result(), result, "{mode}");
    }
    let payload = "x".repeat(300 << 10);
    let large = format!(r#"{{"success":true,"params":{{"payload":"{payload}"}}}}"#);
    assert!(hostile("large", None).result() == large);
    assert_eq!(hostile("twice", None).results.len(), 2);
    let nonzero = hostile("returns_nonzero", None);
    assert_eq!((nonzero.end, nonzero.results.len()), (End::Returned(7), 1));
}

/// Sixty contexts: each ends the same way twice, to the unit of fuel, and every end is among them.
#[test]
fn a_scripted_guest_does_all_it_can_and_repeats_itself() {
    let guest = Guest::committed("scripted");
    let (mut succeeded, mut failed, mut trapped) = (0, 0, 0);
    for number in 0..60 {
        let given =
            Given { context: format!(r#"{{"entity_id":"e{number}"}}"#), ..Given::default() };
        let ran = guest.run(&given);
        assert_eq!(ran, guest.run(&given));
        match (&ran.end, ran.results.first().map(String::as_str)) {
            (End::Returned(0), Some(r#"{"success":true,"params":{}}"#)) => succeeded += 1,
            (End::Returned(0), Some(r#"{"success":false,"error":"scripted"}"#)) => failed += 1,
            (End::Trapped(Trap::UnreachableCodeReached), None) => trapped += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(succeeded > 5 && failed > 5 && trapped > 5, "{succeeded} {failed} {trapped}");
}
