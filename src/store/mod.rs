//! One tenant's database: the file, its transactions, and what a failed commit leaves behind.
//!
//! **Invariant:** after a commit whose outcome is unknown nothing is read for an answer before one
//! more row was committed on the same connection; it overwrites what the failed commit left in the
//! log. Every transaction checks that its boot is the newest. What a restart found in the log is
//! durable before it is shown: opening commits a row of `boots` first.

mod batch;
mod blobs;
mod journal;
mod outbox;
mod schema;
mod snapshots;
mod sql;

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::metrics::Metrics;
use crate::probe;
use crate::seams::{Point, Seams};
use crate::time;

pub use blobs::{Put, PutCause};
pub use journal::{Append, EventRow, Journal};
pub use outbox::{OpenRow, RowKey, Settles};
pub use snapshots::SnapshotRow;
pub use sql::SqlError;
use sql::{Database, Row, Value, text};

/// How often a transaction that finds the file locked is tried.
const BUSY_ATTEMPTS: u32 = 8;
/// The wait after the first of them, in milliseconds; it doubles.
const BUSY_BACKOFF_MS: u64 = 5;

/// What a store cannot do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The journal is elsewhere than the actor thought. Nothing was written.
    #[error("expected sequence number {expected}, the journal is at {actual}")]
    ConcurrencyViolation {
        /// The actor's.
        expected: u64,
        /// The journal's.
        actual: u64,
    },
    /// The outbox row that an event was owed for is not open any more. Nothing was written.
    #[error("the outbox row is settled already")]
    RowSettled,
    /// A commit failed: its transaction may be there or not.
    #[error("outcome of a commit is unknown: {0}")]
    InDoubt(SqlError),
    /// An earlier commit is in doubt, and could not be settled.
    #[error("an earlier commit is not settled: {0}")]
    Unsettled(SqlError),
    /// A statement failed and its transaction was rolled back.
    #[error(transparent)]
    Failed(#[from] SqlError),
    /// A newer server has opened the file.
    #[error("boot {own} is not the newest, {newest} is")]
    Superseded {
        /// This server's row.
        own: i64,
        /// The newest row.
        newest: i64,
    },
    /// The file belongs to others.
    #[error("file holds other tenants: {names}")]
    OtherTenants {
        /// Theirs.
        names: String,
    },
    /// SQLite would not keep a write-ahead log.
    #[error("journal mode is `{0}`, not WAL")]
    NoLog(String),
    /// A row that cannot be read whole.
    #[error("damaged row: {0}")]
    Damaged(String),
}

impl StoreError {
    /// Whether the file is not this server's any more, or never was: no later call will do better.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Superseded { .. } | Self::OtherTenants { .. })
    }
}

/// Which entity, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntityKey {
    /// Its type.
    pub entity_type: String,
    /// Its id.
    pub entity_id: String,
}

impl std::fmt::Display for EntityKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}('{}')", self.entity_type, self.entity_id)
    }
}

/// For whom a store call is made; shown at its point.
#[derive(Debug, Clone, Copy, Default)]
pub struct Caller<'a> {
    /// `EntityType('id')`, or nothing.
    pub entity: &'a str,
    /// The request's origin, or nothing.
    pub origin: &'a str,
}

/// One tenant's database, opened when first used.
pub struct Store {
    tenant: String,
    seams: Seams,
    metrics: Arc<Metrics>,
    /// Pages of the log from which on a commit brings them to the file.
    checkpoint_pages: u32,
    connection: Mutex<Connection>,
    /// Writes that may share a transaction.
    queue: batch::Queue,
}

#[derive(Default)]
struct Connection {
    open: Option<Open>,
}

struct Open {
    db: Database,
    boot: i64,
    standing: Standing,
}

#[derive(Clone)]
enum Standing {
    Settled,
    InDoubt,
    Superseded(StoreError),
}

