//! What was expected against what was found: of JSON the paths that differ, of long values their size and the
//! beginning of their SHA-256.

use crate::lines::counted;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Characters of a text that is shown whole.
const TEXT_MAX: usize = 48;
/// Characters of words that are shown whole.
const WORDS_MAX: usize = 300;
/// Characters of what is told whole among changes.
const LEAF_MAX: usize = 100;
/// Paths that are shown.
const PATHS_MAX: usize = 6;
/// Hex digits of a SHA-256 in full, and of its beginning.
const HEX: (usize, usize) = (64, 8);

/// Both sides, a line each path that differs; the words as they are where they are no JSON.
pub fn of(expected: &str, actual: &str) -> (Vec<String>, Vec<String>) {
    let (Some((head, left)), Some((other_head, right))) = (json(expected), json(actual)) else {
        return (vec![expected.to_string()], vec![actual.to_string()]);
    };
    let mut paths = Vec::new();
    differing(String::new(), (Some(&left), Some(&right)), &mut paths);
    if head != other_head || paths.is_empty() {
        return (vec![expected.to_string()], vec![actual.to_string()]);
    }
    let side = |pick: fn(&Path) -> &Option<Value>| {
        let shown = paths.iter().take(PATHS_MAX);
        let mut lines: Vec<String> = shown
            .map(|path| match pick(path) {
                Some(value) => format!("{} = {}", path.0, brief(value)),
                None => format!("{} absent", path.0),
            })
            .collect();
        if paths.len() > PATHS_MAX {
            lines.push(format!("and {} more", counted(paths.len() - PATHS_MAX, "path")));
        }
        lines
    };
    (side(|path| &path.1), side(|path| &path.2))
}

/// What of a value has become another one, a line each path: whatever it holds where it was not there.
pub fn changes(before: Option<&Value>, now: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    changed(String::new(), (before, Some(now)), &mut paths);
    let shown = |value: &Value| match value.to_string() {
        text if text.chars().count() <= LEAF_MAX => text,
        _ => brief(value),
    };
    let was =
        |then: Option<Value>| then.map_or(String::new(), |then| format!(", was {}", shown(&then)));
    let line = |(path, then, now): Path| match now {
        Some(now) => format!("{path} = {}{}", shown(&now), was(then)),
        None => format!("{path} is gone{}", was(then)),
    };
    paths.into_iter().map(line).collect()
}

/// Like [`differing`], but into lists of objects by their places, and into what is only on one side.
fn changed(path: String, sides: (Option<&Value>, Option<&Value>), found: &mut Vec<Path>) {
    let (then, now) = sides;
    let is_leaf = |side: Option<&Value>| match side {
        Some(Value::Array(items)) => !items.iter().all(Value::is_object),
        Some(Value::Object(_)) | None => false,
        Some(_) => true,
    };
    let is_small = |side: &Value| side.to_string().chars().count() <= LEAF_MAX;
    let is_new = then.is_none() && now.is_some_and(is_small);
    let has_parts = |side: Option<&Value>| side.is_some_and(|side| !members(side).is_empty());
    if then == now {
        return;
    }
    if is_new || is_leaf(then) || is_leaf(now) || !(has_parts(then) || has_parts(now)) {
        return found.push((path, then.cloned(), now.cloned()));
    }
    let (then, now) = [then, now].map(|side| side.map(members).unwrap_or_default()).into();
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    for name in names {
        let inner = match path.is_empty() || name.starts_with('[') {
            true => format!("{path}{name}"),
            false => format!("{path}.{name}"),
        };
        changed(inner, (then.get(name).copied(), now.get(name).copied()), found);
    }
}

fn members(value: &Value) -> BTreeMap<String, &Value> {
    match value {
        Value::Object(members) => members.iter().map(|(name, of)| (name.clone(), of)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(at, item)| (format!("[{at}]"), item)).collect()
        }
        _ => BTreeMap::new(),
    }
}

/// A path, and what stands there on either side.
type Path = (String, Option<Value>, Option<Value>);

/// The object or list in a text, and what stands before it.
fn json(text: &str) -> Option<(&str, Value)> {
    let at = text.find(['{', '['])?;
    let value = serde_json::from_str(&text[at..]).ok()?;
    Some((&text[..at], value))
}

