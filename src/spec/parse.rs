//! Reads a spec's text. The shapes of sections are here; what names refer to is in `check`.
//!
//! **Invariant:** every key of an executed section is read, or named in a diagnostic.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::automaton::{
    Action, ActionKind, Assertion, Automaton, Integration, Invariant, Variable, VariableKind,
};
use super::diagnostic::{Diagnostic, Problem, Severity, Source, SpecError, nearest};
use super::section::{Placed, Section, to_json};
use super::{check, effect, guard, integration};
use crate::canonical;

/// A usable spec and what its author should know about it.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The spec.
    pub automaton: Automaton,
    /// In the order of the text.
    pub warnings: Vec<Diagnostic>,
}

/// Definitions with their places, before the checks that need them all.
pub(super) struct Draft {
    pub head: Option<Head>,
    pub variables: Vec<Placed<Variable>>,
    pub actions: Vec<Placed<Action>>,
    pub integrations: Vec<Placed<Integration>>,
    pub invariants: Vec<Placed<Invariant>>,
    pub not_executed: Vec<String>,
    /// (what the name should be, where, the key, the name)
    pub names: Vec<NameUse>,
}

pub(super) struct Head {
    pub name: String,
    pub states: Vec<Placed<String>>,
    pub initial: Placed<String>,
    pub terminal: Vec<String>,
}

/// A place that names a state or an action.
pub(super) struct NameUse {
    pub kind: &'static str,
    pub key: &'static str,
    pub name: Placed<String>,
}

const SECTIONS: [&str; 6] =
    ["automaton", "state", "action", "integration", "invariant", "liveness"];

/// Longest life of an overflowed value: a hundred years.
const TTL_SECONDS: Range<u64> = 1..3_153_600_001;

/// Parses one spec. `file` is only shown in messages; `lenient` takes unknown keys for warnings.
///
/// # Errors
/// Every problem of the text with file, line, column and key.
pub fn parse(file: &str, text: &str, lenient: bool) -> Result<Parsed, SpecError> {
    let mut source = Source::new(file, text, lenient);
    let automaton = match DeTable::parse(text) {
        Ok(document) => {
            let root = Section::new("spec", document.get_ref(), 0..0);
            let draft = read(&mut source, &root);
            check::finish(&mut source, draft)
        }
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            source.error(&span, "spec", Problem::Syntax(error.message().to_owned()));
            None
        }
    };
    let diagnostics = source.into_diagnostics();
    match automaton {
        Some(automaton) if diagnostics.iter().all(|one| one.severity == Severity::Warning) => {
            Ok(Parsed { automaton, warnings: diagnostics })
        }
        _ => Err(SpecError { diagnostics }),
    }
}

fn read(source: &mut Source<'_>, root: &Section<'_, '_>) -> Draft {
    let mut draft = Draft {
        head: read_head(source, root),
        variables: Vec::new(),
        actions: Vec::new(),
        integrations: Vec::new(),
        invariants: Vec::new(),
        not_executed: Vec::new(),
        names: Vec::new(),
    };
    for section in root.tables(source, "state") {
        if let Some(variable) = read_variable(source, &section) {
            draft.variables.push((variable, section.span));
        }
    }
    // In this order: of those with one trigger, the ones that stand alone run first.
    for section in root.tables(source, "integration") {
        integration::read(source, &section, None, &mut draft);
    }
    for section in root.tables(source, "action") {
        read_action(source, &section, &mut draft);
    }
    for section in root.tables(source, "invariant") {
        read_invariant(source, &section, &mut draft);
    }
    for section in root.tables(source, "liveness") {
        let name = section.text(source, "name").map_or_else(String::new, |(name, _)| name);
        draft.not_executed.push(format!("liveness {name}"));
    }
    for (key, span, _) in root.entries().filter(|(key, _, _)| !SECTIONS.contains(key)) {
        if let Some(section) = nearest(key, SECTIONS) {
            source.warn(&span, key, Problem::UnknownSection(section));
        }
        draft.not_executed.push(key.to_owned());
    }
    draft
}

