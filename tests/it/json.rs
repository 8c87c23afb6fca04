//! What `--json` prints, held against its schema: every command's real output, and what a schema must refuse.

mod schema;

use crate::command::{Ran, file, stormglass};
use schema::Schema;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The committed schema.
fn schema() -> Schema {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/json.schema.json");
    Schema::read(&fs::read_to_string(path).expect("the schema is part of the checkout"))
}

/// Calls a command with `--json`: standard output is one object that the schema allows, and says the exit code.
fn told(arguments: &[&str], code: i32) -> Value {
    let ran = stormglass(&[arguments, &["--json"]].concat());
    let Ran { code: ended, out, err } = &ran;
    assert_eq!(*ended, Some(code), "{arguments:?}\n{out}{err}");
    let told: Value = serde_json::from_str(out)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error} in\n{out}{err}"));
    if let Err(why) = schema().allows(&told) {
        panic!("{arguments:?}: {why}\n{out}");
    }
    assert_eq!(out.lines().count(), 1, "{arguments:?}: one line\n{out}");
    assert_eq!(told["exit_code"], code, "{arguments:?}");
    told
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("the folder for tests can be written");
    }
    folder
}

fn words(path: &Path) -> &str {
    path.to_str().expect("plain letters")
}

#[test]
fn a_run_its_trace_its_plan_and_many_runs() {
    let run = ["run", "--scenario", "overflow", "--seed", "16"];
    let one = told(&run, 0);
    assert_eq!((&one["command"], &one["schema"]), (&"run".into(), &1.into()));
    assert_eq!(one["result"]["outcome"]["verdict"], "passed");
    assert_eq!(one["result"]["seed"], "0x10");
    let with_trace = told(&[&run[..], &["--trace"]].concat(), 0);
    assert!(with_trace["result"]["trace"].as_array().is_some_and(|records| records.len() > 100));
    assert!(one["result"].get("trace").is_none());
    let plan = told(&[&run[..], &["--plan"]].concat(), 0);
    assert_eq!(plan["result"]["plan"]["scenario"], "overflow");
    let found =
        told(&["run", "--seed", "0", "--count", "200", "--defect", "replay-drops-blobs"], 1);
    let runs = found["result"]["runs"].as_array().expect("a list");
    let last = runs.last().expect("one failed");
    assert!(last["outcome"]["verdict"]["violated"]["invariant"].is_string(), "{last}");
    told(&["run", "--scenario", "sql", "--seed", "1"], 0);
}

#[test]
fn a_call_that_cannot_be_carried_out_says_so_in_json() {
    let refused = told(&["run", "--defect", "nope"], 2);
    assert_eq!(refused["error"], "no defect `nope`; `stormglass list` names those there are");
    let unread = told(&["frobnicate"], 2);
    assert_eq!(unread["command"], "frobnicate");
    assert_eq!(unread["error"], "unrecognized subcommand 'frobnicate'");
    told(&["replay", "no-such-file.json"], 2);
    told(&["replay"], 2);
    let plan = file("json-step.json", &stormglass(&["run", "--seed", "1", "--plan"]).out);
    told(&["replay", words(&plan), "--step"], 2);
}

/// The way of a failure: a campaign that finds it, its bundle replayed and shrunk, each as JSON.
#[test]
fn a_campaign_a_replay_of_its_bundle_and_a_shrink() {
    let out = folder("json-campaign");
    let defect = ["--defect", "replay-drops-blobs"];
    let campaign = ["campaign", "--seeds", "0..40", "--out", words(&out)];
    let campaign = told(&[&campaign[..], &defect].concat(), 1);
    let failures = campaign["result"]["failures"].as_array().expect("a list");
    let bundle = failures[0]["bundle"].as_str().expect("a path");
    let replay = told(&["replay", bundle], 1);
    assert_eq!(replay["result"]["recorded"]["is_same"], true);
    assert_eq!(replay["result"]["defect"], "replay-drops-blobs");
    assert_eq!(replay["result"]["recorded"]["signature"], failures[0]["signature"]);
    let page = told(&["report", bundle], 0);
    assert!(page["result"]["report"].as_str().is_some_and(|path| Path::new(path).is_file()));
    let shrink = told(&["shrink", bundle], 1);
    assert_eq!(shrink["result"]["recorded"]["signature"], failures[0]["signature"]);
    told(&["replay", shrink["result"]["bundle"].as_str().expect("a path")], 1);
    // Nothing is found of a run that passes.
    told(&["shrink", "--seed", "16", "--scenario", "overflow"], 0);
    let healthy = told(&["campaign", "--seeds", "0..60", "--out", words(&out)], 0);
    assert_eq!(healthy["result"]["harness_error_count"], 0);
}

