//! The system's clock, and identifiers that are fresh everywhere.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::seams::{BoxFuture, Clock, Ids};

/// The system's wall clock, its monotonic one, and tokio's timers, which run on that.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// Monotonic time begins here.
    #[expect(clippy::disallowed_methods, reason = "this is the seam that time comes through")]
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn now_utc_ms(&self) -> i64 {
        #[expect(clippy::disallowed_methods, reason = "this is the seam that time comes through")]
        let now = SystemTime::now();
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        now.duration_since(UNIX_EPOCH).map_or_else(|before| -ms(before.duration()), ms)
    }

    fn sleep(&self, duration_ms: u64) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(duration_ms)))
    }
}

/// Random UUIDs (version 4).
#[derive(Debug, Default, Clone, Copy)]
pub struct FreshIds;

impl Ids for FreshIds {
    fn next_id(&self) -> String {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the system gives random bytes");
        // Version and variant, RFC 9562, section 5.4.
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        parts.join("-")
    }
}
