//! What a person sees while a campaign plays.
//!
//! **Invariant:** all of it goes to standard error; standard output is for what was found. Without a
//! terminal there are plain lines, in continuous integration and when quiet is asked for none.

use crate::host::{Stopwatch, is_ci};
use crate::workers::Ended;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What is shown of a campaign.
pub struct Progress {
    shown: Shown,
    total: u64,
    watch: Stopwatch,
    told_at: Duration,
    /// Whether the first failure of each kind goes to standard output as it comes.
    tells_failures: bool,
}

enum Shown {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl Progress {
    /// Of `total` runs. `tells_failures` says whether the first of a kind is told as it comes.
    pub fn new(total: u64, is_quiet: bool, tells_failures: bool) -> Progress {
        let shown = if is_quiet || is_ci() {
            Shown::Nothing
        } else if io::stderr().is_terminal() {
            let template = "{bar:30} {pos}/{len} runs, {msg}, {eta} left";
            let style = ProgressStyle::with_template(template);
            let bar = ProgressBar::new(total).with_message("0 failed");
            Shown::Bar(bar.with_style(
                style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "),
            ))
        } else {
            Shown::Lines
        };
        let (watch, told_at) = (Stopwatch::start(), Duration::ZERO);
        Progress { shown, total, watch, told_at, tells_failures }
    }

    /// One more run has ended.
    pub fn ran(&mut self, run_count: u64, failed_count: u64) {
        match &self.shown {
            Shown::Bar(bar) => {
                bar.set_position(run_count);
                let per_second = run_count as f64 / self.watch.elapsed().as_secs_f64().max(0.001);
                bar.set_message(format!("{failed_count} failed, {per_second:.0} runs/s"));
            }
            Shown::Lines if self.watch.elapsed() >= self.told_at + LINE_EVERY => {
                self.told_at = self.watch.elapsed();
                let per_second = run_count as f64 / self.told_at.as_secs_f64().max(0.001);
                let left_s = (self.total - run_count) as f64 / per_second.max(0.001);
                let total = self.total;
                eprintln!(
                    "{run_count} of {total} runs, {failed_count} failed, {per_second:.0} runs/s, \
                     {left_s:.0} s left"
                );
            }
            _ => {}
        }
    }

    /// A run that failed unlike those before it.
    pub fn failure(&mut self, ended: &Ended, reproduce: &str) {
        if !self.tells_failures {
            return;
        }
        let tell = || {
            let words = ended.outcome.verdict.in_words();
            // A reader that went away wants to know no more; the files have it all the same.
            let _ = writeln!(
                io::stdout(),
                "FAIL seed {}   {words}\n  reproduce  {reproduce}",
                ended.seed
            );
        };
        match &self.shown {
            Shown::Bar(bar) => bar.suspend(tell),
            _ => tell(),
        }
    }

    /// Takes the bar away.
    pub fn end(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}
