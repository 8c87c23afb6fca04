//! Readings of a tenant's rows: checks in the order of the invariants' ids, and what rows teach.
//!
//! Verified here: I13 (no row of another tenant; what its blobs show is in `blob_check`), I20 for
//! snapshots; the rest in `journal_check`, `blob_check` and `outbox_check`. Not verified: what a snapshot
//! contains (a replay from it answers for that).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::blob_check::BlobCheck;
use crate::clock::Moment;
use crate::decide::same_params;
use crate::entity::{BootId, EntityKey, params_of};
use crate::journal_check::{Agreement, agree, sequence};
use crate::oracle::Oracle;
use crate::request::Request;
use crate::tables::{EventRow, OutboxState, Sight, TenantRows};
use crate::violation::{Invariant, Mismatch, Violation};
use crate::world::World;

/// What a reading of rows found.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// What breaks the contract, in the order of the invariants' ids.
    pub violations: Vec<Violation>,
    /// Blob rows that only in-doubt and failed attempts put.
    pub orphan_count: usize,
}

impl Oracle {
    /// The rows of a tenant were read.
    ///
    /// Rows of a store with an open request are no reading: what is under way may be half done.
    pub fn observe(&mut self, moment: Moment, rows: &TenantRows, sight: Sight) -> Observation {
        self.clock(moment);
        let mut violations: Vec<Violation> = foreign_rows(rows).into_iter().collect();
        let mut by_entity: BTreeMap<EntityKey, Vec<&EventRow>> = BTreeMap::new();
        for (key, _) in self.entities.iter().filter(|(key, _)| key.tenant == rows.tenant) {
            by_entity.insert(key.clone(), Vec::new());
        }
        for row in rows.events.iter().filter(|row| row.entity.tenant == rows.tenant) {
            by_entity.entry(row.entity.clone()).or_default().push(row);
        }
        let mut entities: Vec<(EntityKey, Vec<World>)> = Vec::new();
        let mut in_order: Vec<(EntityKey, Vec<&EventRow>)> = by_entity.into_iter().collect();
        // What a parent's rows show explains its children's.
        in_order.sort_by_key(|(key, _)| self.is_spawned(&key.set));
        for (key, mut events) in in_order {
            events.sort_by_key(|row| row.sequence_nr);
            let closed = closed_rows(rows, &key);
            match self.observe_entity(&key, (&events, &closed), sight, &entities) {
                Ok(worlds) => entities.push((key, worlds)),
                Err(violation) => violations.push(violation),
            }
        }
        violations.extend(self.snapshots(rows));
        let is_known = self.is_every_past_known(&rows.tenant);
        self.unverified += u64::from(!is_known);
        let is_whole = violations.is_empty() && is_known;
        let mut orphan_count = 0;
        // Without all events the puts are not all known: blobs would be accused of it.
        if is_whole {
            let findings = self.blobs(rows, &entities, sight);
            violations.extend(findings.violations);
            orphan_count = findings.orphan_count;
            violations.extend(self.outbox(rows, &entities, sight));
        }
        if sight == Sight::Dead {
            let mut journals = BTreeMap::new();
            for row in &rows.events {
                *journals.entry(row.entity.clone()).or_default() += 1;
            }
            self.before_boot.insert(rows.tenant.clone(), journals);
        }
        let ledger = self.ledgers.entry(rows.tenant.clone()).or_default();
        ledger.read(rows, &self.clock, self.now);
        if sight != Sight::Idle {
            ledger.keep(rows, self.now);
        }
        violations.sort_by_key(|violation| violation.invariant);
        Observation { violations, orphan_count }
    }

    /// The rows of a tenant are what they were when they were last read: only time has passed.
    pub fn unchanged(&mut self, moment: Moment, rows: &TenantRows) {
        self.clock(moment);
        let ledger = self.ledgers.entry(rows.tenant.clone()).or_default();
        ledger.read(rows, &self.clock, self.now);
    }

    /// I9: rows of a tenant that the background sweeper should have taken, at the last reading.
    pub fn late_sweep(&self, tenant: &str, interval_ms: u64) -> Option<Violation> {
        self.ledgers.get(tenant)?.late_sweep(interval_ms, self.boot_began_ms, self.now)
    }

    /// A fault has fired, so that the sweeper may be late.
    pub fn fault_fired(&mut self) {
        self.ledgers.values_mut().for_each(crate::ledger::Ledger::fault_fired);
    }

    /// A fault has fired in what is done for one tenant: its part of a sweep may be late.
    pub fn fault_fired_in(&mut self, tenant: &str) {
        if let Some(ledger) = self.ledgers.get_mut(tenant) {
            ledger.fault_fired();
        }
    }

    fn is_every_past_known(&self, tenant: &str) -> bool {
        self.entities.iter().all(|(key, tracked)| key.tenant != tenant || !tracked.is_lost_track)
    }

    fn observe_entity(
        &mut self,
        key: &EntityKey,
        (rows, closed): (&[&EventRow], &[(u64, u64)]),
        sight: Sight,
        entities: &[(EntityKey, Vec<World>)],
    ) -> Result<Vec<World>, Violation> {
        if let Some(mismatch) = sequence(rows) {
            return Err(mismatch.at(key.to_string()));
        }
        if self.tracked(key).is_lost_track {
            return Ok(Vec::new());
        }
        let worlds = self.tracked(key).worlds.clone();
        let Some(spawned) = self.spawned(key, entities) else {
            self.lose_track(key);
            return Ok(Vec::new());
        };
        let mut search = self.search(&spawned);
        let Agreement { shown, mut whole } = agree(&worlds, rows, &mut search);
        if search.budget == 0 {
            self.lose_track(key);
            return Ok(Vec::new());
        }
        if whole.is_empty() {
            let nothing = || Mismatch::new(Invariant::I2, "journal differs", "another", "this one");
            let mismatch = search.nearest.take().map_or_else(nothing, |(_, mismatch)| mismatch);
            let mismatch = self.accepted_alone(key, rows).unwrap_or(mismatch);
            return Err(mismatch.at(key.to_string()));
        }
        let boot = self.boot;
        if sight == Sight::Settled && self.is_running {
            whole.iter_mut().for_each(|world| world.seal(boot, &self.ops));
        }
        if sight == Sight::Settled {
            whole.iter_mut().for_each(|world| world.closed.extend(closed));
        }
        let tracked = self.tracked(key);
        tracked.worlds = if sight == Sight::Settled { whole.clone() } else { shown };
        Ok(whole)
    }

