//! One possible past of an entity: a journal, and the requests that may still add to it.
//!
//! A request whose outcome is unknown either took effect or did not, and while its boot runs it may
//! still do so. The model keeps every past that agrees with what was observed. A past is extended
//! only when an observation needs it: what is not needed now can still happen later, so the shorter
//! past stands for the longer ones.
//!
//! Keeps: I2 ("a present one never becomes absent": a journal only grows), I18 (a request may have
//! met any version since its sending).
//!
//! Not verified: whether a rejection met a request in doubt before or after it took effect when
//! both are possible and the shorter past explains the rejection.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::clock::{ClockLog, Mark, Span};
use crate::decide::{Decision, decide, same_params};
use crate::entity::{BootId, Event, Field, Kept, OpId, Origin, State};
use crate::fit;
use crate::inner::{NOBODY, Spawned, Times};
use crate::request::{Answer, Kind, Rejection, Request, Rules};
use crate::violation::Mismatch;

/// A request that was sent.
#[derive(Clone, Debug)]
pub struct Op {
    /// Its number.
    pub id: OpId,
    /// What was asked.
    pub request: Arc<Request>,
    /// The rules at its sending.
    pub rules: Arc<Rules>,
    /// The boot that it was sent to.
    pub boot: BootId,
    /// When it was sent.
    pub sent: Mark,
    /// When its boot ended, if it has.
    pub ended: Option<Mark>,
    /// Whether an answer can still come.
    pub is_open: bool,
    /// Its rejections, when they follow from the request alone.
    pub alone: Option<Vec<Rejection>>,
}

impl Op {
    /// Whether the platform itself asks for it (section 9): then any boot from its event's on may be
    /// the one that does it.
    pub fn is_inner(&self) -> bool {
        self.id == NOBODY
    }

    /// When the clock can have been read for it.
    pub fn stamp(&self, clock: &ClockLog, now: Mark) -> Span {
        clock.span(self.sent, self.ended.unwrap_or(now))
    }
}

/// What a search through possible pasts may look at, and how far it may go.
pub struct Search<'a> {
    /// Every request that may still count.
    pub ops: &'a BTreeMap<OpId, Op>,
    /// What events of other entities may ask of the entity that is searched.
    pub spawned: &'a [Spawned],
    /// The readings of the clock.
    pub clock: &'a ClockLog,
    /// The present.
    pub now: Mark,
    /// The steps that are left; at 0 the search gives up and nothing is concluded.
    pub budget: u32,
    /// Why the most promising past does not agree: what a report tells.
    pub nearest: Option<(u64, Mismatch)>,
}

impl Search<'_> {
    /// The clock, as inner requests need it.
    pub fn times(&self) -> Times<'_> {
        Times { clock: self.clock, now: self.now }
    }

    /// Whether one step more is allowed.
    pub fn spend(&mut self) -> bool {
        self.budget = self.budget.saturating_sub(1);
        self.budget > 0
    }

    /// Keeps the mismatch of the past that explained most.
    pub fn note(&mut self, explained: u64, mismatch: Mismatch) {
        if self.nearest.as_ref().is_none_or(|(most, _)| explained > *most) {
            self.nearest = Some((explained, mismatch));
        }
    }
}

/// An acknowledgement: by which boot, and when it had arrived.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    /// The boot that answered.
    pub boot: BootId,
    /// When its answer was there.
    pub at: Mark,
}

/// What is known of a run of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ran {
    /// The clock's readings when its state was made ready: by one of them its expiry was judged.
    pub readings: Span,
    /// The monotonic time that it took at least.
    pub lasted_ms: u64,
}

/// One possible past.
#[derive(Clone, Debug)]
pub struct World {
    /// The events, oldest first.
    pub journal: Vec<Arc<Event>>,
    /// The state before the first event, and after each.
    pub states: Vec<Arc<State>>,
    /// Requests that may still take effect or be answered, each with the version at its sending.
    pub waiting: BTreeMap<OpId, u64>,
    /// Requests that took effect and whose answer is still out, each with its event.
    pub placed: BTreeMap<OpId, u64>,
    /// The events that were acknowledged, by sequence number.
    pub acks: BTreeMap<u64, Ack>,
    /// The newest version that the actor of a boot has answered from.
    pub answered: Option<(BootId, u64)>,
    /// Intents, by event and number, whose row has been seen closed: they never take effect.
    pub closed: BTreeSet<(u64, u64)>,
    /// Runs of guests that ended for want of fuel, by event and integration: each with whether its boot is
    /// over, so that another may have run since.
    pub spent: BTreeMap<(u64, String), bool>,
    /// Runs of guests in the last boot, as far as they are known, by event and integration.
    pub runs: BTreeMap<(u64, String), Ran>,
    /// Whether damage may have taken a value's row and what the journal says of it.
    pub may_be_lost: bool,
}

