//! Non-determinism that is planted: each kind is reported with the record where the runs part, and accuses
//! nobody. The clock and the draw are this binary's alone, which plays its own runs as a child.

#![expect(
    unsafe_code,
    reason = "a raw system call and a C thread are what the harness is to notice"
)]

use crate::command::{Ran, line, stormglass};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use stormglass_scenarios::determinism::{self, Compared, Comparison, Parting};
use stormglass_scenarios::planted::{self, Place, Plant};
use stormglass_scenarios::runner::PlayOptions;
use stormglass_scenarios::scenario::{self, Settings};
use stormglass_scenarios::threads;
use stormglass_scenarios::verdict::Verdict;
use stormglass_sim::Seed;

/// What a child of this test plants.
const PLANT: &str = "STORMGLASS_TEST_PLANT";
/// Which scenario it plays.
const SCENARIO: &str = "STORMGLASS_PLANTED_SCENARIO";

/// Nanoseconds of the host's clock, by a system call that the simulated runtime does not see.
fn raw_clock() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime(2) writes a timespec where it is told to.
    let failed =
        unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_REALTIME, &raw mut time) };
    assert_eq!(failed, 0, "there is a clock");
    time.tv_nsec as u64
}

/// Below a second, so that the platform's clock stays near the simulated one.
fn raw_milliseconds() -> u64 {
    raw_clock() / 1_000 % 1_000
}

/// A draw of getrandom 0.2, which makes its system call by number.
fn drawn() -> u64 {
    let mut bytes = [0; 8];
    getrandom_02::getrandom(&mut bytes).expect("the host has random bytes");
    u64::from_le_bytes(bytes)
}

fn address() -> u64 {
    let here = Box::new(0_u8);
    std::ptr::from_ref::<u8>(&here).addr() as u64
}

/// A thread that C code starts: the runtime refuses only those of the standard library.
fn c_thread() -> u64 {
    extern "C" fn wait(_: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: sleep(3) takes any number.
        unsafe { libc::sleep(60) };
        std::ptr::null_mut()
    }
    static STARTED: std::sync::Once = std::sync::Once::new();
    STARTED.call_once(|| {
        let mut thread: libc::pthread_t = 0;
        let (attributes, argument) = (std::ptr::null(), std::ptr::null_mut());
        // SAFETY: pthread_create(3) writes a thread's id; null attributes are the default ones.
        let failed = unsafe { libc::pthread_create(&raw mut thread, attributes, wait, argument) };
        assert_eq!(failed, 0, "a thread starts");
    });
    0
}

fn plant(name: &str) -> Option<Plant> {
    let (place, value): (_, fn() -> u64) = match name {
        "nothing" => return None,
        "raw clock" => (Place::Clock, raw_milliseconds),
        "getrandom 0.2" => (Place::Name, drawn),
        "address" => (Place::Name, address),
        "C thread" => (Place::Name, c_thread),
        other => panic!("no plant {other}"),
    };
    Some(Plant { place, value })
}

/// The child: plays one run with what it is told to plant, prints its trace, and ends before the test harness
/// says how long it took.
#[test]
fn a_child_plays_what_it_is_told() {
    let Ok(name) = std::env::var(PLANT) else { return };
    planted::plant(plant(&name));
    threads::watch();
    let options = PlayOptions { keep_trace: true, checks: true };
    let scenario = std::env::var(SCENARIO).unwrap_or("overflow".to_string());
    let played = scenario::play(&scenario, Seed(16), &Settings::default(), options)
        .expect("a scenario's name")
        .expect("this process has no other world");
    let mut out = std::io::stdout().lock();
    for record in &played.records {
        writeln!(out, "{}", serde_json::to_string(record).expect("plain data")).expect("a pipe");
    }
    writeln!(out, "verdict {}", played.outcome.verdict.in_words()).expect("a pipe");
    out.flush().expect("a pipe");
    std::process::exit(0);
}

fn child(name: &str) -> std::process::Command {
    let mut command =
        std::process::Command::new(std::env::current_exe().expect("a test binary has a path"));
    command
        .args(["planted::a_child_plays_what_it_is_told", "--exact", "--nocapture"])
        .env(PLANT, name);
    command
}

/// What two processes make of the same run with something planted.
fn compared(name: &str) -> Compared {
    let trace = || {
        let output = child(name).output().expect("this binary runs");
        String::from_utf8(output.stdout).expect("a trace is text")
    };
    Compared::of(&trace(), &trace())
}

