//! What earlier readings of a tenant's rows showed, so that changes between two readings can be
//! judged.

use std::collections::BTreeMap;

use crate::clock::{ClockLog, Mark};
use crate::entity::EntityKey;
use crate::tables::{BlobRow, TenantRows};
use crate::violation::{Invariant, Mismatch, Violation};
use crate::words::{length, utc};

/// The first sweep of a boot comes this long after its start, if an interval is not shorter (contract,
/// section 6).
const FIRST_SWEEP_MS: u64 = 60_000;

/// The rows of the last reading. It holds within one boot: what a crash does to rows is not told
/// here.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// When they were read.
    pub at: Mark,
    /// `expires_at` of every blob row.
    pub blobs: BTreeMap<String, Option<i64>>,
    /// The length of every journal.
    pub journals: BTreeMap<EntityKey, u64>,
    /// `sequence_nr` of every snapshot.
    pub snapshots: BTreeMap<EntityKey, u64>,
}

/// Since when a row has been seen expired without a fault in between.
#[derive(Clone, Copy, Debug)]
struct Overdue {
    expires_at_ms: i64,
    since_ms: u64,
}

/// One tenant's earlier readings.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The last reading of this boot in which nothing was open.
    pub baseline: Option<Baseline>,
    read_at: Option<Mark>,
    overdue: BTreeMap<String, Overdue>,
    /// Rows of the last reading that were ahead of their deadlines then, if no fault has fired since.
    ahead: BTreeMap<String, i64>,
}

impl Ledger {
    /// A row has its time anew with every boot: rows of a dead store were read after the last one.
    pub fn boot_started(&mut self) {
        self.read_at = None;
        self.fault_fired();
    }

    /// Nothing that was read before holds for the next boot's sweeps.
    pub fn boot_ended(&mut self) {
        self.baseline = None;
        self.read_at = None;
        self.fault_fired();
    }

    /// A fault may have delayed the sweeper: its time starts anew.
    pub fn fault_fired(&mut self) {
        self.overdue.clear();
        self.ahead.clear();
    }

    /// Takes note of a reading.
    pub fn read(&mut self, rows: &TenantRows, clock: &ClockLog, now: Mark) {
        self.age(&rows.blobs, clock, now);
        self.read_at = Some(now);
    }

    /// Keeps a reading as the one that later ones are compared with. Not one of a store in which a
    /// commit's outcome is open: what such a commit left in the log may be overwritten.
    pub fn keep(&mut self, rows: &TenantRows, now: Mark) {
        let mut journals = BTreeMap::new();
        for row in &rows.events {
            *journals.entry(row.entity.clone()).or_default() += 1;
        }
        self.baseline = Some(Baseline {
            at: now,
            journals,
            blobs: rows.blobs.iter().map(|row| (row.key.clone(), row.expires_at_ms)).collect(),
            snapshots: rows
                .snapshots
                .iter()
                .map(|row| (row.entity.clone(), row.sequence_nr))
                .collect(),
        });
    }

    fn age(&mut self, blobs: &[BlobRow], clock: &ClockLog, now: Mark) {
        let earliest_ms = self.read_at.map(|read_at| clock.span(read_at, now).lo_ms);
        let was_let_run = self.read_at.is_some_and(|read_at| clock.was_let_run(read_at, now));
        let (mut overdue, mut ahead) = (BTreeMap::new(), BTreeMap::new());
        for row in blobs {
            let Some(expires_at_ms) = row.expires_at_ms else { continue };
            let late_ms = now.clock_ms() - expires_at_ms;
            if late_ms < 0 {
                ahead.insert(row.key.clone(), expires_at_ms);
                continue;
            }
            let before = self.overdue.get(&row.key).filter(|before| {
                before.expires_at_ms == expires_at_ms
                    && earliest_ms.is_some_and(|earliest_ms| earliest_ms >= expires_at_ms)
            });
            // It was there before its deadline and is there after it: it has been overdue from then on.
            let was_ahead = was_let_run && self.ahead.get(&row.key) == Some(&expires_at_ms);
            let here_ms = if was_ahead { late_ms.unsigned_abs() } else { 0 };
            let since_ms = before.map_or(now.mono_ms() - here_ms, |before| before.since_ms);
            overdue.insert(row.key.clone(), Overdue { expires_at_ms, since_ms });
        }
        (self.overdue, self.ahead) = (overdue, ahead);
    }

