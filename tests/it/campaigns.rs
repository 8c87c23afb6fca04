//! Campaigns as people and machines end them: what was found until then is on the host's disk, whatever dies.

use crate::command::{Ran, broken, line, passed, stormglass};
use crate::processes::{children, signal, state, until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// An out folder of a test's own, empty.
fn out(name: &str) -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if out.exists() {
        fs::remove_dir_all(&out).expect("the folder for tests can be written");
    }
    out
}

fn words(out: &Path, arguments: &[&str]) -> Vec<String> {
    let out = out.to_str().expect("a path of plain letters");
    [&["campaign", "--out", out], arguments].concat().into_iter().map(str::to_string).collect()
}

/// A campaign in the background.
fn start(out: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stormglass"));
    command.args(words(out, arguments)).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the binary of this package starts")
}

/// The runs that a campaign has written down: every whole line.
fn runs(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("runs.jsonl")).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
    whole.lines().map(|line| serde_json::from_str(line).expect("a line is a run")).collect()
}

fn verdicts(runs: &[Value], verdict: &str) -> usize {
    runs.iter().filter(|run| run["verdict"] == verdict).count()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Goal: a run whose process is shot is not lost, and accuses nobody. Method: `kill -9` of a worker in
/// the middle of a campaign; its seed is played again alone, which goes well.
#[test]
fn a_worker_that_is_killed_loses_no_run_and_is_reported_with_its_plan() {
    let out = out("killed-worker");
    let folder = out.join("0x0-all");
    let campaign = start(&out, &["--seeds", "0..150", "--jobs", "2"]);
    until(|| runs(&folder).len() >= 20);
    let worker = *children(campaign.id()).first().expect("a campaign has workers");
    signal("KILL", worker);
    let output = campaign.wait_with_output().expect("it ends");
    let told = text(&output);
    assert_eq!(output.status.code(), Some(3), "{told}");

    let runs = runs(&folder);
    let seeds: BTreeSet<&str> = runs.iter().filter_map(|run| run["seed"].as_str()).collect();
    assert_eq!((seeds.len(), runs.len()), (150, 150));
    assert_eq!((verdicts(&runs, "passed"), verdicts(&runs, "harness-broken")), (149, 1));
    let broken = runs.iter().find(|run| run["verdict"] == "harness-broken").expect("one");
    let seed = broken["seed"].as_str().expect("a seed is text");
    assert!(told.contains(&format!("HARNESS BROKEN seed {seed}")), "{told}");
    assert!(told.ends_with(" runs/s\n") && told.contains(", 1 harness error, "), "{told}");
    let bundle = folder.join(format!("broken-{seed}"));
    assert!(told.contains(&bundle.display().to_string()), "{told}");
    let replayed = passed(&["replay", bundle.to_str().expect("plain letters")]);
    assert!(replayed.contains("\nDIFFERENT "), "{replayed}");
}

/// Goal: what was found outlives the campaign. Method: `kill -9` of the campaign itself while it finds a
/// defect again and again.
#[test]
fn a_campaign_that_is_killed_leaves_its_runs_and_bundles_and_its_workers_end() {
    let out = out("killed-campaign");
    let folder = out.join("0x0-all-replay-drops-blobs");
    let seeds = ["--seeds", "0..1000000", "--jobs", "2", "--defect", "replay-drops-blobs"];
    let mut campaign = start(&out, &seeds);
    until(|| {
        let runs = runs(&folder);
        runs.len() >= 20 && verdicts(&runs, "violated") >= 5
    });
    let workers = children(campaign.id());
    assert!(workers.len() >= 2, "{workers:?}");
    signal("KILL", campaign.id());
    campaign.wait().expect("it is dead");
    // Who takes in orphans may leave them as zombies.
    let is_over = |worker: &u32| state(*worker).is_none_or(|(how, _)| how == "Z");
    until(|| workers.iter().all(is_over));

    let runs = runs(&folder);
    assert!(runs.len() >= 20, "{} runs", runs.len());
    // The bundle follows its line: the very last line may have none.
    for run in runs[..runs.len() - 1].iter().filter(|run| run["verdict"] == "violated") {
        let signature = serde_json::from_value(run["signature"].clone()).expect("a signature");
        let signature: stormglass_scenarios::verdict::Signature = signature;
        let places = ["", ".old"].map(|end| folder.join(signature.short() + end));
        let bundle = places.iter().find(|place| place.is_dir()).expect("each signature has one");
        let Ran { code, out, err } = stormglass(&["replay", bundle.to_str().expect("letters")]);
        assert_eq!(code, Some(1), "{out}{err}");
        assert!(out.contains("\nsame "), "{out}");
    }
}

/// Goal: Ctrl-C ends a campaign and not what it found. Method: SIGINT to the campaign alone, as its
/// workers, in groups of their own, do not get the terminal's.
#[test]
fn an_interrupted_campaign_sums_up_what_was_played() {
    let out = out("interrupted");
    let folder = out.join("0x0-all");
    let campaign = start(&out, &["--seeds", "0..1000000", "--jobs", "2"]);
    until(|| runs(&folder).len() >= 20);
    let workers = children(campaign.id());
    signal("INT", campaign.id());
    let output = campaign.wait_with_output().expect("it ends");
    let told = text(&output);
    assert_eq!(output.status.code(), Some(130), "{told}");
    let count = runs(&folder).len();
    let last = format!("interrupted: {count} runs, 0 findings (0 signatures), 0 harness errors, ");
    assert!(told.lines().last().is_some_and(|line| line.starts_with(&last)), "{last}\n{told}");
    assert!(workers.iter().all(|worker| state(*worker).is_none_or(|(how, _)| how == "Z")));
    let noise = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(noise.lines().all(|line| line.contains(" runs/s, ")), "{noise}");
}

/// Goal: a bundle is all that somebody else needs. Method: a campaign of a defect; its bundles are
/// replayed, opened and compared with what the summary says of them.
#[test]
fn each_signature_is_a_bundle_that_replays_and_whose_disk_opens() {
    let out = out("bundles");
    let arguments = ["--seeds", "0..60", "--jobs", "2", "--json", "--defect", "replay-drops-blobs"];
    let words = words(&out, &arguments);
    let Ran { code, out: told, err } =
        stormglass(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code, Some(1), "{told}{err}");
    let told: Value = serde_json::from_str(&told).expect("one JSON object");
    let summary = &told["result"];
    assert_eq!(summary["run_count"], 60);
    let failures = summary["failures"].as_array().expect("a list");
    assert!(!failures.is_empty(), "{told}");
    for failure in failures {
        let bundle = Path::new(failure["bundle"].as_str().expect("a path"));
        let read = |name: &str| fs::read_to_string(bundle.join(name)).expect(name);
        let recorded: Value = serde_json::from_str(&read("outcome.json")).expect("JSON");
        assert_eq!(recorded["signature"], failure["signature"]);
        assert_eq!(recorded["defect"], "replay-drops-blobs");
        assert!(failure["shrunk"].as_str().expect("words").contains(" steps to "), "{failure}");
        assert_eq!(
            (&recorded["is_confirmed"], recorded["shrunk"].is_object()),
            (&true.into(), true)
        );
        assert!(recorded["build"]["sqlite"].as_str().expect("text").starts_with("3."));
        let steps = |text: &str| text.matches("\"id\": ").count();
        assert!(steps(&read("plan.json")) <= 6, "{}", read("plan.json"));
        assert!(read("trace.jsonl").lines().count() > 20);
        let signature = failure["signature"]["place"].as_str().expect("text");
        assert!(broken(&read("story.txt")).ends_with(signature), "{}", read("story.txt"));
        let files = fs::read_dir(bundle.join("disk/data")).expect("the disk's files");
        let paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        assert!(paths.iter().any(|path| path.extension().is_some_and(|end| end == "db-wal")));
        for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "db")) {
            let database = fs::read(path).expect("a database");
            assert!(database.is_empty() || database.starts_with(b"SQLite format 3\0"));
        }
        let Ran { code, out, err } = stormglass(&["replay", bundle.to_str().expect("letters")]);
        assert_eq!(code, Some(1), "{out}{err}");
        assert!(out.contains("\nsame ") && !out.contains("\nmoved "), "{out}");
    }
}

