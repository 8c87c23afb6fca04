//! A run as it is told: a line a step, with simulated time.

use crate::plan::Step;
use crate::runner::ASIDE;
use crate::translate;
use stormglass_sim::{Clock, Crash, Ending, Survivors};

/// The lines of a story.
pub struct Story {
    clock: Clock,
    lines: Vec<String>,
}

impl Story {
    /// An empty story with the times of `clock`.
    pub fn new(clock: Clock) -> Story {
        Story { clock, lines: Vec::new() }
    }

    /// Tells of one step and what came of it.
    pub fn step(&mut self, step: &Step, outcome: &str) {
        let head = match step.id {
            ASIDE => "check".to_string(),
            id => format!("step {id}"),
        };
        let client = match step.client {
            0 => String::new(),
            client => format!("client {client}"),
        };
        let text = format!("{client:<9} {:<64} {outcome}", translate::brief(step));
        self.tell(&head, text.trim_end());
    }

    /// Tells of a crash.
    pub fn crash(&mut self, crash: &Crash, phase: &str) {
        let kept = match &crash.ending {
            Ending::ProcessKill => "process killed".to_string(),
            Ending::PowerLoss(survivors) => {
                format!("power loss, {} of what was pending kept", words(survivors))
            }
        };
        let Crash { op, fates, .. } = crash;
        let pending = fates.len();
        self.tell("crash", &format!("{kept} ({pending} changes), after disk op {op}, {phase}"));
    }

    /// Tells of anything else.
    pub fn tell(&mut self, head: &str, text: &str) {
        let ms = self.clock.monotonic_ms();
        let time = format!("t+{}.{:03}s", ms / 1000, ms % 1000);
        self.lines.push(format!("{time:<14} {head:<8} {text}"));
    }

    /// The lines.
    pub fn into_lines(self) -> Vec<String> {
        self.lines
    }
}

fn words(survivors: &Survivors) -> String {
    match survivors {
        Survivors::None => "nothing".to_string(),
        Survivors::All => "everything".to_string(),
        Survivors::Prefix(count) => format!("the first {count}"),
        Survivors::Subset(kept) => format!("{} chosen", kept.len()),
        Survivors::TornLast(_) => "all but a torn last write".to_string(),
        Survivors::Fates(_) | Survivors::Drawn(_) => "a part".to_string(),
    }
}
