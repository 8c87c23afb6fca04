//! JSON read where it stands: nothing is built, a value is looked for when it is asked for.
//!
//! **Invariant:** what is found is what the text says; a text that is no JSON gives `None` at the place where that is
//! met, and never a panic. It is not a validator: what is passed over is only looked at as far as needed to pass it.

/// What may stand between two parts of a text.
const SPACES: &[char] = &[' ', '\t', '\n', '\r'];

/// One value, as its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    json: &'a str,
}

impl<'a> Value<'a> {
    /// The one value that a text is.
    pub fn parse(text: &'a str) -> Option<Value<'a>> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value()?;
        reader.space();
        (reader.at == text.len()).then_some(value)
    }

    /// The value that a text is said to be: looked at only where somebody asks, because a context may be large.
    pub(crate) fn of(text: &'a str) -> Value<'a> {
        Value { json: text.trim_matches(SPACES) }
    }

    /// The value's text, as it stands.
    pub fn json(self) -> &'a str {
        self.json
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.json == "null"
    }

    /// The value, if it is `true` or `false`.
    pub fn as_bool(self) -> Option<bool> {
        self.json.parse().ok()
    }

    /// The value, if it is an integer of this range.
    pub fn as_integer(self) -> Option<i64> {
        self.json.parse().ok()
    }

    /// The value, if it is a string, without its escapes.
    pub fn as_text(self) -> Option<String> {
        unescape(self.json.strip_prefix('"')?.strip_suffix('"')?)
    }

    /// The member of this name, if it is an object that has one; of several the first.
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        self.members().find(|(member, _)| named(member, name)).map(|(_, value)| value)
    }

    /// The value at the end of a path of member names.
    pub fn at(self, path: &[&str]) -> Option<Value<'a>> {
        path.iter().try_fold(self, |value, name| value.get(name))
    }

    /// The members of an object, names as they stand between their quotes; none of anything else.
    fn members(self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        let mut elements = Elements::of(self.json, '{', '}');
        std::iter::from_fn(move || {
            let reader = elements.next_one()?;
            reader.space();
            let name = reader.string()?;
            reader.space();
            reader.take(b':')?;
            Some((name, reader.value()?))
        })
    }

    /// The items of an array; none of anything else.
    pub fn items(self) -> impl Iterator<Item = Value<'a>> {
        let mut elements = Elements::of(self.json, '[', ']');
        std::iter::from_fn(move || elements.next_one()?.value())
    }
}

/// Whether a name as it stands is this one.
fn named(member: &str, name: &str) -> bool {
    if member.contains('\\') {
        unescape(member).map_or(false, |member| member == name)
    } else {
        member == name
    }
}

/// The text that stands escaped between two quotes.
fn unescape(escaped: &str) -> Option<String> {
    let mut text = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escape = *rest.as_bytes().get(at + 1)?;
        rest = rest.get(at + 2..)?;
        text.push(match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => unicode(&mut rest)?,
            _ => return None,
        });
    }
    text.push_str(rest);
    Some(text)
}

/// The character of the digits after `\u`, and of the second `\u` that a surrogate needs.
fn unicode(rest: &mut &str) -> Option<char> {
    let first = four_digits(rest)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first);
    }
    *rest = rest.strip_prefix("\\u")?;
    let second = four_digits(rest)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x10000 + ((first - 0xd800) << 10) + second)
}

fn four_digits(rest: &mut &str) -> Option<u32> {
    let digits = rest.get(..4).filter(|digits| digits.bytes().all(|d| d.is_ascii_hexdigit()))?;
    *rest = &rest[4..];
    u32::from_str_radix(digits, 16).ok()
}

/// The elements of an object or array, one after the other.
struct Elements<'a> {
    reader: Reader<'a>,
    first: bool,
}

impl<'a> Elements<'a> {
    fn of(json: &'a str, open: char, close: char) -> Elements<'a> {
        let inside = json.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        Elements { reader: Reader { text: inside.unwrap_or(""), at: 0 }, first: true }
    }

    /// The reader before the next element, if there is one.
    fn next_one(&mut self) -> Option<&mut Reader<'a>> {
        self.reader.space();
        if self.reader.at == self.reader.text.len() {
            return None;
        }
        if !std::mem::replace(&mut self.first, false) {
            self.reader.take(b',')?;
        }
        Some(&mut self.reader)
    }
}

