//! What a spec declares, for its author: states, variables, actions, integrations, invariants, and what of
//! it is not executed; or what is wrong with it, each with its line shown and marked.
//!
//! **Invariant:** every part of a spec that the platform read is named here, or listed as not executed.

use std::fmt::Write;
use stormglass_platform::spec::{
    self, Action, ActionKind, Assertion, Automaton, Comparison, Diagnostic, Effect, FRESH_ID,
    Guard, Integration, Invariant, Parsed, Severity, Variable, VariableKind,
};

/// A spec that was read for its author.
pub struct Report {
    /// What it declares, or what is wrong with it.
    pub text: String,
    /// Whether the platform takes it.
    pub is_sound: bool,
}

/// Reads a spec; `file` is what the report calls it.
pub fn report(file: &str, text: &str, lenient: bool) -> Report {
    match spec::parse(file, text, lenient) {
        Ok(Parsed { automaton, warnings }) => {
            let parts = [declared(file, &automaton), not_executed(&automaton.not_executed)];
            let text = parts.concat() + &marked(&warnings, text);
            Report { text, is_sound: true }
        }
        Err(error) => Report { text: marked(&error.diagnostics, text), is_sound: false },
    }
}

/// Each with the line where it stands, and a mark under what it is about.
fn marked(diagnostics: &[Diagnostic], text: &str) -> String {
    diagnostics.iter().map(|one| mark(one, text)).collect()
}

fn mark(one: &Diagnostic, text: &str) -> String {
    let error = if one.severity == Severity::Error { "error: " } else { "" };
    let line = text.lines().nth(one.line - 1).unwrap_or_default();
    let (number, margin) = (one.line.to_string(), " ".repeat(one.line.to_string().len()));
    // Tabs stay tabs, so that the mark stands where the text does.
    let before = line.chars().take(one.column - 1);
    let before: String = before.map(|letter| if letter == '\t' { '\t' } else { ' ' }).collect();
    let under = "^".repeat(one.width);
    format!("{error}{one}\n {number} | {line}\n {margin} | {before}{under}\n")
}

fn declared(file: &str, automaton: &Automaton) -> String {
    let Automaton { name, variables, actions, integrations, invariants, .. } = automaton;
    let mut out = format!("{file}: {name}, entity set {}\n", spec::set_of(name));
    put(&mut out, "states", [states(automaton)]);
    put(&mut out, "variables", variables.iter().map(variable));
    put(&mut out, "actions", actions.iter().map(|one| action(one, automaton)));
    put(&mut out, "integrations", integrations.iter().map(integration));
    put(&mut out, "invariants", invariants.iter().map(invariant));
    out
}

fn not_executed(parts: &[String]) -> String {
    let mut out = String::new();
    put(&mut out, "not executed", parts.iter().cloned());
    out
}

fn put(out: &mut String, title: &str, lines: impl IntoIterator<Item = String>) {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_none() {
        return;
    }
    writeln!(out, "  {title}").expect("a string takes all");
    for line in lines {
        for (at, part) in line.lines().enumerate() {
            let indent = if at == 0 { "    " } else { "      " };
            writeln!(out, "{indent}{part}").expect("a string takes all");
        }
    }
}

fn states(automaton: &Automaton) -> String {
    let named = automaton.states.iter().map(|state| {
        let is_initial = *state == automaton.initial;
        let is_terminal = automaton.terminal.contains(state);
        let roles = [(is_initial, "initial"), (is_terminal, "terminal")];
        let roles: Vec<&str> = roles.iter().filter(|(is, _)| *is).map(|(_, role)| *role).collect();
        if roles.is_empty() { state.clone() } else { format!("{state} ({})", roles.join(", ")) }
    });
    named.collect::<Vec<_>>().join(", ")
}

fn variable(variable: &Variable) -> String {
    let Variable { name, kind, initial, .. } = variable;
    let mut words = format!("{name}: {}", kind_name(*kind));
    if *kind != VariableKind::Status {
        words += &format!(", begins as {initial}");
    }
    if let Some(bytes) = variable.overflow_inline_max_bytes {
        words += &format!(", overflows above {bytes} bytes");
    }
    if let Some(seconds) = variable.overflow_ttl_seconds {
        words += &format!(", then expires after {seconds} s");
    }
    words
}

fn kind_name(kind: VariableKind) -> &'static str {
    match kind {
        VariableKind::String => "string",
        VariableKind::Counter => "counter",
        VariableKind::Bool => "bool",
        VariableKind::List => "list",
        VariableKind::Set => "set",
        VariableKind::Status => "the status under another name",
    }
}