    /// I9: a row that has been expired for an interval and a second of a boot without faults; one that
    /// was expired when the boot began, for the time to its first sweep and a second.
    pub fn late_sweep(&self, interval_ms: u64, boot_began_ms: u64, now: Mark) -> Option<Violation> {
        let limit_ms = |overdue: &Overdue| {
            let met_by_first_sweep = overdue.since_ms <= boot_began_ms;
            let until_sweep_ms =
                if met_by_first_sweep { interval_ms.min(FIRST_SWEEP_MS) } else { interval_ms };
            until_sweep_ms.saturating_add(1000)
        };
        let is_late = |overdue: &Overdue| {
            let since_ms = overdue.since_ms.max(boot_began_ms);
            now.mono_ms().saturating_sub(since_ms) >= limit_ms(overdue)
        };
        let (key, overdue) = self.overdue.iter().find(|(_, overdue)| is_late(overdue))?;
        let limit_ms = limit_ms(overdue);
        let expected = format!("swept within {}", length(limit_ms.cast_signed()));
        let actual = format!("still there, expired at {}", utc(overdue.expires_at_ms));
        Some(
            Mismatch::new(Invariant::I9, "expired row still there", expected, actual)
                .at(key.as_str()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    #[test]
    fn a_row_is_late_only_after_an_interval_and_a_second_expired_all_the_while() {
        let mut clock = ClockLog::default();
        let mut ledger = Ledger::default();
        let row = BlobRow {
            key: "k".into(),
            data: vec![].into(),
            size_bytes: 0,
            expires_at_ms: Some(100),
        };
        let rows = TenantRows { blobs: vec![row], ..TenantRows::default() };
        let mut read = |ledger: &mut Ledger, mono_ms, clock_ms| {
            let now = clock.read(Moment { mono_ms, clock_ms });
            ledger.read(&rows, &clock, now);
            ledger.late_sweep(5000, 0, now).map(|found| found.invariant)
        };
        assert_eq!(read(&mut ledger, 0, 99), None);
        assert_eq!(read(&mut ledger, 1, 100), None);
        assert_eq!(read(&mut ledger, 6000, 6099), None);
        assert_eq!(read(&mut ledger, 6001, 6100), Some(Invariant::I9));
        // Set back before the deadline and forward again, the row has its time once more.
        assert_eq!(read(&mut ledger, 6002, 50), None);
        assert_eq!(read(&mut ledger, 6003, 9000), None);
        ledger.fault_fired();
        assert_eq!(read(&mut ledger, 12_004, 15_000), None);
        assert_eq!(read(&mut ledger, 18_004, 21_000), Some(Invariant::I9));
        // Its time is that from the deadline on, also where it was not read then.
        let mut unread = Ledger::default();
        assert_eq!(read(&mut unread, 27_000, 40), None);
        assert_eq!(read(&mut unread, 33_059, 6_099), None);
        assert_eq!(read(&mut unread, 33_060, 6_100), Some(Invariant::I9));
        // Not where the clock was set, nor after a fault.
        let mut stepped = Ledger::default();
        assert_eq!(read(&mut stepped, 34_000, 40), None);
        assert_eq!(read(&mut stepped, 40_060, 6_101), None);
        let mut struck = Ledger::default();
        assert_eq!(read(&mut struck, 41_000, 40), None);
        struck.fault_fired();
        assert_eq!(read(&mut struck, 47_060, 6_100), None);
    }

    #[test]
    fn a_row_that_was_expired_when_the_boot_began_has_a_minute() {
        let mut clock = ClockLog::default();
        let mut ledger = Ledger::default();
        let data = Vec::new().into();
        let row = BlobRow { key: "k".into(), data, size_bytes: 0, expires_at_ms: Some(100) };
        let rows = TenantRows { blobs: vec![row], ..TenantRows::default() };
        let mut late = |boot_began_ms, mono_ms: u64| {
            let now = clock.read(Moment { mono_ms, clock_ms: 1_000 + mono_ms as i64 });
            ledger.read(&rows, &clock, now);
            ledger.late_sweep(600_000, boot_began_ms, now).map(|found| found.invariant)
        };
        assert_eq!(late(5, 5), None);
        assert_eq!(late(5, 61_004), None);
        assert_eq!(late(5, 61_005), Some(Invariant::I9));
        // In a boot that began before, the row waits for the next sweep.
        assert_eq!(late(4, 61_005), None);
        assert_eq!(late(4, 601_005), Some(Invariant::I9));
    }
}
