//! A TOML table with the place of every key, read key by key.
//!
//! **Invariant:** a key that is present and not understood ends in a diagnostic, never in a
//! default.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Problem, Source, nearest};

/// One table of a spec.
pub(super) struct Section<'t, 'a> {
    /// As shown in diagnostics, such as `action`.
    pub path: &'static str,
    pub span: Range<usize>,
    table: &'t DeTable<'a>,
}

/// A name with its place.
pub(super) type Placed<T> = (T, Range<usize>);

impl<'t, 'a> Section<'t, 'a> {
    pub fn new(path: &'static str, table: &'t DeTable<'a>, span: Range<usize>) -> Self {
        Self { path, span, table }
    }

    pub fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    pub fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    pub fn entries(
        &self,
    ) -> impl Iterator<Item = (&'t str, Range<usize>, &'t Spanned<DeValue<'a>>)> {
        self.table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value))
    }

    pub fn text(&self, source: &mut Source<'_>, key: &str) -> Option<Placed<String>> {
        let value = self.get(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some((text.to_owned(), value.span())),
            None => {
                source.error(&value.span(), &self.key(key), Problem::Expected("a string"));
                None
            }
        }
    }

    pub fn required_text(&self, source: &mut Source<'_>, key: &str) -> Option<Placed<String>> {
        if self.get(key).is_none() {
            source.error(&self.span, &self.key(key), Problem::Missing);
        }
        self.text(source, key)
    }

    /// An array of strings, or one string.
    pub fn texts(&self, source: &mut Source<'_>, key: &str) -> Option<Vec<Placed<String>>> {
        let value = self.get(key)?;
        if let Some(text) = value.get_ref().as_str() {
            return Some(vec![(text.to_owned(), value.span())]);
        }
        let items = value.get_ref().as_array().map(|items| {
            items
                .iter()
                .map(|item| Some((item.get_ref().as_str()?.to_owned(), item.span())))
                .collect()
        });
        if let Some(Some(texts)) = items {
            return Some(texts);
        }
        source.error(&value.span(), &self.key(key), Problem::Expected("an array of strings"));
        None
    }

    /// A whole number, quoted or bare.
    pub fn number(&self, source: &mut Source<'_>, key: &str, range: Range<u64>) -> Option<u64> {
        let value = self.get(key)?;
        let written = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(integer) => integer.to_string(),
            DeValue::Float(float) => float.to_string(),
            _ => {
                source.error(&value.span(), &self.key(key), Problem::Expected("a number"));
                return None;
            }
        };
        let problem = match whole_number(&written) {
            Some(number) if i128::from(range.start) <= number && number < i128::from(range.end) => {
                return u64::try_from(number).ok();
            }
            Some(_) => Problem::OutOfRange { value: written, min: range.start, max: range.end - 1 },
            None => Problem::NotANumber(written),
        };
        source.error(&value.span(), &self.key(key), problem);
        None
    }

    /// `true` or `false`, quoted or bare.
    pub fn flag(&self, source: &mut Source<'_>, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        let flag = match value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            DeValue::String(text) => text.parse().ok(),
            _ => None,
        };
        if flag.is_none() {
            source.error(&value.span(), &self.key(key), Problem::Expected("true or false"));
        }
        flag
    }

    /// The tables of an array of tables.
    pub fn tables(&self, source: &mut Source<'_>, key: &'static str) -> Vec<Section<'t, 'a>> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let tables = value.get_ref().as_array().map(|items| {
            items
                .iter()
                .map(|item| Some(Section::new(key, item.get_ref().as_table()?, item.span())))
                .collect()
        });
        if let Some(Some(tables)) = tables {
            return tables;
        }
        source.error(&value.span(), key, Problem::Expected("an array of tables"));
        Vec::new()
    }

    /// Names every key that is not known. Newer versions' keys are warnings where asked for.
    pub fn refuse_unknown(&self, source: &mut Source<'_>, known: &[&str]) {
        for (key, span, _) in self.entries() {
            if known.contains(&key) {
                continue;
            }
            let problem = Problem::UnknownKey { nearest: nearest(key, known.iter().copied()) };
            if source.lenient {
                source.warn(&span, &self.key(key), problem);
            } else {
                source.error(&span, &self.key(key), problem);
            }
        }
    }
}

fn whole_number(written: &str) -> Option<i128> {
    let plain = written.trim().replace('_', "");
    let (digits, radix) = match plain.get(..2) {
        Some("0x") => (&plain[2..], 16),
        Some("0o") => (&plain[2..], 8),
        Some("0b") => (&plain[2..], 2),
        _ => (plain.as_str(), 10),
    };
    i128::from_str_radix(digits, radix).ok()
}

/// A TOML value as JSON; dates become their text.
pub(super) fn to_json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(integer) => whole_number(&integer.to_string())
            .and_then(|number| {
                i64::try_from(number)
                    .map(Value::from)
                    .or_else(|_| u64::try_from(number).map(Value::from))
                    .ok()
            })
            .unwrap_or_else(|| Value::from(integer.to_string())),
        DeValue::Float(float) => float.as_str().parse::<f64>().map_or(Value::Null, Value::from),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Datetime(datetime) => Value::from(datetime.to_string()),
        DeValue::Array(items) => items.iter().map(|item| to_json(item.get_ref())).collect(),
        DeValue::Table(table) => Value::Object(
            table
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), to_json(value.get_ref())))
                .collect(),
        ),
    }
}