fn action(action: &Action, automaton: &Automaton) -> String {
    let kind = match action.kind {
        ActionKind::Input => "input",
        ActionKind::Internal => "internal",
        ActionKind::Output => return format!("{}: output, nobody calls it", action.name),
    };
    let from = match &action.from {
        Some(states) if states.is_empty() => "in no state".to_string(),
        Some(states) => format!("in {}", states.join(", ")),
        None if automaton.terminal.is_empty() => "in every state".to_string(),
        None => "in every state that is not terminal".to_string(),
    };
    let to = action.to.as_ref().map_or(String::new(), |to| format!(", then {to}"));
    let mut words = format!("{}: {kind}, {from}{to}", action.name);
    let guards: Vec<String> = action.guards.iter().map(guard).collect();
    let effects: Vec<String> = action.effects.iter().map(effect).collect();
    for (title, parts) in [("if", guards), ("does", effects), ("params", action.params.clone())] {
        if !parts.is_empty() {
            words +=
                &format!("\n{title} {}", parts.join(if title == "if" { " and " } else { ", " }));
        }
    }
    words
}

/// A guard in words.
pub fn guard(guard: &Guard) -> String {
    match guard {
        Guard::Compare { var, op, value } => {
            let op = match op {
                Comparison::Greater => ">",
                Comparison::AtLeast => ">=",
                Comparison::Less => "<",
                Comparison::AtMost => "<=",
            };
            format!("{var} {op} {value}")
        }
        Guard::IsTrue(var) => format!("{var} is true"),
        Guard::IsFalse(var) => format!("{var} is false"),
        Guard::ListContains { var, value } => format!("{var} contains `{value}`"),
        Guard::ListLengthMin { var, min } => format!("{var} has at least {min} items"),
        Guard::StateIn(states) => format!("the state is {}", states.join(" or ")),
    }
}

fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Increment(var) => format!("adds 1 to {var}"),
        Effect::Decrement(var) => format!("takes 1 from {var}"),
        Effect::SetBool { var, value } => format!("sets {var} to {value}"),
        Effect::Emit(event) => format!("emits {event}"),
        Effect::Trigger(name) => format!("triggers {name}"),
        Effect::ListAppend(var) => format!("appends the param {var} to {var}"),
        Effect::ListRemoveAt(var) => format!("removes the item at {var}_index from {var}"),
        Effect::Schedule { action, delay_seconds } => {
            format!("calls {action} after {delay_seconds} s")
        }
        Effect::ScheduleAt { action, field } => format!("calls {action} at the time in {field}"),
        Effect::Spawn {
            entity_type,
            entity_id_source,
            initial_action,
            store_id_in,
            copy_fields,
        } => {
            let id = match entity_id_source.as_str() {
                FRESH_ID => "with a fresh id".to_string(),
                field => format!("with the id in {field}"),
            };
            let mut words = format!("creates a {entity_type} {id}");
            for (text, name) in [(" kept in", store_id_in), (" and calls", initial_action)] {
                if let Some(name) = name {
                    words += &format!("{text} {name}");
                }
            }
            if !copy_fields.is_empty() {
                words += &format!(" with a copy of {}", copy_fields.join(", "));
            }
            words
        }
    }
}

fn integration(integration: &Integration) -> String {
    let Integration { name, trigger, module, on_success, on_failure, timeout_secs, config } =
        integration;
    let mut words = format!("{name}: module {module} when {trigger}");
    for (outcome, action) in [("success", on_success), ("failure", on_failure)] {
        if let Some(action) = action {
            words += &format!(", on {outcome} {action}");
        }
    }
    words += &format!(", within {timeout_secs} s");
    if !config.is_empty() {
        let keys: Vec<&str> = config.keys().map(String::as_str).collect();
        words += &format!("\nconfig {}", keys.join(", "));
    }
    words
}

/// An invariant in words.
pub fn invariant(invariant: &Invariant) -> String {
    let claim = match &invariant.assertion {
        Assertion::NoFurtherTransitions => "no action is accepted".to_string(),
        Assertion::Holds(holding) => guard(holding),
        Assertion::StatusImplies { states, guard: holding } => {
            format!("{} in {}", guard(holding), states.join(", "))
        }
        Assertion::NotExecuted(text) => format!("`{text}`, which is not executed"),
    };
    let when = invariant.when.as_ref();
    let when = when.map_or(String::new(), |states| format!(", claimed in {}", states.join(", ")));
    format!("{}: {claim}{when}", invariant.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_shown_with_its_line_and_marked() {
        let text = "[automaton]\nname = \"T\"\nstates = [\"A\"]\ninitial = \"B\"\n";
        let found = report("t.toml", text, false);
        assert!(!found.is_sound);
        assert_eq!(
            found.text,
            "error: t.toml:4:11: automaton.initial: `B` is no state, did you mean `A`?\n \
             4 | initial = \"B\"\n   |           ^^^\n"
        );
    }
}
