//! The committed table of expectations: what each cell may lose, and who says so.
//!
//! **Invariant:** every cell is in exactly one entry, and every entry has a source.

use super::judge::{INVARIANTS, Marks};
use super::{End, JOURNALS, SYNCHRONOUS, Setting};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a cell may lose.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// For each of [`INVARIANTS`], whether it may break; it must then be seen to.
    pub loses: Marks,
    /// Where that stands: document, section and address.
    pub sources: Vec<String>,
    /// The reason in a sentence.
    pub why: String,
}

/// What is wrong with a table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It is no such TOML.
    #[error("table of expectations: {0}")]
    Text(#[from] Box<toml::de::Error>),
    /// A word that stands for nothing.
    #[error("table of expectations, entry {entry}: no {kind} `{word}`")]
    Unknown {
        /// Which entry, counted from 1.
        entry: usize,
        /// What the word should be.
        kind: &'static str,
        /// The word.
        word: String,
    },
    /// An entry without a source.
    #[error("table of expectations, entry {0}: no source")]
    NoSource(usize),
    /// A source that no entry names.
    #[error("table of expectations: no entry names source `{0}`")]
    Unused(String),
    /// A cell in two entries.
    #[error("table of expectations, entry {entry}: {cell} is in an earlier entry, too")]
    Twice {
        /// Which entry, counted from 1.
        entry: usize,
        /// The cell.
        cell: String,
    },
    /// A cell in none.
    #[error("table of expectations: no entry for {0}")]
    Missing(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    sources: BTreeMap<String, Source>,
    cells: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    document: String,
    section: String,
    url: String,
}

/// One or more cells: every setting of its lists under every one of its endings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    journal: Vec<String>,
    synchronous: Vec<String>,
    ending: Vec<String>,
    loses: Vec<String>,
    sources: Vec<String>,
    why: String,
}

/// The table.
pub struct Expectations(BTreeMap<String, Expectation>);

impl Expectations {
    /// The committed one.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn committed() -> Result<Expectations, TableError> {
        Expectations::parse(COMMITTED)
    }

    /// Reads a table.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn parse(text: &str) -> Result<Expectations, TableError> {
        let Table { sources, cells } = toml::from_str(text).map_err(Box::new)?;
        let mut all = BTreeMap::new();
        let mut used = BTreeSet::new();
        for (number, entry) in (1..).zip(&cells) {
            let expectation = entry.expectation(number, &sources)?;
            used.extend(entry.sources.iter().cloned());
            for cell in entry.cells(number)? {
                if all.insert(cell.clone(), expectation.clone()).is_some() {
                    return Err(TableError::Twice { entry: number, cell });
                }
            }
        }
        let missing = every_cell().find(|cell| !all.contains_key(cell));
        let unused = sources.into_keys().find(|source| !used.contains(source));
        match (missing, unused) {
            (Some(cell), _) => Err(TableError::Missing(cell)),
            (None, Some(source)) => Err(TableError::Unused(source)),
            (None, None) => Ok(Expectations(all)),
        }
    }

    /// What is expected of one cell.
    pub fn of(&self, setting: Setting, end: End) -> &Expectation {
        self.0.get(&name(setting, end)).expect("a table without this cell was refused")
    }
}

/// The committed table's text.
pub const COMMITTED: &str = include_str!("../matrix.toml");

fn name(setting: Setting, end: End) -> String {
    format!("{setting}, {end}")
}

fn every_cell() -> impl Iterator<Item = String> {
    Setting::all().flat_map(|setting| End::ALL.map(|end| name(setting, end)))
}

impl Entry {
    fn expectation(
        &self,
        entry: usize,
        known: &BTreeMap<String, Source>,
    ) -> Result<Expectation, TableError> {
        let loses = all_known(entry, "invariant", &self.loses, &INVARIANTS, |one| one.id())?;
        let unknown =
            |word: &String| TableError::Unknown { entry, kind: "source", word: word.clone() };
        let source = |word: &String| -> Result<String, TableError> {
            let Source { document, section, url } = known.get(word).ok_or_else(|| unknown(word))?;
            Ok(format!("{document}, {section}: {url}"))
        };
        let sources: Vec<String> =
            self.sources.iter().map(source).collect::<Result<_, TableError>>()?;
        if sources.is_empty() {
            return Err(TableError::NoSource(entry));
        }
        let loses = INVARIANTS.map(|invariant| loses.contains(&invariant));
        Ok(Expectation { loses, sources, why: self.why.clone() })
    }

    fn cells(&self, entry: usize) -> Result<Vec<String>, TableError> {
        let journals = all_known(entry, "journal", &self.journal, &JOURNALS, |one| one.word())?;
        let levels =
            all_known(entry, "synchronous", &self.synchronous, &SYNCHRONOUS, |one| one.word())?;
        let ends = all_known(entry, "ending", &self.ending, &End::ALL, End::word)?;
        let mut cells = Vec::new();
        for journal in journals {
            for synchronous in &levels {
                let setting = Setting { journal, synchronous: *synchronous };
                cells.extend(ends.iter().map(|end| name(setting, *end)));
            }
        }
        Ok(cells)
    }
}

/// What each of `words` stands for.
fn all_known<T: Copy>(
    entry: usize,
    kind: &'static str,
    words: &[String],
    known: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<Vec<T>, TableError> {
    let find = |word: &String| {
        let found = known.iter().copied().find(|one| name(*one) == word);
        found.ok_or_else(|| TableError::Unknown { entry, kind, word: word.clone() })
    };
    words.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Expectations::parse(text).err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn the_committed_table_has_every_cell_once() {
        assert_eq!(refused(COMMITTED), "");
        assert_eq!(every_cell().count(), 72);
    }

    #[test]
    fn a_table_with_a_gap_or_a_word_too_many_is_refused() {
        let table = "table of expectations";
        let first = |from, to| refused(&COMMITTED.replacen(from, to, 1));
        let cases = [
            (first("\"EXTRA\"", "\"EXTRAS\""), ", entry 1: no synchronous `EXTRAS`"),
            (first("\"WAL\"", "\"wal\""), ", entry 1: no journal `wal`"),
            (first("[\"process kill\"]", "[\"kill\"]"), ", entry 1: no ending `kill`"),
            (first("loses = []", "loses = [\"I3\"]"), ", entry 1: no invariant `I3`"),
            (first("[sources.full]", "[sources.fuller]"), ", entry 4: no source `full`"),
            (first("[\"journal-memory\", \"configuration\"]", "[]"), ", entry 2: no source"),
            (
                first("\"PERSIST\"", "\"MEMORY\""),
                ", entry 2: MEMORY+EXTRA, process kill is in an earlier entry, too",
            ),
            (first("\"NORMAL\", ", ""), ": no entry for WAL+NORMAL, process kill"),
            (
                refused(&format!(
                    "[sources.a]\ndocument = \"\"\nsection = \"\"\nurl = \"\"\n{COMMITTED}"
                )),
                ": no entry names source `a`",
            ),
        ];
        for (message, expected) in cases {
            assert_eq!(message, format!("{table}{expected}"));
        }
        assert!(
            refused("cells = 1").starts_with("table of expectations: TOML parse error at line 1")
        );
    }
}
