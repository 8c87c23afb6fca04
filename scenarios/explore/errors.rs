//! An error at every disk operation of one run, once and from there on, as SQLite's own tests do it; each run of a
//! guest ended at every part of its fuel (`fuel`); and silent damage at every operation (`silent`).
//!
//! **Invariant:** a fault's address is its scope and its place among the operations there that it can strike,
//! so that each run is a plan which fails alone. The run's own faults stay.
//! **Not done:** from there on it strikes in scopes that the run without errors came to; a boot that only the
//! error brings about is spared.

use super::report::{Found, Report};
use super::watch::Watch;
use super::{fuel, silent};
use crate::counts;
use crate::guests::Address;
use crate::plan::{Plan, Step};
use crate::runner::{self, PlayOptions, Recording};
use crate::verdict::{Outcome, Signature, Verdict};
use std::collections::BTreeMap;
use stormglass_sim::fault::holders;
use stormglass_sim::{Boundary, Effect, Fault, OpKind, When, WorldError};

/// What goes wrong at every place of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Trouble {
    /// Input/output error: every kind of call.
    Eio,
    /// No space left: writes, truncations, and openings that make a file.
    Enospc,
    /// A guest's fuel is used up: at each of 64 parts of what it uses, and at each of its calls of the host.
    Fuel,
    /// The disk goes back to an older image: before every operation, to at most 4 of those kept after each step (the
    /// newest, the one before it, the oldest, and one drawn).
    OlderImage,
    /// A sync lies: the power goes before the next operation; or all lie from there on, and it goes at the end.
    LyingSync,
    /// Bits flip at rest in the file that is about to be read, before every read.
    Rot,
}

impl Trouble {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Trouble::Eio => "eio",
            Trouble::Enospc => "enospc",
            Trouble::Fuel => "fuel",
            Trouble::OlderImage => "older-image",
            Trouble::LyingSync => "lying-sync",
            Trouble::Rot => "rot",
        }
    }

    fn cases(self, recording: &Recording<'_>, report: &mut Report) -> Vec<Case> {
        let ops = recording.ops_of_steps();
        match self {
            Trouble::Eio => cases(ops, (self.name(), Effect::Eio)),
            Trouble::Enospc => cases(ops, (self.name(), Effect::NoSpace)),
            Trouble::Fuel => fuel_cases(&recording.fuel, report),
            Trouble::OlderImage => silent::older_images(recording, report),
            Trouble::LyingSync => silent::lying_syncs(ops, recording.last_step_id()),
            Trouble::Rot => silent::rot(ops),
        }
    }
}

/// One error: its row in the report, and what makes it.
pub(super) struct Case {
    row: String,
    faults: Vec<Fault>,
    /// Steps after the plan's.
    steps: Vec<Step>,
    fuel: Option<fuel::Limit>,
}

impl Case {
    /// A case of some faults.
    pub fn new(row: impl Into<String>, faults: Vec<Fault>) -> Case {
        Case { row: row.into(), faults, steps: Vec::new(), fuel: None }
    }

    /// The same, followed by a step.
    pub fn then(self, step: Step) -> Case {
        Case { steps: vec![step], ..self }
    }

    fn plan(self, plan: &Plan) -> Plan {
        let mut struck = plan.clone();
        struck.faults.extend(self.faults);
        struck.steps.extend(self.steps);
        struck.fuel.extend(self.fuel.map(|limit| limit.limit));
        struck
    }
}

