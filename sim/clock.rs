//! The wall clock of a run: one seam, read by the program, by SQL and by the disk's slow operations.
//!
//! **Invariant:** time is logical. It moves when it is told to (a wait, a step, a slow operation) and
//! by nothing else: not by the host, not by how long code takes, not by the runtime's own jitter. A
//! timer that is waited for is met exactly: when no task can run, the driver (see `points`) moves the
//! clock to the earliest deadline.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// 2026-01-01 00:00:00 UTC, in milliseconds of Unix time.
pub const DEFAULT_START_UTC_MS: i64 = 1_767_225_600_000;

#[derive(Debug)]
struct State {
    start_utc_ms: i64,
    monotonic_ms: AtomicI64,
    offset_ms: AtomicI64,
    horizon_ms: AtomicI64,
    timers: Mutex<Timers>,
}

#[derive(Debug, Default)]
struct Timers {
    /// By deadline on the monotonic clock, then by age.
    waiting: BTreeMap<(i64, u64), Waker>,
    next_ticket: u64,
    /// Woken when a timer is set.
    driver: Option<Waker>,
}

/// What a clock read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Reading {
    monotonic_ms: i64,
    offset_ms: i64,
}

/// A clock that a plan moves. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<State>);

impl Clock {
    /// A clock that reads `start_utc_ms` (milliseconds of Unix time).
    pub fn new(start_utc_ms: i64) -> Clock {
        Clock(Arc::new(State {
            start_utc_ms,
            monotonic_ms: AtomicI64::new(0),
            offset_ms: AtomicI64::new(0),
            horizon_ms: AtomicI64::new(i64::MAX),
            timers: Mutex::default(),
        }))
    }

    /// What it reads, to go on from later.
    pub(crate) fn reading(&self) -> Reading {
        let (monotonic_ms, offset_ms) =
            (self.monotonic_ms(), self.0.offset_ms.load(Ordering::Relaxed));
        Reading { monotonic_ms, offset_ms }
    }

    /// Another clock, with the same start, that goes on from `reading`. Nobody waits for it yet.
    pub(crate) fn resumed(&self, reading: Reading) -> Clock {
        let clock = Clock::new(self.0.start_utc_ms);
        clock.0.monotonic_ms.store(reading.monotonic_ms, Ordering::Relaxed);
        clock.0.offset_ms.store(reading.offset_ms, Ordering::Relaxed);
        clock
    }

    /// Wall clock, in milliseconds of Unix time. Steps move it, backwards too.
    pub fn now_utc_ms(&self) -> i64 {
        self.0.start_utc_ms + self.monotonic_ms() + self.0.offset_ms.load(Ordering::Relaxed)
    }

    /// Milliseconds since the run began. Never falls; steps do not move it.
    pub fn monotonic_ms(&self) -> i64 {
        self.0.monotonic_ms.load(Ordering::Relaxed)
    }

    /// Lets `ms` milliseconds pass. Nothing passes when `ms` is negative.
    pub fn advance(&self, ms: i64) {
        self.0.monotonic_ms.fetch_add(ms.max(0), Ordering::Relaxed);
        self.wake_driver();
    }

    /// Sets the wall clock `ms` milliseconds forwards, or backwards when negative, as an administrator
    /// or a time server does. No timer feels it.
    pub fn step(&self, ms: i64) {
        self.0.offset_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Waits until `ms` milliseconds have passed on this clock. Somebody must drive it: the points
    /// driver does, or [`Clock::fire_timer`] by hand.
    pub fn sleep(&self, ms: i64) -> Sleep {
        let deadline_ms = self.monotonic_ms() + ms.max(0);
        Sleep { clock: self.clone(), deadline_ms, ticket: None }
    }

    /// Lets the driver move this clock to timers up to `monotonic_ms`, and no further: time beyond it
    /// passes only when a plan says so. Without a horizon every timer is met as soon as no task can run.
    pub fn set_horizon(&self, monotonic_ms: i64) {
        self.0.horizon_ms.store(monotonic_ms, Ordering::Relaxed);
        self.wake_driver();
    }

    /// A timer may have become due or come into reach, and the driver waits for exactly that.
    fn wake_driver(&self) {
        let driver = self.timers().driver.take();
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// Whether a timer may be met now.
    #[cfg(feature = "madsim")]
    pub(crate) fn has_timer_in_reach(&self) -> bool {
        self.timers()
            .waiting
            .keys()
            .next()
            .is_some_and(|(deadline_ms, _)| self.in_reach(*deadline_ms))
    }

    fn in_reach(&self, deadline_ms: i64) -> bool {
        deadline_ms <= self.monotonic_ms().max(self.0.horizon_ms.load(Ordering::Relaxed))
    }

    /// Wakes the earliest timer if it is due, the older one of two; if it is not and `may_advance`, moves
    /// the clock to its deadline first. One at a time, because of two tasks that are woken together
    /// madsim's queue picks which goes first. False when there was nothing to wake.
    pub fn fire_timer(&self, may_advance: bool) -> bool {
        self.fire_timer_if(|deadline_ms| may_advance && self.in_reach(deadline_ms))
    }

    /// Moves the clock to the earliest timer and wakes it, if it lies before the horizon. What waits until
    /// the horizon itself waits for too long a time: nothing is to be done before it.
    pub fn fire_timer_before_horizon(&self) -> bool {
        self.fire_timer_if(|deadline_ms| deadline_ms < self.0.horizon_ms.load(Ordering::Relaxed))
    }

    fn fire_timer_if(&self, may_advance_to: impl Fn(i64) -> bool) -> bool {
        let mut timers = self.timers();
        let Some(earliest) = timers.waiting.first_entry() else { return false };
        let (deadline_ms, _) = *earliest.key();
        if deadline_ms > self.monotonic_ms() {
            if !may_advance_to(deadline_ms) {
                return false;
            }
            self.0.monotonic_ms.store(deadline_ms, Ordering::Relaxed);
        }
        let waker = earliest.remove();
        drop(timers);
        waker.wake();
        true
    }

    /// Has `waker` woken when a timer is set or comes into reach.
    #[cfg(feature = "madsim")]
    pub(crate) fn wake_when_timers_change(&self, waker: &Waker) {
        self.timers().driver = Some(waker.clone());
    }

    fn timers(&self) -> MutexGuard<'_, Timers> {
        self.0.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for a deadline. See [`Clock::sleep`].
#[derive(Debug)]
pub struct Sleep {
    clock: Clock,
    deadline_ms: i64,
    ticket: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.clock.monotonic_ms() >= self.deadline_ms {
            return Poll::Ready(());
        }
        let clock = self.clock.clone();
        let mut timers = clock.timers();
        let ticket = *self.ticket.get_or_insert_with(|| {
            timers.next_ticket += 1;
            timers.next_ticket
        });
        timers.waiting.insert((self.deadline_ms, ticket), cx.waker().clone());
        if let Some(driver) = timers.driver.take() {
            driver.wake();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.clock.timers().waiting.remove(&(self.deadline_ms, ticket));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_moves_the_wall_clock_only() {
        let clock = Clock::new(1_000);
        clock.advance(5);
        clock.step(-300);
        assert_eq!((clock.now_utc_ms(), clock.monotonic_ms()), (705, 5));
        clock.advance(-1);
        assert_eq!(clock.monotonic_ms(), 5);
    }
}
