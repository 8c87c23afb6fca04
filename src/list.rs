//! Pages of an entity set: which entities, and what is shown of them.
//!
//! **Invariant:** items are in order of id, each an answer of its own moment. A page that is not full
//! has nothing behind it. An entity that cannot be read stands in its place: whether it passes a
//! filter is not known, and a list that left it out would say that it does not.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::answer::{Answer, RequestError};
use crate::canonical;
use crate::entity::{EntityOp, Terms};
use crate::hydrate::odata_id;
use crate::platform::Platform;
use crate::request::{Filter, Request};
use crate::store::{Caller, EntityKey};

/// Ids that are read at once where a filter decides how many are needed.
const FILTERED_IDS: u64 = 100;

/// What a list is to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Fields to show; nothing for all.
    pub select: Option<Vec<String>>,
    /// Entities to show; nothing for all.
    pub filter: Option<Filter>,
}

/// One request for a page.
pub(crate) struct List<'a> {
    pub platform: &'a Platform,
    pub request: &'a Request,
    pub entity_type: String,
    pub choice: Choice,
}

impl List<'_> {
    /// The page of at most `top` items after the first `skip`.
    pub async fn page(&self, mut skip: u64, top: u64) -> Result<Answer, RequestError> {
        let (shared, tenant) = (&self.platform.shared, &self.request.tenant);
        let set = self.request.op.set();
        let mut items = Vec::new();
        let mut after = String::new();
        // What was deleted since its id was read leaves a gap, which is filled from the ids behind:
        // a page that is not full says that nothing follows it.
        while (items.len() as u64) < top && shared.is_known(tenant) {
            let store = &shared.tenant(tenant).store;
            let caller = Caller { entity: set, origin: &self.request.origin };
            let missing = top - items.len() as u64;
            // With a filter the rows to leave out are known only when they are read.
            let (leave_out, wanted) = match self.choice.filter {
                None => (std::mem::take(&mut skip), missing),
                Some(_) => (0, FILTERED_IDS),
            };
            let ids = store.entity_ids(caller, (&self.entity_type, &after), (leave_out, wanted));
            let ids = ids.await.map_err(|error| RequestError::Unavailable(error.to_string()))?;
            let is_end = (ids.len() as u64) < wanted;
            after = ids.last().cloned().unwrap_or_default();
            for entity_id in ids {
                if items.len() as u64 == top {
                    break;
                }
                let item = self.item(entity_id).await;
                match item {
                    Some(_) if skip > 0 => skip -= 1,
                    item => items.extend(item),
                }
            }
            if is_end {
                break;
            }
        }
        let mut body = json!({"@odata.context": format!("$metadata#{set}")});
        body["value"] = Value::Array(items);
        Ok(Answer::success(200, body, None))
    }

    /// An entity as an item; nothing if it is not to be shown, or was deleted since its id was read.
    async fn item(&self, entity_id: String) -> Option<Value> {
        let id = odata_id(self.request.op.set(), &entity_id);
        let key = EntityKey { entity_type: self.entity_type.clone(), entity_id };
        let asked = (Terms::default(), self.request.origin.clone());
        let tenant = self.platform.shared.tenant(&self.request.tenant);
        let answer = tenant.ask(&key, EntityOp::Get, asked).await.unwrap_or_else(Answer::from);
        match answer.code {
            None => self.choice.apply(answer.body),
            Some("EntityNotFound") => None,
            Some(_) => Some(json!({"@odata.id": id, "@temper.error": answer.body["error"]})),
        }
    }
}

impl Choice {
    /// What is shown of an entity; nothing if it does not pass the filter.
    fn apply(&self, mut entity: Value) -> Option<Value> {
        if let Some(Filter { field, value }) = &self.filter {
            let actual = entity["fields"].get(field).unwrap_or(&Value::Null);
            if canonical::to_text(actual) != canonical::to_text(value) {
                return None;
            }
        }
        if let Some(names) = &self.select {
            select(&mut entity, names);
        }
        Some(entity)
    }
}

fn select(entity: &mut Value, names: &[String]) {
    let names: BTreeSet<&str> = names.iter().map(String::as_str).chain(["Id"]).collect();
    let mut fields = Map::new();
    for name in &names {
        let value = entity["fields"].get_mut(*name).map(Value::take);
        fields.insert((*name).to_owned(), value.unwrap_or_default());
    }
    entity["fields"] = Value::Object(fields);
    let Some(entity) = entity.as_object_mut() else { return };
    for group in ["counters", "booleans"] {
        if let Some(Value::Object(values)) = entity.get_mut(group) {
            values.retain(|name, _| names.contains(name.as_str()));
        }
    }
    if let Some(Value::Array(expired)) = entity.get_mut("@temper.expired") {
        expired.retain(|name| name.as_str().is_some_and(|name| names.contains(name)));
        if expired.is_empty() {
            entity.remove("@temper.expired");
        }
    }
}
