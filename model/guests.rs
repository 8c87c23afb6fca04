//! The project's guests as the model knows them: from what a guest is shown to what it may answer.
//!
//! **Invariant:** pure: an outcome follows from the state after the triggering event, the event's params
//! and the integration's config. Written from what the guests promise (`sdk/guests`), never from a host.
//!
//! Not modelled: what a guest logs; the hash by which `scripted` chooses.

use serde_json::{Map, Value, json};

use crate::canonical::{canonical, digest};

/// The largest value that the context shows, in bytes of its canonical JSON.
const SHOWN_MAX_BYTES: usize = 131_072;

/// What a module does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// Length and SHA-256 of `user_message`.
    Provisioner,
    /// The field that its config names, as a string; and if that names a param as well, what it was shown.
    Echo,
    /// What `mode` says, and nothing good.
    Hostile,
    /// Success, failure or a trap: the model does not say which.
    Scripted,
    /// There is no such module.
    Missing,
}

/// A field as a guest reads it.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// There is no such field.
    Missing,
    /// Its reference has expired.
    Expired,
    /// Its value.
    Value(Value),
    /// Neither its row nor the journal can give its value.
    Lost,
}

/// What a guest is shown.
pub struct Seen<'a> {
    /// What it may find in a field: more than one thing near a deadline that is known as a span.
    pub read: &'a dyn Fn(&str) -> Vec<Reading>,
    /// `mode` of the params.
    pub mode: Option<&'a str>,
    /// Status and `sequence_nr` of the state.
    pub state: (&'a str, u64),
    /// What it may find in a param of the trigger; nothing where there is none.
    pub param: &'a dyn Fn(&str) -> Vec<Option<Value>>,
    /// The integration's config.
    pub config: &'a [(&'static str, &'static str)],
}

/// How a run of a guest ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// `success` is true.
    Success {
        /// The result's params.
        params: Map<String, Value>,
        /// The callback that it names.
        action: Option<&'static str>,
    },
    /// Anything else: `error` and `error_message` of the callback.
    Failure {
        /// One of the contract's words.
        error: &'static str,
        /// What goes with it.
        message: String,
    },
}

impl Outcome {
    /// A failure that has but one message (contract, section 9).
    pub fn fault(error: &'static str) -> Self {
        let message = match error {
            "trap" => "the guest trapped",
            "fuel" => "the guest used up its fuel",
            "memory" => "the guest asked for more memory than it may have",
            "timeout" => "the guest took too long",
            "module" => "the module cannot be run",
            _ => "the guest's result is not valid",
        };
        Outcome::Failure { error, message: message.to_owned() }
    }

    fn success(params: Value) -> Self {
        let Value::Object(params) = params else { return Outcome::fault("result") };
        Outcome::Success { params, action: None }
    }

    fn failed(message: impl Into<String>) -> Self {
        Outcome::Failure { error: "failed", message: message.into() }
    }
}

impl Outcome {
    /// The same, with what the guest was shown.
    fn with_shown(self, shown: &str) -> Self {
        match self {
            Outcome::Success { mut params, action } => {
                params.insert("shown".to_owned(), Value::from(shown));
                Outcome::Success { params, action }
            }
            Outcome::Failure { error, message } => {
                Outcome::Failure { error, message: format!("{message}, shown {shown}") }
            }
        }
    }
}

/// Every end that a run may have, its time apart.
pub fn outcomes(guest: Guest, seen: &Seen<'_>) -> Vec<Outcome> {
    match guest {
        Guest::Missing => vec![Outcome::fault("module")],
        Guest::Scripted => {
            vec![Outcome::success(json!({})), Outcome::failed("scripted"), Outcome::fault("trap")]
        }
        Guest::Provisioner => of_field(seen, "user_message", &|text| {
            let bytes = text.as_bytes();
            json!({"message_bytes": bytes.len(), "message_sha256": digest(bytes)})
        }),
        Guest::Echo => echo(seen),
        Guest::Hostile => hostile(seen),
    }
}

fn echo(seen: &Seen<'_>) -> Vec<Outcome> {
    let config = |wanted| seen.config.iter().find(|(name, _)| *name == wanted).map(|one| one.1);
    let Some(field) = config("field") else {
        return vec![Outcome::failed("integration_config.field: no such field")];
    };
    let read = of_field(seen, field, &|text| json!({"echo": text}));
    let Some(param) = config("shown") else { return read };
    let (status, sequence_nr) = seen.state;
    let all = (seen.param)(param).into_iter().map(|param| {
        let shown = format!("{status} {sequence_nr} {}", shown(param.as_ref()));
        read.iter().cloned().map(move |outcome| outcome.with_shown(&shown))
    });
    all.flatten().collect()
}

