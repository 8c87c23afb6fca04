//! An entity as it was right after one of its events, for the work that the event is owed.
//!
//! **Invariant (`I4`):** what is recalled is the fold of the journal up to that event, whatever has
//! happened since; expiry alone is judged by today's clock.

use std::collections::BTreeMap;

use super::actor::Actor;
use super::state::{Body, EntityState, fold};
use super::{Event, decode_event};
use crate::answer::RequestError;
use crate::canonical;
use crate::hydrate::{self, Hydrated};
use crate::overflow::{Reference, blob_key};
use crate::probe;

/// An event and the state that it made.
#[derive(Debug)]
pub(crate) struct Recalled {
    pub event: Event,
    pub state: EntityState,
    /// The values of its references; what nothing can give is among the missing.
    pub hydrated: Hydrated,
    /// The reading of the clock by which expiry was judged.
    pub now_ms: i64,
}

impl Actor {
    pub(super) async fn recall(&mut self, sequence_nr: u64) -> Result<Recalled, RequestError> {
        self.be_ready().await?;
        let now_ms = self.now_ms();
        let current = self.state().filter(|state| !state.deleted).cloned();
        let not_found = || RequestError::EntityNotFound(self.name.clone());
        let current = current.ok_or_else(not_found)?;
        let (event, state) = if current.sequence_nr == sequence_nr {
            (self.event_at(sequence_nr).await?, current)
        } else {
            probe!("a state of the past was recalled");
            let (event, state, _) = self.fold_until(sequence_nr, now_ms).await?;
            (event, state)
        };
        let references: BTreeMap<String, Reference> =
            state.references().map(|(name, one)| (name.to_owned(), one.clone())).collect();
        let fresh = BTreeMap::new();
        let store = &self.tenant.store;
        let read = hydrate::read(store, self.caller(), &references, &fresh, now_ms).await;
        let mut hydrated = read.map_err(|error| self.unavailable(&error))?;
        if !hydrated.missing.is_empty() {
            self.fill_from_journal(sequence_nr, &references, &mut hydrated).await?;
        }
        Ok(Recalled { event, state, hydrated, now_ms })
    }

    /// Bodies whose rows are gone: an older event's reference may have been the last to keep them.
    async fn fill_from_journal(
        &mut self,
        sequence_nr: u64,
        references: &BTreeMap<String, Reference>,
        hydrated: &mut Hydrated,
    ) -> Result<(), RequestError> {
        probe!("a recalled value was taken from the journal");
        if self.state().is_some_and(|state| state.sequence_nr == sequence_nr) {
            // A row of the present state is put back, as any read that misses it does.
            self.loaded = None;
            self.load().await?;
        }
        let bodies = match self.fold_until(sequence_nr, self.now_ms()).await {
            Ok((_, _, bodies)) => bodies,
            // The snapshot may still know what the journal does not.
            Err(RequestError::EventUndecodable { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        for (field, body) in bodies {
            let is_it = hydrated.missing.contains(&field)
                && references.get(&field).is_some_and(|one| one.key == blob_key(&body.text));
            if let (true, Ok(value)) = (is_it, canonical::parse_stored(body.text.as_bytes())) {
                hydrated.missing.remove(&field);
                hydrated.values.insert(field, value);
            }
        }
        Ok(())
    }

    async fn event_at(&self, sequence_nr: u64) -> Result<Event, RequestError> {
        let rows = self.tenant.store.events(self.caller(), &self.key, sequence_nr - 1, 1).await;
        let rows = rows.map_err(|error| self.unavailable(&error))?;
        let row = rows.first().filter(|row| row.sequence_nr == sequence_nr);
        let row = row.ok_or_else(|| self.undecodable(sequence_nr, "it is missing"))?;
        decode_event(&self.key, row)
    }

    /// The whole journal up to an event: that event, the state, and the bodies it refers to by field.
    async fn fold_until(
        &self,
        sequence_nr: u64,
        now_ms: i64,
    ) -> Result<(Event, EntityState, BTreeMap<String, Body>), RequestError> {
        let rows = self.tenant.store.events(self.caller(), &self.key, 0, sequence_nr).await;
        let rows = rows.map_err(|error| self.unavailable(&error))?;
        let mut folded: Option<(Event, EntityState)> = None;
        let mut bodies = BTreeMap::new();
        for row in &rows {
            let event = self.decode(row, folded.as_ref().map(|(_, state)| state), now_ms)?;
            let (state, written) = fold(folded.map(|(_, state)| state), &event);
            bodies.extend(written.into_iter().map(|body| (body.field.clone(), body)));
            folded = Some((event, state));
        }
        match folded {
            Some((event, state)) if event.sequence_nr == sequence_nr => Ok((event, state, bodies)),
            _ => Err(self.undecodable(sequence_nr, "it is missing")),
        }
    }
}
