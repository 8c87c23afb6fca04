//! The invariants of a run: what the model says of every answer and of every reading of the tables, and
//! what takes the world to see.
//!
//! **Invariant:** the judge watches and touches nothing. At each quiet moment all that the tables show is
//! weighed before anything that an answer showed, each in the order of the invariants' ids: the first is
//! the run's verdict.
//!
//! **Verified** here, by asking the model: I1, I2, I3 (events against requests, by every answer and
//! reading), I4, I10, I18 (every answer), I5, I6, I7, I8, I12, I13 (rows, blobs, files), I15 (rows of the
//! outbox), I19, I20 for snapshots (every reading); how far each goes stands at the head of the model's
//! file. I7's orphans are counted: `check orphans`.
//! **Verified** in the files beside this one: I8, I9 and I20 for sweeps in `sweeps`; I2 by write protocol
//! and I14 in `remains`; I11 in `recovery`; I16, and I15's end, in `progress`; I21 in `progress` and
//! `panics`; I22, and what else holds after a dishonest fault, in `damage`; what specs say of their own
//! entities in `claims`.
//! **Not verified** by any of them:
//! - I17: no run can see it. `check-determinism`, the tests and a part of each campaign compare processes.
//! - I22 of what is not damaged: its errors (`BlobLost`, `EventUndecodable`) are answers there that I18
//!   refuses, and wrong, older or null values are I4's, I10's and I18's.
//! - What a snapshot holds (I12, I19) is not read: replays from it answer for that (I11).

mod background;
mod claims;
mod damage;
pub mod panics;
mod progress;
mod readings;
mod recovery;
mod remains;
mod sweeps;

pub use progress::{ENDLESS, PROGRESS_MS};
pub use remains::event_without_its_blob;

use crate::change::{Change, model_mode};
use crate::foreign;
use crate::guests::Told;
use crate::http::Answer;
use crate::patience::Bound;
use crate::plan::{Action, Plan, Step, Who, entity_id, tenant_name};
use crate::rows::{Look, Reader};
use crate::translate::{self, Sets};
use claims::Claims;
use damage::Followed;
use progress::Calm;
use recovery::Standing;
use remains::Remains;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stormglass_model::automaton::Automaton;
use stormglass_model::clock::Moment;
use stormglass_model::entity::{EntityKey, OpId};
use stormglass_model::oracle::Oracle;
use stormglass_model::violation::{Invariant, Mismatch, Violation};
use stormglass_sim::World;
use sweeps::Sweeps;

/// The ceiling of fields without one of their own, in bytes: the platform's default.
pub const DEFAULT_CEILING_BYTES: u64 = 131_072;

/// The place of an answer that acknowledges what is to be rejected.
const ACKNOWLEDGED: &str = "answer not allowed: success";

/// Why a run stops.
pub enum Stop {
    /// The platform broke a promise.
    Violated(Box<Violation>),
    /// The harness failed.
    Broken(String),
    /// A crash of the plan's has cut the run's end off: the end begins anew.
    CutOff,
    /// What comes then is known: another recovery was here, the one of this number.
    Known(usize),
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
    bound: Bound,
    /// The ceiling of fields without one of their own, where no change of a mode gives another.
    ceiling_bytes: u64,
    oracle: Oracle,
    /// What the model takes for the specs in force.
    automata: Arc<[Automaton]>,
    /// Violations that answers showed, until the tables are read.
    held: Vec<Violation>,
    /// Every entity that was ever asked for.
    asked: BTreeSet<Who>,
    claims: Claims,
    /// Tenants for which a creation was ever sent: the only ones that may have a file (I13).
    created: BTreeSet<String>,
    sets: Sets,
    standing: Standing,
    calm: Calm,
    sweeps: Sweeps,
    remains: Remains,
    /// By tenant, at the last reading: rows that only failed attempts put (I7).
    orphans: BTreeMap<String, usize>,
    /// The number of the last disk operation when the tables were last read.
    read_at_op: u64,
    reader: Reader,
    followed: Followed,
    /// Whether the request that is under way is the only one.
    is_alone: bool,
    /// How often a tenant's tables were held against the model.
    pub reading_count: u64,
}

