//! Processes that explore a slice and die, are silent or are stopped: what they have told is kept, and so is what the
//! others explore. The explorers here are shell scripts, so that they do as told; at last they are real.

use crate::command::{file, stormglass};
use crate::processes::{children, signal, state, until};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use stormglass_scenarios::explore::report::{Counts, Report};
use stormglass_scenarios::explore::slices::{Explored, Slices};
use stormglass_scenarios::host::Stopwatch;
use stormglass_scenarios::plan::Plan;
use stormglass_scenarios::scenario::{self, Settings};
use stormglass_scenarios::verdict::Verdict;
use stormglass_scenarios::workers::Crew;
use stormglass_sim::Seed;

const PATIENT: Duration = Duration::from_secs(60);
/// Longer than a shell takes to start.
const IMPATIENT: Duration = Duration::from_secs(4);
/// An outcome that passed, of a run played alone.
const PASSES: &str = r#"echo '{"verdict":"passed","fingerprint":"0x1","op_count":1,"counts":{}}'"#;
const PANICS: &str = "echo \"thread 'main' ($$) panicked at src/a.rs:1:2:\" >&2; exit 101";

fn plan() -> Plan {
    scenario::plan("overflow", Seed(42), &Settings::default()).expect("it has plans")
}

/// A report of this many points of ten, all of one phase, and as many recoveries.
fn report(points: u64) -> Report {
    let counts = Counts { points, recoveries: points, ..Counts::default() };
    let phases = [("event".to_string(), counts)].into();
    Report { phases, points_in_all: 10, ..Report::default() }
}

/// Two slices: of the first one's process `dies` is said after four points, in its second recovery; the other comes to
/// its end. Whoever plays that recovery alone does what `alone` says.
fn explored(name: &str, (dies, alone): (&str, &str), silence_max: Duration) -> Explored {
    let json = |what: &str, value: String| {
        file(&format!("slices-{name}-{what}"), &value).display().to_string()
    };
    let of_report = |points| serde_json::to_string(&report(points)).expect("plain data");
    let (some, all) = (json("some", of_report(4)), json("all", of_report(10)));
    let plan_json = serde_json::to_string(&plan()).expect("plain data");
    let asked = json("plan", plan_json);
    let script = format!(
        r#"say() {{ printf '{{"%s":%s}}\n' $1 "$2"; }}
        [ $1 = --slice ] || exit 9
        say at 1
        if [ "$3" = --until ]; then [ $4 = 2 ] && say plan "$(cat {asked})"; exit; fi
        if [ $2 = 1/2 ]; then say done "$(cat {all})"; exit; fi
        say so-far "$(cat {some})"
        say at 2
        {dies}"#
    );
    let crew = |script: &str| {
        let arguments = ["-c", script, "sh"].map(str::to_string).to_vec();
        Crew { silence_max, ..Crew::new("sh".into(), arguments) }
    };
    let players = crew(&format!("read order; {alone}"));
    let slices =
        Slices { explorers: crew(&script), players, count: 2, plan: &plan(), told: &|_| {} };
    slices.explore().expect("a shell starts")
}

/// What both slices have explored, whatever became of the first one.
fn assert_kept(explored: &Explored) {
    let counts = explored.report.phases["event"];
    assert_eq!((counts.points, counts.recoveries), (4, 14), "{explored:?}");
    assert_eq!(explored.report.points_left(), 6);
    let [left] = &explored.left[..] else { panic!("{explored:?}") };
    assert!(left.starts_with("slice 0/2 from its recovery 2 on: its process "), "{left}");
    assert!(!explored.was_interrupted);
}

#[test]
fn a_recovery_that_kills_its_process_twice_is_a_finding_with_its_plan() {
    let explored = explored("panics", (PANICS, PANICS), PATIENT);
    assert_kept(&explored);
    let [found] = &explored.report.found[..] else { panic!("{explored:?}") };
    let Verdict::Violated(finding) = &found.verdict else { panic!("{found:?}") };
    assert_eq!((&*finding.invariant, &*finding.place), ("I21", "process died"));
    assert_eq!(finding.subject, "panicked at src/a.rs:1:2:");
    assert_eq!(found.plan, plan());
    assert_eq!((explored.report.total().violations, explored.broken.len()), (1, 0));
}