/// Where they part; the sides are a record each, and differ in what is shown as differing.
fn parting(name: &str) -> Parting {
    let compared = compared(name);
    let Comparison::Differ(parting) = compared.comparison.clone() else {
        panic!("{name}: {:?}", compared.comparison)
    };
    let why = compared.why_broken().expect("such a harness is broken");
    let place = format!("the runs part at record {}, at t+", parting.record);
    assert!(why.contains(&place), "{why}");
    // It is the very record: all before it are equal, and this one is not.
    let [first, second] = compared.traces.each_ref().map(|trace| trace.lines().collect::<Vec<_>>());
    let at = parting.record - 1;
    assert_eq!(first[..at], second[..at], "{name}");
    assert_eq!(
        (parting.first.as_deref(), parting.second.as_deref()),
        (Some(first[at]), Some(second[at]))
    );
    assert_ne!(first[at], second[at], "{name}");
    assert_eq!(parting.before, first[at.saturating_sub(3)..at], "{name}");
    let sides =
        [first[at], second[at]].map(|side| serde_json::from_str::<Value>(side).expect("JSON"));
    assert!(!parting.fields.is_empty(), "{name}");
    for field in &parting.fields {
        assert_eq!(field.first.as_ref(), sides[0].get(&field.name), "{name}");
        assert_ne!(sides[0].get(&field.name), sides[1].get(&field.name), "{name}");
    }
    parting
}

fn names(parting: &Parting) -> Vec<&str> {
    parting.fields.iter().map(|field| field.name.as_str()).collect()
}

/// Goal: the comparison accuses nobody who is innocent. Method: the same child with nothing planted.
#[test]
fn with_nothing_planted_the_runs_are_equal() {
    let compared = compared("nothing");
    let Comparison::Equal { record_count } = compared.comparison else { panic!("{compared:?}") };
    assert!(record_count > 100 && compared.why_broken().is_none(), "{record_count} records");
}

/// The platform's clock is the host's: its time first shows in the bytes of an event that is written.
#[test]
fn a_clock_read_by_raw_system_call_is_reported_with_the_record() {
    let parting = parting("raw clock");
    let first: Value =
        serde_json::from_str(parting.first.as_deref().expect("a record")).expect("JSON");
    assert_eq!((&first["event"], &first["kind"]), (&"disk".into(), &"write".into()), "{parting:?}");
    assert_eq!(names(&parting), ["bytes"]);
}

#[test]
fn a_draw_of_getrandom_0_2_is_reported_with_the_record() {
    let parting = parting("getrandom 0.2");
    assert_eq!(names(&parting), ["label"], "{parting:?}");
    assert!(parting.first.expect("a record").contains("\"event\":\"point\""));
}

#[test]
fn an_address_that_reaches_the_trace_is_reported_with_the_record() {
    let parting = parting("address");
    assert_eq!(names(&parting), ["label"], "{parting:?}");
}

/// Goal: a thread in a run is noticed, whoever starts it. Method: one by pthread_create, which no runtime sees, in a
/// run of the platform and in one of the control.
#[test]
fn a_thread_that_c_code_starts_in_a_run_accuses_nobody() {
    if !Path::new("/proc/self/task").exists() {
        println!("SKIPPED: there is no /proc here");
        return;
    }
    for scenario in ["overflow", scenario::SQL] {
        let told = |plant: &str| {
            let output = child(plant).env(SCENARIO, scenario).output().expect("this binary runs");
            String::from_utf8(output.stdout).expect("text")
        };
        let text = told("C thread");
        assert!(
            line(&text, "verdict").starts_with("HARNESS BROKEN a thread was started in the run (`"),
            "{scenario}: {text}"
        );
        assert_eq!(line(&told("nothing"), "verdict"), "passed");
    }
}

/// Goal: the standard library's threads are named for what they are, and are nobody's finding. Method: the command.
#[test]
fn a_thread_started_in_a_run_is_a_broken_harness() {
    let run = ["run", "--scenario", "overflow", "--seed", "16", "--defect", "planted-thread"];
    let Ran { code, out, err } = stormglass(&run);
    assert_eq!(code, Some(3), "{out}{err}");
    assert!(out.contains("HARNESS BROKEN a thread was started in the run, where"), "{out}{err}");
    assert!(!out.contains("VIOLATED"), "{out}");
}

/// Goal: equal traces of a run that accuses nobody are no proof of anything. Method: a thread in both processes.
#[test]
fn a_run_that_is_broken_in_both_processes_is_broken() {
    let check = [
        "check-determinism",
        "--scenario",
        "overflow",
        "--seed",
        "18",
        "--defect",
        "planted-thread",
    ];
    let Ran { code, out, err } = stormglass(&check);
    assert_eq!(code, Some(3), "{out}{err}");
    assert!(out.contains("a thread was started in the run"), "{out}{err}");
}

/// A folder of a test's own, where its commands leave what they find.
fn out(name: &str) -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if out.exists() {
        std::fs::remove_dir_all(&out).expect("the folder for tests can be written");
    }
    out
}

fn lines_of(path: &Path) -> usize {
    std::fs::read_to_string(path).expect("a file of the bundle").lines().count()
}

