//! Waiting that ends, whatever is waited for.
//!
//! **Invariant:** what never comes ends in a verdict. Simulated time is up when nothing else can go on;
//! the runtime's own time passes by a millisecond with each task that the driver lets go on, so that a
//! platform which goes on for ever is seen as well. What counts is simulated work, never the host's time: the
//! same plan ends in the same way on any machine.

use crate::check::{Judge, Stop};
use serde::{Deserialize, Serialize};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// How much a run may do before it is taken for one that goes on for ever (I21).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// Disk operations of the whole run.
    pub op_count: u64,
    /// Simulated days of the whole run.
    pub days: i64,
    /// Steps of its tasks within one wait.
    pub task_steps: u64,
}

impl Bound {
    /// That of a run (I21). The longest runs of the profiles do a hundredth of it; the whole of it takes less than the
    /// time after which a silent worker is ended.
    pub const WHOLE: Bound = Bound { op_count: 1_000_000, days: 400, task_steps: 1_000_000 };

    /// That of what is tried in place of a run with so many disk operations: what is left of a plan has less to
    /// do, and a little more where its schedule is another.
    pub fn of_less_than(op_count: u64) -> Bound {
        let op_count = op_count.saturating_mul(4).clamp(20_000, Bound::WHOLE.op_count);
        Bound { op_count, ..Bound::WHOLE }
    }

    /// The least under which a run that goes on for ever is told from one that does not.
    pub const LEAST: Bound = Bound { op_count: 20_000, days: 400, task_steps: 50_000 };

    /// Four times as much, and never more than a whole run may do.
    pub fn wider(self) -> Bound {
        let Bound { op_count, days, task_steps } = self;
        Bound {
            op_count: (4 * op_count).min(Bound::WHOLE.op_count),
            days: days.min(Bound::WHOLE.days),
            task_steps: (4 * task_steps).min(Bound::WHOLE.task_steps),
        }
    }
}

/// The runtime's time between two looks at a run that may go on for ever: 10,000 steps of the driver.
const TICK: Duration = Duration::from_secs(10);
const STEPS_OF_A_TICK: u64 = 10_000;

/// Waits for `work`.
///
/// # Errors
/// I21, when it goes on for ever.
pub async fn bounded<T>(judge: &Judge<'_>, work: impl Future<Output = T>) -> Result<T, Stop> {
    let mut work = pin!(work);
    let steps_max = judge.bound().task_steps;
    for _ in 0..steps_max.div_ceil(STEPS_OF_A_TICK) {
        if let Some(done) = unless(work.as_mut(), madsim::time::sleep(TICK)).await {
            return Ok(done);
        }
        judge.bounded()?;
    }
    Err(judge.endless(&format!("{steps_max} steps of its tasks within one wait")))
}

/// Waits for `work`, but no longer than until `end`; nothing if that came first.
pub async fn unless<T>(work: impl Future<Output = T>, end: impl Future<Output = ()>) -> Option<T> {
    let (mut work, mut end) = (pin!(work), pin!(end));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => end.as_mut().poll(cx).map(|()| None),
    })
    .await
}
