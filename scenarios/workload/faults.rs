//! Strategies of faults: what goes wrong, and where in the steps of a plan.
//!
//! **Invariant:** honest faults only (contract, section 10). Addresses are relative to a step, or to the
//! recovery or the sweeps of a boot, and lie where the platform has something to do: a fault that meets
//! no operation is no fault.

use super::draw::Draw;
use super::later::leaves_intents;
use super::values::is_over;
use crate::plan::{Action, Step};
use crate::profile::Profile;
use crate::runner::ASIDE;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use stormglass_sim::{Effect, Ending, Fault, FileKind, OpKind, Survivors, Target, When};

/// How a boot ends: by a kill, or by a power loss in any of its crash states.
pub fn ending() -> impl Strategy<Value = Ending> {
    let survivors = prop_oneof![
        3 => Just(Survivors::None),
        1 => Just(Survivors::All),
        1 => (0..12_usize).prop_map(Survivors::Prefix),
        1 => vec(any::<bool>(), 8).prop_map(Survivors::TornLast),
        2 => any::<u64>().prop_map(Survivors::Drawn),
    ];
    prop_oneof![1 => Just(Ending::ProcessKill), 3 => survivors.prop_map(Ending::PowerLoss)]
}

fn in_step(step: u32, call: &str) -> String {
    if call.is_empty() { format!("step {step}") } else { format!("step {step}/{call}") }
}

fn at(effect: Effect, scope: String, op: Option<OpKind>, when: When) -> Fault {
    Fault { effect, target: Target { scope: Some(scope), op, file: None }, when }
}

/// A crash after the event's commit and before its blobs'.
pub fn between_event_and_blobs(draw: &mut Draw, step: u32) -> Fault {
    let scope = in_step(step, "put");
    if draw.percent(60) {
        // The put's transaction has not begun: whatever survives, the blob is not there.
        return at(Effect::Crash(draw.of(&ending())), scope, None, When::Nth(1));
    }
    let effect = Effect::Crash(Ending::PowerLoss(Survivors::None));
    at(effect, scope, Some(OpKind::Sync), When::Nth(1))
}

/// A crash anywhere in a step's event or blobs.
pub fn crash_in(draw: &mut Draw, step: u32) -> Fault {
    let call = draw.pick(&["append", "append", "put", ""]);
    crash_within(draw, in_step(step, call), 10)
}

/// A crash at one of the first operations of a scope.
fn crash_within(draw: &mut Draw, scope: String, op_count: u32) -> Fault {
    let when = When::Nth(u64::from(1 + draw.below(op_count)));
    at(Effect::Crash(draw.of(&ending())), scope, None, when)
}

/// A sync that fails under a commit of a step: nobody knows whether it is there.
pub fn failed_commit(draw: &mut Draw, step: u32) -> Fault {
    let call = draw.pick(&["append", "append", "put"]);
    at(Effect::Eio, in_step(step, call), Some(OpKind::Sync), When::Nth(1))
}

/// Statements of a step cannot read a page, once or from then on: their transactions are given up.
pub fn failed_reads(draw: &mut Draw, step: u32) -> [Fault; 2] {
    let when = draw.pick(&[When::Nth(1), When::Nth(2), When::FromNth(1)]);
    ["append", "put"].map(|call| at(Effect::Eio, in_step(step, call), Some(OpKind::Read), when))
}

/// The process is killed when its event stands in the log and is not synced.
pub fn killed_before_the_commit_is_synced(step: u32) -> Fault {
    let effect = Effect::Crash(Ending::ProcessKill);
    at(effect, in_step(step, "append"), Some(OpKind::Sync), When::Nth(1))
}

/// The put of a step fails, however often it is tried within it.
pub fn failing_put(step: u32) -> Fault {
    at(Effect::Eio, in_step(step, "put"), Some(OpKind::Write), When::FromNth(1))
}

