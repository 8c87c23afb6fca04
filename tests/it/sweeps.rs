//! Wrong turns of sweeps, each found first by its own promise: by plans that hold little else.

use crate::command::{file, stormglass};
use stormglass_scenarios::plan::{Action, Mode, Plan, Protocol, Step, Who};
use stormglass_scenarios::recipe::{Alphabet, Recipe};
use stormglass_scenarios::scenario::{self, Settings};
use stormglass_sim::{Effect, Fault, Seed, Target, When};

/// The time to live of the workload's expiring field, in milliseconds.
const TTL_MS: i64 = 3_600_000;

/// A plan of these steps, in which nothing else happens.
fn plan(actions: Vec<Action>) -> Plan {
    let drawn = scenario::plan("overflow", Seed(1), &Settings::default()).expect("a scenario");
    let step = |(index, action)| {
        let id = u32::try_from(index).expect("few steps") + 1;
        Step::alone(id, 1, action)
    };
    Plan {
        start_utc_ms: 1_767_225_600_000,
        protocol: Protocol::EventThenBlobs,
        mode: Mode::BlobRefs,
        sweep_interval_ms: None,
        sweep_batch: 10,
        snapshot_every: 100,
        idle_ms: 300_000,
        steps: actions.into_iter().enumerate().map(step).collect(),
        faults: Vec::new(),
        ..drawn
    }
}

/// Creates an entity one of whose fields overflows.
fn create(entity: u32, field: &str) -> Action {
    let value = Recipe::Text { json_bytes: 1_100, content: entity, alphabet: Alphabet::Plain };
    let who = Who { tenant: 0, entity, set: 0 };
    Action::Create { who, values: vec![(field.to_string(), value)] }
}

fn wait(ms: i64) -> Action {
    Action::Wait { ms }
}

fn sweep(max_rows: u64) -> Action {
    Action::Sweep { tenant: 0, max_rows }
}

/// Goal: the plan's run breaks this promise first with the defect, and none without it.
fn breaks(invariant: &str, place: &str, defect: &str, plan: &Plan) {
    let path = file(&format!("{defect}.json"), &plan.to_json());
    let path = path.to_str().expect("a path of this project is text");
    let sound = stormglass(&["replay", path]);
    assert_eq!(sound.code, Some(0), "{}", sound.out);
    let broken = stormglass(&["replay", path, "--defect", defect]);
    assert_eq!(broken.code, Some(1), "{}", broken.out);
    let first = crate::command::broken(&broken.out);
    assert!(first.starts_with(&format!("{invariant} ")), "{first}");
    assert!(first.ends_with(place), "{first}");
}

#[test]
fn a_sweep_that_takes_permanent_rows_breaks_i8() {
    let plan = plan(vec![create(0, "user_message"), sweep(10)]);
    breaks("I8", "permanent row deleted", "sweep-permanent", &plan);
}

#[test]
fn a_sweep_one_millisecond_early_breaks_i8() {
    let plan = plan(vec![create(0, "system_prompt"), wait(TTL_MS - 1), sweep(10)]);
    breaks("I8", "row deleted before its deadline", "sweep-early", &plan);
}

#[test]
fn a_sweep_above_its_batch_breaks_i20() {
    let creations = vec![create(0, "system_prompt"), create(1, "system_prompt")];
    let plan = plan([creations, vec![wait(TTL_MS), sweep(1)]].concat());
    breaks("I20", "sweep above its batch", "sweep-unbounded", &plan);
}

/// The background sweeper meets one error, at the first row that it is to take, and never another.
#[test]
fn a_sweeper_that_ends_at_an_error_breaks_i9() {
    let mut plan = plan(vec![create(0, "system_prompt"), wait(TTL_MS + 60_000)]);
    plan.sweep_interval_ms = Some(600_000);
    let target =
        Target { scope: Some("sweep of boot 1/sweeper".to_string()), op: None, file: None };
    plan.faults = vec![Fault { effect: Effect::Eio, target, when: When::Nth(1) }];
    breaks("I9", "expired row still there", "sweeper-stops", &plan);
}
