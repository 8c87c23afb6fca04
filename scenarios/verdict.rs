//! What a run ends with.
//!
//! **Invariant:** a harness that does not work accuses nobody: [`Verdict::HarnessBroken`] is neither a
//! pass nor a violation, and has an exit code of its own.

use crate::lines::shortened;
use crate::trail::Trail;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use stormglass_sim::trace::Record;
use stormglass_sim::{Digest, Disk, Fault, Scene};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every check held.
    Passed,
    /// A promise was broken.
    Violated(Finding),
    /// The harness itself failed; what it was to test is not accused.
    HarnessBroken(String),
}

/// A broken promise: plain data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The promise: `I5`, or a sentence in kebab-case.
    pub invariant: String,
    /// The promise in a few words.
    pub statement: String,
    /// The check's own variant, without ids, sizes and times.
    pub place: String,
    /// The kind of the last step that was begun: `act`, `create`, `crash`, `check`.
    pub step_kind: String,
    /// What it was found on.
    pub subject: String,
    /// What was promised.
    pub expected: String,
    /// What was found.
    pub actual: String,
    /// Why that was promised.
    pub because: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { invariant, statement, place, subject, expected, actual, because, .. } = self;
        writeln!(f, "{invariant} {statement}: {place}")?;
        writeln!(f, "  on        {subject}")?;
        writeln!(f, "  expected  {}", shortened(expected, SHOWN_MAX))?;
        write!(f, "  actual    {}", shortened(actual, SHOWN_MAX))?;
        if because.is_empty() { Ok(()) } else { write!(f, "\n  because   {because}") }
    }
}

/// At most so many characters of a value are shown on the terminal.
const SHOWN_MAX: usize = 400;

impl Verdict {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Verdict::Passed => 0,
            Verdict::Violated(_) => 1,
            Verdict::HarnessBroken(_) => 3,
        }
    }

    /// The verdict in one or more lines.
    pub fn in_words(&self) -> String {
        match self {
            Verdict::Passed => "passed".to_string(),
            Verdict::Violated(finding) => format!("VIOLATED {finding}"),
            Verdict::HarnessBroken(why) => format!("HARNESS BROKEN {why}"),
        }
    }
}

/// What makes two failures one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signature {
    /// The promise, or `harness-broken`.
    pub invariant: String,
    /// The kind of the last step that was begun.
    pub step_kind: String,
    /// The check's own variant.
    pub place: String,
}

impl Signature {
    /// The signature of a verdict; none of a pass.
    pub fn of(verdict: &Verdict) -> Option<Signature> {
        let (invariant, step_kind, place) = match verdict {
            Verdict::Passed => return None,
            Verdict::Violated(found) => (&*found.invariant, &*found.step_kind, &*found.place),
            Verdict::HarnessBroken(_) => ("harness-broken", "run", "a run that accuses nobody"),
        };
        let (invariant, step_kind) = (invariant.to_string(), step_kind.to_string());
        Some(Signature { invariant, step_kind, place: place.to_string() })
    }

    /// A short name, the same for equal signatures.
    pub fn short(&self) -> String {
        let Signature { invariant, step_kind, place } = self;
        let digest = Digest::of(format!("{invariant}\n{step_kind}\n{place}").as_bytes());
        digest.to_string().chars().take(8).collect()
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.invariant, self.step_kind, self.place)
    }
}

/// One run, as it is reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What was found.
    pub verdict: Verdict,
    /// Hash over the run's trace, in hex.
    pub fingerprint: String,
    /// Disk operations.
    pub op_count: u64,
    /// What happened, counted by name: `answer 200`, `fault eio`, `crash ...`.
    pub counts: BTreeMap<String, u64>,
    /// What it led to, for a comparison with another run.
    #[serde(default)]
    pub trail: Trail,
}

/// A run with everything that it left.
pub struct Played {
    /// What is reported.
    pub outcome: Outcome,
    /// What happened, a line each, with simulated time.
    pub story: Vec<String>,
    /// The records of the trace, if they were kept.
    pub records: Vec<Record>,
    /// The disk as it was when a promise was found broken.
    pub disk: Option<Disk>,
    /// Faults of the plan that never struck.
    pub moved: Vec<Fault>,
    /// What the disk was around each crash before that moment, if records were kept.
    pub scenes: Vec<Scene>,
    /// Records of the trace up to that moment, if they were kept: what follows is the run's own end.
    pub told_count: usize,
}

/// Adds the faults that struck to what happened.
pub fn count_faults(counts: &mut BTreeMap<String, u64>, ledger: &stormglass_sim::fault::Ledger) {
    for ((effect, _, _), count) in ledger {
        *counts.entry(crate::counts::fault(effect)).or_default() += count;
    }
}
