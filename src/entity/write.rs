//! One action, from its checks to its answer, and the order in which event and blobs are written.
//!
//! **Invariant:** success is answered only when the event is durable and its blobs are there. A 4xx
//! wrote nothing. Whatever fails after the first write is in doubt and ends in a 5xx, and the actor
//! reads its journal again before its next answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::actor::{Actor, Terms};
use super::plan::{Planner, needed_fields};
use super::replay::merge_put;
use super::state::{Body, EntityState, fold, use_digest};
use super::{CREATED, DELETED, EntityOp, Event, UPDATED};
use crate::answer::{Answer, RequestError};
use crate::outbox::{Told, origin_of};
use crate::overflow::{Kept, Reference};
use crate::platform::WriteProtocol;
use crate::spec::Action;
use crate::store::{Append, OpenRow, Put, PutCause, Settles, StoreError};
use crate::{canonical, defect, probe};

/// What the checks of a request come to.
enum Planned {
    Event(Arc<Event>),
    /// Its idempotency key was used for the same before.
    Repeat,
}

/// How an append ended.
enum Appended {
    Yes,
    /// The journal is elsewhere than the actor thought; nothing was written.
    Violated(StoreError),
}

impl Actor {
    pub(super) async fn write(
        &mut self,
        mut op: EntityOp,
        terms: Terms,
    ) -> Result<Answer, RequestError> {
        // The event's timestamp and every deadline that follows from it: read once, here.
        let now_ms = self.now_ms();
        for attempt in 1.. {
            let planned = self.plan(&mut op, &terms, now_ms).await?;
            let Planned::Event(event) = planned else {
                return self.repeat().await;
            };
            let (after, bodies) = fold(self.state().cloned(), &event);
            if self.defective_write(&event, &after, terms.settles.is_some()).await {
                return self.answer(&after, bodies).await;
            }
            let puts = distinct_puts(&bodies);
            let written = (Arc::clone(&event), after);
            match self.append(written, &puts, terms.settles.as_ref(), now_ms).await? {
                Appended::Yes => return self.finish(puts, bodies).await,
                Appended::Violated(error) if defect!("lost-ack-rolls-back") => {
                    return Err(self.unavailable(&error));
                }
                Appended::Violated(error) => {
                    // No probe stands here: only another program's event leads here, and a simulated file
                    // has one server (`tests/rivals.rs` has the other). Given up or not, the journal is read
                    // before the next answer.
                    self.loaded = None;
                    if attempt == 2 {
                        return Err(self.unavailable(&error));
                    }
                    if let Some(params) = op.params_mut() {
                        params.clone_from(&event.params);
                    }
                    self.load().await?;
                }
            }
        }
        unreachable!("the second attempt returns")
    }

    /// The checks in the contract's order after those of the platform: key, entity, `If-Match`,
    /// action, state, guard. An event takes the params with it.
    async fn plan(
        &mut self,
        op: &mut EntityOp,
        terms: &Terms,
        now_ms: i64,
    ) -> Result<Planned, RequestError> {
        let params = op.params_mut().map(std::mem::take).unwrap_or_default();
        let action_name = match op {
            EntityOp::Create(_) => CREATED,
            EntityOp::Act(action, _) => action.as_str(),
            EntityOp::Patch(_) => UPDATED,
            _ => DELETED,
        };
        let state = self.shared_state();
        let key = terms.idempotency_key.as_deref();
        if is_repeat(terms, state.as_deref(), || use_digest(action_name, &params))? {
            return Ok(Planned::Repeat);
        }
        let tenant = std::sync::Arc::clone(&self.tenant);
        let table = tenant.core.table(&self.key.entity_type);
        let mut planner = Planner {
            table,
            mode: tenant.mode,
            now_ms,
            ids: tenant.core.seams.ids.as_ref(),
            logical: &BTreeMap::new(),
            idempotency_key: key,
        };
        if matches!(op, EntityOp::Create(_)) {
            return match state {
                Some(_) => Err(RequestError::EntityExists(self.name.clone())),
                None => Ok(Planned::Event(Arc::new(planner.create(&self.key, params)))),
            };
        }
        let Some(state) = state.filter(|state| !state.deleted) else {
            return Err(RequestError::EntityNotFound(self.name.clone()));
        };
        check_if_match(terms.if_match.as_deref(), &state)?;
        let event = match op {
            EntityOp::Act(name, _) => {
                let action = table.action(name).ok_or_else(|| RequestError::UnknownAction {
                    entity_type: self.key.entity_type.clone(),
                    action: name.clone(),
                })?;
                let logical = self.logical_values(action, &state, now_ms).await?;
                planner.logical = &logical;
                planner.act(&self.key, &state, action, params)?
            }
            EntityOp::Patch(_) => planner.patch(&self.key, &state, params),
            _ => planner.delete(&self.key, &state),
        };
        Ok(Planned::Event(Arc::new(event)))
    }

