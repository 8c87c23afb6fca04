//! What a command says, to a person or as one JSON object.
//!
//! **Invariant:** with `--json` standard output holds one object and nothing else, whatever comes of the command;
//! progress goes to standard error. `--quiet` leaves what was found and the last line.

use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use stormglass_scenarios::build_info::Build;
use stormglass_scenarios::host::is_ci;

/// The version of what `--json` prints: raised when a reader of the last one would not understand it.
const SCHEMA: u32 = 1;

/// To whom a command speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// To a person.
    #[default]
    Whole,
    /// To a person who wants to know what was found.
    Quiet,
    /// To a program.
    Json,
}

static MANNER: OnceLock<Manner> = OnceLock::new();

/// How this process speaks. It is the first that was chosen.
pub fn choose(manner: Manner) {
    let _ = MANNER.set(manner);
}

/// How this process speaks.
pub fn manner() -> Manner {
    MANNER.get().copied().unwrap_or_default()
}

/// Whether somebody sees what is shown on standard error while a command works: a terminal, not in continuous
/// integration, and not when quiet is asked for.
pub fn is_watched() -> bool {
    manner() != Manner::Quiet && !is_ci() && io::stderr().is_terminal()
}

/// Says something that only a person wants to know who has the time.
pub fn say(text: impl Display) {
    if manner() == Manner::Whole {
        line(text);
    }
}

/// Says what a quiet command says, too.
pub fn found(text: impl Display) {
    if manner() != Manner::Json {
        line(text);
    }
}

/// Says how far it is, where that does not get in the way.
pub fn progress(text: impl Display) {
    match manner() {
        Manner::Whole => line(text),
        Manner::Quiet => {}
        Manner::Json => eprintln!("{text}"),
    }
}

/// A reader that went away wants to know no more.
fn line(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// What a command came to.
pub struct Done {
    /// The process's exit code.
    pub code: u8,
    /// What a program is told.
    pub result: Value,
}

impl Done {
    /// An exit code, and what it stands for.
    ///
    /// # Errors
    /// Data that no JSON can hold.
    pub fn new(code: u8, result: impl Serialize) -> Result<Done, super::Error> {
        Ok(Done { code, result: serde_json::to_value(result)? })
    }
}

/// Prints what `--json` prints of a command that was carried out.
pub fn print_done(command: &str, done: &Done) {
    print(command, done.code, ("result", &done.result));
}

/// Prints what `--json` prints of a command that was not.
pub fn print_error(command: &str, code: u8, error: &str) {
    print(command, code, ("error", &json!(error)));
}

fn print(command: &str, code: u8, (name, value): (&str, &Value)) {
    line(json!({
        "schema": SCHEMA,
        "command": command,
        "build": Build::this(),
        "exit_code": code,
        name: value,
    }));
}
