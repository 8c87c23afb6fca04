//! A walk through the automata of a run's specs, step by step.
//!
//! **Invariant:** legal or not, each step is one that a client may send: the model judges what comes of it.

use super::sketch::Sketch;
use crate::plan::{Action, Page, Step, Who};
use crate::workload::author::{AROUND_MS, Cast};
use crate::workload::draw::Draw;
use crate::workload::faults;
use crate::workload::sent::{self, Manner};
use std::collections::BTreeMap;
use stormglass_model::automaton::{Automaton, Effect};
use stormglass_sim::{Ending, Fault, Survivors};

/// What a step is to do.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// An action that is accepted if all went well.
    Legal,
    /// An action that brings an entity nearer to another that its guards still forbid.
    Toward,
    /// An action that the state or a guard forbids.
    Illegal,
    /// Any action, one that nobody may call and one that there is not among them.
    AnyAct,
    /// A name that is the platform's, or one that effects alone may change.
    Refused,
    /// A change of fields.
    Patch,
    /// A creation.
    Create,
    /// A deletion.
    Delete,
    /// A read.
    Get,
    /// A history or a page of it.
    History,
    /// A list.
    List,
    /// A sweep.
    Sweep,
    /// Some time.
    Wait,
    /// A deadline or something's time, exactly or nearly.
    ToDeadline,
    /// A step of the clock.
    StepClock,
    /// The end of a boot between two steps.
    EndBoot,
    /// A request with its key once more.
    Repeat,
    /// An action with a crash in it.
    Crash,
}

/// Entities of a run at most: for each that is deleted there is a fresh one.
const ENTITIES_MAX: u32 = 16;

/// The steps of a plan while they are written.
pub struct Walk<'a> {
    pub(super) draw: Draw,
    pub(super) cast: Cast,
    types: &'a [Automaton],
    pub(super) start_utc_ms: i64,
    /// The steps so far.
    pub steps: Vec<Step>,
    /// The faults that steps came with.
    pub faults: Vec<Fault>,
    /// Readings of the clock, counted from the start, at which something expires or is to be done.
    dues: Vec<i64>,
    pub(super) clock_ms: i64,
    pub(super) sketches: BTreeMap<Who, Sketch>,
    key_count: u32,
}

impl<'a> Walk<'a> {
    /// Nothing written yet.
    pub fn new(draw: Draw, cast: Cast, types: &'a [Automaton], start_utc_ms: i64) -> Walk<'a> {
        Walk {
            draw,
            cast,
            types,
            start_utc_ms,
            steps: Vec::new(),
            faults: Vec::new(),
            dues: Vec::new(),
            clock_ms: 0,
            sketches: BTreeMap::new(),
            key_count: 0,
        }
    }

    /// Creates the cast, then takes steps of these kinds.
    pub fn write(&mut self, kinds: &[(Kind, u32)], step_count: usize) {
        for entity in 0..self.cast.entities {
            let who = self.cast.member(entity);
            let create = self.create(who);
            self.send(create);
        }
        // Some kinds find nothing to do.
        for _ in 0..step_count * 3 {
            if self.steps.len() >= step_count {
                return;
            }
            let kind = self.draw.weighted(kinds).unwrap_or(Kind::Legal);
            self.write_one(kind);
        }
    }

    fn write_one(&mut self, kind: Kind) {
        let who = self.who();
        let action = match kind {
            Kind::Legal => self.legal(who),
            Kind::Toward => self.toward(who),
            Kind::Illegal => self.illegal(who),
            Kind::AnyAct => self.any_act(who),
            Kind::Refused => self.refused(who),
            Kind::Patch => self.patch(who),
            Kind::Create => self.create(who),
            Kind::Delete => Action::Delete { who },
            Kind::Get => Action::Get { who },
            Kind::History => {
                let page = Page { skip: self.draw.below(4), top: self.draw.below(4) };
                Action::History { who, page: Some(page).filter(|_| self.draw.percent(40)) }
            }
            Kind::List => {
                let top = sent::top(&mut self.draw);
                Action::List { tenant: who.tenant, set: who.set, top, part: self.part(who) }
            }
            Kind::Sweep => sent::sweep(&mut self.draw, who.tenant),
            Kind::Wait => sent::wait(&mut self.draw),
            Kind::StepClock => sent::step_clock(&mut self.draw),
            Kind::ToDeadline => return self.meet_deadline(),
            Kind::EndBoot => self.end_boot(),
            Kind::Repeat => return self.repeat(),
            Kind::Crash => {
                let action = self.legal(who);
                let step = self.send(action);
                let fault = match self.draw.below(3) {
                    0 => faults::between_event_and_blobs(&mut self.draw, step),
                    1 => faults::failed_commit(&mut self.draw, step),
                    _ => faults::crash_in(&mut self.draw, step),
                };
                return self.faults.push(fault);
            }
        };
        self.send(action);
    }

    /// The type of an entity.
    pub(super) fn of(&self, who: Who) -> &'a Automaton {
        &self.types[who.set as usize]
    }

