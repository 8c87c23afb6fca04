//! A bundle on another machine: what differs is told, its files open, and a run can be stopped and looked at.

use crate::command::{Ran, file, line, passed, stormglass};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use stormglass_scenarios::build_info::Build;

/// A folder of a test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("the folder for tests can be written");
    }
    folder
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder for tests can be written");
    for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(path, to).expect("a file is copied");
        }
    }
}

/// A bundle of a found defect, made once and copied for each test.
fn bundle(name: &str) -> PathBuf {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        folder("replay-campaign");
        // A relative path, as a person has it: the story's commands name the folder as it was named.
        let out = ["--seeds", "0..40", "--out", "replay-campaign"];
        let defect = [&["--defect", "replay-drops-blobs"], &out[..]].concat();
        let Ran { code, out: told, err } = stormglass(&[&["campaign"], &defect[..]].concat());
        assert_eq!(code, Some(1), "{told}{err}");
        let bundle = line(&told, "  bundle");
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(bundle)
    });
    let to = folder(name);
    copy(found, &to);
    to
}

fn words(path: &Path) -> &str {
    path.to_str().expect("plain letters")
}

/// Goal: whoever replays a bundle with another build is told in what it differs, and that the run may. Method: every
/// part of the record is forged, and the fingerprint.
#[test]
fn another_build_is_named_part_by_part_and_the_fingerprint_with_it() {
    let bundle = bundle("replay-forged");
    let same = stormglass(&["replay", words(&bundle)]);
    assert_eq!(same.code, Some(1), "{}", same.out);
    assert!(same.out.contains("\nsame ") && !same.out.contains("\nbuild "), "{}", same.out);
    assert!(!same.out.contains("recorded was"), "{}", same.out);

    let outcome = bundle.join("outcome.json");
    let mut recorded: Value = serde_json::from_str(&text(&outcome)).expect("JSON");
    let parts = ["version", "commit", "lock", "rustc", "target", "sqlite", "libsql", "wasmtime"];
    let this = serde_json::to_value(Build::this()).expect("plain data");
    for part in parts {
        assert!(this[part].as_str().is_some_and(|value| !value.is_empty()), "{part}");
        recorded["build"][part] = "forged".into();
    }
    recorded["outcome"]["fingerprint"] = "0123456789abcdef".into();
    fs::write(&outcome, recorded.to_string()).expect("the bundle can be written");
    let Ran { code, out, .. } = stormglass(&["replay", words(&bundle)]);
    assert_eq!(code, Some(1), "another build is no broken harness: {out}");
    let told: Vec<&str> = out.lines().filter(|line| line.starts_with("build ")).collect();
    let heads =
        ["harness", "commit", "Cargo.lock", "rustc", "target", "SQLite", "libsql", "wasmtime"];
    for ((line, head), part) in told.iter().zip(heads).zip(parts) {
        let is = this[part].as_str().expect("text");
        // A change of the checkout while this test runs is none of the bundle's.
        let start = format!("build        another: {head} forged -> ");
        assert!(line.starts_with(&start) && (part == "commit" || line.ends_with(is)), "{line}");
    }
    assert_eq!(told.len(), heads.len(), "{out}");
    let fingerprint =
        "\nfingerprint  recorded was 0123456789abcdef; another build may make another run";
    assert!(out.contains(fingerprint) && out.contains("\nsame "), "{out}");

    // From before there was a hash of the lock.
    recorded["build"].as_object_mut().expect("an object").remove("lock");
    fs::write(&outcome, recorded.to_string()).expect("the bundle can be written");
    let Ran { out, .. } = stormglass(&["replay", words(&bundle)]);
    assert!(out.contains("\nbuild        another: Cargo.lock unknown -> "), "{out}");
}