#[test]
fn a_recovery_that_never_ends_is_a_finding_with_its_plan() {
    let explored = explored("silent", ("read never", "read never"), IMPATIENT);
    assert_kept(&explored);
    let [found] = &explored.report.found[..] else { panic!("{explored:?}") };
    let Verdict::Violated(finding) = &found.verdict else { panic!("{found:?}") };
    assert_eq!((&*finding.invariant, &*finding.place), ("I21", "run without end"));
    assert_eq!(found.plan, plan());
}

/// Goal: whatever does not happen again, or comes from outside, accuses the harness. Method: a kill; a panic whose
/// recovery passes alone; one whose plan is not told.
#[test]
fn a_death_that_is_not_the_platforms_breaks_the_harness_and_loses_no_slice() {
    for (name, ends, told) in [
        ("killed", ("kill -9 $$", PASSES), "its process died with signal: 9"),
        ("once", (PANICS, PASSES), "played again alone it ended as it should"),
        ("babbles", ("echo hello; read never", PASSES), "printed what is no outcome: hello"),
    ] {
        let explored = explored(name, ends, PATIENT);
        assert_kept(&explored);
        assert_eq!(explored.report.found.len(), 0);
        let [broken] = &explored.broken[..] else { panic!("{explored:?}") };
        assert!(broken.starts_with("slice 0/2 at its recovery 2: "), "{broken}");
        assert!(broken.contains(told), "{broken}");
    }
}

/// An exploration that takes a while, in the background.
fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stormglass"));
    command.current_dir(Path::new(env!("CARGO_TARGET_TMPDIR")));
    command.args(["explore", "--seed", "42", "--jobs", "2"]).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the binary of this package starts")
}

/// Waits until both slices are explored for a while.
fn under_way(exploration: &Child) -> Vec<u32> {
    until(|| children(exploration.id()).len() >= 2);
    let watch = Stopwatch::start();
    until(|| watch.elapsed() >= Duration::from_secs(2));
    children(exploration.id())
}

fn ended(exploration: Child) -> (Option<i32>, String) {
    let Output { status, stdout, .. } = exploration.wait_with_output().expect("it ends");
    (status.code(), String::from_utf8(stdout).expect("text"))
}

/// Goal: a process that is shot loses no other's slice, and accuses nobody. Method: `kill -9` of one of two.
#[test]
fn an_explorer_that_is_killed_is_reported_with_what_the_others_explored() {
    let exploration = start(&["--depth", "2", "--recoveries-max", "20000"]);
    let explorers = under_way(&exploration);
    signal("KILL", explorers[0]);
    let (code, told) = ended(exploration);
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("HARNESS BROKEN slice ") && told.contains("signal: 9"), "{told}");
    assert!(told.contains(" of 539 points, or not by every process"), "{told}");
    let last = told.lines().last().expect("a last line");
    let recoveries = last.split(", ").nth(1).and_then(|words| words.strip_suffix(" recoveries"));
    assert!(recoveries.is_some_and(|n| n.parse::<u64>().is_ok_and(|n| n >= 1_500)), "{last}");
}

/// Goal: Ctrl-C ends an exploration and not what it has explored. Method: SIGINT to it alone, as its processes, in
/// groups of their own, do not get the terminal's.
#[test]
fn an_interrupted_exploration_tells_what_was_explored_and_what_is_left() {
    let exploration = start(&["--depth", "2"]);
    let explorers = under_way(&exploration);
    signal("INT", exploration.id());
    let (code, told) = ended(exploration);
    assert_eq!(code, Some(130), "{told}");
    let last = told.lines().last().expect("a last line");
    assert!(last.starts_with("interrupted: ") && last.contains(" 0 violations "), "{told}");
    let left = told.lines().find_map(|line| line.strip_prefix("not explored "));
    let count = left.and_then(|words| words.split_once(" of 539 points")?.0.parse::<u64>().ok());
    assert!(count.is_some_and(|count| (1..=539).contains(&count)), "{told}");
    assert!(explorers.iter().all(|one| state(*one).is_none_or(|(how, _)| how == "Z")));
}

#[test]
fn a_slice_is_told_of_to_whoever_asks_for_it() {
    let ran =
        stormglass(&["explore", "--seed", "42", "--states", "1", "--slice", "0/2", "--until", "3"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let last = ran.out.lines().last().expect("a line");
    assert!(last.starts_with(r#"{"plan":{"#), "{last}");
    assert!(ran.out.contains("{\"at\":2}\n") && !ran.out.contains("{\"at\":3}"), "{}", ran.out);
}