/// Plays `plan` with each of `troubles` at every place of its steps, of which this slice's share.
///
/// # Errors
/// [`WorldError`] when there can be no world.
pub fn explore(
    plan: &Plan,
    troubles: &[Trouble],
    slice: (u64, u64),
    watch: &mut dyn Watch,
) -> Result<Report, WorldError> {
    let mut report = Report::default();
    let cases = runner::record(plan, |recording| {
        if recording.verdict != Verdict::Passed {
            if slice.0 == 0 {
                report.fails_itself(plan, &recording.verdict);
            }
            return Vec::new();
        }
        report.ops_after = recording.end_op_count;
        troubles.iter().flat_map(|trouble| trouble.cases(recording, &mut report)).collect()
    })?;
    let options = PlayOptions { keep_trace: false, checks: true };
    report.points_in_all = cases.len() as u64;
    for (at, case) in cases.into_iter().enumerate() {
        let row = case.row.clone();
        if at as u64 % slice.1 != slice.0 {
            let counts = report.at(&row);
            (counts.points, counts.states) = (counts.points + 1, counts.states + 1);
            continue;
        }
        watch.explored(&report);
        let must_be_spent = case.fuel.as_ref().is_some_and(|limit| limit.must_be_spent);
        let struck = case.plan(plan);
        watch.begins(&|| struck.clone());
        let Outcome { verdict, counts: happened, .. } = runner::play(&struck, options)?.outcome;
        let is_spent = happened.get(counts::GUESTS_SPENT).is_some_and(|count| *count > 0);
        let verdict = match verdict {
            Verdict::Passed if must_be_spent && !is_spent => fuel::never_spent(),
            verdict => verdict,
        };
        let counts = report.at(&row);
        (counts.points, counts.states) = (counts.points + 1, counts.states + 1);
        counts.recoveries += 1;
        if let Some(signature) = Signature::of(&verdict) {
            counts.violations += 1;
            report.found.push(Found { signature, verdict, plan: struck });
        }
    }
    Ok(report)
}

fn fuel_cases(used: &BTreeMap<Address, Vec<u64>>, report: &mut Report) -> Vec<Case> {
    let mut cases = Vec::new();
    for (address, used) in used {
        let (limits, left_out) = fuel::limits(address, used);
        report.at(fuel::AT_CALL).left_out += left_out;
        cases.extend(limits.into_iter().map(|limit| {
            let row = limit.row;
            Case { fuel: Some(limit), ..Case::new(row, Vec::new()) }
        }));
    }
    cases
}

fn cases(ops: &[Boundary], (name, effect): (&str, Effect)) -> Vec<Case> {
    let (mut cases, first) = (Vec::new(), first_ops(ops));
    for (at, n) in struck(ops, &effect) {
        let row = |manner: &str| format!("{name} {} {manner}", word(ops[at].op));
        let once = Fault::in_scope(&ops[at].scope, effect.clone(), When::Nth(n));
        cases.push(Case::new(row("once"), vec![once]));
        cases.push(Case::new(row("from there on"), from_on((ops, &first), (at, n), &effect)));
    }
    cases
}

/// The operations that an effect can strike, each with the how manieth of these it is in its scope.
pub(super) fn struck(ops: &[Boundary], effect: &Effect) -> Vec<(usize, u64)> {
    let mut nth: BTreeMap<&str, u64> = BTreeMap::new();
    let can_be = ops.iter().enumerate().filter(|(_, op)| op.can_be_struck_by(effect));
    let counted = can_be.map(|(at, op)| {
        holders(&op.scope).for_each(|scope| *nth.entry(scope).or_default() += 1);
        (at, nth[&*op.scope])
    });
    counted.collect()
}

/// The scopes that a run came to, each with its first operation.
pub(super) fn first_ops(ops: &[Boundary]) -> BTreeMap<&str, usize> {
    // The first of a scope stays, for it comes last.
    ops.iter().enumerate().rev().map(|(at, op)| (&*op.scope, at)).collect()
}

/// The effect at one of [`struck`], and at all that follow, in the scopes that the run came to ([`first_ops`]).
pub(super) fn from_on(
    (ops, first_at): (&[Boundary], &BTreeMap<&str, usize>),
    (at, n): (usize, u64),
    effect: &Effect,
) -> Vec<Fault> {
    let fault = |scope: &str, when| Fault::in_scope(scope, effect.clone(), when);
    let later = first_at.iter().filter(|(_, first)| **first > at);
    let on = later.map(|(scope, _)| fault(scope, When::FromNth(1)));
    [fault(&ops[at].scope, When::FromNth(n))].into_iter().chain(on).collect()
}

fn word(op: OpKind) -> &'static str {
    match op {
        OpKind::Open => "open",
        OpKind::Read => "read",
        OpKind::Write => "write",
        OpKind::Truncate => "truncate",
        OpKind::Sync => "sync",
        OpKind::SyncDirectory => "sync-directory",
        OpKind::Delete => "delete",
        OpKind::Rename => "rename",
        OpKind::Compute => "compute",
    }
}
