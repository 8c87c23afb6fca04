//! The front: configuration, tenants, and the way of a request to its entity's actor and back.
//!
//! **Invariant (`I13`):** a request reaches the store of its own tenant and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};

use crate::answer::{Answer, RequestError};
use crate::entity::{EntityOp, Terms};
use crate::intake::{self, Intake, Sender};
use crate::list::List;
use crate::metrics::Metrics;
use crate::overflow::OverflowMode;
use crate::request::Request;
use crate::seams::{self, Seams};
use crate::spec::TransitionTable;
use crate::specs::Specs;
use crate::store::{Caller, StoreError};
use crate::sweeper::{self, SweepSettings};
use crate::tenant::Tenant;
use crate::wasm::{GuestLimits, MEMORY_MAX, Modules};

/// The order in which an action's event and blobs are written. All keep every invariant; they
/// differ in what a crash leaves behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WriteProtocol {
    /// A crash leaves a missing blob, which replay puts.
    #[default]
    EventThenBlobs,
    /// A crash leaves an orphan.
    BlobsThenEvent,
    /// One transaction; a crash leaves nothing.
    Atomic,
}

/// SQLite's default: pages of a log from which on a commit brings them to the file.
pub(crate) const CHECKPOINT_PAGES: u32 = 1_000;

/// How a platform runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The entity types, served to every tenant.
    pub specs: Specs,
    /// Order of event and blobs.
    pub protocol: WriteProtocol,
    /// The mode of tenants without their own.
    pub mode: OverflowMode,
    /// Modes by tenant.
    pub modes: BTreeMap<String, OverflowMode>,
    /// The background sweeper.
    pub sweep: SweepSettings,
    /// Events between snapshots.
    pub snapshot_every: u64,
    /// An actor without requests goes after this long.
    pub idle_ms: u64,
    /// From so many pages in a tenant's log on a commit brings them to its file.
    pub checkpoint_pages: u32,
    /// The WebAssembly modules that integrations name.
    pub modules: Modules,
    /// What one run of a module may use.
    pub guests: GuestLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            specs: Specs::default(),
            protocol: WriteProtocol::default(),
            mode: OverflowMode::default(),
            modes: BTreeMap::new(),
            sweep: SweepSettings::default(),
            snapshot_every: 100,
            idle_ms: 300_000,
            checkpoint_pages: CHECKPOINT_PAGES,
            modules: Modules::default(),
            guests: GuestLimits::default(),
        }
    }
}