    /// The values behind the references that an action reads, by field.
    async fn logical_values(
        &mut self,
        action: &Action,
        state: &EntityState,
        now_ms: i64,
    ) -> Result<BTreeMap<String, Value>, RequestError> {
        let needed: BTreeMap<String, Reference> = needed_fields(action)
            .filter_map(|field| {
                let mut references = state.references();
                let (_, reference) = references.find(|(name, _)| *name == field)?;
                Some((field.to_owned(), reference.clone()))
            })
            .collect();
        if needed.is_empty() {
            return Ok(BTreeMap::new());
        }
        Ok(self.values(&needed, &BTreeMap::new(), now_ms).await?.values)
    }

    /// A known key: the present state, and nothing is written.
    async fn repeat(&mut self) -> Result<Answer, RequestError> {
        probe!("an idempotency key was repeated");
        let state = self.shared_state().expect("a known key belongs to an entity");
        if state.deleted {
            return Ok(Answer::success(204, Value::Null, Some(state.sequence_nr)));
        }
        self.show(200, &state, &BTreeMap::new()).await
    }

    /// The order in which an event and its blobs are written.
    fn protocol(&self) -> WriteProtocol {
        match self.tenant.core.protocol {
            _ if defect!("blobs-after-event") => WriteProtocol::EventThenBlobs,
            protocol => protocol,
        }
    }

    /// Writes the event, and its blobs where the protocol has them first or with it.
    async fn append(
        &mut self,
        (event, after): (Arc<Event>, EntityState),
        puts: &[Put],
        settles: Option<&Settles>,
        now_ms: i64,
    ) -> Result<Appended, RequestError> {
        let protocol = self.protocol();
        if protocol == WriteProtocol::BlobsThenEvent && !puts.is_empty() {
            let put = self.tenant.store.put(self.caller(), puts, PutCause::Live, now_ms).await;
            put.map_err(|error| self.unavailable(&error))?;
        }
        let with_event = if protocol == WriteProtocol::Atomic { puts.to_vec() } else { Vec::new() };
        let settles = settles.filter(|_| !defect!("callback-twice")).cloned();
        let append = Append { event: Arc::clone(&event), puts: with_event, settles };
        let appended = self.tenant.store.append(self.caller(), append, now_ms).await;
        match appended {
            Ok(()) => {
                self.warn_of_truncation(&event);
                self.step_to(after);
                self.tell_outbox(&event, true);
                Ok(Appended::Yes)
            }
            Err(error @ StoreError::ConcurrencyViolation { .. }) => Ok(Appended::Violated(error)),
            Err(error @ StoreError::InDoubt(_)) => self.settle(&event, &error).await,
            Err(error) => Err(self.unavailable(&error)),
        }
    }

    /// An append in doubt: the store commits its barrier, then the journal says what happened.
    /// Until it can be read the entity answers nothing.
    async fn settle(
        &mut self,
        event: &Event,
        error: &StoreError,
    ) -> Result<Appended, RequestError> {
        probe!("an append was in doubt");
        if defect!("lost-ack-rolls-back") {
            self.tell_outbox(event, false);
            return Err(self.unavailable(error));
        }
        self.loaded = None;
        let loaded = self.load().await;
        // This boot is the only writer, so an event of this number is this one.
        let present = self.state().is_some_and(|state| state.sequence_nr >= event.sequence_nr);
        self.tell_outbox(event, present);
        loaded?;
        if present {
            // No probe stands here: SQLite shows a connection nothing of a commit that failed, so that no campaign
            // comes by (`tests/puts.rs` does).
            return Ok(Appended::Yes);
        }
        probe!("a doubt was settled as absent");
        Err(self.unavailable(error))
    }

    /// What the event is owed, if anything, for the tenant's dispatcher; `certain` unless it is not
    /// known whether the event is there.
    fn tell_outbox(&self, event: &Event, certain: bool) {
        if event.intents.is_empty() {
            return;
        }
        let rows = OpenRow::of_event(event);
        let origin = origin_of(&self.origin);
        self.tenant.outbox.tell(&self.tenant, Told::Written { rows, origin, certain });
    }

    /// The state after an event that is in the journal.
    fn step_to(&mut self, after: EntityState) {
        let loaded = self.loaded.as_mut().expect("a plan is made from a loaded state");
        loaded.state = Some(Arc::new(after));
    }

    fn warn_of_truncation(&self, event: &Event) {
        for (field, kept) in &event.changes.fields {
            let Kept::Truncated { limit } = kept else { continue };
            let Some(value) = event.own_value_of(field) else { continue };
            let size = canonical::size_of(&canonical::to_text(&value));
            tracing::warn!(entity = self.name, field, size, limit, "value was truncated");
        }
    }