fn read_head(source: &mut Source<'_>, root: &Section<'_, '_>) -> Option<Head> {
    let Some(value) = root.get("automaton") else {
        source.error(&(0..0), "automaton", Problem::Missing);
        return None;
    };
    let Some(table) = value.get_ref().as_table() else {
        source.error(&value.span(), "automaton", Problem::Expected("a table"));
        return None;
    };
    let section = Section::new("automaton", table, value.span());
    section.refuse_unknown(
        source,
        &["name", "states", "initial", "terminal", "allow_indefinite_states"],
    );
    section.texts(source, "allow_indefinite_states");
    let terminal = section.texts(source, "terminal").unwrap_or_default();
    let name = section.required_text(source, "name");
    let initial = section.required_text(source, "initial");
    if section.get("states").is_none() {
        source.error(&section.span, "automaton.states", Problem::Missing);
    }
    let states = section.texts(source, "states")?;
    for (state, span) in &terminal {
        check::name_is_known(source, "state", "automaton.terminal", (state, span), &states);
    }
    let terminal = terminal.into_iter().map(|(state, _)| state).collect();
    Some(Head { name: name?.0, states, initial: initial?, terminal })
}

fn read_variable(source: &mut Source<'_>, section: &Section<'_, '_>) -> Option<Variable> {
    section.refuse_unknown(
        source,
        &[
            "name",
            "type",
            "initial",
            "overflow_inline_max_bytes",
            "overflow_ttl_seconds",
            "query_indexed",
        ],
    );
    let inline_max = section.number(source, "overflow_inline_max_bytes", 0..u64::MAX);
    let ttl = section.number(source, "overflow_ttl_seconds", TTL_SECONDS);
    let query_indexed = section.flag(source, "query_indexed").unwrap_or(false);
    let (name, name_span) = section.required_text(source, "name")?;
    let (kind_name, kind_span) = section.required_text(source, "type")?;
    let Some(kind) = VariableKind::from_name(&kind_name) else {
        let kinds = ["string", "counter", "bool", "list", "set", "status"];
        source.error(
            &kind_span,
            "state.type",
            check::unknown("type of variable", &kind_name, kinds),
        );
        return None;
    };
    let reserved = name == "Id" || (name == "Status" && kind != VariableKind::Status);
    if reserved || name.starts_with(crate::overflow::RESERVED_PREFIX) {
        source.error(&name_span, "state.name", Problem::Reserved(name.clone()));
    }
    if let (Some(value), true) = (section.get("overflow_ttl_seconds"), kind != VariableKind::String)
    {
        let problem =
            Problem::WrongKind { name: name.clone(), kind: kind.name(), wanted: "string" };
        source.error(&value.span(), "state.overflow_ttl_seconds", problem);
    }
    let initial = match section.get("initial") {
        Some(value) => read_initial(source, value, kind)?,
        None => default_initial(kind),
    };
    Some(Variable {
        name,
        kind,
        initial,
        overflow_inline_max_bytes: inline_max,
        overflow_ttl_seconds: ttl,
        query_indexed,
    })
}

/// The value of a variable that says nothing about it.
pub(super) fn default_initial(kind: VariableKind) -> Value {
    match kind {
        VariableKind::String | VariableKind::Status => Value::from(""),
        VariableKind::Counter => Value::from(0_u64),
        VariableKind::Bool => Value::from(false),
        VariableKind::List | VariableKind::Set => Value::Array(Vec::new()),
    }
}

fn read_initial(
    source: &mut Source<'_>,
    value: &Spanned<DeValue<'_>>,
    kind: VariableKind,
) -> Option<Value> {
    let written = to_json(value.get_ref());
    let text = written.as_str();
    let typed = match kind {
        VariableKind::String | VariableKind::Status => text.map(Value::from),
        VariableKind::Counter => {
            text.map_or_else(|| written.as_u64(), |text| text.trim().parse().ok()).map(Value::from)
        }
        VariableKind::Bool => {
            text.map_or_else(|| written.as_bool(), |text| text.trim().parse().ok()).map(Value::from)
        }
        VariableKind::List | VariableKind::Set => match text {
            Some("") => Some(Value::Array(Vec::new())),
            Some(text) => canonical::parse(text.as_bytes()).ok(),
            None => Some(written.clone()),
        }
        .filter(Value::is_array),
    };
    let Some(mut typed) = typed else {
        let problem =
            Problem::BadInitial { value: canonical::to_text(&written), kind: kind.name() };
        source.error(&value.span(), "state.initial", problem);
        return None;
    };
    if let (VariableKind::Set, Value::Array(items)) = (kind, &mut typed) {
        let mut seen: Vec<Value> = Vec::new();
        items.retain(|item| {
            let fresh = !seen.contains(item);
            seen.push(item.clone());
            fresh
        });
    }
    Some(typed)
}

