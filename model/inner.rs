//! Inner requests: what the platform itself does on account of an event (contract, section 9).
//!
//! An event leaves intents. Each may take effect once, at any moment from its event on, in any boot,
//! until its row is settled: a guest's callback, a scheduled action, the creation of a child and the
//! child's first action. So they are placed like requests in doubt, but a boot's end does not seal them.
//!
//! Keeps: I15 (each has one key, so that no past holds two), I4 (their params are predicted).
//!
//! Not modelled: how often a guest runs, and in what order intents that are due are taken up.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::automaton::{ActionKind, Effect, Integration, Spawn};
use crate::clock::{ClockLog, Mark, Span};
use crate::decide::{Decision, INVALID_BODY, UNKNOWN_ACTION, body_problems, decide};
use crate::entity::{EntityKey, Event, Existence, Kept, OpId, Origin, State};
use crate::guests::{Outcome, Reading, Seen, outcomes};
use crate::request::{Kind, Rejection, Request, Rules};
use crate::world::{Op, World};

/// The number of every request that nobody sent.
pub const NOBODY: OpId = OpId(0);

/// When something is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// So many milliseconds after the event's timestamp.
    After(u64),
    /// At this time, in milliseconds since 1970.
    At(i64),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Intended {
    /// Run a guest and tell the entity how it ended.
    Trigger(Integration),
    /// Call an action of the entity.
    Schedule {
        /// The action.
        action: &'static str,
        /// When.
        due: Due,
    },
    /// Create another entity.
    Spawn {
        /// As the spec says.
        spawn: Spawn,
        /// Its id; none while only the platform knows it.
        id: Option<String>,
    },
}

/// Something that an event leaves to be done: a row of `outbox`.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Its number among those of its event.
    pub n: u64,
    /// The rules at the event.
    pub rules: Arc<Rules>,
    /// What is to be done.
    pub what: Intended,
}

impl Intent {
    /// When it is due, if its event's timestamp lies in `stamp`; none for at once.
    pub fn due(&self, stamp: Span) -> Option<Span> {
        match self.what {
            Intended::Schedule { due: Due::After(delay_ms), .. } => Some(stamp.plus_ttl(delay_ms)),
            Intended::Schedule { due: Due::At(ms), .. } => Some(Span::exactly(ms)),
            _ => None,
        }
    }

    /// The entity set of the child that it creates.
    pub fn child_set(&self) -> Option<String> {
        match &self.what {
            Intended::Spawn { spawn, .. } => Some(format!("{}s", spawn.entity_type)),
            _ => None,
        }
    }
}

/// The key of what an intent of the entity does to the entity itself.
pub fn own_key(sequence_nr: u64, n: u64) -> String {
    format!("temper:{sequence_nr}:{n}")
}

/// The key of the creation of a child.
pub fn child_key(parent_type: &str, parent_id: &str, sequence_nr: u64, n: u64) -> String {
    format!("temper:{parent_type}('{parent_id}'):{sequence_nr}:{n}")
}

/// The key of a child's first action.
pub fn initial_key(child_key: &str) -> String {
    format!("{child_key}:initial")
}

/// Whether a key is of the platform's own making.
pub fn is_platforms(key: Option<&str>) -> bool {
    key.is_some_and(|key| key.starts_with("temper:"))
}

/// How an intent may end.
#[derive(Clone, Debug)]
pub enum Ending {
    /// With this request taking effect.
    Request(Request),
    /// Without one, for this reason.
    Closed(String),
}

/// What is asked of a child: its creation, and its first action.
#[derive(Clone, Debug)]
pub struct Spawned {
    /// The creation.
    pub creation: Op,
    /// The first action, once it is created.
    pub initial: Option<Op>,
}

/// The clock as far as it matters to an intent.
#[derive(Clone, Copy)]
pub struct Times<'a> {
    /// The readings of the clock.
    pub clock: &'a ClockLog,
    /// The present.
    pub now: Mark,
}