/// Why a transaction that writes is not there.
enum GivenUp {
    /// It did not begin, or its commit failed.
    Whole(StoreError),
    /// What was to be done in it failed, and it was rolled back.
    ForWork(StoreError),
}

impl Store {
    /// A store that is not open yet.
    pub fn new(tenant: String, seams: Seams, metrics: Arc<Metrics>, checkpoint_pages: u32) -> Self {
        let (connection, queue) = (Mutex::default(), batch::Queue::default());
        Self { tenant, seams, metrics, checkpoint_pages, connection, queue }
    }

    /// Opens the file if it is not, settles what is in doubt, and checks that this server is still
    /// the file's: what an actor remembers may be older than what a newer server has acknowledged.
    /// Nothing may be answered before.
    ///
    /// # Errors
    /// What keeps the tenant from being served now.
    pub async fn ready(&self, caller: Caller<'_>) -> Result<(), StoreError> {
        self.read("store.ready", caller, |_, _| Ok(())).await
    }

    async fn reach(&self, label: &'static str, caller: Caller<'_>) {
        let Caller { entity, origin } = caller;
        self.seams.points.reach(Point { label, tenant: &self.tenant, entity, origin }).await;
    }

    /// A transaction that only reads.
    async fn read<T>(
        &self,
        label: &'static str,
        caller: Caller<'_>,
        work: impl FnOnce(&mut Database, &str) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        self.reach(label, caller).await;
        let mut connection = self.connection.lock().await;
        let open = self.usable(&mut connection).await?;
        self.begin(open, "BEGIN").await?;
        let result = work(&mut open.db, &self.tenant);
        // Nothing was written: how a reading transaction ends changes nothing.
        if open.db.execute("COMMIT", Vec::new()).is_err() {
            open.roll_back();
        }
        result
    }

    /// A transaction that writes: all of it, or nothing, or `InDoubt`.
    async fn write<T>(
        &self,
        label: &'static str,
        caller: Caller<'_>,
        work: impl FnOnce(&mut Database, &str) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        self.reach(label, caller).await;
        let mut connection = self.connection.lock().await;
        let written = self.transaction(&mut connection, work).await;
        written.map_err(|(GivenUp::Whole(error) | GivenUp::ForWork(error))| error)
    }

    async fn transaction<T>(
        &self,
        connection: &mut Connection,
        work: impl FnOnce(&mut Database, &str) -> Result<T, StoreError> + Send,
    ) -> Result<T, GivenUp> {
        let open = self.usable(connection).await.map_err(GivenUp::Whole)?;
        self.begin(open, "BEGIN IMMEDIATE").await.map_err(GivenUp::Whole)?;
        match work(&mut open.db, &self.tenant) {
            Ok(value) => self.commit(open).await.map(|()| value).map_err(GivenUp::Whole),
            Err(error) => {
                open.roll_back();
                Err(GivenUp::ForWork(error))
            }
        }
    }

    async fn commit(&self, open: &mut Open) -> Result<(), StoreError> {
        let committed = open.commit();
        if committed.is_err() {
            // At once, so that a store that is idle has nothing in doubt. What fails here is tried
            // again before the next answer.
            let _ = self.settle(open).await;
        }
        committed
    }

