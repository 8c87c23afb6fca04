//! A guest's view of its invocation: the context that the host made, and the values of the entity's fields.
//!
//! **Invariant:** a value is read whole or not at all, whatever its size, and one that is exactly as large as its
//! buffer counts as read.

use crate::json::Value;
use crate::{host, Error};

/// How often a value is asked for again because it did not fit. A host that keeps its word needs two reads.
const READS_MAX: usize = 4;

/// What the host tells a guest about its invocation.
#[derive(Clone, Debug)]
pub struct Context {
    text: String,
}

impl Context {
    /// Asks the host for the context.
    pub fn from_host() -> Result<Context, Error> {
        let bytes = read_whole("context", host::get_context)?;
        let text = String::from_utf8(bytes).map_err(|_| Error::Invalid("context".to_owned()))?;
        Ok(Context { text })
    }

    /// The context as it came: JSON with the members `tenant`, `entity_type`, `entity_id`, `trigger_action`,
    /// `trigger_params`, `entity_state` and `integration_config`.
    pub fn json(&self) -> &str {
        &self.text
    }

    /// The value at the end of a path of member names.
    pub fn at(&self, path: &[&str]) -> Option<Value<'_>> {
        Value::of(&self.text).at(path)
    }

    /// The string at the end of a path of member names; nothing if there is something else.
    pub fn text_at(&self, path: &[&str]) -> Option<String> {
        self.at(path)?.as_text()
    }

    /// A field's value as text: a string as it is, anything else as canonical JSON, null as `""`.
    pub fn read_field_string(&self, name: &str) -> Result<String, Error> {
        let bytes = self.read_field_bytes(name)?;
        String::from_utf8(bytes).map_err(|_| Error::Invalid(name.to_owned()))
    }

    /// A field's value as the bytes of that text.
    pub fn read_field_bytes(&self, name: &str) -> Result<Vec<u8>, Error> {
        read_whole(name, |buffer| host::read_field_into(name, buffer))
    }
}

/// Reads a value of any size: the first question has no room and learns the size, the second has exactly that much.
fn read_whole(subject: &str, mut ask: impl FnMut(&mut [u8]) -> i32) -> Result<Vec<u8>, Error> {
    let mut buffer = Vec::new();
    for _ in 0..READS_MAX {
        let answer = ask(&mut buffer);
        let size = usize::try_from(answer).map_err(|_| Error::from_code(answer, subject))?;
        if size <= buffer.len() {
            buffer.truncate(size);
            return Ok(buffer);
        }
        buffer = vec![0; size];
    }
    Err(Error::Invalid(subject.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host that keeps the contract, and counts what it is asked.
    fn host<'a>(value: &'a [u8], asked: &'a mut Vec<usize>) -> impl FnMut(&mut [u8]) -> i32 + 'a {
        move |buffer| {
            asked.push(buffer.len());
            if value.len() <= buffer.len() {
                buffer[..value.len()].copy_from_slice(value);
            }
            value.len() as i32
        }
    }

    #[test]
    fn a_value_is_read_at_once_into_a_buffer_of_its_size() {
        for size in [1, 2, 4096, 131_072, 131_073, 8 << 20] {
            let value: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let mut asked = Vec::new();
            assert_eq!(read_whole("x", host(&value, &mut asked)), Ok(value.clone()));
            assert_eq!(asked, [0, size]);
        }
    }

    #[test]
    fn an_empty_value_needs_one_question() {
        let mut asked = Vec::new();
        assert_eq!(read_whole("x", host(b"", &mut asked)), Ok(Vec::new()));
        assert_eq!(asked, [0]);
    }

    #[test]
    fn a_value_that_changes_its_size_is_read_whole_or_refused() {
        let mut sizes = [3, 5, 2].into_iter();
        let read = read_whole("x", |buffer| {
            let size = sizes.next().unwrap();
            buffer.iter_mut().for_each(|byte| *byte = b'a');
            size
        });
        assert_eq!(read, Ok(b"aa".to_vec()));
        assert_eq!(
            read_whole("x", |buffer| buffer.len() as i32 + 1),
            Err(Error::Invalid("x".to_owned()))
        );
    }

    #[test]
    fn every_negative_answer_is_an_error_with_the_name_of_what_was_asked() {
        let said = |code| read_whole("f", |_| code).unwrap_err().to_string();
        assert_eq!(said(-1), "f: no such field");
        assert_eq!(said(-2), "f: not resolvable");
        assert_eq!(said(-3), "f: invalid");
        assert_eq!(said(-4), "f: expired");
        assert_eq!(said(i32::MIN), "f: invalid");
    }
}
