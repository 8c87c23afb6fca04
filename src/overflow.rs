//! What stays inline and what becomes a blob; the envelope that stands for a blob.
//!
//! **Invariant (`I19`):** a value is inline exactly when its canonical size is at most its ceiling;
//! otherwise its key is the SHA-256 of its canonical bytes. An envelope is recognised only where
//! the platform wrote it: client JSON never becomes a [`Kept::Blob`].

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::spec::TransitionTable;
use crate::{canonical, time};

/// The largest value kept inside `fields` unless a spec or a mode says otherwise.
pub const DEFAULT_FIELD_INLINE_MAX: u64 = 131_072;

/// Keys that start like this belong to the platform, anywhere in a value.
pub const RESERVED_PREFIX: &str = "__temper_";

const REF: &str = "__temper_blob_ref";
const SIZE: &str = "__temper_blob_size";
const ENCODING: &str = "__temper_blob_encoding";
const EXPIRES_AT: &str = "__temper_blob_expires_at";

/// How a tenant keeps values over their ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverflowMode {
    /// As a reference to a blob.
    BlobRefs {
        /// The ceiling of fields without their own.
        default_inline_max: u64,
    },
    /// As a placeholder that says how large the value was.
    InlineTruncate {
        /// The ceiling of fields without their own.
        default_inline_max: u64,
    },
}

impl Default for OverflowMode {
    fn default() -> Self {
        Self::BlobRefs { default_inline_max: DEFAULT_FIELD_INLINE_MAX }
    }
}

/// A reference to a blob, as a state holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// `field-overflow/sha256/<hex>.json`.
    pub key: String,
    /// Bytes of the body.
    pub size: u64,
    /// The reading of the clock from which on it is expired.
    pub expires_at_ms: Option<i64>,
    /// The event that wrote the field, from which the body can be had again.
    pub origin: u64,
}

impl Reference {
    /// Whether the reference is expired at this clock reading. Nothing else decides it (`I10`).
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_at_ms.is_some_and(|deadline| now_ms >= deadline)
    }

    /// The JSON that stands in `fields`.
    pub fn envelope(&self) -> Value {
        let mut envelope = json!({ REF: self.key, SIZE: self.size, ENCODING: "json" });
        if let Some(deadline) = self.expires_at_ms {
            envelope[EXPIRES_AT] = Value::from(time::to_text(deadline));
        }
        envelope
    }

    /// Reads an envelope. Only for `fields` that the platform wrote.
    pub fn from_envelope(value: &Value, origin: u64) -> Option<Self> {
        let deadline = value.get(EXPIRES_AT).and_then(Value::as_str);
        Some(Self {
            key: value.get(REF)?.as_str()?.to_owned(),
            size: value.get(SIZE)?.as_u64()?,
            expires_at_ms: deadline.and_then(time::from_text),
            origin,
        })
    }
}

/// How an event kept one field. The value itself is in the event's params or changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kept", rename_all = "lowercase")]
pub enum Kept {
    /// Whole, in `fields`.
    Inline,
    /// As a placeholder.
    Truncated {
        /// The ceiling it was over.
        limit: u64,
    },
    /// As a reference.
    Blob {
        /// The blob's address.
        key: String,
        /// Bytes of its body.
        size: u64,
        /// Its deadline as sortable text, or none for a permanent one.
        #[serde(skip_serializing_if = "Option::is_none")]
        expires_at: Option<String>,
    },
}

/// Decides how a field is kept, by the spec and mode in force at its event.
pub fn decide(
    mode: OverflowMode,
    table: &TransitionTable,
    field: &str,
    value: &Value,
    timestamp_ms: i64,
) -> Kept {
    let variable = table.variable(field);
    if value.is_null() || (value.is_boolean() && table.is_set_by_effects(field)) {
        return Kept::Inline;
    }
    let (OverflowMode::BlobRefs { default_inline_max }
    | OverflowMode::InlineTruncate { default_inline_max }) = mode;
    let own = variable.and_then(|variable| variable.overflow_inline_max_bytes);
    let ceiling = own.unwrap_or(default_inline_max);
    let text = canonical::to_text(value);
    let size = canonical::size_of(&text);
    let over = size > ceiling || (crate::defect!("ceiling-inclusive") && size == ceiling);
    if !over {
        return Kept::Inline;
    }
    match mode {
        OverflowMode::InlineTruncate { .. } => Kept::Truncated { limit: ceiling },
        OverflowMode::BlobRefs { .. } => {
            let ttl = variable.and_then(|variable| variable.overflow_ttl_seconds);
            let expires_at = ttl.map(|seconds| time::to_text(deadline_ms(timestamp_ms, seconds)));
            Kept::Blob { key: blob_key(&text), size: text.len() as u64, expires_at }
        }
    }
}