#[test]
fn a_run_that_was_left_in_its_middle() {
    let (plan, out) = (
        stormglass(&["run", "--seed", "16", "--scenario", "overflow", "--plan"]).out,
        folder("json-until"),
    );
    let plan = file("json-until.json", &plan);
    let left = told(&["replay", words(&plan), "--until", "4", "--out", words(&out)], 0);
    let stop = &left["result"]["stop"];
    assert_eq!(
        (&stop["before_steps"], &left["result"]["outcome"]),
        (&vec![4].into(), &Value::Null)
    );
    let model = fs::read_to_string(out.join("model.json")).expect("it was left");
    assert_eq!(stop["model"], serde_json::from_str::<Value>(&model).expect("JSON"));
    assert!(stop["files"].as_array().is_some_and(|files| files.len() >= 2), "{stop}");
}

#[test]
fn processes_that_agree_and_processes_that_do_not() {
    let check = ["check-determinism", "--scenario", "overflow", "--seed", "17"];
    let equal = told(&check, 0);
    assert!(equal["result"]["comparison"]["equal"]["record_count"].as_u64() > Some(100));
    let apart = told(&[&check[..], &["--defect", "planted-address"]].concat(), 3);
    let parting = &apart["result"]["comparison"]["differ"];
    assert_eq!(parting["fields"][0]["name"], "label", "{parting}");
    assert!(apart["result"]["bundle"].is_string());
}

#[test]
fn an_exploration_and_what_it_finds() {
    let explore = ["explore", "--seed", "42", "--states", "2"];
    let explored = told(&explore, 0);
    assert!(explored["result"]["total"]["recoveries"].as_u64() > Some(100));
    let with_defect = ["--defect", "wal-off", "--protocol", "atomic"];
    let found = told(&[&explore[..], &with_defect].concat(), 1);
    assert!(found["result"]["failures"][0]["bundle"].is_string(), "{found}");
}

#[test]
fn the_defects_and_a_hunt_for_one() {
    let known = told(&["defects"], 0);
    assert!(known["result"]["known"].as_array().is_some_and(|known| known.len() > 30));
    let hunt = ["defects", "--find", "replay-drops-blobs", "--ranges", "1", "--first", "0"];
    let hunted = told(&hunt, 0);
    assert_eq!(hunted["result"]["hunts"][0]["is_own"], true);
    let missed = [&hunt[..], &["--seeds-max", "1"]].concat();
    assert_eq!(told(&missed, 1)["result"]["not_found"][0], "replay-drops-blobs");
}

#[test]
fn specs_that_are_read_and_driven_and_the_list() {
    let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/specs");
    let cart = specs.join("cart.ioa.toml");
    let checked = told(&["spec", "check", words(&cart)], 0);
    assert_eq!(checked["command"], "spec check");
    let unsound = file("json-unsound.ioa.toml", "[automaton]\nname = \"X\"\n");
    let checked = told(&["spec", "check", words(&cart), words(&unsound)], 2);
    assert_eq!(checked["result"]["specs"][1]["is_sound"], false);
    let out = folder("json-drive");
    let driven = told(&["spec", "drive", words(&cart), "--seeds", "5", "--out", words(&out)], 0);
    assert_eq!(driven["result"]["specs"][0]["run_count"], 5);
    let list = told(&["list"], 0);
    assert!(list["result"]["invariants"].as_array().is_some_and(|all| all.len() > 20));
}

