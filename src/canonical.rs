//! Canonical JSON: the one form in which values are compared, journalled, measured and hashed.
//!
//! **Invariant:** two bodies that mean the same value have the same bytes here, and a value that
//! was written by [`to_text`] and read by [`parse`] is the same value. What has no canonical form
//! (repeated keys, integers and doubles out of range, lone surrogates, deep nesting) is refused.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

/// The deepest nesting that a body may have; the outermost array or object is level 1.
pub const NESTING_MAX: usize = 100;

/// Why bytes are not a JSON value with a canonical form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidJson(String);

/// Reads one JSON value and nothing else.
///
/// # Errors
/// Everything that the module's first lines refuse, and what is not JSON at all.
pub fn parse(bytes: &[u8]) -> Result<Value, InvalidJson> {
    parse_nested(bytes, NESTING_MAX)
}

/// Reads what this crate has written: a body of the deepest nesting, and what was put around it.
///
/// # Errors
/// As [`parse`], but for the nesting.
pub(crate) fn parse_stored(bytes: &[u8]) -> Result<Value, InvalidJson> {
    parse_nested(bytes, NESTING_MAX + 20)
}

fn parse_nested(bytes: &[u8], nesting_max: usize) -> Result<Value, InvalidJson> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        InvalidJson(format!("invalid UTF-8 after byte {}", error.valid_up_to()))
    })?;
    let has_double = Cell::new(false);
    let read = read_value(text, Canonical { levels_left: nesting_max, has_double: &has_double });
    // The reader turns an integer that is too wide into a double without saying so. What has no
    // double and no error has no such integer, and need not be looked through again.
    if has_double.get() || read.is_err() {
        refuse_wide_integers(text)?;
    }
    read.map_err(|error| InvalidJson(error.to_string()))
}

fn read_value(text: &str, canonical: Canonical<'_>) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = canonical.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// The canonical text of a value.
pub fn to_text(value: &Value) -> String {
    let mut out = String::with_capacity(length_of(value));
    write(value, &mut out);
    out
}

/// The canonical text of an object.
pub(crate) fn object_to_text(members: &Map<String, Value>) -> String {
    let mut out = String::new();
    write_object(members, &mut out);
    out
}

/// The canonical text of an object with one more member, which is an object too.
pub(crate) fn object_with(
    (members, name): (&Map<String, Value>, &str),
    member: &Map<String, Value>,
) -> String {
    let lengths = members.values().chain(member.values()).map(length_of);
    let mut out = String::with_capacity(lengths.sum::<usize>() + 32 * members.len());
    let all = members.iter().map(|(name, value)| (name.as_str(), Written::Value(value)));
    write_members(all.chain([(name, Written::Object(member))]).collect(), &mut out);
    out
}

/// About the length of a value's text, so that a long one is not moved about while it grows.
fn length_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| length_of(item) + 1).sum::<usize>() + 2,
        Value::Object(members) => {
            members.iter().map(|(name, value)| name.len() + 4 + length_of(value)).sum::<usize>() + 2
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

/// The number of bytes by which a value is measured against its ceiling.
pub fn size_of(text: &str) -> u64 {
    if crate::defect!("utf8-length") {
        return text.chars().count() as u64;
    }
    text.len() as u64
}

/// SHA-256 as 64 lower-case hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        push_hex(byte, &mut hex);
    }
    hex
}

fn push_hex(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => write_object(members, out),
    }
}

