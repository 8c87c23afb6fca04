//! An entity's events as its clients see them.
//!
//! **Invariant (`I1`):** params are shown exactly as sent, but for values whose reference is
//! expired: expiry hides a value, it does not erase it.

use serde_json::{Value, json};

use crate::answer::RequestError;
use crate::entity::decode_event;
use crate::overflow::Kept;
use crate::store::{EntityKey, EventRow};
use crate::time;

/// One event.
pub(crate) fn item(key: &EntityKey, row: &EventRow, now_ms: i64) -> Result<Value, RequestError> {
    let mut event = decode_event(key, row)?;
    let mut expired = Vec::new();
    for (field, kept) in &event.changes.fields {
        let Kept::Blob { expires_at: Some(deadline), .. } = kept else {
            continue;
        };
        let is_expired = time::from_text(deadline).is_some_and(|deadline| now_ms >= deadline);
        if let (true, Some(value)) = (is_expired, event.params.get_mut(field)) {
            *value = Value::Null;
            expired.push(field.clone());
        }
    }
    let mut item = json!({
        "sequence_nr": event.sequence_nr,
        "action": event.action,
        "from": event.from,
        "to": event.to,
        "timestamp": event.timestamp,
    });
    // Moved in: the macro copies what it is given, and params are long.
    item["params"] = Value::Object(event.params);
    if !expired.is_empty() {
        item["@temper.expired"] = Value::from(expired);
    }
    Ok(item)
}

/// A page of events, with the number of all and where the next page begins.
pub(crate) fn page(items: Vec<Value>, skip: u64, last: u64) -> Value {
    let next = skip + items.len() as u64;
    let mut page = json!({"@odata.count": last});
    page["value"] = Value::Array(items);
    if next < last {
        page["@temper.next_skip"] = Value::from(next);
    }
    page
}
