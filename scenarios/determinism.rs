//! One run in two processes, compared record by record.
//!
//! **Invariant:** the comparison is made from outside. Nothing inside one process can show that
//! another would do the same: the two share their addresses, their caches and their environment.
//! Whatever differs accuses the harness, and never the platform.

use crate::lines;
use crate::verdict::Verdict;
use crate::what::What;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::process::{Command, Output};
use stormglass_sim::Seed;

/// Records that are shown before the first that differs.
const SHOWN_BEFORE: usize = 3;
/// Characters of a record that are shown at most.
const SHOWN_MAX: usize = 300;

/// What two processes made of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// The traces are equal.
    Equal {
        /// Records of each trace.
        record_count: usize,
    },
    /// The traces differ.
    Differ(Parting),
    /// A process printed no trace at all, so that nothing was compared.
    NoTrace {
        /// What it wrote on standard error.
        last_words: String,
    },
}

/// Where two traces part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parting {
    /// The first record that differs, counted from 1.
    pub record: usize,
    /// The simulated time there, in milliseconds since the run began, by the first trace that goes so far.
    pub monotonic_ms: Option<i64>,
    /// The last records that both have.
    pub before: Vec<String>,
    /// What the first process recorded there; nothing if it had ended.
    pub first: Option<String>,
    /// What the second process recorded there.
    pub second: Option<String>,
    /// The members in which the two records differ.
    pub fields: Vec<FieldDifference>,
}

/// A member of two records that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldDifference {
    /// Its name.
    pub name: String,
    /// Its value in the first; nothing if it has none.
    pub first: Option<Value>,
    /// Its value in the second.
    pub second: Option<Value>,
}

impl Parting {
    /// What was seen, the two sides beside each other, a line each.
    pub fn in_words(&self) -> Vec<String> {
        let Parting { record, monotonic_ms, before, first, second, fields } = self;
        let time = monotonic_ms.map_or(String::new(), |ms| {
            format!(", at t+{}.{:03}s", ms / 1000, ms.rem_euclid(1000))
        });
        let mut lines = vec![format!("the runs part at record {record}{time}")];
        let from = record - before.len();
        let same = before.iter().enumerate();
        lines.extend(same.map(|(at, text)| format!("  {:<7}  {}", from + at, shortened(text))));
        let side = |side: &Option<String>| side.as_deref().map_or("(ended)".into(), shortened);
        lines.push(format!("  first    {}", side(first)));
        lines.push(format!("  second   {}", side(second)));
        let value = |value: &Option<Value>| {
            shortened(&value.as_ref().map_or("(none)".to_string(), Value::to_string))
        };
        let rows: Vec<[String; 3]> = fields
            .iter()
            .map(|field| [field.name.clone(), value(&field.first), value(&field.second)])
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let (name_width, first_width) = (width(0).unwrap_or(0).max(7), width(1).unwrap_or(0));
        lines.extend(rows.iter().map(|[name, first, second]| {
            format!("  {name:<name_width$}  {first:<first_width$}  |  {second}")
        }));
        lines
    }
}

fn shortened(text: &str) -> String {
    lines::shortened(text, SHOWN_MAX)
}

/// A comparison with what was compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// What came of it.
    pub comparison: Comparison,
    /// The records of both, a line each.
    pub traces: [String; 2],
    /// What a process said whose run accuses nobody, however equal the traces are.
    pub broken: Option<String>,
}

impl Compared {
    /// Of two traces that are there already. Lines that are no JSON objects are no records.
    pub fn of(first: &str, second: &str) -> Compared {
        let records = |text: &str| -> String {
            let lines = text.lines().filter(|line| line.starts_with('{'));
            lines.map(|line| format!("{line}\n")).collect()
        };
        let traces = [records(first), records(second)];
        let comparison = first_difference(&traces[0], &traces[1]);
        Compared { comparison, traces, broken: None }
    }

    /// Why the harness is broken, if it is.
    pub fn why_broken(&self) -> Option<String> {
        match &self.comparison {
            Comparison::Equal { .. } => {
                let told =
                    |words: &String| format!("both processes play it and accuse nobody: {words}");
                self.broken.as_ref().map(told)
            }
            Comparison::Differ(parting) => {
                let words = parting.in_words().join("\n");
                Some(format!("two processes make other runs of it: {words}"))
            }
            Comparison::NoTrace { last_words } => {
                Some(format!("a process ended without a trace: {last_words}"))
            }
        }
    }
}

/// Has `program` print the same trace twice, each in a process of its own, and compares the records.
///
/// # Errors
/// When a process cannot be started.
pub fn compare(program: &Path, arguments: &[String]) -> io::Result<Compared> {
    let play = || Command::new(program).args(arguments).output();
    let (first, second) = (play()?, play()?);
    let trace = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let mut compared = Compared::of(&trace(&first), &trace(&second));
    let last_words = |output: &Output| String::from_utf8_lossy(&output.stderr).trim().to_string();
    let mute = compared.traces.iter().zip([&first, &second]).find(|(trace, _)| trace.is_empty());
    if let Some((_, output)) = mute {
        compared.comparison = Comparison::NoTrace { last_words: last_words(output) };
    }
    let broken = Verdict::HarnessBroken(String::new()).exit_code();
    let is_broken = |output: &&Output| output.status.code() == Some(i32::from(broken));
    compared.broken = [&first, &second].into_iter().find(is_broken).map(last_words);
    Ok(compared)
}