    /// Mostly an entity of the spec that is driven; at times one of the others that are served, one that
    /// nobody creates, or another tenant's namesake.
    fn who(&mut self) -> Who {
        let entity = self.draw.below(self.cast.entities);
        let mut who = self.cast.member(entity);
        let is_deleted = self.sketches.get(&who).is_some_and(|known| known.is_deleted);
        if is_deleted && self.cast.entities < ENTITIES_MAX && self.draw.percent(75) {
            who = self.cast.member(self.cast.entities);
            self.cast.entities += 1;
            return who;
        }
        if self.draw.percent(6) {
            who.tenant = self.draw.below(self.cast.tenants);
            who.entity = self.draw.below(self.cast.entities + 1);
        }
        if self.types.len() > 1 && self.draw.percent(20) {
            who.set = self.draw.below(self.types.len() as u32);
        }
        who
    }

    /// Adds a step as a client would send it: at times together with the one before, with a key, or with
    /// a version that the entity must have.
    fn send(&mut self, action: Action) -> u32 {
        let known = action.who().and_then(|who| self.sketches.get(&who)).map(|known| known.version);
        let what = (self.steps.last(), &action);
        let keys = (&mut self.key_count, known);
        let manner = Manner::of(&mut self.draw, &self.cast, what, keys);
        let step = self.push(action);
        manner.give(step);
        step.id
    }

    fn push(&mut self, action: Action) -> &mut Step {
        self.note(&action);
        let id = self.steps.len() as u32 + 1;
        let client = self.draw.below(self.cast.clients) + 1;
        self.steps.push(Step::alone(id, client, action));
        self.steps.last_mut().expect("a step was just added")
    }

    fn note(&mut self, action: &Action) {
        match action {
            Action::Wait { ms } => self.clock_ms += ms,
            Action::StepClock { by_ms } => self.clock_ms += by_ms,
            _ => {}
        }
        let Some(who) = action.who().filter(|_| action.is_write()) else { return };
        let automaton = self.of(who);
        for (name, _) in action.values() {
            let ttl_ms = automaton.variable(name).and_then(|variable| variable.ttl_ms);
            self.dues.extend(ttl_ms.map(|ttl_ms| self.clock_ms + ttl_ms as i64));
        }
        if let Action::Create { .. } = action {
            self.sketches.entry(who).or_insert_with(|| Sketch::created(automaton));
            return;
        }
        let Some(sketch) = self.sketches.get_mut(&who) else { return };
        match action {
            Action::Delete { .. } => sketch.is_deleted = true,
            Action::Act { action, values, .. } => {
                let Some(action) = automaton.action(action) else { return };
                let delays = action.effects.iter().filter_map(|effect| match effect {
                    Effect::Schedule { delay_ms, .. } => Some(self.clock_ms + *delay_ms as i64),
                    _ => None,
                });
                self.dues.extend(delays);
                sketch.act(automaton, action, values);
            }
            _ => sketch.version += 1,
        }
    }

    fn meet_deadline(&mut self) {
        if self.dues.is_empty() {
            return;
        }
        let youngest = self.dues.len() - (self.dues.len().min(4));
        let due_ms = self.draw.pick(&self.dues[youngest..]);
        let by_ms = due_ms + self.draw.pick(&AROUND_MS) - self.clock_ms;
        let is_wait = by_ms >= 0 && self.draw.percent(75);
        let action = if is_wait { Action::Wait { ms: by_ms } } else { Action::StepClock { by_ms } };
        self.push(action);
    }

    fn end_boot(&mut self) -> Action {
        match self.draw.below(4) {
            0 => Action::Restart,
            1 => Action::Crash { ending: Ending::PowerLoss(Survivors::None) },
            _ => Action::Crash { ending: self.draw.of(&faults::ending()) },
        }
    }

    /// The same request with the same key, or another of the same entity with it.
    fn repeat(&mut self) {
        let Some(original) = sent::keyed(&mut self.draw, &self.steps) else { return };
        let action = match original.action.who() {
            Some(who) if self.draw.percent(25) => self.legal(who),
            _ => original.action,
        };
        let step = self.push(action);
        (step.key, step.if_match) = (original.key, original.if_match);
    }
}
