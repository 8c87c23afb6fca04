//! The toy platform's outbox: what events leave to be done, done in any order, with its wrong turns.

use super::*;
use crate::clock::ClockLog;
use crate::entity::unknown_id;
use crate::inner::{Ending, Intended, Intent, NOBODY, Times, child_key, initial_key, words};
use crate::tables::{IntentRow, OutboxRow, OutboxState};
use crate::workload::task::task;
use crate::world::World;

/// A row of the toy's outbox.
#[derive(Clone)]
pub(super) struct Owed {
    name: String,
    sequence_nr: u64,
    n: u64,
    state: OutboxState,
}

/// The toys of tasks are kept beside those of sessions, under another name.
pub(super) fn name_of(set: &str, id: &str) -> String {
    if set == SET { id.to_owned() } else { format!("task {id}") }
}

/// The entity that a toy is.
pub(super) fn entity_of(name: &str) -> EntityKey {
    let (set, id) = name.strip_prefix("task ").map_or((SET, name), |id| ("Tasks", id));
    EntityKey { tenant: TENANT.into(), set: set.into(), id: id.into() }
}

impl Run {
    pub(super) fn rules_of(&self, name: &str) -> Rules {
        match entity_of(name).set.as_str() {
            SET => self.rules.clone(),
            _ => Rules { automaton: Arc::new(task()), mode: self.rules.mode },
        }
    }

    fn past(&self, name: &str) -> World {
        let toy = &self.toys[name];
        let mut world = World::empty(&entity_of(name).id);
        (world.journal, world.states) = (toy.journal.clone(), toy.states.clone());
        world
    }

    /// Gives the children of a new event their ids, and writes its rows.
    pub(super) fn owe(&mut self, name: &str) {
        let mut world = self.past(name);
        let event = world.journal.last().expect("an event was just appended").clone();
        for intent in &event.intents {
            self.generated += 1;
            world.learn_id(event.sequence_nr, intent.n, &format!("g{}", self.generated));
            if self.defect == Defect::WritesNoRow && self.random.one_in(4) {
                continue;
            }
            let (name, sequence_nr, n) = (name.to_owned(), event.sequence_nr, intent.n);
            self.owed.push(Owed { name, sequence_nr, n, state: OutboxState::Open });
        }
        let toy = self.toys.get_mut(name).expect("it has an event");
        (toy.journal, toy.states) = (world.journal, world.states);
        if event.action == "Deleted" && self.defect != Defect::KeepsRowsOfTheDeleted {
            let own = |owed: &&mut Owed| owed.name == name && owed.state == OutboxState::Open;
            let close = |owed: &mut Owed| owed.state = OutboxState::Closed("entity deleted".into());
            self.owed.iter_mut().filter(own).for_each(close);
        }
    }

    fn intent_of(&self, owed: &Owed) -> (Event, Intent) {
        let event = &self.toys[&owed.name].journal[owed.sequence_nr as usize - 1];
        let mut log = ClockLog::default();
        let event = Event { sent: log.read(self.moment()), ..(**event).clone() };
        let intent = event.intents[owed.n as usize].clone();
        (event, intent)
    }

    fn is_due(&self, owed: &Owed) -> bool {
        let (event, intent) = self.intent_of(owed);
        intent.due(event.stamp).is_none_or(|due| due.lo_ms <= self.clock_ms)
    }

    /// Does what one row says.
    pub(super) fn work(&mut self) {
        let is_early = self.defect == Defect::ActsEarly;
        let is_open = |owed: &Owed| owed.state == OutboxState::Open;
        let again = self.defect == Defect::CallsBackTwice && self.random.one_in(4);
        let can = |index: &usize| {
            let owed = &self.owed[*index];
            (is_open(owed) && (is_early || self.is_due(owed)))
                || (again && owed.state == OutboxState::Done)
        };
        let ready: Vec<usize> = (0..self.owed.len()).filter(can).collect();
        if ready.is_empty() || self.defect == Defect::NeverWorks {
            return;
        }
        let index = ready[self.random.below(ready.len() as u64) as usize];
        let owed = self.owed[index].clone();
        if self.defect == Defect::LosesCallback && self.random.one_in(4) {
            self.owed[index].state = OutboxState::Done;
            return;
        }
        let (event, intent) = self.intent_of(&owed);
        let settled = match &intent.what {
            Intended::Spawn { .. } => self.spawn(&owed, &event, &intent),
            _ => self.call(&owed, &event, &intent, again),
        };
        if let Some(state) = settled {
            self.owed[index].state = state;
        }
        if self.defect == Defect::ReopensRows && self.random.one_in(8) {
            self.owed[index].state = OutboxState::Open;
        }
    }

    fn call(
        &mut self,
        owed: &Owed,
        event: &Event,
        intent: &Intent,
        again: bool,
    ) -> Option<OutboxState> {
        let mut log = ClockLog::default();
        let now = log.read(self.moment());
        let mut ends = self.past(&owed.name).endings(event, intent, Times { clock: &log, now });
        if ends.is_empty() {
            // A wrong turn takes up what is not due.
            let later = Moment { clock_ms: i64::MAX, ..self.moment() };
            let now = log.read(later);
            ends = self.past(&owed.name).endings(event, intent, Times { clock: &log, now });
        }
        let at = self.random.below(ends.len() as u64) as usize;
        match ends.swap_remove(at) {
            Ending::Closed(reason) => Some(OutboxState::Closed(reason)),
            Ending::Request(mut request) => {
                if again {
                    request.key = None;
                }
                Some(self.do_inner(&owed.name, &request))
            }
        }
    }