impl World {
    /// The past of an entity of which nothing is known.
    pub fn empty(id: &str) -> Self {
        World {
            journal: Vec::new(),
            states: vec![Arc::new(State::never(id))],
            waiting: BTreeMap::new(),
            placed: BTreeMap::new(),
            acks: BTreeMap::new(),
            answered: None,
            closed: BTreeSet::new(),
            spent: BTreeMap::new(),
            runs: BTreeMap::new(),
            may_be_lost: false,
        }
    }

    /// The number of events.
    pub fn version(&self) -> u64 {
        self.journal.len() as u64
    }

    /// The state after that many events.
    pub fn state(&self, version: u64) -> &Arc<State> {
        &self.states[version as usize]
    }

    /// The event with that sequence number.
    pub fn event(&self, sequence_nr: u64) -> Option<&Arc<Event>> {
        self.journal.get(sequence_nr.checked_sub(1)? as usize)
    }

    /// The span of a field's deadline, if it is kept as a blob that expires.
    pub fn deadline(&self, field: &Field) -> Option<Span> {
        match (&field.written.kept, self.event(field.sequence_nr)) {
            (Kept::Blob { ttl_ms: Some(ttl_ms) }, Some(event)) => {
                Some(event.stamp.plus_ttl(*ttl_ms))
            }
            _ => None,
        }
    }

    /// What `op` gets at a version.
    pub fn decide_at(&self, version: u64, op: &Op, stamp: Span) -> Decision {
        let origin = Origin { op: op.id, boot: op.boot, sent: op.sent, stamp };
        decide(&op.rules, self.state(version), &op.request, origin)
    }

    /// The past in which `op` takes effect next; none if it is rejected or changes nothing there.
    pub fn with(&self, op: &Op, search: &Search<'_>) -> Option<World> {
        let stamp = op.stamp(search.clock, search.now);
        let Decision::Accept { event, state } = self.decide_at(self.version(), op, stamp) else {
            return None;
        };
        let mut world = self.clone();
        world.journal.push(event);
        world.states.push(state);
        world.waiting.remove(&op.id);
        if op.is_open {
            world.placed.insert(op.id, world.version());
        }
        world.seal(op.boot, search.ops);
        Some(world)
    }

    /// A boot has shown its version: what an earlier boot left undone is never done (section 4,
    /// "once the boot is over, the next read settles it").
    pub fn seal(&mut self, boot: BootId, ops: &BTreeMap<OpId, Op>) {
        self.waiting.retain(|id, _| ops.get(id).is_some_and(|op| op.boot >= boot));
    }

