//! Whether faults that struck were of any consequence: some runs are played once more without one of them.
//!
//! **Invariant:** a fault mattered when the same plan without it, and with all others, gives another answer or
//! has a recovery begin with another state ([`Trail`]). Nothing is guessed from what the fault was.

use crate::bundle::Source;
use crate::counts;
use crate::lines::counted;
use crate::plan::Plan;
use crate::trail::{Place, Trail};
use crate::verdict::{Outcome, Verdict};
use crate::what::What;
use crate::workers::{Crew, Order};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use stormglass_sim::Seed;

/// One run in so many is looked at.
const ONE_IN: u64 = 10;
/// And so many of its faults, at most.
const FAULTS_MAX: usize = 3;

/// What was found of the faults that were left out once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Faults that were left out.
    pub sampled: u64,
    /// Of these, those whose run had other answers, or another end.
    pub answers: u64,
    /// Those whose run had a recovery begin with another state.
    pub recoveries: u64,
    /// Those that mattered, in whichever way.
    pub mattered: u64,
}

impl Found {
    fn add(&mut self, other: Found) {
        self.sampled += other.sampled;
        self.answers += other.answers;
        self.recoveries += other.recoveries;
        self.mattered += other.mattered;
    }
}

/// The faults of a campaign that were left out once, by where they struck.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matters {
    run_count: u64,
    found: BTreeMap<Place, Found>,
}

/// The runs to be looked at, with what they led to.
#[derive(Default)]
pub struct Sample {
    trails: BTreeMap<Seed, Trail>,
}

impl Sample {
    /// Takes one in so many of the runs that passed and in which a fault struck.
    pub fn offer(&mut self, seed: Seed, outcome: &Outcome) {
        if outcome.verdict != Verdict::Passed || outcome.trail.struck.is_empty() {
            return;
        }
        // By seed and not by the order in which runs end, which is the host's.
        if seed.stream("matters").below(ONE_IN) == 0 {
            self.trails.insert(seed, outcome.trail.clone());
        }
    }
}

impl Matters {
    /// Plays the sample's runs without one fault at a time.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub fn play(what: &What, crew: &Crew, jobs: usize, sample: Sample) -> io::Result<Matters> {
        let mut matters = Matters::default();
        let mut without = Vec::new();
        for (seed, trail) in &sample.trails {
            let Ok(Source::Plan(plan)) = what.source(*seed) else { continue };
            matters.run_count += 1;
            let from = seed.stream("matters-from").below(trail.struck.len() as u64) as usize;
            let rotated = trail.struck.iter().cycle().skip(from).take(trail.struck.len());
            without.extend(rotated.take(FAULTS_MAX).map(|struck| {
                let order = Order::plan(&without_fault(&plan, struck.fault));
                ((trail, &struck.place), order)
            }));
        }
        crew.play_orders(without.into_iter(), jobs, |(trail, place), outcome, _| {
            matters.found.entry(place.clone()).or_default().add(compared(trail, &outcome));
            ControlFlow::Continue(())
        })?;
        Ok(matters)
    }

    /// What was found of each kind of fault.
    fn by_kind(&self) -> BTreeMap<&str, Found> {
        let mut kinds: BTreeMap<&str, Found> = BTreeMap::new();
        self.found
            .iter()
            .for_each(|(place, found)| kinds.entry(&place.kind).or_default().add(*found));
        kinds
    }

    /// The kinds of faults of which some were left out and none had mattered.
    pub fn never(&self) -> Vec<String> {
        let never = self.by_kind().into_iter().filter(|(_, found)| found.mattered == 0);
        never.map(|(kind, found)| format!("{kind} 0 of {}", found.sampled)).collect()
    }

    /// Kinds with how often they mattered, and the whole in numbers.
    pub fn in_words(&self) -> Vec<String> {
        let kinds = self.by_kind();
        let mut all = Found::default();
        kinds.values().for_each(|found| all.add(*found));
        let kind = |(kind, found): (&str, Found)| {
            format!("{kind} {} of {}", found.mattered, found.sampled)
        };
        let mut words: Vec<String> = kinds.into_iter().map(kind).collect();
        words.push(format!(
            "left out one at a time from {}: other answers {}, other recoveries {}",
            counted(self.run_count, "run"),
            all.answers,
            all.recoveries
        ));
        words
    }

    /// A row for each place at which faults struck, from the counts of all runs.
    pub fn ledger(&self, counts: &BTreeMap<String, u64>) -> Vec<Value> {
        let fired = |(name, count): (&String, &u64)| {
            let place: Place = serde_json::from_str(name.strip_prefix(counts::FAULT_AT)?).ok()?;
            let found = self.found.get(&place).copied().unwrap_or_default();
            let mut row = json!(place);
            row["fired"] = json!(count);
            row["sampled"] = json!(found.sampled);
            row["mattered"] = json!(found.mattered);
            Some(row)
        };
        counts.iter().filter_map(fired).collect()
    }
}

fn without_fault(plan: &Plan, fault: usize) -> Plan {
    let mut plan = plan.clone();
    if fault < plan.faults.len() {
        plan.faults.remove(fault);
    }
    plan
}

fn compared(with: &Trail, without: &Outcome) -> Found {
    // A run that does not pass without the fault is another one for sure.
    let answers = with.answers != without.trail.answers || without.verdict != Verdict::Passed;
    let recoveries = with.recoveries != without.trail.recoveries;
    Found {
        sampled: 1,
        answers: u64::from(answers),
        recoveries: u64::from(recoveries),
        mattered: u64::from(answers || recoveries),
    }
}
