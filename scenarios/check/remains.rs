//! What the end of a boot leaves on the disk.
//!
//! **Verified:** I14: at every reading the rows can be read, and after every end of a boot SQLite finds
//! the recovered file sound. I2, by write protocol: under `BlobsThenEvent` and `Atomic` an event that is
//! in the remains has its blobs there, too; under `Atomic` no blob is ever there without its event.
//! **Not verified:** the blob of an event whose deadline any reading of the clock has passed: a sweep may
//! have taken it, also before the clock was set back. Events that an earlier reading showed: what goes
//! missing of them is I5's and I8's. `EventThenBlobs`, whose replay puts what a crash left out (I5).

use crate::lines::counted;
use crate::plan::Protocol;
use crate::rows::Look;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stormglass_model::entity::EntityKey;
use stormglass_model::tables::{EventRow, KeptRow, TenantRows};
use stormglass_model::violation::{Invariant, Mismatch, Violation};

/// What is needed to judge remains.
#[derive(Clone)]
pub(super) struct Remains {
    protocol: Protocol,
    /// The latest reading of the wall clock in this run.
    latest_ms: i64,
    /// The length of every journal when it was last read.
    journals: BTreeMap<EntityKey, u64>,
}

impl Remains {
    pub fn new(protocol: Protocol, clock_ms: i64) -> Remains {
        Remains { protocol, latest_ms: clock_ms, journals: BTreeMap::new() }
    }

    pub fn latest_ms(&self) -> i64 {
        self.latest_ms
    }

    pub fn clock_read(&mut self, clock_ms: i64) {
        self.latest_ms = self.latest_ms.max(clock_ms);
    }

    /// The rows as they were last read while the server ran.
    pub fn read_before(&mut self, rows: &[Arc<TenantRows>]) {
        self.journals.clear();
        for event in rows.iter().flat_map(|rows| &rows.events) {
            let last = self.journals.entry(event.entity.clone()).or_default();
            *last = event.sequence_nr.max(*last);
        }
    }

    /// I2: what the protocol leaves no room for.
    pub fn judge(
        &self,
        rows: &TenantRows,
        orphan_count: usize,
        is_dead: bool,
    ) -> Option<Violation> {
        let brings_blobs = self.protocol != Protocol::EventThenBlobs;
        let torn = if is_dead && brings_blobs { self.half_an_action(rows) } else { None };
        torn.or_else(|| {
            let is_half = self.protocol == Protocol::Atomic && orphan_count > 0;
            let actual = format!("{} of no event", counted(orphan_count, "blob"));
            let place = "blob without its event";
            let mismatch =
                Mismatch::new(Invariant::I2, place, "event and blobs, or nothing", actual);
            is_half.then(|| mismatch.at(rows.tenant.as_str()))
        })
    }

    fn half_an_action(&self, rows: &TenantRows) -> Option<Violation> {
        let keys = keys_of(rows);
        let is_new = |event: &&Arc<EventRow>| {
            self.journals.get(&event.entity).is_none_or(|last| event.sequence_nr > *last)
        };
        let torn = rows
            .events
            .iter()
            .filter(is_new)
            .find(|event| event.kept.values().any(|kept| lacks(kept, &keys, self.latest_ms)))?;
        let place = "event without its blobs";
        let expected = "event and blobs, or no event";
        let actual = format!("event {} alone", torn.sequence_nr);
        let because = "this write protocol puts the blobs no later than the event";
        let mismatch = Mismatch::new(Invariant::I2, place, expected, actual).because(because);
        Some(mismatch.at(torn.entity.to_string()))
    }
}

/// I14: the rows of a file that is sound.
pub(super) fn whole(look: Look) -> Result<Arc<TenantRows>, Violation> {
    let Look { tenant, damage, rows } = look;
    if let Some(damage) = damage {
        return Err(Mismatch::new(Invariant::I14, "integrity check", "ok", damage).at(tenant));
    }
    rows.map_err(|why| {
        let mismatch = Mismatch::new(Invariant::I14, "unreadable rows", "rows", why);
        mismatch.at("a tenant's tables")
    })
}