/// Why a platform does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// A setting out of range.
    #[error("setting {0} must be at least 1")]
    Zero(&'static str),
    /// A setting out of range.
    #[error("setting {0} must be at most {1}")]
    TooLarge(&'static str, u64),
    /// The tenants' databases cannot be listed.
    #[error("databases cannot be listed: {0}")]
    Databases(String),
}

/// What every task of a platform shares.
pub(crate) struct Core {
    pub seams: Seams,
    pub protocol: WriteProtocol,
    pub snapshot_every: u64,
    pub idle_ms: u64,
    pub checkpoint_pages: u32,
    /// Changes once, when the platform stops; closed when it is dropped.
    pub stop: watch::Receiver<bool>,
    pub metrics: Arc<Metrics>,
    pub modules: Modules,
    pub guests: GuestLimits,
    specs: Specs,
    sets: BTreeMap<String, String>,
    /// Cloned into every task, so that a stop can wait for all of them.
    alive: Mutex<Option<mpsc::Sender<()>>>,
}

impl Core {
    /// The spec of an entity type that an actor was started for.
    pub fn table(&self, entity_type: &str) -> &TransitionTable {
        self.specs.table(entity_type).expect("actors are started for known types only")
    }

    /// The spec of an entity set.
    pub fn table_of_set(&self, set: &str) -> Option<&TransitionTable> {
        Some(self.table(self.sets.get(set)?))
    }

    /// The spec of an entity type that may not be known.
    pub fn table_if_known(&self, entity_type: &str) -> Option<&TransitionTable> {
        self.specs.table(entity_type)
    }

    /// Held by a task while it runs.
    pub fn alive(&self) -> Option<mpsc::Sender<()>> {
        lock(&self.alive).clone()
    }
}

/// The platform's parts that know the tenants.
pub(crate) struct Shared {
    pub core: Arc<Core>,
    pub sweep: SweepSettings,
    mode: OverflowMode,
    modes: BTreeMap<String, OverflowMode>,
    known: Mutex<BTreeSet<String>>,
    open: Mutex<BTreeMap<String, Arc<Tenant>>>,
}

impl Shared {
    /// Every tenant that has a file, in order.
    pub fn tenant_names(&self) -> Vec<String> {
        lock(&self.known).iter().cloned().collect()
    }

    /// A known tenant.
    pub fn tenant(&self, name: &str) -> Arc<Tenant> {
        let mut open = lock(&self.open);
        let tenant = open.entry(name.to_owned()).or_insert_with(|| {
            let mode = self.modes.get(name).copied().unwrap_or(self.mode);
            Arc::new(Tenant::new(name.to_owned(), mode, Arc::clone(&self.core)))
        });
        Arc::clone(tenant)
    }

    /// Whether the tenant has a file, or is about to have one.
    pub fn is_known(&self, tenant: &str) -> bool {
        lock(&self.known).contains(tenant)
    }
}

/// A running platform.
///
/// Dropping it without [`Platform::shutdown`] is what a kill does: nothing is written any more, and
/// the next start on the same databases recovers.
pub struct Platform {
    pub(crate) shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    ended: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

impl Platform {
    /// Finds the tenants, and starts the sweeper and each tenant's outbox, whose first reading opens its
    /// database. None of it is waited for.
    ///
    /// # Errors
    /// A bad setting; databases that cannot be listed.
    pub fn start(config: Config, seams: Seams) -> Result<Self, StartError> {
        let Config { sweep, snapshot_every, idle_ms, checkpoint_pages, guests, .. } = config;
        let settings = [
            ("sweep.interval_ms", sweep.interval_ms),
            ("sweep.batch", sweep.batch),
            ("snapshot_every", snapshot_every),
            ("idle_ms", idle_ms),
            ("checkpoint_pages", u64::from(checkpoint_pages)),
            ("guests.fuel", guests.fuel),
            ("guests.slice_fuel", guests.slice_fuel),
            ("guests.memory_bytes", guests.memory_bytes),
        ];
        if let Some((name, _)) = settings.into_iter().find(|(_, value)| *value == 0) {
            return Err(StartError::Zero(name));
        }
        if guests.memory_bytes > MEMORY_MAX {
            return Err(StartError::TooLarge("guests.memory_bytes", MEMORY_MAX));
        }
        if checkpoint_pages > i32::MAX as u32 {
            return Err(StartError::TooLarge("checkpoint_pages", i32::MAX as u64));
        }
        let known = seams.databases.tenants().map_err(StartError::Databases)?;
        let (stop, stopped) = watch::channel(false);
        let (alive, ended) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            sweep,
            mode: config.mode,
            modes: config.modes,
            known: Mutex::new(known.into_iter().collect()),
            open: Mutex::new(BTreeMap::new()),
            core: Arc::new(Core {
                seams,
                protocol: config.protocol,
                snapshot_every,
                idle_ms,
                checkpoint_pages,
                stop: stopped,
                metrics: Arc::default(),
                modules: config.modules,
                guests,
                sets: config.specs.sets(),
                specs: config.specs,
                alive: Mutex::new(Some(alive)),
            }),
        });
        for name in shared.tenant_names() {
            let tenant = shared.tenant(&name);
            tenant.outbox.recover(&tenant);
        }
        if sweep.enabled {
            seams::spawn(sweeper::run(Arc::clone(&shared)));
        }
        Ok(Self { shared, stop, ended: tokio::sync::Mutex::new(ended) })
    }

    /// The spec of an entity type.
    pub fn table(&self, entity_type: &str) -> Option<&TransitionTable> {
        self.shared.core.specs.table(entity_type)
    }

    /// Serves one request. Dropping the future leaves the action in doubt; it is not taken back.
    pub async fn handle(&self, request: Request) -> Answer {
        self.serve(request).await.unwrap_or_else(Answer::from)
    }

    async fn serve(&self, request: Request) -> Result<Answer, RequestError> {
        let shared = &self.shared;
        let table_of = |set: &str| shared.core.table_of_set(set);
        let sent = (&request, Sender::Client);
        let intake = intake::check(sent, table_of, shared.core.seams.ids.as_ref())?;
        if self.is_stopping() {
            return Err(RequestError::Unavailable("the server stops".to_owned()));
        }
        match intake {
            Intake::List { entity_type, skip, top, choice } => {
                let list = List { platform: self, request: &request, entity_type, choice };
                list.page(skip, top).await
            }
            Intake::Entity { key, op } => {
                if !shared.is_known(&request.tenant) {
                    if !matches!(op, EntityOp::Create(_)) {
                        return Err(RequestError::EntityNotFound(key.to_string()));
                    }
                    lock(&shared.known).insert(request.tenant.clone());
                }
                let Request { tenant, idempotency_key, if_match, origin, .. } = request;
                let terms = Terms { idempotency_key, if_match, ..Terms::default() };
                shared.tenant(&tenant).ask(&key, op, (terms, origin)).await
            }
        }
    }

    /// Deletes at most `max_rows` expired blobs of a tenant and returns how many. An unknown tenant
    /// has none.
    ///
    /// # Errors
    /// What its store cannot do.
    pub async fn sweep(&self, tenant: &str, max_rows: u64) -> Result<u64, StoreError> {
        if !self.shared.is_known(tenant) {
            return Ok(0);
        }
        let caller = Caller { entity: "", origin: "sweep" };
        let now_ms = self.shared.core.seams.clock.now_utc_ms();
        self.shared.tenant(tenant).store.sweep(caller, max_rows, now_ms).await
    }

    /// What it has done since its start.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.core.metrics
    }

    /// Whether a shutdown has begun: requests are answered 503.
    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Lets every actor finish what it has and snapshot its state, then stops. Requests that come
    /// after it began are answered 503.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        lock(&self.shared.core.alive).take();
        // Ends when the last task has dropped its token.
        while self.ended.lock().await.recv().await.is_some() {}
    }
}

/// Whether this can name an entity: 1 to 255 bytes without control characters.
pub(crate) fn is_valid_id(id: &str) -> bool {
    (1..=255).contains(&id.len()) && !id.chars().any(char::is_control)
}

/// Nothing that panics runs under these locks, so a poisoned one is whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
