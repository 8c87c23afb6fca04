//! Interleavings: where tasks may be overtaken, and who goes on.
//!
//! **Invariant:** the order in which parked tasks go on depends on the seed and on their labels alone:
//! not on madsim's own queue, and not on any task that was dropped from the plan. Between two points a
//! task runs as if it were alone.
//!
//! A task that reaches a point parks there. Whenever no task can run, the driver releases one parked
//! task, or, if none is parked (or time may overtake the tasks), lets the clock move on to the next timer.
//! It knows that no task can run by a timer of madsim's own, which fires only when madsim's ready queue is
//! empty.

use crate::machine::Machine;
use crate::rng::Seed;
use crate::schedule::{Policy, Schedule};
use crate::trace::Event;
use crate::world::World;
use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// By so many bits a priority falls at a late point: below all that did not, in the order of those that did.
const LATE_BITS: u32 = 32;

/// Where a task stands: what makes one point of a run different from every other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// The boot that the task belongs to.
    pub boot: u32,
    /// On whose behalf it runs: a client, the sweeper.
    pub who: String,
    /// The step of the plan that it works for.
    pub step: u32,
    /// The place in the program.
    pub point: &'static str,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.boot, self.who, self.step, self.point)
    }
}

struct Parked {
    label: String,
    /// As the policy has it; the parked task with the highest goes on first.
    priority: u64,
    /// How often it was asked whether time goes on before it.
    overtaken_count: u64,
    waker: Waker,
}

#[derive(Default)]
struct State {
    parked: BTreeMap<u64, Parked>,
    next_ticket: u64,
    /// How often the driver has let a task or a timer go.
    move_count: u64,
    /// In so many percent of the moments at which a task may go on, time passes instead.
    overtaking_percent: u32,
    overtaken_count: u64,
    reached_counts: BTreeMap<Label, u64>,
    schedule: Schedule,
    driver: Option<Waker>,
}

impl State {
    /// The parked task that goes on first.
    fn next(&self) -> Option<u64> {
        let order = |one: &Parked, other: &Parked| {
            (one.priority, &one.label).cmp(&(other.priority, &other.label))
        };
        let first = self.parked.iter().max_by(|(_, one), (_, other)| order(one, other));
        first.map(|(ticket, _)| *ticket)
    }
}

struct Shared {
    seed: Seed,
    machine: Machine,
    state: Mutex<State>,
}

/// The points of one run. Clones are the same points.
#[derive(Clone)]
pub struct Points(Arc<Shared>);

impl Points {
    /// The points of `world`; each release goes on its trace.
    pub fn new(world: &World) -> Points {
        let machine = Machine::clone(world);
        Points(Arc::new(Shared { seed: world.seed(), machine, state: Mutex::default() }))
    }

    /// Parks the task here until the driver lets it go on. A task that is dropped while it is parked
    /// (its node was killed) leaves no mark.
    pub fn reach(&self, label: Label) -> Reach {
        Reach { points: self.clone(), label: Some(label), is_late: false, ticket: 0 }
    }

    /// The same, but after every task that is parked by [`Points::reach`]: what is to meet others waits until
    /// they have come.
    pub fn reach_late(&self, label: Label) -> Reach {
        Reach { points: self.clone(), label: Some(label), is_late: true, ticket: 0 }
    }

    /// Releases parked tasks and moves the clock, each when nothing else can run. Never returns: spawn
    /// it on a node that outlives the program under test.
    pub async fn drive(&self) {
        let clock = self.0.machine.clock();
        loop {
            poll_fn(|cx| self.poll_anything_waits(cx)).await;
            madsim::time::sleep(Duration::from_millis(1)).await;
            let moved = clock.fire_timer(false)
                || self.overtake()
                || self.release_one()
                || clock.fire_timer(true);
            self.state().move_count += u64::from(moved);
        }
    }

    /// Waits until no task can go on: none is parked, and no timer may be met.
    pub async fn quiet(&self) {
        loop {
            let move_count = self.state().move_count;
            // Fires when madsim's queue is empty, after the driver's own timer of half its length.
            madsim::time::sleep(Duration::from_millis(2)).await;
            let state = self.state();
            // Whom the driver has just let go, at this very moment, has not gone anywhere yet.
            let is_still = state.move_count == move_count && state.parked.is_empty();
            drop(state);
            if is_still && !self.0.machine.clock().has_timer_in_reach() {
                return;
            }
        }
    }

    fn poll_anything_waits(&self, cx: &mut Context<'_>) -> Poll<()> {
        let clock = self.0.machine.clock();
        clock.wake_when_timers_change(cx.waker());
        let mut state = self.state();
        if !state.parked.is_empty() || clock.has_timer_in_reach() {
            return Poll::Ready(());
        }
        state.driver = Some(cx.waker().clone());
        Poll::Pending
    }

    /// From now on tasks that come to a point go on as this policy has it.
    pub fn follow(&self, policy: Policy) {
        self.state().schedule.policy = policy;
    }

    /// From now on the next timer before the clock's horizon is met in so many percent of the moments at
    /// which a parked task could go on: what timers start then races with what is under way.
    pub fn let_time_overtake(&self, percent: u32) {
        self.state().overtaking_percent = percent;
    }

    /// How often time has overtaken a task that could have gone on.
    pub fn overtaken_count(&self) -> u64 {
        self.state().overtaken_count
    }

    fn overtake(&self) -> bool {
        let mut state = self.state();
        let percent = u64::from(state.overtaking_percent);
        let next = if percent > 0 { state.next() } else { None };
        let Some(parked) = next.and_then(|ticket| state.parked.get_mut(&ticket)) else {
            return false;
        };
        let label = format!("{}/{}", parked.label, parked.overtaken_count);
        parked.overtaken_count += 1;
        drop(state);
        let overtakes = self.0.seed.stream_for("overtaking", &label).below(100) < percent;
        let has_overtaken = overtakes && self.0.machine.clock().fire_timer_before_horizon();
        self.state().overtaken_count += u64::from(has_overtaken);
        has_overtaken
    }

    fn release_one(&self) -> bool {
        let mut state = self.state();
        let Some(ticket) = state.next() else { return false };
        let released = state.parked.remove(&ticket);
        drop(state);
        if let Some(released) = released {
            self.0.machine.note(Event::Point { label: released.label });
            released.waker.wake();
        }
        true
    }

    fn park(&self, at: Label, is_late: bool, waker: &Waker) -> u64 {
        let mut state = self.state();
        let count = state.reached_counts.entry(at.clone()).or_default();
        *count += 1;
        let label = format!("{at}/{count}");
        let priority = state.schedule.priority(self.0.seed, &at, &label);
        let priority = if is_late { priority >> LATE_BITS } else { priority };
        state.next_ticket += 1;
        let ticket = state.next_ticket;
        state
            .parked
            .insert(ticket, Parked { label, priority, overtaken_count: 0, waker: waker.clone() });
        let driver = state.driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        ticket
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits at a point. See [`Points::reach`].
pub struct Reach {
    points: Points,
    /// Taken when the task parks.
    label: Option<Label>,
    is_late: bool,
    ticket: u64,
}

impl Future for Reach {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(label) = self.label.take() {
            self.ticket = self.points.park(label, self.is_late, cx.waker());
            return Poll::Pending;
        }
        match self.points.state().parked.get_mut(&self.ticket) {
            Some(parked) => {
                parked.waker.clone_from(cx.waker());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Reach {
    fn drop(&mut self) {
        self.points.state().parked.remove(&self.ticket);
    }
}