/// The process dies when a put that failed is tried again for somebody else.
pub fn crash_at_the_next_put() -> Fault {
    let effect = Effect::Crash(Ending::PowerLoss(Survivors::None));
    at(effect, in_step(ASIDE, "put"), None, When::Nth(1))
}

/// The background sweeper's first write in a boot fails.
pub fn failing_sweep(draw: &mut Draw, boot: u32) -> Fault {
    let op = draw.pick(&[OpKind::Write, OpKind::Sync]);
    at(Effect::Eio, format!("sweep of boot {boot}/sweeper"), Some(op), When::Nth(1))
}

/// A crash while what a step has left is done.
pub fn crash_in_outbox(draw: &mut Draw, step: u32) -> Fault {
    let call = draw.pick(&[
        "outbox",
        "outbox/guest",
        "outbox/append",
        "outbox/append",
        "outbox/put",
        "outbox/settle",
    ]);
    crash_within(draw, in_step(step, call), 6)
}

/// A crash while what earlier boots have left is done.
pub fn crash_in_rest(draw: &mut Draw, boot: u32) -> Fault {
    let call = draw.pick(&["", "/append", "/append", "/outbox", "/guest"]);
    crash_within(draw, format!("outbox of boot {boot}{call}"), 6)
}

/// Time passes while the event of a step is written.
pub fn slow_append(step: u32, ms: i64) -> Fault {
    at(Effect::Slow { ms }, in_step(step, "append"), None, When::Nth(1))
}

/// A crash, or an error, where the checkpoint that a step asks for changes the database's file.
pub fn in_checkpoint(draw: &mut Draw, step: u32) -> Fault {
    let op = draw.pick(&[OpKind::Write, OpKind::Write, OpKind::Sync]);
    let nth = if op == OpKind::Sync { 1 } else { 1 + draw.below(4) };
    let effect = match draw.below(4) {
        0 => Effect::Eio,
        1 => Effect::Crash(Ending::ProcessKill),
        _ => Effect::Crash(draw.of(&ending())),
    };
    let scope = Some(in_step(step, ""));
    let target = Target { scope, op: Some(op), file: Some(FileKind::Database) };
    Fault { effect, target, when: When::Nth(u64::from(nth)) }
}

/// A commit of what a step has left fails.
pub fn failed_outbox(draw: &mut Draw, step: u32) -> Fault {
    let call = draw.pick(&["outbox/append", "outbox/append", "outbox/put", "outbox/settle"]);
    let op = draw.pick(&[OpKind::Sync, OpKind::Sync, OpKind::Write]);
    at(Effect::Eio, in_step(step, call), Some(op), When::Nth(1))
}

/// The files of a boot cannot be opened at first.
pub fn unopened(draw: &mut Draw, boot: u32) -> Fault {
    let op = draw.pick(&[OpKind::Open, OpKind::Read]);
    at(Effect::Eio, format!("recovery of boot {boot}"), Some(op), When::Nth(1))
}

/// The process is killed when a guest that a step has left is about to begin.
pub fn killed_before_the_guest(step: u32) -> Fault {
    let effect = Effect::Crash(Ending::ProcessKill);
    at(effect, in_step(step, "outbox/guest"), Some(OpKind::Compute), When::Nth(1))
}

/// Time passes while a boot opens its files.
pub fn slow_recovery(boot: u32, ms: i64) -> Fault {
    at(Effect::Slow { ms }, format!("recovery of boot {boot}"), None, When::Nth(1))
}

/// Time is lost while what a step has left is done: a guest may take too long.
pub fn slow_outbox(draw: &mut Draw, step: u32) -> Fault {
    let call = draw.pick(&["outbox", "outbox/blobs", "outbox/guest", "outbox/guest"]);
    let ms = draw.pick(&[1_000, 29_999, 30_000, 60_000]);
    let when = slice_or_first(draw, call);
    at(Effect::Slow { ms }, in_step(step, call), None, when)
}

