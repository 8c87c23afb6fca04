//! As much of JSON Schema as docs/json.schema.json uses. A word that is not known fails the test: it would hold
//! nothing to account.

use serde_json::{Map, Value};

/// Words that hold nothing to account.
const REMARKS: [&str; 4] = ["$schema", "$defs", "title", "description"];

/// A schema that was read.
pub struct Schema(Value);

impl Schema {
    pub fn read(text: &str) -> Schema {
        Schema(serde_json::from_str(text).expect("the schema is JSON"))
    }

    /// Whether a document is as the schema says.
    ///
    /// # Errors
    /// Where it is not.
    pub fn allows(&self, document: &Value) -> Result<(), String> {
        self.check(&self.0, document, "")
    }

    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let words = schema.as_object().expect("a schema is an object");
        for (word, wanted) in words {
            let is_kept = match word.as_str() {
                "type" => is_of(wanted.as_str().expect("a type's name"), value),
                "const" => wanted == value,
                "enum" => wanted.as_array().expect("a list").contains(value),
                "pattern" => is_seed(wanted, value),
                "$ref" => {
                    let pointer = wanted.as_str().and_then(|text| text.strip_prefix('#'));
                    let named = pointer.and_then(|pointer| self.0.pointer(pointer));
                    self.check(named.expect("a reference leads somewhere"), value, at)?;
                    true
                }
                "oneOf" => {
                    self.one_of(wanted, value, at)?;
                    true
                }
                "required" => {
                    let names = wanted.as_array().expect("a list").iter();
                    let mut names = names.filter_map(Value::as_str);
                    let missing = names.find(|name| value.get(name).is_none());
                    missing.map_or(Ok(()), |name| Err(format!("{at}: no member {name}")))?;
                    true
                }
                "items" => {
                    let items = value.as_array().into_iter().flatten().enumerate();
                    for (index, item) in items {
                        self.check(wanted, item, &format!("{at}/{index}"))?;
                    }
                    true
                }
                "properties" | "additionalProperties" => {
                    self.members(words, value, at)?;
                    true
                }
                word => {
                    assert!(REMARKS.contains(&word), "a word that is not checked: {word}");
                    true
                }
            };
            if !is_kept {
                return Err(format!("{at}: {value} is not of {word} {wanted}"));
            }
        }
        Ok(())
    }

    fn members(&self, words: &Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
        let known = words.get("properties").and_then(Value::as_object);
        for (name, member) in value.as_object().into_iter().flatten() {
            let at = format!("{at}/{name}");
            match (known.and_then(|known| known.get(name)), words.get("additionalProperties")) {
                (Some(schema), _) => self.check(schema, member, &at)?,
                (None, Some(Value::Bool(false))) => return Err(format!("{at}: no such member")),
                (None, Some(schema)) if schema.is_object() => self.check(schema, member, &at)?,
                (None, _) => {}
            }
        }
        Ok(())
    }

    /// Exactly one; told is what the nearest has against it, the one that comes deepest.
    fn one_of(&self, all: &Value, value: &Value, at: &str) -> Result<(), String> {
        let all = all.as_array().expect("a list");
        let results: Vec<_> = all.iter().map(|one| self.check(one, value, at)).collect();
        match results.iter().filter(|result| result.is_ok()).count() {
            1 => Ok(()),
            0 => {
                let errors = results.into_iter().filter_map(Result::err);
                let depth =
                    |why: &String| why.split(':').next().map_or(0, |at| at.matches('/').count());
                Err(errors.max_by_key(depth).unwrap_or_default())
            }
            count => Err(format!("{at}: {count} of the ways fit, and one must")),
        }
    }
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("a type that is not checked: {other}"),
    }
}

/// The one pattern that there is.
fn is_seed(pattern: &Value, value: &Value) -> bool {
    assert_eq!(pattern, "^0x[0-9a-f]+$", "a pattern that is not checked");
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x")).unwrap_or_default();
    let is_hex = |letter: char| letter.is_ascii_digit() || ('a'..='f').contains(&letter);
    !digits.is_empty() && digits.chars().all(is_hex)
}
