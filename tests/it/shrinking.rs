//! Shrinking as people call it: the same failure and no other, whatever interrupts it; what is kept; and plans
//! as Rust tests.

use crate::command::{
    Ran, assert_committed, broken, folder, line, masked, passed, plans_in, stormglass,
    stormglass_in,
};
use crate::processes::children;
use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use stormglass_scenarios::patience::Bound;
use stormglass_scenarios::plan::{Action, Plan, Step};
use stormglass_scenarios::shrink::shrink_in;
use stormglass_scenarios::verdict::Signature;
use stormglass_scenarios::workers::{Crew, Order};
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

/// Bytes that the workers of a process have written: whole outcomes.
fn answered_bytes(process: u32) -> u64 {
    let of_one = |worker: u32| -> Option<u64> {
        let told = fs::read_to_string(format!("/proc/{worker}/io")).ok()?;
        told.lines().find_map(|line| line.strip_prefix("wchar: "))?.parse().ok()
    };
    children(process).into_iter().filter_map(of_one).sum()
}

/// Waits until a worker of a process has answered more than its first order.
#[expect(
    clippy::disallowed_methods,
    reason = "other processes are waited for; no run is in this one"
)]
fn has_answered_twice(process: &Child) {
    let mut first = 0;
    for _ in 0..60_000 {
        match answered_bytes(process.id()) {
            bytes if first > 0 && bytes > first => return,
            bytes => first = first.max(bytes),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("waited in vain");
}

/// Goal: whoever has seen enough keeps what there is. Method: a crew that is stopped after so many tries, whatever the
/// host is at: what is left is what those tries came to.
#[test]
fn a_stopped_shrink_keeps_the_best_of_its_tries() {
    let plan = scenario::plan("ttl", Seed(18), &scenario::Settings::default()).expect("it");
    let arguments = ["worker", "--defect", "first-writer-ttl"].map(str::to_string);
    let crew = Crew::new(env!("CARGO_BIN_EXE_stormglass").into(), arguments.to_vec());
    let outcome = crew.solo().play(&Order::plan(&plan)).expect("it starts").expect("not stopped");
    assert_eq!(outcome.verdict.exit_code(), 1, "{}", outcome.verdict.in_words());
    let shrink_until = |tries: u64| {
        let crew = Crew { stop: Arc::default(), ..crew.clone() };
        let mut best = plan.clone();
        let (least, shrunk) = shrink_in(&mut crew.solo(), &plan, &outcome, &mut |so_far, count| {
            best.clone_from(so_far);
            crew.stop.store(count >= tries, Ordering::Relaxed);
        })
        .expect("workers start");
        assert_eq!(least.to_json(), Plan { swarm: None, ..best }.to_json());
        (least, shrunk)
    };
    let (whole, all) = shrink_until(u64::MAX);
    for tries in [1, 4, 9] {
        let (least, shrunk) = shrink_until(tries);
        assert_eq!(shrunk.run_count, tries, "{shrunk}");
        assert!(shrunk.is_cut_short && !all.is_cut_short);
        assert!(least.steps.len() >= whole.steps.len() && shrunk.run_count < all.run_count);
        let again = crew.solo().play(&Order::plan(&least)).expect("it starts").expect("it ends");
        assert_eq!(Signature::of(&again.verdict), Signature::of(&outcome.verdict));
    }
}

/// Goal: Ctrl-C does that. Method: an interrupt once the first try was judged, in the middle of a long plan.
#[test]
fn an_interrupted_shrink_keeps_the_best_so_far() {
    let checkout = folder("interrupted", "");
    let what = ["--profile", "nightly", "--seed", "1"];
    let defect = ["--defect", "sweep-early"];
    let mut shrink = Command::new(env!("CARGO_BIN_EXE_stormglass"));
    shrink.arg("shrink").args(what).args(defect).current_dir(&checkout);
    let shrink = shrink.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    has_answered_twice(&shrink);
    let interrupt = format!("kill -INT {}", shrink.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().expect("a shell").success());
    let output = shrink.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(130), "{told}");
    let bundle = line(&told, "so far       cargo stormglass replay ");
    let replayed = stormglass_in(&checkout, &["replay", bundle]);
    assert_eq!((replayed.code, broken(&replayed.out)), (Some(1), broken(&told)));
}

/// A plan whose work takes so long: a sweep every millisecond.
fn busy(ms: i64) -> Plan {
    let mut plan = scenario::plan("ttl", Seed(3), &scenario::Settings::default()).expect("it");
    plan.faults.clear();
    plan.sweep_interval_ms = Some(1);
    plan.steps = vec![Step::alone(90, 1, Action::Wait { ms })];
    plan
}

/// Goal: how long a try may go on is a matter of simulated work. Method: a run of a hundred thousand steps, which is
/// one without end for whoever allows half of them, and for nobody else.
#[test]
fn a_try_is_bounded_by_what_it_does() {
    let crew = Crew::new(env!("CARGO_BIN_EXE_stormglass").into(), vec!["worker".to_string()]);
    let play = |bound| {
        let order = Order { bound, ..Order::plan(&busy(100_000)) };
        crew.solo().play(&order).expect("a worker starts").expect("nobody stops it").verdict
    };
    assert_eq!(play(None).exit_code(), 0);
    let bounded = play(Some(Bound::LEAST));
    let signature = Signature::of(&bounded).expect("it fails");
    assert_eq!((&*signature.invariant, &*signature.place), ("I21", "goes on for ever"));
    assert!(bounded.in_words().contains("50000 steps of its tasks within one wait"));
}

/// A plan that fails without any defect: it asks for more simulated days than a run may have.
fn endless() -> Plan {
    let mut plan = scenario::plan("ttl", Seed(3), &scenario::Settings::default()).expect("it");
    plan.faults.clear();
    plan.sweep_interval_ms = None;
    let day_ms = 86_400_000;
    plan.steps.insert(2, Step::alone(90, 1, Action::Wait { ms: 500 * day_ms }));
    plan
}

/// Goal: what failed once is kept where every test run plays it, with its story, and nothing else changes. Method: a
/// copy of that folder of the checkout, and a plan that fails without a defect, under the path as it is documented.
#[test]
fn a_regression_is_saved_beside_those_that_are_there() {
    let checkout = folder("regressions", "tests/regressions");
    let there = checkout.join("tests/regressions");
    for (name, path) in plans_in("regressions") {
        fs::copy(path, there.join(name + ".json")).expect("it can be copied");
    }
    let files = || -> BTreeSet<String> {
        let entries = fs::read_dir(&there).expect("a folder").map(|entry| entry.expect("an entry"));
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let before = files();
    fs::write(checkout.join("plan.json"), endless().to_json()).expect("it can be written");
    let Ran { code, out, err } = stormglass_in(&checkout, &["shrink", "plan.json", "--save"]);
    assert_eq!((code, err.as_str()), (Some(1), ""), "{out}");
    let kept = line(&out, "kept");
    assert!(kept.starts_with("tests/regressions/i21-") && kept.ends_with(".json"), "{out}");
    let (story, after) = (kept.replace(".json", ".txt"), files());
    let names =
        [kept, &story].map(|path| path.trim_start_matches("tests/regressions/").to_string());
    assert_eq!(after.difference(&before).cloned().collect::<BTreeSet<_>>(), BTreeSet::from(names));
    assert!(before.is_subset(&after));
    // The story is what was told, and the plan as it lies there fails so.
    let story = fs::read_to_string(checkout.join(story)).expect("its story");
    assert_eq!(broken(&story), "I21 no panic: goes on for ever");
    assert_eq!(out.lines().next(), story.lines().next());
    let replayed = stormglass_in(&checkout, &["replay", kept]);
    assert_eq!((replayed.code, broken(&replayed.out)), (Some(1), broken(&story)));
    // The same path spelled out is the same place.
    let again = ["shrink", "plan.json", "--save", "tests/regressions", "--json"];
    let Ran { code, out, .. } = stormglass_in(&checkout, &again);
    let told: serde_json::Value = serde_json::from_str(&out).expect("one JSON object");
    assert_eq!((code, told["result"]["kept"].as_str()), (Some(1), Some(kept)));
    assert_eq!(files(), after);
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
