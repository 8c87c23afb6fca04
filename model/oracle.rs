//! The oracle: told of every request, answer, crash and clock reading, it says what breaks the
//! contract.
//!
//! It keeps for each entity every past that agrees with what was observed (see `world`). A request
//! ends acknowledged, rejected or in doubt; one in doubt may take effect until its boot ends.
//!
//! Verified: I1 to I4, I10 and I18 from answers; what rows can show, I15 included, is in `observe`.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use crate::automaton::{Automaton, Mode};
use crate::clock::{ClockLog, Mark, Moment};
use crate::damage::Damage;
use crate::decide::decide_alone;
use crate::entity::{BootId, EntityKey, OpId};
use crate::explain::explain;
use crate::fit::not_allowed;
use crate::inner::Spawned;
use crate::ledger::Ledger;
use crate::outbox_check::Settled;
use crate::request::{Answer, Kind, Rejection, Request, Rules};
use crate::violation::{Invariant, Mismatch, Violation};
use crate::world::{Op, Ran, Search, World};

/// The steps that one search through possible pasts may take.
const SEARCH_STEPS_MAX: u32 = 20_000;
/// The pasts that an entity may have at once.
pub(crate) const WORLDS_MAX: usize = 256;

/// A call that makes no sense: trouble of the harness, never of the platform.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Misuse {
    /// An answer to a request that is not open.
    #[error("request {} is not open, so it has no answer", .0.0)]
    NotOpen(OpId),
    /// A boot that starts while another runs.
    #[error("boot {} still runs", .0.0)]
    BootRuns(BootId),
}

/// The possible pasts of one entity.
#[derive(Clone, Debug)]
pub(crate) struct Tracked {
    pub(crate) worlds: Vec<World>,
    /// Whether there were too many to tell; nothing is concluded from then on.
    pub(crate) is_lost_track: bool,
}

impl Tracked {
    fn await_answer(&mut self, id: OpId) {
        for world in &mut self.worlds {
            world.waiting.insert(id, world.version());
        }
    }
}

/// The oracle of one run. A clone is the oracle as it stood at that moment.
#[derive(Clone, Debug)]
pub struct Oracle {
    pub(crate) clock: ClockLog,
    pub(crate) now: Mark,
    pub(crate) boot: BootId,
    pub(crate) is_running: bool,
    /// When the last boot began, in monotonic time.
    pub(crate) boot_began_ms: u64,
    pub(crate) ops: BTreeMap<OpId, Op>,
    pub(crate) entities: BTreeMap<EntityKey, Tracked>,
    pub(crate) ledgers: BTreeMap<String, Ledger>,
    pub(crate) specs: BTreeMap<String, Arc<Automaton>>,
    modes: BTreeMap<String, Mode>,
    default_mode: Mode,
    next_op: u64,
    unverified: u64,
    /// Writes that were to be refused for what they are, should one be accepted all the same.
    pub(crate) refusable: Vec<Arc<Request>>,
    pub(crate) settled_rows: Settled,
    /// By tenant: the length of every journal when the last boot had ended, if it was read then.
    pub(crate) before_boot: BTreeMap<String, BTreeMap<EntityKey, u64>>,
    pub(crate) damage: Damage,
}

impl Oracle {
    /// An oracle for tenants whose mode is `mode` unless [`Oracle::set_mode`] says otherwise.
    pub fn new(mode: Mode, start: Moment) -> Self {
        let mut clock = ClockLog::default();
        let now = clock.read(start);
        Oracle {
            clock,
            now,
            boot: BootId(0),
            is_running: false,
            boot_began_ms: 0,
            ops: BTreeMap::new(),
            entities: BTreeMap::new(),
            ledgers: BTreeMap::new(),
            specs: BTreeMap::new(),
            modes: BTreeMap::new(),
            default_mode: mode,
            next_op: 0,
            unverified: 0,
            refusable: Vec::new(),
            settled_rows: Settled::new(),
            before_boot: BTreeMap::new(),
            damage: Damage::default(),
        }
    }

    /// Serves an entity set from now on, in place of an older spec of it.
    pub fn set_spec(&mut self, automaton: Automaton) {
        self.specs.insert(automaton.set(), Arc::new(automaton));
    }

    /// Keeps a tenant's values in this mode from now on.
    pub fn set_mode(&mut self, tenant: &str, mode: Mode) {
        self.modes.insert(tenant.to_owned(), mode);
    }

