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
use std::collections::{BTreeMap, BTreeSet};
use stormglass_sim::{Boundary, Effect, Fault, OpKind, Target, When, WorldError};

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

    fn strikes(self, op: OpKind, makes_file: bool) -> bool {
        match self {
            DeviceError::Eio => op != OpKind::Compute,
            DeviceError::Enospc => {
                matches!(op, OpKind::Write | OpKind::Truncate) || (op == OpKind::Open && makes_file)
            }
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
                report.at("the run itself").violations += 1;
                report.found.push(Found::whole(plan, recording.verdict.clone()));
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
    let mut nth: BTreeMap<String, u64> = BTreeMap::new();
    let mut cases = Vec::new();
    // The last is the moment after the last operation.
    for (at, pair) in boundaries.windows(2).enumerate() {
        let [here, next] = pair else { continue };
        let makes_file = next.disk().paths().count() > here.disk().paths().count();
        if !error.strikes(here.op, makes_file) {
            continue;
        }
        let parts = here.scope.match_indices('/').map(|(end, _)| end).chain([here.scope.len()]);
        for end in parts {
            *nth.entry(here.scope[..end].to_string()).or_default() += 1;
        }
        let n = nth[&*here.scope];
        let row = |manner: &str| format!("{} {} {manner}", error.name(), word(here.op));
        let fault = |scope: &str, when| Fault {
            effect: error.effect(),
            target: Target { scope: Some(scope.to_string()), ..Target::default() },
            when,
        };
        cases.push(Case { row: row("once"), faults: vec![fault(&here.scope, When::Nth(n))] });
        let before: BTreeSet<&str> = boundaries[..=at].iter().map(|one| &*one.scope).collect();
        let later = boundaries[at + 1..].iter().map(|one| &*one.scope);
        let later: BTreeSet<&str> = later.filter(|scope| !before.contains(scope)).collect();
        let on = [fault(&here.scope, When::FromNth(n))].into_iter();
        let on = on.chain(later.into_iter().map(|scope| fault(scope, When::FromNth(1))));
        cases.push(Case { row: row("from there on"), faults: on.collect() });
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
