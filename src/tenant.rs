//! One tenant: its store, its outbox, and the way to its entities' actors.
//!
//! **Invariant:** an entity has one actor at a time. One that goes takes itself off the list first,
//! and only if nothing was sent to it meanwhile.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot};

use crate::answer::{Answer, RequestError};
use crate::entity::{self, Asked, EntityOp, Message, Recalled, Terms};
use crate::intake::{self, Intake, Sender};
use crate::outbox::Outbox;
use crate::overflow::OverflowMode;
use crate::platform::{Core, lock};
use crate::request::Request;
use crate::seams::Point;
use crate::store::{EntityKey, Store};

/// A tenant: its store and its actors.
pub(crate) struct Tenant {
    pub name: String,
    pub mode: OverflowMode,
    pub store: Store,
    pub core: Arc<Core>,
    pub outbox: Outbox,
    actors: Mutex<BTreeMap<EntityKey, mpsc::UnboundedSender<Message>>>,
}

impl Tenant {
    /// A tenant without actors, whose file is not open.
    pub fn new(name: String, mode: OverflowMode, core: Arc<Core>) -> Self {
        let (seams, metrics) = (core.seams.clone(), Arc::clone(&core.metrics));
        let store = Store::new(name.clone(), seams, metrics, core.checkpoint_pages);
        let actors = Mutex::new(BTreeMap::new());
        Self { name, mode, store, core, outbox: Outbox::default(), actors }
    }

    /// Has an entity do what is asked under these terms.
    pub async fn ask(
        self: &Arc<Self>,
        key: &EntityKey,
        op: EntityOp,
        (terms, origin): (Terms, String),
    ) -> Result<Answer, RequestError> {
        let (answer, answered) = oneshot::channel();
        self.send(key, Message { asked: Asked::Op(op, answer), terms, origin }).await;
        answered.await.map_err(|_| gone())
    }

    /// An entity as it was right after one of its events.
    pub async fn recall(
        self: &Arc<Self>,
        key: &EntityKey,
        sequence_nr: u64,
        (terms, origin): (Terms, String),
    ) -> Result<Recalled, RequestError> {
        let (answer, answered) = oneshot::channel();
        let asked = Asked::Recall(sequence_nr, answer);
        self.send(key, Message { asked, terms, origin }).await;
        answered.await.map_err(|_| gone())?
    }

    /// Serves a request of the platform's own, which passes the same checks as a client's.
    pub async fn serve_own(
        self: &Arc<Self>,
        request: Request,
        terms: Terms,
    ) -> Result<Answer, RequestError> {
        let core = &self.core;
        let table_of = |set: &str| core.table_of_set(set);
        let sent = (&request, Sender::Platform);
        match intake::check(sent, table_of, core.seams.ids.as_ref())? {
            Intake::Entity { key, op } => self.ask(&key, op, (terms, request.origin)).await,
            Intake::List { .. } => unreachable!("the outbox asks for no list"),
        }
    }

    async fn send(self: &Arc<Self>, key: &EntityKey, message: Message) {
        let entity = key.to_string();
        let (tenant, origin) = (&self.name, &message.origin);
        let point = Point { label: "mailbox.send", tenant, entity: &entity, origin };
        self.core.seams.points.reach(point).await;
        self.deliver(key, message);
    }

    /// Hands a message to its entity's actor, which is started if there is none.
    fn deliver(self: &Arc<Self>, key: &EntityKey, mut message: Message) {
        let mut actors = lock(&self.actors);
        loop {
            let mailbox =
                actors.entry(key.clone()).or_insert_with(|| entity::start(self, key.clone()));
            match mailbox.send(message) {
                Ok(()) => return,
                // The actor is gone without having said so: the next one replays.
                Err(mpsc::error::SendError(unsent)) => message = unsent,
            }
            actors.remove(key);
        }
    }

    /// Takes an actor off the list, unless it has been given something to do.
    pub fn retire(&self, key: &EntityKey, mailbox: &mpsc::UnboundedReceiver<Message>) -> bool {
        let mut actors = lock(&self.actors);
        let idle = mailbox.is_empty();
        if idle {
            actors.remove(key);
        }
        idle
    }
}

fn gone() -> RequestError {
    RequestError::Unavailable("the server stopped".to_owned())
}

/// `[a-z0-9][a-z0-9_-]{0,62}`
pub(crate) fn is_valid_tenant(tenant: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&tenant.len())
        && plain(tenant.as_bytes()[0])
        && tenant.bytes().all(|byte| plain(byte) || byte == b'_' || byte == b'-')
}
