//! What is done for one row, again and again until the row is settled.
//!
//! **Invariant:** a module's run is repeated only by a later boot; within one boot its callback is
//! sent with the same params and key until it is known what became of it.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::{Semaphore, mpsc, watch};

use super::Told;
use super::callback::{self, Callback, Ran};
use crate::answer::{Answer, RequestError};
use crate::entity::{Intent, Terms};
use crate::request::{Op, Request};
use crate::seams::Point;
use crate::spec::set_of;
use crate::store::{Caller, EntityKey, OpenRow, Settles, StoreError};
use crate::tenant::Tenant;
use crate::wasm;
use crate::{defect, probe};

/// The wait after a first attempt that ended in doubt, in milliseconds; it doubles.
pub(super) const BACKOFF_MS: u64 = 100;
const BACKOFF_MAX_MS: u64 = 5_000;

pub(super) fn longer(backoff_ms: u64) -> u64 {
    (backoff_ms * 2).min(BACKOFF_MAX_MS)
}

/// The attempt may have done something or not: it is made again.
struct InDoubt(String);

/// What became of a request that was answered for certain.
enum Sent {
    /// It is an event, which has settled the row if it was to.
    Accepted,
    /// The row is not open any more.
    Settled,
    /// Nothing was changed.
    Rejected { status: u16, code: &'static str },
}

pub(super) struct Worker {
    tenant: Arc<Tenant>,
    row: OpenRow,
    origin: String,
    /// The entity's name, as at points.
    entity: String,
    /// What the module's run has come to, once it is over.
    ran: Option<Ran>,
    alive: Option<mpsc::Sender<()>>,
}

impl Worker {
    pub fn new(tenant: Arc<Tenant>, row: OpenRow, origin: String) -> Self {
        let entity = row.key.entity.to_string();
        let alive = tenant.core.alive();
        Self { tenant, row, origin, entity, ran: None, alive }
    }

    pub async fn run(mut self, places: Arc<Semaphore>, dispatcher: mpsc::UnboundedSender<Told>) {
        let key = self.row.key.clone();
        let stop = self.tenant.core.stop.clone();
        tokio::select! {
            biased;
            // A platform that was dropped without a stop does nothing any more.
            () = dropped(stop) => return,
            () = self.work(&places) => {}
        }
        let _ = dispatcher.send(Told::Over(key));
    }

    async fn work(&mut self, places: &Semaphore) {
        let core = Arc::clone(&self.tenant.core);
        let mut stop = core.stop.clone();
        let mut backoff_ms = BACKOFF_MS;
        loop {
            let place = tokio::select! {
                biased;
                _ = stop.changed() => return,
                place = places.acquire() => place.expect("nobody closes it"),
            };
            let attempt = self.attempt().await;
            drop(place);
            let Err(InDoubt(reason)) = attempt else { return };
            tracing::warn!(entity = self.entity, reason, "outbox row is acted upon again");
            tokio::select! {
                biased;
                _ = stop.changed() => return,
                () = core.seams.clock.sleep(backoff_ms) => {}
            }
            backoff_ms = longer(backoff_ms);
            if self.tenant.store.ready(self.caller()).await.is_err_and(|error| error.is_final()) {
                return;
            }
            self.reach_take().await;
            if self.ran.is_some() {
                probe!("a callback was repeated");
            }
        }
    }

    async fn attempt(&mut self) -> Result<(), InDoubt> {
        match self.row.intent.clone() {
            Intent::Trigger { integration } => self.trigger(&integration).await,
            Intent::Schedule { action, .. } => {
                let EntityKey { entity_type, entity_id } = self.row.key.entity.clone();
                let op = Self::call(&entity_type, entity_id, &action, Map::new());
                let sent = self.send(op, self.own_key(), self.done()).await?;
                self.finish(sent).await
            }
            Intent::Spawn { entity_type, entity_id, initial_action, fields } => {
                let child = Child { entity_type, entity_id, initial_action, fields };
                self.spawn(child).await
            }
        }
    }

    async fn trigger(&mut self, integration: &str) -> Result<(), InDoubt> {
        if self.ran.is_none() {
            self.ran = Some(self.run_module(integration).await?);
        }
        loop {
            let ran = self.ran.as_mut().expect("it was set above");
            let Some(callback) = &ran.callback else {
                return self.close("no callback").await;
            };
            let Callback { action, params } = callback.clone();
            let entity = self.row.key.entity.clone();
            let op = Self::call(&entity.entity_type, entity.entity_id, &action, params);
            let sent = self.send(op, self.own_key(), self.done()).await?;
            if let Sent::Rejected { status, code } = sent
                && callback::is_rejected_for_what_it_is(status, code)
                && let Some(ran) = &mut self.ran
                && let Some(on_failure) = ran.on_failure.take()
            {
                probe!("a callback became on_failure");
                ran.callback = Some(on_failure.rejected(status, code));
                continue;
            }
            if matches!(sent, Sent::Rejected { .. }) {
                probe!("a callback was rejected for the state");
            }
            return self.finish(sent).await;
        }
    }

