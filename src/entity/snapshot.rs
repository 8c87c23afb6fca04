//! A state as a snapshot's text: `fields` as they stand, envelopes in the places of blobs.
//!
//! **Invariant (`I22`):** a snapshot that is not whole is no snapshot. Which fields are references is
//! said beside them, so that no value can pass for one.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::state::{EntityState, Field};
use crate::overflow::Reference;
use crate::store::{EntityKey, SnapshotRow};
use crate::{canonical, defect};

/// The state, and the checksum of its canonical form.
pub(super) fn encode_snapshot(state: &EntityState) -> SnapshotRow {
    let mut value = serde_json::to_value(state).expect("a state is made of JSON values only");
    let fields = state.fields.iter().map(|(name, field)| match field {
        Field::Inline(value) => (name.clone(), value.clone()),
        Field::Blob(reference) => (name.clone(), reference.envelope()),
    });
    value["fields"] = Value::Object(fields.collect());
    let origins = state.references().map(|(name, one)| (name.to_owned(), Value::from(one.origin)));
    value["origins"] = Value::Object(origins.collect());
    let state_text = canonical::to_text(&value);
    let sha256 = canonical::sha256_hex(state_text.as_bytes());
    let text = format!("{{\"sha256\":\"{sha256}\",\"state\":{state_text}}}");
    SnapshotRow { sequence_nr: state.sequence_nr, text: Some(text) }
}

/// The state, if the row is whole and this entity's.
pub(super) fn decode_snapshot(key: &EntityKey, row: &SnapshotRow) -> Option<EntityState> {
    let mut snapshot = canonical::parse_stored(row.text.as_ref()?.as_bytes()).ok()?;
    let mut value = snapshot.get_mut("state")?.take();
    let actual = canonical::sha256_hex(canonical::to_text(&value).as_bytes());
    if snapshot.get("sha256")?.as_str()? != actual && !defect!("no-hash-check") {
        return None;
    }
    let fields = decode_fields(value.get_mut("fields")?.take(), value.get("origins")?)?;
    let mut state: EntityState = serde_json::from_value(value).ok()?;
    state.fields = fields;
    let in_place = state.entity_type == key.entity_type
        && state.entity_id == key.entity_id
        && state.sequence_nr == row.sequence_nr;
    in_place.then_some(state)
}

fn decode_fields(fields: Value, origins: &Value) -> Option<BTreeMap<String, Field>> {
    let origins: &Map<String, Value> = origins.as_object()?;
    let Value::Object(fields) = fields else { return None };
    let field = |(name, value): (String, Value)| match origins.get(&name) {
        None => Some((name, Field::Inline(value))),
        Some(origin) => {
            let reference = Reference::from_envelope(&value, origin.as_u64()?)?;
            Some((name, Field::Blob(reference)))
        }
    };
    fields.into_iter().map(field).collect()
}
