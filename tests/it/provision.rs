//! The story that the live test tells (`live`), simulated: a message of 200 KiB overflows, a guest reads
//! it, its callback becomes part of the entity; and the process dies at every operation of it.

use stormglass_scenarios::plan::{Action, Mode, Plan, Protocol, SpecText, Step, Who};
use stormglass_scenarios::recipe::{Alphabet, Recipe};
use stormglass_scenarios::runner::{self, PlayOptions};
use stormglass_scenarios::scenario::{self, Settings};
use stormglass_scenarios::verdict::{Played, Verdict};
use stormglass_sim::{Effect, Ending, Fault, Policy, Seed, Survivors};

const SPEC: &str = include_str!("../live/session.ioa.toml");

/// 200 KiB of text, and two quotation marks.
const MESSAGE_JSON_BYTES: u32 = 200 * 1024 + 2;

fn story(protocol: Protocol) -> Plan {
    let drawn = scenario::plan("overflow", Seed(1), &Settings::default()).expect("a scenario");
    let who = Who { tenant: 0, entity: 1, set: 0 };
    let text =
        Recipe::Text { json_bytes: MESSAGE_JSON_BYTES, content: 1, alphabet: Alphabet::Plain };
    let values = vec![("user_message".to_string(), text)];
    let configure = Action::Act { who, action: "Configure".to_string(), values };
    let actions =
        [Action::Create { who, values: Vec::new() }, configure, Action::Get { who }].into_iter();
    let step = |(index, action)| {
        let id = u32::try_from(index).expect("few steps") + 1;
        Step::alone(id, 1, action)
    };
    Plan {
        protocol,
        mode: Mode::BlobRefs,
        sweep_interval_ms: None,
        snapshot_every: 100,
        idle_ms: 300_000,
        checkpoint_pages: None,
        inline_max_bytes: None,
        overtaking_percent: 0,
        policy: Policy::Random,
        swarm: None,
        specs: Some(vec![SpecText {
            file: "session.ioa.toml".to_string(),
            text: SPEC.to_string(),
        }]),
        steps: actions.enumerate().map(step).collect(),
        faults: Vec::new(),
        ..drawn
    }
}

fn play(plan: &Plan) -> Played {
    runner::play(plan, PlayOptions { keep_trace: false, checks: true }).expect("there is a world")
}

fn guest_runs(played: &Played) -> u64 {
    played.outcome.counts.get("work guest runs").copied().unwrap_or(0)
}

/// Goal: wherever the process dies between the first request and the last answer, nothing acknowledged is
/// lost, the guest's run has its effect once, and the message reads whole. Method: the plan once for each
/// operation, disk operations and the guest's computing alike, with a crash before it in three endings;
/// the model judges each run to its end, where the callback must have come (I15).
#[test]
fn the_story_is_told_the_same_wherever_the_process_dies() {
    for protocol in [Protocol::EventThenBlobs, Protocol::BlobsThenEvent, Protocol::Atomic] {
        let plan = story(protocol);
        let whole = play(&plan);
        assert_eq!(whole.outcome.verdict, Verdict::Passed, "{protocol:?}");
        assert_eq!(guest_runs(&whole), 1, "{protocol:?}");
        let (mut crash_count, mut repeated_count) = (0, 0);
        for n in 1.. {
            let endings = [
                Ending::ProcessKill,
                Ending::PowerLoss(Survivors::None),
                Ending::PowerLoss(Survivors::Drawn(n)),
            ];
            let runs = endings.map(|ending| {
                let faults = vec![Fault::at_op(n, Effect::Crash(ending))];
                play(&Plan { faults, ..plan.clone() })
            });
            for played in &runs {
                let verdict = &played.outcome.verdict;
                assert_eq!(*verdict, Verdict::Passed, "{protocol:?}, crash at operation {n}");
                repeated_count += u64::from(guest_runs(played) > 1);
            }
            // A fault that finds no operation of the steps ends nothing: that was the last.
            if runs.iter().all(|played| !played.moved.is_empty()) {
                break;
            }
            crash_count += 1;
        }
        println!(
            "{}: crashed at {crash_count} operations, guest repeated in {repeated_count} runs",
            protocol.name()
        );
        assert!(crash_count > 100, "{protocol:?}: only {crash_count} operations were crashed at");
        assert!(repeated_count > 0, "{protocol:?}: no run was repeated");
    }
}
