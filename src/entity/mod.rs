//! Entities: one actor each, its state folded from its journal.
//!
//! **Invariant:** an actor's state is the fold of durable events, or the actor answers nothing.

mod actor;
mod event;
mod legacy;
mod passivation;
mod plan;
mod recall;
mod replay;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use actor::{Asked, Message, Terms, start};
pub use event::{CREATED, DELETED, Event, Intent, UPDATED};
pub(crate) use recall::Recalled;
pub(crate) use replay::decode_event;
pub use state::{EntityState, Field};

/// A request as an entity's actor takes it: parsed, addressed, its body checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum EntityOp {
    /// Fields of the body, `Id` among them if it was sent.
    Create(serde_json::Map<String, serde_json::Value>),
    /// An action's name and params.
    Act(String, serde_json::Map<String, serde_json::Value>),
    /// Fields to set.
    Patch(serde_json::Map<String, serde_json::Value>),
    /// The end.
    Delete,
    /// The state.
    Get,
    /// Events: (leave out, at most).
    History(u64, u64),
}

impl EntityOp {
    /// What its event will have as params.
    fn params_mut(&mut self) -> Option<&mut serde_json::Map<String, serde_json::Value>> {
        match self {
            Self::Create(params) | Self::Act(_, params) | Self::Patch(params) => Some(params),
            Self::Delete | Self::Get | Self::History(..) => None,
        }
    }
}
