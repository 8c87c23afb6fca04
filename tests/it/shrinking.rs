//! Shrinking as people call it: the same failure and no other, whatever interrupts it; what is kept; and plans
//! as Rust tests.

use crate::command::{
    Ran, assert_committed, broken, folder, line, masked, passed, plans_in, stormglass,
    stormglass_in,
};
use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use stormglass_scenarios::plan::Plan;
use stormglass_scenarios::workload::draw::use_other_generator;
use stormglass_scenarios::{defects, scenario};
use stormglass_sim::{Digest, Seed};

mod emitted {
    include!("emitted/replay_drops_blobs.rs");

    /// The test itself, for a process of its own.
    pub fn again() {
        i5_get_0fec628c();
    }
}

/// The defect of the emitted test.
const EMITTED: &str = "replay-drops-blobs";
/// Tells a copy of this binary to be another process of the test that started it.
const CHILD: &str = "STORMGLASS_SHRINKING_CHILD";

/// A copy of this binary that is to do only `test`, knowing `word`.
fn copy(test: &str, word: &str) -> (bool, String) {
    let output = Command::new(std::env::current_exe().expect("a test binary has a path"))
        .args([&format!("shrinking::{test}"), "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, word)
        .output()
        .expect("the test binary starts");
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&told).into_owned())
}

/// Goal: shrinking never leaves one failure for another. Method: two defects at once; each failure of the
/// campaign is shrunk to a plan that fails so, and of those that one defect alone makes fail, that one suffices.
#[test]
fn two_defects_planted_together_keep_two_signatures() {
    let both = ["key-order", "replay-drops-blobs"];
    let checkout = folder("two-defects", "");
    let arguments = ["campaign", "--seeds", "0..40", "--json", "--defect"];
    let planted = both.join("+");
    let Ran { out, .. } = stormglass_in(&checkout, &[&arguments[..], &[&planted]].concat());
    let summary: serde_json::Value = serde_json::from_str(&out).expect("one JSON object");
    let mut suffices = BTreeSet::new();
    let failures = summary["result"]["failures"].as_array().expect("a list");
    for failure in failures {
        let bundle = failure["bundle"].as_str().expect("a path");
        let replayed = stormglass_in(&checkout, &["replay", bundle]);
        assert_eq!(replayed.code, Some(1), "{}", replayed.out);
        assert!(replayed.out.contains("\nsame  "), "{}", replayed.out);
        let plan = format!("{bundle}/plan.json");
        for alone in both {
            let one = stormglass_in(&checkout, &["replay", &plan, "--defect", alone]);
            if one.code == Some(1) && broken(&one.out) == broken(&replayed.out) {
                suffices.insert(alone);
            }
        }
        let Ran { code, out, .. } = stormglass_in(&checkout, &["shrink", bundle]);
        assert_eq!((code, broken(&out)), (Some(1), broken(&replayed.out)), "{out}");
    }
    assert!(failures.len() >= 2, "{out}");
    assert_eq!(suffices, BTreeSet::from(both));
}

/// Host ticks of the processor that a process has used.
fn ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    fields.split(' ').nth(11).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

fn children(parent: u32) -> Vec<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// Waits until the workers of a process have worked for so long.
#[expect(
    clippy::disallowed_methods,
    reason = "other processes are waited for; no run is in this one"
)]
fn has_worked(process: &Child, enough: u64) {
    for _ in 0..6_000 {
        if children(process.id()).into_iter().map(ticks).sum::<u64>() >= enough {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain");
}

/// Goal: whoever has seen enough keeps what there is. Method: Ctrl-C in the middle of a long plan.
#[test]
fn an_interrupted_shrink_keeps_the_best_so_far() {
    let checkout = folder("interrupted", "");
    let what = ["--profile", "nightly", "--seed", "1"];
    let defect = ["--defect", "sweep-early"];
    let mut shrink = Command::new(env!("CARGO_BIN_EXE_stormglass"));
    shrink.arg("shrink").args(what).args(defect).current_dir(&checkout);
    let shrink = shrink.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    has_worked(&shrink, 20);
    let interrupt = format!("kill -INT {}", shrink.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().expect("a shell").success());
    let output = shrink.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(130), "{told}");
    let bundle = line(&told, "minimal      cargo stormglass replay ");
    let replayed = stormglass_in(&checkout, &["replay", bundle]);
    assert_eq!((replayed.code, broken(&replayed.out)), (Some(1), broken(&told)));
    // The same without Ctrl-C takes more runs, and comes to the same failure.
    let whole = stormglass_in(&checkout, &[&["shrink"], &what[..], &defect].concat());
    assert_eq!((whole.code, broken(&whole.out)), (Some(1), broken(&told)));
    let runs = |told: &str| -> u64 {
        let words = line(told, "  shrunk").split_once('(').expect("runs").1;
        words.split(' ').next().and_then(|count| count.parse().ok()).expect("a number")
    };
    assert!(runs(&told) < runs(&whole.out), "{told}{}", whole.out);
}

/// Goal: what is kept is the plan and what a person was told of it. Method: a folder of the test's own; the
/// regressions take none of a planted defect, and say where it goes.
#[test]
fn a_kept_plan_has_its_story_beside_it() {
    let checkout = folder("kept", "tests/regressions");
    fs::create_dir_all(checkout.join("elsewhere")).expect("it can be written");
    let (_, plan) = plans_in("defects").into_iter().find(|(name, _)| name == EMITTED).expect("it");
    let plan = plan.to_str().expect("a path of plain letters");
    let shrink = ["shrink", plan, "--defect", EMITTED, "--save"];
    let refused = stormglass_in(&checkout, &shrink);
    assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""));
    assert!(refused.err.contains("`--save tests/defects` keeps its plan"), "{}", refused.err);
    assert_eq!(fs::read_dir(checkout.join("tests/regressions")).expect("a folder").count(), 0);

    let Ran { code, out, .. } = stormglass_in(&checkout, &[&shrink[..], &["elsewhere"]].concat());
    assert_eq!(code, Some(1), "{out}");
    let kept = checkout.join(line(&out, "kept"));
    let story = fs::read_to_string(kept.with_extension("txt")).expect("its story");
    assert_eq!(broken(&story), broken(&out));
    assert!(masked(&out).starts_with(&masked(&story)[..story.find("\n  shrunk").expect("it")]));
    let text = fs::read_to_string(&kept).expect("the plan");
    assert!(Plan::from_json(&text).is_ok(), "{text}");
    let none = stormglass_in(&checkout, &["shrink", plan, "--save", "tests/defects"]);
    assert_eq!(none.code, Some(2), "{}", none.err);
}

