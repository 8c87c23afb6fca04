//! What a guest is told: the context's JSON, and behind it every field whole.
//!
//! **Invariant (`I4`):** a field reads the same whatever the way it is stored. The context shows a
//! value over [`SHOWN_MAX`] as an envelope; the bytes were fetched before the guest began.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::host::Readable;
use crate::entity::{Event, Recalled};
use crate::hydrate;
use crate::overflow::{DEFAULT_FIELD_INLINE_MAX, Kept, Reference, blob_key};
use crate::spec::Integration;
use crate::{canonical, defect, time};

/// The largest value that the context shows, in bytes of its canonical JSON.
const SHOWN_MAX: u64 = DEFAULT_FIELD_INLINE_MAX;

/// The context's bytes, and what each field reads as.
pub(super) fn prepare(
    tenant: &str,
    integration: &Integration,
    recalled: Recalled,
) -> (Vec<u8>, BTreeMap<String, Readable>) {
    let Recalled { mut event, state, hydrated, now_ms } = recalled;
    let references: BTreeMap<String, Reference> =
        state.references().map(|(name, one)| (name.to_owned(), one.clone())).collect();
    let (expired, missing) = (hydrated.expired.clone(), hydrated.missing.clone());
    let mut shown = hydrate::state_body(&state, hydrated);
    let mut fields = BTreeMap::new();
    if let Some(Value::Object(values)) = shown.get_mut("fields") {
        for name in missing {
            // Named by its reference: a null would be a value that it never had.
            values.insert(name.clone(), references[&name].envelope());
            fields.insert(name, Readable::Lost);
        }
        for (name, value) in values.iter_mut() {
            if fields.contains_key(name) {
                continue;
            }
            let readable = match references.get(name) {
                _ if expired.contains(name) => Readable::Expired,
                Some(reference) if defect!("guest-sees-envelope") => {
                    Readable::Bytes(bytes_of(&reference.envelope()))
                }
                _ => Readable::Bytes(bytes_of(value)),
            };
            fields.insert(name.clone(), readable);
            let deadline_ms = references.get(name).and_then(|one| one.expires_at_ms);
            hide_if_large(value, deadline_ms);
        }
    }
    hide_params(&mut event, now_ms);
    let mut context = json!({
        "tenant": tenant,
        "entity_type": event.entity_type,
        "entity_id": event.entity_id,
        "trigger_action": event.action,
        "integration_config": integration.config,
    });
    context["trigger_params"] = Value::Object(event.params);
    context["entity_state"] = shown;
    (canonical::to_text(&context).into_bytes(), fields)
}

/// As `host_read_field` hands it over: a string as it is, null as nothing, the rest as JSON.
fn bytes_of(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) if !defect!("guest-quoted-json") => text.clone().into_bytes(),
        Value::Null => Vec::new(),
        other => canonical::to_text(other).into_bytes(),
    }
}

/// Params over the limit become envelopes. Those whose reference is expired are null, as in history.
fn hide_params(event: &mut Event, now_ms: i64) {
    for (name, value) in &mut event.params {
        let deadline_ms = match event.changes.fields.get(name) {
            Some(Kept::Blob { expires_at: Some(at), .. }) => time::from_text(at),
            _ => None,
        };
        if deadline_ms.is_some_and(|deadline_ms| now_ms >= deadline_ms) {
            *value = Value::Null;
        }
        hide_if_large(value, deadline_ms);
    }
}

fn hide_if_large(value: &mut Value, expires_at_ms: Option<i64>) {
    // No text of a number or a bool is long enough, and most values are short.
    if !matches!(value, Value::String(_) | Value::Array(_) | Value::Object(_)) {
        return;
    }
    let text = canonical::to_text(value);
    if text.len() as u64 > SHOWN_MAX {
        let key = blob_key(&text);
        let reference = Reference { key, size: text.len() as u64, expires_at_ms, origin: 0 };
        *value = reference.envelope();
    }
}
