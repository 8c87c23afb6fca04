//! The few places where the platform meets the world, so that a simulation can stand in for it.
//!
//! **Invariant:** nothing in this crate but `live/`, which fills these places when deployed, reads a
//! clock, draws a random number, finds a database or starts a task except through this file.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A future on the heap, as the object-safe traits below return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Wall clock and timers. Timers run on monotonic time: they feel no step of the wall clock.
pub trait Clock: Send + Sync {
    /// Milliseconds of UTC since 1970-01-01, whole.
    fn now_utc_ms(&self) -> i64;

    /// Milliseconds since some moment, whole. Never falls; a step of the wall clock does not move it.
    fn monotonic_ms(&self) -> u64;

    /// Ends after `duration_ms` of monotonic time.
    fn sleep(&self, duration_ms: u64) -> BoxFuture<'_, ()>;
}

/// Where the tenants' databases are.
pub trait Databases: Send + Sync {
    /// The string handed to libsql for a tenant's file, such as `file:/data/acme.db?vfs=NAME`.
    fn uri(&self, tenant: &str) -> String;

    /// The tenants that have a file, sorted. Asked once, at start.
    ///
    /// # Errors
    /// What went wrong, in words.
    fn tenants(&self) -> Result<Vec<String>, String>;
}

/// A place where another task may run first: every store call, mailbox hand-off and task start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point<'a> {
    /// What is about to happen, such as `store.append`.
    pub label: &'static str,
    /// The tenant it happens to, or nothing for the platform's own tasks.
    pub tenant: &'a str,
    /// `EntityType('id')`, or nothing where no entity is concerned.
    pub entity: &'a str,
    /// [`crate::Request::origin`] of the request that is served, or nothing.
    pub origin: &'a str,
}

/// Decides when a task that has come to a [`Point`] goes on. Deployed, at once.
pub trait Points: Send + Sync {
    /// Ends when the task may go on.
    fn reach<'a>(&'a self, point: Point<'a>) -> BoxFuture<'a, ()>;

    /// The fuel that this run of a guest is given, where that is less than its limit. Asked once, as it begins.
    fn guest_fuel(&self, _: GuestRun<'_>) -> Option<u64> {
        None
    }

    /// This run has used so much fuel, told as it calls the host and as it ends.
    fn guest_used(&self, _: GuestRun<'_>, _fuel: u64, _at: Usage) {}

    /// As [`Points::reach`], of a write that may share its transaction; and whether it may be made along with
    /// another one while it waits here, which then need not wait until this task goes on.
    fn reach_together<'a>(&'a self, point: Point<'a>) -> (bool, BoxFuture<'a, ()>) {
        (true, self.reach(point))
    }
}

/// A run of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestRun<'a> {
    /// For whom.
    pub tenant: &'a str,
    /// The type of the entity whose event triggered it.
    pub entity_type: &'a str,
    /// The entity's id.
    pub entity_id: &'a str,
    /// The event's number.
    pub sequence_nr: u64,
    /// The integration's name.
    pub integration: &'a str,
    /// As of its points.
    pub origin: &'a str,
}

/// When a guest's fuel was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// As it called the host.
    Call,
    /// As it ended, in whatever way but the next.
    End,
    /// As it ended for want of it.
    UsedUp,
}

/// Points that hold nobody up.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoPoints;

impl Points for NoPoints {
    fn reach<'a>(&'a self, _: Point<'a>) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Identifiers for entities that are created without one.
pub trait Ids: Send + Sync {
    /// A name that was never given before: 1 to 255 bytes without control characters.
    fn next_id(&self) -> String;
}

/// Everything the platform needs from outside, shared by all its tasks.
#[derive(Clone)]
pub struct Seams {
    /// Wall clock and timers.
    pub clock: Arc<dyn Clock>,
    /// Where the databases are.
    pub databases: Arc<dyn Databases>,
    /// Scheduling points; [`NoPoints`] when deployed.
    pub points: Arc<dyn Points>,
    /// Fresh identifiers.
    pub ids: Arc<dyn Ids>,
}

impl fmt::Debug for Seams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Seams").finish_non_exhaustive()
    }
}

/// Starts a task that nobody waits for; in simulation on the node of the task that asks.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    #[cfg(madsim)]
    drop(madsim::task::spawn(task));
    #[cfg(not(madsim))]
    drop(tokio::spawn(task));
}
