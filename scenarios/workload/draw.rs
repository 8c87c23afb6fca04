//! Draws from proptest strategies, by one of a seed's ChaCha streams.
//!
//! **Invariant:** what is drawn follows from the seed and the purpose alone: no environment variable and
//! no entropy of the host reaches it.

use crate::profile::{Bounds, Percent};
use proptest::sample::select;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use stormglass_sim::Seed;

/// Which generator draws; 0 is the one there is.
static GENERATOR: AtomicU64 = AtomicU64::new(0);

/// From now on seeds make other plans in this process, as they do after a change of the generator. For the test that
/// plans outlive such changes.
pub fn use_other_generator(number: u64) {
    GENERATOR.store(number, Ordering::Relaxed);
}

/// One purpose's draws.
pub struct Draw(TestRunner);

impl Draw {
    /// The draws of `seed` for `purpose`.
    pub fn new(seed: Seed, purpose: &str) -> Draw {
        let mut key = [0; 32];
        match GENERATOR.load(Ordering::Relaxed) {
            0 => seed.stream(purpose).fill(&mut key),
            other => seed.stream_for(purpose, &format!("generator {other}")).fill(&mut key),
        }
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &key);
        Draw(TestRunner::new_with_rng(Config::default(), random))
    }

    /// A value of a strategy.
    pub fn of<S: Strategy>(&mut self, strategy: &S) -> S::Value {
        strategy
            .new_tree(&mut self.0)
            .expect("no strategy of the workload rejects values")
            .current()
    }

    /// A number from 0 up to and without `bound`, which is at least 1.
    pub fn below(&mut self, bound: u32) -> u32 {
        self.of(&(0..bound))
    }

    /// A number within bounds, both included.
    pub fn within(&mut self, bounds: Bounds) -> u32 {
        self.of(&(bounds.min..=bounds.max))
    }

    /// True in so many percent of the draws.
    pub fn percent(&mut self, share: u32) -> bool {
        self.below(100) < share
    }

    /// As [`Draw::percent`], for a profile's share.
    pub fn share(&mut self, share: Percent) -> bool {
        self.percent(share.0)
    }

    /// One of `choices`, of which there is at least one.
    pub fn pick<T: Clone + Debug + 'static>(&mut self, choices: &[T]) -> T {
        self.of(&select(choices.to_vec()))
    }

    /// One of the weighted choices; nothing when all weights are 0.
    pub fn weighted<T: Copy>(&mut self, choices: &[(T, u32)]) -> Option<T> {
        let total: u32 = choices.iter().map(|(_, weight)| weight).sum();
        if total == 0 {
            return None;
        }
        let at = u64::from(self.below(total));
        let choices = choices.iter().map(|(choice, weight)| (*choice, u64::from(*weight)));
        at_weight(choices, at)
    }
}

/// The choice in whose share of the weights, laid end to end, `at` falls.
pub fn at_weight<T>(choices: impl IntoIterator<Item = (T, u64)>, mut at: u64) -> Option<T> {
    let mut choices = choices.into_iter();
    let drawn = choices.find(|(_, weight)| {
        let is_here = at < *weight;
        at = at.saturating_sub(*weight);
        is_here
    });
    drawn.map(|(choice, _)| choice)
}
