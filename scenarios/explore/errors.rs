//! An error at every disk operation of one run: once, and from there on, as SQLite's own tests do it.
//!
//! **Invariant:** a fault's address is its scope and its place among the operations there that it can strike,
//! so that each run is a plan which fails alone. The run's own faults stay.
//! **Not done:** from there on it strikes in scopes that the run without errors came to; a boot that only the
//! error brings about is spared.

use super::report::{Found, Report};
use crate::plan::Plan;
use crate::runner::{self, PlayOptions};
use crate::verdict::{Signature, Verdict};
use std::collections::BTreeMap;
use stormglass_sim::fault::holders;
use stormglass_sim::{Boundary, Effect, Fault, OpKind, When, WorldError};

/// What a device says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DeviceError {
    /// Input/output error: every kind of call.
    Eio,
    /// No space left: writes, truncations, and openings that make a file.
    Enospc,
}

impl DeviceError {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            DeviceError::Eio => "eio",
            DeviceError::Enospc => "enospc",
        }
    }

    fn effect(self) -> Effect {
        match self {
            DeviceError::Eio => Effect::Eio,
            DeviceError::Enospc => Effect::NoSpace,
        }
    }
}

/// One error: its row in the report and the faults that make it.
struct Case {
    row: String,
    faults: Vec<Fault>,
}

/// Plays `plan` with each of `errors` at every disk operation of its steps, of which this slice's share.
///
/// # Errors
/// [`WorldError`] when there can be no world.
pub fn explore(
    plan: &Plan,
    errors: &[DeviceError],
    slice: (u64, u64),
) -> Result<Report, WorldError> {
    let mut report = Report::default();
    let cases = runner::record(plan, |recording| {
        if recording.verdict != Verdict::Passed {
            if slice.0 == 0 {
                report.fails_itself(plan, &recording.verdict);
            }
            return Vec::new();
        }
        report.ops_after = recording.ops_after;
        let boundaries: Vec<&Boundary> =
            recording.moments().map(|moment| moment.boundary).collect();
        errors.iter().flat_map(|error| cases(&boundaries, *error)).collect()
    })?;
    let options = PlayOptions { keep_trace: false, checks: true };
    for (at, Case { row, faults }) in cases.into_iter().enumerate() {
        let counts = report.at(&row);
        counts.points += 1;
        counts.states += 1;
        if at as u64 % slice.1 != slice.0 {
            continue;
        }
        counts.recoveries += 1;
        let mut struck = plan.clone();
        struck.faults.extend(faults);
        let verdict = runner::play(&struck, options)?.outcome.verdict;
        if let Some(signature) = Signature::of(&verdict) {
            counts.violations += 1;
            report.found.push(Found { signature, verdict, plan: struck });
        }
    }
    Ok(report)
}

fn cases(boundaries: &[&Boundary], error: DeviceError) -> Vec<Case> {
    let effect = error.effect();
    // The last is the moment after the last operation.
    let ops = &boundaries[..boundaries.len().saturating_sub(1)];
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
        let row = |manner: &str| format!("{} {} {manner}", error.name(), word(here.op));
        let fault = |scope: &str, when| Fault::in_scope(scope, effect.clone(), when);
        cases.push(Case { row: row("once"), faults: vec![fault(&here.scope, When::Nth(n))] });
        let later = first_at.iter().filter(|(_, first)| **first > at);
        let on = later.map(|(scope, _)| fault(scope, When::FromNth(1)));
        let faults = [fault(&here.scope, When::FromNth(n))].into_iter().chain(on).collect();
        cases.push(Case { row: row("from there on"), faults });
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
