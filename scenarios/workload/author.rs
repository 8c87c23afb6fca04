//! Writes the steps of a plan one after another, and keeps in mind what they have led to.
//!
//! **Invariant:** what it keeps in mind only makes steps likely to be legal, or to fall on a deadline:
//! it decides nothing. Faults and races make a run turn out otherwise, and the model judges that.

use super::draw::Draw;
use super::sent::{self, Manner};
use super::sketch::Sketch;
use super::values::{self, Taste, is_over};
use crate::malformed::Malformed;
use crate::plan::{Action, Page, Part, Step, Values, Who};
use crate::recipe::Recipe;
use clap::ValueEnum;
use std::collections::BTreeMap;
use stormglass_model::workload::session;
use stormglass_sim::Fault;

/// The field that expires.
pub const EXPIRING: &str = "system_prompt";
/// Its time to live, in milliseconds.
pub const TTL_MS: i64 = session::SYSTEM_PROMPT_TTL_MS as i64;
/// The field that expires sooner, and after how many milliseconds.
const EXPIRING_SOONER: (&str, i64) = ("draft", session::DRAFT_TTL_MS as i64);
/// Distances from a deadline at which reads, sweeps and puts differ, in milliseconds.
pub const AROUND_MS: [i64; 5] = [-1_000, -1, 0, 1, 1_000];

/// How wide a run is, and what it is played with.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// Clients that send at once.
    pub clients: u32,
    /// Tenants.
    pub tenants: u32,
    /// Entities.
    pub entities: u32,
    /// Whether entities of several tenants have the same ids.
    pub has_namesakes: bool,
    /// Values.
    pub taste: Taste,
    /// Milliseconds after which an idle actor goes.
    pub idle_ms: u64,
}

impl Cast {
    /// The entity of this number, with its tenant.
    pub fn member(&self, entity: u32) -> Who {
        let number = if self.has_namesakes { entity / self.tenants } else { entity };
        Who { tenant: entity % self.tenants, entity: number, set: 0 }
    }
}

/// A value that expires: which, and when.
#[derive(Clone, Debug)]
pub struct Due {
    /// The clock's reading at its deadline, counted from the start.
    pub at_ms: i64,
    /// The value.
    pub value: Recipe,
}

/// A plan's steps while they are written.
pub struct Author {
    /// Where everything is drawn from.
    pub draw: Draw,
    /// How wide the run is.
    pub cast: Cast,
    /// The steps so far.
    pub steps: Vec<Step>,
    /// The faults that steps came with.
    pub faults: Vec<Fault>,
    /// Deadlines of the values written so far.
    pub dues: Vec<Due>,
    /// The wall clock, counted from the start.
    clock_ms: i64,
    sketches: BTreeMap<(u32, u32), Sketch>,
    key_count: u32,
}

impl Author {
    /// An author with nothing written.
    pub fn new(draw: Draw, cast: Cast) -> Author {
        Author {
            draw,
            cast,
            steps: Vec::new(),
            faults: Vec::new(),
            dues: Vec::new(),
            clock_ms: 0,
            sketches: BTreeMap::new(),
            key_count: 0,
        }
    }

    /// Adds a step, sent after the answers of the one before; returns its number.
    pub fn push(&mut self, action: Action) -> u32 {
        self.note(&action);
        let id = self.steps.len() as u32 + 1;
        let client = self.draw.below(self.cast.clients) + 1;
        self.steps.push(Step::alone(id, client, action));
        id
    }

    /// Adds a step with this key.
    pub fn push_keyed(&mut self, action: Action, key: u32) -> u32 {
        let id = self.push(action);
        self.last().key = Some(key);
        id
    }

    /// The step that was added last.
    ///
    /// # Panics
    /// When there is none.
    pub fn last(&mut self) -> &mut Step {
        self.steps.last_mut().expect("a step was just added")
    }

    /// Adds a step as a client would send it: at times together with the one before, with an idempotency
    /// key or with a version that the entity must have.
    pub fn send(&mut self, action: Action) -> u32 {
        let version = action.who().and_then(|who| self.sketch(who)).map(|sketch| sketch.version);
        let what = (self.steps.last(), &action);
        let keys = (&mut self.key_count, version);
        let manner = Manner::of(&mut self.draw, &self.cast, what, keys);
        let id = self.push(action);
        manner.give(self.last());
        id
    }

