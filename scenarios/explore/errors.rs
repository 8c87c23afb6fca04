//! An error at every disk operation of one run, once and from there on, as SQLite's own tests do it; and each
//! run of a guest ended at every part of its fuel (`fuel`).
//!
//! **Invariant:** a fault's address is its scope and its place among the operations there that it can strike,
//! so that each run is a plan which fails alone. The run's own faults stay.
//! **Not done:** from there on it strikes in scopes that the run without errors came to; a boot that only the
//! error brings about is spared.

use super::fuel;
use super::report::{Found, Report};
use super::watch::Watch;
use crate::counts;
use crate::guests::Address;
use crate::plan::Plan;
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
}

impl Trouble {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Trouble::Eio => "eio",
            Trouble::Enospc => "enospc",
            Trouble::Fuel => "fuel",
        }
    }

    fn cases(self, recording: &Recording<'_>, report: &mut Report) -> Vec<Case> {
        let effect = match self {
            Trouble::Eio => Effect::Eio,
            Trouble::Enospc => Effect::NoSpace,
            Trouble::Fuel => return fuel_cases(&recording.fuel, report),
        };
        cases(recording.ops_of_steps(), (self.name(), effect))
    }
}

/// One error: its row in the report, and what makes it.
struct Case {
    row: String,
    faults: Vec<Fault>,
    fuel: Option<fuel::Limit>,
}

impl Case {
    fn plan(self, plan: &Plan) -> Plan {
        let mut struck = plan.clone();
        struck.faults.extend(self.faults);
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
        cases.extend(limits.into_iter().map(|limit| Case {
            row: limit.row.to_string(),
            faults: Vec::new(),
            fuel: Some(limit),
        }));
    }
    cases
}

fn cases(ops: &[Boundary], (name, effect): (&str, Effect)) -> Vec<Case> {
    let mut first_at: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, op) in ops.iter().enumerate() {
        first_at.entry(&op.scope).or_insert(at);
    }
    let mut nth: BTreeMap<&str, u64> = BTreeMap::new();
    let mut cases = Vec::new();
    for (at, here) in ops.iter().enumerate() {
        if !here.can_be_struck_by(&effect) {
            continue;
        }
        holders(&here.scope).for_each(|scope| *nth.entry(scope).or_default() += 1);
        let n = nth[&*here.scope];
        let case = |manner: &str, faults| {
            let row = format!("{name} {} {manner}", word(here.op));
            Case { row, faults, fuel: None }
        };
        let fault = |scope: &str, when| Fault::in_scope(scope, effect.clone(), when);
        cases.push(case("once", vec![fault(&here.scope, When::Nth(n))]));
        let later = first_at.iter().filter(|(_, first)| **first > at);
        let on = later.map(|(scope, _)| fault(scope, When::FromNth(1)));
        let faults = [fault(&here.scope, When::FromNth(n))].into_iter().chain(on).collect();
        cases.push(case("from there on", faults));
    }
    cases
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
