//! The rows of `outbox` of one tenant against the intents of its events.
//!
//! Verified: I15: a row for every intent of every event and none other, in every reading; done exactly when
//! its event is in the journal, never beside a reason; a reason that some moment allows; a settled row stays
//! as it is; a deleted entity leaves no row open; none that is due stays open for ever. Not verified: the
//! payload of a row (what is made of it answers for that), how often it was tried.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::clock::Span;
use crate::decide::{Decision, UNKNOWN_SET, body_problems};
use crate::entity::{EntityKey, Event, Existence};
use crate::inner::{
    Ending, Intended, Intent, Times, child_key, initial_key, op_of, own_key, words,
};
use crate::oracle::Oracle;
use crate::tables::{OutboxRow, OutboxState, Sight, TenantRows};
use crate::violation::{Invariant, Mismatch, Violation};
use crate::words::utc;
use crate::world::{Op, World};

/// The rows that were seen settled in a store in which nothing was of unknown outcome.
pub(crate) type Settled = BTreeMap<(EntityKey, u64, u64), OutboxState>;

type Entities = [(EntityKey, Vec<World>)];

impl Oracle {
    /// Judges the rows of a reading in which every event is explained.
    pub(crate) fn outbox(
        &mut self,
        rows: &TenantRows,
        entities: &Entities,
        sight: Sight,
    ) -> Vec<Violation> {
        let mut violations = Vec::new();
        let check = OutboxCheck { oracle: self, entities, effects: effects(rows) };
        let mut found: BTreeMap<(&EntityKey, u64, u64), &OutboxRow> = BTreeMap::new();
        for row in &rows.outbox {
            let key = (&row.entity, row.sequence_nr, row.n);
            let problem = match (found.insert(key, row), check.intent(row)) {
                (Some(_), _) => Some(broken("two rows of one intent", "one", "two")),
                (None, Some((world, event, intent))) => check.row(row, (world, event, intent)),
                (None, None) => Some(broken("row of no intent", "no such row", place(row))),
            };
            violations.extend(problem.map(|mismatch| mismatch.at(place(row))));
        }
        for (key, worlds) in entities {
            let events = worlds.first().into_iter().flat_map(|world| &world.journal);
            for (event, intent) in events.flat_map(|e| e.intents.iter().map(move |i| (e, i))) {
                if !found.contains_key(&(key, event.sequence_nr, intent.n)) {
                    let expected = format!("row {} of event {}", intent.n, event.sequence_nr);
                    let mismatch = broken("row missing", expected, "no such row");
                    violations.push(mismatch.at(key.to_string()));
                }
            }
        }
        if sight == Sight::Settled {
            self.keep_settled(rows);
        }
        violations
    }

    fn keep_settled(&mut self, rows: &TenantRows) {
        for row in rows.outbox.iter().filter(|row| row.state != OutboxState::Open) {
            let key = (row.entity.clone(), row.sequence_nr, row.n);
            self.settled_rows.insert(key, row.state.clone());
        }
    }

    /// I15: a row that was due when the clock read `by_ms` and is open.
    pub fn overdue(&self, rows: &TenantRows, by_ms: i64) -> Option<Violation> {
        let due_ms = |row: &OutboxRow| {
            let of_row = |entity: &EntityKey, nr| *entity == row.entity && nr == row.sequence_nr;
            let event = rows.events.iter().find(|event| of_row(&event.entity, event.sequence_nr));
            let made_ms = event.map_or(i64::MIN, |event| event.timestamp_ms);
            made_ms.max(row.due_at_ms.unwrap_or(made_ms))
        };
        let is_open = |row: &&OutboxRow| row.state == OutboxState::Open;
        let row = rows.outbox.iter().filter(is_open).find(|row| due_ms(row) <= by_ms)?;
        let expected = format!("settled within a minute: it was due at {}", utc(due_ms(row)));
        Some(broken("due row is not settled", expected, "open").at(place(row)))
    }