/// Has this program play the run of `seed` in two fresh processes.
///
/// # Errors
/// When a process cannot be started.
pub fn compare_seed(what: &What, seed: Seed) -> io::Result<Compared> {
    let mut arguments = what.arguments("run");
    arguments.extend(["--trace".to_string(), "--seed".to_string(), seed.to_string()]);
    compare(&std::env::current_exe()?, &arguments)
}

fn first_difference(first: &str, second: &str) -> Comparison {
    let (mut left, mut right) = (first.lines(), second.lines());
    let mut before = Vec::new();
    for record in 1.. {
        match (left.next(), right.next()) {
            (None, None) => break,
            (a, b) if a == b => before.extend(a),
            (a, b) => {
                let last = before.len().saturating_sub(SHOWN_BEFORE);
                let before = before[last..].iter().map(|line| (*line).to_string()).collect();
                return Comparison::Differ(parting(record, before, (a, b)));
            }
        }
    }
    Comparison::Equal { record_count: before.len() }
}

fn parting(
    record: usize,
    before: Vec<String>,
    (first, second): (Option<&str>, Option<&str>),
) -> Parting {
    let read =
        |side: Option<&str>| -> Option<Map<String, Value>> { serde_json::from_str(side?).ok() };
    let (one, two) = (read(first), read(second));
    let time = one.as_ref().or(two.as_ref()).and_then(|record| record.get("monotonic_ms"));
    let monotonic_ms = time.and_then(Value::as_i64);
    let (one, two) = (one.unwrap_or_default(), two.unwrap_or_default());
    let names: BTreeSet<&String> = match (first, second) {
        (Some(_), Some(_)) => one.keys().chain(two.keys()).collect(),
        _ => BTreeSet::new(),
    };
    let differing = names.into_iter().filter(|name| one.get(*name) != two.get(*name));
    let fields = differing.map(|name| FieldDifference {
        name: name.clone(),
        first: one.get(name).cloned(),
        second: two.get(name).cloned(),
    });
    Parting {
        record,
        monotonic_ms,
        before,
        fields: fields.collect(),
        first: first.map(str::to_string),
        second: second.map(str::to_string),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(op: u64, bytes: &str) -> String {
        format!("{{\"monotonic_ms\":1500,\"op\":{op},\"bytes\":\"{bytes}\"}}")
    }

    fn trace(records: &[(u64, &str)]) -> String {
        let lines = records.iter().map(|(op, bytes)| record(*op, bytes) + "\n");
        format!("not a record\n{}", lines.collect::<String>())
    }

    #[test]
    fn the_first_record_that_differs_is_told_with_both_sides_and_what_stood_before() {
        let common = [(1, "a"), (2, "b"), (3, "c"), (4, "d")];
        let of = |last: (u64, &'static str)| trace(&[&common[..], &[last]].concat());
        let same = Compared::of(&of((5, "e")), &of((5, "e")));
        assert_eq!(same.comparison, Comparison::Equal { record_count: 5 });
        assert_eq!(same.why_broken(), None);

        let apart = Compared::of(&of((5, "e")), &of((5, "longer")));
        let Comparison::Differ(parting) = &apart.comparison else { panic!("{apart:?}") };
        assert_eq!(parting.record, 5);
        assert_eq!(parting.before, [record(2, "b"), record(3, "c"), record(4, "d")]);
        let difference = FieldDifference {
            name: "bytes".to_string(),
            first: Some("e".into()),
            second: Some("longer".into()),
        };
        assert_eq!(parting.fields, [difference]);
        let words = parting.in_words();
        assert_eq!(words[0], "the runs part at record 5, at t+1.500s");
        assert_eq!(words[1], format!("  2        {}", record(2, "b")));
        assert_eq!(words[4], format!("  first    {}", record(5, "e")));
        assert_eq!(words[5], format!("  second   {}", record(5, "longer")));
        assert_eq!(words[6], "  bytes    \"e\"  |  \"longer\"");
        assert_eq!(apart.traces[1].lines().count(), 5);
    }

    #[test]
    fn a_trace_that_ends_earlier_parts_where_it_ends() {
        let apart = Compared::of(&trace(&[(1, "a"), (2, "b")]), &trace(&[(1, "a")]));
        let Comparison::Differ(parting) = apart.comparison else { panic!("{apart:?}") };
        let sides = (parting.record, parting.first.clone(), parting.second.clone());
        assert_eq!(sides, (2, Some(record(2, "b")), None));
        assert_eq!((parting.monotonic_ms, parting.fields.len()), (Some(1500), 0));
        assert_eq!(parting.in_words()[3], "  second   (ended)");
    }
}