    /// Takes over what is in force, and what is counted over the whole run.
    pub(crate) fn take_settings(&mut self, other: Oracle) {
        let Oracle { specs, modes, default_mode, unverified, .. } = other;
        (self.specs, self.modes) = (specs, modes);
        (self.default_mode, self.unverified) = (default_mode, unverified);
    }

    /// A reading of the platform's clock. A step is told by one call before and one after it.
    pub fn clock(&mut self, moment: Moment) {
        self.now = self.clock.read(moment);
    }

    /// The observations from which nothing was concluded, because too much was in doubt.
    pub fn unverified(&self) -> u64 {
        self.unverified
    }

    /// The entities of which but one past agrees with what was observed, each with it.
    pub fn certain(&self) -> impl Iterator<Item = (&EntityKey, &World)> {
        self.entities.iter().filter(|(_, tracked)| !tracked.is_lost_track).filter_map(
            |(key, tracked)| match &tracked.worlds[..] {
                [world] => Some((key, world)),
                _ => None,
            },
        )
    }

    /// A server process starts.
    ///
    /// # Errors
    /// [`Misuse::BootRuns`] when the last one has not ended.
    pub fn boot_started(&mut self, moment: Moment) -> Result<BootId, Misuse> {
        if self.is_running {
            return Err(Misuse::BootRuns(self.boot));
        }
        self.clock(moment);
        self.boot = BootId(self.boot.0 + 1);
        self.is_running = true;
        self.boot_began_ms = moment.mono_ms;
        self.ledgers.values_mut().for_each(Ledger::boot_started);
        for world in self.entities.values_mut().flat_map(|tracked| &mut tracked.worlds) {
            world.runs.clear();
        }
        Ok(self.boot)
    }

    /// The server process has ended, in whatever way: what is open is in doubt from now on.
    pub fn boot_ended(&mut self, moment: Moment) {
        self.clock(moment);
        self.is_running = false;
        self.before_boot.clear();
        let ids: Vec<OpId> = self.ops.keys().copied().collect();
        for id in ids {
            self.lose(id);
            let now = self.now;
            if let Some(op) = self.ops.get_mut(&id) {
                op.ended.get_or_insert(now);
            }
        }
        self.ledgers.values_mut().for_each(Ledger::boot_ended);
        for world in self.entities.values_mut().flat_map(|tracked| &mut tracked.worlds) {
            world.spent.values_mut().for_each(|is_over| *is_over = true);
        }
    }

    /// A guest that ran for the entity's event has ended because it was given too little fuel. Told before its
    /// callback can be seen.
    pub fn guest_spent(&mut self, key: &EntityKey, sequence_nr: u64, integration: &str) {
        for world in &mut self.tracked(key).worlds {
            world.spent.insert((sequence_nr, integration.to_owned()), false);
        }
    }

    /// A guest that runs in this boot for the entity's event has read, or has ended. Told before its callback
    /// can be seen: a boot runs it once, and none after the one whose callback is there.
    pub fn guest_ran(
        &mut self,
        key: &EntityKey,
        (sequence_nr, integration): (u64, &str),
        ran: Ran,
    ) {
        for world in &mut self.tracked(key).worlds {
            world.runs.insert((sequence_nr, integration.to_owned()), ran);
        }
    }

    /// A request is sent. Without a running boot nobody receives it, and it can only be lost.
    pub fn send(&mut self, moment: Moment, request: Request) -> OpId {
        self.clock(moment);
        self.next_op += 1;
        let id = OpId(self.next_op);
        if !self.is_running {
            return id;
        }
        let rules = self.rules(&request);
        let alone = decide_alone(rules.as_deref(), &request);
        if alone.is_none() {
            self.await_answer(id, &request);
        }
        let unknown =
            || Rules { automaton: Arc::new(Automaton::default()), mode: self.default_mode };
        let request = Arc::new(request);
        if alone.is_some() && request.is_write() {
            self.refusable.push(request.clone());
        }
        let op = Op {
            id,
            rules: rules.unwrap_or_else(|| Arc::new(unknown())),
            request,
            boot: self.boot,
            sent: self.now,
            ended: None,
            is_open: true,
            alone,
        };
        self.ops.insert(id, op);
        id
    }

