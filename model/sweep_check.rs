//! One call of `sweep(max_rows)`, with the rows before and after it.
//!
//! Verified: I8 (only expired rows go, no permanent one), I20 (at most `max_rows`, oldest deadline
//! first, the count that is returned, and nothing left that should have gone). Not verified: sweeps
//! during which something else wrote to the store; the runner passes only those that ran alone.

use std::collections::BTreeMap;

use crate::clock::Span;
use crate::tables::BlobRow;
use crate::violation::{Invariant, Mismatch, Violation};
use crate::words::utc;

/// A sweep that ran alone.
#[derive(Clone, Copy, Debug)]
pub struct Sweep<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// The rows before.
    pub before: &'a [BlobRow],
    /// The rows after.
    pub after: &'a [BlobRow],
    /// The rows that it may delete at most.
    pub max_rows: usize,
    /// The count that it returned; none if it failed.
    pub returned: Option<usize>,
    /// When it can have read the clock.
    pub clock: Span,
}

impl Sweep<'_> {
    /// The first thing that is wrong with the sweep.
    pub fn check(&self) -> Option<Violation> {
        self.problem().map(|mismatch| mismatch.at(self.tenant))
    }

    fn problem(&self) -> Option<Mismatch> {
        let after: BTreeMap<&str, &BlobRow> =
            self.after.iter().map(|row| (row.key.as_str(), row)).collect();
        let (kept, gone): (Vec<&BlobRow>, Vec<&BlobRow>) =
            self.before.iter().partition(|row| after.contains_key(row.key.as_str()));
        for row in &gone {
            let Some(expires_at_ms) = row.expires_at_ms else {
                let place = "permanent row deleted";
                return Some(Mismatch::new(
                    Invariant::I8,
                    place,
                    "kept for ever",
                    row.key.as_str(),
                ));
            };
            if expires_at_ms > self.clock.hi_ms {
                let expected = format!("kept until {}", utc(expires_at_ms));
                let actual = format!("deleted at {}", self.clock);
                let place = "row deleted before its deadline";
                return Some(Mismatch::new(Invariant::I8, place, expected, actual));
            }
        }
        self.count(gone.len()).or_else(|| self.order(&kept, &gone))
    }

    fn count(&self, gone: usize) -> Option<Mismatch> {
        if gone > self.max_rows {
            let expected = format!("at most {} rows", self.max_rows);
            let actual = format!("{gone} rows");
            return Some(Mismatch::new(Invariant::I20, "sweep above its batch", expected, actual));
        }
        let returned = self.returned.filter(|returned| *returned != gone)?;
        let (expected, actual) = (format!("{gone} rows deleted"), format!("{returned} returned"));
        Some(Mismatch::new(Invariant::I20, "sweep miscounts", expected, actual))
    }

    fn order(&self, kept: &[&BlobRow], gone: &[&BlobRow]) -> Option<Mismatch> {
        let oldest_kept = kept.iter().filter_map(|row| row.expires_at_ms).min()?;
        let youngest_gone = gone.iter().filter_map(|row| row.expires_at_ms).max();
        if youngest_gone.is_some_and(|gone| gone > oldest_kept) {
            let expected = format!("first the row until {}", utc(oldest_kept));
            let place = "sweep out of order";
            return Some(Mismatch::new(
                Invariant::I20,
                place,
                expected,
                format!("that until {}", youngest_gone.map_or(String::new(), utc)),
            ));
        }
        let is_short = self.returned.is_some() && gone.len() < self.max_rows;
        if is_short && oldest_kept <= self.clock.lo_ms {
            let expected = format!("a row until {} deleted at {}", utc(oldest_kept), self.clock);
            return Some(Mismatch::new(
                Invariant::I20,
                "sweep leaves an expired row",
                expected,
                "kept",
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(deadlines: &[Option<i64>]) -> Vec<BlobRow> {
        let row = |(index, ms): (usize, &Option<i64>)| BlobRow {
            key: format!("{index}"),
            data: vec![].into(),
            size_bytes: 0,
            expires_at_ms: *ms,
        };
        deadlines.iter().enumerate().map(row).collect()
    }

    fn found(
        kept: &[usize],
        max_rows: usize,
        returned: usize,
    ) -> Option<(Invariant, &'static str)> {
        let before = rows(&[None, Some(10), Some(20), Some(30)]);
        let after: Vec<BlobRow> = kept.iter().map(|index| before[*index].clone()).collect();
        let clock = Span::exactly(20);
        let returned = Some(returned);
        let sweep =
            Sweep { tenant: "t", before: &before, after: &after, max_rows, returned, clock };
        sweep.check().map(|violation| (violation.invariant, violation.place))
    }

    #[test]
    fn a_sweep_takes_what_is_expired_oldest_first_and_nothing_else() {
        assert_eq!(found(&[0, 3], 10, 2), None);
        assert_eq!(found(&[0, 2, 3], 1, 1), None);
        assert_eq!(found(&[0], 10, 3), Some((Invariant::I8, "row deleted before its deadline")));
        assert_eq!(found(&[3], 10, 3), Some((Invariant::I8, "permanent row deleted")));
        assert_eq!(found(&[0, 3], 1, 2), Some((Invariant::I20, "sweep above its batch")));
        assert_eq!(found(&[0, 3], 10, 1), Some((Invariant::I20, "sweep miscounts")));
        assert_eq!(found(&[0, 1, 3], 1, 1), Some((Invariant::I20, "sweep out of order")));
        assert_eq!(found(&[0, 2, 3], 5, 1), Some((Invariant::I20, "sweep leaves an expired row")));
    }
}