    /// The requests that can take effect next, in the order of sending.
    pub fn candidates<'a>(&self, search: &Search<'a>, besides: Option<OpId>) -> Vec<&'a Op> {
        let mut found: Vec<&Op> = Vec::new();
        for id in self.waiting.keys().filter(|id| Some(**id) != besides) {
            let Some(op) = search.ops.get(id).filter(|op| op.request.is_write()) else {
                continue;
            };
            // Of equal requests in doubt the one that was sent first stands for all: its event may
            // have any timestamp that theirs may have.
            if !found.iter().any(|other| are_interchangeable(other, op)) {
                found.push(op);
            }
        }
        found
    }

    /// What the platform itself may do to the entity next, on account of its own events or another's.
    pub fn inner_candidates(&self, search: &Search<'_>) -> Vec<Op> {
        let mut found = self.inner(search.times());
        let keys = &self.state(self.version()).keys;
        let is_done = |op: &Op| op.request.key.as_ref().is_some_and(|key| keys.contains_key(key));
        for spawned in search.spawned {
            if !is_done(&spawned.creation) {
                found.push(spawned.creation.clone());
            } else if let Some(initial) = spawned.initial.as_ref().filter(|op| !is_done(op)) {
                found.push(initial.clone());
            }
        }
        found
    }

    /// Every past that agrees with `answer` to `op`, shortest extension first.
    pub fn place(&self, op: &Op, answer: &Answer, search: &mut Search<'_>) -> Vec<World> {
        let mut found = Vec::new();
        if let Some(&version) = self.placed.get(&op.id) {
            match fit::accepted(self, version, op, answer, search) {
                Ok(()) => found.push(self.acknowledged(op, version, answer, search.now)),
                Err(mismatch) => search.note(rank(version, answer), mismatch),
            }
            return found;
        }
        let sent_version = self.waiting.get(&op.id).copied().unwrap_or(0);
        for version in sent_version..=self.version() {
            match fit::unchanged(self, version, op, answer, search) {
                Ok(()) => {
                    found.push(self.answered_at(op, version, answer, search));
                    if !self.may_hide(answer, search) {
                        return found;
                    }
                    break;
                }
                Err(mismatch) => search.note(rank(version, answer), mismatch),
            }
        }
        self.extend(op, answer, search, &mut found);
        found
    }

    fn extend(&self, op: &Op, answer: &Answer, search: &mut Search<'_>, found: &mut Vec<World>) {
        if !search.spend() {
            return;
        }
        if let Some(world) = self.with(op, search) {
            match fit::accepted(&world, world.version(), op, answer, search) {
                Ok(()) => {
                    found.push(world.acknowledged(op, world.version(), answer, search.now));
                }
                Err(mismatch) => search.note(rank(world.version(), answer), mismatch),
            }
        } else if let Err(mismatch) = fit::unchanged(self, self.version(), op, answer, search) {
            search.note(rank(self.version(), answer), mismatch);
        }
        let is_reached = answer.shown_version().is_some_and(|shown| shown <= self.version());
        if is_reached {
            return;
        }
        let inner = self.inner_candidates(search);
        for other in self.candidates(search, Some(op.id)).into_iter().chain(&inner) {
            let Some(world) = self.with(other, search) else {
                continue;
            };
            // A later boot has acted: what this request could have met is over.
            if !world.waiting.contains_key(&op.id) {
                continue;
            }
            if fit::unchanged(&world, world.version(), op, answer, search).is_ok() {
                found.push(world.answered_at(op, world.version(), answer, search));
                if !world.may_hide(answer, search) {
                    continue;
                }
            }
            world.extend(op, answer, search, found);
        }
    }

    /// Whether an answer that settles does not say how far the entity has come: one that is not
    /// found was never created, or created and deleted by requests in doubt.
    fn may_hide(&self, answer: &Answer, search: &Search<'_>) -> bool {
        let deletes = |op: &&Op| matches!(op.request.kind, Kind::Delete { .. });
        answer.settles()
            && answer.shown_version().is_none()
            && self.candidates(search, None).iter().any(deletes)
    }

    fn acknowledged(&self, op: &Op, version: u64, answer: &Answer, now: Mark) -> World {
        let mut world = self.clone();
        world.placed.remove(&op.id);
        world.acks.insert(version, Ack { boot: op.boot, at: now });
        world.note_answer(op.boot, version);
        world.learn(answer);
        world
    }

    fn answered_at(&self, op: &Op, version: u64, answer: &Answer, search: &Search<'_>) -> World {
        let mut world = self.clone();
        world.waiting.remove(&op.id);
        if is_of_actor(answer) {
            world.note_answer(op.boot, version);
        }
        if answer.settles() {
            world.seal(op.boot, search.ops);
        }
        world.learn(answer);
        world
    }

    /// The actor of `boot` has answered without a version: it has read whatever its journal holds.
    pub fn has_answered(&mut self, boot: BootId) {
        self.note_answer(boot, u64::MAX);
    }

    fn note_answer(&mut self, boot: BootId, version: u64) {
        let newest = match self.answered {
            Some((before, newest)) if before == boot => newest.max(version),
            Some((before, newest)) if before > boot => {
                return self.answered = Some((before, newest));
            }
            _ => version,
        };
        self.answered = Some((boot, newest));
    }

    /// Forgets a request that got no answer. A write may still take effect.
    pub fn lose(&mut self, op: &Op) {
        self.placed.remove(&op.id);
        if !op.request.is_write() {
            self.waiting.remove(&op.id);
        }
    }
}

/// Whether the entity's actor gave this answer: then it had put what its events brought (section 4, I5). What is
/// wrong with a body, a set or a key's form is found before anybody asks the actor.
fn is_of_actor(answer: &Answer) -> bool {
    const REJECTIONS: [&str; 5] =
        ["KeyReused", "EntityExists", "PreconditionFailed", "WrongState", "GuardFalse"];
    match answer {
        Answer::Entity { .. } | Answer::History(_) => true,
        Answer::Error { code, .. } => REJECTIONS.contains(&code.as_str()),
        _ => false,
    }
}

/// A mismatch at the very version that the answer names tells more than any other.
fn rank(version: u64, answer: &Answer) -> u64 {
    let is_named = answer.sequence_nr() == Some(version);
    if is_named { version.saturating_add(1 << 32) } else { version }
}

fn are_interchangeable(left: &Op, right: &Op) -> bool {
    let (a, b) = (&left.request, &right.request);
    !left.is_open
        && !right.is_open
        && left.boot == right.boot
        && (&a.kind, a.if_match) == (&b.kind, b.if_match)
        && a.key.is_none()
        && b.key.is_none()
        && Arc::ptr_eq(&left.rules, &right.rules)
        && same_params(&a.params(), &b.params())
}
