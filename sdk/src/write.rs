//! JSON written: objects from names and values, in the order in which they are given.
//!
//! **Invariant:** a string is escaped so that any reader gets the same text back; names are not compared, so whoever
//! gives a name twice has it twice.

use std::fmt::Write;

/// A JSON object in the making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// The members, without the braces.
    members: String,
}

impl Object {
    /// An object without members.
    pub fn new() -> Object {
        Object::default()
    }

    /// With one more member, a string.
    pub fn text(mut self, name: &str, value: &str) -> Object {
        // In one piece, or a large text is copied as often as the room for it doubles.
        self.members.reserve(name.len() + value.len() + value.len() / 16 + 8);
        self.name(name);
        push_string(&mut self.members, value);
        self
    }

    /// With one more member, an integer.
    pub fn integer(mut self, name: &str, value: u64) -> Object {
        self.name(name);
        write!(self.members, "{value}").expect("a string takes every text");
        self
    }

    /// With one more member, true or false.
    pub fn boolean(self, name: &str, value: bool) -> Object {
        self.json(name, if value { "true" } else { "false" })
    }

    /// With one more member, an object.
    pub fn object(mut self, name: &str, value: &Object) -> Object {
        self.members.reserve(name.len() + value.members.len() + 8);
        self.name(name);
        self.members.push('{');
        self.members.push_str(&value.members);
        self.members.push('}');
        self
    }

    /// With one more member whose value is JSON already, such as [`crate::json::Value::json`].
    pub fn json(mut self, name: &str, value: &str) -> Object {
        self.members.reserve(name.len() + value.len() + 8);
        self.name(name);
        self.members.push_str(value);
        self
    }

    /// The object's JSON, without spaces.
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(self.members.len() + 2);
        json.push('{');
        json.push_str(&self.members);
        json.push('}');
        json
    }

    fn name(&mut self, name: &str) {
        if !self.members.is_empty() {
            self.members.push(',');
        }
        push_string(&mut self.members, name);
        self.members.push(':');
    }
}

/// Appends a JSON string. Only `"`, `\` and U+0000 to U+001F are escaped.
pub(crate) fn push_string(json: &mut String, text: &str) {
    json.push('"');
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        json.push_str(&text[written..at]);
        written = at + 1;
        match byte {
            b'"' => json.push_str("\\\""),
            b'\\' => json.push_str("\\\\"),
            b'\n' => json.push_str("\\n"),
            b'\r' => json.push_str("\\r"),
            b'\t' => json.push_str("\\t"),
            0x08 => json.push_str("\\b"),
            0x0c => json.push_str("\\f"),
            _ => write!(json, "\\u{byte:04x}").expect("a string takes every text"),
        }
    }
    json.push_str(&text[written..]);
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Value;

    #[test]
    fn members_stand_in_the_order_in_which_they_were_given() {
        let inner = Object::new().text("b", "x").integer("a", u64::MAX);
        let outer = Object::new()
            .boolean("t", true)
            .object("o", &inner)
            .object("e", &Object::new())
            .json("n", "null");
        assert_eq!(
            outer.to_json(),
            r#"{"t":true,"o":{"b":"x","a":18446744073709551615},"e":{},"n":null}"#
        );
    }

    #[test]
    fn every_character_comes_back_as_it_was() {
        let text: String = (0..0x3000).chain(0x1f300..0x1f400).filter_map(char::from_u32).collect();
        let json = Object::new().text("text", &text).to_json();
        assert_eq!(Value::parse(&json).unwrap().at(&["text"]).unwrap().as_text(), Some(text));
        for escaped in
            [r"\u0000\u0001", r"\u001f !\", r"[\\]", r"\b\t\n\u000b\f\r\u000e", "~\u{7f}"]
        {
            assert!(json.contains(escaped), "{escaped}");
        }
    }
}
