//! What clients are told: a status, a body, and for a failure its code.
//!
//! **Invariant:** a 4xx was decided before anything was written; whatever may have been written
//! ends in a success or in a 5xx.

use serde_json::{Value, json};

/// The answer to one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// As in HTTP.
    pub status: u16,
    /// The failure's code; nothing for a success.
    pub code: Option<&'static str>,
    /// The entity, page or error; null for 204.
    pub body: Value,
    /// The entity's last event at the answer's moment, where the answer shows an entity.
    pub sequence_nr: Option<u64>,
}

impl Answer {
    pub(crate) fn success(status: u16, body: Value, sequence_nr: Option<u64>) -> Self {
        Self { status, code: None, body, sequence_nr }
    }

    /// Whether the request was answered with a success.
    pub fn is_success(&self) -> bool {
        self.status < 300
    }
}

/// Why a request has no success. 4xx variants reject it; the others leave a write in doubt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// 400.
    #[error("invalid body: {0}")]
    InvalidBody(String),
    /// 400.
    #[error("`{0}` is reserved")]
    ReservedName(String),
    /// 400.
    #[error("invalid {what} `{name}`")]
    InvalidName {
        /// What is so named.
        what: &'static str,
        /// As sent.
        name: String,
    },
    /// 400.
    #[error("{0} is not supported")]
    NotSupported(String),
    /// 400.
    #[error("header `X-Tenant-Id` is missing")]
    MissingTenant,
    /// 404; only the router's.
    #[error("nothing is at `{0}`")]
    UnknownPath(String),
    /// 405; only the router's.
    #[error("method {method} is not one of {allowed}")]
    MethodNotAllowed {
        /// As sent.
        method: String,
        /// As in `Allow`.
        allowed: &'static str,
    },
    /// 404.
    #[error("no entity set `{0}`")]
    UnknownSet(String),
    /// 404.
    #[error("`{entity_type}` has no action `{action}`")]
    UnknownAction {
        /// The type asked.
        entity_type: String,
        /// The action asked for.
        action: String,
    },
    /// 404.
    #[error("no entity `{0}`")]
    EntityNotFound(String),
    /// 409.
    #[error("action `{action}` is not legal in state `{status}`")]
    WrongState {
        /// The action.
        action: String,
        /// The state the entity is in.
        status: String,
    },
    /// 409.
    #[error("guard of action `{action}` does not hold")]
    GuardFalse {
        /// The action.
        action: String,
    },
    /// 409.
    #[error("entity `{0}` exists or existed")]
    EntityExists(String),
    /// 409.
    #[error("idempotency key `{0}` was used for something else")]
    KeyReused(String),
    /// 409, to the platform's own callers only: what is owed has been settled meanwhile.
    #[error("the outbox row is settled already")]
    RowSettled,
    /// 412.
    #[error("entity is at sequence number {actual}, not {expected}")]
    PreconditionFailed {
        /// As sent.
        expected: String,
        /// The entity's.
        actual: u64,
    },
    /// 413.
    #[error("body of {0} bytes is too large")]
    BodyTooLarge(usize),
    /// 500.
    #[error("blob of field `{field}` of entity `{entity}` is lost")]
    BlobLost {
        /// The entity.
        entity: String,
        /// The field whose value cannot be had.
        field: String,
    },
    /// 500.
    #[error("event {sequence_nr} of entity `{entity}` cannot be decoded: {reason}")]
    EventUndecodable {
        /// The entity.
        entity: String,
        /// The event.
        sequence_nr: u64,
        /// Why.
        reason: String,
    },
    /// 503.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

impl RequestError {
    /// As in `error.code`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidBody(_) => "InvalidBody",
            Self::ReservedName(_) => "ReservedName",
            Self::InvalidName { .. } | Self::MissingTenant => "InvalidName",
            Self::UnknownPath(_) => "UnknownPath",
            Self::MethodNotAllowed { .. } => "MethodNotAllowed",
            Self::NotSupported(_) => "NotSupported",
            Self::UnknownSet(_) => "UnknownSet",
            Self::UnknownAction { .. } => "UnknownAction",
            Self::EntityNotFound(_) => "EntityNotFound",
            Self::WrongState { .. } => "WrongState",
            Self::GuardFalse { .. } => "GuardFalse",
            Self::EntityExists(_) => "EntityExists",
            Self::KeyReused(_) => "KeyReused",
            Self::RowSettled => "RowSettled",
            Self::PreconditionFailed { .. } => "PreconditionFailed",
            Self::BodyTooLarge(_) => "BodyTooLarge",
            Self::BlobLost { .. } => "BlobLost",
            Self::EventUndecodable { .. } => "EventUndecodable",
            Self::Unavailable(_) => "Unavailable",
        }
    }

    /// As in HTTP.
    pub fn status(&self) -> u16 {
        match self {
            Self::InvalidBody(_)
            | Self::ReservedName(_)
            | Self::InvalidName { .. }
            | Self::MissingTenant
            | Self::NotSupported(_) => 400,
            Self::UnknownPath(_)
            | Self::UnknownSet(_)
            | Self::UnknownAction { .. }
            | Self::EntityNotFound(_) => 404,
            Self::MethodNotAllowed { .. } => 405,
            Self::WrongState { .. }
            | Self::GuardFalse { .. }
            | Self::EntityExists(_)
            | Self::KeyReused(_)
            | Self::RowSettled => 409,
            Self::PreconditionFailed { .. } => 412,
            Self::BodyTooLarge(_) => 413,
            Self::BlobLost { .. } | Self::EventUndecodable { .. } => 500,
            Self::Unavailable(_) => 503,
        }
    }
}

impl From<RequestError> for Answer {
    fn from(error: RequestError) -> Self {
        let (status, code) = (error.status(), error.code());
        let body = json!({"error": {"code": code, "message": error.to_string()}});
        Self { status, code: Some(code), body, sequence_nr: None }
    }
}