    /// The open connection with nothing in doubt.
    async fn usable<'a>(&self, connection: &'a mut Connection) -> Result<&'a mut Open, StoreError> {
        if connection.open.is_none() {
            connection.open = Some(self.open().await?);
        }
        let open = connection.open.as_mut().expect("it was opened above");
        match open.standing.clone() {
            Standing::Settled => {}
            Standing::Superseded(error) => return Err(error),
            Standing::InDoubt => self.settle(open).await?,
        }
        Ok(open)
    }

    /// One more row by this boot on this connection; then the log holds what the journal says.
    async fn settle(&self, open: &mut Open) -> Result<(), StoreError> {
        if !crate::defect!("no-barrier") {
            open.roll_back();
            let unsettled = |error| match error {
                StoreError::Failed(error) | StoreError::InDoubt(error) => {
                    StoreError::Unsettled(error)
                }
                other => other,
            };
            self.begin(open, "BEGIN IMMEDIATE").await.map_err(unsettled)?;
            let barrier = "UPDATE boots SET barriers = barriers + 1 WHERE id = ?1";
            if let Err(error) = open.db.execute(barrier, vec![Value::Integer(open.boot)]) {
                open.roll_back();
                return Err(StoreError::Unsettled(error));
            }
            open.commit().map_err(unsettled)?;
        }
        probe!("a commit in doubt was settled");
        open.standing = Standing::Settled;
        Ok(())
    }

    async fn open(&self) -> Result<Open, StoreError> {
        let uri = self.seams.databases.uri(&self.tenant);
        let mut attempt = 0;
        loop {
            let busy = match self.open_once(&uri) {
                Err(StoreError::Failed(error)) if error.is_busy() => StoreError::Failed(error),
                other => return other,
            };
            self.back_off(&mut attempt).await.ok_or(busy)?;
        }
    }

    fn open_once(&self, uri: &str) -> Result<Open, StoreError> {
        let mut db = Database::open(uri)?;
        schema::configure(&mut db, self.checkpoint_pages)?;
        db.execute("BEGIN IMMEDIATE", Vec::new())?;
        schema::migrate(&mut db, &self.tenant)?;
        let started_at = time::to_text(self.seams.clock.now_utc_ms());
        let insert = "INSERT INTO boots (started_at) VALUES (?1)";
        db.execute(insert, vec![text(&started_at)])?;
        let boot = newest_boot(&mut db)?;
        let mut open = Open { db, boot, standing: Standing::Settled };
        open.commit()?;
        Ok(open)
    }

    /// Begins a transaction, which is the only place where a lock is waited for, and checks that
    /// this server is still the file's.
    async fn begin(&self, open: &mut Open, begin: &'static str) -> Result<(), StoreError> {
        let mut attempt = 0;
        loop {
            let begun = open.db.execute(begin, Vec::new()).and_then(|_| newest_boot(&mut open.db));
            let error = match begun {
                Ok(newest) if newest == open.boot => return Ok(()),
                Ok(newest) => {
                    open.roll_back();
                    let error = StoreError::Superseded { own: open.boot, newest };
                    tracing::error!(tenant = self.tenant, %error, "tenant is no longer served");
                    open.standing = Standing::Superseded(error.clone());
                    return Err(error);
                }
                Err(error) => error,
            };
            open.roll_back();
            if !error.is_busy() {
                return Err(error.into());
            }
            self.back_off(&mut attempt).await.ok_or(error)?;
        }
    }

    /// Waits longer each time; nothing after the last attempt. No probe stands here: a simulated file has one
    /// connection at a time, so that no campaign comes by (`tests/rivals.rs` does).
    async fn back_off(&self, attempt: &mut u32) -> Option<()> {
        *attempt += 1;
        if *attempt >= BUSY_ATTEMPTS {
            return None;
        }
        self.seams.clock.sleep(BUSY_BACKOFF_MS << *attempt).await;
        Some(())
    }
}

impl Open {
    fn commit(&mut self) -> Result<(), StoreError> {
        let Err(error) = self.db.execute("COMMIT", Vec::new()) else {
            return Ok(());
        };
        probe!("a commit failed");
        self.standing = Standing::InDoubt;
        self.roll_back();
        Err(StoreError::InDoubt(error))
    }

    /// Ends an open transaction. SQLite has often done so itself.
    fn roll_back(&mut self) {
        if !self.db.is_autocommit() && self.db.execute("ROLLBACK", Vec::new()).is_err() {
            self.standing = Standing::InDoubt;
        }
    }
}

fn newest_boot(db: &mut Database) -> Result<i64, SqlError> {
    let row = db.row("SELECT max(id) FROM boots", Vec::new())?;
    Ok(row.and_then(|row: Row| row.integer(0)).unwrap_or(0))
}