#[test]
fn quiet_and_json_say_no_more_than_that() {
    let out = out("quiet");
    let run = |arguments: &[&str]| {
        let words = words(&out, arguments);
        passed(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let quiet = run(&["--seeds", "0..3", "--quiet"]);
    assert!(quiet.starts_with("3 runs, 0 findings (0 signatures), 0 harness errors, "), "{quiet}");
    assert_eq!(quiet.lines().count(), 1);
    let json: Value = serde_json::from_str(&run(&["--seeds", "0..3", "--json"])).expect("JSON");
    let json = &json["result"];
    assert_eq!((&json["run_count"], &json["passed_count"]), (&Value::from(3), &Value::from(3)));
    assert!(json["canary"].as_str().is_some_and(|words| words.contains(" found after ")), "{json}");
    // The same seeds again are another campaign, with a folder of its own.
    assert_eq!(fs::read_dir(&out).expect("the out folder").count(), 3);
}

/// Goal: what is left is little and still fails in the same way. Method: the first seed that finds a defect.
#[test]
fn shrink_keeps_the_failure_and_drops_the_rest() {
    let defect = ["--defect", "replay-drops-blobs"];
    let found = stormglass(&[&["run", "--count", "500", "--seed", "0"], &defect[..]].concat());
    let (_, seed) = line(&found.out, "reproduce").rsplit_once(' ').expect("a seed at the end");
    let Ran { code, out, err } = stormglass(&[&["shrink", "--seed", seed], &defect[..]].concat());
    assert_eq!(code, Some(1), "{out}{err}");
    // `29 steps to 2, 3 faults to 1 (16 runs, 0.1 s)`
    let words: Vec<&str> = line(&out, "  shrunk").split([' ', ',']).collect();
    let (before, after) = (words[0].parse::<u32>(), words[3].parse::<u32>());
    assert!(after.expect("a number") * 2 < before.expect("a number"), "{out}");
    let folder = line(&out, "minimal      cargo stormglass replay ");
    let Ran { code, out, .. } = stormglass(&["replay", folder.trim()]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("\nsame "), "{out}");
    let refused = stormglass(&["shrink", "--seed", "0", "--scenario", "sql"]);
    assert_eq!(refused.code, Some(2));
}

/// Goal: whoever has enough of many runs, or of a hunt, is told how much there was. Method: SIGINT to the command
/// alone, once its processes play.
#[test]
fn interrupted_runs_and_hunts_say_how_far_they_came() {
    let interrupted = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stormglass"));
        command.args(arguments).current_dir(env!("CARGO_TARGET_TMPDIR")).stdout(Stdio::piped());
        let called = command.spawn().expect("the binary of this package starts");
        until(|| !children(called.id()).is_empty());
        signal("INT", called.id());
        let output = called.wait_with_output().expect("it ends");
        let told = text(&output);
        assert_eq!(output.status.code(), Some(130), "{told}");
        told
    };
    let told = interrupted(&["run", "--count", "1000000"]);
    let last = told.lines().last().expect("a last line");
    assert!(last.starts_with("interrupted: "), "{told}");
    assert!(last.ends_with(" of 1000000 runs played"), "{told}");
    let hunt = ["put-ignores-expired", "no-barrier", "--seeds-max", "1000000"];
    let told = interrupted(&[&["defects", "--find"], &hunt[..]].concat());
    let last = "interrupted: 0 of 2 defects found, put-ignores-expired not finished, 1 not begun";
    assert_eq!(told.lines().last(), Some(last), "{told}");
    assert!(!told.contains("not found"), "{told}");
}
