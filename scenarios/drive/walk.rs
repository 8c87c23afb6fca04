//! A walk through the automata of a run's specs, step by step.
//!
//! **Invariant:** legal or not, each step is one that a client may send: the model judges what comes of it.

use super::sketch::{Sketch, helps};
use super::values::{self, Where};
use crate::plan::{Action, Page, Part, Step, Values, Who};
use crate::recipe::Recipe;
use crate::workload::author::{AROUND_MS, Cast};
use crate::workload::draw::Draw;
use crate::workload::faults;
use std::collections::BTreeMap;
use stormglass_model::automaton::{self as model, Automaton, Effect, VarKind};
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
    draw: Draw,
    cast: Cast,
    types: &'a [Automaton],
    start_utc_ms: i64,
    /// The steps so far.
    pub steps: Vec<Step>,
    /// The faults that steps came with.
    pub faults: Vec<Fault>,
    /// Readings of the clock, counted from the start, at which something expires or is to be done.
    dues: Vec<i64>,
    clock_ms: i64,
    sketches: BTreeMap<Who, Sketch>,
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
                let top = self.draw.pick(&[None, Some(1), Some(2), Some(1_000)]);
                Action::List { tenant: who.tenant, set: who.set, top, part: self.part(who) }
            }
            Kind::Sweep => {
                let max_rows = self.draw.pick(&[1, 2, 1_000]);
                Action::Sweep { tenant: who.tenant, max_rows }
            }
            Kind::Wait => {
                Action::Wait { ms: self.draw.pick(&[1, 500, 5_000, 61_000, 700_000, 30_000_000]) }
            }
            Kind::StepClock => {
                let by_ms = self.draw.pick(&[-7_200_000, -1_000, -1, 1, 1_000, 7_200_000]);
                Action::StepClock { by_ms }
            }
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

    fn of(&self, who: Who) -> &'a Automaton {
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
        let follows_request = self.steps.last().is_some_and(|last| last.action.is_request());
        let is_crowd = self.cast.clients > 1 && follows_request && action.is_request();
        let together = is_crowd && self.draw.percent(30);
        let has_key = action.is_write() && self.draw.percent(25);
        self.key_count += u32::from(has_key);
        let key = has_key.then_some(self.key_count);
        let known = action.who().and_then(|who| self.sketches.get(&who)).map(|known| known.version);
        let if_match = known.filter(|_| action.is_write() && self.draw.percent(10));
        let off = self.draw.pick(&[0, 0, 0, -1, 1]);
        let if_match = if_match.map(|version| version.saturating_add_signed(off));
        self.push(action, together, (key, if_match))
    }

    fn push(
        &mut self,
        action: Action,
        together: bool,
        (key, if_match): (Option<u32>, Option<u64>),
    ) -> u32 {
        self.note(&action);
        let id = self.steps.len() as u32 + 1;
        let client = self.draw.below(self.cast.clients) + 1;
        self.steps.push(Step { id, client, together, key, if_match, action });
        id
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

    fn legal(&mut self, who: Who) -> Action {
        let automaton = self.of(who);
        // Whoever heard nothing of a creation asks for it again.
        if self.draw.percent(5) {
            return self.create(who);
        }
        let Some(sketch) = self.sketches.get(&who) else { return self.create(who) };
        let legal: Vec<&model::Action> =
            automaton.actions.iter().filter(|one| sketch.accepts(automaton, one)).collect();
        let moving: Vec<&model::Action> =
            legal.iter().copied().filter(|action| action.to.is_some()).collect();
        // A walk that stays where it is sees little of an automaton, and one that hurries on as little.
        let among = if moving.is_empty() || self.draw.percent(60) { legal } else { moving };
        if among.is_empty() { self.patch(who) } else { self.act_one(who, &among) }
    }

    /// Whatever helps one of the actions whose state is right and whose guards are not.
    fn toward(&mut self, who: Who) -> Action {
        let automaton = self.of(who);
        let Some(sketch) = self.sketches.get(&who) else { return self.create(who) };
        let wanting = automaton.actions.iter().filter(|one| sketch.may(automaton, one));
        let missing: Vec<_> = wanting.flat_map(|action| sketch.missing(action)).collect();
        let helping: Vec<&model::Action> = automaton
            .actions
            .iter()
            .filter(|one| sketch.accepts(automaton, one))
            .filter(|one| missing.iter().any(|guard| helps(automaton, one, guard)))
            .collect();
        if helping.is_empty() { self.legal(who) } else { self.act_one(who, &helping) }
    }

    fn illegal(&mut self, who: Who) -> Action {
        let automaton = self.of(who);
        let Some(sketch) = self.sketches.get(&who) else { return Action::Get { who } };
        let illegal: Vec<&model::Action> =
            automaton.actions.iter().filter(|one| !sketch.accepts(automaton, one)).collect();
        if illegal.is_empty() { self.any_act(who) } else { self.act_one(who, &illegal) }
    }

    fn any_act(&mut self, who: Who) -> Action {
        let any: Vec<&model::Action> = self.of(who).actions.iter().collect();
        if any.is_empty() || self.draw.percent(10) {
            return Action::Act { who, action: "Nonsense".to_string(), values: Values::new() };
        }
        self.act_one(who, &any)
    }

    fn act_one(&mut self, who: Who, among: &[&'a model::Action]) -> Action {
        let action = among[self.draw.below(among.len() as u32) as usize];
        let values = self.params(who, action);
        Action::Act { who, action: action.name.to_string(), values }
    }

    /// Most of what is declared, what effects need, and at times something that nobody has declared.
    fn params(&mut self, who: Who, action: &model::Action) -> Values {
        let needed = action.effects.iter().filter_map(|effect| match effect {
            Effect::ListAppend(list) => Some((list.to_string(), *list)),
            Effect::ListRemoveAt(list) => Some((format!("{list}_index"), *list)),
            Effect::ScheduleAt { field, .. } => Some((field.to_string(), *field)),
            Effect::Spawn(spawn) => spawn.id_source.map(|field| (field.to_string(), field)),
            _ => None,
        });
        let mut wanted: Vec<(String, &str, u32)> =
            needed.map(|(name, of)| (name, of, 92)).collect();
        for param in &action.params {
            if wanted.iter().all(|(name, ..)| name != param) {
                wanted.push((param.to_string(), param, 70));
            }
        }
        wanted.push(("undeclared".to_string(), "undeclared", 8));
        let mut values = Values::new();
        for (name, of, percent) in wanted {
            if self.draw.percent(percent) {
                let value = self.value(who, &name, of);
                values.push((name, value));
            }
        }
        values
    }

    fn value(&mut self, who: Who, name: &str, list: &str) -> Recipe {
        let of = Where {
            automaton: self.of(who),
            taste: self.cast.taste,
            now_ms: self.start_utc_ms + self.clock_ms,
            len: self.sketches.get(&who).map_or(0, |sketch| sketch.len(list)),
            entities: self.cast.entities,
        };
        values::value(&mut self.draw, &of, name)
    }

    fn create(&mut self, who: Who) -> Action {
        let values = self.fields(who);
        Action::Create { who, values }
    }

    fn patch(&mut self, who: Who) -> Action {
        let values = self.fields(who);
        Action::Patch { who, values }
    }

    /// A few of the fields that a body may set.
    fn fields(&mut self, who: Who) -> Values {
        let texts = self.of(who).variables.iter().filter(|one| one.kind == VarKind::Text);
        let mut names: Vec<&'static str> = texts.map(|variable| variable.name).collect();
        names.push("colour");
        let mut values = Values::new();
        for _ in 0..self.draw.below(4) {
            let name = self.draw.pick(&names);
            if values.iter().all(|(known, _)| known != name) {
                values.push((name.to_string(), self.value(who, name, name)));
            }
        }
        values
    }

    /// What a list leaves out: mostly nothing.
    fn part(&mut self, who: Who) -> Part {
        if self.draw.percent(50) {
            return Part::default();
        }
        let automaton = self.of(who);
        let counters = automaton.variables.iter().filter(|one| one.kind == VarKind::Counter);
        let counters: Vec<&'static str> = counters.map(|variable| variable.name).collect();
        let filter = match self.draw.below(4) {
            0 => {
                let status = self.draw.pick(&automaton.states);
                Some(("Status".to_string(), Recipe::Words(status.to_string())))
            }
            1 if !counters.is_empty() => {
                let number = i64::from(self.draw.below(3));
                Some((self.draw.pick(&counters).to_string(), Recipe::Number(number)))
            }
            _ => None,
        };
        let names: Vec<&'static str> =
            automaton.variables.iter().map(|one| one.name).chain(["Status", "nothing"]).collect();
        let select = self.draw.percent(30).then(|| {
            let picked = [self.draw.pick(&names), self.draw.pick(&names)];
            picked.iter().map(|name| name.to_string()).collect()
        });
        Part { skip: self.draw.below(3), filter, select }
    }

    fn refused(&mut self, who: Who) -> Action {
        let fed = self.of(who).variables.iter().filter(|one| one.kind != VarKind::Text);
        let mut names: Vec<&'static str> = fed.map(|variable| variable.name).collect();
        names.extend(["Status", "__temper_x", "Id"]);
        let name = self.draw.pick(&names);
        let value = self.draw.pick(&["1", "\"A\"", "[{\"__temper_blob_size\": 1}]"]);
        let values = vec![(name.to_string(), Recipe::Json(value.to_string()))];
        match self.of(who).actions.first() {
            Some(action) if self.draw.percent(40) => {
                Action::Act { who, action: action.name.to_string(), values }
            }
            _ => Action::Patch { who, values },
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
        self.push(action, false, (None, None));
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
        let keyed: Vec<usize> =
            (0..self.steps.len()).filter(|at| self.steps[*at].key.is_some()).collect();
        if keyed.is_empty() {
            return;
        }
        let original = self.steps[self.draw.pick(&keyed)].clone();
        let action = match original.action.who() {
            Some(who) if self.draw.percent(25) => self.legal(who),
            _ => original.action,
        };
        self.push(action, false, (original.key, original.if_match));
    }
}