impl<'a> Judge<'a> {
    /// The judge of a run of `plan` on `world`, and whom it tells whose turn it is.
    pub fn new(
        world: &'a World,
        plan: &Plan,
        (is_on, watch): (bool, &'a dyn Fn(Part)),
    ) -> Judge<'a> {
        let specs = foreign::of_plan(plan);
        let automata: Vec<Automaton> = specs.iter().map(|spec| spec.automaton.clone()).collect();
        let mut oracle = Oracle::new(model_mode(plan.mode, plan.ceiling_bytes()), moment(world));
        automata.iter().cloned().for_each(|automaton| oracle.set_spec(automaton));
        let is_checkpoint = |step: &Step| matches!(step.action, Action::Checkpoint { .. });
        if plan.checkpoint_pages.is_some() || plan.steps.iter().any(is_checkpoint) {
            oracle.logs_are_brought_to_files();
        }
        Judge {
            world,
            is_on,
            watch,
            bound: Bound::WHOLE,
            ceiling_bytes: plan.ceiling_bytes(),
            oracle,
            sets: Sets::new(&automata),
            automata: automata.into(),
            held: Vec::new(),
            asked: BTreeSet::new(),
            claims: Claims::new(specs),
            created: BTreeSet::new(),
            standing: Standing::default(),
            calm: Calm::default(),
            sweeps: Sweeps::new(plan.sweep_interval_ms),
            remains: Remains::new(plan.protocol, world.clock().now_utc_ms()),
            orphans: BTreeMap::new(),
            read_at_op: 0,
            reader: Reader::default(),
            followed: Followed::default(),
            is_alone: false,
            reading_count: 0,
        }
    }

