//! What the platform does by itself, as a story tells it: guests that call back, schedules that come due, spawns,
//! actors that go and come back.
//!
//! **Invariant:** it is read off points that are reached and rows that are read anyway: a run that is told nothing
//! of it has the same trace. Each deed is told once, at the time at which it was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stormglass_model::entity::EntityKey;
use stormglass_model::inner;
use stormglass_model::tables::{IntentRow, OutboxRow, OutboxState, TenantRows};
use stormglass_platform::seams::Point;

/// The tenant that a story does not name.
const FIRST_TENANT: &str = "tenant-0";

/// A line of a story: when, what kind of deed, and what was done.
pub type Line = (Option<i64>, &'static str, String);

/// Actors of the boot that runs, as points show them.
#[derive(Default)]
pub struct Actors {
    /// Those that have read their journals since the boot began.
    started: BTreeSet<String>,
    /// Those that were started anew and have not read theirs.
    anew: BTreeSet<String>,
    /// When each was last about to append for what was owed.
    appended_ms: BTreeMap<String, i64>,
    /// What was seen since it was last asked for.
    seen: Vec<Seen>,
}

/// What an actor did when nobody asked it.
struct Seen {
    who: String,
    ms: i64,
    /// Whether it came back; else it went with a snapshot.
    is_back: bool,
}

impl Actors {
    /// Another boot begins.
    pub fn boot_begins(&mut self) {
        let seen = std::mem::take(&mut self.seen);
        *self = Actors { seen, ..Actors::default() };
    }

    /// A task of `who` goes on from a point.
    pub fn point(&mut self, who: &str, point: &Point<'_>, ms: i64) {
        let is_owed = point.origin == "outbox" || point.origin.ends_with("/outbox");
        match point.label {
            "actor.start" if self.started.contains(who) => drop(self.anew.insert(who.to_string())),
            "store.journal" => {
                self.started.insert(who.to_string());
                if self.anew.remove(who) {
                    self.seen.push(Seen { who: who.to_string(), ms, is_back: true });
                }
            }
            // Whoever is asked for something writes its snapshot on that account.
            "store.snapshot" if point.origin.is_empty() => {
                self.seen.push(Seen { who: who.to_string(), ms, is_back: false });
            }
            "store.append" | "store.settle" if is_owed => {
                self.appended_ms.insert(who.to_string(), ms);
            }
            _ => {}
        }
    }

    /// What actors did since the last call, in words; `rows` is what the tables held before.
    pub fn take_lines(&mut self, rows: &[Arc<TenantRows>]) -> Vec<Line> {
        if self.seen.is_empty() {
            return Vec::new();
        }
        let snapshots = snapshots(rows);
        let events = rows.iter().flat_map(|rows| &rows.events);
        let known: BTreeSet<String> = events.map(|event| at_point(&event.entity)).collect();
        // An actor of an entity that never was is kept for one request only.
        let is_told = |seen: &Seen| !seen.is_back || known.contains(&seen.who);
        let line = |Seen { who, ms, is_back }: Seen| {
            let name = name_at_point(&who);
            let line = match (is_back, snapshots.get(&who)) {
                (true, Some(at)) => {
                    ("replay", format!("{name} is back, from its snapshot of event {at}"))
                }
                (true, None) => ("replay", format!("{name} is back, from its events")),
                (false, _) => ("idle", format!("{name} goes, and leaves a snapshot")),
            };
            (Some(ms), line.0, line.1)
        };
        std::mem::take(&mut self.seen).into_iter().filter(is_told).map(line).collect()
    }

    fn owed_ms(&self, key: &EntityKey) -> Option<i64> {
        self.appended_ms.get(&at_point(key)).copied()
    }
}

/// Which of the actors that read their journals began with a snapshot.
pub fn snapshots(rows: &[Arc<TenantRows>]) -> BTreeMap<String, u64> {
    let all = rows.iter().flat_map(|rows| &rows.snapshots);
    all.map(|row| (at_point(&row.entity), row.sequence_nr)).collect()
}

/// An entity as points name it.
fn at_point(key: &EntityKey) -> String {
    format!("{} {}('{}')", key.tenant, type_of(key), key.id)
}

fn type_of(key: &EntityKey) -> &str {
    key.set.strip_suffix('s').unwrap_or(&key.set)
}

/// The name that a story has for an entity of a point.
fn name_at_point(who: &str) -> String {
    let (tenant, entity) = who.split_once(' ').unwrap_or(("", who));
    let id = entity.split_once("('").map_or(entity, |(_, id)| id.trim_end_matches("')"));
    name(tenant, id)
}

/// The name that a story has for an entity: of an id that a plan made up its number says all.
fn name(tenant: &str, id: &str) -> String {
    let id = id.split(' ').next().unwrap_or_default();
    if tenant == FIRST_TENANT { id.to_string() } else { format!("{tenant}/{id}") }
}

/// Rows of outboxes that were told.
#[derive(Default)]
pub struct Settled {
    told: BTreeSet<(EntityKey, u64, u64)>,
    rows: Vec<Arc<TenantRows>>,
}

impl Settled {
    /// What was owed and has been settled since the last call.
    pub fn take_lines(&mut self, rows: &[Arc<TenantRows>], actors: &Actors) -> Vec<Line> {
        let is_same = |(new, old): (&Arc<_>, &Arc<_>)| Arc::ptr_eq(new, old);
        if rows.len() == self.rows.len() && rows.iter().zip(&self.rows).all(is_same) {
            return Vec::new();
        }
        self.rows = rows.to_vec();
        let mut lines = Vec::new();
        for tenant in rows {
            for row in tenant.outbox.iter().filter(|row| row.state != OutboxState::Open) {
                let place = (row.entity.clone(), row.sequence_nr, row.n);
                if self.told.insert(place) {
                    lines.extend(line(row, tenant, actors));
                }
            }
        }
        lines.sort_by_key(|(ms, ..)| *ms);
        lines
    }
}

/// How a row was settled. What the journal does not show, as after damage, is not told.
fn line(row: &OutboxRow, rows: &TenantRows, actors: &Actors) -> Option<Line> {
    let OutboxRow { entity, sequence_nr, n, state, .. } = row;
    let mut events = rows.events.iter();
    let event = events.find(|one| one.entity == *entity && one.sequence_nr == *sequence_nr)?;
    let (own_key, child_key) = (
        inner::own_key(*sequence_nr, *n),
        inner::child_key(type_of(entity), &entity.id, *sequence_nr, *n),
    );
    let by_key = |entity: &EntityKey, key: &str| {
        let mut events = rows.events.iter();
        events.find(|event| event.entity == *entity && event.key.as_deref() == Some(key))
    };
    let whose = format!("{} event {sequence_nr}", name(&entity.tenant, &entity.id));
    let effect = by_key(entity, &own_key).map(|effect| (effect.sequence_nr, effect.action.clone()));
    let closed = match state {
        OutboxState::Closed(reason) => Some(reason),
        _ => None,
    };
    let vain = closed.map_or("without effect".to_string(), |why| format!("without effect: {why}"));
    Some(match event.intents.get(usize::try_from(*n).ok()?)? {
        IntentRow::Trigger { integration } => {
            let came_of = match effect {
                Some((number, action)) => format!("calls back {action}, event {number}"),
                None => format!("ends {vain}"),
            };
            let text = format!("{integration} of {whose} {came_of}");
            (actors.owed_ms(entity), "guest", text)
        }
        IntentRow::Schedule { action, .. } => {
            let came_of =
                effect.map_or(format!(", {vain}"), |(number, _)| format!(": event {number}"));
            let text = format!("{action} of {whose} comes due{came_of}");
            (actors.owed_ms(entity), "timer", text)
        }
        IntentRow::Spawn { entity_type, entity_id, .. } => {
            let (tenant, set) = (entity.tenant.clone(), format!("{entity_type}s"));
            let child = EntityKey { tenant, set, id: entity_id.clone() };
            let child_name = format!("{entity_type} {}", name(&child.tenant, entity_id));
            let came_of = match (by_key(&child, &child_key), closed) {
                (Some(_), None) => "is created".to_string(),
                (Some(_), Some(reason)) => format!("is created, and then {reason}"),
                (None, Some(reason)) => format!("is not created: {reason}"),
                (None, None) => "is not there".to_string(),
            };
            (actors.owed_ms(&child), "spawn", format!("{child_name} of {whose} {came_of}"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;
    use stormglass_model::tables::EventRow;

    fn key(id: &str, set: &str) -> EntityKey {
        EntityKey { tenant: "tenant-0".to_string(), set: set.to_string(), id: id.to_string() }
    }

    fn event(entity: &EntityKey, sequence_nr: u64, action: &str, key: Option<&str>) -> EventRow {
        EventRow {
            entity: entity.clone(),
            sequence_nr,
            action: action.to_string(),
            from: String::new(),
            to: String::new(),
            timestamp_ms: 0,
            params: Map::new(),
            key: key.map(str::to_string),
            kept: BTreeMap::new(),
            ids: BTreeMap::new(),
            intents: Vec::new(),
        }
    }

    fn row(entity: &EntityKey, n: u64, kind: &str, state: OutboxState) -> OutboxRow {
        let (entity, kind) = (entity.clone(), kind.to_string());
        OutboxRow { entity, sequence_nr: 2, n, kind, due_at_ms: None, state }
    }

    /// Goal: what was owed is told once, with what came of it. Method: an event that owes one of each, settled one
    /// after the other.
    #[test]
    fn what_was_owed_is_told_once_with_what_came_of_it() {
        let (one, child) = (key("s0 o'e", "Sessions"), key("a1", "Tasks"));
        let (integration, action) = ("provisioner".to_string(), "Ring".to_string());
        let (entity_type, entity_id) = ("Task".to_string(), "a1".to_string());
        let intents = vec![
            IntentRow::Trigger { integration },
            IntentRow::Schedule { action, due_at_ms: 1 },
            IntentRow::Spawn { entity_type, entity_id, initial_action: None, fields: Map::new() },
        ];
        let owing = EventRow { intents, ..event(&one, 2, "Provision", None) };
        let back = event(&one, 3, "Provisioned", Some("temper:2:0"));
        let spawned = event(&child, 1, "Created", Some("temper:Session('s0 o'e'):2:2"));
        let closed = OutboxState::Closed("409 WrongState".to_string());
        let rows = |timer: OutboxState| {
            let outbox = vec![
                row(&one, 0, "trigger", OutboxState::Done),
                row(&one, 1, "schedule", timer),
                row(&one, 2, "spawn", OutboxState::Done),
            ];
            let events = [&owing, &back, &spawned].map(|event| Arc::new(event.clone())).to_vec();
            vec![Arc::new(TenantRows { events, outbox, ..TenantRows::default() })]
        };
        let (mut actors, mut settled) = (Actors::default(), Settled::default());
        let (tenant, label) = ("tenant-0", "store.append");
        let point = Point { label, tenant, entity: "Session('s0 o'e')", origin: "step 2/outbox" };
        actors.point("tenant-0 Session('s0 o'e')", &point, 7);
        let told = settled.take_lines(&rows(OutboxState::Open), &actors);
        let guest = "provisioner of s0 event 2 calls back Provisioned, event 3";
        let spawn = "Task a1 of s0 event 2 is created";
        let expected = [(None, "spawn", spawn), (Some(7), "guest", guest)];
        assert_eq!(told, expected.map(|(ms, head, text)| (ms, head, text.to_string())));
        let told = settled.take_lines(&rows(closed.clone()), &actors);
        let timer = "Ring of s0 event 2 comes due, without effect: 409 WrongState".to_string();
        assert_eq!(told, [(Some(7), "timer", timer)]);
        assert_eq!(settled.take_lines(&rows(closed), &actors), []);
    }

    /// Goal: an actor that comes back is told with what it began from, one that never was is not.
    #[test]
    fn an_actor_that_comes_back_is_told_with_what_it_began_from() {
        let (one, other) = ("tenant-0 Session('s0 o'e')", "tenant-0 Session('s1 o'e')");
        let mut actors = Actors::default();
        let mut reach = |who: &str, label, ms| {
            actors.point(who, &Point { label, tenant: "tenant-0", entity: "", origin: "" }, ms);
        };
        for who in [one, other] {
            reach(who, "actor.start", 1);
            reach(who, "store.journal", 1);
        }
        reach(one, "store.snapshot", 2);
        for who in [one, other] {
            reach(who, "actor.start", 3);
            reach(who, "store.journal", 3);
            // A missing blob has the journal read once more.
            reach(who, "store.journal", 3);
        }
        let events = vec![Arc::new(event(&key("s0 o'e", "Sessions"), 1, "Created", None))];
        let rows = [Arc::new(TenantRows { events, ..TenantRows::default() })];
        let told = actors.take_lines(&rows);
        let expected = [
            (2, "idle", "s0 goes, and leaves a snapshot"),
            (3, "replay", "s0 is back, from its events"),
        ];
        assert_eq!(told, expected.map(|(ms, head, text)| (Some(ms), head, text.to_string())));
        assert!(actors.take_lines(&rows).is_empty());
    }
}