    /// Everything that intents may have tried, so that its bodies may have rows.
    pub(crate) fn tried(&self, entities: &Entities) -> Vec<Op> {
        let times = Times { clock: &self.clock, now: self.now };
        let mut ops = Vec::new();
        for (key, worlds) in entities {
            for world in worlds {
                ops.extend(world.tried(times));
                for event in &world.journal {
                    for intent in &event.intents {
                        let Some(child) = child_of(key, intent) else { continue };
                        let Some(rules) = self.rules_of(&child.tenant, &child.set) else {
                            continue;
                        };
                        let spawned = world.spawned((event, intent), key, (&child, &rules));
                        ops.extend(spawned.into_iter().map(|spawned| spawned.creation));
                    }
                }
            }
        }
        ops
    }
}

fn child_of(parent: &EntityKey, intent: &Intent) -> Option<EntityKey> {
    let Intended::Spawn { id: Some(id), .. } = &intent.what else { return None };
    let (tenant, set) = (parent.tenant.clone(), intent.child_set()?);
    Some(EntityKey { tenant, set, id: id.clone() })
}

fn broken(place: &'static str, expected: impl Into<String>, actual: impl Into<String>) -> Mismatch {
    Mismatch::new(Invariant::I15, place, expected, actual)
}

fn place(row: &OutboxRow) -> String {
    format!("{} row {} of event {}", row.entity, row.n, row.sequence_nr)
}

/// The platform's own keys in each journal.
fn effects(rows: &TenantRows) -> BTreeMap<&EntityKey, BTreeSet<&str>> {
    let mut effects: BTreeMap<&EntityKey, BTreeSet<&str>> = BTreeMap::new();
    for row in &rows.events {
        effects.entry(&row.entity).or_default().extend(row.key.as_deref());
    }
    effects
}

struct OutboxCheck<'a> {
    oracle: &'a Oracle,
    entities: &'a Entities,
    effects: BTreeMap<&'a EntityKey, BTreeSet<&'a str>>,
}

