//! Values where references stand: expiry judged by one clock reading, bodies checked by their hash.
//!
//! **Invariant (`I4`, `I10`, `I22`):** a field reads as its value, as expired, or not at all. A
//! body that does not hash to its address counts as missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::entity::{EntityState, Field};
use crate::overflow::Reference;
use crate::store::{Caller, Store, StoreError};
use crate::tenant::Tenant;
use crate::{canonical, defect};

/// What was found for a state's references.
#[derive(Debug, Default)]
pub(crate) struct Hydrated {
    /// The values; null for expired ones.
    pub values: BTreeMap<String, Value>,
    /// Fields whose reference is expired.
    pub expired: BTreeSet<String>,
    /// Fields whose row is missing or damaged.
    pub missing: BTreeSet<String>,
}

impl Hydrated {
    /// Takes what is missing for expired.
    pub fn missing_is_expired(&mut self) {
        self.expired.extend(self.missing.iter().cloned());
        self.missing_is_null();
    }

    /// Takes what is missing for null.
    pub fn missing_is_null(&mut self) {
        let missing = std::mem::take(&mut self.missing);
        self.values.extend(missing.into_iter().map(|name| (name, Value::Null)));
    }
}

/// Reads the values of references that are not expired at this clock reading.
pub(crate) async fn read(
    store: &Store,
    caller: Caller<'_>,
    references: &BTreeMap<String, Reference>,
    fresh: &BTreeMap<String, Arc<String>>,
    now_ms: i64,
) -> Result<Hydrated, StoreError> {
    let mut hydrated = Hydrated::default();
    let mut wanted: Vec<(&String, &Reference)> = Vec::new();
    for (name, reference) in references {
        if reference.is_expired(now_ms) {
            hydrated.values.insert(name.clone(), Value::Null);
            hydrated.expired.insert(name.clone());
        } else if let Some(value) = fresh.get(&reference.key).and_then(|body| value_of(body)) {
            hydrated.values.insert(name.clone(), value);
        } else {
            wanted.push((name, reference));
        }
    }
    if wanted.is_empty() {
        return Ok(hydrated);
    }
    let keys: Vec<&str> = wanted.iter().map(|(_, reference)| reference.key.as_str()).collect();
    let rows = store.blobs(caller, &keys).await?;
    for ((name, reference), row) in wanted.into_iter().zip(rows) {
        let body = row.and_then(|row| row.verified(reference));
        match body.and_then(|body| value_of(&body)) {
            Some(value) => drop(hydrated.values.insert(name.clone(), value)),
            None => drop(hydrated.missing.insert(name.clone())),
        }
    }
    Ok(hydrated)
}

fn value_of(body: &str) -> Option<Value> {
    canonical::parse_stored(body.as_bytes()).ok()
}

/// An entity as its clients see it.
pub(crate) fn entity_body(tenant: &Tenant, state: &EntityState, hydrated: Hydrated) -> Value {
    let set = tenant.core.table(&state.entity_type).entity_set();
    let mut body = state_body(state, hydrated);
    if defect!("counters-as-text") {
        let as_text = |(name, value): (&String, &u64)| (name.clone(), value.to_string().into());
        body["counters"] = Value::Object(state.counters.iter().map(as_text).collect());
    }
    body["@odata.context"] = Value::from(format!("$metadata#{set}/$entity"));
    body["@odata.id"] = Value::from(odata_id(&set, &state.entity_id));
    body
}

/// The same without the members that say where it is.
pub(crate) fn state_body(state: &EntityState, hydrated: Hydrated) -> Value {
    let mut fields = Map::new();
    for (name, field) in &state.fields {
        if let Field::Inline(value) = field {
            fields.insert(name.clone(), value.clone());
        }
    }
    fields.extend(hydrated.values);
    fields.extend(state.counters.iter().map(|(name, value)| (name.clone(), Value::from(*value))));
    fields.extend(state.bools.iter().map(|(name, value)| (name.clone(), Value::from(*value))));
    let status = Value::from(state.status.as_str());
    fields.extend(state.status_fields.iter().map(|name| (name.clone(), status.clone())));
    fields.insert("Status".to_owned(), status);
    fields.insert("Id".to_owned(), Value::from(state.entity_id.as_str()));
    let mut body = json!({
        "entity_type": state.entity_type,
        "entity_id": state.entity_id,
        "status": state.status,
        "counters": state.counters,
        "booleans": state.bools,
        "sequence_nr": state.sequence_nr,
    });
    // Moved in: the macro copies what it is given, and fields are long.
    body["fields"] = Value::Object(fields);
    if !hydrated.expired.is_empty() {
        body["@temper.expired"] = hydrated.expired.into_iter().collect();
    }
    body
}

/// `Sessions('id')`, percent-encoded, `'` doubled.
pub(crate) fn odata_id(set: &str, id: &str) -> String {
    let mut address = format!("{set}('");
    for byte in id.bytes() {
        match byte {
            b'\'' => address.push_str("''"),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                address.push(char::from(byte));
            }
            _ => address.push_str(&format!("%{byte:02X}")),
        }
    }
    address.push_str("')");
    address
}