    /// Serves a request of the platform's own; what its row becomes.
    fn do_inner(&mut self, name: &str, request: &Request) -> OutboxState {
        self.start(name);
        let stamp = Span::exactly(self.clock_ms);
        let origin = Origin { op: NOBODY, boot: BootId(1), sent: Mark::ZERO, stamp };
        let state = self.toys[name].states.last().expect("there is a first").clone();
        match decide(&self.rules_of(name), &state, request, origin) {
            Decision::Accept { event, state } => {
                let toy = self.toys.get_mut(name).expect("it was started");
                toy.append(event.clone(), state);
                self.owe(name);
                self.put_all(&event);
                OutboxState::Done
            }
            Decision::Reject(rejections) => OutboxState::Closed(words(&rejections[0])),
            _ => OutboxState::Done,
        }
    }

    fn spawn(&mut self, owed: &Owed, event: &Event, intent: &Intent) -> Option<OutboxState> {
        let Intended::Spawn { spawn, id: Some(id) } = &intent.what else { return None };
        let id = match self.defect {
            Defect::SpawnsTwice if self.random.one_in(2) => "other".to_owned(),
            _ => id.clone(),
        };
        let name = name_of("Tasks", &id);
        let parent = entity_of(&owed.name);
        let key = child_key("Session", &parent.id, event.sequence_nr, intent.n);
        let mut fields = self.past(&owed.name).copies(event, spawn).swap_remove(0);
        fields.insert("Id".into(), json!(id));
        let is_long = |value: &Value| value.as_str().is_some_and(|text| text.len() > 1022);
        let is_wrong = self.defect == Defect::CopiesEnvelope;
        for value in fields.values_mut().filter(|value| is_wrong && is_long(value)) {
            *value = json!({"__temper_blob_ref": "x"});
        }
        let creation = Request::new(TENANT, "Tasks", Kind::Create).body(&fields).key(&key);
        self.start(&name);
        let has_key = |key: &str| self.toys[&name].state().keys.contains_key(key);
        let created = if has_key(&key) { None } else { Some(self.do_inner(&name, &creation)) };
        match (created, spawn.initial_action) {
            (Some(OutboxState::Closed(_)), _) => Some(OutboxState::Closed("child exists".into())),
            (_, None) => Some(OutboxState::Done),
            // The child may be there for a while before its first action comes.
            (Some(_), Some(_)) if self.random.one_in(2) => None,
            (_, Some(action)) => {
                let kind = Kind::Act { id: id.clone(), action: action.into() };
                let begin = Request::new(TENANT, "Tasks", kind).key(&initial_key(&key));
                Some(self.do_inner(&name, &begin))
            }
        }
    }

    /// All that is due is done; nothing of it may be open then (I15).
    pub(super) fn finish(&mut self) {
        self.oracle.clock(self.moment());
        self.clock_ms += 10_000_000;
        self.mono_ms += 10_000_000;
        self.oracle.clock(self.moment());
        for _ in 0..2_000 {
            self.work();
        }
        let rows = self.rows();
        self.found.extend(self.oracle.observe(self.moment(), &rows, Sight::Settled).violations);
        self.found.extend(self.oracle.overdue(&rows, self.clock_ms));
    }

    pub(super) fn outbox_rows(&self) -> Vec<OutboxRow> {
        let row = |owed: &Owed| {
            let (event, intent) = self.intent_of(owed);
            let kind = match intent.what {
                Intended::Trigger(_) => "trigger",
                Intended::Schedule { .. } => "schedule",
                Intended::Spawn { .. } => "spawn",
            };
            OutboxRow {
                entity: entity_of(&owed.name),
                sequence_nr: owed.sequence_nr,
                n: owed.n,
                kind: kind.into(),
                due_at_ms: intent.due(event.stamp).map(|due| due.lo_ms),
                state: owed.state.clone(),
            }
        };
        self.owed.iter().map(row).collect()
    }

    pub(super) fn intent_rows(&self, name: &str, event: &Event) -> Vec<IntentRow> {
        let row = |intent: &Intent| match &intent.what {
            Intended::Trigger(one) => IntentRow::Trigger { integration: one.name.into() },
            Intended::Schedule { action, .. } => IntentRow::Schedule {
                action: (*action).into(),
                due_at_ms: intent.due(event.stamp).map_or(0, |due| due.lo_ms),
            },
            Intended::Spawn { spawn, id } => IntentRow::Spawn {
                entity_type: spawn.entity_type.into(),
                entity_id: id.clone().unwrap_or_else(|| unknown_id().to_string()),
                initial_action: spawn.initial_action.map(str::to_owned),
                fields: self.past(name).copies(event, spawn).swap_remove(0),
            },
        };
        event.intents.iter().map(row).collect()
    }
}

/// The ids that the event gave to others, by the fields that keep them.
pub(super) fn ids_of(event: &Event) -> BTreeMap<String, String> {
    let id = |intent: &Intent| match &intent.what {
        Intended::Spawn { spawn, id } => Some((spawn.store_id_in?.to_owned(), id.clone()?)),
        _ => None,
    };
    event.intents.iter().filter_map(id).collect()
}