    /// The judge as it stands, of a run that goes on from here in a world of its own.
    pub fn in_world<'b>(&self, world: &'b World) -> Judge<'b> {
        Judge {
            world,
            is_on: self.is_on,
            watch: &|_| {},
            bound: self.bound,
            ceiling_bytes: self.ceiling_bytes,
            oracle: self.oracle.clone(),
            automata: Arc::clone(&self.automata),
            held: self.held.clone(),
            asked: self.asked.clone(),
            claims: self.claims.clone(),
            created: self.created.clone(),
            sets: self.sets.clone(),
            standing: self.standing.clone(),
            calm: self.calm.clone(),
            sweeps: self.sweeps.clone(),
            remains: self.remains.clone(),
            orphans: self.orphans.clone(),
            read_at_op: u64::MAX,
            reader: self.reader.clone(),
            followed: self.followed.clone(),
            is_alone: self.is_alone,
            reading_count: 0,
        }
    }

    /// Every entity that was ever asked for.
    pub fn asked(&self) -> impl Iterator<Item = Who> {
        self.asked.iter().copied()
    }

    /// The entity sets of the run.
    pub fn sets(&self) -> &Sets {
        &self.sets
    }

    /// Observations from which nothing was concluded, because too much was in doubt.
    pub fn unverified(&self) -> u64 {
        self.oracle.unverified()
    }

    /// Rows that only in-doubt and failed attempts put, when they were last read (I7).
    pub fn orphan_count(&self) -> u64 {
        self.orphans.values().sum::<usize>() as u64
    }

    /// The clock reads what it reads now: told before and after each step of it.
    pub fn clock(&mut self) {
        let now = moment(self.world);
        self.remains.clock_read(now.clock_ms);
        self.oracle.clock(now);
    }

    /// The latest reading of the wall clock in this run.
    pub fn latest_clock_ms(&self) -> i64 {
        self.remains.latest_ms()
    }

    /// From the boot that starts next on, this holds.
    pub fn reconfigured(&mut self, change: &Change) {
        change.apply_to_model(Arc::make_mut(&mut self.automata));
        self.automata.iter().cloned().for_each(|automaton| self.oracle.set_spec(automaton));
        if let Change::Mode { tenant, mode, inline_max_bytes } = change {
            let ceiling_bytes = inline_max_bytes.unwrap_or(self.ceiling_bytes);
            self.oracle.set_mode(&tenant_name(*tenant), model_mode(*mode, ceiling_bytes));
        }
    }

    /// A server process runs.
    pub fn boot_started(&mut self) -> Going {
        self.oracle.boot_started(moment(self.world)).map_err(broken)?;
        self.standing = Standing::of_boot(self.world);
        Ok(())
    }

    /// The server process is over.
    pub fn boot_ended(&mut self) {
        self.oracle.boot_ended(moment(self.world));
        self.calm.disturbed();
    }

    /// A step's request is sent; nothing if the step is none.
    pub fn sent(&mut self, step: &Step) -> Option<OpId> {
        let request = translate::for_model(step, &self.sets)?;
        if let Some(who) = step.action.who() {
            self.asked.insert(who);
            if let Action::Create { .. } = step.action {
                self.created.insert(tenant_name(who.tenant));
            }
            if step.action.is_write() {
                self.standing.write_sent(&self.key(who));
            }
        }
        let op = self.ask(|oracle, now| oracle.send(now, request));
        self.calm.sent(self.world, op);
        Some(op)
    }

    /// Guests that the plan gave too little fuel have ended for that; and what was learnt of runs: when each read,
    /// and how long it took.
    pub fn guests_told(&mut self, told: Told) {
        for (key, sequence_nr, integration) in told.spent {
            self.oracle.guest_spent(&key, sequence_nr, &integration);
        }
        for ((key, sequence_nr, integration), ran) in told.ran {
            self.oracle.guest_ran(&key, (sequence_nr, &integration), ran);
        }
    }

    /// A request got no answer and will get none.
    pub fn lost(&mut self, op: OpId) {
        self.calm.lost(op);
        self.oracle.lost(moment(self.world), op);
    }

    /// A request was answered.
    pub fn answered(&mut self, step: &Step, op: OpId, said: &Answer) -> Going {
        self.note_damage();
        let was_calm = self.calm.answered(self.world, op) && !self.is_excused(step);
        let Some(answer) = translate::answer(step, said, &self.sets) else {
            return self.odd(step, &said.body.to_string());
        };
        let mut found = self.ask(|oracle, now| oracle.answer(now, op, &answer)).map_err(broken)?;
        if let Some(loss) = said.loss() {
            found.iter_mut().for_each(|one| damage::name_loss(one, &loss));
        }
        if found.is_empty() {
            self.note_standing(step, said);
        }
        self.held.extend(found);
        self.held.extend(self.names_what_is_lost(step, said));
        let contradiction = translate::contradiction(step, said, &self.sets);
        // Of a damaged file the page may be of one time and the count of another.
        if let Some(actual) = contradiction.filter(|_| !self.is_excused(step)) {
            let (place, expected) = ("answer contradicts itself", "the same twice");
            let mismatch = Mismatch::new(Invariant::I18, place, expected, actual);
            self.held.push(mismatch.at(self.subject(step)));
        }
        if was_calm && let Some(mut found) = progress::unavailable(&self.subject(step), &answer) {
            said.loss().iter().for_each(|loss| damage::name_loss(&mut found, loss));
            self.held.push(found);
        }
        Ok(())
    }

    /// An answer is none of the contract's.
    pub fn odd(&self, step: &Step, actual: &str) -> Going {
        let (place, expected) =
            ("answer of another shape", "the shape of the contract's section 8");
        let mismatch = Mismatch::new(Invariant::I18, place, expected, actual);
        if self.is_on { violated(mismatch.at(translate::brief(step))) } else { Ok(()) }
    }

    /// A request that is none was answered: with its rejection, whatever the platform is at (I18).
    pub fn refused(&mut self, step: &Step, said: &Answer) -> Going {
        let Action::Malformed { what, .. } = &step.action else { return Ok(()) };
        let (status, code) = what.rejection();
        if !self.is_on || (said.status == status && said.code.as_deref() == Some(code)) {
            return Ok(());
        }
        let actual = format!("{} {}", said.status, said.code.as_deref().unwrap_or("success"));
        let place = "answer to a request that is none";
        let mismatch = Mismatch::new(Invariant::I18, place, format!("{status} {code}"), actual);
        violated(mismatch.at(translate::brief(step)))
    }

    /// Keeps what an answer says of its tenant's store and of its entity.
    fn note_standing(&mut self, step: &Step, answer: &Answer) {
        let Some(who) = step.action.who() else { return };
        let key = self.key(who);
        let is_write = step.action.is_write();
        if answer.status >= 500 {
            self.standing.in_doubt(&key);
        } else if answer.is_success() {
            self.standing.succeeded(self.world, &key.tenant, is_write);
            if let (Some(shown), false) = (answer.sequence_nr, step.action.is_history()) {
                self.standing.shown(key, shown);
            }
        } else if self.is_alone && answer.code.as_deref() == Some("EntityNotFound") {
            self.standing.absent(key);
        }
    }

    /// What a step is about: its entity, or else the step itself.
    fn subject(&self, step: &Step) -> String {
        let key = step.action.who().map(|who| self.key(who).to_string());
        key.unwrap_or_else(|| translate::brief(step))
    }

    fn key(&self, who: Who) -> EntityKey {
        let (tenant, set) = (tenant_name(who.tenant), self.sets.name(who.set));
        EntityKey { tenant, set, id: entity_id(who) }
    }

    /// Whether no tenant's store has anything left that may be overwritten.
    pub fn is_settled(&self) -> bool {
        let mut whole = self.tenants();
        whole.retain(|tenant| self.oracle.damage_of(tenant).is_none());
        whole.iter().all(|tenant| self.standing.is_settled(tenant))
    }

    /// A quiet moment of a running server: reads the tables if anything may have changed, and judges.
    pub async fn quiet(&mut self) -> Going {
        self.clock();
        if !self.is_on {
            self.held.clear();
            return Ok(());
        }
        let mut found = Vec::new();
        if self.world.op_count() != self.read_at_op || self.standing.has_news {
            self.standing.note_errors(self.world);
            let looks = self.look(false).await;
            found = self.judge_rows(looks, false);
        } else {
            for rows in self.reader.rows() {
                self.ask(|oracle, now| oracle.unchanged(now, &rows));
            }
        }
        self.judge_sweeps(&mut found);
        self.decide(found)
    }

    /// The invariants of the specs that have been found broken since the last call, in words: the bugs of
    /// the specs, never the platform's.
    pub fn broken_claims(&mut self) -> Vec<String> {
        if self.is_on { self.claims.check(&self.oracle) } else { Vec::new() }
    }

    /// A dead server: judges what its end left on the disk.
    pub fn dead(&mut self, remains: Vec<Look>) -> Going {
        self.clock();
        if !self.is_on {
            self.held.clear();
            return Ok(());
        }
        self.forget_sweep();
        let found = self.judge_rows(remains, true);
        self.decide(found)
    }

    /// The first violation of a moment, in the order of the ids; tables before answers.
    fn decide(&mut self, mut found: Vec<Violation>) -> Going {
        let held = std::mem::take(&mut self.held);
        // What was wrongly acknowledged stands in the journal as it was said: the answer is the fault.
        let is_said = |one: &Violation| {
            let mut said = held.iter().filter(|said| said.place == ACKNOWLEDGED);
            one.invariant == Invariant::I11 && said.any(|said| said.entity == one.entity)
        };
        found.retain(|one| !is_said(one));
        let first = |found: Vec<Violation>| found.into_iter().min_by_key(|one| one.invariant);
        first(found).or_else(|| first(held)).map_or(Ok(()), violated)
    }

    /// The model's turn.
    fn ask<T>(&mut self, question: impl FnOnce(&mut Oracle, Moment) -> T) -> T {
        (self.watch)(Part::Model);
        let told = question(&mut self.oracle, moment(self.world));
        (self.watch)(Part::Platform);
        told
    }

    fn tenants(&self) -> BTreeSet<String> {
        self.asked.iter().map(|who| tenant_name(who.tenant)).collect()
    }
}

fn moment(world: &World) -> Moment {
    let clock = world.clock();
    Moment { mono_ms: clock.monotonic_ms() as u64, clock_ms: clock.now_utc_ms() }
}
