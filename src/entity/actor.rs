//! The actor: one task and one mailbox per entity, its requests in order.
//!
//! **Invariant:** a request is served from its first check to its answer before the next is taken.
//! Callers wait for an answer only: a caller that goes away changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::recall::Recalled;
use super::replay::Replayed;
use super::{EntityOp, EntityState};
use crate::answer::{Answer, RequestError};
use crate::hydrate::{self, Hydrated};
use crate::overflow::Reference;
use crate::seams::{self, Point};
use crate::store::{Caller, EntityKey, Put, Settles, StoreError};
use crate::tenant::Tenant;
use crate::{history, probe};

/// One request in a mailbox.
pub(crate) struct Message {
    pub asked: Asked,
    pub terms: Terms,
    pub origin: String,
}

/// What is asked, and where its answer goes.
pub(crate) enum Asked {
    /// What a request asks for.
    Op(EntityOp, oneshot::Sender<Answer>),
    /// The state right after an event, for the work that the event is owed.
    Recall(u64, oneshot::Sender<Result<Recalled, RequestError>>),
}

/// Under which conditions.
#[derive(Default)]
pub(crate) struct Terms {
    pub idempotency_key: Option<String>,
    pub if_match: Option<String>,
    /// The outbox row that the event is owed for.
    pub settles: Option<Settles>,
    /// Of a task that a stop waits for: the actor it starts must be waited for too.
    pub alive: Option<mpsc::Sender<()>>,
}

/// An entity's actor.
pub(super) struct Actor {
    pub tenant: Arc<Tenant>,
    pub key: EntityKey,
    /// `EntityType('id')`, as shown at points and in errors.
    pub name: String,
    /// Nothing until the journal was read, and again whenever it must be read anew.
    pub loaded: Option<Replayed>,
    /// Bodies whose event is in the journal and whose put has not succeeded yet.
    pub pending: Vec<Put>,
    /// The request being served.
    pub origin: String,
    /// With the defect `ack-before-commit`: what is still to be committed.
    pub late: Option<super::Event>,
}

enum Next {
    Message(Box<Message>),
    Idle,
    Stop,
}

/// Starts an entity's actor and returns its mailbox.
pub(crate) fn start(tenant: &Arc<Tenant>, key: EntityKey) -> mpsc::UnboundedSender<Message> {
    let (sender, mailbox) = mpsc::unbounded_channel();
    let name = key.to_string();
    let actor = Actor {
        tenant: Arc::clone(tenant),
        key,
        name,
        loaded: None,
        pending: Vec::new(),
        origin: String::new(),
        late: None,
    };
    seams::spawn(actor.run(mailbox));
    sender
}

impl Actor {
    async fn run(mut self, mut mailbox: mpsc::UnboundedReceiver<Message>) {
        let mut alive = self.tenant.core.alive();
        let mut stop = self.tenant.core.stop.clone();
        self.reach("actor.start").await;
        loop {
            let next = tokio::select! {
                biased;
                message = mailbox.recv() => match message {
                    Some(message) => Next::Message(Box::new(message)),
                    None => Next::Stop,
                },
                _ = stop.changed() => Next::Stop,
                () = self.tenant.core.seams.clock.sleep(self.tenant.core.idle_ms) => Next::Idle,
            };
            match next {
                Next::Message(mut message) => {
                    alive = alive.or(message.terms.alive.take());
                    self.take(*message).await;
                    // An entity that never was keeps no task.
                    if !self.is_known() && self.tenant.retire(&self.key, &mailbox) {
                        return;
                    }
                }
                Next::Idle => {
                    self.passivate().await;
                    if self.tenant.retire(&self.key, &mailbox) {
                        probe!("an idle actor was passivated");
                        return;
                    }
                }
                Next::Stop => {
                    // A platform that was dropped without a stop writes nothing any more.
                    if *stop.borrow() {
                        self.passivate().await;
                    }
                    return;
                }
            }
        }
    }

    async fn take(&mut self, message: Message) {
        let Message { asked, terms, origin } = message;
        self.origin = origin;
        self.reach("actor.take").await;
        // A caller that went away has its action in doubt; the action stands.
        match asked {
            Asked::Op(op, answer) => {
                let served = self.serve(op, terms).await;
                self.reach("actor.answer").await;
                let _ = answer.send(served.unwrap_or_else(Answer::from));
            }
            Asked::Recall(sequence_nr, answer) => {
                let recalled = self.recall(sequence_nr).await;
                self.reach("actor.answer").await;
                let _ = answer.send(recalled);
            }
        }
        self.commit_late().await;
        self.snapshot_if_due().await;
        self.origin.clear();
    }

    /// What must be so before anything is answered.
    pub(super) async fn be_ready(&mut self) -> Result<(), RequestError> {
        self.tenant.store.ready(self.caller()).await.map_err(|error| self.unavailable(&error))?;
        self.load().await?;
        self.put_pending().await
    }

