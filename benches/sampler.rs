//! Whose turn it is, looked at many times a second by a thread beside.
//!
//! In a simulated run the host's clock cannot be read: madsim shows its own to the whole thread. The
//! thread beside sees the host's, and books the time since its last look on whoever's turn it is.
//!
//! **Invariant:** every moment between start and stop is booked once, on one turn or on nobody's.

use std::array;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Time between two looks. The host makes it longer.
const PAUSE: Duration = Duration::from_micros(50);

/// A running sampler of `N` turns.
pub struct Sampler<const N: usize> {
    /// `N` for nobody's.
    turn: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<[f64; N]>,
}

impl<const N: usize> Sampler<N> {
    /// Starts looking; it is nobody's turn.
    pub fn start() -> Sampler<N> {
        let (turn, is_over) = (Arc::new(AtomicUsize::new(N)), Arc::new(AtomicBool::new(false)));
        let (looked_at, ends) = (Arc::clone(&turn), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            let (mut last, mut times_us) = (Instant::now(), array::from_fn(|_| 0.0));
            while !ends.load(Ordering::Relaxed) {
                thread::sleep(PAUSE);
                let now = Instant::now();
                if let Some(time) = times_us.get_mut(looked_at.load(Ordering::Relaxed)) {
                    *time += (now - last).as_secs_f64() * 1e6;
                }
                last = now;
            }
            times_us
        });
        Sampler { turn, is_over, thread }
    }

    /// Where turns are told.
    pub fn turns(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.turn)
    }

    /// Microseconds of each turn.
    pub fn stop(self) -> [f64; N] {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("it only looks and sleeps")
    }
}