/// Goal: a plan as a test needs nothing but this crate. Method: the committed text is what is printed, it is a
/// part of this binary, passes here, and fails in the same way where the defect is.
#[test]
fn an_emitted_test_fails_as_its_plan_does() {
    if let Ok(defect) = std::env::var(CHILD) {
        defects::plant(Some(&defect)).expect("a known defect");
        return emitted::again();
    }
    let (_, plan) = plans_in("defects").into_iter().find(|(name, _)| name == EMITTED).expect("it");
    let plan = plan.to_str().expect("a path of plain letters");
    let Ran { code, out, err } = stormglass(&["shrink", plan, "--defect", EMITTED, "--emit-test"]);
    assert_eq!((code, err.as_str()), (Some(1), ""), "{out}");
    assert_committed("tests/it/emitted/replay_drops_blobs.rs", &out);
    let told = stormglass(&["replay", plan, "--defect", EMITTED]).out;
    let (has_passed, said) = copy("an_emitted_test_fails_as_its_plan_does", EMITTED);
    assert!(!has_passed && said.contains(&format!("VIOLATED {}", broken(&told))), "{said}");
}

/// Goal: a failing plan found today fails after the generator is changed, in the same way to the last byte. Method:
/// two processes, one with another generator, under which no seed makes the plan that it made; each plays the plan of
/// every known defect with it.
#[test]
fn plans_outlive_the_generator_that_made_them() {
    if let Ok(number) = std::env::var(CHILD) {
        use_other_generator(number.parse().expect("a number"));
        return print_seeds_and_plans();
    }
    let told = ["0", "1"].map(|generator| {
        let (has_passed, told) = copy("plans_outlive_the_generator_that_made_them", generator);
        assert!(has_passed, "{told}");
        let lines = |head: &str| -> Vec<String> {
            told.lines().filter(|line| line.starts_with(head)).map(str::to_string).collect()
        };
        (lines("seed "), lines("plan "))
    });
    let [(seeds, plans), (other_seeds, other_plans)] = told;
    assert_eq!((seeds.len(), other_seeds.len()), (SEEDS, SEEDS));
    for (seed, other) in seeds.iter().zip(&other_seeds) {
        assert_ne!(seed, other, "another generator makes another plan");
    }
    assert!(plans.len() > 30 && plans.iter().all(|line| line.contains(" VIOLATED ")), "{plans:?}");
    assert_eq!(plans, other_plans);
}

/// Seeds whose plans are compared.
const SEEDS: usize = 20;

fn print_seeds_and_plans() {
    println!();
    for number in 0..SEEDS as u64 {
        let seed = Seed(number);
        let plan = scenario::plan("overflow", seed, &scenario::Settings::default());
        let text = plan.expect("the scenario has plans").to_json();
        println!("seed {seed} {}", Digest::of(text.as_bytes()));
    }
    for (defect, path) in plans_in("defects") {
        let text = fs::read_to_string(&path).expect("a plan");
        let plan = Plan::from_json(&text).expect("a plan");
        defects::plant(Some(&defect)).expect("a known defect");
        let options = stormglass_scenarios::runner::PlayOptions { keep_trace: false, checks: true };
        let outcome = scenario::play_plan(&plan, options).expect("a world").outcome;
        let words = outcome.verdict.in_words().replace('\n', " ");
        println!("plan {defect} {} {words}", outcome.fingerprint);
    }
}

/// A regression that means something else than it did is told, and what to do. Method: a fault of a kept plan at a
/// step that is not there.
#[test]
fn a_plan_that_has_moved_fails_with_what_to_do() {
    let mut plan =
        scenario::plan("overflow", Seed(42), &scenario::Settings::default()).expect("it");
    plan.faults = vec![stormglass_sim::Fault::in_scope(
        "step 999",
        stormglass_sim::Effect::Eio,
        stormglass_sim::When::Nth(1),
    )];
    let path = crate::command::file("moved-regression.json", &plan.to_json());
    let path = path.to_str().expect("a path of plain letters");
    let why = crate::seeds::moved("it", &passed(&["replay", path])).expect("it has moved");
    assert!(why.contains("it has moved") && why.contains("step 999"), "{why}");
    plan.faults.clear();
    let path = crate::command::file("moved-regression.json", &plan.to_json());
    let told = passed(&["replay", path.to_str().expect("a path of plain letters")]);
    assert_eq!(crate::seeds::moved("it", &told), None);
}