/// Goal: a live run says as JSON what it asked and what it was told, in the shape of the schema. Method: the deployed
/// server, killed twice.
#[test]
fn a_live_run_whose_server_comes_up() {
    let run = folder("json-live-up");
    let server = words(crate::live::program());
    let asked =
        ["live", "--server", server, "--kills", "2", "--seed", "7", "--folder", words(&run)];
    let live = told(&asked, 0);
    let result = &live["result"];
    assert!(result["harness_broken"].is_null() && result["seed"] == "0x7", "{live}");
    let report = &result["report"];
    assert_eq!((&report["kills"], &report["violations"]), (&2.into(), &Value::Array(Vec::new())));
    let count = |name: &str| report[name].as_u64().expect("a number");
    assert!(count("acknowledged") > 2 && count("events") >= count("kills"), "{live}");
    let answered = count("acknowledged") + count("rejected") + count("in_doubt");
    assert!(answered <= count("requests") && count("readings") > 0, "{live}");
}

/// A server that does not come up: nobody is accused, and the answer has the shape of any other.
#[test]
fn a_live_run_whose_server_does_not_come_up() {
    let out = folder("json-live");
    let live =
        told(&["live", "--server", "/bin/false", "--kills", "1", "--folder", words(&out)], 3);
    assert!(live["result"]["harness_broken"].is_string(), "{live}");
}

/// Goal: the other manners hold for every command. Method: each is quiet in at most a line a finding and the last one,
/// and prints no colour without being asked to, whatever the terminal.
#[test]
fn quiet_is_quiet_and_no_color_is_none() {
    let commands: [(&[&str], usize); 4] = [
        (&["run", "--scenario", "overflow", "--seed", "16"], 1),
        (&["run", "--seed", "0", "--count", "3"], 1),
        (&["check-determinism", "--seed", "16"], 1),
        (&["explore", "--seed", "42", "--states", "1"], 1),
    ];
    for (command, line_count) in commands {
        let Ran { code, out, err } = stormglass(&[command, &["--quiet"]].concat());
        assert_eq!((code, err.as_str()), (Some(0), ""), "{command:?}: {out}");
        assert_eq!(out.lines().count(), line_count, "{command:?}: {out}");
    }
    for command in [&["run", "--seed", "16"][..], &["list"], &["run", "--help"], &["frobnicate"]] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_stormglass"))
            .args(command)
            .env("NO_COLOR", "1")
            .env("CLICOLOR_FORCE", "0")
            .output()
            .expect("the binary of this package starts");
        for stream in [output.stdout, output.stderr] {
            assert!(!stream.contains(&0x1b), "{command:?} prints an escape");
        }
    }
}

/// Goal: a schema that allows everything is none. Method: what a command prints, with each member taken away, another
/// one added, or of another type, at every depth that is fixed.
#[test]
fn the_schema_refuses_what_no_command_prints() {
    let schema = schema();
    let good = told(
        &[
            "check-determinism",
            "--scenario",
            "overflow",
            "--seed",
            "17",
            "--defect",
            "planted-address",
        ],
        3,
    );
    let mut refused_count = 0;
    let mut must_refuse = |bad: &Value, what: &str| {
        assert!(schema.allows(bad).is_err(), "{what}: {bad}");
        refused_count += 1;
    };
    for pointer in
        ["", "/build", "/result", "/result/comparison/differ", "/result/comparison/differ/fields/0"]
    {
        let members = good.pointer(pointer).and_then(Value::as_object).expect("it has that");
        for name in members.keys() {
            let change = |with: Option<Value>| {
                let mut bad = good.clone();
                let object =
                    bad.pointer_mut(pointer).and_then(Value::as_object_mut).expect("there");
                match with {
                    Some(value) => object.insert(name.clone(), value),
                    None => object.remove(name),
                };
                bad
            };
            must_refuse(&change(None), &format!("without {pointer}/{name}"));
            if !pointer.ends_with("fields/0") || name == "name" {
                must_refuse(&change(Some(Value::Bool(true))), &format!("another {pointer}/{name}"));
            }
        }
        let mut bad = good.clone();
        let object = bad.pointer_mut(pointer).and_then(Value::as_object_mut).expect("there");
        object.insert("more".to_string(), Value::Null);
        must_refuse(&bad, &format!("more in {pointer}"));
    }
    assert!(refused_count > 40, "{refused_count}");
}
