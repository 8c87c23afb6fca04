//! Every error message of the harness and of the platform, word for word. Each list stands beside a
//! `match` without a wildcard, so that a variant more does not compile until somebody looks here.

use insta::assert_snapshot;
use std::fmt::Display;
use stormglass_model::entity::{BootId, OpId};
use stormglass_model::oracle::Misuse;
use stormglass_platform::canonical;
use stormglass_platform::spec;
use stormglass_platform::{Answer, RequestError, SpecsError, SqlError, StartError, StoreError};
use stormglass_scenarios::bundle::BundleError;
use stormglass_scenarios::plan::{Plan, PlanError};
use stormglass_scenarios::scenario::{self, Settings};
use stormglass_sim::disk::DiskError;
use stormglass_sim::{IoError, Seed, World, WorldError, WorldOptions};

fn lines<T: Display>(errors: impl IntoIterator<Item = T>) -> String {
    errors.into_iter().map(|error| format!("{error}\n")).collect()
}

/// The plan with 0 for the number of this name.
fn zeroed(plan: &str, name: &str) -> String {
    let (before, rest) = plan.split_once(&format!("\"{name}\": ")).expect("every plan has it");
    let rest = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
    format!("{before}\"{name}\": 0{rest}")
}

/// The plan with a change of its specs for its first step.
fn with_a_change(plan: &str, change: &str) -> String {
    let mut plan: serde_json::Value = serde_json::from_str(plan).expect("it is a plan");
    let change: serde_json::Value = serde_json::from_str(change).expect("it is JSON");
    plan["steps"][0]["do"] = serde_json::json!({"reconfigure": {"change": change}});
    plan.to_string()
}

/// Specs of a plan's own, one of which is none, before its steps.
const BAD_SPEC: &str =
    "\"specs\": [{\"file\": \"x.ioa.toml\", \"text\": \"[automaton\"}], \"steps\":";

