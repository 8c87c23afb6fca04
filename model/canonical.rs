//! Canonical JSON (contract, section 5): the bytes of a value that sizes, keys and comparisons use.
//!
//! Written from the contract alone; the platform has its own. Numbers are the exception that the
//! contract makes itself: a number that is no integer is written as serde_json writes its double.

use sha2::{Digest, Sha256};
use std::fmt::{self, Write};
use std::sync::OnceLock;

use serde_json::{Map, Value};

/// The canonical JSON of a value.
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write_value(value, &mut out).expect("a string takes every write");
    out
}

/// Whether two values have the same canonical JSON.
pub fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(x, y)| same(x, y))
        }
        (Value::Object(a), Value::Object(b)) => same_maps(a, b),
        // The doubles 0.0 and -0.0 compare equal and are written differently.
        (Value::Number(a), Value::Number(b)) => a == b && a.to_string() == b.to_string(),
        _ => left == right,
    }
}

/// Whether two objects have the same canonical JSON.
pub fn same_maps(left: &Map<String, Value>, right: &Map<String, Value>) -> bool {
    left.len() == right.len()
        && left.iter().all(|(name, x)| right.get(name).is_some_and(|y| same(x, y)))
}

fn write_value(value: &Value, out: &mut impl Write) -> fmt::Result {
    match value {
        Value::Null => out.write_str("null"),
        Value::Bool(true) => out.write_str("true"),
        Value::Bool(false) => out.write_str("false"),
        Value::Number(number) => write!(out, "{number}"),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.write_char('[')?;
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.write_char(',')?;
                }
                write_value(item, out)?;
            }
            out.write_char(']')
        }
        Value::Object(map) => write_object(map, out),
    }
}

fn write_object(map: &Map<String, Value>, out: &mut impl Write) -> fmt::Result {
    // The map may keep another order when some crate of the build asks serde_json for it.
    let mut members: Vec<(&String, &Value)> = map.iter().collect();
    members.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    out.write_char('{')?;
    for (index, (name, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.write_char(',')?;
        }
        write_text(name, out)?;
        out.write_char(':')?;
        write_value(value, out)?;
    }
    out.write_char('}')
}

fn write_text(text: &str, out: &mut impl Write) -> fmt::Result {
    out.write_char('"')?;
    let mut rest = text;
    while let Some(at) = first_special(rest.as_bytes()) {
        let (plain, special) = (&rest[..at], rest.as_bytes()[at]);
        out.write_str(plain)?;
        rest = &rest[at + 1..];
        match special {
            b'"' => out.write_str("\\\"")?,
            b'\\' => out.write_str("\\\\")?,
            0x08 => out.write_str("\\b")?,
            0x09 => out.write_str("\\t")?,
            0x0a => out.write_str("\\n")?,
            0x0c => out.write_str("\\f")?,
            0x0d => out.write_str("\\r")?,
            other => write!(out, "\\u{other:04x}")?,
        }
    }
    out.write_str(rest)?;
    out.write_char('"')
}

/// Where a text has its first letter that JSON escapes. Sixteen bytes at a time, for most have none.
fn first_special(bytes: &[u8]) -> Option<usize> {
    let is_special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    let mut from = 0;
    for block in bytes.chunks_exact(16) {
        if block.iter().filter(|byte| is_special(byte)).count() > 0 {
            break;
        }
        from += block.len();
    }
    bytes[from..].iter().position(is_special).map(|at| from + at)
}

/// The SHA-256 of some bytes, in lower-case hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    let key = blob_key(bytes);
    key["field-overflow/sha256/".len()..key.len() - ".json".len()].to_owned()
}

/// The key of the blob whose body is `body`.
pub fn blob_key(body: &[u8]) -> String {
    key_of(Sha256::digest(body).as_slice())
}

fn key_of(digest: &[u8]) -> String {
    let mut key = String::with_capacity(91);
    key.push_str("field-overflow/sha256/");
    for byte in digest {
        for digit in [byte >> 4, byte & 15] {
            key.push(char::from_digit(u32::from(digit), 16).expect("four bits are one digit"));
        }
    }
    key.push_str(".json");
    key
}

struct Counted(u64);

impl Write for Counted {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len() as u64;
        Ok(())
    }
}

struct Hashed(Sha256);

