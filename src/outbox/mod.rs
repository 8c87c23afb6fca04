//! What the platform owes accepted actions: runs of modules, scheduled actions, children.
//!
//! **Invariant (`I15`):** every row is acted upon until it is settled, by this boot or a later one,
//! and its effect is one event or none: the event settles the row in its own transaction.

mod callback;
mod dispatcher;
mod worker;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::seams;
use crate::store::{OpenRow, RowKey};
use crate::tenant::Tenant;
use dispatcher::Dispatcher;
pub(crate) use dispatcher::origin_of;

/// What a dispatcher is told.
pub(crate) enum Told {
    /// An append has written rows, for this origin; or may have, where its outcome is unknown.
    Written { rows: Vec<OpenRow>, origin: String, certain: bool },
    /// Nothing more is done for a row in this boot.
    Over(RowKey),
}

/// The way to a tenant's dispatcher, which is started when there is first something for it.
#[derive(Default)]
pub(crate) struct Outbox(Mutex<Option<mpsc::UnboundedSender<Told>>>);

impl Outbox {
    /// Starts the dispatcher of a tenant whose file may hold open rows.
    pub fn recover(&self, tenant: &Arc<Tenant>) {
        drop(self.dispatcher(tenant, true));
    }

    /// Tells the dispatcher something.
    pub fn tell(&self, tenant: &Arc<Tenant>, told: Told) {
        // A dispatcher that has ended leaves the rest to the next boot.
        let _ = self.dispatcher(tenant, false).send(told);
    }

    fn dispatcher(&self, tenant: &Arc<Tenant>, recovers: bool) -> mpsc::UnboundedSender<Told> {
        let mut started = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = started.get_or_insert_with(|| {
            let (sender, inbox) = mpsc::unbounded_channel();
            let dispatcher = Dispatcher::new(Arc::clone(tenant), sender.clone(), recovers);
            seams::spawn(dispatcher.run(inbox));
            sender
        });
        sender.clone()
    }
}