/// Every sync of a scope fails, or every one but the first: a commit, and what is to settle it.
pub fn failing_commits(draw: &mut Draw, scope: String) -> Fault {
    let when = When::FromNth(u64::from(1 + draw.below(2)));
    at(Effect::Eio, scope, Some(OpKind::Sync), when)
}

/// A boot cannot read what earlier ones have left to do.
pub fn unread_outbox(boot: u32) -> Fault {
    let scope = format!("outbox of boot {boot}/outbox");
    at(Effect::Eio, scope, Some(OpKind::Read), When::FromNth(1))
}

/// A guest that a step has left loses its time, or all but a millisecond of it: at its start or its end, at a
/// call, or while its state is made ready.
pub fn over_time(draw: &mut Draw, step: u32) -> Fault {
    let (call, nth) = match draw.below(4) {
        0 => ("outbox/events", 1),
        _ => ("outbox/guest", 1 + draw.below(8)),
    };
    let ms = draw.pick(&[29_999, 30_000, 30_000, 30_001]);
    at(Effect::Slow { ms }, in_step(step, call), None, When::Nth(u64::from(nth)))
}

/// Time is lost while a boot gets ready what an earlier one has left: it is the guest's.
pub fn slow_rest(draw: &mut Draw, boot: u32) -> Fault {
    let call = draw.pick(&["journal", "events", "blobs", "guest"]);
    let ms = draw.pick(&[29_999, 30_000, 60_000]);
    let when = slice_or_first(draw, call);
    at(Effect::Slow { ms }, format!("outbox of boot {boot}/{call}"), None, when)
}

/// Any of a guest's first slices and calls (its start and its end count, too); the first of what else a
/// scope does.
fn slice_or_first(draw: &mut Draw, call: &str) -> When {
    let is_guest = call.ends_with("guest");
    When::Nth(if is_guest { u64::from(1 + draw.below(8)) } else { 1 })
}

/// What can be struck in a plan.
struct Targets {
    /// Steps that write, and of them those whose values overflow.
    writes: Vec<u32>,
    overflows: Vec<u32>,
    /// Steps that leave something to be done.
    later: Vec<u32>,
    sweeps: bool,
    boots: u32,
}

impl Targets {
    fn of(steps: &[Step]) -> Targets {
        let ids = |wanted: &dyn Fn(&Step) -> bool| {
            steps.iter().filter(|step| wanted(step)).map(|step| step.id).collect::<Vec<u32>>()
        };
        let overflows = |step: &Step| step.action.values().iter().any(|(_, value)| is_over(value));
        let ends = |step: &Step| matches!(step.action, Action::Crash { .. } | Action::Restart);
        Targets {
            writes: ids(&|step| step.action.is_write()),
            overflows: ids(&|step| step.action.is_write() && overflows(step)),
            later: ids(&|step| leaves_intents(&step.action)),
            sweeps: steps.iter().any(|step| matches!(step.action, Action::Sweep { .. })),
            boots: 1 + ids(&ends).len() as u32,
        }
    }
}

/// The faults of a plan besides those that its steps came with.
pub fn of_plan(draw: &mut Draw, steps: &[Step], profile: &Profile) -> Vec<Fault> {
    let mut targets = Targets::of(steps);
    let mut faults = Vec::new();
    if !draw.share(profile.faulty_runs) {
        return faults;
    }
    for _ in 0..draw.within(profile.faults) {
        let fault = if draw.share(profile.in_recovery) {
            in_recovery(draw, &targets, profile)
        } else if draw.share(profile.crashes) {
            crash(draw, &targets)
        } else {
            error(draw, &targets)
        };
        if let Effect::Crash(_) = fault.effect {
            targets.boots += 1;
        }
        faults.push(fault);
    }
    faults
}

