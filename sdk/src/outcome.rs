//! The result of a guest.
//!
//! **Invariant:** an outcome is always a valid result: an object with `success`, and the other members of their types.

use crate::{set_result, Error, Object};
use std::fmt;

/// What a guest answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    error: Option<String>,
    action: Option<String>,
    params: Option<Object>,
}

impl Outcome {
    /// The guest did what it is for: `on_success` is called, or the action of [`Outcome::action`] if the spec has none.
    pub fn success() -> Outcome {
        Outcome { error: None, action: None, params: None }
    }

    /// The guest failed: `on_failure` is called and gets these words.
    pub fn failure(error: impl fmt::Display) -> Outcome {
        Outcome { error: Some(error.to_string()), action: None, params: None }
    }

    /// With the action that is called back when the spec names none.
    pub fn action(mut self, name: &str) -> Outcome {
        self.action = Some(name.to_owned());
        self
    }

    /// With the params of the action that is called back.
    pub fn params(mut self, params: Object) -> Outcome {
        self.params = Some(params);
        self
    }

    /// The result's JSON.
    pub fn to_json(&self) -> String {
        let mut result = Object::new().boolean("success", self.error.is_none());
        if let Some(action) = &self.action {
            result = result.text("action", action);
        }
        if let Some(params) = &self.params {
            result = result.object("params", params);
        }
        if let Some(error) = &self.error {
            result = result.text("error", error);
        }
        result.to_json()
    }
}

/// What the function of a guest may return.
pub trait Answer {
    /// Sends the result, if that is not done; what `run` returns. Anything but 0 says that there is no valid result.
    fn finish(self) -> i32;
}

impl Answer for Outcome {
    fn finish(self) -> i32 {
        match set_result(&self.to_json()) {
            Ok(()) => 0,
            Err(_) => 1,
        }
    }
}

impl Answer for Result<Outcome, Error> {
    fn finish(self) -> i32 {
        self.unwrap_or_else(Outcome::failure).finish()
    }
}

impl Answer for i32 {
    fn finish(self) -> i32 {
        self
    }
}
