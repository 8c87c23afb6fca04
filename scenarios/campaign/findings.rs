//! The failures of a campaign: a bundle a signature, written at once and shrunk beside the campaign.
//!
//! **Invariant:** a failure's plan is on the host's disk before the next run is looked at. Shrinking only ever
//! replaces a whole bundle by another that fails in the same way.

use crate::build_info::Build;
use crate::bundle::{self, Recorded, Source};
use crate::failure::Failure as Told;
use crate::shrink::shrink_in;
use crate::verdict::{Outcome, Signature, Verdict};
use crate::what::What;
use crate::workers::{Crew, Ended, Order, Run};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use stormglass_sim::Seed;

/// Bundles of runs that accuse nobody: each is one of its own, and something is wrong with all.
const BROKEN_MAX: usize = 20;

/// Where failures go.
pub struct Findings<'a> {
    what: &'a What,
    folder: &'a Path,
    crew: &'a Crew,
}

/// Those that were seen while the runs are played.
pub struct Found<'a> {
    findings: &'a Findings<'a>,
    /// The lowest seed whose run has not ended yet.
    next_seed: u64,
    /// Runs that ended before one of a lower seed, and what came of those that failed.
    early: BTreeMap<u64, Option<Outcome>>,
    seen: BTreeSet<String>,
    broken_count: usize,
    to_shrink: Sender<Failure>,
    build: Option<Build>,
}

struct Failure {
    seed: Seed,
    source: Source,
    recorded: Recorded,
    folder: PathBuf,
}

impl<'a> Findings<'a> {
    /// Failures of `what`, in the folder of its campaign.
    pub fn new(what: &'a What, folder: &'a Path, crew: &'a Crew) -> Findings<'a> {
        Findings { what, folder, crew }
    }

    /// Has `play` show its runs while others are shrunk beside it. Returns what became of each, by the bundle's
    /// name, and ends when all is.
    pub fn while_playing(
        &self,
        first_seed: u64,
        play: impl FnOnce(&mut Found) -> io::Result<()>,
    ) -> io::Result<BTreeMap<String, Improved>> {
        let (to_shrink, failures) = mpsc::channel::<Failure>();
        thread::scope(|scope| {
            let shrinker = scope.spawn(move || {
                let mut improved = BTreeMap::new();
                for failure in failures {
                    let name = failure.folder.file_name().unwrap_or_default();
                    let name = name.to_string_lossy().into_owned();
                    // The failure is kept as it was found, whatever becomes of this.
                    let one = self.improve(failure).unwrap_or_else(Improved::not);
                    improved.insert(name, one);
                }
                improved
            });
            let mut found = Found {
                findings: self,
                next_seed: first_seed,
                early: BTreeMap::new(),
                seen: BTreeSet::new(),
                broken_count: 0,
                to_shrink,
                build: None,
            };
            let played = play(&mut found).and_then(|()| found.look_at_the_rest());
            drop(found);
            let improved = shrinker.join().map_err(|_| io::Error::other("shrinking panicked"))?;
            played.map(|()| improved)
        })
    }

    /// Has a failure with ever less in its plan take the place of the failure as it was found; as it was found where
    /// that does not fail so again. Only what stays is played for its trace and its disk, compared in two processes,
    /// and given a page.
    fn improve(&self, failure: Failure) -> io::Result<Improved> {
        if self.crew.is_stopped() {
            return self.leave(&failure, "interrupted");
        }
        let Failure { seed, source, recorded, folder } = &failure;
        let whole = Run::Seed(*seed);
        let Some(plan) = source.plan() else {
            return match self.remains(folder, whole, recorded)? {
                Some(remains) => Ok(Improved::of(remains, "a script, not shrunk".to_string())),
                None => self.leave(&failure, OTHERWISE),
            };
        };
        let (plan, shrunk) =
            shrink_in(&mut self.crew.solo(), plan, &recorded.outcome, &mut |_, _| {})?;
        let least = Recorded { shrunk: Some(shrunk), ..recorded.clone() };
        if let Some(least) = self.remains(folder, Run::Plan(Box::new(plan)), &least)? {
            return Ok(Improved::of(least, shrunk.to_string()));
        }
        match self.remains(folder, whole, recorded)? {
            Some(whole) => {
                let words = "not shrunk: what was left did not fail so again";
                Ok(Improved::of(whole, words.to_string()))
            }
            None => self.leave(&failure, OTHERWISE),
        }
    }

    /// Plays a run once more and makes a whole bundle of it; what was recorded and how it is told, if it failed so
    /// again. Whoever has interrupted the campaign still gets what it has come to.
    fn remains(
        &self,
        folder: &Path,
        run: Run,
        recorded: &Recorded,
    ) -> io::Result<Option<(Recorded, Option<Told>)>> {
        let crew = Crew { stop: Arc::default(), ..self.crew.clone() };
        let draft = bundle::draft_of(folder)?;
        let order = Order { run, bundle: Some(draft.clone()), bound: None };
        let outcome = crew.solo().play(&order)?;
        let is_same = |outcome: &Outcome| Signature::of(&outcome.verdict) == recorded.signature;
        let Some(outcome) = outcome.filter(is_same) else {
            return bundle::remove(&draft).map(|()| None);
        };
        let recorded = recorded.clone().with_outcome(outcome);
        let recorded = bundle::confirmed(&draft, &recorded, &crew.program)?;
        let told = bundle::finish(&draft, folder, &recorded)?;
        Ok(Some((recorded, told)))
    }

    /// Leaves a failure as it was found, with a page of what is known.
    fn leave(&self, failure: &Failure, why: &str) -> io::Result<Improved> {
        let Failure { source, recorded, folder, .. } = failure;
        bundle::write_plain(folder, source, recorded)?;
        Ok(Improved::not(why))
    }
}

/// Why a failure stays as it was found.
const OTHERWISE: &str = "it was interrupted, or ended otherwise when it was played once more";

/// What became of a failure that was kept.
#[derive(Clone, Debug, Default)]
pub struct Improved {
    /// How much of its plan is left, in words.
    pub words: String,
    /// The failure, to be told to a person.
    pub told: Option<Told>,
    /// Why it accuses nobody: two processes have made other runs of it.
    pub broken: Option<String>,
}

impl Improved {
    fn not(why: impl std::fmt::Display) -> Improved {
        Improved { words: format!("not shrunk: {why}"), ..Improved::default() }
    }

