//! A second reading of specs: from TOML to the model's automaton.
//!
//! It shares nothing with the platform's parser but the library that reads TOML, so that the two cannot
//! share a misreading of the contract's section 2; a test compares them. It takes specs that the platform
//! takes: what is wrong with a spec is the platform's to say.
//!
//! The model's names live as long as the program. Each distinct name is kept once and never freed: as many
//! bytes as the specs of a process hold, whatever the number of runs.
//!
//! **Invariant:** equal texts make equal automata.

mod words;

use crate::plan::{Plan, SpecText};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use stormglass_model::automaton::{
    Action, ActionKind, Automaton, Effect, GUEST_TIMEOUT_MS, Guard, Integration, VarKind, Variable,
};
use stormglass_model::guests::Guest;
use stormglass_model::workload;
use toml::{Table, Value};

/// A spec as the model and the harness know it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Foreign {
    /// For the model.
    pub automaton: Automaton,
    /// What the spec claims of its entities, as far as it can be checked.
    pub invariants: Vec<Claim>,
}

/// A spec's own invariant.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Its name.
    pub name: &'static str,
    /// The states in which it is claimed; all if there are none.
    pub when: Option<Vec<&'static str>>,
    /// What is claimed.
    pub holds: Holds,
}

/// What an invariant claims.
#[derive(Clone, Debug, PartialEq)]
pub enum Holds {
    /// No action is accepted in these states.
    NoFurtherTransitions,
    /// A guard, in those of the states that are named here; in all if there are none.
    Guard(Option<Vec<&'static str>>, Guard),
}

/// Why a text is no spec.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// It is no TOML.
    #[error("no TOML: {0}")]
    Toml(Box<toml::de::Error>),
    /// Something of it is not what section 2 says.
    #[error("no spec: {0}")]
    Shape(String),
}

/// The module that is not there in any run.
pub const NOWHERE: &str = "nowhere";

type Read<T> = Result<T, ForeignError>;

fn wrong<T>(what: impl Into<String>) -> Read<T> {
    Err(ForeignError::Shape(what.into()))
}

/// Reads the specs that a plan brings along.
///
/// # Panics
/// When one is no spec: a plan is read or made with sound specs only, and this reader takes them.
pub fn read_all(texts: &[SpecText]) -> Vec<Foreign> {
    let read_one = |one: &SpecText| {
        read(&one.text).unwrap_or_else(|error| panic!("{}: the second reader: {error}", one.file))
    };
    texts.iter().map(read_one).collect()
}

/// The specs of a plan as the model knows them: those that it brings along, or the workload's, which claim
/// nothing.
///
/// # Panics
/// As [`read_all`].
pub fn of_plan(plan: &Plan) -> Vec<Foreign> {
    let built_in = |automaton| Foreign { automaton, invariants: Vec::new() };
    match &plan.specs {
        None => workload::automata().into_iter().map(built_in).collect(),
        Some(texts) => read_all(texts),
    }
}

/// Every name that the integrations of these specs call a module by, each once.
pub fn modules<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let roots = texts.into_iter().filter_map(|text| toml::from_str::<Table>(text).ok());
    let named = roots.flat_map(|root| {
        let alone = tables(&root, "integration").unwrap_or_default();
        let actions = tables(&root, "action").unwrap_or_default();
        let under = actions.into_iter().flat_map(|one| tables(one, "triggers").unwrap_or_default());
        let module = |table: &Table| table.get("module")?.as_str().map(str::to_string);
        alone.into_iter().chain(under).filter_map(module).collect::<Vec<_>>()
    });
    named.collect::<BTreeSet<String>>().into_iter().collect()
}

/// The one copy of a name.
fn name(text: &str) -> &'static str {
    static NAMES: Mutex<BTreeMap<String, &'static str>> = Mutex::new(BTreeMap::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names.entry(text.to_string()).or_insert_with(|| Box::leak(text.to_string().into_boxed_str()))
}