fn read_action(source: &mut Source<'_>, section: &Section<'_, '_>, draft: &mut Draft) {
    section.refuse_unknown(
        source,
        &["name", "kind", "from", "to", "guard", "effect", "params", "hint", "triggers"],
    );
    let Some((name, name_span)) = section.required_text(source, "name") else {
        return;
    };
    if matches!(name.as_str(), "Created" | "Updated" | "Deleted") {
        source.error(&name_span, "action.name", Problem::Reserved(name.clone()));
    }
    let kind = match section.text(source, "kind") {
        None => ActionKind::Internal,
        Some((word, span)) => match word.as_str() {
            "input" => ActionKind::Input,
            "internal" => ActionKind::Internal,
            "output" => ActionKind::Output,
            _ => {
                let problem =
                    check::unknown("kind of action", &word, ["input", "internal", "output"]);
                source.error(&span, "action.kind", problem);
                return;
            }
        },
    };
    let mut state_names = |key: &'static str, names: Vec<Placed<String>>| {
        let plain = names.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        draft.names.extend(names.into_iter().map(|name| NameUse { kind: "state", key, name }));
        plain
    };
    let from = section.texts(source, "from").map(|names| state_names("action.from", names));
    let to = section.text(source, "to").map(|name| state_names("action.to", vec![name]));
    let params = section.texts(source, "params").unwrap_or_default();
    for (param, span) in &params {
        if crate::overflow::is_reserved_param(param) {
            source.error(span, "action.params", Problem::Reserved(param.clone()));
        }
    }
    let guards = section.get("guard").map_or_else(Vec::new, |value| guard::read(source, value));
    let effects = section.get("effect").map_or_else(Vec::new, |value| effect::read(source, value));
    for trigger in section.tables(source, "triggers") {
        integration::read(source, &trigger, Some(&name), draft);
    }
    let action = Action {
        name,
        kind,
        from,
        to: to.and_then(|mut states| states.pop()),
        guards,
        effects,
        params: params.into_iter().map(|(param, _)| param).collect(),
        hint: section.text(source, "hint").map(|(hint, _)| hint),
    };
    draft.actions.push((action, section.span.clone()));
}

fn read_invariant(source: &mut Source<'_>, section: &Section<'_, '_>, draft: &mut Draft) {
    section.refuse_unknown(source, &["name", "when", "assert"]);
    let when = section.texts(source, "when").map(|states| {
        let plain = states.iter().map(|(state, _)| state.clone()).collect();
        let uses = states.into_iter();
        draft.names.extend(uses.map(|name| NameUse { kind: "state", key: "invariant.when", name }));
        plain
    });
    let name = section.required_text(source, "name");
    let assertion = section.required_text(source, "assert");
    let (Some((name, _)), Some((text, assert_span))) = (name, assertion) else {
        return;
    };
    let assertion = read_assertion(&text);
    if matches!(assertion, Assertion::NotExecuted(_)) {
        draft.not_executed.push(format!("invariant {name}"));
    }
    draft.invariants.push((Invariant { name, when, assertion }, assert_span));
}

fn read_assertion(text: &str) -> Assertion {
    if text.trim() == "no_further_transitions" {
        return Assertion::NoFurtherTransitions;
    }
    let implication = || {
        let (condition, consequence) = text.split_once("=>")?;
        let list = condition.trim().strip_prefix("status")?.trim().strip_prefix("in")?.trim();
        let states = list.strip_prefix('[')?.strip_suffix(']')?;
        let states =
            states.split(',').map(|state| state.trim().trim_matches(['\'', '"']).to_owned());
        Some((states.collect(), guard::parse_words(consequence)?))
    };
    if let Some((states, guard)) = implication() {
        return Assertion::StatusImplies { states, guard };
    }
    guard::parse_words(text)
        .map_or_else(|| Assertion::NotExecuted(text.to_owned()), Assertion::Holds)
}
