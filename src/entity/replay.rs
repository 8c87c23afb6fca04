//! From the journal to a state, and the blobs that the state refers to back into the store.
//!
//! **Invariant:** an actor answers nothing before every reference of its state that is not expired
//! has its row (`I5`), and no body is put whose reference was expired when the replay began
//! (`I12`). What cannot be decoded is an error that names it, never an older state (`I22`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::actor::Actor;
use super::snapshot::{decode_snapshot, encode_snapshot};
use super::state::{Body, EntityState, fold};
use super::{Event, legacy};
use crate::answer::RequestError;
use crate::overflow::{Kept, Reference};
use crate::store::{EntityKey, EventRow, Journal, Put, PutCause, SnapshotRow};
use crate::{canonical, defect, probe, time};

/// What a replay found.
#[derive(Debug, Clone)]
pub(crate) struct Replayed {
    /// Nothing for an entity that never was.
    pub state: Option<Arc<EntityState>>,
    /// The last event in the stored snapshot; 0 without one.
    pub snapshot_at: u64,
    /// Whether the stored snapshot was unusable and is to be replaced.
    pub snapshot_unusable: bool,
    /// With the defect `snapshot-goes-back`: the snapshot as it was when the actor started.
    pub first_snapshot: Option<SnapshotRow>,
}

impl Actor {
    /// Reads the journal, unless the state is known.
    pub(super) async fn load(&mut self) -> Result<(), RequestError> {
        if self.loaded.is_some() {
            return Ok(());
        }
        self.tenant.core.metrics.replays.add(1);
        let began_ms = self.now_ms();
        let mut journal = self.read_journal(false).await?;
        let mut unusable = journal.snapshot_ahead;
        let mut state = None;
        if let Some(snapshot) = &journal.snapshot {
            state = decode_snapshot(&self.key, snapshot);
            if state.is_none() {
                tracing::warn!(entity = self.name, "snapshot cannot be decoded and is ignored");
                probe!("a snapshot was ignored", damage);
                unusable = true;
                journal = self.read_journal(true).await?;
            }
        }
        let snapshot_at = state.as_ref().map_or(0, |state| state.sequence_nr);
        let mut bodies = BTreeMap::new();
        for row in &journal.events {
            let event = self.decode(row, state.as_ref(), began_ms)?;
            let (next, written) = fold(state, &event);
            state = Some(next);
            bodies.extend(written.into_iter().map(|body| (body.field.clone(), body)));
        }
        let reached = state.as_ref().map_or(0, |state| state.sequence_nr);
        if reached != journal.last {
            return Err(self.undecodable(reached + 1, "it is missing"));
        }
        if let Some(state) = &mut state {
            if defect!("idempotency-in-memory") {
                state.keys.clear();
            }
            self.restore(state, bodies, began_ms).await?;
        }
        // What was pending is among the references that were just restored.
        self.pending.clear();
        let first_snapshot =
            state.as_ref().filter(|_| defect!("snapshot-goes-back")).map(encode_snapshot);
        let state = state.map(Arc::new);
        self.loaded =
            Some(Replayed { state, snapshot_at, snapshot_unusable: unusable, first_snapshot });
        Ok(())
    }

    async fn read_journal(&self, from_start: bool) -> Result<Journal, RequestError> {
        let read = self.tenant.store.journal(self.caller(), &self.key, from_start).await;
        read.map_err(|error| self.unavailable(&error))
    }

    pub(super) fn decode(
        &self,
        row: &EventRow,
        state: Option<&EntityState>,
        began_ms: i64,
    ) -> Result<Event, RequestError> {
        let expected = state.map_or(1, |state| state.sequence_nr + 1);
        if row.sequence_nr != expected {
            return Err(self.undecodable(expected, "it is missing"));
        }
        let mut event = match decode_payload(&self.key, row) {
            Ok(Payload::Event(event)) => *event,
            Ok(Payload::Older(payload)) => legacy::upgrade(self, row, payload, state)?,
            Err(reason) => return Err(self.undecodable(row.sequence_nr, &reason)),
        };
        if defect!("uuid-on-replay") {
            let ids = event.changes.ids.iter_mut().filter(|(field, _)| *field != "Id");
            ids.for_each(|(_, id)| *id = self.tenant.core.seams.ids.next_id());
        }
        if defect!("ttl-from-now") {
            move_deadlines(&mut event, began_ms);
        }
        Ok(event)
    }

    pub(super) fn undecodable(&self, sequence_nr: u64, reason: &str) -> RequestError {
        RequestError::EventUndecodable {
            entity: self.name.clone(),
            sequence_nr,
            reason: reason.to_owned(),
        }
    }

