//! A part of a campaign's runs, played once more in other processes (I17).
//!
//! **Invariant:** a run that comes out otherwise, in its trace or in its verdict, accuses the harness, and is
//! kept with both traces.

use crate::bundle;
use crate::determinism::{self, Comparison, Parting};
use crate::lines::counted;
use crate::what::What;
use crate::workers::{Crew, WITHOUT_END};
use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use stormglass_sim::Seed;

/// One run in so many is played twice.
const ONE_IN: usize = 50;
/// Of so many runs that came out otherwise at most, the record is looked for.
const LOOKED_AT_MAX: usize = 5;

/// What became of the runs that were played twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Twins {
    /// Runs that were played twice.
    pub compared_count: u64,
    /// Those that came out otherwise.
    pub different: BTreeMap<Seed, Apart>,
}

/// A run that came out otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Apart {
    /// Fingerprint and verdict of both.
    pub ends: (String, String),
    /// Where two fresh processes part, if they do.
    pub parting: Option<Parting>,
    /// Whether two fresh processes were asked.
    pub was_looked_at: bool,
}

impl Apart {
    /// Why the harness is broken.
    pub fn in_words(&self) -> String {
        let (first, second) = &self.ends;
        let why = format!("two processes make other runs of it: {first}, {second}");
        match &self.parting {
            Some(parting) => format!("{why}\n{}", parting.in_words().join("\n")),
            None if self.was_looked_at => format!(
                "{why}; two fresh processes make the same one, so that it depends on what a process played before"
            ),
            None => why,
        }
    }
}

impl Twins {
    /// One line.
    pub fn in_words(&self) -> String {
        let (compared, different) = (self.compared_count, self.different.len());
        format!(
            "{} played once more in other processes, {different} came out otherwise",
            counted(compared, "run")
        )
    }

    /// Looks for the record where the first few of them part, in two fresh processes each, and keeps each as
    /// a bundle in `folder`, under the name that `name` gives it.
    ///
    /// # Errors
    /// When a process cannot be started or a bundle not be written.
    pub fn look_closer(
        &mut self,
        what: &What,
        folder: &Path,
        name: impl Fn(Seed) -> String,
    ) -> io::Result<()> {
        for (seed, apart) in self.different.iter_mut().take(LOOKED_AT_MAX) {
            let compared = determinism::compare_seed(what, *seed)?;
            apart.was_looked_at = true;
            if let Comparison::Differ(parting) = &compared.comparison {
                apart.parting = Some(parting.clone());
            }
            let (folder, why) = (folder.join(name(*seed)), apart.in_words());
            bundle::keep_apart(&folder, (what, *seed), &why, &compared.traces)?;
        }
        Ok(())
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
            let apart = Apart { ends: (first.clone(), second), ..Apart::default() };
            twins.different.insert(ended.seed, apart);
        }
        ControlFlow::Continue(())
    })?;
    Ok(twins)
}
