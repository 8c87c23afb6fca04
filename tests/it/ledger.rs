//! Whether a fault mattered: the same plan with it and without it.

use stormglass_scenarios::plan::{Action, Mode, Plan, Protocol, Step, Who};
use stormglass_scenarios::recipe::{Alphabet, Recipe};
use stormglass_scenarios::runner::{self, PlayOptions};
use stormglass_scenarios::scenario::{self, Settings};
use stormglass_scenarios::trail::Trail;
use stormglass_scenarios::verdict::Verdict;
use stormglass_sim::{Effect, Ending, Fault, OpKind, Seed, Survivors, Target, When};

/// A creation whose value overflows, a read, and these faults.
fn plan(faults: Vec<Fault>) -> Plan {
    let drawn = scenario::plan("overflow", Seed(1), &Settings::default()).expect("a scenario");
    let who = Who { tenant: 0, entity: 0, set: 0 };
    let value = Recipe::Text { json_bytes: 1_100, content: 1, alphabet: Alphabet::Plain };
    let create = Action::Create { who, values: vec![("user_message".to_string(), value)] };
    let steps = vec![Step::alone(1, 1, create), Step::alone(2, 1, Action::Get { who })];
    Plan { protocol: Protocol::EventThenBlobs, mode: Mode::BlobRefs, steps, faults, ..drawn }
}

fn at(effect: Effect, scope: &str, op: Option<OpKind>, when: When) -> Fault {
    Fault { effect, target: Target { scope: Some(scope.to_string()), op, file: None }, when }
}

fn trail(faults: Vec<Fault>) -> Trail {
    let options = PlayOptions { keep_trace: false, checks: true };
    let played = runner::play(&plan(faults), options).expect("the last run's world is gone");
    assert_eq!(played.outcome.verdict, Verdict::Passed);
    played.outcome.trail
}

/// Goal: a fault that the platform or SQLite makes good is told from one that a client or a recovery feels.
/// Method: one of each, against the plan without it.
#[test]
fn a_fault_matters_when_an_answer_or_a_recovery_is_another_one() {
    let without = trail(Vec::new());
    assert!(without.struck.is_empty());
    let with = |fault: Fault| {
        let trail = trail(vec![fault]);
        assert_eq!(trail.struck.len(), 1, "it struck");
        let place = trail.struck[0].place.clone();
        let mattered = (trail.answers != without.answers, trail.recoveries != without.recoveries);
        (format!("{} {}", place.kind, place.phase), mattered)
    };
    let slow = at(Effect::Slow { ms: 10 }, "step 1/append", Some(OpKind::Write), When::Nth(1));
    assert_eq!(with(slow), ("slow event".to_string(), (false, false)));
    let failing = at(Effect::Eio, "step 1/put", Some(OpKind::Write), When::FromNth(1));
    assert_eq!(with(failing), ("eio blobs".to_string(), (true, false)));
    let effect = Effect::Crash(Ending::PowerLoss(Survivors::None));
    let crash = at(effect, "step 1/put", None, When::Nth(1));
    assert_eq!(with(crash), ("power-loss blobs".to_string(), (true, true)));
}

/// Goal: a campaign leaves faults out by itself and tells of it. Method: enough seeds for some of a sample.
#[test]
fn a_campaign_says_which_faults_mattered() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("mattered");
    let _ = std::fs::remove_dir_all(&folder);
    let told = |jobs: &str| {
        let out = folder.join(jobs).display().to_string();
        let arguments = ["campaign", "--seeds", "0..120", "--jobs", jobs, "--json", "--out", &out];
        let told = crate::command::passed(&arguments);
        let told: serde_json::Value = serde_json::from_str(&told).expect("one JSON object");
        told["result"].clone()
    };
    let one = told("1");
    let rows = one["faults"].as_array().expect("a table");
    let sum = |of: &str| rows.iter().filter_map(|row| row[of].as_u64()).sum::<u64>();
    let fired = one["counts"].as_object().expect("counts").iter();
    let fired: u64 =
        fired.filter(|(name, _)| name.starts_with("fault ")).filter_map(|(_, n)| n.as_u64()).sum();
    assert_eq!(sum("fired"), fired, "every fault that struck has its place");
    assert!(sum("sampled") > 5 && sum("mattered") > 0, "{rows:?}");
    assert!(sum("mattered") <= sum("sampled"));
    assert_eq!(told("2")["faults"], one["faults"], "the host has no say in it");
}

/// Goal: a campaign that does not look where it should is not told as one that passed. Method: two seeds, which
/// come to few places.
#[test]
fn a_campaign_of_two_seeds_fails_where_every_probe_is_required() {
    let out = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("required");
    let out = out.display().to_string();
    let campaign = ["campaign", "--seeds", "0..2", "--jobs", "1", "--out", &out];
    let told = crate::command::passed(&campaign);
    let unreached = crate::command::line(&told, "unreached ");
    assert!(unreached.starts_with("a callback became on_failure, "), "{told}");
    let required = crate::command::stormglass(&[&campaign[..], &["--require-probes"]].concat());
    assert_eq!(required.code, Some(3), "{}", required.out);
    assert!(required.out.contains("HARNESS BROKEN it does not look where it should: "));
}
