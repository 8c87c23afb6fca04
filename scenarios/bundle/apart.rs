//! A seed whose runs are not the same, as a bundle with the traces of both.
//!
//! **Invariant:** it accuses nobody but the harness.

use super::Recorded;
use super::write::{draft_of, finish, write_source, write_traces};
use crate::build_info::Build;
use crate::verdict::{Outcome, Verdict};
use crate::what::What;
use serde_json::Value;
use std::io;
use std::path::Path;
use stormglass_sim::Seed;

/// The fingerprint of a run that has more than one.
const NOT_ONE: &str = "(more than one)";

/// Keeps a seed that two processes made otherwise, and why that is said of it.
///
/// # Errors
/// What the host says.
pub fn keep_apart(
    folder: &Path,
    (what, seed): (&What, Seed),
    why: &str,
    traces: &[String; 2],
) -> io::Result<()> {
    let source = what.source(seed).map_err(io::Error::other)?;
    let outcome = Outcome {
        verdict: Verdict::HarnessBroken(why.to_string()),
        fingerprint: NOT_ONE.to_string(),
        op_count: op_count(&traces[0]),
        counts: Default::default(),
        trail: Default::default(),
    };
    let arguments = what.arguments("check-determinism").join(" ");
    let reproduce = format!("cargo stormglass {arguments} --seed {seed}");
    let recorded = Recorded {
        seed: Some(seed.to_string()),
        defect: what.defect.clone(),
        ..Recorded::of(&source, outcome, (reproduce, Build::this()))
    };
    let draft = draft_of(folder)?;
    write_source(&draft, &source)?;
    write_traces(&draft, traces)?;
    finish(&draft, folder, &recorded).map(drop)
}

fn op_count(trace: &str) -> u64 {
    let last: Option<Value> = trace.lines().last().and_then(|line| serde_json::from_str(line).ok());
    last.and_then(|last| last["op"].as_u64()).unwrap_or(0)
}
