//! Waiting that ends, whatever is waited for.
//!
//! **Invariant:** what never comes ends in a verdict. Simulated time is up when nothing else can go on;
//! the runtime's own time passes by a millisecond with each task that the driver lets go on, so that a
//! platform which goes on for ever is seen as well.

use crate::check::{Judge, Stop};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// The runtime's time between two looks at a run that may go on for ever: 10,000 steps of the driver.
const TICK: Duration = Duration::from_secs(10);
/// Ticks within one wait, after which it is without end.
const TICKS_MAX: u32 = 100;

/// Waits for `work`.
///
/// # Errors
/// I21, when it goes on for ever.
pub async fn bounded<T>(judge: &Judge<'_>, work: impl Future<Output = T>) -> Result<T, Stop> {
    let mut work = pin!(work);
    for _ in 0..TICKS_MAX {
        if let Some(done) = unless(work.as_mut(), madsim::time::sleep(TICK)).await {
            return Ok(done);
        }
        judge.bounded()?;
    }
    let steps = u128::from(TICKS_MAX) * TICK.as_millis();
    Err(judge.endless(&format!("{steps} steps of its tasks")))
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
