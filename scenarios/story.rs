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

    /// Tells of a crash; `torn` is an event that it left without its blob.
    pub fn crash(&mut self, crash: &Crash, torn: Option<&str>) {
        let how = match &crash.ending {
            Ending::ProcessKill => "process killed".to_string(),
            Ending::DiskSwap { .. } => {
                let image = crash.image.unwrap_or_default();
                format!("power loss, and the disk goes back to image {image}")
            }
            Ending::PowerLoss(_) if crash.fates.is_empty() => {
                "power loss, nothing was pending".to_string()
            }
            Ending::PowerLoss(survivors) => {
                let (kept, pending) = (words(survivors), crash.fates.len());
                format!("power loss, {kept} of {pending} pending changes kept")
            }
        };
        let place = torn.map_or(String::new(), |event| format!(", between {event} and its blob"));
        self.tell("crash", &format!("{how}, after disk op {}{place}", crash.op));
    }

    /// Tells of anything else.
    pub fn tell(&mut self, head: &str, text: &str) {
        let ms = self.clock.monotonic_ms();
        let time = format!("t+{}.{:03}s", ms / 1000, ms % 1000);
        self.lines.push(format!("{time:<14} {head:<8} {text}"));
    }

    /// The lines so far.
    pub fn lines(&self) -> &[String] {
        &self.lines
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