/// Goal: nothing of the host that made a bundle matters. Method: it is moved, and replayed from elsewhere with
/// another environment, by a relative path.
#[test]
fn a_bundle_is_replayed_wherever_it_is_put() {
    let moved = bundle("replay-moved");
    let files = ["plan.json", "outcome.json", "story.txt", "trace.jsonl"];
    let home = env!("CARGO_MANIFEST_DIR").trim_end_matches("scenarios");
    for name in files {
        assert!(!text(&moved.join(name)).contains(home), "{name} names a place of this host");
    }
    let here = folder("replay-elsewhere");
    fs::create_dir_all(here.join("deep")).expect("the folder for tests can be written");
    fs::rename(&moved, here.join("deep/b")).expect("it is moved");
    let output = Command::new(env!("CARGO_BIN_EXE_stormglass"))
        .args(["replay", "deep/b"])
        .current_dir(&here)
        .env_clear()
        .output()
        .expect("the binary of this package starts");
    let told = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("\nsame ") && !told.contains("\nmoved "), "{told}");
    assert_eq!(fs::read_dir(&here).expect("the folder").count(), 1, "a replay leaves nothing");
}

/// The tables' names by the SQLite shell; nothing where there is none.
fn tables(database: &Path) -> Option<String> {
    let output = Command::new("sqlite3")
        .arg(database)
        .arg("PRAGMA integrity_check; SELECT name FROM sqlite_schema WHERE type = 'table';")
        .output()
        .ok()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    Some(told)
}

/// Whether every database beneath a folder can be opened by SQLite's shell; at least one has the platform's tables.
fn open_in_the_shell(folder: &Path) {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("one").path());
    let databases = entries.filter(|path| path.extension().is_some_and(|end| end == "db"));
    let mut with_tables = 0;
    for database in databases {
        let Some(told) = tables(&database) else {
            println!("SKIPPED: there is no sqlite3 here");
            return;
        };
        assert!(told.starts_with("ok\n"), "{}: {told}", database.display());
        with_tables += usize::from(["events", "blobs"].iter().all(|name| told.contains(name)));
    }
    assert!(with_tables > 0, "{}", folder.display());
}

#[test]
fn the_databases_of_a_bundle_open_in_the_sqlite_shell() {
    open_in_the_shell(&bundle("replay-shell").join("disk/data"));
}

/// A plan with several steps, on the host's disk.
fn plan(name: &str) -> PathBuf {
    file(name, &passed(&["run", "--scenario", "overflow", "--seed", "315", "--plan"]))
}

/// Goal: a run can be looked at in its middle. Method: it is stopped before its fourth step, whose second made
/// an entity: its rows are in the database files, and the model knows them.
#[test]
fn a_run_is_left_before_a_step_with_its_files_and_what_the_model_knows() {
    let (plan, out) = (plan("until.json"), folder("until"));
    let until = ["replay", words(&plan), "--until", "4", "--out", words(&out)];
    let told = passed(&until);
    assert!(told.contains("step 3   client") && !told.contains("step 4   client"), "{told}");
    assert!(told.contains("\nstopped      before step 4  client 2  Write tenant-1/s1"), "{told}");
    assert!(
        told.contains(&format!("\nlook         sqlite3 '{}/disk/data/", words(&out))),
        "{told}"
    );
    open_in_the_shell(&out.join("disk/data"));
    let model: Value = serde_json::from_str(&text(&out.join("model.json"))).expect("JSON");
    let entities = model["entities"].as_array().expect("a list");
    let known = entities.iter().find(|entity| entity["tenant"] == "tenant-1").expect("step 2's");
    assert_eq!(known["pasts"][0]["existence"], "live", "{known}");
    assert_eq!(known["pasts"][0]["fields"]["draft"]["size_bytes"], 2000, "{known}");
    assert_eq!(known["pasts"].as_array().map(Vec::len), Some(1), "{known}");
    assert!(model["pending"].as_array().is_some_and(|pending| !pending.is_empty()), "{model}");
    assert!(model["blobs_when_last_read"].is_object() && model["utc_ms"].is_i64(), "{model}");

    // Again, into the same folder; and never over what is something else's.
    assert_eq!(passed(&until), told);
    let other = folder("until-other");
    fs::create_dir_all(&other).expect("the folder for tests can be written");
    let refused = ["replay", words(&plan), "--until", "3", "--out", words(&other)];
    let Ran { code, err, .. } = stormglass(&refused);
    assert!(code == Some(2) && err.contains("is there already"), "{err}");
    let refused = stormglass(&["replay", words(&plan), "--until", "99"]);
    assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""));
    assert!(
        refused.err.starts_with("error: no step 99 in the plan; it has 1, 2, 3"),
        "{}",
        refused.err
    );
    let told = passed(&["replay", words(&plan), "--until", "end", "--out", words(&out)]);
    assert!(told.contains("\nstopped      before the run's own checks"), "{told}");

    // A plan that fails before: it is left as it failed.
    let failing = ["run", "--scenario", "overflow", "--seed", "0", "--plan"];
    let failing = file("until-failing.json", &passed(&failing));
    let out = folder("until-failing");
    let until = ["--until", "end", "--out", words(&out), "--defect", "replay-drops-blobs"];
    let told = stormglass(&[&["replay", words(&failing)], &until[..]].concat());
    let ended = "\nended        before its end: it failed\nfile         ";
    assert!(told.code == Some(1) && told.out.contains(ended), "{}", told.out);
    let model = format!("\nmodel        {}/model.json, as it stood", words(&out));
    assert!(told.out.contains(&model) && out.join("model.json").is_file(), "{}", told.out);
}

