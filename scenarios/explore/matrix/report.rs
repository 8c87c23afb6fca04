//! The matrix as it is told: a line a setting, a column an ending.

use super::judge::{INVARIANTS, Marks};
use super::script::{self, Played};
use super::{Control, End, Expectation, STATES_MAX, Setting};
use crate::lines::counted;
use crate::verdict::Verdict;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// One setting under one ending.
pub struct Cell {
    /// The setting.
    pub setting: Setting,
    /// The ending.
    pub end: End,
    /// Disk operations of the script.
    pub op_count: u64,
    /// Crash states that were tried.
    pub states: u64,
    /// For each of [`INVARIANTS`] that was broken: in the how manieth state that was first seen.
    pub broken_at: [Option<u64>; INVARIANTS.len()],
    /// What the committed table says.
    pub expected: Expectation,
}

impl Cell {
    pub(super) fn new(setting: Setting, end: End, played: &Played, expected: Expectation) -> Cell {
        let broken_at = [None; INVARIANTS.len()];
        Cell { setting, end, op_count: played.op_count, states: 0, broken_at, expected }
    }

    pub(super) fn count(&mut self, broken: Marks) {
        self.states += 1;
        for (first, broken) in self.broken_at.iter_mut().zip(broken) {
            if broken && first.is_none() {
                *first = Some(self.states);
            }
        }
    }

    /// What is not as the table says, a sentence each.
    pub fn differences(&self) -> Vec<String> {
        let Cell { setting, end, states, expected, .. } = self;
        let place = format!("{setting}, {end}");
        let seen = INVARIANTS.iter().zip(self.broken_at).zip(expected.loses);
        seen.filter_map(|((invariant, broken_at), may_lose)| match (may_lose, broken_at) {
            (false, Some(at)) => Some(format!(
                "{place}: must keep {} and loses it in crash state {at}",
                invariant.id()
            )),
            (true, None) => Some(format!(
                "{place}: may lose {} and was not seen to in {}",
                invariant.id(),
                counted(states, "crash state")
            )),
            _ => None,
        })
        .collect()
    }

    /// Whether it was not seen to lose what it may.
    fn is_blind(&self) -> bool {
        self.broken_at.iter().zip(self.expected.loses).any(|(at, loses)| loses && at.is_none())
    }

    fn is_red(&self) -> bool {
        !self.differences().is_empty()
    }

    fn in_words(&self) -> String {
        let mut words = format!("{}{:>4}", if self.is_red() { '!' } else { ' ' }, self.states);
        for (invariant, broken_at) in INVARIANTS.iter().zip(self.broken_at) {
            if let Some(at) = broken_at {
                write!(words, " {}@{at}", invariant.id()).expect(WRITES);
            }
        }
        words
    }

    fn to_json(&self) -> Value {
        let Cell { setting, end, op_count, states, expected, .. } = self;
        let broken = INVARIANTS.iter().zip(self.broken_at);
        let broken_at: Map<String, Value> = broken
            .filter_map(|(invariant, at)| Some((invariant.id().to_string(), json!(at?))))
            .collect();
        let may_lose = INVARIANTS.iter().zip(expected.loses).filter(|(_, may_lose)| *may_lose);
        let may_lose: Vec<&str> = may_lose.map(|(invariant, _)| invariant.id()).collect();
        json!({
            "journal_mode": setting.journal.word(),
            "synchronous": setting.synchronous.word(),
            "ending": end.word(),
            "operations": op_count,
            "states": states,
            "broken_at": broken_at,
            "may_lose": may_lose,
            "sources": expected.sources,
            "why": expected.why,
            "differences": self.differences(),
        })
    }
}

/// All cells that were tried.
pub struct Matrix {
    /// What was tried first: losses of the simulated disk that no cell depends on.
    pub controls: Vec<Control>,
    /// In the order of the table.
    pub cells: Vec<Cell>,
    /// How many there were left when it was interrupted.
    pub cells_left: usize,
}

impl Matrix {
    /// Whether somebody interrupted it.
    pub fn was_interrupted(&self) -> bool {
        self.cells_left > 0
    }

    /// What is not as the committed table says.
    pub fn differences(&self) -> Vec<String> {
        self.cells.iter().flat_map(Cell::differences).collect()
    }