/// A member's value where it stands.
#[derive(Clone, Copy)]
enum Written<'a> {
    Value(&'a Value),
    Object(&'a Map<String, Value>),
}

fn write_object(members: &Map<String, Value>, out: &mut String) {
    let members = members.iter().map(|(name, value)| (name.as_str(), Written::Value(value)));
    write_members(members.collect(), out);
}

fn write_members(mut sorted: Vec<(&str, Written<'_>)>, out: &mut String) {
    // Sorted here and not by the map, whose order is a feature flag of its crate.
    sorted.sort_by(|(left, _), (right, _)| left.as_bytes().cmp(right.as_bytes()));
    if crate::defect!("key-order") {
        sorted.reverse();
    }
    out.push('{');
    for (index, (name, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(name, out);
        out.push(':');
        match value {
            Written::Value(value) => write(value, out),
            Written::Object(members) => write_object(members, out),
        }
    }
    out.push('}');
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = next_escape(rest.as_bytes()) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            control => {
                out.push_str("\\u00");
                push_hex(control, out);
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// The place of the first byte that does not stand for itself. Long texts mostly have none: they are
/// looked through in blocks, which the compiler makes a few instructions each.
fn next_escape(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 32;
    let is_escaped = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    let has_none = |block: &&[u8]| !block.iter().fold(false, |any, byte| any | is_escaped(*byte));
    let skipped = bytes.chunks_exact(BLOCK).take_while(has_none).count() * BLOCK;
    let found = bytes[skipped..].iter().position(|byte| is_escaped(*byte))?;
    Some(skipped + found)
}

/// Finds an integer that neither 64-bit type holds.
fn refuse_wide_integers(text: &str) -> Result<(), InvalidJson> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = end_of_string(bytes, at),
            b'-' | b'0'..=b'9' => {
                let end = bytes[at..]
                    .iter()
                    .position(|byte| {
                        !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
                    })
                    .map_or(bytes.len(), |length| at + length);
                let token = &text[at..end];
                let integer = !token.contains(['.', 'e', 'E']);
                if integer && token.parse::<i64>().is_err() && token.parse::<u64>().is_err() {
                    return Err(InvalidJson(format!(
                        "integer {token} is out of range at byte {at}"
                    )));
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    Ok(())
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// Builds a value while watching for what a plain map would swallow.
#[derive(Clone, Copy)]
struct Canonical<'a> {
    levels_left: usize,
    /// Set when a double was met.
    has_double: &'a Cell<bool>,
}

impl Canonical<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let levels_left = self.levels_left.checked_sub(1);
        levels_left
            .map(|levels_left| Self { levels_left, ..self })
            .ok_or_else(|| E::custom("nested too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Canonical<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Canonical<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.has_double.set(true);
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = access.next_value_seed(inner)?;
            if members.contains_key(&name) {
                return Err(A::Error::custom(format!("key {name:?} stands twice in one object")));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes under which values are stored for ever: (as sent, as kept).
    const PINNED: [(&str, &str); 20] = [
        ("null", "null"),
        (" true ", "true"),
        ("1", "1"),
        ("1.0", "1.0"),
        ("-0.0", "-0.0"),
        ("100e-2", "1.0"),
        ("1e3", "1000.0"),
        ("1e300", "1e+300"),
        ("0.1", "0.1"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("18446744073709551615", "18446744073709551615"),
        ("123456789012345680000.0", "1.2345678901234568e+20"),
        (r#""plain / slash""#, r#""plain / slash""#),
        (r#""\u0041\/\n\u0001\u007f""#, "\"A/\\n\\u0001\u{7f}\""),
        (r#""\ud83d\ude00""#, "\"\u{1f600}\""),
        ("[ 1 , [ ] , { } ]", "[1,[],{}]"),
        (r#"{"b":1,"a":2,"B":3}"#, r#"{"B":3,"a":2,"b":1}"#),
        (
            "{\"\u{e9}\":1,\"z\":2,\"\u{1f600}\":3,\"\u{ffff}\":4}",
            "{\"z\":2,\"\u{e9}\":1,\"\u{ffff}\":4,\"\u{1f600}\":3}",
        ),
        (r#"{"a":{"d":[],"c":"\"\\"}}"#, r#"{"a":{"c":"\"\\","d":[]}}"#),
    ];

    #[test]
    fn twenty_values_keep_their_bytes_and_read_back_as_themselves() {
        for (sent, kept) in PINNED {
            let value = parse(sent.as_bytes()).unwrap();
            assert_eq!(to_text(&value), kept, "for {sent}");
            assert_eq!(to_text(&parse(kept.as_bytes()).unwrap()), kept, "for {sent}, again");
        }
    }

    #[test]
    fn values_without_a_canonical_form_are_refused() {
        let refused: [&[u8]; 10] = [
            b"",
            b"{\"a\":1,\"a\":1}",
            b"[{\"x\":{\"k\":0,\"\\u006b\":0}}]",
            b"18446744073709551616",
            b"-9223372036854775809",
            b"1e400",
            b"\"\\ud800\"",
            b"\"\xff\"",
            b"1 2",
            b"nul",
        ];
        for bytes in refused {
            assert!(parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn every_byte_of_a_long_text_is_escaped_wherever_it_stands() {
        for at in 0..100 {
            for letter in ('\u{0}'..='\u{7f}').chain(['\u{e9}', '\u{1f600}']) {
                let mut text = "x".repeat(100);
                text.insert(at, letter);
                let written = to_text(&Value::String(text.clone()));
                assert_eq!(written, serde_json::to_string(&text).unwrap(), "{letter:?} at {at}");
            }
        }
    }

    #[test]
    fn a_hundred_levels_pass_and_one_more_does_not() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse(nested(NESTING_MAX).as_bytes()).is_ok());
        assert!(parse(nested(NESTING_MAX + 1).as_bytes()).is_err());
    }

    #[test]
    fn digits_inside_strings_are_not_numbers() {
        assert!(parse(b"\"99999999999999999999999 \\\" 99999999999999999999999\"").is_ok());
    }
}
