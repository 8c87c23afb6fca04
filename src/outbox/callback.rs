//! What a run of a module has the platform call. Pure.
//!
//! **Invariant:** one run leads to one callback or to none, and a failure's words are the contract's.

use serde_json::{Map, Value};

use crate::spec::Integration;
use crate::wasm::Outcome;

/// An action with its params.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Callback {
    pub action: String,
    pub params: Map<String, Value>,
}

/// What a run has come to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ran {
    /// Nothing is called back without one.
    pub callback: Option<Callback>,
    /// What is called should the callback be refused for what it is.
    pub on_failure: Option<OnFailure>,
}

/// The integration's `on_failure`, where the callback is another one.
#[derive(Debug, PartialEq)]
pub(super) struct OnFailure {
    action: String,
    integration: String,
}

impl OnFailure {
    fn of(integration: &Integration) -> Option<Self> {
        let action = integration.on_failure.clone()?;
        Some(Self { action, integration: integration.name.clone() })
    }

    fn callback(self, error: &str, message: String) -> Callback {
        let mut params = Map::new();
        params.insert("error".to_owned(), Value::from(error));
        params.insert("error_message".to_owned(), Value::from(message));
        params.insert("integration".to_owned(), Value::from(self.integration));
        Callback { action: self.action, params }
    }

    /// For a callback that was refused for what it is.
    pub fn rejected(self, status: u16, code: &str) -> Callback {
        self.callback("rejected", format!("{status} {code}"))
    }
}

/// The callback of a run: `on_success`, else the action that the result names; or `on_failure`.
pub(super) fn decide(integration: &Integration, outcome: Outcome) -> Ran {
    let on_failure = OnFailure::of(integration);
    match outcome {
        Outcome::Success { action, params } => {
            let action = integration.on_success.clone().or(action);
            let callback = action.map(|action| Callback { action, params });
            Ran { callback, on_failure }
        }
        Outcome::Failure(failure) => {
            let (error, message) = failure.words();
            let callback = on_failure.map(|one| one.callback(error, message));
            Ran { callback, on_failure: None }
        }
    }
}

/// Whether a callback was refused for what it is, rather than for the entity's state.
pub(super) fn is_rejected_for_what_it_is(status: u16, code: &str) -> bool {
    matches!(status, 400 | 413) || code == "UnknownAction"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::wasm::Failure;

    fn integration(on_success: Option<&str>, on_failure: Option<&str>) -> Integration {
        Integration {
            name: "work".to_owned(),
            trigger: "work".to_owned(),
            module: "worker".to_owned(),
            on_success: on_success.map(str::to_owned),
            on_failure: on_failure.map(str::to_owned),
            timeout_secs: 30,
            config: BTreeMap::new(),
        }
    }

    fn success(action: Option<&str>) -> Outcome {
        Outcome::Success { action: action.map(str::to_owned), params: Map::new() }
    }

    fn called(ran: &Ran) -> Option<&str> {
        ran.callback.as_ref().map(|callback| callback.action.as_str())
    }

    #[test]
    fn on_success_goes_before_the_action_that_the_result_names() {
        let both = decide(&integration(Some("Succeed"), None), success(Some("Ring")));
        assert_eq!(called(&both), Some("Succeed"));
        assert_eq!(called(&decide(&integration(None, None), success(Some("Ring")))), Some("Ring"));
        assert_eq!(called(&decide(&integration(None, Some("Fail")), success(None))), None);
    }

    #[test]
    fn a_failure_is_told_to_on_failure_in_the_words_of_the_contract() {
        let failed = Outcome::Failure(Failure::Failed("no luck".to_owned()));
        let ran = decide(&integration(Some("Succeed"), Some("Fail")), failed);
        let expected =
            json!({"error": "failed", "error_message": "no luck", "integration": "work"});
        assert_eq!(ran.callback.map(|one| Value::Object(one.params)), Some(expected));
        assert_eq!(ran.on_failure, None);
        let nobody = decide(&integration(Some("Succeed"), None), Outcome::Failure(Failure::Fuel));
        assert_eq!(nobody, Ran::default());
    }
}
