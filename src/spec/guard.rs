//! Guards: what must hold of an entity for an action to be accepted.
//!
//! **Invariant:** a guard sees logical values only: the list, never the reference that stands for
//! it.

use std::collections::BTreeMap;

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::{Problem, Source};
use super::section::Section;
use crate::canonical;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// A counter compared with a number.
    Compare {
        /// The counter; a missing one is 0.
        var: String,
        /// How.
        op: Comparison,
        /// With what.
        value: u64,
    },
    /// A bool is true; a missing one is false.
    IsTrue(String),
    /// A bool is false.
    IsFalse(String),
    /// A list has an item: a string of this text, or another value of this canonical text.
    ListContains {
        /// The list or set.
        var: String,
        /// The literal.
        value: String,
    },
    /// A list has at least so many items.
    ListLengthMin {
        /// The list or set.
        var: String,
        /// The least count.
        min: u64,
    },
    /// The status is one of these.
    StateIn(Vec<String>),
}

/// How a counter is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `<`
    Less,
    /// `<=`
    AtMost,
}

/// What guards look at.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The entity's status.
    pub status: &'a str,
    /// Counters by name.
    pub counters: &'a BTreeMap<String, u64>,
    /// Bools by name.
    pub bools: &'a BTreeMap<String, bool>,
    /// Lists and sets by name, whole.
    pub lists: &'a BTreeMap<String, Vec<Value>>,
}

impl Guard {
    /// Whether the guard holds.
    pub fn holds(&self, view: View<'_>) -> bool {
        let flag = |var: &String| view.bools.get(var).copied().unwrap_or(false);
        match self {
            Self::Compare { var, op, value } => {
                let counter = view.counters.get(var).copied().unwrap_or(0);
                match op {
                    Comparison::Greater => counter > *value,
                    Comparison::AtLeast => counter >= *value,
                    Comparison::Less => counter < *value,
                    Comparison::AtMost => counter <= *value,
                }
            }
            Self::IsTrue(var) => flag(var),
            Self::IsFalse(var) => !flag(var),
            Self::ListContains { var, value } => view
                .lists
                .get(var)
                .is_some_and(|items| items.iter().any(|item| is_literal(item, value))),
            Self::ListLengthMin { var, min } => {
                view.lists.get(var).map_or(0, |items| items.len() as u64) >= *min
            }
            Self::StateIn(states) => states.iter().any(|state| state == view.status),
        }
    }
}

fn is_literal(item: &Value, literal: &str) -> bool {
    match item {
        Value::String(text) => text == literal,
        other => canonical::to_text(other) == literal,
    }
}

/// Reads the words of one guard.
pub(super) fn parse_words(text: &str) -> Option<Guard> {
    let text = text.trim();
    if let Some(var) = text.strip_prefix('!') {
        return Some(Guard::IsFalse(variable(var.trim())?));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let compare = |var: &str, op, number: &str| {
        Some(Guard::Compare { var: variable(var)?, op, value: number.parse().ok()? })
    };
    match words.as_slice() {
        [var] => Some(Guard::IsTrue(variable(var)?)),
        ["is_true", var] => Some(Guard::IsTrue(variable(var)?)),
        ["is_false", var] => Some(Guard::IsFalse(variable(var)?)),
        [var, ">", number] => compare(var, Comparison::Greater, number),
        [var, ">=", number] => compare(var, Comparison::AtLeast, number),
        [var, "<", number] => compare(var, Comparison::Less, number),
        [var, "<=", number] => compare(var, Comparison::AtMost, number),
        ["min", var, number] => compare(var, Comparison::AtLeast, number),
        ["max", var, number] => compare(var, Comparison::Less, number),
        ["list_length_min", var, number] => {
            Some(Guard::ListLengthMin { var: variable(var)?, min: number.parse().ok()? })
        }
        ["list_contains", var, ..] if words.len() > 2 => {
            let rest = text.strip_prefix("list_contains")?.trim_start().strip_prefix(var)?;
            Some(Guard::ListContains { var: variable(var)?, value: unquoted(rest.trim()) })
        }
        _ => None,
    }
}

/// A name that a variable can have: no operator, no space.
pub(super) fn variable(word: &str) -> Option<String> {
    let plain =
        !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.');
    plain.then(|| word.to_owned())
}

fn unquoted(literal: &str) -> String {
    let quoted = |mark| literal.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark));
    quoted('"').or_else(|| quoted('\'')).unwrap_or(literal).to_owned()
}