/// A param as the context shows it: its size decides between its value and a reference (contract, section 9).
fn shown(param: Option<&Value>) -> String {
    match param {
        None => "absent".to_owned(),
        Some(Value::Null) => "null".to_owned(),
        Some(value) => match canonical(value) {
            text if text.len() > SHOWN_MAX_BYTES => "reference".to_owned(),
            text => digest(text.as_bytes()),
        },
    }
}

fn of_field(seen: &Seen<'_>, field: &str, made: &dyn Fn(&str) -> Value) -> Vec<Outcome> {
    let outcome = |reading: &Reading| match reading {
        Reading::Missing => Outcome::failed(format!("{field}: no such field")),
        Reading::Expired => Outcome::failed(format!("{field}: expired")),
        Reading::Value(value) => Outcome::success(made(&text_of(value))),
        Reading::Lost => Outcome::failed(format!("{field}: not resolvable")),
    };
    (seen.read)(field).iter().map(outcome).collect()
}

/// A value as a guest gets it: a string as it is, null as nothing, the rest as canonical JSON.
fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => canonical(other),
    }
}

fn hostile(seen: &Seen<'_>) -> Vec<Outcome> {
    let named = |action| Outcome::Success { params: Map::new(), action: Some(action) };
    let one = match seen.mode.unwrap_or("") {
        "trap" | "recurse" => Outcome::fault("trap"),
        "loop" => Outcome::fault("fuel"),
        "memory" => Outcome::fault("memory"),
        "not_json" | "not_object" | "no_success" | "params_list" | "action_number"
        | "duplicate_keys" | "silent" | "returns_nonzero" => Outcome::fault("result"),
        "short" => return of_field(seen, "user_message", &|text| json!({"needed": text.len()})),
        "exact" => return of_field(seen, "user_message", &|text| json!({"read": text.len()})),
        "large" => Outcome::success(json!({"payload": "x".repeat(300 << 10)})),
        "reserved" => Outcome::success(json!({"__temper_x": 1})),
        "reserved_deep" => Outcome::success(json!({"a": [{"__temper_x": 1}]})),
        "unknown_action" => named("NoSuchAction"),
        "named_action" => named("Ring"),
        "fails" => Outcome::failed("no luck"),
        _ => Outcome::success(json!({})),
    };
    vec![one]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(guest: Guest, value: Value) -> Vec<Outcome> {
        let read = |name: &str| match name {
            "user_message" => vec![Reading::Value(value.clone())],
            "system_prompt" => vec![Reading::Value(value.clone()), Reading::Expired],
            _ => vec![Reading::Missing],
        };
        let config = [("field", "system_prompt")];
        let (mode, state) = (Some("short"), ("Open", 7));
        outcomes(guest, &Seen { read: &read, mode, state, param: &|_| vec![None], config: &config })
    }

    /// Goal: what a guest was shown is told beside what it read, or why it did not. Method: each form of a param, and
    /// one of which it is not known whether it had expired.
    #[test]
    fn an_echo_tells_what_it_was_shown() {
        let value = |text: &str| Some(Value::from(text));
        let told = |params: Vec<Option<Value>>| {
            let read = |_: &str| vec![Reading::Expired];
            let (mode, state, config) = (None, ("Open", 7), [("field", "a"), ("shown", "b")]);
            let param = |name: &str| if name == "b" { params.clone() } else { Vec::new() };
            outcomes(
                Guest::Echo,
                &Seen { read: &read, mode, state, param: &param, config: &config },
            )
        };
        let failed = |shown: &str| Outcome::failed(format!("a: expired, shown Open 7 {shown}"));
        let digest = digest(br#""x""#);
        assert_eq!(told(vec![None]), [failed("absent")]);
        assert_eq!(told(vec![value("x"), Some(Value::Null)]), [failed(&digest), failed("null")]);
        // The quotation marks count.
        let (most, more) = (value(&"x".repeat(131_070)), value(&"x".repeat(131_071)));
        assert_ne!(told(vec![most]), [failed("reference")]);
        assert_eq!(told(vec![more]), [failed("reference")]);
    }

    #[test]
    fn a_guest_reads_text_whatever_the_value_is() {
        let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let made = json!({"message_bytes": 3, "message_sha256": sha});
        assert_eq!(run(Guest::Provisioner, json!("abc")), [Outcome::success(made)]);
        let echoed = run(Guest::Echo, json!(["x", 1.0]));
        let text = Outcome::success(json!({"echo": "[\"x\",1.0]"}));
        assert_eq!(echoed, [text, Outcome::failed("system_prompt: expired")]);
        let needed = Outcome::success(json!({"needed": 0}));
        assert_eq!(run(Guest::Hostile, Value::Null), [needed]);
    }
}
