//! Changes of specs and settings between two boots: a ceiling, a time to live, a tenant's mode.
//!
//! **Invariant:** a change reaches the platform by the text of its spec and the model by the automaton,
//! each of which is made from what it was before; both hold from the next boot on.

use crate::plan::{Mode, Plan, tenant_name};
use serde::{Deserialize, Serialize};
use stormglass_model::automaton::{self, Automaton};
use stormglass_platform::{Config, OverflowMode, SpecText};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Change {
    /// A field's own inline ceiling, or none any more.
    Ceiling {
        /// The place of its spec among the plan's.
        #[serde(default)]
        set: u32,
        /// The field.
        field: String,
        /// The ceiling in bytes.
        bytes: Option<u64>,
    },
    /// A field's time to live, or none any more.
    Ttl {
        /// The place of its spec among the plan's.
        #[serde(default)]
        set: u32,
        /// The field.
        field: String,
        /// The time to live in seconds.
        seconds: Option<u64>,
    },
    /// How a tenant keeps large values.
    Mode {
        /// The tenant.
        tenant: u32,
        /// How.
        mode: Mode,
        /// The ceiling of the tenant's fields without one of their own, in bytes; the plan's if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inline_max_bytes: Option<u64>,
    },
}

impl Change {
    /// What it changes.
    pub fn kind(&self) -> &'static str {
        match self {
            Change::Ceiling { .. } => "ceiling",
            Change::Ttl { .. } => "time to live",
            Change::Mode { .. } => "mode",
        }
    }

    /// The change in a few words.
    pub fn brief(&self) -> String {
        let said = |number: &Option<u64>| number.map_or("none".to_string(), |n| n.to_string());
        match self {
            Change::Ceiling { field, bytes, .. } => format!("ceiling of {field}: {}", said(bytes)),
            Change::Ttl { field, seconds, .. } => {
                format!("time to live of {field}: {} s", said(seconds))
            }
            Change::Mode { tenant, mode, inline_max_bytes } => {
                format!("mode of tenant-{tenant}: {}", mode.over(*inline_max_bytes))
            }
        }
    }

    /// Changes the text of its spec, if it is one of a spec.
    pub fn apply_to_texts(&self, texts: &mut [SpecText]) {
        let (set, field, key, number) = match self {
            Change::Ceiling { set, field, bytes } => {
                (*set, field, "overflow_inline_max_bytes", *bytes)
            }
            Change::Ttl { set, field, seconds } => (*set, field, "overflow_ttl_seconds", *seconds),
            Change::Mode { .. } => return,
        };
        if let Some(spec) = texts.get_mut(set as usize) {
            spec.text = with_number(&spec.text, field, (key, number));
        }
    }

    /// Changes the platform's settings, if it is one of a tenant.
    pub fn apply_to_config(&self, plan: &Plan, config: &mut Config) {
        if let Change::Mode { tenant, mode, inline_max_bytes } = self {
            let ceiling_bytes = inline_max_bytes.unwrap_or(plan.ceiling_bytes());
            config.modes.insert(tenant_name(*tenant), overflow_mode(*mode, ceiling_bytes));
        }
    }

    /// Changes what the model takes for its spec, if it is one of a spec.
    pub fn apply_to_model(&self, automata: &mut [Automaton]) {
        let (Change::Ceiling { set, field, .. } | Change::Ttl { set, field, .. }) = self else {
            return;
        };
        let Some(automaton) = automata.get_mut(*set as usize) else { return };
        let Some(variable) = automaton.variables.iter_mut().find(|one| one.name == field) else {
            return;
        };
        match self {
            Change::Ceiling { bytes, .. } => variable.ceiling_bytes = *bytes,
            Change::Ttl { seconds, .. } => variable.ttl_ms = seconds.map(|s| s * 1_000),
            Change::Mode { .. } => {}
        }
    }
}

/// A mode with the ceiling of fields without one of their own, for the platform.
pub fn overflow_mode(mode: Mode, default_inline_max: u64) -> OverflowMode {
    match mode {
        Mode::BlobRefs => OverflowMode::BlobRefs { default_inline_max },
        Mode::InlineTruncate => OverflowMode::InlineTruncate { default_inline_max },
    }
}

/// The same, for the model.
pub fn model_mode(mode: Mode, default_inline_max: u64) -> automaton::Mode {
    match mode {
        Mode::BlobRefs => automaton::Mode::BlobRefs { default_inline_max },
        Mode::InlineTruncate => automaton::Mode::InlineTruncate { default_inline_max },
    }
}

/// The spec with one number of one `[[state]]` set anew, or taken away. Everything else stays, line by line.
fn with_number(text: &str, field: &str, (key, number): (&str, Option<u64>)) -> String {
    let name = format!("name = \"{field}\"");
    let mut lines: Vec<String> = Vec::new();
    let (mut is_state, mut is_field) = (false, false);
    for line in text.lines() {
        if line.starts_with('[') {
            (is_state, is_field) = (line == "[[state]]", false);
        }
        is_field |= is_state && line == name;
        if is_field && line.split_whitespace().next() == Some(key) {
            continue;
        }
        lines.push(line.to_string());
        if let (true, Some(number)) = (is_state && line == name, number) {
            lines.push(format!("{key} = {number}"));
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_of_one_state_is_set_anew() {
        let text = "[[state]]\nname = \"a\"\nk = \"1\"\n\n[[state]]\nname = \"b\"\nk = 2\n";
        let set = with_number(text, "b", ("k", Some(7)));
        assert_eq!(set, "[[state]]\nname = \"a\"\nk = \"1\"\n\n[[state]]\nname = \"b\"\nk = 7\n");
        assert_eq!(with_number(&set, "b", ("k", Some(2))), text);
        let none = with_number(text, "a", ("k", None));
        assert_eq!(none, "[[state]]\nname = \"a\"\n\n[[state]]\nname = \"b\"\nk = 2\n");
        assert_eq!(with_number(text, "k", ("k", Some(7))), text);
    }
}