/// Reads `guard`: words, an array of words, an array of tables, or one table.
pub(super) fn read(source: &mut Source<'_>, value: &Spanned<DeValue<'_>>) -> Vec<Guard> {
    let (span, malformed) = (value.span(), |text: &str| Problem::MalformedGuard(text.to_owned()));
    match value.get_ref() {
        DeValue::String(text) => match parse_words(text) {
            Some(guard) => vec![guard],
            None => {
                source.error(&span, "action.guard", malformed(text));
                Vec::new()
            }
        },
        DeValue::Array(items) => items.iter().flat_map(|item| read(source, item)).collect(),
        DeValue::Table(table) => {
            let section = Section::new("action.guard", table, span);
            read_table(source, &section).into_iter().collect()
        }
        _ => {
            source.error(&span, "action.guard", Problem::Expected("a guard"));
            Vec::new()
        }
    }
}

fn read_table(source: &mut Source<'_>, section: &Section<'_, '_>) -> Option<Guard> {
    let (kind, kind_span) = section.required_text(source, "type")?;
    if kind == "state_in" {
        section.refuse_unknown(source, &["type", "values"]);
        let states = section.texts(source, "values")?;
        return Some(Guard::StateIn(states.into_iter().map(|(state, _)| state).collect()));
    }
    let number_key = match kind.as_str() {
        "min_count" | "min" | "list_length_min" => "min",
        "max_count" | "max" => "max",
        "list_contains" => "value",
        "is_true" | "is_false" => "",
        _ => {
            source.error(&kind_span, "action.guard.type", Problem::MalformedGuard(kind));
            return None;
        }
    };
    section.refuse_unknown(source, &["type", "var", number_key]);
    let (var, _) = section.required_text(source, "var")?;
    if kind == "list_contains" {
        let (value, _) = section.required_text(source, "value")?;
        return Some(Guard::ListContains { var, value });
    }
    if number_key.is_empty() {
        return Some(if kind == "is_true" { Guard::IsTrue(var) } else { Guard::IsFalse(var) });
    }
    if section.get(number_key).is_none() {
        source.error(&section.span, &section.key(number_key), Problem::Missing);
    }
    let value = section.number(source, number_key, 0..u64::MAX)?;
    Some(match kind.as_str() {
        "list_length_min" => Guard::ListLengthMin { var, min: value },
        "max_count" | "max" => Guard::Compare { var, op: Comparison::Less, value },
        _ => Guard::Compare { var, op: Comparison::AtLeast, value },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(words: &str) -> bool {
        let counters = BTreeMap::from([("n".to_owned(), 2)]);
        let bools = BTreeMap::from([("yes".to_owned(), true), ("no".to_owned(), false)]);
        let lists = BTreeMap::from([("l".to_owned(), vec![json!("a b"), json!(7)])]);
        let view = View { status: "Open", counters: &counters, bools: &bools, lists: &lists };
        parse_words(words).unwrap_or_else(|| panic!("{words} is malformed")).holds(view)
    }

    #[test]
    fn each_form_says_what_it_means() {
        let hold = "n > 1|n >= 2|n < 3|n <= 2|min n 2|max n 3|yes|!no|is_true yes|is_false no|!absent\
            |absent < 1|list_contains l a b|list_contains l 'a b'|list_contains l 7|list_length_min l 2";
        let fail = "n > 2|n >= 3|n < 2|n <= 1|min n 3|max n 2|no|!yes|is_true no|is_false yes|absent\
            |absent > 0|list_contains l a|list_contains absent a|list_length_min l 3";
        for words in hold.split('|') {
            assert!(holds(words), "{words}");
        }
        for words in fail.split('|') {
            assert!(!holds(words), "{words}");
        }
    }

    #[test]
    fn what_is_no_guard_is_refused() {
        for words in [
            "",
            "n >",
            "n > x",
            "n == 2",
            "n > -1",
            "a b",
            "min n",
            "list_contains l",
            "a && b",
            "!",
        ] {
            assert_eq!(parse_words(words), None, "{words}");
        }
    }
}
