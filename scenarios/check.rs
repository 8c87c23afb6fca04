//! The invariants of a run: what the model says of every answer and of every reading of the tables.
//!
//! **Verified:** I1 to I4, I10, I18 and I19 by every answer and reading; I5 to I8, I12 and I20 by every
//! reading; I11 at every quiet moment (a recovery would find what the actors showed) and at the end (a
//! killed and recovered store has the same rows); I14 at every reading (rows can be read) and after
//! every crash (SQLite finds the file sound); I16 at the end (no 5xx once faults have stopped for a
//! minute); I21 throughout.
//! **Not verified:** I9 (whether the background sweeper is in time), I13 beyond the tenant column, I15,
//! I22.
//!
//! Violations that an answer shows are held back until the next reading of the tables: where both show
//! one, the table's is the first.

use crate::plan::{Mode, Step, entity_id, tenant_name};
use crate::rows::{Look, Reader};
use crate::translate;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stormglass_model::clock::Moment;
use stormglass_model::entity::{EntityKey, OpId};
use stormglass_model::oracle::Oracle;
use stormglass_model::tables::{KeptRow, Sight, TenantRows, same_rows};
use stormglass_model::violation::{Invariant, Mismatch, Violation};
use stormglass_model::{automaton, workload};
use stormglass_platform::Answer;
use stormglass_sim::World;

/// The ceiling of fields without one of their own, in bytes: the platform's default.
pub const DEFAULT_CEILING_BYTES: u64 = 131_072;
/// Disk operations and simulated days after which a run is going on for ever (I21).
const OPS_MAX: u64 = 1_000_000;
const DAYS_MAX: i64 = 400;

/// Why a run stops.
pub enum Stop {
    /// The platform broke a promise.
    Violated(Box<Violation>),
    /// The harness failed.
    Broken(String),
}

/// Whether a run goes on.
pub type Going = Result<(), Stop>;

/// Stops a run for a violation.
pub fn violated(violation: Violation) -> Going {
    Err(Stop::Violated(Box::new(violation)))
}

fn broken(misuse: impl ToString) -> Stop {
    Stop::Broken(misuse.to_string())
}

/// Whose turn it is in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The platform with its store, the simulated world, and the runner's own steps.
    Platform,
    /// Reading the tables for the judge.
    Tables,
    /// The model.
    Model,
}

/// The model of one run, with what was shown and read so far.
pub struct Judge<'a> {
    world: &'a World,
    /// Whether it judges. If not it follows the run all the same and finds nothing.
    is_on: bool,
    watch: &'a dyn Fn(Part),
    oracle: Oracle,
    /// Violations that answers showed, until the tables are read.
    held: Vec<Violation>,
    /// Every entity that was ever asked for.
    asked: BTreeSet<(u32, u32)>,
    /// Tenants in whose store a commit has succeeded in this boot, and none failed since: what stands
    /// in their log will stay.
    settled: BTreeSet<u32>,
    /// The event that each entity's actor has last shown in this boot, with no write sent since.
    shown: BTreeMap<EntityKey, u64>,
    /// Something was shown that the tables were not yet held against.
    has_news: bool,
    /// Errors injected before this boot, and before the tables were last read.
    errors_before_boot: u64,
    errors_read: u64,
    /// The number of the last disk operation when the tables were last read.
    read_at_op: u64,
    reader: Reader,
    /// How often a tenant's tables were held against the model.
    pub reading_count: u64,
}

impl<'a> Judge<'a> {
    /// The judge of a run on `world`, and whom it tells whose turn it is.
    pub fn new(
        world: &'a World,
        mode: Mode,
        (is_on, watch): (bool, &'a dyn Fn(Part)),
    ) -> Judge<'a> {
        let default_inline_max = DEFAULT_CEILING_BYTES;
        let mode = match mode {
            Mode::BlobRefs => automaton::Mode::BlobRefs { default_inline_max },
            Mode::InlineTruncate => automaton::Mode::InlineTruncate { default_inline_max },
        };
        let mut oracle = Oracle::new(mode, moment(world));
        oracle.set_spec(workload::session::session());
        Judge {
            world,
            is_on,
            watch,
            oracle,
            held: Vec::new(),
            asked: BTreeSet::new(),
            settled: BTreeSet::new(),
            shown: BTreeMap::new(),
            has_news: false,
            errors_before_boot: 0,
            errors_read: 0,
            read_at_op: 0,
            reader: Reader::default(),
            reading_count: 0,
        }
    }

    /// Every entity that was ever asked for, as tenant and number.
    pub fn asked(&self) -> Vec<(u32, u32)> {
        self.asked.iter().copied().collect()
    }

    /// Observations from which nothing was concluded, because too much was in doubt.
    pub fn unverified(&self) -> u64 {
        self.oracle.unverified()
    }

