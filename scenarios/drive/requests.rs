//! What a walk asks of an entity: actions, bodies and lists of any spec.
//!
//! **Invariant:** names, states and literals are those of the entity's own automaton, but where a request is
//! to be refused.

use super::sketch::helps;
use super::values::{self, Where};
use super::walk::Walk;
use crate::plan::{Action, Part, Values, Who};
use crate::recipe::Recipe;
use stormglass_model::automaton::{self as model, Effect, VarKind};

impl<'a> Walk<'a> {
    pub(super) fn legal(&mut self, who: Who) -> Action {
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
    pub(super) fn toward(&mut self, who: Who) -> Action {
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

    pub(super) fn illegal(&mut self, who: Who) -> Action {
        let automaton = self.of(who);
        let Some(sketch) = self.sketches.get(&who) else { return Action::Get { who } };
        let illegal: Vec<&model::Action> =
            automaton.actions.iter().filter(|one| !sketch.accepts(automaton, one)).collect();
        if illegal.is_empty() { self.any_act(who) } else { self.act_one(who, &illegal) }
    }

    pub(super) fn any_act(&mut self, who: Who) -> Action {
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

    pub(super) fn create(&mut self, who: Who) -> Action {
        let values = self.fields(who);
        Action::Create { who, values }
    }

    pub(super) fn patch(&mut self, who: Who) -> Action {
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
    pub(super) fn part(&mut self, who: Who) -> Part {
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

    pub(super) fn refused(&mut self, who: Who) -> Action {
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
}