    /// A key that no step has yet.
    pub fn fresh_key(&mut self) -> u32 {
        sent::fresh_key(&mut self.key_count)
    }

    /// The same request with the same key once more, or with other values, or another with the same values.
    pub fn repeat(&mut self) {
        let Some(original) = sent::keyed(&mut self.draw, &self.steps) else { return };
        let mut action = original.action;
        if let Some(who) = action.who() {
            let values = action.values().to_vec();
            match self.draw.below(10) {
                0 | 1 => action = self.write(who),
                2 => action = write_of(who, values),
                3 => action = Action::Patch { who, values },
                _ => {}
            }
        }
        self.push(action);
        let step = self.last();
        (step.key, step.if_match) = (original.key, original.if_match);
    }

    fn note(&mut self, action: &Action) {
        match action {
            Action::Wait { ms } => self.clock_ms += ms,
            Action::StepClock { by_ms } => self.clock_ms += by_ms,
            _ => {}
        }
        let ttl_ms = |name: &str| match name {
            EXPIRING => Some(TTL_MS),
            _ => Some(EXPIRING_SOONER.1).filter(|_| name == EXPIRING_SOONER.0),
        };
        let due = |(name, value): &(String, Recipe)| {
            let ttl_ms = ttl_ms(name).filter(|_| is_over(value))?;
            Some(Due { at_ms: self.clock_ms + ttl_ms, value: value.clone() })
        };
        let dues: Vec<Due> = action.values().iter().filter_map(due).collect();
        self.dues.extend(dues);
        let Some(who) = action.who().filter(|_| action.is_write()) else { return };
        let key = (who.tenant, who.entity);
        if let Action::Create { .. } = action {
            self.sketches.entry(key).or_insert(Sketch::CREATED);
            return;
        }
        let Some(sketch) = self.sketches.get_mut(&key) else { return };
        match action {
            Action::Delete { .. } => sketch.status = "Deleted",
            Action::Act { action, .. } => sketch.act(action),
            _ => {}
        }
        sketch.version += 1;
    }

    fn sketch(&self, who: Who) -> Option<&Sketch> {
        self.sketches.get(&(who.tenant, who.entity))
    }

    /// An entity of the cast, and now and then one that nobody creates, or another tenant's namesake.
    pub fn who(&mut self) -> Who {
        if self.draw.percent(6) {
            let tenant = self.draw.below(self.cast.tenants);
            return Who { tenant, entity: self.draw.below(self.cast.entities + 1), set: 0 };
        }
        self.someone()
    }

    /// An entity of the cast.
    pub fn someone(&mut self) -> Who {
        let entity = self.draw.below(self.cast.entities);
        self.cast.member(entity)
    }

    /// An entity of the tenant that is not this one, if there is one.
    pub fn other_than(&mut self, who: Who) -> Who {
        let members = (0..self.cast.entities).map(|entity| self.cast.member(entity));
        let others: Vec<Who> =
            members.filter(|other| *other != who && other.tenant == who.tenant).collect();
        if others.is_empty() { who } else { self.draw.pick(&others) }
    }

    /// An entity of another tenant: of the cast, or one that is created for it.
    pub fn foreign_to(&mut self, who: Who) -> Who {
        let members = (0..self.cast.entities).map(|entity| self.cast.member(entity));
        let others: Vec<Who> = members.filter(|other| other.tenant != who.tenant).collect();
        if !others.is_empty() {
            return self.draw.pick(&others);
        }
        let other = Who { tenant: who.tenant + 1, entity: self.cast.entities, set: 0 };
        let create = self.create(other);
        self.push(create);
        other
    }

    /// Its namesake in another tenant, or itself if there is no other.
    pub fn elsewhere(&mut self, who: Who) -> Who {
        let tenants: Vec<u32> = (0..self.cast.tenants).filter(|one| *one != who.tenant).collect();
        let tenant = if tenants.is_empty() { who.tenant } else { self.draw.pick(&tenants) };
        Who { tenant, ..who }
    }

