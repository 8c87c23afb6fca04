//! What a power loss may leave, straight from the definition and with none of the simulator's code.
//!
//! **Invariant:** nothing here is clever. A history is the list of all changes in the order of issue,
//! each with a mark once it was synced. Marked changes survive; of the others each may or may not, a
//! write sector by sector. What survives is applied to an empty disk in the order of issue, and a file
//! that no name leads to is gone.

use std::collections::{BTreeMap, BTreeSet};

/// One step of a script, with files named as the process sees them at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Makes an empty file.
    Create(&'static str),
    /// Puts `len` bytes (see [`written`]) at `at`.
    Write { path: &'static str, at: usize, len: usize },
    /// Sets the length.
    Truncate { path: &'static str, len: usize },
    /// Makes the file's bytes durable.
    Sync(&'static str),
    /// Takes a name away.
    Delete(&'static str),
    /// Gives the first name's file the second name.
    Rename(&'static str, &'static str),
    /// Makes the names in this directory durable.
    SyncDirectory(&'static str),
}

/// The bytes that the write at this position of a script puts down: no two writes put down the same.
pub fn written(step: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (step * 16 + at % 16 + 1) as u8).collect()
}

/// Files by name.
pub type Image = BTreeMap<String, Vec<u8>>;

#[derive(Clone)]
enum Change {
    Write { file: usize, at: usize, bytes: Vec<u8> },
    Truncate { file: usize, len: usize },
    Link { path: &'static str, file: usize },
    Unlink { path: &'static str },
    Rename { from: &'static str, to: &'static str, file: usize },
}

impl Change {
    fn file_written(&self) -> Option<usize> {
        match self {
            Change::Write { file, .. } | Change::Truncate { file, .. } => Some(*file),
            _ => None,
        }
    }

    fn is_in(&self, dir: &str) -> bool {
        let within = |path: &str| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
        match self {
            Change::Write { .. } | Change::Truncate { .. } => false,
            Change::Link { path, .. } | Change::Unlink { path } => within(path),
            Change::Rename { from, to, .. } => within(from) || within(to),
        }
    }

    /// Everything that may come of the change: each a list of changes that happen.
    fn outcomes(&self, sector: usize) -> Vec<Vec<Change>> {
        let Change::Write { file, at, bytes } = self else {
            return vec![vec![], vec![self.clone()]];
        };
        let mut outcomes = vec![Vec::new()];
        for number in at / sector..(at + bytes.len()).div_ceil(sector) {
            let from = (number * sector).max(*at);
            let to = ((number + 1) * sector).min(at + bytes.len());
            let bytes = bytes[from - at..to - at].to_vec();
            let piece = Change::Write { file: *file, at: from, bytes };
            let with_piece = outcomes.clone().into_iter().map(|mut outcome: Vec<Change>| {
                outcome.push(piece.clone());
                outcome
            });
            outcomes.extend(with_piece.collect::<Vec<_>>());
        }
        outcomes
    }
}

/// A disk in the making: names and bytes.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    names: BTreeMap<&'static str, usize>,
    bytes: BTreeMap<usize, Vec<u8>>,
}

impl State {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { file, at, bytes } => {
                let content = self.bytes.entry(*file).or_default();
                let end = at + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*at..end].copy_from_slice(bytes);
            }
            Change::Truncate { file, len } => {
                self.bytes.entry(*file).or_default().resize(*len, 0);
            }
            Change::Link { path, file } => {
                self.names.insert(path, *file);
            }
            Change::Unlink { path } => {
                self.names.remove(path);
            }
            Change::Rename { from, to, file } => {
                self.names.remove(from);
                self.names.insert(to, *file);
            }
        }
    }

    fn image(&self) -> Image {
        let content = |file| self.bytes.get(file).cloned().unwrap_or_default();
        self.names.iter().map(|(path, file)| (path.to_string(), content(file))).collect()
    }
}

/// Everything that was ever done to a disk.
#[derive(Clone)]
pub struct History {
    sector: usize,
    /// Each change, and whether it was synced.
    changes: Vec<(Change, bool)>,
    file_count: usize,
}

impl History {
    /// An empty disk with sectors of so many bytes.
    pub fn new(sector: usize) -> History {
        History { sector, changes: Vec::new(), file_count: 0 }
    }

    /// Does `op` as step `step` of a script. False, and nothing done, when a process could not: a name
    /// that it needs is absent, or one that it makes is there.
    pub fn apply(&mut self, op: Op, step: usize) -> bool {
        let names = self.running().names;
        match op {
            Op::Create(path) if !names.contains_key(path) => {
                self.file_count += 1;
                self.changes.push((Change::Link { path, file: self.file_count }, false));
            }
            Op::Write { path, at, len } if names.contains_key(path) => {
                let change = Change::Write { file: names[path], at, bytes: written(step, len) };
                self.changes.push((change, false));
            }
            Op::Truncate { path, len } if names.contains_key(path) => {
                self.changes.push((Change::Truncate { file: names[path], len }, false));
            }
            Op::Sync(path) if names.contains_key(path) => {
                self.mark(|change| change.file_written() == Some(names[path]));
            }
            Op::Delete(path) if names.contains_key(path) => {
                self.changes.push((Change::Unlink { path }, false));
            }
            Op::Rename(from, to) if names.contains_key(from) => {
                self.changes.push((Change::Rename { from, to, file: names[from] }, false));
            }
            Op::SyncDirectory(dir) => self.mark(|change| change.is_in(dir)),
            _ => return false,
        }
        true
    }

    fn mark(&mut self, covered: impl Fn(&Change) -> bool) {
        for (change, synced) in &mut self.changes {
            *synced |= covered(change);
        }
    }

    fn running(&self) -> State {
        let mut state = State::default();
        self.changes.iter().for_each(|(change, _)| state.apply(change));
        state
    }

    /// What a running process sees.
    pub fn page_cache(&self) -> Image {
        self.running().image()
    }

    /// Every image that a power loss may leave.
    pub fn images(&self) -> BTreeSet<Image> {
        let mut states = BTreeSet::from([State::default()]);
        for (change, synced) in &self.changes {
            let outcomes = match synced {
                true => vec![vec![change.clone()]],
                false => change.outcomes(self.sector),
            };
            let next = |state: &State| {
                let after = |outcome: &Vec<Change>| {
                    let mut state = state.clone();
                    outcome.iter().for_each(|change| state.apply(change));
                    state
                };
                outcomes.iter().map(after).collect::<Vec<_>>()
            };
            states = states.iter().flat_map(next).collect();
        }
        states.iter().map(State::image).collect()
    }
}
