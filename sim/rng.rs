//! Randomness from one seed, split by purpose.
//!
//! **Invariant:** a stream depends on the seed and its own name alone, so that a draw more or less in
//! one stream never moves another. There is no other source of randomness in a run.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::fmt;
use std::str::FromStr;
use twox_hash::XxHash3_128;

/// The number from which everything random in a run is drawn.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream for one purpose (`"workload"`, `"faults"`, `"schedule"`, ...).
    pub fn stream(self, purpose: &str) -> Stream {
        self.stream_for(purpose, "")
    }

    /// The stream for one purpose and one label within it, so that dropping what one label stands for
    /// moves nothing of the others.
    pub fn stream_for(self, purpose: &str, label: &str) -> Stream {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.0.to_le_bytes());
        key[8..24].copy_from_slice(&XxHash3_128::oneshot(purpose.as_bytes()).to_le_bytes());
        key[24..].copy_from_slice(&XxHash3_128::oneshot(label.as_bytes()).to_le_bytes()[..8]);
        Stream(ChaCha8Rng::from_seed(key))
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Text that is no seed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no seed: give a decimal number, 0x and up to 16 hex digits, or a commit hash of 40"
)]
pub struct SeedError(String);

impl FromStr for Seed {
    type Err = SeedError;

    /// Decimal, `0x...`, or a commit hash of 40 hex digits, of which the first 16 count.
    fn from_str(text: &str) -> Result<Seed, SeedError> {
        let hex_digits = |digits: &str| {
            let all_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            u64::from_str_radix(digits, 16).ok().filter(|_| all_hex)
        };
        let number = match text.strip_prefix("0x") {
            Some(digits) => hex_digits(digits),
            None if text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                hex_digits(&text[..16])
            }
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            None => None,
        };
        number.map(Seed).ok_or_else(|| SeedError(text.to_string()))
    }
}

/// A sequence of random numbers (ChaCha with 8 rounds), the same for ever under one seed and name.
#[derive(Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from 0 up to and without `bound`.
    ///
    /// # Panics
    /// When `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there is no number below 0");
        // The bias of taking the high half of a product is under bound / 2^64: none that a run sees.
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// True in `parts` of `whole` draws.
    pub fn chance(&mut self, parts: u64, whole: u64) -> bool {
        self.below(whole) < parts
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }

    /// Fills `buf` with random bytes.
    pub fn fill(&mut self, buf: &mut [u8]) {
        self.0.fill_bytes(buf);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stored seed must mean the same run for ever: pinned, so that no dependency moves it unseen.
    #[test]
    fn streams_are_pinned() {
        let mut stream = Seed(42).stream("workload");
        let drawn = [stream.bits(), stream.bits()];
        assert_eq!(drawn, [5_483_373_812_178_077_223, 1_055_515_110_132_192_770]);
    }

    #[test]
    fn a_draw_in_one_stream_moves_no_other() {
        let alone = Seed(7).stream("faults").bits();
        let mut other = Seed(7).stream("workload");
        other.bits();
        assert_eq!(Seed(7).stream("faults").bits(), alone);
        assert_ne!(Seed(7).stream_for("faults", "step 1").bits(), alone);
    }

    #[test]
    fn seeds_are_read_as_people_write_them() {
        assert_eq!("1234".parse(), Ok(Seed(1234)));
        assert_eq!("0x4d2".parse(), Ok(Seed(1234)));
        let commit = "00000000000004d2aaaaaaaaaaaaaaaaaaaaaaaa";
        assert_eq!(commit.parse(), Ok(Seed(1234)));
        for bad in ["", "-1", "+1", "0x", "0x+1", "12ab", "18446744073709551616"] {
            assert!(bad.parse::<Seed>().is_err(), "{bad}");
        }
    }
}