fn differing(path: String, sides: (Option<&Value>, Option<&Value>), found: &mut Vec<Path>) {
    match sides {
        (Some(left), Some(right)) if left == right => {}
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let mut names: Vec<&String> = left.keys().chain(right.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                differing(inner, (left.get(name), right.get(name)), found);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) if left.len() == right.len() => {
            for (at, (left, right)) in left.iter().zip(right).enumerate() {
                differing(format!("{path}[{at}]"), (Some(left), Some(right)), found);
            }
        }
        (left, right) => found.push((path, left.cloned(), right.cloned())),
    }
}

fn brief(value: &Value) -> String {
    let (what, text) = match value {
        Value::String(text) if text.chars().count() > TEXT_MAX => {
            (format!("{} characters", text.chars().count()), text.clone())
        }
        Value::Array(items) => (format!("list of {}", items.len()), value.to_string()),
        Value::Object(members) => (format!("object of {}", members.len()), value.to_string()),
        other => return other.to_string(),
    };
    match value {
        Value::Array(_) | Value::Object(_) if text.chars().count() <= TEXT_MAX => text,
        _ => format!("{what}, SHA-256 {}...", sha_256(text.as_bytes())),
    }
}

/// The beginning of a SHA-256, in hex.
pub fn sha_256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().take(HEX.1 / 2).map(|byte| format!("{byte:02x}")).collect()
}

/// Words with what is too long in them told by its beginning: hashes, and the words as a whole.
pub fn shortened(words: &str) -> String {
    let (mut short, mut rest) = (String::new(), words);
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_hexdigit()) {
        let hex = &rest[start..];
        let len = hex.find(|letter: char| !letter.is_ascii_hexdigit()).unwrap_or(hex.len());
        let shown =
            if len == HEX.0 { format!("{}..", &hex[..HEX.1]) } else { hex[..len].to_string() };
        let is_file = len == HEX.0 && hex[len..].starts_with('.');
        short += &rest[..start];
        short += &shown;
        short += if len == HEX.0 && !is_file { "." } else { "" };
        rest = &hex[len..];
    }
    short += rest;
    match short.char_indices().nth(WORDS_MAX) {
        Some((end, _)) => {
            let (count, sha_256) = (words.chars().count(), sha_256(words.as_bytes()));
            format!("{}... ({count} characters, SHA-256 {sha_256}...)", &short[..end])
        }
        None => short,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_are_shown_as_they_are_and_json_by_the_paths_that_differ() {
        let words = ("event 2 (Write)", "a journal of 1 events");
        assert_eq!(of(words.0, words.1), (vec![words.0.to_string()], vec![words.1.to_string()]));
        let (expected, actual) = of("200 {\"a\":[1,2],\"b\":[1]}", "200 {\"a\":[1,3],\"b\":[]}");
        assert_eq!(expected, ["a[1] = 2", "b = [1]"]);
        assert_eq!(actual, ["a[1] = 3", "b = []"]);
        // Another head is a difference of its own.
        let (expected, actual) = of("200 {\"a\":1}", "500 {\"a\":2}");
        assert_eq!((expected.len(), actual[0].as_str()), (1, "500 {\"a\":2}"));
    }

    #[test]
    fn what_has_changed_is_told_with_what_it_was() {
        let before = json!({"a": 1, "b": 2, "c": [1], "d": [{"e": 1, "f": 2}]});
        let now = json!({"a": 1, "b": 3, "d": [{"e": 1, "f": 3}, {"e": 2}]});
        let told = ["b = 3, was 2", "c is gone, was [1]", "d[0].f = 3, was 2", "d[1] = {\"e\":2}"];
        assert_eq!(changes(Some(&before), &now), told);
        assert_eq!(
            changes(None, &json!({"a": "x".repeat(80), "b": {}, "c": "y".repeat(80)})).len(),
            3
        );
        assert_eq!(changes(Some(&now), &now), Vec::<String>::new());
    }

    #[test]
    fn hashes_are_told_by_their_beginning() {
        let hash = "ab".repeat(32);
        assert_eq!(shortened(&format!("row {hash}.json is")), "row abababab...json is");
        assert_eq!(shortened(&format!("sha {hash}")), "sha abababab...");
        assert_eq!(shortened("event 12 of s1"), "event 12 of s1");
    }
}
