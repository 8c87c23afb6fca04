//! What a person sees while a run is explored.
//!
//! **Invariant:** all of it goes to standard error, and nothing stays of it; where nobody looks (no terminal, continuous
//! integration, quiet) there is none.

use crate::cli::told::is_watched;
use indicatif::{ProgressBar, ProgressStyle};
use stormglass_scenarios::explore::report::Report;
use stormglass_scenarios::lines::counted;

/// A bar of crash points.
pub struct Progress(ProgressBar);

impl Progress {
    pub fn new() -> Progress {
        if !is_watched() {
            return Progress(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template("{bar:30} {pos} of {len} {msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        Progress(ProgressBar::new(0).with_style(style.progress_chars("=> ")))
    }

    /// So much is explored.
    pub fn explored(&self, report: &Report) {
        let total = report.total();
        self.0.set_length(report.points_in_all);
        self.0.set_position(report.points_in_all - report.points_left());
        let recoveries = counted(total.recoveries, "recovery");
        let violations = counted(total.violations, "violation");
        self.0.set_message(format!("points, {recoveries}, {violations}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
