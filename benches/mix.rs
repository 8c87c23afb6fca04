//! The mix of runs that the ecosystem study measured its prototype with: 50 actions of 4 actors, a
//! third of them blobs of 1 to 200 KiB, 5 crashes inside transactions with recovery, 4 sweeps. Guests
//! are part of that mix, too; they come when the platform runs them.
//!
//! **Invariant:** a number is one plan for ever: what is compared from build to build is the same work.

use stormglass_scenarios::plan::{Action, Mode, PLAN_VERSION, Plan, Protocol, Step, Values, Who};
use stormglass_scenarios::recipe::{Alphabet, Recipe};
use stormglass_sim::clock::DEFAULT_START_UTC_MS;
use stormglass_sim::{
    DiskOptions, Effect, Ending, Fault, FileKind, OpKind, Policy, Seed, Stream, Survivors, Target,
    When,
};

const ACTIONS: u32 = 50;
const ACTORS: u32 = 4;
const CRASHES: u32 = 5;
const SWEEPS: u32 = 4;
const KIB: u32 = 1024;
/// Two thirds of the expiring field's time to live: each sweep but the first finds something.
const BETWEEN_SWEEPS_MS: i64 = 2_400_000;

/// The plan of a number.
pub fn plan(number: u64) -> Plan {
    let seed = Seed(number);
    let mut stream = seed.stream("mix");
    let (mut steps, mut faults) = (Vec::new(), Vec::new());
    for at in 0..ACTIONS {
        let who = Who { tenant: 0, entity: at % ACTORS, set: 0 };
        let is_blob = at % 3 == 2;
        push(&mut steps, action(&mut stream, who, at, is_blob));
        let is_crash = (at + 1).is_multiple_of(ACTIONS / CRASHES);
        if is_crash {
            faults.push(crash(&mut stream, steps.len() as u32));
        }
        let is_sweep = at > 0 && at.is_multiple_of(ACTIONS / (SWEEPS + 1));
        if is_sweep && at / (ACTIONS / (SWEEPS + 1)) <= SWEEPS {
            push(&mut steps, Action::Wait { ms: BETWEEN_SWEEPS_MS });
            push(&mut steps, Action::Sweep { tenant: 0, max_rows: 10_000 });
        }
    }
    Plan {
        version: PLAN_VERSION,
        scenario: "overflow".to_string(),
        seed,
        start_utc_ms: DEFAULT_START_UTC_MS,
        disk: DiskOptions::default(),
        protocol: Protocol::EventThenBlobs,
        mode: Mode::BlobRefs,
        sweep_interval_ms: None,
        sweep_batch: 10_000,
        snapshot_every: 100,
        idle_ms: 300_000,
        checkpoint_pages: None,
        specs: None,
        inline_max_bytes: None,
        overtaking_percent: 0,
        policy: Policy::Random,
        swarm: None,
        steps,
        faults,
        fuel: Vec::new(),
    }
}

fn push(steps: &mut Vec<Step>, action: Action) {
    let id = steps.len() as u32 + 1;
    steps.push(Step {
        id,
        client: id % ACTORS,
        together: false,
        key: None,
        if_match: None,
        action,
    });
}

fn action(stream: &mut Stream, who: Who, at: u32, is_blob: bool) -> Action {
    let field = *stream.pick(&["user_message", "system_prompt"]);
    let json_bytes = if is_blob { log_uniform(stream, KIB + 1, 200 * KIB) } else { 60 };
    let text = Recipe::Text { json_bytes, content: at, alphabet: Alphabet::Plain };
    let values: Values = vec![(field.to_string(), text)];
    if at < ACTORS {
        return Action::Create { who, values };
    }
    let note: Values = vec![("notes".to_string(), Recipe::Words("a short note".to_string()))];
    match (is_blob, stream.below(3)) {
        (false, 0) => Action::Act { who, action: "Note".to_string(), values: note },
        (false, 1) => Action::Patch { who, values },
        _ => Action::Act { who, action: "Write".to_string(), values },
    }
}

/// A size whose logarithm is even between those of `least` and `most`.
fn log_uniform(stream: &mut Stream, least: u32, most: u32) -> u32 {
    let share = stream.below(1_000_001) as f64 / 1e6;
    (f64::from(least) * (f64::from(most) / f64::from(least)).powf(share)) as u32
}

/// The power goes at a write to the log within the step, which stands inside a transaction.
fn crash(stream: &mut Stream, step: u32) -> Fault {
    let survivors = Survivors::Drawn(stream.below(1_000_000));
    Fault {
        effect: Effect::Crash(Ending::PowerLoss(survivors)),
        target: Target {
            scope: Some(format!("step {step}")),
            op: Some(OpKind::Write),
            file: Some(FileKind::Wal),
        },
        when: When::Nth(1 + stream.below(4)),
    }
}