/// The one copy of a list of names.
fn names(texts: &[&str]) -> &'static [&'static str] {
    type Lists = BTreeMap<Vec<&'static str>, &'static [&'static str]>;
    static LISTS: Mutex<Lists> = Mutex::new(BTreeMap::new());
    let list: Vec<&'static str> = texts.iter().map(|text| name(text)).collect();
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    lists.entry(list.clone()).or_insert_with(|| Box::leak(list.into_boxed_slice()))
}

/// Reads a spec.
///
/// # Errors
/// [`ForeignError`].
pub fn read(text: &str) -> Read<Foreign> {
    let root: Table = toml::from_str(text).map_err(|error| ForeignError::Toml(Box::new(error)))?;
    let Some(Value::Table(head)) = root.get("automaton") else {
        return wrong("it has no [automaton]");
    };
    let mut automaton = Automaton {
        name: name(needed(head, "name")?),
        states: kept_once(listed(head, "states")?.unwrap_or_default(), |state| state),
        initial: name(needed(head, "initial")?),
        terminal: listed(head, "terminal")?.unwrap_or_default(),
        variables: tables(&root, "state")?.into_iter().map(variable).collect::<Read<_>>()?,
        actions: Vec::new(),
        integrations: Vec::new(),
    };
    let alone = tables(&root, "integration")?.into_iter().map(|table| (table, None));
    let mut integrations: Vec<(&Table, Option<&'static str>)> = alone.collect();
    for table in tables(&root, "action")? {
        let action = action(table)?;
        let under = tables(table, "triggers")?.into_iter().map(|table| (table, Some(action.name)));
        integrations.extend(under);
        automaton.actions.push(action);
    }
    let read = integrations.into_iter().map(|(table, under)| integration(table, under));
    automaton.integrations = read.filter_map(Result::transpose).collect::<Read<_>>()?;
    automaton.variables = kept_once(automaton.variables, |one| one.name);
    automaton.actions = kept_once(automaton.actions, |one| one.name);
    automaton.integrations = kept_once(automaton.integrations, |one| one.name);
    declare_what_effects_name(&mut automaton);
    let claims = tables(&root, "invariant")?.into_iter().map(claim);
    let invariants = claims.filter_map(Result::transpose).collect::<Read<_>>()?;
    Ok(Foreign { automaton, invariants })
}

/// Equal definitions may be repeated; differing ones are the platform's to refuse.
fn kept_once<T>(items: Vec<T>, name_of: impl Fn(&T) -> &'static str) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for item in items {
        if kept.iter().all(|other| name_of(other) != name_of(&item)) {
            kept.push(item);
        }
    }
    kept
}

fn needed<'a>(table: &'a Table, key: &str) -> Read<&'a str> {
    match table.get(key) {
        Some(Value::String(text)) => Ok(text),
        _ => wrong(format!("`{key}` is no string")),
    }
}

fn optional(table: &Table, key: &str) -> Read<Option<&'static str>> {
    table.contains_key(key).then(|| needed(table, key).map(name)).transpose()
}

/// Names: an array of them, or one alone.
fn listed(table: &Table, key: &str) -> Read<Option<Vec<&'static str>>> {
    let word = |value: &Value| match value {
        Value::String(text) => Ok(name(text)),
        _ => wrong(format!("`{key}` holds something that is no string")),
    };
    match table.get(key) {
        None => Ok(None),
        Some(Value::Array(items)) => items.iter().map(word).collect::<Read<_>>().map(Some),
        Some(alone) => Ok(Some(vec![word(alone)?])),
    }
}

/// A number, quoted or bare.
fn number(table: &Table, key: &str) -> Read<Option<u64>> {
    let read = match table.get(key) {
        None => return Ok(None),
        Some(Value::Integer(number)) => u64::try_from(*number).ok(),
        Some(Value::String(text)) => text.trim().replace('_', "").parse().ok(),
        Some(_) => None,
    };
    read.map_or_else(|| wrong(format!("`{key}` is no number")), |number| Ok(Some(number)))
}