impl World {
    /// What the intents of this entity may do to it next.
    pub fn inner(&self, times: Times<'_>) -> Vec<Op> {
        let state = self.state(self.version());
        if state.existence != Existence::Live {
            return Vec::new();
        }
        let mut ops = Vec::new();
        for event in self.journal.iter().filter(|event| !event.intents.is_empty()) {
            let is_open = |intent: &&Intent| {
                !state.keys.contains_key(&own_key(event.sequence_nr, intent.n))
                    && !self.closed.contains(&(event.sequence_nr, intent.n))
            };
            for intent in event.intents.iter().filter(is_open) {
                ops.extend(self.requests_of(event, intent, times));
            }
        }
        ops
    }

    /// Everything that the intents of this entity may have tried to do to it, settled or not. What is known of
    /// guests is known of their last runs; an earlier one may have ended in any way.
    pub fn tried(&self, times: Times<'_>) -> Vec<Op> {
        let intents =
            || self.journal.iter().flat_map(|event| event.intents.iter().map(move |i| (event, i)));
        let run = |(event, intent): (&Arc<Event>, &Intent)| match &intent.what {
            Intended::Trigger(one) => Some(((event.sequence_nr, one.name.to_owned()), true)),
            _ => None,
        };
        let spent = intents().filter_map(run).collect();
        let unknown = World { spent, runs: BTreeMap::new(), ..self.clone() };
        intents().flat_map(|(event, intent)| unknown.requests_of(event, intent, times)).collect()
    }

    fn requests_of(&self, event: &Event, intent: &Intent, times: Times<'_>) -> Vec<Op> {
        let request = |ending| match ending {
            Ending::Request(request) => Some(op_of(event, intent.rules.clone(), request)),
            Ending::Closed(_) => None,
        };
        self.endings(event, intent, times).into_iter().filter_map(request).collect()
    }

    /// How an intent that concerns the entity itself may end, as far as its state does not decide.
    pub fn endings(&self, event: &Event, intent: &Intent, times: Times<'_>) -> Vec<Ending> {
        let id = &self.state(0).id;
        let key = own_key(event.sequence_nr, intent.n);
        let set = intent.rules.automaton.set();
        let act = |action: &str, params: &Map<String, Value>| {
            let kind = Kind::Act { id: id.clone(), action: action.to_owned() };
            Request::new("", &set, kind).body(params).key(&key)
        };
        match &intent.what {
            Intended::Spawn { .. } => Vec::new(),
            Intended::Schedule { action, .. } => {
                let latest_ms = times.clock.span(event.sent, times.now).hi_ms;
                let is_due = intent.due(event.stamp).is_none_or(|due| due.lo_ms <= latest_ms);
                let call = || Ending::Request(act(action, &Map::new()));
                is_due.then(call).into_iter().collect()
            }
            Intended::Trigger(integration) => {
                let run = (event.sequence_nr, integration.name.to_owned());
                let spent = self.spent.get(&run);
                let is_over_time =
                    self.runs.get(&run).is_some_and(|ran| ran.lasted_ms >= integration.timeout_ms);
                let spent = spent.filter(|_| !is_over_time);
                let mut ends = match spent {
                    // It ran, and nobody has run it since.
                    Some(false) => Vec::new(),
                    None if is_over_time => Vec::new(),
                    _ => self.guest_ends(event, integration, times),
                };
                ends.extend(spent.map(|_| Outcome::fault("fuel")));
                let elapsed_ms = times.now.mono_ms().saturating_sub(event.sent.mono_ms());
                if elapsed_ms >= integration.timeout_ms {
                    ends.push(Outcome::fault("timeout"));
                }
                let call = Callback { integration, rules: &intent.rules, act: &act };
                let state = self.state(self.version());
                ends.iter().flat_map(|outcome| call.endings(outcome, state)).collect()
            }
        }
    }