    /// Runs the module once for this boot, and decides what is called back.
    async fn run_module(&mut self, name: &str) -> Result<Ran, InDoubt> {
        let tenant = Arc::clone(&self.tenant);
        let table = tenant.core.table_if_known(&self.row.key.entity.entity_type);
        let integrations = table.map(|table| &table.automaton().integrations);
        let integration = integrations.into_iter().flatten().find(|one| one.name == name);
        let Some(integration) = integration else {
            tracing::error!(entity = self.entity, name, "integration is in no spec any more");
            return Ok(Ran::default());
        };
        let run = wasm::Run::begin(&tenant, integration, &self.origin);
        let terms = Terms { alive: self.alive.clone(), ..Terms::default() };
        let (key, at) = (&self.row.key.entity, self.row.key.sequence_nr);
        let recalled = match tenant.recall(key, at, (terms, self.origin.clone())).await {
            Ok(recalled) => recalled,
            // A deletion has closed the row.
            Err(RequestError::EntityNotFound(_)) => return Ok(Ran::default()),
            Err(error) => return Err(InDoubt(error.to_string())),
        };
        let outcome = run.run(recalled).await;
        tenant.core.metrics.guest_runs.add(1);
        Ok(callback::decide(integration, outcome))
    }

    async fn spawn(&mut self, child: Child) -> Result<(), InDoubt> {
        let Child { entity_type, entity_id, initial_action, mut fields } = child;
        let parent = &self.row.key;
        let key = format!("temper:{}:{}:{}", parent.entity, parent.sequence_nr, parent.n);
        fields.insert("Id".to_owned(), Value::from(entity_id.as_str()));
        let create = Op::Create { set: set_of(&entity_type), body: Value::Object(fields).into() };
        let settles = match initial_action {
            Some(_) => Settles::Step(parent.clone()),
            None => self.done(),
        };
        let created = self.send(create, key.clone(), settles).await?;
        if let Sent::Rejected { code: "EntityExists", .. } = created {
            probe!("a spawn found its child");
            return self.close("child exists").await;
        }
        let (Sent::Accepted, Some(action)) = (&created, initial_action) else {
            return self.finish(created).await;
        };
        let op = Self::call(&entity_type, entity_id, &action, Map::new());
        let sent = self.send(op, format!("{key}:initial"), self.done()).await?;
        self.finish(sent).await
    }

    fn call(entity_type: &str, id: String, action: &str, params: Map<String, Value>) -> Op {
        let (set, action) = (set_of(entity_type), action.to_owned());
        Op::Act { set, id, action, params: Value::Object(params).into() }
    }

    async fn send(&self, op: Op, key: String, settles: Settles) -> Result<Sent, InDoubt> {
        let request = Request::new(self.tenant.name.clone(), op);
        let request = request.with_key(key.clone()).with_origin(self.origin.clone());
        let terms = Terms {
            idempotency_key: Some(key),
            settles: Some(settles),
            alive: self.alive.clone(),
            if_match: None,
        };
        let answer = self.tenant.serve_own(request, terms).await.unwrap_or_else(Answer::from);
        match (answer.status, answer.code) {
            (_, None) => Ok(Sent::Accepted),
            (_, Some("RowSettled")) => Ok(Sent::Settled),
            (500.., Some(code)) => Err(InDoubt(code.to_owned())),
            (status, Some(code)) => Ok(Sent::Rejected { status, code }),
        }
    }

    async fn finish(&self, sent: Sent) -> Result<(), InDoubt> {
        match sent {
            Sent::Accepted if defect!("callback-twice") => {
                let now_ms = self.tenant.core.seams.clock.now_utc_ms();
                match self.tenant.store.settle_row(self.caller(), &self.row.key, now_ms).await {
                    Ok(()) | Err(StoreError::RowSettled) => Ok(()),
                    Err(error) => Err(InDoubt(error.to_string())),
                }
            }
            Sent::Accepted | Sent::Settled => Ok(()),
            Sent::Rejected { status, code } => self.close(&format!("{status} {code}")).await,
        }
    }

    async fn close(&self, reason: &str) -> Result<(), InDoubt> {
        let now_ms = self.tenant.core.seams.clock.now_utc_ms();
        let store = &self.tenant.store;
        let closed = store.close_row(self.caller(), &self.row.key, reason, now_ms).await;
        closed.map_err(|error| InDoubt(error.to_string()))
    }

    fn done(&self) -> Settles {
        Settles::Done(self.row.key.clone())
    }

    fn own_key(&self) -> String {
        format!("temper:{}:{}", self.row.key.sequence_nr, self.row.key.n)
    }

    fn caller(&self) -> Caller<'_> {
        Caller { entity: &self.entity, origin: &self.origin }
    }

    /// Comes by the point before a row is acted upon.
    pub async fn reach_take(&self) {
        let label = "outbox.take";
        let (tenant, entity, origin) = (&self.tenant.name, &self.entity, &self.origin);
        self.tenant.core.seams.points.reach(Point { label, tenant, entity, origin }).await;
    }
}

/// What a spawn creates.
struct Child {
    entity_type: String,
    entity_id: String,
    initial_action: Option<String>,
    fields: Map<String, Value>,
}

/// Ends when the platform has been dropped.
async fn dropped(mut stop: watch::Receiver<bool>) {
    while stop.changed().await.is_ok() {}
}