/// A place in a text. It stands on no other byte than the first of a character.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Passes a value.
    fn value(&mut self) -> Option<Value<'a>> {
        self.space();
        let start = self.at;
        match self.peek()? {
            b'"' => {
                self.string()?;
            }
            b'{' | b'[' => self.nested()?,
            _ => self.scalar()?,
        }
        Some(Value { json: &self.text[start..self.at] })
    }

    /// Passes a string; what stands between its quotes.
    fn string(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let start = self.at;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.text.get(start..self.at - 1)
    }

    /// Passes an object or array with all that is in it.
    fn nested(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// Passes a number or a word.
    fn scalar(&mut self) -> Option<()> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.')) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: &str = r#" { "a" : { "b\u002fc" : [ 1 , "x,]}\"" , { } , [ ] , null ] } , "é" : "\ud83d\ude00\n\u00E9",
        "t" : true , "n" : -12, "big":1e300 } "#;

    fn at<'a>(path: &[&str]) -> Option<Value<'a>> {
        Value::parse(CONTEXT).unwrap().at(path)
    }

    #[test]
    fn members_are_found_by_path_whatever_the_spaces_and_escapes() {
        let items: Vec<&str> = at(&["a", "b/c"]).unwrap().items().map(Value::json).collect();
        assert_eq!(items, ["1", r#""x,]}\"""#, "{ }", "[ ]", "null"]);
        assert_eq!(at(&["é"]).unwrap().as_text().unwrap(), "\u{1f600}\né");
        assert_eq!(at(&["t"]).unwrap().as_bool(), Some(true));
        assert_eq!(at(&["n"]).unwrap().as_integer(), Some(-12));
        assert_eq!(at(&["big"]).unwrap().json(), "1e300");
        assert_eq!(at(&["big"]).unwrap().as_integer(), None);
        assert_eq!(Value::of(CONTEXT).at(&["n"]).unwrap().as_integer(), Some(-12));
    }

    #[test]
    fn what_is_not_there_or_of_another_type_is_none() {
        for path in [&["b"][..], &["a", "b"], &["t", "a"], &["a", "b/c", "1"]] {
            assert_eq!(at(path), None);
        }
        assert_eq!(at(&["a"]).unwrap().as_text(), None);
        assert_eq!(at(&["a"]).unwrap().items().count(), 0);
        assert_eq!(at(&["t"]).unwrap().members().count(), 0);
        assert!(!at(&["a"]).unwrap().is_null());
    }

    #[test]
    fn broken_text_is_none_and_no_panic() {
        for text in ["", " ", "{", "\"", "\"a\\", "[1", "1 2", "{}}", "\"é\\", "]", "{\"a\":1]"] {
            let _ = Value::parse(text).map(|value| (value.get("a"), value.items().count()));
        }
        assert_eq!(Value::parse(r#"{"a" 1}"#).unwrap().get("a"), None);
        assert_eq!(Value::parse(r#"[1 2]"#).unwrap().items().count(), 1);
        for text in [
            r#""\u12""#,
            r#""\ud800""#,
            r#""\ud800\u0041""#,
            r#""\udc00""#,
            r#""\u+123""#,
            r#""\x""#,
        ] {
            assert_eq!(Value::parse(text).unwrap().as_text(), None, "{text}");
        }
    }

    /// Every cut of a text is met by every question: nothing may panic on the way.
    #[test]
    fn every_cut_of_a_text_is_survived() {
        for end in (0..CONTEXT.len()).filter(|end| CONTEXT.is_char_boundary(*end)) {
            for start in (0..end).filter(|start| CONTEXT.is_char_boundary(*start)) {
                let value = Value { json: &CONTEXT[start..end] };
                let _ = (
                    value.at(&["a", "b/c"]),
                    value.as_text(),
                    value.items().count(),
                    Value::parse(value.json),
                    Value::of(value.json).at(&["a"]),
                );
            }
        }
    }
}