    /// The clock reads what it reads now: told before and after each step of it.
    pub fn clock(&mut self) {
        self.oracle.clock(moment(self.world));
    }

    /// A server process runs.
    pub fn boot_started(&mut self) -> Going {
        self.oracle.boot_started(moment(self.world)).map_err(broken)?;
        self.settled.clear();
        self.shown.clear();
        self.errors_before_boot = self.error_count();
        Ok(())
    }

    /// The server process is over.
    pub fn boot_ended(&mut self) {
        self.oracle.boot_ended(moment(self.world));
    }

    /// A step's request is sent; nothing if the step is none.
    pub fn sent(&mut self, step: &Step) -> Option<OpId> {
        let request = translate::for_model(step)?;
        if let Some(who) = step.action.who() {
            self.asked.insert((who.tenant, who.entity));
            if step.action.is_write() {
                let (tenant, id) = (tenant_name(who.tenant), entity_id(who));
                self.shown.retain(|key, _| key.tenant != tenant || key.id != id);
            }
        }
        Some(self.ask(|oracle, now| oracle.send(now, request)))
    }

    /// A request got no answer and will get none.
    pub fn lost(&mut self, op: OpId) {
        self.oracle.lost(moment(self.world), op);
    }

    /// A request was answered.
    pub fn answered(&mut self, step: &Step, op: OpId, said: &Answer) -> Going {
        let Some(answer) = translate::answer(step, said) else {
            let mismatch = Mismatch::new(
                Invariant::I18,
                "answer of another shape",
                "the shape of the contract's section 8",
                said.body.to_string(),
            );
            return violated(mismatch.at(translate::brief(step)));
        };
        let found = self.ask(|oracle, now| oracle.answer(now, op, &answer)).map_err(broken)?;
        if found.is_empty() {
            self.note_standing(step, said);
        }
        self.held.extend(found);
        Ok(())
    }

    /// Keeps what an answer says of its tenant's store and of its entity.
    fn note_standing(&mut self, step: &Step, answer: &Answer) {
        let Some(who) = step.action.who() else { return };
        let (tenant, set) = (tenant_name(who.tenant), translate::SET.to_string());
        let key = EntityKey { tenant, set, id: entity_id(who) };
        if answer.status >= 500 {
            self.settled.remove(&who.tenant);
            self.shown.remove(&key);
        } else if answer.is_success() {
            // Opening a store commits, too.
            if step.action.is_write() || self.error_count() == self.errors_before_boot {
                self.settled.insert(who.tenant);
            }
            if let (Some(shown), false) = (answer.sequence_nr, step.action.is_history()) {
                self.has_news |= self.shown.insert(key, shown) != Some(shown);
            }
        }
    }

    /// Errors injected so far: of each a commit may have failed, one of the background's included.
    fn error_count(&self) -> u64 {
        let ledger = self.world.ledger();
        let errors =
            ledger.iter().filter(|((effect, ..), _)| matches!(*effect, "eio" | "no-space"));
        errors.map(|(_, count)| count).sum()
    }

    /// Whether no tenant's store has anything left that may be overwritten.
    pub fn is_settled(&self) -> bool {
        self.asked.iter().all(|(tenant, _)| self.settled.contains(tenant))
    }

    /// A quiet moment of a running server: reads the tables if anything may have changed, and judges.
    pub async fn quiet(&mut self) -> Going {
        self.clock();
        if self.is_on && (self.world.op_count() != self.read_at_op || self.has_news) {
            let errors = self.error_count();
            if std::mem::replace(&mut self.errors_read, errors) != errors {
                self.settled.clear();
            }
            let looks = self.look(false).await;
            self.judge_rows(looks, false)?;
        }
        self.judge_answers()
    }

    /// Reads what a server's end left on the disk, judge or not.
    pub async fn look_at_remains(&mut self) -> Vec<Look> {
        self.look(true).await
    }

    /// A dead server: judges what its end left on the disk.
    pub fn dead(&mut self, remains: Vec<Look>) -> Going {
        if self.is_on {
            self.judge_rows(remains, true)?;
        }
        self.judge_answers()
    }

    fn judge_answers(&mut self) -> Going {
        match self.held.drain(..).next() {
            Some(violation) if self.is_on => violated(violation),
            _ => Ok(()),
        }
    }

    async fn look(&mut self, is_dead: bool) -> Vec<Look> {
        (self.watch)(Part::Tables);
        self.read_at_op = self.world.op_count();
        self.has_news = false;
        let (image, tenants) = (self.world.image(), self.tenants());
        let looks = self.reader.look(self.world, (image, is_dead), &tenants).await;
        (self.watch)(Part::Platform);
        looks
    }