/// An event's timestamp plus the time to live, cut at the last time that the text can hold.
pub fn deadline_ms(timestamp_ms: i64, ttl_seconds: u64) -> i64 {
    let ttl_ms = i64::try_from(ttl_seconds).unwrap_or(i64::MAX).saturating_mul(1000);
    timestamp_ms.saturating_add(ttl_ms).min(time::LAST_MS)
}

/// The address of a body.
pub fn blob_key(body: &str) -> String {
    format!("field-overflow/sha256/{}.json", canonical::sha256_hex(body.as_bytes()))
}

/// What a truncated value is, to every reader but history.
pub fn placeholder(size: u64, limit: u64) -> Value {
    Value::from(format!("[truncated: {size} bytes exceeds {limit} limit]"))
}

/// A param that no action may have, and a PATCH no field: compared exactly.
pub fn is_reserved_param(name: &str) -> bool {
    name == "Id" || name == "Status" || name.starts_with(RESERVED_PREFIX)
}

/// The first key at any depth that belongs to the platform.
pub fn reserved_key(value: &Value) -> Option<&str> {
    match value {
        Value::Array(items) => items.iter().find_map(reserved_key),
        Value::Object(members) => members.iter().find_map(|(key, value)| {
            if key.starts_with(RESERVED_PREFIX) { Some(key.as_str()) } else { reserved_key(value) }
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TransitionTable {
        let spec = r#"
            [automaton]
            name = "Note"
            states = ["Open"]
            initial = "Open"
            [[state]]
            name = "text"
            type = "string"
            overflow_inline_max_bytes = 10
            overflow_ttl_seconds = "60"
            [[state]]
            name = "all"
            type = "string"
            overflow_inline_max_bytes = 0
            [[state]]
            name = "on"
            type = "bool"
            overflow_inline_max_bytes = 0
        "#;
        TransitionTable::new(crate::spec::parse("note", spec, false).unwrap().automaton)
    }

    fn blob(body: &str, expires_at: Option<String>) -> Kept {
        Kept::Blob { key: blob_key(body), size: body.len() as u64, expires_at }
    }

    fn kept(mode: OverflowMode, field: &str, value: Value) -> Kept {
        decide(mode, &table(), field, &value, 1000)
    }

    #[test]
    fn a_value_of_exactly_the_ceiling_stays_inline() {
        let mode = OverflowMode::default();
        let deadline = || Some("1970-01-01 00:01:01.000".to_owned());
        // Ten bytes of canonical JSON are eight characters and two quotation marks.
        assert_eq!(kept(mode, "text", json!("1234567")), Kept::Inline);
        assert_eq!(kept(mode, "text", json!("12345678")), Kept::Inline);
        assert_eq!(kept(mode, "text", json!("123456789")), blob("\"123456789\"", deadline()));
        assert_eq!(kept(mode, "text", json!("\u{e9}\u{e9}\u{e9}\u{e9}")), Kept::Inline);
        assert_eq!(
            kept(mode, "text", json!("\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}")),
            blob("\"\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\"", deadline())
        );
    }

    #[test]
    fn a_ceiling_of_zero_overflows_all_but_null_and_bools() {
        let mode = OverflowMode::default();
        assert_eq!(kept(mode, "all", json!("")), blob("\"\"", None));
        assert_eq!(kept(mode, "all", json!(0)), blob("0", None));
        assert_eq!(kept(mode, "all", Value::Null), Kept::Inline);
        assert_eq!(kept(mode, "on", json!(true)), Kept::Inline);
    }

    #[test]
    fn the_mode_gives_the_ceiling_of_other_fields_and_the_form() {
        let mode = OverflowMode::InlineTruncate { default_inline_max: 4 };
        assert_eq!(kept(mode, "other", json!("ab")), Kept::Inline);
        assert_eq!(kept(mode, "other", json!("abc")), Kept::Truncated { limit: 4 });
        assert_eq!(placeholder(5, 4), json!("[truncated: 5 bytes exceeds 4 limit]"));
    }

    #[test]
    fn an_envelope_reads_back() {
        let reference =
            Reference { key: blob_key("\"x\""), size: 3, expires_at_ms: Some(61_000), origin: 4 };
        assert_eq!(Reference::from_envelope(&reference.envelope(), 4), Some(reference.clone()));
        assert!(!reference.is_expired(60_999));
        assert!(reference.is_expired(61_000));
    }
}
