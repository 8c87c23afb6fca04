//! The host that a campaign runs on: its time, its cores, whether a person watches.
//!
//! **Invariant:** nothing of this reaches a run. It belongs to whoever hands out runs and tells of them.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::num::NonZero;
use std::time::Duration;
use stormglass_sim::Seed;

/// Columns of a line where nobody knows how many there are, and at most.
pub const COLUMNS_MAX: usize = 100;
/// Columns below which a line is no more broken.
const COLUMNS_MIN: usize = 60;

/// The columns of the terminal that standard output is, as far as lines are made for them.
pub fn columns() -> usize {
    let size = console::Term::stdout().size_checked();
    let columns = size.map_or(COLUMNS_MAX, |(_, columns)| usize::from(columns));
    columns.clamp(COLUMNS_MIN, COLUMNS_MAX)
}

/// Host time since it was started.
#[derive(Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts at 0.
    #[expect(clippy::disallowed_methods, reason = "how long runs take is told in the host's time")]
    pub fn start() -> Stopwatch {
        Stopwatch(std::time::Instant::now())
    }

    /// Host time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The host's wall clock, in milliseconds of Unix time.
#[expect(clippy::disallowed_methods, reason = "a live server is judged by the clock that it reads")]
pub fn utc_now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Waits in host time.
#[expect(clippy::disallowed_methods, reason = "a live server lives in the host's time")]
pub fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}

/// Processes that can run at once.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Whether this is a job of some continuous integration, which sets `CI`.
pub fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// A seed that no earlier run took, as far as chance goes; short enough to be read aloud.
pub fn fresh_seed() -> Seed {
    Seed(RandomState::new().build_hasher().finish() >> 24)
}
