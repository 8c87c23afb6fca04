//! Writes of several actors in one transaction: a commit costs the disk the same, however many wait for it.
//!
//! **Invariant:** a write is in one transaction, whole, and in none together with a write that failed. All
//! writes of a transaction end alike: durable when its commit succeeds, in doubt when it fails.

use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::sync::oneshot;

use super::{Caller, Connection, Database, GivenUp, SqlError, Store, StoreError};
use crate::platform::lock;
use crate::probe;
use crate::seams::Point;

/// Writes in one transaction at most: none waits for many others.
const BATCH_MAX: usize = 32;
/// Bytes that others bring into a transaction at most. Where there is much to write, the disk's sync is not
/// what takes long, and those who are through go on while the next are written.
const JOINING_MAX_BYTES: usize = 1024 * 1024;

/// What a write does within a transaction; returns how many bodies it wrote. It is done again where the
/// transaction was given up for another write's sake.
pub(super) type Work = Box<dyn FnMut(&mut Database, &str) -> Result<u64, StoreError> + Send>;

/// A write that may share its transaction.
pub(super) struct Write {
    pub work: Work,
    /// About as much as it brings.
    pub size_bytes: usize,
}

type Outcome = Result<u64, StoreError>;

/// A write whose turn has not come.
struct Waiting {
    write: Write,
    /// Whether another write may take it along.
    joins: bool,
    outcome: oneshot::Sender<Outcome>,
}

/// The writes that wait, in the order in which they came.
#[derive(Default)]
pub(super) struct Queue(Mutex<State>);

#[derive(Default)]
struct State {
    next_ticket: u64,
    waiting: BTreeMap<u64, Waiting>,
}

/// A place in the queue. A write whose caller goes away before its turn is not made.
struct Place<'a> {
    queue: &'a Queue,
    ticket: u64,
    outcome: oneshot::Receiver<Outcome>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        lock(&self.queue.0).waiting.remove(&self.ticket);
    }
}

impl Queue {
    fn enter(&self, write: Write, joins: bool) -> Place<'_> {
        let (sender, outcome) = oneshot::channel();
        let mut state = lock(&self.0);
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.insert(ticket, Waiting { write, joins, outcome: sender });
        Place { queue: self, ticket, outcome }
    }

    /// The write of this ticket and those that join it; nothing if it was taken along before.
    fn take(&self, ticket: u64) -> Option<Batch> {
        let mut state = lock(&self.0);
        let own = state.waiting.remove(&ticket)?;
        let joining = state.waiting.iter().filter(|(_, one)| one.joins).take(BATCH_MAX - 1);
        let mut size_bytes = 0;
        let has_room = joining.take_while(|(_, one)| {
            size_bytes += one.write.size_bytes;
            size_bytes <= JOINING_MAX_BYTES
        });
        let tickets: Vec<u64> = has_room.map(|(other, _)| *other).collect();
        let before = tickets.partition_point(|other| *other < ticket);
        let mut writes: Vec<Waiting> =
            tickets.into_iter().filter_map(|one| state.waiting.remove(&one)).collect();
        writes.insert(before, own);
        Some(Batch { writes, own: before })
    }
}

/// Writes that are made together, in the order in which they came.
struct Batch {
    writes: Vec<Waiting>,
    /// The place of the write whose caller makes them.
    own: usize,
}

impl Batch {
    /// Tells each caller how its write ended, and returns how the own one did.
    fn tell(self, outcomes: Vec<Outcome>) -> Outcome {
        let own = outcomes[self.own].clone();
        for (index, (one, outcome)) in self.writes.into_iter().zip(outcomes).enumerate() {
            if index != self.own {
                // Whoever went away has its write in doubt.
                let _ = one.outcome.send(outcome);
            }
        }
        own
    }
}

impl Store {
    /// A write that may share its transaction with others: all of it, or nothing, or `InDoubt`. Whoever
    /// gets the connection makes what waits, so that the rest need not have it.
    pub(super) async fn write_together(
        &self,
        label: &'static str,
        caller: Caller<'_>,
        write: Write,
    ) -> Outcome {
        let Caller { entity, origin } = caller;
        let point = Point { label, tenant: &self.tenant, entity, origin };
        let (joins, turn) = self.seams.points.reach_together(point);
        let mut place = self.queue.enter(write, joins);
        turn.await;
        let mut connection = tokio::select! {
            biased;
            outcome = &mut place.outcome => return outcome.unwrap_or_else(|_| abandoned()),
            connection = self.connection.lock() => connection,
        };
        match self.queue.take(place.ticket) {
            Some(batch) => self.make(&mut connection, batch).await,
            // Whoever took it along had the connection before: its outcome is there.
            None => place.outcome.try_recv().unwrap_or_else(|_| abandoned()),
        }
    }

    /// Makes a batch and tells each of its writes how it ended.
    async fn make(&self, connection: &mut Connection, mut batch: Batch) -> Outcome {
        let count = batch.writes.len();
        if count > 1 {
            probe!("writes shared a transaction");
        }
        let outcomes = match self.attempt(connection, &mut batch.writes).await {
            Ok(counts) => counts.into_iter().map(Ok).collect(),
            Err(GivenUp::ForWork(_)) if count > 1 => self.one_by_one(connection, &mut batch).await,
            Err(GivenUp::Whole(error) | GivenUp::ForWork(error)) => {
                if count > 1 && matches!(error, StoreError::InDoubt(_)) {
                    probe!("a shared commit failed");
                }
                vec![Err(error); count]
            }
        };
        batch.tell(outcomes)
    }

    /// Which of the writes is at fault shows when each is alone.
    async fn one_by_one(&self, connection: &mut Connection, batch: &mut Batch) -> Vec<Outcome> {
        probe!("a shared transaction was given up, its writes made one by one");
        let mut outcomes = Vec::with_capacity(batch.writes.len());
        for one in batch.writes.chunks_mut(1) {
            outcomes.push(match self.attempt(connection, one).await {
                Ok(counts) => Ok(counts[0]),
                Err(GivenUp::Whole(error) | GivenUp::ForWork(error)) => Err(error),
            });
        }
        outcomes
    }

    /// One transaction.
    async fn attempt(
        &self,
        connection: &mut Connection,
        writes: &mut [Waiting],
    ) -> Result<Vec<u64>, GivenUp> {
        let all = |db: &mut Database, tenant: &str| {
            writes.iter_mut().map(|one| (one.write.work)(db, tenant)).collect()
        };
        self.transaction(connection, all).await
    }
}

/// Whoever had taken the write along was dropped: how far it got is not known.
fn abandoned() -> Outcome {
    Err(StoreError::InDoubt(SqlError::abandoned()))
}