    /// An overflowing text.
    pub fn overflowing(&mut self) -> Recipe {
        self.draw.of(&values::overflowing(self.cast.taste))
    }

    /// Some of these fields, each with a value.
    pub fn some_of(&mut self, names: &[&str]) -> Values {
        let mut values = Values::new();
        for name in names {
            if self.draw.percent(65) {
                values.push((name.to_string(), self.draw.of(&values::value(self.cast.taste))));
            }
        }
        values
    }

    /// A creation.
    pub fn create(&mut self, who: Who) -> Action {
        let values = self.some_of(&["user_message", EXPIRING, "draft", "big"]);
        Action::Create { who, values }
    }

    /// A change of fields.
    pub fn patch(&mut self, who: Who) -> Action {
        let values = self.some_of(&["user_message", EXPIRING, "big", "colour"]);
        Action::Patch { who, values }
    }

    /// A write of texts around their ceiling, legal in every state that does not end an entity.
    pub fn write(&mut self, who: Who) -> Action {
        let names = self.draw.pick(&[
            ["user_message", EXPIRING],
            ["user_message", EXPIRING],
            [EXPIRING, "draft"],
            ["user_message", "token"],
        ]);
        let values = self.some_of(&names);
        write_of(who, values)
    }

    /// An action that is legal if everything before it went well.
    pub fn legal(&mut self, who: Who) -> Action {
        let status = self.sketch(who).map_or("", |sketch| sketch.status);
        let turns = self.sketch(who).map_or(0, |sketch| sketch.turns);
        let action = match status {
            "Created" => self.draw.pick(&["Configure", "Configure", "Write", "Note", "Tag"]),
            "Configured" => self.draw.pick(&["Start", "Start", "Configure", "Note", "Unnote"]),
            "Running" if turns == 0 => self.draw.pick(&["Tick", "Tick", "Pause", "Write", "Note"]),
            "Running" => self.draw.pick(&["Tick", "Tick", "Undo", "Pause", "Finish", "Approve"]),
            "Done" => "Reopen",
            "" => return self.create(who),
            _ => return self.patch(who),
        };
        self.act(who, action)
    }

    /// Any action of the spec, legal or not, and one that it has not.
    pub fn any_act(&mut self, who: Who) -> Action {
        let action = self.draw.pick(&[
            "Configure",
            "Note",
            "Note",
            "Unnote",
            "Tag",
            "Start",
            "Tick",
            "Undo",
            "Forget",
            "Pause",
            "Finish",
            "Approve",
            "Fail",
            "Reopen",
            "Told",
            "Nonsense",
        ]);
        self.act(who, action)
    }

    /// A call of this action with params that fit it.
    pub fn act(&mut self, who: Who, action: &str) -> Action {
        let value = |name: &str, recipe| vec![(name.to_string(), recipe)];
        let values = match action {
            "Configure" | "Write" => self.some_of(&["user_message", EXPIRING]),
            "Note" => value("notes", self.draw.of(&values::value(self.cast.taste))),
            "Unnote" => value("notes_index", Recipe::Number(i64::from(self.draw.below(3)))),
            "Tag" => {
                let tag = self.draw.pick(&["approved", "approved", "late"]);
                value("tags", Recipe::Words(tag.to_string()))
            }
            "Tick" => self.some_of(&["big"]),
            "Finish" => self.some_of(&["user_message"]),
            "Fail" => self.some_of(&["error"]),
            _ => Values::new(),
        };
        Action::Act { who, action: action.to_string(), values }
    }