    fn of((recorded, told): (Recorded, Option<Told>), words: String) -> Improved {
        let broken = match recorded.outcome.verdict {
            Verdict::HarnessBroken(why) => Some(why),
            _ => None,
        };
        Improved { words, told, broken }
    }
}

impl Found<'_> {
    /// Looks at a run that has ended, once those of all lower seeds have: the first of a signature becomes a bundle,
    /// whichever worker is the faster one.
    pub fn look_at(&mut self, ended: &Ended) -> io::Result<()> {
        let failed = Signature::of(&ended.outcome.verdict).map(|_| ended.outcome.clone());
        self.early.insert(ended.seed.0, failed);
        while let Some(failed) = self.early.remove(&self.next_seed) {
            let seed = Seed(self.next_seed);
            self.next_seed = self.next_seed.wrapping_add(1);
            failed.map_or(Ok(()), |outcome| self.look_in_turn(seed, &outcome))?;
        }
        Ok(())
    }

    /// Of a campaign that has ended early, whose runs have gaps.
    fn look_at_the_rest(&mut self) -> io::Result<()> {
        for (seed, failed) in std::mem::take(&mut self.early) {
            failed.map_or(Ok(()), |outcome| self.look_in_turn(Seed(seed), &outcome))?;
        }
        Ok(())
    }

    fn look_in_turn(&mut self, seed: Seed, outcome: &Outcome) -> io::Result<()> {
        let Some(signature) = Signature::of(&outcome.verdict) else { return Ok(()) };
        let name = bundle_name(seed, &outcome.verdict, &signature);
        if matches!(outcome.verdict, Verdict::HarnessBroken(_)) {
            self.broken_count += 1;
            if self.broken_count > BROKEN_MAX {
                return Ok(());
            }
        }
        if !self.seen.insert(name.clone()) {
            return Ok(());
        }
        let Findings { what, folder, .. } = self.findings;
        let source = what.source(seed).map_err(io::Error::other)?;
        let build = self.build.get_or_insert_with(Build::this).clone();
        let recorded = Recorded {
            seed: Some(seed.to_string()),
            defect: what.defect.clone(),
            ..Recorded::of(&source, outcome.clone(), (what.command(seed), build))
        };
        let folder = folder.join(name);
        if bundle::is_judged(&outcome.verdict) {
            bundle::write_pageless(&folder, &source, &recorded)?;
            // Nobody listens when shrinking has panicked, which is told at the end.
            let _ = self.to_shrink.send(Failure { seed, source, recorded, folder });
            return Ok(());
        }
        bundle::write_plain(&folder, &source, &recorded)
    }
}

/// The folder of a failure under its campaign's: its signature, and for a run that accuses nobody its
/// seed.
pub fn bundle_name(seed: Seed, verdict: &Verdict, signature: &Signature) -> String {
    match verdict {
        Verdict::HarnessBroken(_) => broken_name(seed),
        _ => signature.short(),
    }
}

/// The folder of a run that accuses nobody.
pub fn broken_name(seed: Seed) -> String {
    format!("broken-{seed}")
}