impl OutboxCheck<'_> {
    fn worlds(&self, key: &EntityKey) -> &[World] {
        let found = self.entities.iter().find(|(known, _)| known == key);
        found.map_or(&[], |(_, worlds)| worlds)
    }

    /// The event and the intent behind a row. All pasts agree with the rows of the events.
    fn intent(&self, row: &OutboxRow) -> Option<(&World, &Arc<Event>, &Intent)> {
        let world = self.worlds(&row.entity).first()?;
        let event = world.event(row.sequence_nr)?;
        let intent = event.intents.iter().find(|intent| intent.n == row.n)?;
        Some((world, event, intent))
    }

    fn row(
        &self,
        row: &OutboxRow,
        (world, event, intent): (&World, &Arc<Event>, &Intent),
    ) -> Option<Mismatch> {
        let kind = match intent.what {
            Intended::Trigger(_) => "trigger",
            Intended::Schedule { .. } => "schedule",
            Intended::Spawn { .. } => "spawn",
        };
        if row.kind != kind {
            return Some(broken("row of another kind", kind, &*row.kind));
        }
        let due = intent.due(event.stamp);
        let is_due_then = |due: Span| row.due_at_ms.is_some_and(|ms| due.contains(ms));
        if let Some(due) = due.filter(|due| !is_due_then(*due)) {
            return Some(broken(
                "row due at another time",
                due.to_string(),
                row.due_at_ms.map_or("at once".to_owned(), utc),
            ));
        }
        let key = (row.entity.clone(), row.sequence_nr, row.n);
        let before = self.oracle.settled_rows.get(&key);
        if let Some(before) = before.filter(|before| **before != row.state) {
            let (expected, actual) = (before.to_string(), row.state.to_string());
            return Some(broken("settled row changed", expected, actual));
        }
        let has_effect = self.has_effect(&row.entity, event, intent);
        match (&row.state, has_effect) {
            (OutboxState::Done, true) => None,
            (OutboxState::Done, false) => {
                Some(broken("done without an event", "its event", "none"))
            }
            (OutboxState::Open, true) => {
                Some(broken("open though its event is there", "done", "open"))
            }
            (OutboxState::Closed(reason), true) => {
                let expected = "closed, or its effect: not both";
                let actual =
                    format!("closed as `{reason}`, and {}", self.effect(row, event, intent));
                Some(broken("event beside a reason", expected, actual))
            }
            (OutboxState::Open, false) => {
                let state = world.state(world.version());
                let is_over = state.existence == Existence::Deleted;
                is_over.then(|| broken("open row of a deleted entity", "entity deleted", "open"))
            }
            (OutboxState::Closed(reason), false) => {
                let allowed = self.reasons(&row.entity, (event, intent));
                let actual = reason.clone();
                (!allowed.contains(reason)).then(|| {
                    let allowed: Vec<String> = allowed.into_iter().collect();
                    let expected = format!("done, or closed as: {}", allowed.join(", "));
                    broken("reason that no moment allows", expected, actual)
                })
            }
        }
    }

    /// The event that would be an intent's effect, in words.
    fn effect(&self, row: &OutboxRow, event: &Event, intent: &Intent) -> String {
        match child_of(&row.entity, intent) {
            Some(child) => {
                format!("the child {child} with {}", spawn_key(&row.entity, event, intent))
            }
            None => format!("an event with key `{}`", own_key(event.sequence_nr, intent.n)),
        }
    }

    fn has_effect(&self, parent: &EntityKey, event: &Event, intent: &Intent) -> bool {
        let has = |entity: &EntityKey, key: &str| {
            self.effects.get(entity).is_some_and(|keys| keys.contains(key))
        };
        let Intended::Spawn { spawn, .. } = &intent.what else {
            return has(parent, &own_key(event.sequence_nr, intent.n));
        };
        let Some(child) = child_of(parent, intent) else { return false };
        let key = spawn_key(parent, event, intent);
        let key = if spawn.initial_action.is_some() { initial_key(&key) } else { key };
        has(&child, &key)
    }

    /// Every reason that some moment since the event allows.
    fn reasons(&self, entity: &EntityKey, (event, intent): (&Event, &Intent)) -> BTreeSet<String> {
        let times = Times { clock: &self.oracle.clock, now: self.oracle.now };
        let mut reasons = BTreeSet::new();
        for world in self.worlds(entity) {
            if world.state(world.version()).existence == Existence::Deleted {
                reasons.insert("entity deleted".to_owned());
            }
            for ending in world.endings(event, intent, times) {
                let request = match ending {
                    Ending::Closed(reason) => {
                        reasons.insert(reason);
                        continue;
                    }
                    Ending::Request(request) => request,
                };
                let op = op_of(event, intent.rules.clone(), request);
                reasons.extend(refusals(world, event.sequence_nr, &op));
            }
            if let Intended::Spawn { .. } = &intent.what {
                reasons.extend(self.spawn_reasons(entity, (world, event, intent)));
            }
        }
        reasons
    }

    fn spawn_reasons(
        &self,
        parent: &EntityKey,
        (world, event, intent): (&World, &Event, &Intent),
    ) -> BTreeSet<String> {
        let mut reasons = BTreeSet::new();
        let Some(child) = child_of(parent, intent) else { return reasons };
        let Some(rules) = self.oracle.rules_of(&child.tenant, &child.set) else {
            return BTreeSet::from([words(&UNKNOWN_SET)]);
        };
        let key = spawn_key(parent, event, intent);
        for spawned in world.spawned((event, intent), parent, (&child, &rules)) {
            let problems = body_problems(Some(&rules), &spawned.creation.request);
            reasons.extend(problems.iter().map(words));
            for child in self.worlds(&child) {
                let creation = child.event(1);
                if creation.is_some_and(|event| event.key.as_ref() != Some(&key)) {
                    reasons.insert("child exists".to_owned());
                } else if let (Some(op), Some(_)) = (&spawned.initial, creation) {
                    reasons.extend(refusals(child, 1, op));
                }
            }
        }
        reasons
    }
}

fn spawn_key(parent: &EntityKey, event: &Event, intent: &Intent) -> String {
    child_key(intent.rules.automaton.name, &parent.id, event.sequence_nr, intent.n)
}

/// How a request is refused at some version from `first` on.
fn refusals(world: &World, first: u64, op: &Op) -> BTreeSet<String> {
    let refused = |version| match world.decide_at(version, op, Span::exactly(0)) {
        Decision::Reject(rejections) => rejections.iter().map(words).collect(),
        _ => Vec::new(),
    };
    (first..=world.version()).flat_map(refused).collect()
}