/// An event whose blob is not there, though no reading of the clock has passed its deadline: a crash
/// fell between the two.
pub fn event_without_its_blob(rows: &TenantRows, latest_ms: i64) -> Option<String> {
    let keys = keys_of(rows);
    let mut last: BTreeMap<&EntityKey, &EventRow> = BTreeMap::new();
    for event in &rows.events {
        let newest = last.entry(&event.entity).or_insert(event);
        if newest.sequence_nr < event.sequence_nr {
            *newest = event;
        }
    }
    let lacks = |event: &&EventRow| event.kept.values().any(|kept| lacks(kept, &keys, latest_ms));
    let torn = last.into_values().find(lacks)?;
    Some(format!("event {} of {}", torn.sequence_nr, torn.entity.id))
}

fn keys_of(rows: &TenantRows) -> BTreeSet<&str> {
    rows.blobs.iter().map(|blob| blob.key.as_str()).collect()
}

/// Whether a value is kept as a blob that is not there, though its deadline was never passed.
fn lacks(kept: &KeptRow, keys: &BTreeSet<&str>, latest_ms: i64) -> bool {
    match kept {
        KeptRow::Blob { key, deadline_ms, .. } => {
            deadline_ms.is_none_or(|at| latest_ms < at) && !keys.contains(key.as_str())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stormglass_model::tables::BlobRow;

    fn event(sequence_nr: u64, deadline_ms: Option<i64>) -> EventRow {
        let (tenant, set, id) = ("t".to_string(), "Sessions".to_string(), "a".to_string());
        let kept = KeptRow::Blob { key: format!("k{sequence_nr}"), size_bytes: 1, deadline_ms };
        EventRow {
            entity: EntityKey { tenant, set, id },
            sequence_nr,
            action: "Write".to_string(),
            from: String::new(),
            to: String::new(),
            timestamp_ms: 0,
            params: Default::default(),
            key: None,
            kept: BTreeMap::from([("big".to_string(), kept)]),
            ids: BTreeMap::new(),
            intents: Vec::new(),
        }
    }

    fn rows(events: Vec<EventRow>, keys: &[&str]) -> TenantRows {
        let blob = |key: &&str| BlobRow {
            key: key.to_string(),
            data: Vec::new().into(),
            size_bytes: 0,
            expires_at_ms: None,
        };
        let blobs = keys.iter().map(blob).collect();
        let events = events.into_iter().map(Arc::new).collect();
        TenantRows { tenant: "t".to_string(), events, blobs, ..TenantRows::default() }
    }

    fn found(protocol: Protocol, rows: &TenantRows, orphans: usize) -> Option<&'static str> {
        let mut remains = Remains::new(protocol, 50);
        remains.clock_read(100);
        remains.clock_read(70);
        remains.read_before(&[Arc::new(self::rows(vec![event(1, None)], &[]))]);
        remains.judge(rows, orphans, true).map(|found| {
            assert_eq!(found.invariant, Invariant::I2);
            found.place
        })
    }

    #[test]
    fn an_event_stands_alone_only_where_its_blobs_come_after_it() {
        let torn = rows(vec![event(1, None), event(2, None)], &["k1"]);
        let alone = Some("event without its blobs");
        assert_eq!(found(Protocol::EventThenBlobs, &torn, 0), None);
        assert_eq!(found(Protocol::BlobsThenEvent, &torn, 0), alone);
        assert_eq!(found(Protocol::Atomic, &torn, 0), alone);
        let whole = rows(vec![event(1, None), event(2, None)], &["k1", "k2"]);
        assert_eq!(found(Protocol::Atomic, &whole, 0), None);
    }

    #[test]
    fn what_a_sweep_may_have_taken_and_what_was_read_before_accuse_nobody() {
        // The clock read 100 once, and was set back since.
        let swept = rows(vec![event(1, None), event(2, Some(100))], &["k1"]);
        assert_eq!(found(Protocol::Atomic, &swept, 0), None);
        let ahead = rows(vec![event(1, None), event(2, Some(101))], &["k1"]);
        assert_eq!(found(Protocol::Atomic, &ahead, 0), Some("event without its blobs"));
        let older = rows(vec![event(1, None), event(2, None)], &["k2"]);
        assert_eq!(found(Protocol::Atomic, &older, 0), None);
    }

    #[test]
    fn a_blob_stands_alone_only_where_it_comes_before_its_event() {
        let none = rows(Vec::new(), &["k1"]);
        assert_eq!(found(Protocol::BlobsThenEvent, &none, 1), None);
        assert_eq!(found(Protocol::EventThenBlobs, &none, 1), None);
        assert_eq!(found(Protocol::Atomic, &none, 1), Some("blob without its event"));
    }
}
