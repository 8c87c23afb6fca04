//! A part of a campaign's runs, played once more in other processes (I17).
//!
//! **Invariant:** a run that comes out otherwise, in its trace or in its verdict, accuses the harness.

use crate::workers::{Crew, WITHOUT_END};
use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use stormglass_sim::Seed;

/// One run in so many is played twice.
const ONE_IN: usize = 50;

/// What became of the runs that were played twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Twins {
    /// Runs that were played twice.
    pub compared_count: u64,
    /// Those that came out otherwise: fingerprint and verdict of both.
    pub different: BTreeMap<Seed, (String, String)>,
}

impl Twins {
    /// One line.
    pub fn in_words(&self) -> String {
        let (compared, different) = (self.compared_count, self.different.len());
        format!(
            "{compared} runs played once more in other processes, {different} came out otherwise"
        )
    }
}

/// Plays every so-manieth of the runs again, each given with its fingerprint and verdict: the last one
/// first, so that no process plays what it has played in the order in which it did.
///
/// # Errors
/// When a process cannot be started.
pub fn play(
    crew: &Crew,
    jobs: usize,
    ends: impl Iterator<Item = (Seed, String)>,
) -> io::Result<Twins> {
    let sample = ends.step_by(ONE_IN).filter(|(_, end)| !end.starts_with(WITHOUT_END));
    let sample: BTreeMap<Seed, String> = sample.collect();
    let seeds: Vec<Seed> = sample.keys().rev().copied().collect();
    let mut twins = Twins::default();
    crew.play_all(seeds.into_iter(), jobs, |ended| {
        twins.compared_count += 1;
        let first = &sample[&ended.seed];
        let second = format!("{} {}", ended.outcome.fingerprint, ended.outcome.verdict.in_words());
        if *first != second {
            twins.different.insert(ended.seed, (first.clone(), second));
        }
        ControlFlow::Continue(())
    })?;
    Ok(twins)
}