    fn is_blind(&self) -> bool {
        self.blindnesses().next().is_some() || self.cells.iter().any(Cell::is_blind)
    }

    fn blindnesses(&self) -> impl Iterator<Item = String> {
        self.controls.iter().filter_map(Control::blindness)
    }

    /// 0, 1 when a setting loses what it must keep, and 3 when one was not seen to lose what it may, or a control has
    /// not seen what it must: it has not turned red, so that nobody knows what the others are worth.
    pub fn exit_code(&self) -> u8 {
        let broken = Verdict::HarnessBroken(String::new()).exit_code();
        if self.is_blind() { broken } else { u8::from(!self.differences().is_empty()) }
    }

    /// The table in words. No host time is in it.
    pub fn in_words(&self) -> String {
        let mut text = format!(
            "One script ({}) under every setting, killed at every disk operation.\n\
             In each cell: crash states tried, at most {STATES_MAX}; `I1@7`, broken in the 7th of them.\n\n",
            script::in_words()
        );
        let legend = INVARIANTS.map(|invariant| format!("{} {}", invariant.id(), invariant.name()));
        writeln!(text, "{}\n", legend.join(", ")).expect(WRITES);
        for row in self.controls.chunk_by(|one, other| one.what == other.what) {
            let ends: Vec<String> = row.iter().map(Control::in_words).collect();
            writeln!(text, "control: {:<36} {}", row[0].what, ends.join("; ")).expect(WRITES);
        }
        text.push('\n');
        let heads = End::ALL.map(|end| format!("{:<28}", format!(" {end}")));
        let line =
            format!("{:<9} {:<12} {:>4} {}", "journal", "synchronous", "ops", heads.concat());
        writeln!(text, "{}", line.trim_end()).expect(WRITES);
        for row in self.cells.chunk_by(|one, other| one.setting == other.setting) {
            let Cell { setting, op_count, .. } = &row[0];
            let (journal, synchronous) = (setting.journal.word(), setting.synchronous.word());
            let cells: String = row.iter().map(|cell| format!("{:<28}", cell.in_words())).collect();
            let line = format!("{journal:<9} {synchronous:<12} {op_count:>4} {cells}");
            writeln!(text, "{}", line.trim_end()).expect(WRITES);
        }
        let states: u64 = self.cells.iter().map(|cell| cell.states).sum();
        let all = self.differences().len();
        let differences = counted(all, "difference");
        let verdict = match all {
            0 if self.is_blind() => {
                "HARNESS BROKEN a control has not seen what it must".to_string()
            }
            0 if self.was_interrupted() => "these as the table of expectations says".to_string(),
            0 => "all as the table of expectations says".to_string(),
            _ if self.is_blind() => {
                format!("HARNESS BROKEN {differences} from the table of expectations")
            }
            _ => format!("{differences} from the table of expectations"),
        };
        let tried = self.cells.len();
        let cells = match self.cells_left {
            0 => counted(tried, "cell"),
            left => format!("interrupted: {tried} of {}", counted(tried + left, "cell")),
        };
        writeln!(text, "\n{cells}, {}: {verdict}", counted(states, "crash state")).expect(WRITES);
        for blindness in self.blindnesses() {
            writeln!(text, "RED {blindness}").expect(WRITES);
        }
        for cell in self.cells.iter().filter(|cell| cell.is_red()) {
            for difference in cell.differences() {
                writeln!(text, "RED {difference}").expect(WRITES);
            }
            let Expectation { sources, why, .. } = &cell.expected;
            writeln!(text, "    expected: {why}").expect(WRITES);
            for source in sources {
                writeln!(text, "    {source}").expect(WRITES);
            }
        }
        text
    }

    /// Each control for a program.
    pub fn controls_to_json(&self) -> Vec<Value> {
        let control = |Control { what, end, states, seen_at }: &Control| json!({ "loss": what, "ending": end.word(), "states": states, "seen_at": seen_at });
        self.controls.iter().map(control).collect()
    }

    /// Each cell for a program.
    pub fn to_json(&self) -> Vec<Value> {
        self.cells.iter().map(Cell::to_json).collect()
    }
}

const WRITES: &str = "a text takes all that is written to it";
