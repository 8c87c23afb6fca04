//! What the oracle takes for true, for a person to look at: entities, their fields, and what is in doubt.
//!
//! **Invariant:** looking changes nothing, and equal oracles look alike. Long values are told by size and hash.

use serde_json::{Map, Value, json};

use crate::canonical::{Content, brief};
use crate::clock::Span;
use crate::entity::{EntityKey, Existence, Field, Kept, OpId, State};
use crate::oracle::{Oracle, Tracked};
use crate::request::Kind;
use crate::world::{Op, World};
use std::collections::BTreeMap;

/// A value of so many bytes is shown as it is.
const WHOLE_MAX_BYTES: u64 = 200;

impl Oracle {
    /// Everything, as JSON: `boot`, `is_running`, `entities`, and `pending`, the requests that were sent and may
    /// still take effect.
    pub fn show(&self) -> Value {
        let entities: Vec<Value> =
            self.entities.iter().map(|(key, tracked)| self.entity(key, tracked)).collect();
        let worlds = || self.entities.values().flat_map(|tracked| &tracked.worlds);
        let may_act = |op: &&Op| op.is_open || worlds().any(|w| w.waiting.contains_key(&op.id));
        let pending: Vec<Value> = self.ops.values().filter(may_act).map(op).collect();
        json!({
            "boot": self.boot.0,
            "is_running": self.is_running,
            "entities": entities,
            "pending": pending,
        })
    }

    /// One entity; nothing if it was never heard of.
    pub fn show_entity(&self, key: &EntityKey) -> Option<Value> {
        self.entities.get(key).map(|tracked| self.entity(key, tracked))
    }

    fn entity(&self, key: &EntityKey, tracked: &Tracked) -> Value {
        let pasts: Vec<Value> = tracked.worlds.iter().map(past).collect();
        json!({
            "tenant": key.tenant,
            "set": key.set,
            "id": key.id,
            "is_lost_track": tracked.is_lost_track,
            "pasts": pasts,
        })
    }
}

/// One past that agrees with what was observed: the state that it ends in, and what may still come.
fn past(world: &World) -> Value {
    let state = world.state(world.version());
    let State { existence, status, sequence_nr, counters, flags, lists, fields, .. } = &**state;
    let existence = match existence {
        Existence::Never => "never",
        Existence::Live => "live",
        Existence::Deleted => "deleted",
    };
    let fields: Map<String, Value> =
        fields.iter().map(|(name, one)| (name.clone(), field(world, one))).collect();
    let lists: BTreeMap<&String, &Vec<Value>> =
        lists.iter().map(|(name, items)| (name, &**items)).collect();
    let ids = |ids: &mut dyn Iterator<Item = &OpId>| ids.map(|id| id.0).collect::<Vec<_>>();
    json!({
        "existence": existence,
        "status": status,
        "sequence_nr": sequence_nr,
        "counters": counters,
        "flags": flags,
        "lists": lists,
        "fields": fields,
        "may_take_effect": ids(&mut world.waiting.keys()),
        "took_effect_unanswered": ids(&mut world.placed.keys()),
        "acknowledged_events": world.acks.keys().collect::<Vec<_>>(),
    })
}

fn field(world: &World, field: &Field) -> Value {
    let content = &field.written.content;
    let mut shown = json!({
        "value": value(content),
        "size_bytes": content.size_bytes(),
        "written_by_event": field.sequence_nr,
    });
    match &field.written.kept {
        Kept::Inline => shown["kept"] = json!("inline"),
        Kept::Truncated { limit_bytes } => {
            shown["kept"] = json!("truncated");
            shown["limit_bytes"] = json!(limit_bytes);
        }
        Kept::Blob { .. } => {
            shown["kept"] = json!("blob");
            shown["blob"] = json!(content.key());
            let span = |Span { lo_ms, hi_ms }| json!({ "from_ms": lo_ms, "to_ms": hi_ms });
            shown["expires"] = world.deadline(field).map_or(Value::Null, span);
        }
    }
    shown
}

fn value(content: &Content) -> Value {
    if content.size_bytes() <= WHOLE_MAX_BYTES {
        return content.value().clone();
    }
    json!({ "left_out": brief(content.value()) })
}

fn op(op: &Op) -> Value {
    let what = match &op.request.kind {
        Kind::Create => "Create",
        Kind::Act { action, .. } => action,
        Kind::Patch { .. } => "PATCH",
        Kind::Delete { .. } => "DELETE",
        Kind::Read { .. } => "GET",
        Kind::History { .. } => "History",
        Kind::List(_) => "list",
    };
    let params: Map<String, Value> =
        op.request.params().iter().map(|(name, content)| (name.clone(), value(content))).collect();
    json!({
        "request": op.id.0,
        "tenant": op.request.tenant,
        "set": op.request.set,
        "id": op.request.entity_id(),
        "what": what,
        "params": params,
        "key": op.request.key,
        "boot": op.boot.0,
        "sent_ms": op.sent.mono_ms(),
        "may_be_answered": op.is_open,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::automaton::Mode;
    use crate::clock::Moment;
    use crate::request::{Answer, Request};
    use crate::workload::session::session;

    /// Goal: doubt is shown as what it is. Method: a creation that was lost, seen before and after the read that
    /// ends the doubt.
    #[test]
    fn a_lost_creation_is_pending_until_a_read_shows_it() {
        let at = |mono_ms| Moment { mono_ms, clock_ms: 1_700_000_000_000 };
        let mut oracle = Oracle::new(Mode::BlobRefs { default_inline_max: 131_072 }, at(0));
        oracle.set_spec(session());
        oracle.boot_started(at(0)).unwrap();
        let body = json!({ "Id": "a", "user_message": "x".repeat(300) });
        let create = Request::new("t", "Sessions", Kind::Create).body(body.as_object().unwrap());
        let op = oracle.send(at(1), create);
        oracle.lost(at(2), op);
        let shown = oracle.show();
        assert_eq!(shown["pending"][0]["what"], "Create");
        assert_eq!(shown["entities"][0]["pasts"][0]["existence"], "never");
        assert_eq!(shown["entities"][0]["pasts"][0]["may_take_effect"], json!([op.0]));
        let left_out = &shown["pending"][0]["params"]["user_message"]["left_out"];
        assert!(left_out.as_str().is_some_and(|words| words.len() < 200), "{shown}");

        let read = oracle.send(at(3), Request::new("t", "Sessions", Kind::Read { id: "a".into() }));
        let gone = Answer::Error { status: 404, code: "EntityNotFound".into() };
        assert_eq!(oracle.answer(at(4), read, &gone).unwrap(), []);
        let key = EntityKey { tenant: "t".into(), set: "Sessions".into(), id: "a".into() };
        assert_eq!(oracle.show_entity(&key).unwrap(), oracle.show()["entities"][0]);
        assert_eq!(oracle.show_entity(&EntityKey { id: "b".into(), ..key }), None);
    }
}
