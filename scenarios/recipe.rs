//! Values of a plan, as recipes: shape, size and content, never the text itself.
//!
//! **Invariant:** one recipe is one value for ever, and two recipes of different contents never make
//! the same overflowing value.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stormglass_sim::Seed;

/// How to make a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Recipe {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// These words themselves; for short texts that guards look for.
    Words(String),
    /// This JSON itself; for numbers that are hard to keep.
    Json(String),
    /// A text whose canonical JSON has exactly so many bytes (at least 2).
    Text {
        /// Bytes of its canonical JSON, quotes included.
        json_bytes: u32,
        /// What tells it from other texts of its size.
        content: u32,
        /// What it is made of.
        alphabet: Alphabet,
    },
    /// A list of so many equal texts.
    List {
        /// How many.
        items: u32,
        /// Bytes of each item's canonical JSON.
        json_bytes: u32,
        /// What tells it from others.
        content: u32,
    },
    /// An object whose keys UTF-8 sorts otherwise than UTF-16, with a text under each.
    Keys {
        /// Bytes of each text's canonical JSON.
        json_bytes: u32,
        /// What tells it from others.
        content: u32,
    },
    /// Objects in one another, with keys in no order and a text at the bottom.
    Object {
        /// How deep.
        depth: u32,
        /// Bytes of the text's canonical JSON.
        json_bytes: u32,
        /// What tells it from others.
        content: u32,
    },
}

/// What a text is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alphabet {
    /// Letters and digits.
    Plain,
    /// Quotes, backslashes and control characters, which JSON escapes.
    Escaped,
    /// Letters of two to four bytes of UTF-8.
    Wide,
}

impl Recipe {
    /// The value.
    pub fn value(&self) -> Value {
        match self {
            Recipe::Null => Value::Null,
            Recipe::Bool(value) => json!(value),
            Recipe::Number(value) => json!(value),
            Recipe::Words(words) => json!(words),
            // A plan written by hand may say anything: what is no JSON is a text.
            Recipe::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
            Recipe::Text { json_bytes, content, alphabet } => {
                json!(text(*json_bytes, *content, *alphabet))
            }
            Recipe::List { items, json_bytes, content } => {
                let item = text(*json_bytes, *content, Alphabet::Plain);
                json!(vec![item; *items as usize])
            }
            Recipe::Keys { json_bytes, content } => {
                let text = |n| text(*json_bytes, *content + n, Alphabet::Plain);
                json!({"\u{1f600}": text(0), "\u{ffff}": text(1), "z": text(2), "Z\u{7f}": text(3)})
            }
            Recipe::Object { depth, json_bytes, content } => {
                let bottom = json!(text(*json_bytes, *content, Alphabet::Plain));
                (0..*depth).fold(bottom, |inner, level| json!({"z": level, "a": inner, "Zz": []}))
            }
        }
    }

    /// The recipe in a few words.
    pub fn brief(&self) -> String {
        match self {
            Recipe::Null => "null".to_string(),
            Recipe::Bool(value) => value.to_string(),
            Recipe::Number(value) => value.to_string(),
            Recipe::Words(words) => format!("\"{words}\""),
            Recipe::Json(text) => text.clone(),
            Recipe::Text { json_bytes, content, .. } => format!("{} #{content}", size(*json_bytes)),
            Recipe::List { items, json_bytes, content } => {
                format!("{items} x {} #{content}", size(*json_bytes))
            }
            Recipe::Keys { json_bytes, content } => {
                format!("4 keys of {} #{content}", size(*json_bytes))
            }
            Recipe::Object { json_bytes, content, .. } => {
                format!("object of {} #{content}", size(*json_bytes))
            }
        }
    }
}

/// So many bytes, in words.
fn size(bytes: u32) -> String {
    if bytes >= 1024 && bytes.is_multiple_of(1024) {
        format!("{} KiB", bytes / 1024)
    } else {
        format!("{bytes} B")
    }
}

/// A text whose canonical JSON has exactly `json_bytes` bytes.
fn text(json_bytes: u32, content: u32, alphabet: Alphabet) -> String {
    let mut left = json_bytes.saturating_sub(2) as usize;
    let mut text = String::with_capacity(left);
    // A block of the content's own, repeated: making 200 KiB must cost little.
    let block = block(content, alphabet);
    let (whole, cost) = (String::from_iter(&block), block.iter().copied().map(json_cost).sum());
    while left >= cost {
        text.push_str(&whole);
        left -= cost;
    }
    for letter in block {
        let cost = json_cost(letter);
        if cost > left {
            break;
        }
        text.push(letter);
        left -= cost;
    }
    text.extend(std::iter::repeat_n('x', left));
    text
}

fn block(content: u32, alphabet: Alphabet) -> Vec<char> {
    let letters: Vec<char> = match alphabet {
        Alphabet::Plain => ('a'..='z').chain('0'..='9').collect(),
        Alphabet::Escaped => "\"\\/\n\t\u{1}ab".chars().collect(),
        Alphabet::Wide => "\u{e9}\u{4e16}\u{1f600}\u{df}z".chars().collect(),
    };
    let mut stream = Seed(u64::from(content)).stream("recipe");
    let own = (0..48).map(|_| *stream.pick(&letters));
    format!("{content}.").chars().chain(own).collect()
}

/// Bytes of a letter in canonical JSON.
fn json_cost(letter: char) -> usize {
    match letter {
        '"' | '\\' | '\n' | '\t' | '\r' | '\u{8}' | '\u{c}' => 2,
        letter if (letter as u32) < 0x20 => 6,
        letter => letter.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_exactly_the_size_its_recipe_says() {
        for alphabet in [Alphabet::Plain, Alphabet::Escaped, Alphabet::Wide] {
            for json_bytes in [2, 3, 7, 1023, 1024, 1025, 200 * 1024] {
                let value = Recipe::Text { json_bytes, content: 7, alphabet }.value();
                let json = serde_json::to_string(&value).expect("a string is JSON");
                assert_eq!(json.len(), json_bytes as usize, "{alphabet:?}");
            }
        }
    }

    #[test]
    fn contents_tell_values_apart() {
        let text = |content| Recipe::Text { json_bytes: 1025, content, alphabet: Alphabet::Wide };
        assert_ne!(text(1).value(), text(2).value());
        assert_eq!(text(1).value(), text(1).value());
    }
}