    /// Puts what is still to be put and answers with the state.
    async fn finish(&mut self, puts: Vec<Put>, bodies: Vec<Body>) -> Result<Answer, RequestError> {
        if self.protocol() == WriteProtocol::EventThenBlobs {
            self.pending = puts;
            let put = self.put_pending().await;
            if put.is_err() && defect!("lost-ack-rolls-back") {
                self.roll_back_in_memory().await;
            }
            put?;
        }
        let after = self.shared_state().expect("an event was just folded in");
        self.answer(&after, bodies).await
    }

    async fn answer(
        &mut self,
        after: &EntityState,
        bodies: Vec<Body>,
    ) -> Result<Answer, RequestError> {
        if after.deleted {
            return Ok(Answer::success(204, Value::Null, Some(after.sequence_nr)));
        }
        let status = if after.sequence_nr == 1 { 201 } else { 200 };
        let fresh = bodies.into_iter().map(|body| (body.reference.key, body.text)).collect();
        self.show(status, after, &fresh).await
    }

    /// Puts the blobs of an event that is in the journal. Bodies past their deadline are left out,
    /// as a replay leaves them out.
    pub(super) async fn put_pending(&mut self) -> Result<(), RequestError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let now_ms = self.now_ms();
        self.pending.retain(|put| put.expires_at_ms.is_none_or(|deadline| now_ms < deadline));
        if self.pending.is_empty() {
            return Ok(());
        }
        let put = self.tenant.store.put(self.caller(), &self.pending, PutCause::Live, now_ms).await;
        if put.is_err() {
            probe!("a put failed after its event");
        }
        put.map_err(|error| self.unavailable(&error))?;
        self.pending.clear();
        Ok(())
    }

    /// Defects that take the place of a write; `false` unless one is on and took it.
    async fn defective_write(&mut self, event: &Event, after: &EntityState, settles: bool) -> bool {
        if defect!("patch-not-journalled") && event.action == UPDATED {
            let mut after = after.clone();
            after.sequence_nr -= 1;
            self.step_to(after);
            return true;
        }
        // Without blobs and rows, so that what goes wrong is the acknowledgement alone.
        let is_plain = !settles && event.intents.is_empty() && event.action != DELETED;
        if is_plain
            && defect!("ack-before-commit")
            && fold(self.state().cloned(), event).1.is_empty()
        {
            self.late = Some(event.clone());
            return true;
        }
        false
    }

    /// With the defect `ack-before-commit`: the event, after its answer.
    pub(super) async fn commit_late(&mut self) {
        let Some(event) = self.late.take() else {
            return;
        };
        let (after, bodies) = fold(self.state().cloned(), &event);
        let puts = distinct_puts(&bodies);
        let now_ms = self.now_ms();
        if let Ok(Appended::Yes) = self.append((Arc::new(event), after), &puts, None, now_ms).await
        {
            self.pending = puts;
            // What fails is put before the next answer.
            let _ = self.put_pending().await;
        }
    }

    /// With the defect `lost-ack-rolls-back`: the state before the last event.
    async fn roll_back_in_memory(&mut self) {
        self.pending.clear();
        let Ok(journal) = self.tenant.store.journal(self.caller(), &self.key, true).await else {
            return;
        };
        let mut state = None;
        for row in journal.events.iter().take(journal.events.len().saturating_sub(1)) {
            let Ok(event) = super::decode_event(&self.key, row) else {
                return;
            };
            state = Some(fold(state, &event).0);
        }
        if let Some(loaded) = &mut self.loaded {
            loaded.state = state.map(Arc::new);
        }
    }
}

/// One put per distinct body.
fn distinct_puts(bodies: &[Body]) -> Vec<Put> {
    let mut puts = BTreeMap::new();
    for body in bodies {
        merge_put(&mut puts, &body.reference, Arc::clone(&body.text));
    }
    puts.into_values().collect()
}

/// Whether the request's key was used for the same before.
fn is_repeat(
    terms: &Terms,
    state: Option<&EntityState>,
    digest: impl FnOnce() -> String,
) -> Result<bool, RequestError> {
    let (Some(key), Some(state)) = (&terms.idempotency_key, state) else { return Ok(false) };
    if terms.settles.is_some() && defect!("callback-twice") {
        return Ok(false);
    }
    match state.keys.get(key) {
        Some(used) if *used == digest() => Ok(true),
        Some(_) => Err(RequestError::KeyReused(key.clone())),
        None => Ok(false),
    }
}

fn check_if_match(if_match: Option<&str>, state: &EntityState) -> Result<(), RequestError> {
    let Some(expected) = if_match else {
        return Ok(());
    };
    let etag = format!("\"{}\"", state.sequence_nr);
    if expected == "*" || expected.split(',').any(|one| one.trim() == etag) {
        return Ok(());
    }
    let (expected, actual) = (expected.to_owned(), state.sequence_nr);
    Err(RequestError::PreconditionFailed { expected, actual })
}
