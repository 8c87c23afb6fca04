//! `Task`, what sessions spawn: two texts of a session's kind, so that a copied value overflows in the
//! child too. Its text is `scenarios/specs/task.ioa.toml`.

use serde_json::json;

use super::session::{CEILING_BYTES, SYSTEM_PROMPT_TTL_MS};
use crate::automaton::{Action, Automaton, Effect, VarKind, Variable};

/// The automaton of `Task`.
pub fn task() -> Automaton {
    let text = |name| Variable {
        name,
        kind: VarKind::Text,
        initial: json!(""),
        ceiling_bytes: None,
        ttl_ms: None,
    };
    let small = |name| Variable { ceiling_bytes: Some(CEILING_BYTES), ..text(name) };
    Automaton {
        name: "Task",
        states: vec!["Open", "Begun", "Closed"],
        initial: "Open",
        terminal: vec!["Closed"],
        variables: vec![
            small("user_message"),
            Variable { ttl_ms: Some(SYSTEM_PROMPT_TTL_MS), ..small("system_prompt") },
            text("notes"),
        ],
        actions: vec![
            Action::input("Begin").from(&["Open"]).to("Begun"),
            Action::input("Close").from(&["Open", "Begun"]).to("Closed"),
            Action::input("Nag").effect(Effect::Schedule { action: "Close", delay_ms: 30_000 }),
            Action::input("Write").params(&["user_message", "system_prompt", "notes"]),
        ],
        integrations: Vec::new(),
    }
}
