//! What a person sees while a campaign plays.
//!
//! **Invariant:** all of it goes to standard error; standard output is for what was found. Without a
//! terminal there are plain lines, in continuous integration and when quiet is asked for none.

use crate::build_info::Build;
use crate::failure::{Failure, Screen};
use crate::host::{Stopwatch, is_ci};
use crate::lines::counted;
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
            let template = "{bar:30} {pos} of {msg}, {eta} left";
            let style = ProgressStyle::with_template(template);
            let bar = ProgressBar::new(total)
                .with_message(format!("{}, 0 failed", counted(total, "run")));
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
                let total = counted(self.total, "run");
                bar.set_message(format!("{total}, {failed_count} failed, {per_second:.0} runs/s"));
            }
            Shown::Lines if self.watch.elapsed() >= self.told_at + LINE_EVERY => {
                self.told_at = self.watch.elapsed();
                let per_second = run_count as f64 / self.told_at.as_secs_f64().max(0.001);
                let left_s = (self.total - run_count) as f64 / per_second.max(0.001);
                let total = counted(self.total, "run");
                eprintln!(
                    "{run_count} of {total}, {failed_count} failed, {per_second:.0} runs/s, \
                     {left_s:.0} s left"
                );
            }
            _ => {}
        }
    }

    /// A run of `scenario` that failed unlike those before it.
    pub fn failure(&mut self, scenario: &str, ended: &Ended, reproduce: &str) {
        if !self.tells_failures {
            return;
        }
        let told = notice(scenario, ended, reproduce, Screen::of_stdout());
        let tell = || {
            // A reader that went away wants to know no more; the files have it all the same.
            let _ = write!(io::stdout(), "{told}");
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

/// What is said of a run at the moment at which it has failed.
fn notice(scenario: &str, ended: &Ended, reproduce: &str, screen: Screen) -> String {
    let name = format!("seed {}", ended.seed);
    let none = (&[][..], &Build::default());
    match Failure::of(scenario, &name, &ended.outcome, none) {
        Some(failure) => {
            let commands = vec![("reproduce", reproduce.to_string())];
            Failure { commands, ..failure }.notice(screen)
        }
        None => {
            let words = ended.outcome.verdict.in_words();
            let head = screen.line(&format!("FAIL {scenario}   {name}   {words}"));
            format!("{head}\n{:<12} {reproduce}\n", "reproduce")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Finding, Outcome, Verdict};
    use stormglass_sim::Seed;

    /// Goal: the words of a notice stand in one column, and it names the scenario.
    #[test]
    fn a_notice_has_its_words_in_one_column() {
        let ended = |verdict| {
            let (fingerprint, counts) = (String::new(), Default::default());
            let outcome =
                Outcome { verdict, fingerprint, op_count: 1, counts, trail: Default::default() };
            Ended { seed: Seed(7), outcome, host_ms: 0 }
        };
        let words = |words: &str| words.to_string();
        let found = ended(Verdict::Violated(Finding {
            invariant: words("I5"),
            statement: words("no dangling reference"),
            place: words("row missing"),
            step_kind: words("get"),
            subject: words("tenant-0/Sessions/s0"),
            expected: words("a row"),
            actual: words("no row"),
            because: words("event 1 wrote it"),
        }));
        let told = notice("ttl", &found, "cargo stormglass run --seed 0x7", Screen::PLAIN);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[0], "FAIL ttl   seed 0x7   I5 no dangling reference: row missing");
        let columns = lines[1..].iter().map(|line| {
            let head = line.trim_start().find(' ').expect("a head");
            let start = line.len() - line.trim_start().len() + head;
            start + line[start..].len() - line[start..].trim_start().len()
        });
        assert_eq!(columns.collect::<Vec<_>>(), [13; 5], "{told}");
        let broken = ended(Verdict::HarnessBroken(words("its process died")));
        let told = notice("ttl", &broken, "cargo stormglass run --seed 0x7", Screen::PLAIN);
        assert!(told.starts_with("FAIL ttl   seed 0x7   HARNESS BROKEN its process died\n"));
    }
}
