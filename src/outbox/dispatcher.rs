//! One tenant's dispatcher: it knows the open rows and starts each when it is due.
//!
//! **Invariant:** no row is acted upon twice at the same time, and none that is due waits for longer
//! than a minute: the wall clock may step, so nobody sleeps until a time of day.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use super::Told;
use super::worker::{self, Worker};
use crate::store::{Caller, OpenRow, RowKey, StoreError};
use crate::tenant::Tenant;
use crate::{defect, probe, seams};

/// Rows that are acted upon at the same time.
const PLACES: usize = 16;

/// The longest sleep, on monotonic time.
const SLEEP_MAX_MS: u64 = 60_000;

/// For rows that nobody of this boot has written.
const ORIGIN: &str = "outbox";

/// The origin of what is done for a request of this origin. What follows from it in turn has the
/// same one, or a chain of schedules would make it ever longer.
pub(crate) fn origin_of(request: &str) -> String {
    match request {
        "" => ORIGIN.to_owned(),
        own if own == ORIGIN || own.ends_with("/outbox") => own.to_owned(),
        other => format!("{other}/{ORIGIN}"),
    }
}

/// A row that is not due yet, and for whom it is acted upon.
struct Waiting {
    row: OpenRow,
    origin: String,
}

pub(super) struct Dispatcher {
    tenant: Arc<Tenant>,
    sender: mpsc::UnboundedSender<Told>,
    waiting: BTreeMap<RowKey, Waiting>,
    working: BTreeSet<RowKey>,
    /// Rows of appends in doubt: whose they are, should they turn out to be there.
    doubtful: BTreeMap<RowKey, String>,
    /// Whether the file may hold rows that are not known here.
    is_unread: bool,
    /// The monotonic time of the next reading, and the wait after it, should it fail.
    read_at_ms: u64,
    backoff_ms: u64,
    places: Arc<Semaphore>,
}

impl Dispatcher {
    pub fn new(tenant: Arc<Tenant>, sender: mpsc::UnboundedSender<Told>, is_unread: bool) -> Self {
        Self {
            tenant,
            sender,
            waiting: BTreeMap::new(),
            working: BTreeSet::new(),
            doubtful: BTreeMap::new(),
            is_unread,
            read_at_ms: 0,
            backoff_ms: worker::BACKOFF_MS,
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }

    pub async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Told>) {
        let core = Arc::clone(&self.tenant.core);
        let _alive = core.alive();
        let mut stop = core.stop.clone();
        loop {
            if *stop.borrow() || stop.has_changed().is_err() {
                return;
            }
            if self.is_unread && core.seams.clock.monotonic_ms() >= self.read_at_ms {
                if let Err(error) = self.read().await {
                    tracing::error!(tenant = self.tenant.name, %error, "outbox is not served");
                    return;
                }
                continue;
            }
            self.start_due().await;
            let wait_ms = self.wait_ms();
            let sleep = async {
                match wait_ms {
                    Some(wait_ms) => core.seams.clock.sleep(wait_ms).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = stop.changed() => return,
                told = inbox.recv() => match told {
                    Some(told) => self.hear(told),
                    None => return,
                },
                () = sleep => {}
            }
        }
    }

    fn hear(&mut self, told: Told) {
        match told {
            Told::Written { rows, origin, certain: true } => {
                for row in rows {
                    // A reading may have found the row before this was heard.
                    if !self.working.contains(&row.key) {
                        let (key, origin) = (row.key.clone(), origin.clone());
                        self.waiting.insert(key, Waiting { row, origin });
                    }
                }
            }
            Told::Written { rows, origin, certain: false } => {
                probe!("outbox rows were in doubt");
                self.doubtful.extend(rows.into_iter().map(|row| (row.key, origin.clone())));
                self.is_unread = true;
            }
            Told::Over(key) => drop(self.working.remove(&key)),
        }
    }

    /// Learns of every open row that is not known yet.
    ///
    /// # Errors
    /// The file is not this server's any more, or never was.
    async fn read(&mut self) -> Result<(), StoreError> {
        let caller = Caller { entity: "", origin: ORIGIN };
        match self.tenant.store.open_rows(caller).await {
            Ok(rows) => {
                for row in rows {
                    let key = row.key.clone();
                    let origin = self.doubtful.remove(&key).unwrap_or_else(|| {
                        probe!("a row was run again at start");
                        ORIGIN.to_owned()
                    });
                    if !self.working.contains(&key) {
                        self.waiting.entry(key).or_insert(Waiting { row, origin });
                    }
                }
                self.doubtful.clear();
                self.is_unread = false;
                self.backoff_ms = worker::BACKOFF_MS;
                Ok(())
            }
            Err(error) if error.is_final() => Err(error),
            Err(error) => {
                tracing::warn!(tenant = self.tenant.name, %error, "outbox cannot be read");
                let now_ms = self.tenant.core.seams.clock.monotonic_ms();
                self.read_at_ms = now_ms.saturating_add(self.backoff_ms);
                self.backoff_ms = worker::longer(self.backoff_ms);
                Ok(())
            }
        }
    }

    /// Starts what is due, in the order of the rows. The points are reached here, one after the other:
    /// tasks of one event would come to equal points at the same moment.
    async fn start_due(&mut self) {
        let core = Arc::clone(&self.tenant.core);
        let now_ms = core.seams.clock.now_utc_ms();
        let is_due = |_: &RowKey, one: &mut Waiting| one.row.due_ms.is_none_or(|due| due <= now_ms);
        let due: Vec<Waiting> =
            self.waiting.extract_if(.., is_due).map(|(_, waiting)| waiting).collect();
        for Waiting { row, origin } in due {
            let worker = Worker::new(Arc::clone(&self.tenant), row.clone(), origin);
            worker.reach_take().await;
            if *core.stop.borrow() {
                return;
            }
            if row.due_ms.is_some_and(|due_ms| now_ms - due_ms >= 1000) {
                probe!("a schedule was late");
            }
            self.working.insert(row.key);
            seams::spawn(worker.run(Arc::clone(&self.places), self.sender.clone()));
        }
    }

    /// How long nothing is to be done; for ever, if nothing is known to come.
    fn wait_ms(&self) -> Option<u64> {
        let clock = &self.tenant.core.seams.clock;
        let now_ms = clock.now_utc_ms();
        let until = |due_ms: i64| u64::try_from(due_ms.saturating_sub(now_ms)).unwrap_or(0);
        let next = self.waiting.values().filter_map(|one| one.row.due_ms).min().map(until);
        let read = self.is_unread.then(|| self.read_at_ms.saturating_sub(clock.monotonic_ms()));
        if defect!("schedules-polled") && next.is_some() && read.is_none() {
            return Some(5 * SLEEP_MAX_MS);
        }
        let next = next.into_iter().chain(read).min()?;
        Some(next.clamp(1, SLEEP_MAX_MS))
    }
}