/// Whether a fault is to strike what steps leave to be done: as often as they are among the writes.
fn is_of_later(draw: &mut Draw, targets: &Targets) -> bool {
    let (later, writes) = (targets.later.len() as u32, targets.writes.len() as u32);
    later > 0 && draw.below(writes) < later
}

fn crash(draw: &mut Draw, targets: &Targets) -> Fault {
    let has_overflow = !targets.overflows.is_empty();
    if is_of_later(draw, targets) {
        let boot = 1 + draw.below(targets.boots);
        let step = draw.pick(&targets.later);
        let is_of_step = draw.percent(70);
        return if is_of_step { crash_in_outbox(draw, step) } else { crash_in_rest(draw, boot) };
    }
    match draw.below(10) {
        0..5 if has_overflow => {
            let step = draw.pick(&targets.overflows);
            between_event_and_blobs(draw, step)
        }
        5 if targets.sweeps => {
            let boot = 1 + draw.below(targets.boots);
            crash_within(draw, format!("sweep of boot {boot}"), 6)
        }
        6 => {
            let boot = 1 + draw.below(targets.boots);
            crash_within(draw, format!("passivation of boot {boot}"), 6)
        }
        _ => {
            let step = some_write(draw, targets);
            crash_in(draw, step)
        }
    }
}

fn some_write(draw: &mut Draw, targets: &Targets) -> u32 {
    if targets.writes.is_empty() { 1 } else { draw.pick(&targets.writes) }
}

/// An error, a short read, or time that is lost.
fn error(draw: &mut Draw, targets: &Targets) -> Fault {
    let step = some_write(draw, targets);
    if draw.percent(8) {
        let when = When::Rate { per_million: 1 + draw.below(10_000) };
        let effect = draw.pick(&[Effect::Eio, Effect::NoSpace, Effect::Slow { ms: 1_000 }]);
        return Fault { effect, target: Target::default(), when };
    }
    if is_of_later(draw, targets) {
        let step = draw.pick(&targets.later);
        let is_slow = draw.percent(25);
        return if is_slow { slow_outbox(draw, step) } else { failed_outbox(draw, step) };
    }
    match draw.below(6) {
        0 | 1 => failed_commit(draw, step),
        2 => {
            let op = draw.pick(&[OpKind::Write, OpKind::Write, OpKind::Sync]);
            let nth = u64::from(1 + draw.below(4));
            let when = draw.pick(&[When::Nth(nth), When::FromNth(nth)]);
            at(Effect::Eio, in_step(step, ""), Some(op), when)
        }
        3 => {
            let when = When::Nth(u64::from(1 + draw.below(4)));
            at(Effect::NoSpace, in_step(step, ""), Some(OpKind::Write), when)
        }
        4 => {
            let ms = draw.pick(&[1, 1_000, 60_000]);
            let when = When::Nth(u64::from(1 + draw.below(6)));
            at(Effect::Slow { ms }, in_step(step, ""), None, when)
        }
        _ => failing_sweep(draw, 1),
    }
}

/// What strikes while a server opens its files: the first boot makes them, later ones find a log.
fn in_recovery(draw: &mut Draw, targets: &Targets, profile: &Profile) -> Fault {
    let boot = 1 + draw.below(targets.boots);
    let scope = format!("recovery of boot {boot}");
    if draw.share(profile.crashes) {
        return crash_within(draw, scope, 16);
    }
    let nth = u64::from(1 + draw.below(4));
    match draw.below(3) {
        0 => {
            let effect = Effect::ShortRead { missing_bytes: u64::from(1 + draw.below(4_096)) };
            at(effect, scope, Some(OpKind::Read), When::Nth(nth))
        }
        1 => {
            let op = draw.pick(&[OpKind::Open, OpKind::Read, OpKind::Write, OpKind::Sync]);
            at(Effect::Eio, scope, Some(op), When::Nth(nth))
        }
        _ => at(Effect::Slow { ms: 1_000 }, scope, Some(OpKind::Read), When::Nth(nth)),
    }
}
