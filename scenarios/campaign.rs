//! What many runs amounted to.

use crate::verdict::{Outcome, Verdict};
use std::collections::BTreeMap;
use std::time::Duration;
use stormglass_sim::{Digest, Seed};

/// What many runs amounted to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Runs that passed.
    pub passed_count: u64,
    /// Runs that did not, with what was found.
    pub failures: Vec<(Seed, Verdict)>,
    /// Disk operations of all runs.
    pub op_count: u64,
    /// What happened, counted by name.
    pub counts: BTreeMap<String, u64>,
    /// The fingerprints of all runs, by seed.
    fingerprints: BTreeMap<Seed, String>,
}

impl Summary {
    /// Adds the run of `seed`.
    pub fn add(&mut self, seed: Seed, outcome: Outcome) {
        self.op_count += outcome.op_count;
        for (what, count) in outcome.counts {
            *self.counts.entry(what).or_default() += count;
        }
        self.fingerprints.insert(seed, outcome.fingerprint);
        match outcome.verdict {
            Verdict::Passed => self.passed_count += 1,
            other => self.failures.push((seed, other)),
        }
    }

    /// Hash over the fingerprints of all runs, in the order of their seeds.
    pub fn fingerprint(&self) -> Digest {
        let all: Vec<&str> = self.fingerprints.values().map(String::as_str).collect();
        Digest::of(all.join("\n").as_bytes())
    }

    /// The exit code of the whole: the worst there was.
    pub fn exit_code(&self) -> u8 {
        self.failures.iter().map(|(_, verdict)| verdict.exit_code()).max().unwrap_or(0)
    }

    /// The summary in a few lines. `elapsed` is the host's time.
    pub fn in_words(&self, elapsed: Duration) -> String {
        let mut lines = Vec::new();
        let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, count) in &self.counts {
            let (group, rest) = name.split_once(' ').unwrap_or(("", name));
            groups.entry(group).or_default().push(format!("{rest} {count}"));
        }
        for (group, words) in groups {
            lines.push(format!("{group:<12} {}", words.join(", ")));
        }
        lines.push(format!("fingerprint  {}", self.fingerprint()));
        let run_count = self.passed_count + self.failures.len() as u64;
        let per_second = run_count as f64 / elapsed.as_secs_f64().max(0.001);
        lines.push(format!(
            "{run_count} runs, {} failed, {} disk operations, {per_second:.0} runs/s",
            self.failures.len(),
            self.op_count
        ));
        lines.join("\n")
    }
}