    /// The entity state that a guest is shown is the one right after its event.
    fn guest_ends(
        &self,
        event: &Event,
        integration: &Integration,
        times: Times<'_>,
    ) -> Vec<Outcome> {
        let run = (event.sequence_nr, integration.name.to_owned());
        // One that is not known may have read at any time since its event.
        let known = self.runs.get(&run).map(|ran| ran.readings);
        let readings = known.unwrap_or_else(|| times.clock.span(event.sent, times.now));
        let read = |name: &str| self.readings(event.sequence_nr, name, readings);
        let mode = event.params.get("mode").and_then(|content| content.value().as_str());
        let state = (self.state(event.sequence_nr).status.as_str(), event.sequence_nr);
        let param = |name: &str| params_shown(event, name, readings);
        let config = &integration.config;
        outcomes(integration.guest, &Seen { read: &read, mode, state, param: &param, config })
    }

    /// What a field of a version may be at one of these clock readings.
    fn readings(&self, version: u64, name: &str, readings: Span) -> Vec<Reading> {
        let Some(field) = self.state(version).fields.get(name) else {
            return vec![Reading::Missing];
        };
        let deadline = self.deadline(field);
        let is_ahead = deadline.is_none_or(|deadline| readings.lo_ms < deadline.hi_ms);
        let is_past = deadline.is_some_and(|deadline| readings.hi_ms >= deadline.lo_ms);
        let value = || Reading::Value(field.written.content.value().clone());
        let there = is_ahead.then(value);
        let is_lost = self.may_be_lost && field.written.kept != Kept::Inline;
        let lost = is_lost.then_some(Reading::Lost);
        there.into_iter().chain(lost).chain(is_past.then_some(Reading::Expired)).collect()
    }

    /// What an intent asks of the entity `child`, if that is the one that it creates.
    pub fn spawned(
        &self,
        (event, intent): (&Event, &Intent),
        parent: &EntityKey,
        (child, rules): (&EntityKey, &Arc<Rules>),
    ) -> Vec<Spawned> {
        let Intended::Spawn { spawn, id } = &intent.what else {
            return Vec::new();
        };
        let is_it = intent.child_set().is_some_and(|set| set == child.set)
            && id.as_ref().is_none_or(|id| *id == child.id);
        if !is_it {
            return Vec::new();
        }
        let parent_type = intent.rules.automaton.name;
        let key = child_key(parent_type, &parent.id, event.sequence_nr, intent.n);
        let made = |mut fields: Map<String, Value>| {
            fields.insert("Id".to_owned(), json!(child.id));
            let creation = Request::new("", &child.set, Kind::Create).body(&fields).key(&key);
            let initial = spawn.initial_action.map(|action| {
                let kind = Kind::Act { id: child.id.clone(), action: action.to_owned() };
                let request = Request::new("", &child.set, kind).key(&initial_key(&key));
                op_of(event, rules.clone(), request)
            });
            Spawned { creation: op_of(event, rules.clone(), creation), initial }
        };
        self.copies(event, spawn).into_iter().map(made).collect()
    }

    /// The values that a spawn copies: one set of them, unless a deadline lies within what is known of
    /// the event's time.
    pub fn copies(&self, event: &Event, spawn: &Spawn) -> Vec<Map<String, Value>> {
        let state = self.state(event.sequence_nr);
        let mut all = vec![Map::new()];
        for name in &spawn.copy_fields {
            let values = match state.lists.get(*name) {
                // The whole list, also where a placeholder stands in `fields`.
                Some(items) => vec![Value::Array(items.to_vec())],
                None => self.copy(event, name),
            };
            let with = |before: &Map<String, Value>, value: &Value| {
                let mut after = before.clone();
                after.insert((*name).to_owned(), value.clone());
                after
            };
            all = all.iter().flat_map(|b| values.iter().map(move |v| with(b, v))).collect();
        }
        all
    }

    fn copy(&self, event: &Event, name: &str) -> Vec<Value> {
        // Without the value there is no event.
        let value = |reading| match reading {
            Reading::Value(value) => Some(value),
            Reading::Missing | Reading::Expired => Some(Value::Null),
            Reading::Lost => None,
        };
        let readings = self.readings(event.sequence_nr, name, event.stamp);
        readings.into_iter().filter_map(value).collect()
    }
}