    fn await_answer(&mut self, id: OpId, request: &Request) {
        if let Some(entity_id) = request.entity_id() {
            self.tracked(&key_of(request, entity_id)).await_answer(id);
        }
        if let Kind::List(_) = request.kind {
            let is_asked = |key: &EntityKey| key.tenant == request.tenant && key.set == request.set;
            let asked = self.entities.iter_mut().filter(|(key, _)| is_asked(key));
            asked.for_each(|(_, tracked)| tracked.await_answer(id));
        }
    }

    fn rules(&self, request: &Request) -> Option<Arc<Rules>> {
        self.rules_of(&request.tenant, &request.set)
    }

    pub(crate) fn rules_of(&self, tenant: &str, set: &str) -> Option<Arc<Rules>> {
        let automaton = self.specs.get(set)?.clone();
        let mode = self.modes.get(tenant).copied().unwrap_or(self.default_mode);
        Some(Arc::new(Rules { automaton, mode }))
    }

    /// The entity, with the creations in doubt that may have made it.
    pub(crate) fn tracked(&mut self, key: &EntityKey) -> &mut Tracked {
        let may_be_lost = self.may_be_lost(key);
        let ops = &self.ops;
        self.entities.entry(key.clone()).or_insert_with(|| {
            let mut world = World { may_be_lost, ..World::empty(&key.id) };
            let nameless = ops.values().filter(|op| {
                let request = &op.request;
                op.alone.is_none()
                    && request.kind == Kind::Create
                    && request.entity_id().is_none()
                    && (&request.tenant, &request.set) == (&key.tenant, &key.set)
            });
            world.waiting.extend(nameless.map(|op| (op.id, 0)));
            Tracked { worlds: vec![world], is_lost_track: false }
        })
    }

    /// A request was answered. Violations come back; what the answer proves is kept.
    ///
    /// # Errors
    /// [`Misuse::NotOpen`] when the request was answered or lost before, or its boot has ended.
    pub fn answer(
        &mut self,
        moment: Moment,
        id: OpId,
        answer: &Answer,
    ) -> Result<Vec<Violation>, Misuse> {
        self.clock(moment);
        let op = self.ops.get(&id).filter(|op| op.is_open).cloned().ok_or(Misuse::NotOpen(id))?;
        if answer.is_in_doubt() {
            if self.damage_of(&op.request.tenant).is_some() {
                let violation = self.damage_unnamed(&op, answer);
                self.lose(id);
                return Ok(violation.into_iter().collect());
            }
            let violation = unavailable(&op, answer);
            if violation.is_some() {
                // Whatever it says, the actor has started, so its blobs must be there (I5).
                for tracked in self.entities_of(&op) {
                    tracked.worlds.iter_mut().for_each(|world| world.has_answered(op.boot));
                }
            }
            self.lose(id);
            return Ok(violation.into_iter().collect());
        }
        let violations = match (&op.alone, answer) {
            (Some(allowed), _) => alone(&op, allowed, answer).into_iter().collect(),
            (None, _) if self.damage_of(&op.request.tenant).is_some() => {
                self.answer_damaged(&op, answer)
            }
            (None, Answer::List(items)) => self.answer_list(&op, items),
            (None, _) => self.answer_one(&op, answer).into_iter().collect(),
        };
        if violations.is_empty() {
            self.close(&op);
        } else {
            // What the platform made of it is unknown: the model goes on as if no answer had come.
            self.lose(id);
        }
        Ok(violations)
    }

    /// A request got no answer, and will get none.
    pub fn lost(&mut self, moment: Moment, id: OpId) {
        self.clock(moment);
        self.lose(id);
    }

    fn lose(&mut self, id: OpId) {
        let Some(op) = self.ops.get_mut(&id).filter(|op| op.is_open) else {
            return;
        };
        op.is_open = false;
        let op = op.clone();
        for tracked in self.entities_of(&op) {
            tracked.worlds.iter_mut().for_each(|world| world.lose(&op));
        }
        if !op.request.is_write() || op.alone.is_some() {
            self.ops.remove(&id);
        }
    }

    fn entities_of(&mut self, op: &Op) -> Vec<&mut Tracked> {
        match op.request.entity_id() {
            Some(id) => self.entities.get_mut(&key_of(&op.request, id)).into_iter().collect(),
            None => self.entities.values_mut().collect(),
        }
    }