    fn judge_rows(&mut self, looks: Vec<Look>, is_dead: bool) -> Going {
        for Look { tenant, damage, rows } in looks {
            self.reading_count += 1;
            if let Some(damage) = damage {
                let mismatch = Mismatch::new(Invariant::I14, "integrity check", "ok", damage);
                return violated(mismatch.at(tenant));
            }
            let rows = match rows {
                Ok(rows) => rows,
                Err(why) => {
                    let mismatch = Mismatch::new(Invariant::I14, "unreadable rows", "rows", why);
                    return violated(mismatch.at("a tenant's tables"));
                }
            };
            let is_settled = self.settled.iter().any(|tenant| tenant_name(*tenant) == rows.tenant);
            let sight = match (is_dead, is_settled) {
                (true, _) => Sight::Dead,
                (false, true) => Sight::Settled,
                (false, false) => Sight::Idle,
            };
            let mut found = self.ask(|oracle, now| oracle.observe(now, &rows, sight)).violations;
            if !is_dead {
                found.extend(self.recovers_to_what_was_shown(&rows));
            }
            if let Some(first) = found.into_iter().min_by_key(|found| found.invariant) {
                return violated(first);
            }
        }
        Ok(())
    }

    /// The model's turn.
    fn ask<T>(&mut self, question: impl FnOnce(&mut Oracle, Moment) -> T) -> T {
        (self.watch)(Part::Model);
        let told = question(&mut self.oracle, moment(self.world));
        (self.watch)(Part::Platform);
        told
    }

    fn tenants(&self) -> BTreeSet<String> {
        self.asked.iter().map(|(tenant, _)| tenant_name(*tenant)).collect()
    }

    /// I11: what the running actors have shown is what a recovery would find.
    fn recovers_to_what_was_shown(&self, rows: &TenantRows) -> Option<Violation> {
        for (key, shown) in self.shown.iter().filter(|(key, _)| key.tenant == rows.tenant) {
            let found = rows.events.iter().filter(|event| event.entity == *key).count() as u64;
            if found != *shown {
                let place = "recovery finds another journal than the actor showed";
                let (expected, actual) = (format!("{shown} events"), format!("{found} events"));
                let mismatch = Mismatch::new(Invariant::I11, place, expected, actual);
                return Some(mismatch.at(key.to_string()));
            }
        }
        None
    }

    /// The rows of every tenant as they were last read.
    pub fn rows(&self) -> Vec<Arc<TenantRows>> {
        self.reader.rows()
    }

    /// I11: two readings of the same tenants, before and after a recovery, are equal.
    pub fn same(&self, before: &[Arc<TenantRows>], after: &[Arc<TenantRows>]) -> Going {
        let pairs = before.iter().zip(after);
        match pairs.filter(|_| self.is_on).find_map(|(before, after)| same_rows(before, after)) {
            Some(violation) => violated(violation),
            None => Ok(()),
        }
    }

    /// I16: without faults, 5xx is no answer.
    pub fn unavailable(&self, step: &Step, answer: &str) -> Going {
        if !self.is_on {
            return Ok(());
        }
        let place = "unavailable without faults";
        let mismatch = Mismatch::new(Invariant::I16, place, "an answer below 500", answer);
        violated(mismatch.at(translate::brief(step)))
    }

    /// I21: a run ends.
    pub fn bounded(&self) -> Going {
        let days = self.world.clock().monotonic_ms() / 86_400_000;
        if self.world.op_count() <= OPS_MAX && days <= DAYS_MAX {
            return Ok(());
        }
        let actual = format!("{} disk operations, {days} days", self.world.op_count());
        violated(Mismatch::new(Invariant::I21, "goes on for ever", "an end", actual).at("the run"))
    }
}

/// An event whose blob is neither there nor expired: a crash fell between the two.
pub fn event_without_its_blob(rows: &TenantRows, now_ms: i64) -> Option<String> {
    let keys: BTreeSet<&str> = rows.blobs.iter().map(|blob| blob.key.as_str()).collect();
    let mut last: BTreeMap<&EntityKey, &stormglass_model::tables::EventRow> = BTreeMap::new();
    for event in &rows.events {
        let newest = last.entry(&event.entity).or_insert(event);
        if newest.sequence_nr < event.sequence_nr {
            *newest = event;
        }
    }
    let lacks = |kept: &KeptRow| match kept {
        KeptRow::Blob { key, deadline_ms, .. } => {
            deadline_ms.is_none_or(|at| now_ms < at) && !keys.contains(key.as_str())
        }
        _ => false,
    };
    let torn = last.into_values().find(|event| event.kept.values().any(lacks))?;
    Some(format!("event {} of {}", torn.sequence_nr, torn.entity.id))
}

fn moment(world: &World) -> Moment {
    let clock = world.clock();
    Moment { mono_ms: clock.monotonic_ms() as u64, clock_ms: clock.now_utc_ms() }
}
