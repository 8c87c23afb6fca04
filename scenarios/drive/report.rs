//! What many runs of one spec amounted to.
//!
//! **Invariant:** an invariant that the spec itself breaks is told as the spec's, and fails nothing.

use crate::counts::BROKEN_CLAIM;
use crate::lines::counted;
use crate::verdict::{Outcome, Signature};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use stormglass_sim::Seed;

/// What many runs of one spec amounted to.
#[derive(Debug, Default)]
pub struct Report {
    file: String,
    /// What plays one of the runs, but for its seed.
    command: String,
    run_count: u64,
    op_count: u64,
    answers: BTreeMap<String, u64>,
    /// Rejections by their codes.
    rejected: BTreeMap<String, u64>,
    /// Places of the platform.
    reached: BTreeMap<String, u64>,
    /// Of each kind of failure the lowest seed, what came of that, and the runs.
    failures: BTreeMap<Signature, (Seed, String, u64)>,
    exit_code: u8,
    /// Of each invariant that the spec breaks: the lowest seed, the entity, and the runs.
    broken: BTreeMap<String, (Seed, String, u64)>,
}

impl Report {
    /// Of no runs yet, each of which `command` plays with its seed.
    pub fn new(file: &str, command: &str) -> Report {
        Report { file: file.to_string(), command: command.to_string(), ..Report::default() }
    }

    /// Adds the run of `seed`.
    pub fn add(&mut self, seed: Seed, outcome: &Outcome) {
        self.run_count += 1;
        self.op_count += outcome.op_count;
        for (what, count) in &outcome.counts {
            for (group, counts) in [
                ("answer ", &mut self.answers),
                ("rejected ", &mut self.rejected),
                ("reached ", &mut self.reached),
            ] {
                if let Some(what) = what.strip_prefix(group) {
                    *counts.entry(what.to_string()).or_default() += count;
                }
            }
            let claim = what.strip_prefix(BROKEN_CLAIM).and_then(|told| told.split_once(" on "));
            if let Some((claim, entity)) = claim {
                let first = (seed, entity.to_string(), 0);
                let known = self.broken.entry(claim.to_string()).or_insert(first.clone());
                let count = known.2 + 1;
                if seed < known.0 {
                    *known = first;
                }
                known.2 = count;
            }
        }
        self.exit_code = self.exit_code.max(outcome.verdict.exit_code());
        if let Some(signature) = Signature::of(&outcome.verdict) {
            let first = (seed, outcome.verdict.in_words(), 0);
            let known = self.failures.entry(signature).or_insert(first.clone());
            let count = known.2 + 1;
            if seed < known.0 {
                *known = first;
            }
            known.2 = count;
        }
    }

    /// How many runs there were.
    pub fn run_count(&self) -> u64 {
        self.run_count
    }

    /// Names of the invariants that the spec breaks.
    pub fn broken_claims(&self) -> Vec<&str> {
        self.broken.keys().map(String::as_str).collect()
    }

    /// The same for a program.
    pub fn to_json(&self) -> Value {
        let Report { file, run_count, op_count, answers, rejected, reached, .. } = self;
        let failures = self.failures.values().map(|(seed, words, count)| {
            json!({ "verdict": words, "first_seed": seed.to_string(), "run_count": count })
        });
        let broken = self.broken.iter().map(|(claim, (seed, entity, count))| {
            let seed = seed.to_string();
            json!({ "claim": claim, "first_seed": seed, "entity": entity, "run_count": count })
        });
        json!({
            "file": file,
            "run_count": run_count,
            "disk_op_count": op_count,
            "answers": answers,
            "rejected": rejected,
            "reached": reached,
            "failures": failures.collect::<Vec<_>>(),
            "broken_by_the_spec": broken.collect::<Vec<_>>(),
        })
    }

    /// 0 when the platform kept its promises, whatever the spec did with its own.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed: u64 = self.failures.values().map(|(.., count)| count).sum();
        let Report { file, command, run_count, op_count, .. } = self;
        writeln!(
            f,
            "{file}: {}, {failed} failed, {}",
            counted(run_count, "run"),
            counted(op_count, "disk operation")
        )?;
        for (title, counts) in
            [("answers", &self.answers), ("rejected", &self.rejected), ("reached", &self.reached)]
        {
            let words: Vec<String> =
                counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
            if !words.is_empty() {
                writeln!(f, "  {title:<12} {}", words.join(", "))?;
            }
        }
        for (seed, words, count) in self.failures.values() {
            writeln!(f, "  {count} x, first seed {seed}: {words}")?;
        }
        for (claim, (seed, entity, count)) in &self.broken {
            let runs = counted(count, "run");
            writeln!(
                f,
                "  the spec breaks its own {claim} in {runs}, first seed {seed}, {entity}"
            )?;
            writeln!(f, "    {command} --seed {seed}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counts::broken_claim;
    use crate::verdict::Verdict;

    #[test]
    fn a_spec_that_breaks_its_own_invariant_fails_nothing() {
        let mut report = Report::new("t.ioa.toml", "play t");
        for seed in [5, 3] {
            let counts = [("answer 200".to_string(), 2), (broken_claim("T.Kept on t/Ts/s1"), 1)];
            let (verdict, fingerprint) = (Verdict::Passed, String::new());
            let outcome = Outcome {
                verdict,
                fingerprint,
                op_count: 7,
                counts: counts.into(),
                trail: Default::default(),
            };
            report.add(Seed(seed), &outcome);
        }
        assert_eq!((report.exit_code(), report.broken_claims()), (0, vec!["T.Kept"]));
        let told = report.to_string();
        assert!(told.contains("2 runs, 0 failed, 14 disk operations"), "{told}");
        let first = Seed(3);
        let first = format!(
            "breaks its own T.Kept in 2 runs, first seed {first}, t/Ts/s1\n    play t --seed {first}\n"
        );
        assert!(told.contains(&first), "{told}");
    }
}
