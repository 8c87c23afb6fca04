//! Many runs: played, kept as they come, and summed up.
//!
//! **Invariant:** nothing that was found is lost. An outcome is on the host's disk before the next one is
//! looked at, and so is the plan of each new failure; whatever ends the campaign ends it after that.

pub mod canary;
pub mod findings;
mod folder;
mod matters;
mod progress;
mod shares;
mod stories;
mod summary;
mod twins;

pub use folder::{Ledger, RUNS, Taken};
pub use progress::Progress;
pub use shares::{Share, Shares};
pub use summary::{SUMMARY, Summary, Told};

use crate::host::Stopwatch;
use crate::what::What;
use findings::Findings;
use folder::Folder;
use matters::{Matters, Sample};
use std::io;
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use stormglass_sim::Seed;

/// What a campaign is to do.
pub struct Campaign {
    /// What is played.
    pub what: What,
    /// The seeds.
    pub seeds: Range<u64>,
    /// Processes that play at once.
    pub jobs: usize,
    /// The folder for everything of this campaign; made if it is not there.
    pub folder: PathBuf,
    /// Set by whoever interrupts it.
    pub stop: Arc<AtomicBool>,
}

impl Campaign {
    /// Plays it. `progress` is told of each run.
    ///
    /// # Errors
    /// When a process cannot be started or a file not be written.
    pub fn play(&self, progress: &mut Progress) -> io::Result<Summary> {
        let mut folder = Folder::create(&self.folder)?;
        let crew = self.what.crew()?.stopped_by(&self.stop);
        let mut summary = Summary::new(&self.folder);
        let watch = Stopwatch::start();
        if self.what.defect.is_none() {
            summary.canary = Some(canary::play(self.seeds.start, self.jobs, &self.stop)?);
        }
        let mut sample = Sample::default();
        let since_first = Stopwatch::start();
        let findings = Findings::new(&self.what, &self.folder, &crew);
        let improved = findings.while_playing(self.seeds.start, |found| {
            crew.play_all(self.seeds.clone().map(Seed), self.jobs, |ended| {
                let kept = folder
                    .keep(self.what.scenario(ended.seed), &ended, since_first.elapsed())
                    .and_then(|()| found.look_at(&ended));
                if let Err(error) = kept {
                    summary.trouble.get_or_insert(error);
                    return ControlFlow::Break(());
                }
                if summary.is_news(&ended.outcome.verdict) {
                    let scenario = self.what.scenario(ended.seed);
                    progress.failure(scenario, &ended, &self.what.command(ended.seed));
                }
                sample.offer(ended.seed, &ended.outcome);
                summary.add(ended.seed, ended.outcome);
                progress.ran(summary.run_count(), summary.failed_count());
                ControlFlow::Continue(())
            })
        })?;
        progress.end();
        if let Some(error) = summary.trouble.take() {
            return Err(error);
        }
        summary.improved = improved;
        if !crew.is_stopped() {
            let mut twins = twins::play(&crew, self.jobs, summary.ends())?;
            twins.look_closer(&self.what, &self.folder, findings::broken_name)?;
            summary.compare(twins);
            summary.matters = Matters::play(&self.what, &crew, self.jobs, sample)?;
        }
        summary.elapsed = watch.elapsed();
        summary.was_interrupted = self.stop.load(Ordering::Relaxed);
        Ok(summary)
    }
}