fn stepped(plan: &Path, arguments: &[&str], keys: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_stormglass"))
        .args(["replay", words(plan), "--step"])
        .args(arguments)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary of this package starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let _ = stdin.write_all(keys.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

fn out_of(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// Goal: looking changes nothing. Method: the same run alone, and by key to its end; and its story is whole.
#[test]
fn a_run_by_key_has_the_trace_that_it_has_alone() {
    let plan = plan("step.json");
    let alone = passed(&["replay", words(&plan)]);
    for keys in ["\n\n\n\n\n\n\n\n\n\n\n\n\n", "\ns\n?\n\nc\n", ""] {
        let output = stepped(&plan, &[], keys);
        let told = out_of(&output);
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert_eq!(line(&told, "fingerprint"), line(&alone, "fingerprint"), "{keys:?}");
        let story = |text: &str| -> Vec<String> {
            text.lines().filter(|line| line.starts_with("  t+")).map(str::to_string).collect()
        };
        let (by_key, whole) = (story(&told), story(&alone));
        assert_eq!(by_key.len(), whole.len(), "{keys:?}");
        // What a boot comes to replay is added to its line, which was told before.
        let is_told = |(now, then): (&String, &String)| then.starts_with(now.as_str());
        assert!(by_key.iter().zip(&whole).all(is_told), "{keys:?}: {told}");
    }
    let told = out_of(&stepped(&plan, &[], "\nw\ns\nx\nc\n"));
    assert!(told.contains("next         step 1  client 2  Create s0 "), "{told}");
    assert!(told.contains("next         at once: step 2  client 1  Create tenant-1/s1 "), "{told}");
    assert!(!told.contains("next         step 4 "), "c asks no more: {told}");
    assert!(told.contains("  the model has not heard of it\n"), "{told}");
    // What was learnt since the last stop, and nothing of what was known then.
    let told = out_of(&stepped(&plan, &[], "\n\ns\n\ns\nc\n"));
    let stops: Vec<&str> = told.split("\nnext  ").skip(1).collect();
    let [_, _, first, second] = stops[..4] else { panic!("four stops: {told}") };
    assert!(first.contains("\n    pasts[0].existence = \"live\""), "{first}");
    assert!(!second.contains("existence"), "{second}");
    assert!(told.contains("Enter: play the next"), "{told}");
}

#[test]
fn a_run_by_key_can_be_left_and_shows_what_the_model_knows() {
    let (plan, out) = (plan("leave.json"), folder("left"));
    let output = stepped(&plan, &["--out", words(&out)], "\n\nw\nq\n");
    let told = out_of(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("\"existence\": \"live\""), "{told}");
    assert!(told.contains("\nstopped      before step 4 "), "{told}");
    assert!(out.join("model.json").is_file() && out.join("disk/data").is_dir());
    // What stands before --until is asked for, what comes after is not.
    let both = stepped(&plan, &["--until", "2", "--out", words(&out)], "\n\n\n\n");
    let told = out_of(&both);
    assert!(told.contains("\nstopped      before at once: step 2 "), "{told}");
}