    /// Puts what the state refers to and the store lacks, by the rule of a live put.
    async fn restore(
        &self,
        state: &EntityState,
        mut bodies: BTreeMap<String, Body>,
        began_ms: i64,
    ) -> Result<(), RequestError> {
        if defect!("replay-drops-blobs") {
            return Ok(());
        }
        let resurrects = defect!("replay-resurrects");
        let wanted: Vec<(&str, &Reference)> = state
            .references()
            .filter(|(_, reference)| resurrects || !reference.is_expired(began_ms))
            .filter(|(name, _)| !defect!("snapshot-hides-loss") || bodies.contains_key(*name))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let keys: Vec<&str> = wanted.iter().map(|(_, reference)| reference.key.as_str()).collect();
        let rows = self.tenant.store.blobs(self.caller(), &keys).await;
        let rows = rows.map_err(|error| self.unavailable(&error))?;
        let mut puts: BTreeMap<String, Put> = BTreeMap::new();
        for ((name, reference), row) in wanted.into_iter().zip(rows) {
            let outlives = row.as_ref().is_some_and(|row| row.outlives(reference.expires_at_ms));
            let stored = row.and_then(|row| row.verified(reference)).map(Arc::new);
            if stored.is_some() && outlives {
                continue;
            }
            if stored.is_some() {
                probe!("replay raised a deadline");
            } else {
                probe!("replay put back a missing blob");
            }
            let known = stored.or_else(|| bodies.remove(name).map(|body| body.text));
            let body = match known {
                Some(body) => Some(body),
                None => self.body_from_journal(state, name, reference).await?,
            };
            match body {
                Some(body) => merge_put(&mut puts, reference, body),
                None => tracing::error!(entity = self.name, field = name, "blob is lost"),
            }
        }
        if puts.is_empty() {
            return Ok(());
        }
        let puts: Vec<Put> = puts.into_values().collect();
        let put = self.tenant.store.put(self.caller(), &puts, PutCause::Replay, began_ms).await;
        put.map_err(|error| self.unavailable(&error))
    }

    /// The body of a field whose event is older than the snapshot; nothing if the journal cannot
    /// give it.
    async fn body_from_journal(
        &self,
        state: &EntityState,
        field: &str,
        reference: &Reference,
    ) -> Result<Option<Arc<String>>, RequestError> {
        let value = match state.lists.get(field) {
            Some(items) => Some(Value::Array(items.clone())),
            None => {
                let after = reference.origin.saturating_sub(1);
                let rows = self.tenant.store.events(self.caller(), &self.key, after, 1).await;
                let rows = rows.map_err(|error| self.unavailable(&error))?;
                let origin = rows.first().filter(|row| row.sequence_nr == reference.origin);
                origin.and_then(|row| {
                    Some(decode_event(&self.key, row).ok()?.own_value_of(field)?.into_owned())
                })
            }
        };
        let body = value.map(|value| canonical::to_text(&value));
        Ok(body.filter(|body| crate::overflow::blob_key(body) == reference.key).map(Arc::new))
    }
}

/// Adds a put: one per distinct body, with the latest deadline.
pub(super) fn merge_put(
    puts: &mut BTreeMap<String, Put>,
    reference: &Reference,
    body: Arc<String>,
) {
    let expires_at_ms = reference.expires_at_ms;
    let fresh = Put { key: reference.key.clone(), body, expires_at_ms };
    let put = puts.entry(reference.key.clone()).or_insert(fresh);
    put.expires_at_ms = put.expires_at_ms.zip(expires_at_ms).map(|(one, other)| one.max(other));
}

enum Payload {
    Event(Box<Event>),
    Older(Value),
}

fn decode_payload(key: &EntityKey, row: &EventRow) -> Result<Payload, String> {
    let text = row.payload.as_ref().ok_or("its payload is no text")?;
    if let Some(expected) = &row.sha256 {
        let actual = canonical::sha256_hex(text.as_bytes());
        if actual != *expected && !defect!("no-hash-check") {
            return Err(format!("its payload has hash {actual}, expected {expected}"));
        }
    }
    let payload = canonical::parse_stored(text.as_bytes()).map_err(|error| error.to_string())?;
    if row.sha256.is_none() && payload.get("format").is_none() {
        return Ok(Payload::Older(payload));
    }
    if row.sha256.is_none() && !defect!("no-hash-check") {
        return Err("it has no hash".to_owned());
    }
    let event: Event = serde_json::from_value(payload).map_err(|error| error.to_string())?;
    if event.format != super::event::FORMAT {
        return Err(format!("its format is {}", event.format));
    }
    let in_place = event.entity_type == key.entity_type
        && event.entity_id == key.entity_id
        && event.sequence_nr == row.sequence_nr;
    if in_place {
        Ok(Payload::Event(Box::new(event)))
    } else {
        Err("it is in the wrong row".into())
    }
}

/// Reads one event without a state: all that history needs.
pub(crate) fn decode_event(key: &EntityKey, row: &EventRow) -> Result<Event, RequestError> {
    let undecodable = |reason| RequestError::EventUndecodable {
        entity: key.to_string(),
        sequence_nr: row.sequence_nr,
        reason,
    };
    match decode_payload(key, row).map_err(undecodable)? {
        Payload::Event(event) => Ok(*event),
        Payload::Older(payload) => legacy::read(key, row, payload),
    }
}

/// The defect `ttl-from-now`: deadlines as if the event had just happened.
fn move_deadlines(event: &mut Event, now_ms: i64) {
    let then_ms = time::from_text(&event.timestamp).unwrap_or(now_ms);
    for kept in event.changes.fields.values_mut() {
        if let Kept::Blob { expires_at: Some(deadline), .. } = kept {
            let deadline_ms = time::from_text(deadline).unwrap_or(now_ms);
            *deadline = time::to_text(deadline_ms.saturating_add(now_ms - then_ms));
        }
    }
}