/// Goal: whoever checks one seed gets both runs to look at. Method: an address, and the command's bundle.
#[test]
fn check_determinism_keeps_both_traces_and_says_where_they_part() {
    let check = [
        "check-determinism",
        "--scenario",
        "overflow",
        "--seed",
        "19",
        "--defect",
        "planted-address",
    ];
    let Ran { code, out, err } = stormglass(&check);
    assert_eq!(code, Some(3), "{out}{err}");
    assert!(
        out.contains(
            "HARNESS BROKEN two processes make other runs of it: the runs part at record "
        ),
        "{out}"
    );
    assert!(!out.contains("VIOLATED"), "{out}");
    let record: usize = {
        let (_, rest) = out.split_once("part at record ").expect("it is said");
        rest.split(',').next().expect("a number").parse().expect("a number")
    };
    let bundle = Path::new(env!("CARGO_TARGET_TMPDIR")).join(line(&out, "bundle"));
    assert!(lines_of(&bundle.join("trace.jsonl")) >= record);
    assert!(lines_of(&bundle.join("trace-second.jsonl")) >= record);
    let outcome = std::fs::read_to_string(bundle.join("outcome.json")).expect("an outcome");
    let outcome: Value = serde_json::from_str(&outcome).expect("JSON");
    let why = outcome["outcome"]["verdict"]["harness-broken"].as_str().expect("nobody is accused");
    assert!(why.contains(&format!("at record {record},")), "{why}");
    assert!(bundle.join("plan.json").is_file());
}

/// Goal: a campaign whose runs are not reproducible is broken, whatever else it found. Method: an address in every
/// run; one in fifty is played twice.
#[test]
fn a_campaign_over_runs_that_differ_is_broken_and_keeps_both_traces() {
    let out = out("planted-campaign");
    let folder = out.to_str().expect("plain letters");
    let campaign =
        ["campaign", "--scenario", "overflow", "--seeds", "0..51", "--defect", "planted-address"];
    let Ran { code, out: told, err } = stormglass(&[&campaign[..], &["--out", folder]].concat());
    assert_eq!(code, Some(3), "{told}{err}");
    assert!(
        told.contains("HARNESS BROKEN seed 0x0   two processes make other runs of it: "),
        "{told}"
    );
    assert!(told.contains("\nthe runs part at record "), "{told}");
    assert!(line(&told, "determinism").ends_with("2 came out otherwise"), "{told}");
    let mut kept = 0;
    for entry in std::fs::read_dir(&out).expect("the out folder").filter_map(Result::ok) {
        let bundle = entry.path().join("broken-0x0");
        if bundle.is_dir() {
            assert!(lines_of(&bundle.join("trace.jsonl")) > 10);
            assert!(lines_of(&bundle.join("trace-second.jsonl")) > 10);
            kept += 1;
        }
    }
    assert_eq!(kept, 1);
}

/// Goal: what the comparison is for can be asked of a plan, too. Method: a plan's file without and with a plant.
#[test]
fn a_plan_is_compared_as_a_seed_is() {
    let plan = stormglass(&["run", "--scenario", "overflow", "--seed", "16", "--plan"]).out;
    let plan = crate::command::file("compared.json", &plan);
    let program = Path::new(env!("CARGO_BIN_EXE_stormglass"));
    let words = |defect: &[&str]| {
        let words =
            [&["replay", "--trace"], defect, &[plan.to_str().expect("plain letters")]].concat();
        words.into_iter().map(str::to_string).collect::<Vec<_>>()
    };
    let equal = determinism::compare(program, &words(&[])).expect("it starts").comparison;
    assert!(matches!(equal, Comparison::Equal { record_count } if record_count > 100), "{equal:?}");
    let apart = determinism::compare(program, &words(&["--defect", "planted-address"]));
    let apart = apart.expect("it starts");
    assert!(matches!(apart.comparison, Comparison::Differ(_)), "{:?}", apart.comparison);
}

/// The controls are no part of what is promised: no list names them, and a name that is none is refused.
#[test]
fn no_list_names_what_is_planted() {
    for command in ["list", "defects"] {
        let told = stormglass(&[command]);
        assert!(told.code == Some(0) && !told.out.contains("planted"), "{}", told.out);
    }
    let Ran { code, err, .. } = stormglass(&["run", "--defect", "planted-nothing"]);
    assert_eq!((code, err.as_str()), (Some(2), "error: no control `planted-nothing`\n"));
}

/// Whatever is planted ends with its thread's word: the next run of the process is what it would have been.
#[test]
fn what_is_planted_can_be_taken_away() {
    let play = || {
        let options = PlayOptions { keep_trace: false, checks: true };
        let played = scenario::play("overflow", Seed(3), &Settings::default(), options);
        let played = played.expect("a scenario's name").expect("no other world in this thread");
        (played.outcome.verdict, played.outcome.fingerprint)
    };
    let before = play();
    planted::plant(plant("address"));
    let with = play();
    planted::plant(None);
    assert_ne!(with.1, before.1);
    assert_eq!((&before.0, play()), (&Verdict::Passed, before.clone()));
}
