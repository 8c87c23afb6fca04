//! Integrations: `[[integration]]`, and `[[action.triggers]]` which name their action by place.
//!
//! **Invariant:** only wasm integrations are executed, and each of those has a module.

use std::collections::BTreeMap;

use serde_json::Value;

use super::automaton::Integration;
use super::diagnostic::{Problem, Source};
use super::parse::{Draft, NameUse};
use super::section::{Section, to_json};

const OWN_KEYS: [&str; 8] =
    ["name", "trigger", "type", "kind", "module", "on_success", "on_failure", "config"];

const TIMEOUT: &str = "timeout_secs";
const TIMEOUT_DEFAULT_SECONDS: u64 = 30;
const TIMEOUT_SECONDS: std::ops::Range<u64> = 1..3_153_600_001;

/// Reads one integration into the draft; `action` is the action it stands under, if it does.
pub(super) fn read(
    source: &mut Source<'_>,
    section: &Section<'_, '_>,
    action: Option<&str>,
    draft: &mut Draft,
) {
    let kind = section.text(source, "type").or_else(|| section.text(source, "kind"));
    let module = section.text(source, "module");
    let is_wasm = match &kind {
        Some((kind, _)) => kind == "wasm",
        None => module.is_some(),
    };
    if !is_wasm {
        let kind = kind.map_or_else(|| "untyped".to_owned(), |(kind, _)| kind);
        let name = section.text(source, "name").map_or_else(String::new, |(name, _)| name);
        draft.not_executed.push(format!("{} {name} ({kind})", section.path));
        return;
    }
    let Some((name, _)) = section.required_text(source, "name") else {
        return;
    };
    let trigger = match (section.text(source, "trigger"), action) {
        (Some((trigger, _)), _) => trigger,
        (None, Some(action)) => action.to_owned(),
        (None, None) => {
            source.error(&section.span, "integration.trigger", Problem::Missing);
            return;
        }
    };
    let Some((module, _)) = module else {
        source.error(&section.span, "integration.module", Problem::NoModule(name));
        return;
    };
    let mut callback = |key: &'static str, shown: &'static str| {
        let (name, span) = section.text(source, key)?;
        draft.names.push(NameUse { kind: "action", key: shown, name: (name.clone(), span) });
        Some(name)
    };
    let on_success = callback("on_success", "integration.on_success");
    let on_failure = callback("on_failure", "integration.on_failure");
    let (timeout_secs, config) = read_config(source, section);
    let integration =
        Integration { name, trigger, module, on_success, on_failure, timeout_secs, config };
    draft.integrations.push((integration, section.span.clone()));
}

/// The time limit and the config. What stands in the config counts more than what stands beside it.
fn read_config(
    source: &mut Source<'_>,
    section: &Section<'_, '_>,
) -> (u64, BTreeMap<String, Value>) {
    let held = section.get("config").and_then(|value| {
        let Some(table) = value.get_ref().as_table() else {
            source.error(&value.span(), "integration.config", Problem::Expected("a table"));
            return None;
        };
        Some(Section::new("integration.config", table, value.span()))
    });
    let beside = section.number(source, TIMEOUT, TIMEOUT_SECONDS);
    let within = held.as_ref().and_then(|held| held.number(source, TIMEOUT, TIMEOUT_SECONDS));
    let config = section
        .entries()
        .filter(|(key, _, _)| !OWN_KEYS.contains(key))
        .chain(held.iter().flat_map(Section::entries))
        .map(|(key, _, value)| (key.to_owned(), to_json(value.get_ref())))
        .collect();
    (within.or(beside).unwrap_or(TIMEOUT_DEFAULT_SECONDS), config)
}
