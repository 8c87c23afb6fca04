//! What a past learns: ids that the platform made up, and timestamps that were known as spans.
//!
//! **Invariant:** what was learnt once is never learnt otherwise: another id later is a mismatch (I4, I11).

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::clock::Span;
use crate::entity::{Event, Field, is_unknown_id};
use crate::inner::Intended;
use crate::project::{is_placeholder, kept_id};
use crate::request::Answer;
use crate::world::World;

impl World {
    /// Takes from an answer that fits what was not known exactly.
    pub fn learn(&mut self, answer: &Answer) {
        match answer {
            Answer::History(page) => {
                for event in &page.events {
                    self.learn_stamp(event.sequence_nr, event.timestamp_ms);
                }
            }
            Answer::Entity { view, .. } => self.learn_ids(view.sequence_nr, &view.fields),
            _ => {}
        }
    }

    /// An id that the platform made up for an event has been shown: for the `n`-th child, or under the
    /// field that keeps it.
    pub fn learn_id(&mut self, sequence_nr: u64, n: u64, id: &str) {
        let index = sequence_nr as usize - 1;
        let mut event = (*self.journal[index]).clone();
        let Some(intent) = event.intents.iter_mut().find(|intent| intent.n == n) else {
            return;
        };
        let Intended::Spawn { spawn, id: known } = &mut intent.what else {
            return;
        };
        if known.is_some() {
            return;
        }
        *known = Some(id.to_owned());
        if let Some(name) = spawn.store_id_in {
            let kept = kept_id(&intent.rules, name, id);
            if let Some(written) = event.writes.get_mut(name) {
                *written = kept.clone();
            }
            for state in &mut self.states[index + 1..] {
                let field = state.fields.get(name);
                if field.is_some_and(|field| field.sequence_nr == sequence_nr) {
                    let fields = &mut Arc::make_mut(state).fields;
                    fields.entry(name.to_owned()).and_modify(|field| field.written = kept.clone());
                }
            }
        }
        self.journal[index] = Arc::new(event);
    }

    /// An answer has shown the state after `version`: ids that were unknown are known from then on.
    fn learn_ids(&mut self, version: u64, shown: &Map<String, Value>) {
        let unknown = |(name, field): (&String, &Field)| {
            is_unknown_id(field.written.content.value()).then(|| (name.clone(), field.sequence_nr))
        };
        let unknown: Vec<(String, u64)> =
            self.state(version).fields.iter().filter_map(unknown).collect();
        for (name, sequence_nr) in unknown {
            let event = &self.journal[sequence_nr as usize - 1];
            let n = event.spawn_into(&name).map(|intent| intent.n);
            let id = shown.get(&name).and_then(|id| id.as_str());
            if let (Some(n), Some(id)) = (n, id.filter(|id| !is_placeholder(id))) {
                self.learn_id(sequence_nr, n, id);
            }
        }
    }

    /// The timestamp of an event has been shown.
    pub fn learn_stamp(&mut self, sequence_nr: u64, timestamp_ms: i64) {
        let index = sequence_nr as usize - 1;
        if !self.journal[index].is_stamp_known {
            let stamp = Span::exactly(timestamp_ms);
            let event = (*self.journal[index]).clone();
            self.journal[index] = Arc::new(Event { stamp, is_stamp_known: true, ..event });
        }
    }
}
