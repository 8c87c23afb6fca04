//! A run as it is told: a line a step, with simulated time.

use crate::deeds::Line;
use crate::faults::{self, name};
use crate::lines::counted;
use crate::plan::Step;
use crate::runner::ASIDE;
use crate::times;
use crate::translate;
use std::collections::{BTreeMap, BTreeSet};
use stormglass_sim::fault::Strike;
use stormglass_sim::{Clock, Crash, Effect, Ending, Fault, When};

/// Columns of what a step asks.
const WHAT: usize = 64;

/// The lines of a story.
pub struct Story {
    clock: Clock,
    lines: Vec<String>,
    /// The line of the boot that runs, and what was replayed in it.
    boot: Option<(usize, Replays)>,
    /// The time of the last line.
    last_ms: i64,
    /// The steps that are sent together with another one, each with the first of its group.
    first_of_group: BTreeMap<u32, u32>,
}

/// What a boot has made of its journals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replays {
    /// Actors that were made from their journals.
    pub actors: BTreeSet<String>,
    /// Those among them for which blobs were put.
    pub restored: BTreeSet<String>,
    /// Those that began with a snapshot.
    pub snapshots: BTreeSet<String>,
}

impl Story {
    /// An empty story of these steps, with the times of `clock`.
    pub fn new(clock: Clock, steps: &[Step]) -> Story {
        let groups = steps.chunk_by(|_, next| next.together);
        let pairs = |group: &[Step]| -> Vec<(u32, u32)> {
            group[1..].iter().map(|step| (step.id, group[0].id)).collect()
        };
        let first_of_group = groups.flat_map(pairs).collect();
        Story { clock, lines: Vec::new(), boot: None, last_ms: 0, first_of_group }
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
        let mut what = translate::brief(step);
        if let Some(first) = self.first_of_group.get(&step.id) {
            what.push_str(&format!(" (sent with step {first})"));
        }
        // Where it is too long for its column, two blanks still tell what came of it from what was asked.
        let gap = if what.chars().count() < WHAT { " " } else { "  " };
        let text = format!("{client:<9} {what:<WHAT$}{gap}{outcome}");
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
            Ending::PowerLoss(_) => format!("power loss, {}", faults::fates(&crash.fates)),
        };
        let place = torn.map_or(String::new(), |event| format!(", between {event} and its blob"));
        self.tell("crash", &format!("{how}, after disk op {}{place}", crash.op));
    }

    /// Tells of a fault that has struck for the first time. A crash is told when its boot is buried.
    pub fn fault(&mut self, fault: &Fault, strike: &Strike) {
        if matches!(fault.effect, Effect::Crash(_)) {
            return;
        }
        let (op, file) = (name(strike.op), name(strike.file));
        let scope = fault.target.scope.as_ref();
        let scope = scope.map(|scope| format!(", in {}", faults::scope_in_words(scope)));
        let again = match fault.when {
            When::Nth(_) => "",
            When::FromNth(_) => ", and from then on",
            When::Rate { .. } => ", and then by its rate",
        };
        let scope = scope.unwrap_or_default();
        self.tell("fault", &format!("{} on {op} of {file}{scope}{again}", fault.effect));
    }

    /// Tells of a boot that is up.
    pub fn boot(&mut self, number: u32) {
        // What a first boot reads is not there yet.
        self.boot = (number > 1).then(|| (self.lines.len(), Replays::default()));
        self.tell(&format!("boot {number}"), "server up");
    }

    /// Adds what was replayed to the line of the boot that runs; `snapshots` are those that there are.
    pub fn replayed(&mut self, more: Replays, snapshots: &BTreeMap<String, u64>) {
        let Some((at, replays)) = &mut self.boot else { return };
        let before = replays.in_words();
        let is_fresh =
            |who: &&String| snapshots.contains_key(*who) && !replays.actors.contains(*who);
        let with_snapshot: Vec<String> = more.actors.iter().filter(is_fresh).cloned().collect();
        replays.snapshots.extend(with_snapshot);
        replays.actors.extend(more.actors);
        replays.restored.extend(more.restored);
        let line = &mut self.lines[*at];
        line.truncate(line.len() - before.len());
        *line += &replays.in_words();
    }

    /// Tells of what the platform did by itself, at the time at which it did, and not before what was told.
    pub fn deed(&mut self, (ms, head, text): Line) {
        let now_ms = self.clock.monotonic_ms();
        self.tell_at(ms.unwrap_or(now_ms).clamp(self.last_ms, now_ms), head, &text);
    }

    /// Tells of anything else.
    pub fn tell(&mut self, head: &str, text: &str) {
        self.tell_at(self.clock.monotonic_ms(), head, text);
    }

    fn tell_at(&mut self, ms: i64, head: &str, text: &str) {
        self.last_ms = ms;
        let time = times::since_start(ms);
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

impl Replays {
    fn in_words(&self) -> String {
        let restored = match self.restored.len() {
            0 => "none".to_string(),
            count => count.to_string(),
        };
        let snapshots = match (self.actors.len(), self.snapshots.len()) {
            (_, 0) => String::new(),
            (1, _) => " from its snapshot".to_string(),
            (_, count) => format!(" ({count} from a snapshot)"),
        };
        match self.actors.len() {
            0 => String::new(),
            count => {
                let actors = counted(count, "actor");
                format!(", {actors} replayed{snapshots}, blobs put back for {restored}")
            }
        }
    }
}
