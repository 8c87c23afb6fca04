//! `Session`, the spec of the default workload: small ceilings, a time to live, every kind of
//! variable. Its text is `scenarios/specs/session.ioa.toml`.

use serde_json::json;

use crate::automaton::{
    Action, ActionKind, Automaton, Effect, GUEST_TIMEOUT_MS, Guard, Integration, Spawn, VarKind,
    Variable,
};
use crate::guests::Guest;

/// The ceiling of the fields that have one, in bytes: small, so that runs with overflow are many.
pub const CEILING_BYTES: u64 = 1024;

/// The time to live of `system_prompt`, in milliseconds.
pub const SYSTEM_PROMPT_TTL_MS: u64 = 3_600_000;

/// The time to live of `draft`, in milliseconds.
pub const DRAFT_TTL_MS: u64 = 600_000;

fn variable(name: &'static str, kind: VarKind) -> Variable {
    let initial = match kind {
        VarKind::Text | VarKind::Status => json!(""),
        VarKind::Counter => json!(0),
        VarKind::Flag => json!(false),
        VarKind::List | VarKind::Set => json!([]),
    };
    Variable { name, kind, initial, ceiling_bytes: None, ttl_ms: None }
}

/// The automaton of `Session`.
pub fn session() -> Automaton {
    let small =
        |name, kind| Variable { ceiling_bytes: Some(CEILING_BYTES), ..variable(name, kind) };
    Automaton {
        name: "Session",
        states: vec!["Created", "Configured", "Running", "Done", "Failed"],
        initial: "Created",
        terminal: vec!["Done", "Failed"],
        variables: vec![
            small("user_message", VarKind::Text),
            Variable {
                ttl_ms: Some(SYSTEM_PROMPT_TTL_MS),
                ..small("system_prompt", VarKind::Text)
            },
            Variable { ttl_ms: Some(DRAFT_TTL_MS), ..small("draft", VarKind::Text) },
            Variable { ceiling_bytes: Some(0), ..variable("token", VarKind::Text) },
            variable("big", VarKind::Text),
            variable("turns", VarKind::Counter),
            variable("ready", VarKind::Flag),
            small("notes", VarKind::List),
            small("tags", VarKind::Set),
            small("echo", VarKind::Text),
            small("payload", VarKind::Text),
            variable("alarm", VarKind::Text),
            variable("rings", VarKind::Counter),
            variable("task_id", VarKind::Text),
            variable("task_name", VarKind::Text),
        ],
        actions: [actions(), later_actions()].concat(),
        integrations: integrations(),
    }
}

fn actions() -> Vec<Action> {
    let before_end = ["Created", "Configured", "Running"];
    vec![
        Action::input("Configure")
            .from(&["Created", "Configured"])
            .to("Configured")
            .effect(Effect::SetFlag("ready", true))
            .params(&["user_message", "system_prompt"]),
        Action::input("Write").params(&["user_message", "system_prompt", "draft", "token", "big"]),
        Action::input("Note").effect(Effect::ListAppend("notes")).params(&["notes"]),
        Action::input("Unnote")
            .guard(Guard::ListLengthAtLeast("notes", 1))
            .effect(Effect::ListRemoveAt("notes"))
            .params(&["notes_index"]),
        Action::input("Tag").effect(Effect::ListAppend("tags")).params(&["tags"]),
        Action::input("Start")
            .from(&["Configured"])
            .to("Running")
            .guard(Guard::IsTrue("ready"))
            .effect(Effect::Emit("started")),
        Action::input("Tick")
            .from(&["Running"])
            .guard(Guard::Below("turns", 5))
            .effect(Effect::Increment("turns"))
            .params(&["big"]),
        Action::input("Undo")
            .from(&["Running"])
            .guard(Guard::Above("turns", 0))
            .effect(Effect::Decrement("turns")),
        Action::input("Forget").from(&before_end).effect(Effect::Decrement("turns")),
        Action::input("Pause")
            .from(&["Running"])
            .to("Configured")
            .effect(Effect::SetFlag("ready", false)),
        Action::input("Finish")
            .from(&["Running"])
            .to("Done")
            .guard(Guard::AtLeast("turns", 1))
            .params(&["user_message"]),
        Action::input("Approve")
            .from(&before_end)
            .guard(Guard::ListContains("tags", "approved"))
            .effect(Effect::SetFlag("ready", true)),
        Action::input("Fail").kind(ActionKind::Internal).to("Failed").params(&["error"]),
        Action::input("Reopen").from(&["Done"]).to("Running"),
        Action::input("Told").kind(ActionKind::Output),
    ]
}