fn tables<'a>(table: &'a Table, key: &str) -> Read<Vec<&'a Table>> {
    let Some(value) = table.get(key) else { return Ok(Vec::new()) };
    let items = value.as_array().map(|items| items.iter().map(Value::as_table).collect());
    items.flatten().map_or_else(|| wrong(format!("`{key}` is no array of tables")), Ok)
}

fn variable(table: &Table) -> Read<Variable> {
    let kind = match needed(table, "type")? {
        "string" => VarKind::Text,
        "counter" => VarKind::Counter,
        "bool" => VarKind::Flag,
        "list" => VarKind::List,
        "set" => VarKind::Set,
        "status" => VarKind::Status,
        other => return wrong(format!("`{other}` is no type")),
    };
    let ttl_seconds = number(table, "overflow_ttl_seconds")?;
    Ok(Variable {
        name: name(needed(table, "name")?),
        kind,
        initial: table.get("initial").map_or_else(|| Ok(nothing(kind)), |of| initial(of, kind))?,
        ceiling_bytes: number(table, "overflow_inline_max_bytes")?,
        ttl_ms: ttl_seconds.map(|seconds| seconds * 1_000),
    })
}

/// What a variable begins as when nothing is said.
fn nothing(kind: VarKind) -> Json {
    match kind {
        VarKind::Text | VarKind::Status => json!(""),
        VarKind::Counter => json!(0),
        VarKind::Flag => json!(false),
        VarKind::List | VarKind::Set => json!([]),
    }
}

fn initial(written: &Value, kind: VarKind) -> Read<Json> {
    let plain = plain(written);
    let text = written.as_str().map(str::trim);
    let read = match (kind, text) {
        (VarKind::Text | VarKind::Status, _) => Some(plain).filter(Json::is_string),
        (VarKind::List | VarKind::Set, Some("")) => Some(json!([])),
        (_, Some(text)) => serde_json::from_str(text).ok(),
        (_, None) => Some(plain),
    };
    let fits = |value: &Json| match kind {
        VarKind::Text | VarKind::Status => value.is_string(),
        VarKind::Counter => value.is_u64(),
        VarKind::Flag => value.is_boolean(),
        VarKind::List | VarKind::Set => value.is_array(),
    };
    match read.filter(fits) {
        Some(Json::Array(items)) if kind == VarKind::Set => {
            let mut fresh: Vec<Json> = Vec::new();
            for item in items {
                if !fresh.contains(&item) {
                    fresh.push(item);
                }
            }
            Ok(Json::Array(fresh))
        }
        Some(value) => Ok(value),
        None => wrong("an initial value of another type"),
    }
}