    async fn serve(&mut self, op: EntityOp, terms: Terms) -> Result<Answer, RequestError> {
        self.be_ready().await?;
        match op {
            EntityOp::Get => {
                let Some(state) = self.shared_state().filter(|state| !state.deleted) else {
                    return Err(RequestError::EntityNotFound(self.name.clone()));
                };
                self.show(200, &state, &BTreeMap::new()).await
            }
            EntityOp::History(skip, top) => self.history(skip, top).await,
            op => self.write(op, terms).await,
        }
    }

    /// The answer that shows a state. `fresh` holds bodies that this request has just put.
    pub(super) async fn show(
        &mut self,
        status: u16,
        state: &EntityState,
        fresh: &BTreeMap<String, Arc<String>>,
    ) -> Result<Answer, RequestError> {
        let fields = self.hydrate(state, fresh).await?;
        let body = hydrate::entity_body(&self.tenant, state, fields);
        Ok(Answer::success(status, body, Some(state.sequence_nr)))
    }

    /// The values of a state's references, judged by one clock reading. A row that is missing has
    /// the journal replayed once, which puts it back.
    async fn hydrate(
        &mut self,
        state: &EntityState,
        fresh: &BTreeMap<String, Arc<String>>,
    ) -> Result<Hydrated, RequestError> {
        let now_ms = self.now_ms();
        let references: BTreeMap<String, Reference> = state
            .references()
            .map(|(name, reference)| (name.to_owned(), reference.clone()))
            .collect();
        self.values(&references, fresh, now_ms).await
    }

    /// The values of these references at this clock reading.
    pub(super) async fn values(
        &mut self,
        references: &BTreeMap<String, Reference>,
        fresh: &BTreeMap<String, Arc<String>>,
        now_ms: i64,
    ) -> Result<Hydrated, RequestError> {
        let mut replayed = false;
        loop {
            let read = hydrate::read(&self.tenant.store, self.caller(), references, fresh, now_ms);
            let mut hydrated = read.await.map_err(|error| self.unavailable(&error))?;
            if hydrated.missing.is_empty() {
                return Ok(hydrated);
            }
            if crate::defect!("missing-blob-is-null") {
                hydrated.missing_is_null();
                return Ok(hydrated);
            }
            if !replayed {
                probe!("a read found a blob missing");
                replayed = true;
                self.loaded = None;
                self.load().await?;
                continue;
            }
            // A row that was swept after the reading means expired, not lost.
            let later_ms = self.now_ms();
            let lost = hydrated.missing.iter().find(|name| !references[*name].is_expired(later_ms));
            if let Some(field) = lost {
                return Err(RequestError::BlobLost {
                    entity: self.name.clone(),
                    field: field.clone(),
                });
            }
            hydrated.missing_is_expired();
            return Ok(hydrated);
        }
    }

    async fn history(&mut self, skip: u64, top: u64) -> Result<Answer, RequestError> {
        let Some(last) = self.state().map(|state| state.sequence_nr) else {
            return Err(RequestError::EntityNotFound(self.name.clone()));
        };
        let now_ms = self.now_ms();
        let rows = self.tenant.store.events(self.caller(), &self.key, skip, top).await;
        let rows = rows.map_err(|error| self.unavailable(&error))?;
        // A page is whole, or its answer names the event that it lacks.
        let mut numbers = rows.iter().map(|row| row.sequence_nr);
        for expected in (skip + 1..=last).take(usize::try_from(top).unwrap_or(usize::MAX)) {
            if numbers.next() != Some(expected) {
                return Err(self.undecodable(expected, "it is missing"));
            }
        }
        let items = rows
            .iter()
            .map(|row| history::item(&self.key, row, now_ms))
            .collect::<Result<Vec<Value>, RequestError>>()?;
        Ok(Answer::success(200, history::page(items, skip, last), Some(last)))
    }

    pub(super) fn state(&self) -> Option<&EntityState> {
        self.loaded.as_ref().and_then(|loaded| loaded.state.as_deref())
    }

    /// The same, to keep while the actor goes on.
    pub(super) fn shared_state(&self) -> Option<Arc<EntityState>> {
        self.loaded.as_ref().and_then(|loaded| loaded.state.clone())
    }

    /// Whether there is an entity, or it is not known whether there is.
    fn is_known(&self) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| loaded.state.is_some())
            || !self.pending.is_empty()
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.tenant.core.seams.clock.now_utc_ms()
    }

    pub(super) fn caller(&self) -> Caller<'_> {
        Caller { entity: &self.name, origin: &self.origin }
    }

    async fn reach(&self, label: &'static str) {
        let tenant = &self.tenant.name;
        let point = Point { label, tenant, entity: &self.name, origin: &self.origin };
        self.tenant.core.seams.points.reach(point).await;
    }

    pub(super) fn unavailable(&self, error: &StoreError) -> RequestError {
        match error {
            StoreError::Damaged(reason) => RequestError::EventUndecodable {
                entity: self.name.clone(),
                sequence_nr: 0,
                reason: reason.clone(),
            },
            StoreError::RowSettled => RequestError::RowSettled,
            other => RequestError::Unavailable(other.to_string()),
        }
    }
}