/// The actions that leave something to be done later, and those that are called then.
fn later_actions() -> Vec<Action> {
    let internal = |name| Action::input(name).kind(ActionKind::Internal);
    let task = Spawn {
        entity_type: "Task",
        id_source: None,
        initial_action: Some("Begin"),
        store_id_in: Some("task_id"),
        copy_fields: vec!["user_message", "system_prompt"],
    };
    let named_task = Spawn {
        id_source: Some("task_name"),
        initial_action: None,
        store_id_in: None,
        copy_fields: vec!["notes"],
        ..task.clone()
    };
    let entrusted =
        Spawn { initial_action: Some("Begin"), copy_fields: Vec::new(), ..named_task.clone() };
    vec![
        Action::input("Provision").effect(Effect::Trigger("provision")),
        internal("Provisioned"),
        internal("ProvisionFailed"),
        Action::input("EchoMessage"),
        Action::input("EchoPrompt"),
        Action::input("EchoNotes"),
        Action::input("EchoToken"),
        internal("Echoed").params(&["echo", "shown"]),
        internal("EchoFailed"),
        Action::input("Torment").params(&["mode"]),
        Action::input("Whisper").params(&["mode"]),
        internal("Survived"),
        internal("Perished"),
        Action::input("Missed"),
        Action::input("Picky"),
        Action::input("Remind").effect(Effect::Schedule { action: "Ring", delay_ms: 30_000 }),
        Action::input("RemindAt")
            .effect(Effect::ScheduleAt { action: "Ring", field: "alarm" })
            .params(&["alarm"]),
        internal("Ring").effect(Effect::Increment("rings")),
        Action::input("Fuss")
            .effect(Effect::Schedule { action: "Ring", delay_ms: 20_000 })
            .effect(Effect::Schedule { action: "Ring", delay_ms: 40_000 })
            .effect(Effect::Trigger("provision")),
        Action::input("Delegate").effect(Effect::Spawn(task)),
        Action::input("DelegateTo").effect(Effect::Spawn(named_task)).params(&["task_name"]),
        Action::input("Entrust").effect(Effect::Spawn(entrusted)).params(&["task_name"]),
    ]
}

fn integrations() -> Vec<Integration> {
    let run = |name, trigger, guest, on_success, on_failure| Integration {
        name,
        trigger,
        guest,
        on_success,
        on_failure: Some(on_failure),
        timeout_ms: GUEST_TIMEOUT_MS,
        config: Vec::new(),
    };
    let echo = |name, trigger, on_success, field| Integration {
        config: vec![("field", field), ("shown", field)],
        ..run(name, trigger, Guest::Echo, Some(on_success), "EchoFailed")
    };
    vec![
        run("provisioner", "provision", Guest::Provisioner, Some("Provisioned"), "ProvisionFailed"),
        echo("echo_user_message", "EchoMessage", "Echoed", "user_message"),
        echo("echo_system_prompt", "EchoPrompt", "Echoed", "system_prompt"),
        echo("echo_notes", "EchoNotes", "Echoed", "notes"),
        echo("echo_token", "EchoToken", "Echoed", "token"),
        run("torment", "Torment", Guest::Hostile, Some("Survived"), "Perished"),
        run("whisper", "Whisper", Guest::Hostile, None, "Perished"),
        run("missed", "Missed", Guest::Missing, Some("Survived"), "Perished"),
        echo("echo_fuss", "Fuss", "Echoed", "user_message"),
        echo("picky", "Picky", "Start", "user_message"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_that_an_action_names_is_declared() {
        let automaton = session();
        for action in &automaton.actions {
            let named = action.from.iter().flatten().chain(action.to.iter());
            assert!(named.clone().all(|state| automaton.states.contains(state)));
        }
        assert!(automaton.terminal.iter().all(|state| automaton.states.contains(state)));
        assert!(automaton.states.contains(&automaton.initial));
    }

    #[test]
    fn only_texts_expire() {
        let expiring = session().variables.into_iter().filter(|v| v.ttl_ms.is_some());
        assert!(expiring.into_iter().all(|v| v.kind == VarKind::Text));
    }
}
