//! Whoever is told of an exploration while it goes on.
//!
//! **Invariant:** it changes nothing of what is explored: the same plan and budget are told of in the same order, in
//! whatever process.

use super::report::Report;
use crate::host::Stopwatch;
use crate::plan::Plan;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::time::Duration;

/// Whoever is told.
pub trait Watch {
    /// A recovery begins, or another run of an exploration, to which this plan comes.
    fn begins(&mut self, plan: &dyn Fn() -> Plan);
    /// This has been explored.
    fn explored(&mut self, report: &Report);
}

/// What a process says that explores a slice.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// The recovery of this number begins, counted from 1.
    At(u64),
    /// So much has been explored.
    SoFar(Box<Report>),
    /// The plan that was asked for.
    Plan(Box<Plan>),
    /// All of it.
    Done(Box<Report>),
}

/// Time between two reports of what has been explored so far.
const PAUSE: Duration = Duration::from_millis(100);

/// Tells the process that has started this one.
pub struct Teller {
    begun_count: u64,
    /// Ends with the plan of the recovery that has this number.
    until: Option<u64>,
    since: Option<Stopwatch>,
}

impl Teller {
    /// Of a slice from its start on, to its end or until the recovery of this number.
    pub fn new(until: Option<u64>) -> Teller {
        Teller { begun_count: 0, until, since: None }
    }

    /// Says a line. A process to which nobody listens ends.
    pub fn say(line: &Line) {
        let mut out = io::stdout().lock();
        let line = serde_json::to_string(line).expect("a line is plain data");
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            std::process::exit(1);
        }
    }
}

impl Watch for Teller {
    fn begins(&mut self, plan: &dyn Fn() -> Plan) {
        self.begun_count += 1;
        if self.until == Some(self.begun_count) {
            Teller::say(&Line::Plan(Box::new(plan())));
            std::process::exit(0);
        }
        Teller::say(&Line::At(self.begun_count));
    }

    fn explored(&mut self, report: &Report) {
        if self.since.is_none_or(|since| since.elapsed() >= PAUSE) {
            self.since = Some(Stopwatch::start());
            Teller::say(&Line::SoFar(Box::new(report.clone())));
        }
    }
}