#[test]
fn every_message_about_a_plan() {
    let plan = scenario::plan("overflow", Seed(2), &Settings::default())
        .expect("the scenario has plans")
        .to_json();
    let texts = [
        plan[..plan.len() / 2].to_string(),
        plan.replacen("\"version\": 1", "\"version\": 2", 1),
        plan.replacen("\"version\": 1,", "", 1),
        plan.replacen("\"overflow\"", "\"overfull\"", 1),
        plan.replacen("\"client\"", "\"cilent\"", 1),
        plan.replacen("\"blob-refs\"", "\"blobs\"", 1),
        plan.replacen("\"sweep_batch\": ", "\"sweep_batch\": -", 1),
        zeroed(&plan, "sector_size_bytes"),
        plan.replacen("\"id\": 3", "\"id\": 2", 1),
        with_a_change(&plan, r#"{"ttl": {"field": "notes", "seconds": 60}}"#),
        with_a_change(&plan, r#"{"ttl": {"field": "draft", "seconds": 0}}"#),
        plan.replacen("\"overflow\"", "\"drive\"", 1).replacen("\"steps\":", BAD_SPEC, 1),
        "{\"version\": 2".to_string(),
        "[]".to_string(),
    ];
    let errors = texts.map(|text| {
        let error = Plan::from_json(&text).expect_err("each text has a flaw");
        match error {
            PlanError::Shape(_) | PlanError::Version { .. } | PlanError::Scenario(_) => error,
            PlanError::Zero(_) | PlanError::StepId(_) => error,
            PlanError::Spec(_) | PlanError::Change(_) => error,
        }
    });
    assert_snapshot!(lines(errors));
}

#[test]
fn every_message_about_a_bundle() {
    let path = || "findings/9f3c2a1b/plan.json".into();
    let no_json = || serde_json::from_str::<u32>("{").expect_err("it is none");
    let errors = [
        BundleError::Read { path: path(), why: std::io::ErrorKind::NotFound.into() },
        BundleError::None { path: "findings/9f3c2a1b".into() },
        BundleError::Campaign {
            path: "findings/0x10-all".into(),
            names: vec!["findings/0x10-all/9f3c2a1b".to_string()],
        },
        BundleError::Plan { path: path(), why: PlanError::StepId(3) },
        BundleError::Shape { path: path(), what: "outcome", why: no_json() },
    ];
    for error in &errors {
        match error {
            BundleError::Read { .. }
            | BundleError::None { .. }
            | BundleError::Campaign { .. }
            | BundleError::Plan { .. }
            | BundleError::Shape { .. } => {}
        }
    }
    assert_snapshot!(lines(errors));
}

#[test]
fn every_message_about_a_seed() {
    let texts = ["", "banana", "-1", "0x", "0xg", "18446744073709551616", "0x10000000000000000"];
    assert_snapshot!(lines(texts.map(|text| text.parse::<Seed>().expect_err("each is no seed"))));
}

#[test]
fn every_message_of_the_simulated_world() {
    let _first = World::new(1, WorldOptions::default()).expect("this thread has no other world");
    let second = World::new(2, WorldOptions::default()).err().expect("one world at a time");
    let worlds = [WorldError::Libsql("out of memory".to_string()), second];
    for error in &worlds {
        match error {
            WorldError::Libsql(_) | WorldError::AlreadyHere => {}
        }
    }
    let calls = [IoError::Dead, IoError::Eio, IoError::NoSpace, IoError::NotFound, IoError::Busy]
        .map(|e| match e {
            IoError::Dead | IoError::Eio | IoError::NoSpace => e,
            IoError::NotFound | IoError::Busy => e,
        });
    let disk = [DiskError::NotFound, DiskError::NoSpace].map(|error| match error {
        DiskError::NotFound | DiskError::NoSpace => error,
    });
    let model = [Misuse::NotOpen(OpId(7)), Misuse::BootRuns(BootId(2))];
    for error in &model {
        match error {
            Misuse::NotOpen(_) | Misuse::BootRuns(_) => {}
        }
    }
    assert_snapshot!([lines(worlds), lines(calls), lines(disk), lines(model)].join("\n"));
}

fn text(text: &str) -> String {
    text.to_string()
}

fn request_errors() -> Vec<RequestError> {
    use RequestError::*;
    let reason = text("checksum differs");
    let errors = vec![
        InvalidBody(canonical::parse(b"{\"a\":1,\"a\":2}").expect_err("a key twice").to_string()),
        ReservedName(text("Status")),
        InvalidName { what: "tenant", name: text("../x") },
        NotSupported(text("$orderby")),
        MissingTenant,
        UnknownPath(text("/metric")),
        MethodNotAllowed { method: text("PUT"), allowed: "GET, HEAD, POST" },
        UnknownSet(text("Sesions")),
        UnknownAction { entity_type: text("Session"), action: text("Wirte") },
        EntityNotFound(text("s1")),
        WrongState { action: text("Write"), status: text("Closed") },
        GuardFalse { action: text("Close") },
        EntityExists(text("s1")),
        KeyReused(text("k1")),
        RowSettled,
        PreconditionFailed { expected: text("3"), actual: 4 },
        BodyTooLarge(2_000_000),
        BlobLost { entity: text("s1"), field: text("user_message") },
        EventUndecodable { entity: text("s1"), sequence_nr: 17, reason },
        Unavailable(StoreError::InDoubt(sql_error()).to_string()),
    ];
    for error in &errors {
        match error {
            InvalidBody(_) | ReservedName(_) | InvalidName { .. } | NotSupported(_) => {}
            MissingTenant | UnknownPath(_) | MethodNotAllowed { .. } => {}
            UnknownSet(_) | UnknownAction { .. } | EntityNotFound(_) | WrongState { .. } => {}
            GuardFalse { .. } | EntityExists(_) | KeyReused(_) | PreconditionFailed { .. } => {}
            BodyTooLarge(_) | BlobLost { .. } | EventUndecodable { .. } | Unavailable(_) => {}
            RowSettled => {}
        }
    }
    errors
}

fn sql_error() -> SqlError {
    SqlError { code: 10, message: text("disk I/O error"), statement: "COMMIT" }
}

/// As clients get them: status, code, message.
#[test]
fn every_message_that_a_client_is_given() {
    let told = request_errors().into_iter().map(|error| {
        let message = error.to_string();
        let answer = Answer::from(error);
        assert_eq!(answer.body["error"]["message"], message.as_str());
        format!("{} {:<19} {message}", answer.status, answer.code.expect("a failure has a code"))
    });
    assert_snapshot!(lines(told));
}

#[test]
fn every_message_of_the_store_and_of_a_start() {
    use StoreError::*;
    let store = [
        ConcurrencyViolation { expected: 3, actual: 4 },
        RowSettled,
        InDoubt(sql_error()),
        Unsettled(sql_error()),
        Failed(SqlError { statement: "INSERT INTO events", ..sql_error() }),
        Superseded { own: 2, newest: 3 },
        OtherTenants { names: text("acme, other") },
        NoLog(text("memory")),
        Damaged(text("event 3 has no params")),
        RowSettled,
    ]
    .map(|error| match error {
        ConcurrencyViolation { .. } | InDoubt(_) | Unsettled(_) | Failed(_) => error,
        Superseded { .. } | OtherTenants { .. } | NoLog(_) | Damaged(_) | RowSettled => error,
    });
    let spec = spec::parse("x.toml", "[automaton", false).expect_err("no TOML");
    let specs =
        [SpecsError::Spec(spec), SpecsError::Two(text("Session"))].map(|error| match error {
            SpecsError::Spec(_) | SpecsError::Two(_) => error,
        });
    let start = [
        StartError::Zero("snapshot_every"),
        StartError::TooLarge("guests.memory_bytes", 268_435_456),
        StartError::Databases(text("permission denied")),
    ]
    .map(|error| match error {
        StartError::Zero(_) | StartError::TooLarge(..) | StartError::Databases(_) => error,
    });
    assert_snapshot!([lines(store), lines(specs), lines(start)].join("\n"));
}

const HEAD: &str = "[automaton]\nname = \"T\"\nstates = [\"A\", \"B\"]\ninitial = \"A\"\n";
const STATE: &str = "[[state]]\nname = \"x\"\n";
const ACTION: &str = "[[action]]\nname = \"Go\"\n";

/// Goal: the author of a spec is told file, line, column and key of what is wrong, and what was
/// perhaps meant. Method: one flaw a spec; the last has three.
#[test]
fn every_kind_of_message_about_a_spec() {
    let flaws = [
        format!("{HEAD}[[state]\n"),
        "[automaton]\nname = \"T\"\n".to_string(),
        format!("{HEAD}{STATE}type = \"string\"\noverflow_inline_max_byts = 3\n"),
        format!("{HEAD}{STATE}type = \"string\"\noverflow_ttl_seconds = 0\n"),
        format!("{HEAD}{STATE}type = \"string\"\noverflow_inline_max_bytes = \"1k\"\n"),
        format!("{HEAD}{STATE}type = \"list\"\noverflow_ttl_seconds = 5\n"),
        format!("{HEAD}{STATE}type = \"conter\"\n"),
        format!("{HEAD}{STATE}type = \"bool\"\ninitial = \"maybe\"\n"),
        format!("{HEAD}{ACTION}from = [\"A\", \"C\"]\n"),
        format!("{HEAD}{ACTION}guard = \"n == 3\"\n"),
        format!("{HEAD}{ACTION}effect = \"incrment n\"\n"),
        format!("{HEAD}{ACTION}effect = \"increment\"\n"),
        format!("{HEAD}{ACTION}params = [\"Status\"]\n"),
        format!("{HEAD}{ACTION}{ACTION}to = \"B\"\n"),
        format!("{HEAD}[[action]]\nname = 3\n"),
        format!("{HEAD}[[integration]]\nname = \"i\"\ntrigger = \"t\"\ntype = \"wasm\"\n"),
        format!("{HEAD}{ACTION}to = \"C\"\nretries = 3\n[[state]]\n"),
    ];
    let errors = flaws.iter().map(|text| {
        let parsed = spec::parse("t.ioa.toml", text, false);
        parsed.err().unwrap_or_else(|| panic!("a flaw is found in\n{text}"))
    });
    assert_snapshot!(lines(errors));
}
