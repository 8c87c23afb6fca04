//! The hunt for a known defect: how many fresh seeds it takes until something is found, and whether what is
//! found first is what the defect breaks.
//!
//! **Invariant:** the finding is that of the lowest seed that fails, with any number of processes: seeds below
//! it are all played, but those with a dishonest fault where the defect has nothing to do with damage. Equal
//! ranges end in equal findings.

use crate::defects;
use crate::host::Stopwatch;
use crate::plan::Plan;
use crate::shrink::{Shrinking, shrink_in};
use crate::verdict::{Signature, Verdict};
use crate::what::What;
use crate::workers::{Crew, Order};
use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use stormglass_model::violation::Invariant;
use stormglass_sim::Seed;

/// What a range of seeds came to.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// The seeds that were to be tried.
    pub seeds: Range<u64>,
    /// The lowest seed that failed, and as what; nothing when none did.
    pub found: Option<(Seed, Verdict)>,
    /// The host's time.
    pub elapsed: Duration,
}

impl Hunt {
    /// Seeds that were needed.
    pub fn seed_count(&self) -> Option<u64> {
        self.found.as_ref().map(|(seed, _)| seed.0.wrapping_sub(self.seeds.start) + 1)
    }

    /// Whether what was found is a promise that this defect is known to break.
    pub fn is_own(&self, invariants: &[String]) -> bool {
        let Some((_, Verdict::Violated(found))) = &self.found else { return false };
        invariants.contains(&found.invariant)
    }
}

/// The invariants by which a defect counts as found.
pub fn invariants_of(defect: &str) -> Vec<String> {
    let known = defects::known().into_iter().find(|(name, ..)| *name == defect);
    let list = known.map(|(_, _, invariants)| invariants).unwrap_or_default();
    list.split(", ").map(str::to_string).collect()
}

/// Plays `seeds` with a defect until one fails.
///
/// # Errors
/// When a process cannot be started.
pub fn hunt(
    defect: &str,
    seeds: Range<u64>,
    jobs: usize,
    stop: &Arc<AtomicBool>,
) -> io::Result<Hunt> {
    let (what, own) = (What::with_defect(Some(defect)), invariants_of(defect));
    let crew = what.crew()?.stopped_by(stop);
    let end = AtomicU64::new(seeds.end);
    let watch = Stopwatch::start();
    let mut found: Option<(Seed, Verdict)> = None;
    let open = seeds.clone().take_while(|seed| *seed < end.load(Ordering::Relaxed));
    let open = open.map(Seed).filter(|seed| !is_set_aside(&what, *seed, &own));
    crew.play_all(open, jobs, |ended| {
        let is_lowest = found.as_ref().is_none_or(|(lowest, _)| ended.seed < *lowest);
        if ended.outcome.verdict != Verdict::Passed && is_lowest {
            end.store(ended.seed.0, Ordering::Relaxed);
            found = Some((ended.seed, ended.outcome.verdict));
        }
        ControlFlow::Continue(())
    })?;
    Ok(Hunt { seeds, found, elapsed: watch.elapsed() })
}

/// Whether a seed is counted and not played: a run with a dishonest fault says I22 of whatever goes wrong with
/// what is damaged, whoever's doing it is.
fn is_set_aside(what: &What, seed: Seed, own: &[String]) -> bool {
    let is_of_damage = own.iter().any(|invariant| invariant == Invariant::I22.id());
    let source = what.source(seed);
    let is_dishonest = || source.is_ok_and(|source| source.plan().is_some_and(Plan::is_dishonest));
    !is_of_damage && is_dishonest()
}

/// The shrunk plan of a seed that finds a defect, and what it took.
///
/// # Errors
/// Why there is none to be kept: it must fail with the defect and pass without.
pub fn plan_of(defect: &str, seed: Seed, found: &Verdict) -> Result<(Plan, Shrinking), String> {
    let told = |error: io::Error| error.to_string();
    let what = What::with_defect(Some(defect));
    let source = what.source(seed)?;
    let plan = source.plan().ok_or("a script is no plan")?;
    let signature = Signature::of(found).ok_or("it passed")?;
    let crew = what.crew().map_err(told)?;
    let mut solo = crew.solo();
    let outcome = solo.play(&Order::plan(plan)).map_err(told)?.ok_or("interrupted")?;
    if Signature::of(&outcome.verdict).as_ref() != Some(&signature) {
        return Err(format!(
            "its plan does not fail as its seed does: {}",
            outcome.verdict.in_words()
        ));
    }
    let (rest, shrunk) = shrink_in(&mut solo, plan, &outcome, &mut |_, _| {}).map_err(told)?;
    let without = |crew: Crew| crew.solo().play(&Order::plan(&rest));
    let healthy = What::with_defect(None).crew().and_then(without).map_err(told)?;
    match healthy.map(|outcome| outcome.verdict) {
        Some(Verdict::Passed) => Ok((rest, shrunk)),
        Some(other) => Err(format!("its plan fails without the defect: {}", other.in_words())),
        None => Err("interrupted".to_string()),
    }
}