/// What a param of the trigger may be at one of these clock readings: null once its reference has expired.
fn params_shown(event: &Event, name: &str, readings: Span) -> Vec<Option<Value>> {
    let Some(content) = event.params.get(name) else { return vec![None] };
    let deadline = match event.writes.get(name).map(|written| &written.kept) {
        Some(Kept::Blob { ttl_ms: Some(ttl_ms) }) => Some(event.stamp.plus_ttl(*ttl_ms)),
        _ => None,
    };
    let is_ahead = deadline.is_none_or(|deadline| readings.lo_ms < deadline.hi_ms);
    let is_past = deadline.is_some_and(|deadline| readings.hi_ms >= deadline.lo_ms);
    let there = is_ahead.then(|| Some(content.value().clone()));
    there.into_iter().chain(is_past.then_some(Some(Value::Null))).collect()
}

/// A callback on its way from an outcome to a request.
struct Callback<'a> {
    integration: &'a Integration,
    rules: &'a Rules,
    act: &'a dyn Fn(&str, &Map<String, Value>) -> Request,
}

impl Callback<'_> {
    fn endings(&self, outcome: &Outcome, state: &State) -> Vec<Ending> {
        let (params, named) = match outcome {
            Outcome::Success { params, action } => (params, *action),
            Outcome::Failure { error, message } => return vec![self.failure(error, message)],
        };
        let Some(action) = self.integration.on_success.or(named) else {
            return vec![Ending::Closed("no callback".to_owned())];
        };
        let request = (self.act)(action, params);
        let refused: Vec<Rejection> = self.problems(action, &request);
        // Without `on_failure` the refusal itself is the reason.
        let rejected = |rejection: &Rejection| match self.integration.on_failure {
            Some(_) => self.failure("rejected", &words(rejection)),
            None => Ending::Closed(words(rejection)),
        };
        if !refused.is_empty() {
            return refused.iter().map(rejected).collect();
        }
        let mut endings = vec![Ending::Request(request.clone())];
        if self.may_lack_params(action) && is_invalid(self.rules, state, &request) {
            endings.push(rejected(&INVALID_BODY));
        }
        endings
    }

    fn failure(&self, error: &str, message: &str) -> Ending {
        let Some(action) = self.integration.on_failure else {
            return Ending::Closed("no callback".to_owned());
        };
        let name = self.integration.name;
        let params = json!({"error": error, "error_message": message, "integration": name});
        let request = (self.act)(action, params.as_object().expect("it was just made"));
        match self.problems(action, &request).first() {
            Some(rejection) => Ending::Closed(words(rejection)),
            None => Ending::Request(request),
        }
    }

    /// What is wrong with a callback, whatever state the entity is in.
    fn problems(&self, action: &str, request: &Request) -> Vec<Rejection> {
        let problems = body_problems(Some(self.rules), request);
        let known = self.rules.automaton.action(action);
        let is_callable = known.is_some_and(|action| action.kind != ActionKind::Output);
        if problems.is_empty() && !is_callable { vec![UNKNOWN_ACTION] } else { problems }
    }

    fn may_lack_params(&self, action: &str) -> bool {
        let is_list =
            |effect: &Effect| matches!(effect, Effect::ListAppend(_) | Effect::ListRemoveAt(_));
        let action = self.rules.automaton.action(action);
        action.is_some_and(|action| action.effects.iter().any(is_list))
    }
}

fn is_invalid(rules: &Rules, state: &State, request: &Request) -> bool {
    let stamp = Span::exactly(0);
    let origin = Origin { op: NOBODY, boot: Default::default(), sent: Mark::ZERO, stamp };
    let decision = decide(rules, state, request, origin);
    matches!(decision, Decision::Reject(rejections) if rejections.contains(&INVALID_BODY))
}

/// A rejection as a row's reason says it.
pub fn words(rejection: &Rejection) -> String {
    format!("{} {}", rejection.status, rejection.code)
}

/// The request of an intent of `event`.
pub fn op_of(event: &Event, rules: Arc<Rules>, request: Request) -> Op {
    Op {
        id: NOBODY,
        request: Arc::new(request),
        rules,
        boot: event.boot,
        sent: event.sent,
        ended: None,
        is_open: false,
        alone: None,
    }
}
