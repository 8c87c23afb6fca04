//! What a run comes to: a result that is valid, or one of the ways to fail. Pure.
//!
//! **Invariant:** whatever a guest leaves behind is one of these; none of it is trusted further.

use serde_json::{Map, Value};

use crate::canonical;

/// The end of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// The guest's result says so.
    Success {
        /// The action that the result names.
        action: Option<String>,
        /// Its params.
        params: Map<String, Value>,
    },
    /// Anything else.
    Failure(Failure),
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The guest's result says so, in these words.
    Failed(String),
    Trap,
    Fuel,
    Memory,
    Timeout,
    Result,
    Module,
}

impl Failure {
    /// `error` and `error_message` of the callback.
    pub fn words(self) -> (&'static str, String) {
        let (error, message) = match self {
            Self::Failed(message) => return ("failed", message),
            Self::Trap => ("trap", "the guest trapped"),
            Self::Fuel => ("fuel", "the guest used up its fuel"),
            Self::Memory => ("memory", "the guest asked for more memory than it may have"),
            Self::Timeout => ("timeout", "the guest took too long"),
            Self::Result => ("result", "the guest's result is not valid"),
            Self::Module => ("module", "the module cannot be run"),
        };
        (error, message.to_owned())
    }
}

impl Outcome {
    /// Reads a result, of which unknown keys are ignored.
    pub(super) fn of_result(result: Option<&[u8]>) -> Self {
        let read = result.and_then(|result| canonical::parse(result).ok());
        let outcome = match read {
            Some(Value::Object(result)) => read_members(result),
            _ => None,
        };
        outcome.unwrap_or(Self::Failure(Failure::Result))
    }
}

fn read_members(mut result: Map<String, Value>) -> Option<Outcome> {
    let success = result.get("success")?.as_bool()?;
    let mut text = |name: &str| match result.remove(name) {
        None => Some(None),
        Some(Value::String(text)) => Some(Some(text)),
        Some(_) => None,
    };
    let (action, error) = (text("action")?, text("error")?);
    let params = match result.remove("params") {
        None => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return None,
    };
    if success {
        Some(Outcome::Success { action, params })
    } else {
        Some(Outcome::Failure(Failure::Failed(error.unwrap_or_default())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(result: &str) -> Outcome {
        Outcome::of_result(Some(result.as_bytes()))
    }

    #[test]
    fn a_valid_result_is_taken_at_its_word() {
        let params: Map<String, Value> = [("n".to_owned(), Value::from(1))].into_iter().collect();
        let success = Outcome::Success { action: Some("Ring".to_owned()), params };
        let text = r#"{"success":true,"action":"Ring","params":{"n":1},"more":[]}"#;
        assert_eq!(of(text), success);
        let failed = |message: &str| Outcome::Failure(Failure::Failed(message.to_owned()));
        assert_eq!(of(r#"{"success": false, "error": "no luck"}"#), failed("no luck"));
        assert_eq!(of(r#"{"success":false}"#), failed(""));
    }

    #[test]
    fn anything_else_is_invalid() {
        for text in [
            "",
            "no json",
            "[]",
            "{}",
            r#"{"success":1}"#,
            r#"{"success":true,"success":true}"#,
            r#"{"success":true,"params":[]}"#,
            r#"{"success":true,"params":null}"#,
            r#"{"success":true,"action":7}"#,
            r#"{"success":false,"error":{}}"#,
            r#"{"success":true,"params":{"n":1e999}}"#,
        ] {
            assert_eq!(of(text), Outcome::Failure(Failure::Result), "{text}");
        }
        assert_eq!(Outcome::of_result(None), Outcome::Failure(Failure::Result));
        let bytes = b"{\"success\":true,\"params\":{\"a\":\"\xff\"}}";
        assert_eq!(Outcome::of_result(Some(bytes)), Outcome::Failure(Failure::Result));
    }
}