    /// A request that must be refused: a name that is the platform's, at any depth, or one that effects
    /// alone may change.
    pub fn refused(&mut self, who: Who) -> Action {
        let (name, json) = self.draw.pick(&[
            ("user_message", r#"{"__temper_blob_ref": "field-overflow/sha256/00.json"}"#),
            ("user_message", r#"[{"a": {"__temper_blob_size": 1}}]"#),
            ("__temper_x", "1"),
            ("Status", "\"Done\""),
            ("Id", "\"other\""),
            ("turns", "1"),
            ("notes", "[]"),
        ]);
        let values = vec![(name.to_string(), Recipe::Json(json.to_string()))];
        if self.draw.percent(50) { Action::Patch { who, values } } else { write_of(who, values) }
    }

    /// What a list leaves out: mostly nothing.
    pub fn part(&mut self) -> Part {
        if self.draw.percent(50) {
            return Part::default();
        }
        let skip = self.draw.below(3);
        let filter = match self.draw.below(4) {
            0 => {
                let status = self.draw.pick(&["Created", "Configured", "Running"]);
                Some(("Status".to_string(), Recipe::Words(status.to_string())))
            }
            1 => {
                let number = self.draw.pick(&["0", "1", "0.0", "1.0"]);
                Some(("turns".to_string(), Recipe::Json(number.to_string())))
            }
            2 if !self.dues.is_empty() => {
                let at = self.draw.below(self.dues.len() as u32);
                let value = self.dues[at as usize].value.clone();
                let value = if self.draw.percent(30) { Recipe::Null } else { value };
                Some((EXPIRING.to_string(), value)).filter(|(_, value)| is_short(value))
            }
            // What no entity has is null.
            _ => self.draw.percent(20).then(|| ("nothing".to_string(), Recipe::Null)),
        };
        let select = self.draw.percent(30).then(|| {
            let names =
                self.draw.pick(&[&["turns", "user_message"][..], &["Status"], &["nothing"]]);
            names.iter().map(|name| name.to_string()).collect()
        });
        Part { skip, filter, select }
    }

    /// A request that is none.
    pub fn malformed(&mut self, who: Who) -> Action {
        let what = self.draw.pick(Malformed::value_variants());
        // Eight megabytes take their time: rarely.
        let is_taken = what != Malformed::BodyTooLarge || self.draw.percent(20);
        Action::Malformed { who, what: if is_taken { what } else { Malformed::DuplicateKey } }
    }

    /// A page of a history, or all that a page holds.
    pub fn history(&mut self, who: Who) -> Action {
        let has_page = self.draw.percent(40);
        let page = has_page.then(|| Page { skip: self.draw.below(4), top: self.draw.below(4) });
        Action::History { who, page }
    }

    /// Lets time pass until a deadline that was written, or sets the clock to it: exactly, or a little
    /// before or after. Nothing happens when there is no deadline.
    pub fn to_deadline(&mut self) {
        if self.dues.is_empty() {
            return;
        }
        let count = self.dues.len() as u32;
        // The youngest are the ones whose rows are still there.
        let at = count - 1 - self.draw.below(count.min(3));
        let around = self.draw.pick(&AROUND_MS);
        let to_ms = self.dues[at as usize].at_ms + around;
        self.clock_to(to_ms);
    }

    /// Lets the clock read `to_ms`, counted from the start: by waiting, or by setting it.
    pub fn clock_to(&mut self, to_ms: i64) {
        let by_ms = to_ms - self.clock_ms;
        if by_ms >= 0 && self.draw.percent(75) {
            self.push(Action::Wait { ms: by_ms });
        } else {
            self.push(Action::StepClock { by_ms });
        }
    }

    /// What the clock reads, counted from the start.
    pub fn clock_ms(&self) -> i64 {
        self.clock_ms
    }

    /// The boot that runs now, if no fault has ended one.
    pub fn boot(&self) -> u32 {
        let ends = |step: &&Step| matches!(step.action, Action::Crash { .. } | Action::Restart);
        1 + self.steps.iter().filter(ends).count() as u32
    }
}

/// Whether a value can be a literal in an address of a length that servers take.
fn is_short(value: &Recipe) -> bool {
    match value {
        Recipe::Null | Recipe::Bool(_) | Recipe::Number(_) => true,
        Recipe::Text { json_bytes, .. } => *json_bytes <= 3_000,
        _ => false,
    }
}

/// A write of these texts.
pub fn write_of(who: Who, values: Values) -> Action {
    Action::Act { who, action: "Write".to_string(), values }
}

/// A write of the expiring field alone.
pub fn expiring(who: Who, value: Recipe) -> Action {
    write_of(who, vec![(EXPIRING.to_string(), value)])
}
