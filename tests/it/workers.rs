//! Workers that die, keep silent or talk nonsense: none of their seeds is lost, and only what happens
//! twice in the same way is a finding. The workers here are shell scripts, so that they do as told.

use std::ops::ControlFlow;
use std::time::Duration;
use stormglass_scenarios::campaign::canary::{self, End};
use stormglass_scenarios::verdict::{Outcome, Signature, Verdict};
use stormglass_scenarios::workers::{Crew, Ended};
use stormglass_sim::Seed;

/// Prints an outcome that passed, with the seed as its fingerprint.
const PASSES: &str = r#"pass() {
    echo "{\"verdict\":\"passed\",\"fingerprint\":\"$1\",\"op_count\":1,\"counts\":{}}"
}"#;

/// The outcomes of seeds 1, 2 and 3 with one worker at a time that runs `script`. One that is to be
/// silent never speaks: how long it is waited for decides nothing.
fn outcomes(script: &str, silence_max: Duration) -> Vec<Outcome> {
    let arguments = vec!["-c".to_string(), format!("{PASSES}\n{script}")];
    let crew = Crew { silence_max, ..Crew::new("sh".into(), arguments) };
    let mut outcomes = Vec::new();
    let each = |ended: Ended| {
        assert_eq!(ended.seed.0, outcomes.len() as u64 + 1);
        outcomes.push(ended.outcome);
        ControlFlow::Continue(())
    };
    crew.play_all((1..4).map(Seed), 1, each).expect("a shell starts");
    outcomes
}

/// What became of each seed: the invariant and its place, `broken`, or `passed`.
fn ends(outcomes: &[Outcome]) -> Vec<String> {
    let end = |outcome: &Outcome| match &outcome.verdict {
        Verdict::Passed => "passed".to_string(),
        Verdict::Violated(finding) => format!("{} {}", finding.invariant, finding.place),
        Verdict::HarnessBroken(_) => "broken".to_string(),
    };
    outcomes.iter().map(end).collect()
}

const PATIENT: Duration = Duration::from_secs(60);
const IMPATIENT: Duration = Duration::from_millis(50);

#[test]
fn one_worker_plays_seed_after_seed() {
    let outcomes = outcomes("n=0; while read seed; do n=$((n+1)); pass $n-$seed; done", PATIENT);
    let fingerprints: Vec<&str> = outcomes.iter().map(|one| one.fingerprint.as_str()).collect();
    assert_eq!(fingerprints, ["1-0x1", "2-0x2", "3-0x3"]);
}

#[test]
fn a_seed_that_kills_its_process_twice_is_a_finding_and_the_others_are_played() {
    let script = "while read seed; do
        if [ $seed = 0x2 ]; then echo \"thread 'main' ($$) panicked at src/a.rs:1:2:\" >&2; exit 101; fi
        pass $seed
    done";
    let outcomes = outcomes(script, PATIENT);
    assert_eq!(ends(&outcomes), ["passed", "I21 process died", "passed"]);
    let Verdict::Violated(finding) = &outcomes[1].verdict else { panic!("{outcomes:?}") };
    assert_eq!(finding.subject, "panicked at src/a.rs:1:2:");
}

/// Each seed is waited for twice, and the next one has a worker again.
#[test]
fn a_seed_that_never_ends_is_killed_and_is_a_finding() {
    let outcomes = outcomes("read seed; read never", IMPATIENT);
    assert_eq!(ends(&outcomes), ["I21 run without end"; 3]);
}

/// Goal: what does not happen again accuses the harness. Method: a worker that dies of its second
/// seed; the one that plays this seed alone plays it as its first.
#[test]
fn a_death_that_does_not_come_again_is_the_harnesss() {
    let script = "read seed; pass $seed; read seed; kill -9 $$";
    let outcomes = outcomes(script, PATIENT);
    assert_eq!(ends(&outcomes), ["passed", "broken", "passed"]);
    let Verdict::HarnessBroken(why) = &outcomes[1].verdict else { panic!("{outcomes:?}") };
    assert!(why.contains("signal: 9"), "{why}");
    assert_eq!(outcomes[1].fingerprint, "0x2", "the outcome is the one played alone");
}

#[test]
fn a_worker_that_cannot_play_or_talks_nonsense_accuses_nobody() {
    let unable = "read seed; echo 'error: libsql cannot be initialised' >&2; exit 2";
    assert_eq!(ends(&outcomes(unable, PATIENT)), ["broken"; 3]);
    assert_eq!(ends(&outcomes("read seed; echo hello; read never", PATIENT)), ["broken"; 3]);
}

/// Goal: a process that complains at length is not taken for a silent one. Method: more on standard
/// error than a pipe holds, before the outcome.
#[test]
fn a_worker_may_complain_more_than_a_pipe_holds() {
    let script = "while read seed; do
        i=0; while [ $i -lt 4000 ]; do echo 'a line of forty letters, none of them new' >&2; i=$((i+1)); done
        pass $seed
    done";
    assert_eq!(ends(&outcomes(script, PATIENT)), ["passed"; 3]);
}

/// Goal: only a promise of its own that is found broken where all is well without it is a canary that is red. Method:
/// workers that pass every seed, that die of each in another way, and that find something from the third on.
#[test]
fn a_canary_that_does_not_turn_red_is_missed_and_nothing_else_stands_for_it() {
    let passes = "while read seed; do pass $seed; done";
    let finds = |invariant: &str| {
        format!(
            r#"n=0; while read seed; do n=$((n+1)); if [ $n -lt 3 ]; then pass $seed; else
            found='{{"invariant":"{invariant}","statement":"s","place":"row missing","step_kind":"get","subject":"",'
            found=$found'"expected":"","actual":"","because":""}}'
            echo "{{\"verdict\":{{\"violated\":$found}},\"fingerprint\":\"f\",\"op_count\":1,\"counts\":{{}}}}"
            fi; done"#
        )
    };
    let watched = |sick: &str, healthy: &str| {
        let crew = |script: &str| {
            let arguments = vec!["-c".to_string(), format!("{PASSES}\n{script}")];
            Crew { silence_max: PATIENT, ..Crew::new("sh".into(), arguments) }
        };
        let own = ["I5".to_string()];
        canary::watch((&crew(sick), &crew(healthy)), &own, 1, 1).expect("a shell starts")
    };
    assert_eq!(watched(passes, passes), End::Missed);
    assert_eq!(watched("read seed; echo \"$$\" >&2; exit 2", passes), End::Missed);
    assert_eq!(watched(&finds("I9"), passes), End::Missed);
    let fails = finds("I5").replace("-lt 3", "-lt 1");
    assert_eq!(watched(&finds("I5"), &fails), End::Hidden(198));
    assert_eq!(watched(&finds("I5"), passes), End::Found { seed_count: 3, signature: i5() });
}

fn i5() -> Signature {
    let found = r#"{"violated":{"invariant":"I5","statement":"s","place":"row missing","step_kind":"get",
        "subject":"","expected":"","actual":"","because":""}}"#;
    let verdict: Verdict = serde_json::from_str(found).expect("a verdict");
    Signature::of(&verdict).expect("a failure")
}
