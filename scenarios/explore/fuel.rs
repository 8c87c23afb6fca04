//! Where the fuel of a guest's run is made to end: at equal parts of what it uses, and as it calls the host.
//!
//! **Invariant:** each place is a limit that a plan takes. A run that is given less than it had used at its last
//! call of the host wants for fuel; what comes after that call may be so short that nobody looks at its fuel
//! again.

use crate::guests::Address;
use crate::plan::FuelLimit;
use crate::verdict::Verdict;
use std::collections::BTreeMap;

/// Parts of what a run uses.
const PARTS: u64 = 64;
/// Calls of the host at most; the others are left out.
const CALLS_MAX: usize = 128;

/// The row of limits at equal parts.
pub const AT_PART: &str = "fuel at each 64th";
/// The row of limits at calls of the host.
pub const AT_CALL: &str = "fuel at each host call";

/// One limit, its row in the report, and whether the run must want for more.
pub struct Limit {
    /// What the plan says.
    pub limit: FuelLimit,
    /// One of the rows above.
    pub row: &'static str,
    /// Whether it must.
    pub must_be_spent: bool,
}

/// The limits of one run, which used so much at each call of the host and at its end, and how many calls are left
/// out.
pub fn limits((scope, nth): &Address, used: &[u64]) -> (Vec<Limit>, u64) {
    let Some((all, calls)) = used.split_last() else { return (Vec::new(), 0) };
    let last_call = calls.last().copied().unwrap_or_default();
    let mut at: BTreeMap<u64, &'static str> = BTreeMap::new();
    let part = all.div_ceil(PARTS).max(1);
    at.extend((1..=PARTS).map(|n| (n * part, AT_PART)));
    at.extend(calls.iter().take(CALLS_MAX).map(|call| (*call, AT_CALL)));
    let limit = |(fuel, row)| Limit {
        limit: FuelLimit { scope: scope.clone(), nth: *nth, fuel },
        row,
        must_be_spent: fuel < last_call,
    };
    let limits = at.into_iter().filter(|(fuel, _)| fuel < all).map(limit).collect();
    (limits, calls.len().saturating_sub(CALLS_MAX) as u64)
}

/// A guest that must want for fuel did not.
pub fn never_spent() -> Verdict {
    let why =
        "a guest came to its end with less fuel than it had used when it last called the host";
    Verdict::HarnessBroken(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_and_every_call_is_a_limit_below_what_is_used() {
        let address = ("step 3/outbox/guest".to_string(), 1);
        let (limits, left_out) = limits(&address, &[100, 5_000, 6_400]);
        let at = |row| limits.iter().filter(move |l| l.row == row).map(|l| l.limit.fuel);
        assert_eq!(at(AT_CALL).collect::<Vec<_>>(), [100, 5_000]);
        // Each multiple of 100 but the first and the fiftieth, which are calls, and the last, which is all.
        assert_eq!(at(AT_PART).count(), 61);
        let may_end = limits.iter().filter(|one| !one.must_be_spent).map(|one| one.limit.fuel);
        assert!(may_end.eq((50..64).map(|n| n * 100)), "after the last call");
        assert_eq!(left_out, 0);
    }

    #[test]
    fn a_short_run_has_a_limit_for_each_unit_and_calls_beyond_the_bound_are_counted() {
        let address = ("outbox of boot 2/guest".to_string(), 1);
        let (few, _) = limits(&address, &[3]);
        assert_eq!(few.iter().map(|one| one.limit.fuel).collect::<Vec<_>>(), [1, 2]);
        let used: Vec<u64> = (1..=200).map(|n| n * 10).collect();
        let (many, left_out) = limits(&address, &used);
        assert_eq!(left_out, 199 - CALLS_MAX as u64);
        assert_eq!(many.iter().filter(|one| one.row == AT_CALL).count(), CALLS_MAX);
        assert!(limits(&address, &[]).0.is_empty());
    }
}
