//! The failures of a campaign: a bundle a signature, written at once and pruned beside the campaign.
//!
//! **Invariant:** a failure's plan is on the host's disk before the next run is looked at. Pruning only ever
//! replaces a whole bundle by another that fails in the same way.

use crate::build_info::Build;
use crate::bundle::{self, Recorded, Source};
use crate::plan::Plan;
use crate::prune::{self, Pruned, TRIES_MAX};
use crate::verdict::{Signature, Verdict};
use crate::what::What;
use crate::workers::{Crew, Ended, Order, Run, Solo};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
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
    seen: BTreeSet<String>,
    broken_count: usize,
    to_prune: Sender<Failure>,
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

    /// Has `play` show its runs while others are pruned beside it. Returns what was pruned, in words by
    /// the bundle's name, and ends when all is.
    pub fn while_playing(
        &self,
        play: impl FnOnce(&mut Found) -> io::Result<()>,
    ) -> io::Result<BTreeMap<String, String>> {
        let (to_prune, failures) = mpsc::channel::<Failure>();
        thread::scope(|scope| {
            let pruner = scope.spawn(move || {
                let mut pruned = BTreeMap::new();
                for failure in failures {
                    let name = failure.folder.file_name().unwrap_or_default();
                    let name = name.to_string_lossy().into_owned();
                    // The failure is kept as it was found, whatever becomes of this.
                    let words = self.improve(failure);
                    pruned.insert(name, words.unwrap_or_else(|why| format!("not pruned: {why}")));
                }
                pruned
            });
            let (seen, broken_count) = (BTreeSet::new(), 0);
            let mut found = Found { findings: self, seen, broken_count, to_prune, build: None };
            let played = play(&mut found);
            drop(found);
            let pruned = pruner.join().map_err(|_| io::Error::other("pruning panicked"))?;
            played.map(|()| pruned)
        })
    }

    /// Plays the failure once more for its trace, its story and its disk, then with ever less of it.
    fn improve(&self, failure: Failure) -> io::Result<String> {
        let Failure { seed, source, recorded, folder } = failure;
        let Some(signature) = recorded.signature.clone() else { return Ok(String::new()) };
        let mut solo = self.crew.solo();
        let remains = |solo: &mut Solo<'_>, run: Run, recorded: Recorded| {
            let draft = bundle::draft_of(&folder)?;
            let outcome = solo.play(&Order { run, bundle: Some(draft.clone()) })?;
            match outcome
                .filter(|outcome| Signature::of(&outcome.verdict).as_ref() == Some(&signature))
            {
                Some(outcome) => {
                    bundle::finish(&draft, &folder, &recorded.with_outcome(outcome))?;
                    Ok::<_, io::Error>(true)
                }
                None => bundle::remove(&draft).map(|()| false),
            }
        };
        if !remains(&mut solo, Run::Seed(seed), recorded.clone())? {
            return Ok(
                "not pruned: it was interrupted, or ended otherwise when it was played once more"
                    .into(),
            );
        }
        let Some(plan) = source.plan() else { return Ok("a script, not pruned".to_string()) };
        let pruned = prune_in(&mut solo, plan, &signature)?;
        let words = in_words(plan, &pruned);
        let recorded = Recorded { pruned: Some(words.clone()), ..recorded };
        remains(&mut solo, Run::Plan(Box::new(pruned.plan)), recorded)?;
        Ok(words)
    }
}

impl Found<'_> {
    /// Looks at a run that has ended: the first of a signature becomes a bundle.
    pub fn look_at(&mut self, ended: &Ended) -> io::Result<()> {
        let Ended { seed, outcome, .. } = ended;
        let Some(signature) = Signature::of(&outcome.verdict) else { return Ok(()) };
        let name = bundle_name(*seed, &outcome.verdict, &signature);
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
        let source = what.source(*seed).map_err(io::Error::other)?;
        let recorded = Recorded {
            scenario: source.scenario().to_string(),
            seed: Some(seed.to_string()),
            defect: what.defect.clone(),
            signature: Some(signature),
            outcome: outcome.clone(),
            reproduce: what.command(*seed),
            pruned: None,
            build: self.build.get_or_insert_with(Build::this).clone(),
        };
        let folder = folder.join(name);
        bundle::write_plain(&folder, &source, &recorded)?;
        if bundle::is_judged(&outcome.verdict) {
            // Nobody listens when pruning has panicked, which is told at the end.
            let _ = self.to_prune.send(Failure { seed: *seed, source, recorded, folder });
        }
        Ok(())
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

/// Prunes a plan that fails with `signature`, in worker processes.
///
/// # Errors
/// When a process cannot be started.
pub fn prune_in(solo: &mut Solo<'_>, plan: &Plan, signature: &Signature) -> io::Result<Pruned> {
    let mut trouble = None;
    let pruned = prune::prune(plan, TRIES_MAX, &mut |tried| match solo.play(&Order::plan(tried)) {
        Ok(outcome) => {
            outcome.map(|outcome| Signature::of(&outcome.verdict).as_ref() == Some(signature))
        }
        Err(error) => {
            trouble = Some(error);
            None
        }
    });
    trouble.map_or(Ok(pruned), Err)
}

/// How much of a plan is left.
pub fn in_words(whole: &Plan, pruned: &Pruned) -> String {
    let Pruned { plan, try_count } = pruned;
    let counts = |whole: usize, rest: usize, what: &str| format!("{whole} {what} to {rest}");
    format!(
        "{}, {} ({try_count} runs)",
        counts(whole.steps.len(), plan.steps.len(), "steps"),
        counts(whole.faults.len(), plan.faults.len(), "faults"),
    )
}
