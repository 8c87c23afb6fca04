//! What is wrong with a spec and where: file, line, column, key, and the nearest known name.
//!
//! **Invariant:** nothing that the parser does not understand is dropped without one of these.

use std::fmt;
use std::ops::Range;

/// Whether a spec can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, and its author should know.
    Warning,
}

/// One thing to tell the author of a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The file's name as the caller gave it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// Characters of that line that it is about, at least 1.
    pub width: usize,
    /// The key, with its section.
    pub key: String,
    /// What is wrong.
    pub problem: Problem,
}

/// The forms of guards, as `guard.rs` reads them.
const GUARDS: &str = "`FLAG`, `!FLAG`, `is_true FLAG`, `is_false FLAG`, `COUNTER > N` (or >=, <, <=), \
     `min COUNTER N`, `max COUNTER N`, `list_contains LIST VALUE`, `list_length_min LIST N`";

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The text is no TOML.
    #[error("{0}")]
    Syntax(String),
    /// A key or section is needed and absent.
    #[error("missing")]
    Missing,
    /// A value of another type.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A number that is none.
    #[error("`{0}` is not a number")]
    NotANumber(String),
    /// A number out of range.
    #[error("{value} is not between {min} and {max}")]
    OutOfRange {
        /// As written.
        value: String,
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    },
    /// A top-level name that is spelled much like a section's.
    #[error("is no section and not executed, did you mean `{0}`?")]
    UnknownSection(String),
    /// An integration that nothing runs.
    #[error("`{0}` is neither a trigger effect nor an action, so nothing runs this")]
    NeverTriggered(String),
    /// A key that this section does not have.
    #[error("unknown key{}", suggestion(.nearest))]
    UnknownKey {
        /// A known one that is spelled much alike.
        nearest: Option<String>,
    },
    /// A name that refers to nothing.
    #[error("`{name}` is no {kind}{}", suggestion(.nearest))]
    Unknown {
        /// What it should name.
        kind: &'static str,
        /// As written.
        name: String,
        /// A known one that is spelled much alike.
        nearest: Option<String>,
    },
    /// Two definitions of one name that differ.
    #[error("`{0}` is defined twice, differently")]
    Conflict(String),
    /// Two equal definitions of one name.
    #[error("`{0}` is defined twice, equally")]
    Repeated(String),
    /// A name that belongs to the platform.
    #[error("`{0}` is reserved")]
    Reserved(String),
    /// A guard that cannot be read.
    #[error("malformed guard `{0}`; the forms are {GUARDS}")]
    MalformedGuard(String),
    /// An effect that cannot be read.
    #[error("unknown effect `{effect}`{}", suggestion(.nearest))]
    UnknownEffect {
        /// As written.
        effect: String,
        /// A known one that is spelled much alike.
        nearest: Option<String>,
    },
    /// An effect with too few or too many words.
    #[error("malformed effect `{0}`")]
    MalformedEffect(String),
    /// An effect or setting on a variable of another type.
    #[error("`{name}` is a {kind}, not a {wanted}")]
    WrongKind {
        /// The variable.
        name: String,
        /// Its type.
        kind: &'static str,
        /// The type needed.
        wanted: &'static str,
    },
    /// A guard that looks at a variable of another type.
    #[error("`{name}` is a {kind}, so this guard never sees a {wanted}")]
    BlindGuard {
        /// The variable.
        name: String,
        /// Its type.
        kind: &'static str,
        /// What the guard looks for.
        wanted: &'static str,
    },
    /// A wasm integration without a module.
    #[error("wasm integration `{0}` has no module")]
    NoModule(String),
    /// An initial value of another type than its variable's.
    #[error("initial value {value} is not a {kind}")]
    BadInitial {
        /// As written.
        value: String,
        /// The variable's type.
        kind: &'static str,
    },
    /// A variable that only effects name.
    #[error("`{name}` is not declared; taken for a {kind}")]
    Undeclared {
        /// The variable.
        name: String,
        /// What the effect makes of it.
        kind: &'static str,
    },
    /// The old convention for items.
    #[error("has no effect; by its name it {0} every counter")]
    NamedItemEffect(&'static str),
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, key, problem, severity, width: _ } = self;
        let warning = if *severity == Severity::Warning { "warning: " } else { "" };
        write!(formatter, "{file}:{line}:{column}: {warning}{key}: {problem}")
    }
}

/// A spec that cannot be used. The first error is the message; all are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError {
    /// Every error and warning, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl fmt::Display for SpecError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut errors = self.diagnostics.iter().filter(|one| one.severity == Severity::Error);
        match errors.next() {
            Some(first) => write!(formatter, "{first}")?,
            None => formatter.write_str("no error")?,
        }
        match errors.count() {
            0 => Ok(()),
            more => write!(formatter, " (and {more} more)"),
        }
    }
}

impl std::error::Error for SpecError {}

fn suggestion(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!(", did you mean `{name}`?")).unwrap_or_default()
}

/// The known name that is spelled most alike, if one is near enough to be meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let allowed = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (at, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[right.len()]
}

/// A text with a name, and what has been found wrong with it so far.
pub(super) struct Source<'a> {
    pub file: &'a str,
    pub text: &'a str,
    pub lenient: bool,
    found: Vec<(usize, Diagnostic)>,
}

impl<'a> Source<'a> {
    pub fn new(file: &'a str, text: &'a str, lenient: bool) -> Self {
        Self { file, text, lenient, found: Vec::new() }
    }

    pub fn error(&mut self, span: &Range<usize>, key: &str, problem: Problem) {
        self.add(Severity::Error, span, key, problem);
    }

    /// What was found in a text inside this one, whose places mean nothing here.
    pub fn found_within(&mut self, span: &Range<usize>, inner: Diagnostic) {
        self.add(inner.severity, span, &inner.key, inner.problem);
    }

    pub fn warn(&mut self, span: &Range<usize>, key: &str, problem: Problem) {
        self.add(Severity::Warning, span, key, problem);
    }

    fn add(&mut self, severity: Severity, span: &Range<usize>, key: &str, problem: Problem) {
        let before = &self.text[..span.start.min(self.text.len())];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let marked = self.text.get(span.clone()).unwrap_or_default();
        let marked = marked.lines().next().unwrap_or_default();
        let diagnostic = Diagnostic {
            severity,
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            width: marked.chars().count().max(1),
            key: key.to_owned(),
            problem,
        };
        self.found.push((span.start, diagnostic));
    }

    /// Everything found, in the order of the text.
    pub fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|(at, _)| *at);
        self.found.into_iter().map(|(_, diagnostic)| diagnostic).collect()
    }
}
