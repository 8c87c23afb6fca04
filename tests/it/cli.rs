//! The command line's promises: what is no good is refused in one line with its place and what would
//! mend it, and an exit code says how it went.

use crate::command::{Ran, file, folder, passed, stormglass};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use stormglass_scenarios::verdict::{Finding, Verdict};

/// The one line that a refused call prints. Nothing else is printed, and nothing is played.
fn refused(arguments: &[&str]) -> String {
    let Ran { code, out, err } = stormglass(arguments);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}: {err}");
    let line = err.strip_suffix('\n').expect("a whole line");
    assert!(!line.contains('\n'), "{arguments:?}: {err}");
    line.strip_prefix("error: ").expect("the line says that it is an error").to_string()
}

fn refused_plan(name: &str, text: &str) -> String {
    let path = file(name, text);
    let path = path.to_str().expect("a path of plain letters");
    let message = refused(&["replay", path]);
    let (place, message) = message.split_once(": ").expect("place and message");
    assert_eq!(place, path);
    message.to_string()
}

#[test]
fn a_name_or_number_that_is_none_is_refused_in_one_line() {
    let seed =
        "is no seed: give a decimal number, 0x and up to 16 hex digits, or a commit hash of 40";
    let cases: &[(&[&str], String)] = &[
        (
            &["run", "--scenario", "nope"],
            "no scenario `nope`; there are overflow, ttl, dedup, restart, tenants, http, sweeper, spec-change, wasm, sql".into(),
        ),
        (
            &["run", "--defect", "nope"],
            "no defect `nope`; `stormglass list` names those there are".into(),
        ),
        (
            &["run", "--seed", "banana"],
            format!("invalid value 'banana' for '--seed <SEED>': `banana` {seed}"),
        ),
        (&["run", "--seed", "0x"], format!("invalid value '0x' for '--seed <SEED>': `0x` {seed}")),
        (
            &["run", "--protocol", "x"],
            "invalid value 'x' for '--protocol <PROTOCOL>' [possible values: event-then-blobs, \
             blobs-then-event, atomic]"
                .into(),
        ),
        (
            &["run", "--count", "0"],
            "invalid value '0' for '--count <COUNT>': it must be at least 1".into(),
        ),
        (
            &["explore", "--states", "0"],
            "invalid value '0' for '--states <K>': it must be at least 1".into(),
        ),
        (
            &["campaign", "--jobs", "0"],
            "invalid value '0' for '--jobs <JOBS>': it must be at least 1".into(),
        ),
        (
            &["live", "--kills", "0"],
            "invalid value '0' for '--kills <KILLS>': it must be at least 1".into(),
        ),
        (
            &["campaign", "--seeds", "5..5"],
            "invalid value '5..5' for '--seeds <SEEDS>': the range holds no seed".into(),
        ),
        (
            &["campaign", "--seeds", "9..5"],
            "invalid value '9..5' for '--seeds <SEEDS>': the range holds no seed".into(),
        ),
        (
            &["campaign", "--seeds", "5"],
            "invalid value '5' for '--seeds <SEEDS>': give a range such as 0..1000".into(),
        ),
        (
            &["campaign", "--seeds", "a..5"],
            format!("invalid value 'a..5' for '--seeds <SEEDS>': `a` {seed}"),
        ),
        (&["run", "--scenario", "sql", "--plan"], "scenario `sql` has no plans".into()),
        (
            &["run", "--scenario", "sql", "--defect", "no-barrier"],
            "--defect is the platform's, which scenario `sql` is without".into(),
        ),
        (
            &["run", "--scenario", "sql", "--protocol", "atomic"],
            "--protocol is the platform's, which scenario `sql` is without".into(),
        ),
    ];
    for (arguments, expected) in cases {
        assert_eq!(refused(arguments), *expected);
    }
}

