//! What a run ends with.
//!
//! **Invariant:** a harness that does not work accuses nobody: [`Verdict::HarnessBroken`] is neither a
//! pass nor a violation, and has an exit code of its own.

use std::fmt;
use stormglass_sim::Digest;
use stormglass_sim::fault::Ledger;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every check held.
    Passed,
    /// A promise was broken.
    Violated(Violation),
    /// The harness itself failed; what it was to test is not accused.
    HarnessBroken(String),
}

/// A broken promise: plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The promise, as a sentence in kebab-case.
    pub invariant: &'static str,
    /// The step of the plan after which it was seen broken, counted from 1.
    pub step: usize,
    /// What was promised.
    pub expected: String,
    /// What was found.
    pub actual: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} broken at step {}", self.invariant, self.step)?;
        writeln!(f, "  expected  {}", self.expected)?;
        write!(f, "  actual    {}", self.actual)
    }
}

impl Verdict {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Verdict::Passed => 0,
            Verdict::Violated(_) => 1,
            Verdict::HarnessBroken(_) => 3,
        }
    }
}

/// One run, as it is reported.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was found.
    pub verdict: Verdict,
    /// Hash over the run's trace.
    pub fingerprint: Digest,
    /// Disk operations.
    pub op_count: u64,
    /// Requests by their answer.
    pub answers: std::collections::BTreeMap<&'static str, u64>,
    /// How often each fault struck.
    pub ledger: Ledger,
    /// What happened, a line each, with simulated time.
    pub story: Vec<String>,
}