    /// An answered request can do nothing more. Writes are kept: a rejected one may have put blobs.
    fn close(&mut self, op: &Op) {
        for tracked in self.entities_of(op) {
            tracked.worlds.iter_mut().for_each(|world| {
                world.waiting.remove(&op.id);
            });
        }
        let is_nameless = op.request.entity_id().is_none();
        if !op.request.is_write() || op.alone.is_some() || is_nameless {
            self.ops.remove(&op.id);
        } else if let Some(kept) = self.ops.get_mut(&op.id) {
            kept.is_open = false;
            kept.ended = Some(self.now);
        }
    }

    pub(crate) fn answer_one(&mut self, op: &Op, answer: &Answer) -> Option<Violation> {
        let named = op.request.entity_id().map(str::to_owned).or_else(|| match answer {
            // The platform made up the id of this creation.
            Answer::Entity { view, .. } => view.fields.get("Id")?.as_str().map(str::to_owned),
            _ => None,
        });
        let Some(entity_id) = named else {
            let tenant = format!("{}/{}", op.request.tenant, op.request.set);
            return Some(not_allowed("201 with a new entity", answer).at(tenant));
        };
        self.judge(&key_of(&op.request, &entity_id), op, answer)
    }

    /// Keeps the pasts of an entity that agree with an answer, or says why none does.
    pub(crate) fn judge(&mut self, key: &EntityKey, op: &Op, answer: &Answer) -> Option<Violation> {
        if self.tracked(key).is_lost_track {
            self.unverified += 1;
            return None;
        }
        let mut worlds = std::mem::take(&mut self.tracked(key).worlds);
        for world in worlds.iter_mut().filter(|world| !world.placed.contains_key(&op.id)) {
            // An entity that was first heard of after the sending may have been met at its
            // beginning.
            world.waiting.entry(op.id).or_insert(0);
        }
        let Some(spawned) = self.spawned(key, &[]) else {
            return self.lose_track(key, worlds);
        };
        let mut search = self.search(&spawned);
        let found: Vec<World> =
            worlds.iter().flat_map(|world| world.place(op, answer, &mut search)).collect();
        let is_exhausted = search.budget == 0 || found.len() > WORLDS_MAX;
        let agrees = !found.is_empty() && !is_exhausted;
        let reason = (!agrees).then(|| explain(&worlds[0], op, answer, &mut search));
        let tracked = self.tracked(key);
        tracked.worlds = if agrees { found } else { worlds };
        if is_exhausted {
            tracked.is_lost_track = true;
            self.unverified += 1;
            return None;
        }
        reason.map(|mismatch| mismatch.at(key.to_string()))
    }

    /// Concludes nothing of an entity any more.
    pub(crate) fn lose_track(&mut self, key: &EntityKey, worlds: Vec<World>) -> Option<Violation> {
        *self.tracked(key) = Tracked { worlds, is_lost_track: true };
        self.unverified += 1;
        None
    }

    pub(crate) fn search<'a>(&'a self, spawned: &'a [Spawned]) -> Search<'a> {
        Search {
            ops: &self.ops,
            spawned,
            clock: &self.clock,
            now: self.now,
            budget: SEARCH_STEPS_MAX,
            nearest: None,
        }
    }
}

pub(crate) fn key_of(request: &Request, id: &str) -> EntityKey {
    EntityKey { tenant: request.tenant.clone(), set: request.set.clone(), id: id.to_owned() }
}

fn place_name(op: &Op) -> String {
    let request = &op.request;
    let id = request.entity_id().unwrap_or("");
    format!("{}/{}/{id}", request.tenant, request.set)
}

/// Under honest faults the only 5xx is 503: nothing is ever lost or undecodable (I18).
fn unavailable(op: &Op, answer: &Answer) -> Option<Violation> {
    let is_busy = matches!(answer, Answer::Error { status: 503, .. });
    (!is_busy).then(|| not_allowed("an answer, or 503", answer).at(place_name(op)))
}

fn alone(op: &Op, allowed: &[Rejection], answer: &Answer) -> Option<Violation> {
    if let Answer::Error { status, code } = answer
        && allowed.iter().any(|rejection| rejection.admits(*status, code))
    {
        return None;
    }
    let names: Vec<&str> = allowed.iter().map(|rejection| rejection.code).collect();
    let mismatch: Mismatch = not_allowed(&names.join(" or "), answer);
    debug_assert_eq!(mismatch.invariant, Invariant::I18);
    Some(mismatch.at(place_name(op)))
}