fn plain(value: &Value) -> Json {
    match value {
        Value::String(text) => json!(text),
        Value::Integer(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Boolean(flag) => json!(flag),
        Value::Datetime(time) => json!(time.to_string()),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Table(table) => {
            table.iter().map(|(key, value)| (key.clone(), plain(value))).collect()
        }
    }
}

fn action(table: &Table) -> Read<Action> {
    let kind = match table.get("kind").map(|_| needed(table, "kind")).transpose()? {
        Some("input") => ActionKind::Input,
        Some("internal") | None => ActionKind::Internal,
        Some("output") => ActionKind::Output,
        Some(other) => return wrong(format!("`{other}` is no kind of action")),
    };
    Ok(Action {
        name: name(needed(table, "name")?),
        kind,
        from: listed(table, "from")?,
        to: optional(table, "to")?,
        guards: table.get("guard").map_or(Ok(Vec::new()), words::guards)?,
        effects: table.get("effect").map_or(Ok(Vec::new()), words::effects)?,
        params: listed(table, "params")?.unwrap_or_default(),
    })
}

/// None of another type than `wasm`.
fn integration(table: &Table, under: Option<&'static str>) -> Read<Option<Integration>> {
    const OWN: [&str; 8] =
        ["name", "trigger", "type", "kind", "module", "on_success", "on_failure", "config"];
    let kind = match optional(table, "type")? {
        None => optional(table, "kind")?,
        kind => kind,
    };
    let module = optional(table, "module")?;
    if kind.map_or(module.is_none(), |kind| kind != "wasm") {
        return Ok(None);
    }
    let own = table.iter().filter(|(key, _)| !OWN.contains(&key.as_str()));
    // What stands in the config counts more than what stands beside it.
    let config = table.get("config").and_then(Value::as_table).into_iter().flatten();
    let config: BTreeMap<&str, &Value> =
        own.chain(config).map(|(key, value)| (key.as_str(), value)).collect();
    let seconds = config.get("timeout_secs").map(|value| match value {
        Value::String(text) => text.trim().parse::<u64>().ok(),
        other => other.as_integer().and_then(|number| u64::try_from(number).ok()),
    });
    let as_text = |value: &Value| match value {
        Value::String(text) => name(text),
        other => name(&plain(other).to_string()),
    };
    Ok(Some(Integration {
        name: name(needed(table, "name")?),
        trigger: match (optional(table, "trigger")?, under) {
            (Some(trigger), _) | (None, Some(trigger)) => trigger,
            (None, None) => return wrong("an integration without a trigger"),
        },
        guest: guest(module.unwrap_or_default()),
        on_success: optional(table, "on_success")?,
        on_failure: optional(table, "on_failure")?,
        timeout_ms: seconds.flatten().map_or(GUEST_TIMEOUT_MS, |seconds| seconds * 1_000),
        config: config.iter().map(|(key, value)| (name(key), as_text(value))).collect(),
    }))
}

/// The project's guests by their modules' names. One name is nobody's; for any other a scripted one runs.
fn guest(module: &str) -> Guest {
    match module {
        NOWHERE => Guest::Missing,
        "workspace_provisioner" => Guest::Provisioner,
        "echo" => Guest::Echo,
        "hostile" => Guest::Hostile,
        _ => Guest::Scripted,
    }
}

/// A variable that only effects name is one of the type that the effect needs.
fn declare_what_effects_name(automaton: &mut Automaton) {
    let effects: Vec<Effect> =
        automaton.actions.iter().flat_map(|action| action.effects.clone()).collect();
    for effect in effects {
        let (name, kind) = match effect {
            Effect::Increment(name) | Effect::Decrement(name) => (name, VarKind::Counter),
            Effect::SetFlag(name, _) => (name, VarKind::Flag),
            Effect::ListAppend(name) | Effect::ListRemoveAt(name) => (name, VarKind::List),
            _ => continue,
        };
        if automaton.variable(name).is_none() {
            let initial = nothing(kind);
            let fresh = Variable { name, kind, initial, ceiling_bytes: None, ttl_ms: None };
            automaton.variables.push(fresh);
        }
    }
}

/// None of a form that is not executed.
fn claim(table: &Table) -> Read<Option<Claim>> {
    let (own_name, when) = (name(needed(table, "name")?), listed(table, "when")?);
    let holds = words::claim(needed(table, "assert")?);
    Ok(holds.map(|holds| Claim { name: own_name, when, holds }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once() {
        assert!(std::ptr::eq(name("a name of this test"), name("a name of this test")));
        assert!(std::ptr::eq(names(&["A", "B"]), names(&["A", "B"])));
    }

    #[test]
    fn what_is_no_spec_says_why() {
        let told = |text: &str| read(text).expect_err("it is none").to_string();
        assert!(told("[automaton").starts_with("no TOML: "));
        assert_eq!(told("a = 1"), "no spec: it has no [automaton]");
        let head = "[automaton]\nname = \"T\"\nstates = [\"A\"]\ninitial = \"A\"\n";
        assert!(read(head).is_ok());
        let guard = format!("{head}[[action]]\nname = \"Go\"\nguard = \"n == 3\"\n");
        assert_eq!(told(&guard), "no spec: guard `n == 3`");
    }
}