impl Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// A value with its size, and its blob key once someone asks for it.
#[derive(Debug)]
pub struct Content {
    value: Value,
    size_bytes: u64,
    key: OnceLock<String>,
}

impl Content {
    /// Measures `value`.
    pub fn new(value: Value) -> Self {
        let mut counted = Counted(0);
        write_value(&value, &mut counted).expect("counting takes every write");
        Content { value, size_bytes: counted.0, key: OnceLock::new() }
    }

    /// The value itself.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The bytes of its canonical JSON.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The key under which its blob stands, if it becomes one.
    pub fn key(&self) -> &str {
        self.key.get_or_init(|| {
            let mut hashed = Hashed(Sha256::new());
            write_value(&self.value, &mut hashed).expect("hashing takes every write");
            key_of(hashed.0.finalize().as_slice())
        })
    }
}

/// A value as a reader of a report sees it: short ones whole, long ones by size and hash.
pub fn brief(value: &Value) -> String {
    let text = canonical(value);
    if text.len() <= 80 {
        return text;
    }
    let key = blob_key(text.as_bytes());
    let head: String = text.chars().take(16).collect();
    format!("{head}... ({} bytes, SHA-256 {}...)", text.len(), &key[22..30])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The bytes are pinned: a change of any of them would change keys of blobs that exist.
    #[test]
    fn twenty_values_keep_their_bytes() {
        let cases: [(Value, &str); 20] = [
            (json!(null), "null"),
            (json!(true), "true"),
            (json!(0), "0"),
            (json!(1.0), "1.0"),
            (json!(i64::MIN), "-9223372036854775808"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(0.1), "0.1"),
            (json!(-0.0), "-0.0"),
            (json!(1e21), "1e+21"),
            (json!(1.5e-7), "1.5e-7"),
            (json!(5e-324), "5e-324"),
            (json!(f64::MAX), "1.7976931348623157e+308"),
            (json!(""), "\"\""),
            (json!("a\"b\\c/d"), "\"a\\\"b\\\\c/d\""),
            (json!("\u{0}\u{8}\t\n\u{b}\u{c}\r\u{1f}"), "\"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\""),
            (json!("\u{7f}\u{e9}\u{2028}\u{1f600}"), "\"\u{7f}\u{e9}\u{2028}\u{1f600}\""),
            (json!([]), "[]"),
            (json!([1, [2.5, {}], "x"]), "[1,[2.5,{}],\"x\"]"),
            (
                json!({"b": 1, "a": {"z": null, "\u{e9}": 2}, "B": 3}),
                "{\"B\":3,\"a\":{\"z\":null,\"\u{e9}\":2},\"b\":1}",
            ),
            // By UTF-8 bytes U+FF5E stands before U+1F600; by UTF-16 units it would follow it.
            (json!({"\u{1f600}": 1, "\u{ff5e}": 2}), "{\"\u{ff5e}\":2,\"\u{1f600}\":1}"),
        ];
        for (value, bytes) in &cases {
            assert_eq!(canonical(value), *bytes);
            assert_eq!(Content::new(value.clone()).size_bytes(), bytes.len() as u64);
        }
    }

    #[test]
    fn a_key_is_the_hash_of_the_canonical_bytes() {
        let empty = Content::new(json!(""));
        assert_eq!(
            empty.key(),
            "field-overflow/sha256/12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126.json"
        );
        assert_eq!(empty.key(), blob_key(b"\"\""));
    }

    #[test]
    fn values_are_the_same_exactly_when_their_bytes_are() {
        let values =
            [json!(1), json!(1.0), json!(0.0), json!(-0.0), json!("1"), json!([1]), json!([1.0])];
        for left in &values {
            for right in &values {
                assert_eq!(same(left, right), canonical(left) == canonical(right));
            }
        }
        assert!(same(&json!({"a": [1, {"b": 2}]}), &json!({"a": [1, {"b": 2}]})));
        assert!(!same(&json!({"a": 1}), &json!({"a": 1, "b": 1})));
    }

    #[test]
    fn a_number_read_from_text_is_the_nearest_double() {
        let read: Value = serde_json::from_str("2.2250738585072011e-308").unwrap();
        assert_eq!(canonical(&read), "2.225073858507201e-308");
    }
}