/// Goal: whoever looks at the first lines of a trace is told of no error. Method: nobody reads at all.
#[test]
fn a_reader_that_went_away_is_no_error() {
    let mut run = Command::new(env!("CARGO_BIN_EXE_stormglass"))
        .args(["run", "--seed", "1", "--trace"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary of this package starts");
    drop(run.stdout.take());
    let ended = run.wait_with_output().expect("it ends");
    let err = String::from_utf8(ended.stderr).expect("it prints text");
    assert_eq!(ended.status.code(), Some(0), "{err}");
    assert!(err.contains("passed") && !err.contains("error"), "{err}");
}

/// Goal: the lines of many runs stand in columns. Method: fresh runs of several scenarios.
#[test]
fn many_runs_stand_in_columns() {
    let told = passed(&["run", "--seed", "12", "--count", "8"]);
    let at = |line: &str| line.find(" ops  ").map(|end| line[..end].chars().count());
    let columns: BTreeSet<usize> = told.lines().filter_map(at).collect();
    assert_eq!(columns.len(), 1, "{told}");
}

/// Goal: the control tells what it is played with as other runs do, and not as Rust would write it.
#[test]
fn the_control_tells_its_settings_in_words() {
    let told = passed(&["run", "--scenario", "sql", "--seed", "3"]);
    // Wherever its lines end.
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    let settings = "2 connections, journal DELETE, synchronous EXTRA, sectors of 4096 bytes, kept beside a torn write";
    assert!(told.contains(settings), "{told}");
    let of_eight = (0..8).map(|seed| format!("{seed:#x}"));
    for seed in of_eight {
        let told = stormglass(&["run", "--scenario", "sql", "--seed", &seed]).out;
        assert!(!told.contains(" { "), "{told}");
    }
}

#[test]
fn a_call_that_is_none_is_refused_in_one_line() {
    let cases: &[(&[&str], &str)] = &[
        (&["frobnicate"], "unrecognized subcommand 'frobnicate'"),
        (
            &["run", "--sed", "3"],
            "unexpected argument '--sed' found; tip: a similar argument exists: '--seed'",
        ),
        (&["run", "--trace", "--plan"], "the argument '--trace' cannot be used with '--plan'"),
        (&["replay"], "the following required arguments were not provided: <BUNDLE|PLAN>"),
        (&["run", "--seed"], "a value is required for '--seed <SEED>' but none was supplied"),
    ];
    for (arguments, expected) in cases {
        assert_eq!(refused(arguments), *expected);
    }
    // The value itself may hold line breaks.
    assert!(refused(&["run", "--scenario", "a\nb"]).starts_with("no scenario `a b`"));
    assert!(refused(&["run", "--seed", "a\n\nUsage: b"]).starts_with("invalid value 'a"));
}

#[test]
fn a_plan_that_is_none_is_refused_with_file_and_place() {
    let plan = passed(&["run", "--seed", "1", "--plan"]);
    let cut: String = plan.split_inclusive('\n').take(12).collect();
    assert_eq!(
        refused_plan("cut.json", &cut),
        "not a plan: EOF while parsing a value at line 13 column 0"
    );
    assert_eq!(
        refused_plan("empty.json", ""),
        "not a plan: EOF while parsing a value at line 1 column 0"
    );
    let other_version = plan.replacen("\"version\": 1", "\"version\": 9", 1);
    assert_eq!(
        refused_plan("version.json", &other_version),
        "plan of version 9, this build reads version 1"
    );
    let other_scenario = plan.replacen("\"overflow\"", "\"nope\"", 1);
    assert_eq!(
        refused_plan("scenario.json", &other_scenario),
        "plan of unknown scenario `nope`; `stormglass list` names those there are"
    );
    let sector = "\"sector_size_bytes\": ";
    let no_sector = plan.replacen(&format!("{sector}512"), &format!("{sector}0"), 1);
    let no_sector = no_sector.replacen(&format!("{sector}4096"), &format!("{sector}0"), 1);
    assert_eq!(
        refused_plan("sector.json", &no_sector),
        "plan with a sector_size_bytes of 0, it must be at least 1"
    );
    let unknown_key = plan.replacen("\"idle_ms\"", "\"idle\"", 1);
    let message = refused_plan("key.json", &unknown_key);
    assert!(message.starts_with("not a plan: unknown field `idle`, expected one of "), "{message}");
    assert!(message.ends_with(" at line 16 column 8"), "{message}");
    let not_a_number = plan.replacen("\"version\": 1", "\"version\": \"1\"", 1);
    assert_eq!(
        refused_plan("text.json", &not_a_number),
        "not a plan: invalid type: string \"1\", expected u32 at line 2 column 16"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = concat!(env!("CARGO_TARGET_TMPDIR"), "/no-such-plan.json");
    let what = "no folder of a bundle (with plan.json and outcome.json), and no plan's file";
    let empty = folder("no-bundle", "");
    for path in [missing, empty.to_str().expect("a path of plain letters")] {
        assert_eq!(refused(&["replay", path]), format!("{path}: {what}"));
        assert_eq!(refused(&["shrink", path]), format!("{path}: {what}"));
    }
}

#[test]
fn version_and_help_go_to_standard_output() {
    let version = format!("stormglass {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(passed(&["--version"]), version);
    assert!(passed(&["--help"]).contains("\nUsage: stormglass [OPTIONS] <COMMAND>\n"));
    // Without a command there is help too, but not what was asked for.
    let Ran { code, out, err } = stormglass(&[]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("\nUsage: stormglass [OPTIONS] <COMMAND>\n"), "{err}");
}

/// Goal: a script can tell a pass from a finding. Method: one defect that its first seed finds, with
/// each command that plays.
#[test]
fn the_exit_code_of_every_command_is_its_verdict() {
    let plan =
        file("verdict.json", &passed(&["run", "--scenario", "restart", "--seed", "8", "--plan"]));
    let plan = plan.to_str().expect("a path of plain letters");
    let commands: [&[&str]; 4] = [
        &["run", "--scenario", "restart", "--seed", "8"],
        &["run", "--scenario", "restart", "--seed", "8", "--trace"],
        &["campaign", "--scenario", "restart", "--seeds", "8..9"],
        &["replay", plan],
    ];
    for command in commands {
        let healthy = stormglass(command);
        assert_eq!(healthy.code, Some(0), "{command:?}: {}", healthy.out);
        let broken = stormglass(&[command, &["--defect", "replay-drops-blobs"]].concat());
        assert_eq!(broken.code, Some(1), "{command:?}: {}", broken.out);
        let told = broken.out + &broken.err;
        assert!(told.contains(" I18 ") || told.contains(" I5 "), "{command:?}: {told}");
    }
}

/// A finding and a broken harness are never mixed up: each verdict has a code of its own.
#[test]
fn each_verdict_has_its_exit_code() {
    let finding = Finding {
        invariant: "I5".to_string(),
        statement: String::new(),
        place: String::new(),
        step_kind: String::new(),
        subject: String::new(),
        expected: String::new(),
        actual: String::new(),
        because: String::new(),
    };
    assert_eq!(Verdict::Passed.exit_code(), 0);
    assert_eq!(Verdict::Violated(finding).exit_code(), 1);
    assert_eq!(Verdict::HarnessBroken(String::new()).exit_code(), 3);
}
