//! Many runs, one after another, and what they amounted to.
//!
//! **Invariant:** a campaign in which a fault never struck, or in which no process ever crashed, says
//! so: silence is no pass.

use crate::sql::{Script, play};
use crate::verdict::{Outcome, Verdict};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;
use stormglass_sim::{Digest, Seed, WorldError};

/// What a campaign amounted to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Runs that passed.
    pub passed_count: u64,
    /// Runs that did not, with what was found.
    pub failures: Vec<(Seed, Verdict)>,
    /// Disk operations of all runs.
    pub op_count: u64,
    /// Requests by answer.
    pub answers: BTreeMap<&'static str, u64>,
    /// Faults by name: how often they struck.
    pub faults: BTreeMap<&'static str, u64>,
    /// Hash over the fingerprints of all runs, in the order of their seeds.
    pub fingerprint: Option<Digest>,
}

impl Summary {
    fn add(&mut self, seed: Seed, outcome: Outcome) {
        self.op_count += outcome.op_count;
        for (answer, count) in outcome.answers {
            *self.answers.entry(answer).or_default() += count;
        }
        for ((name, _, _), count) in outcome.ledger {
            *self.faults.entry(name).or_default() += count;
        }
        let so_far = self.fingerprint.map_or(0, |digest| digest.0);
        let both = [so_far.to_le_bytes(), outcome.fingerprint.0.to_le_bytes()].concat();
        self.fingerprint = Some(Digest::of(&both));
        match outcome.verdict {
            Verdict::Passed => self.passed_count += 1,
            other => self.failures.push((seed, other)),
        }
    }

    /// The exit code of the whole: the worst there was.
    pub fn exit_code(&self) -> u8 {
        self.failures.iter().map(|(_, verdict)| verdict.exit_code()).max().unwrap_or(0)
    }

    /// The summary in a few lines. `elapsed` is the host's time.
    pub fn in_words(&self, elapsed: Duration) -> String {
        let counts = |counts: &BTreeMap<&'static str, u64>| {
            let words = counts.iter().map(|(name, count)| format!("{name} {count}"));
            words.collect::<Vec<_>>().join(", ")
        };
        let run_count = self.passed_count + self.failures.len() as u64;
        let per_second = run_count as f64 / elapsed.as_secs_f64().max(0.001);
        let mut lines = vec![
            format!("answers      {}", counts(&self.answers)),
            format!("faults       {}", counts(&self.faults)),
        ];
        if let Some(fingerprint) = self.fingerprint {
            lines.push(format!("fingerprint  {fingerprint}"));
        }
        lines.push(format!(
            "{run_count} runs, {} failed, {} disk operations, {per_second:.0} runs/s",
            self.failures.len(),
            self.op_count
        ));
        lines.join("\n")
    }
}

/// Plays the runs of `seeds`; after each, `each` sees its seed and outcome and says whether to go on.
///
/// # Errors
/// [`WorldError`] when there can be no world.
pub fn run(
    seeds: Range<u64>,
    mut each: impl FnMut(Seed, &Outcome) -> bool,
) -> Result<Summary, WorldError> {
    let mut summary = Summary::default();
    for number in seeds {
        let seed = Seed(number);
        let (outcome, _) = play(&Script::from_seed(seed), false)?;
        let go_on = each(seed, &outcome);
        summary.add(seed, outcome);
        if !go_on {
            break;
        }
    }
    Ok(summary)
}
