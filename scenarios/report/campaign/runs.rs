//! The lines of a campaign's `runs.jsonl`, added up.
//!
//! **Invariant:** a line at a time: a campaign of millions of runs costs some numbers a run. A last line that a
//! kill cut off is left out.

use super::super::{named, of_line};
use crate::campaign::{RUNS, Shares};
use crate::verdict::{Signature, Verdict};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use stormglass_sim::Seed;

/// A line, as far as the page is concerned.
#[derive(Deserialize)]
struct Line {
    seed: String,
    scenario: String,
    verdict: String,
    ops: u64,
    counts: BTreeMap<String, u64>,
    host_ms: u64,
    at_ms: Option<u64>,
    signature: Option<Signature>,
    found: Option<Verdict>,
}

/// One run in numbers.
#[derive(Clone, Copy)]
pub struct Numbers {
    /// When it ended, in milliseconds since the first was begun.
    pub at_ms: Option<u64>,
    /// Disk operations.
    pub ops: u64,
    /// Answers.
    pub answers: u64,
    /// How long it took.
    pub host_ms: u64,
}

/// Runs of one scenario by verdict.
#[derive(Default)]
pub struct Scenario {
    /// All.
    pub run_count: u64,
    /// Those that found something.
    pub violated_count: u64,
    /// Those that accuse nobody.
    pub broken_count: u64,
    /// Disk operations.
    pub op_count: u64,
    /// Host time.
    pub host_ms: u64,
}

/// Failures with one signature.
#[derive(Default)]
pub struct Kind {
    /// How many.
    pub count: u64,
    /// The lowest seed, which is the bundle's.
    pub first_seed: String,
    /// What the promise is called.
    pub statement: String,
}

/// All runs.
#[derive(Default)]
pub struct Runs {
    /// Each in numbers, in the order in which they ended.
    pub numbers: Vec<Numbers>,
    /// By scenario.
    pub scenarios: BTreeMap<String, Scenario>,
    /// By signature.
    pub failures: BTreeMap<Signature, Kind>,
    /// Seeds of runs that accuse nobody, and why.
    pub broken: BTreeMap<String, String>,
    /// What happened, by name.
    pub counts: BTreeMap<String, u64>,
    /// In how many runs it happened at all.
    pub shares: Shares,
}

impl Runs {
    /// Those of a campaign's folder.
    ///
    /// # Errors
    /// What the host says; a line that is no run's.
    pub fn read(folder: &Path) -> io::Result<Runs> {
        let path = folder.join(RUNS);
        let mut file = BufReader::new(File::open(&path).map_err(|error| named(&path, error))?);
        let (mut runs, mut line) = (Runs::default(), String::new());
        while file.read_line(&mut line).map_err(|error| named(&path, error))? > 0 {
            if !line.ends_with('\n') {
                break;
            }
            let at = runs.numbers.len() + 1;
            let read = serde_json::from_str(&line).map_err(|error| of_line(&path, at, &error))?;
            runs.add(read);
            line.clear();
        }
        Ok(runs)
    }

    fn add(&mut self, line: Line) {
        let Line { seed, scenario, verdict, ops, counts, host_ms, at_ms, signature, found } = line;
        let answers = counts.iter().filter(|(name, _)| name.starts_with("answer "));
        let answers = answers.map(|(_, count)| count).sum();
        self.numbers.push(Numbers { at_ms, ops, answers, host_ms });
        let of = self.scenarios.entry(scenario).or_default();
        of.run_count += 1;
        of.op_count += ops;
        of.host_ms += host_ms;
        self.shares.add(&counts);
        for (name, count) in counts {
            *self.counts.entry(name).or_default() += count;
        }
        match (verdict.as_str(), signature, found) {
            ("violated", Some(signature), Some(Verdict::Violated(finding))) => {
                of.violated_count += 1;
                let kind = self.failures.entry(signature).or_default();
                let number = |seed: &str| seed.parse::<Seed>().map_or(u64::MAX, |seed| seed.0);
                if kind.count == 0 || number(&seed) < number(&kind.first_seed) {
                    (kind.first_seed, kind.statement) = (seed, finding.statement);
                }
                kind.count += 1;
            }
            (_, _, Some(Verdict::HarnessBroken(why))) => {
                of.broken_count += 1;
                self.broken.insert(seed, why);
            }
            _ => {}
        }
    }

    /// Runs that found something.
    pub fn violated_count(&self) -> u64 {
        self.failures.values().map(|kind| kind.count).sum()
    }
}