    /// I18: an event of a write that was to be refused for what it is, whatever the entity.
    fn accepted_alone(&self, key: &EntityKey, rows: &[&EventRow]) -> Option<Mismatch> {
        let is_of_entity = |request: &&Arc<Request>| {
            (&request.tenant, &request.set) == (&key.tenant, &key.set)
                && request.entity_id() == Some(&key.id)
        };
        let own: Vec<_> = self.refusable.iter().filter(is_of_entity).collect();
        let is_its = |row: &&&EventRow| {
            let params = params_of(&row.params);
            own.iter().any(|request| {
                (request.action(), &request.key) == (row.action.as_str(), &row.key)
                    && same_params(&request.params(), &params)
            })
        };
        let row = rows.iter().find(is_its)?;
        let actual = format!("event {} ({})", row.sequence_nr, row.action);
        let place = "accepted against the model";
        Some(Mismatch::new(Invariant::I18, place, "a rejection", actual))
    }

    fn blobs(
        &self,
        rows: &TenantRows,
        entities: &[(EntityKey, Vec<World>)],
        sight: Sight,
    ) -> crate::blob_check::BlobFindings {
        let all = entities;
        let entities: Vec<(&EntityKey, Vec<World>)> =
            entities.iter().map(|(key, worlds)| (key, worlds.clone())).collect();
        let is_try = |op: &&crate::world::Op| {
            op.request.tenant == rows.tenant && op.request.is_write() && op.alone.is_none()
        };
        let is_alive = self.is_running && sight != Sight::Dead;
        let ledger = self.ledgers.get(&rows.tenant);
        let tried = || self.tried(all);
        let (nothing, is_first) = (BTreeMap::new(), self.boot == BootId(1));
        let known = self.before_boot.get(&rows.tenant);
        BlobCheck {
            tried: &tried,
            before_boot: known.or(is_first.then_some(&nothing)),
            rows: &rows.blobs,
            entities: &entities,
            ops: self.ops.values().filter(is_try).collect(),
            clock: &self.clock,
            now: self.now,
            boot: is_alive.then_some(self.boot),
            baseline: ledger.and_then(|ledger| ledger.baseline.as_ref()),
            elsewhere: self
                .entities
                .iter()
                .filter(|(key, _)| key.tenant != rows.tenant)
                .flat_map(|(_, tracked)| &tracked.worlds)
                .collect(),
        }
        .run()
    }

    /// I20: a snapshot never falls and never passes its journal.
    fn snapshots(&self, rows: &TenantRows) -> Vec<Violation> {
        let baseline = self.ledgers.get(&rows.tenant).and_then(|ledger| ledger.baseline.as_ref());
        let mut journals: BTreeMap<&EntityKey, u64> = BTreeMap::new();
        for row in &rows.events {
            let last = journals.entry(&row.entity).or_default();
            *last = row.sequence_nr.max(*last);
        }
        let mut found: BTreeMap<&EntityKey, u64> = BTreeMap::new();
        let mut violations = Vec::new();
        for row in &rows.snapshots {
            found.insert(&row.entity, row.sequence_nr);
            let last = journals.get(&row.entity).copied().unwrap_or(0);
            if row.sequence_nr > last {
                let (expected, actual) = (format!("at most {last}"), row.sequence_nr.to_string());
                let place = "snapshot ahead of its journal";
                let mismatch = Mismatch::new(Invariant::I20, place, expected, actual);
                violations.push(mismatch.at(row.entity.to_string()));
            }
        }
        for (entity, before) in baseline.iter().flat_map(|baseline| &baseline.snapshots) {
            let now = found.get(entity).copied().unwrap_or(0);
            if now < *before {
                let (expected, actual) = (format!("{before} or later"), now.to_string());
                let mismatch =
                    Mismatch::new(Invariant::I20, "snapshot went back", expected, actual);
                violations.push(mismatch.at(entity.to_string()));
            }
        }
        violations
    }
}

/// The event and number of every row of `outbox` of an entity that is closed.
fn closed_rows(rows: &TenantRows, key: &EntityKey) -> Vec<(u64, u64)> {
    let own = rows.outbox.iter().filter(|row| row.entity == *key);
    let closed = own.filter(|row| matches!(row.state, OutboxState::Closed(_)));
    closed.map(|row| (row.sequence_nr, row.n)).collect()
}

fn foreign_rows(rows: &TenantRows) -> Option<Violation> {
    let events = rows.events.iter().map(|row| &row.entity);
    let others = rows.snapshots.iter().map(|row| &row.entity);
    let mut all = events.chain(others).chain(rows.outbox.iter().map(|row| &row.entity));
    let foreign = all.find(|entity| entity.tenant != rows.tenant)?;
    let expected = format!("only rows of {}", rows.tenant);
    let mismatch =
        Mismatch::new(Invariant::I13, "row of another tenant", expected, &foreign.tenant);
    Some(mismatch.at(foreign.to_string()))
}
