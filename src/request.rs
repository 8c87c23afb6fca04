//! What clients ask: one value per request, its body as the bytes that were sent.
//!
//! **Invariant:** a request is complete. Nothing about it is found out from anywhere else.

use serde_json::Value;

use crate::canonical;

/// The largest body in bytes.
pub const BODY_MAX: usize = 8 * 1024 * 1024;

/// A body as sent. It is parsed, and refused, by the platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body(pub Vec<u8>);

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self(canonical::to_text(&value).into_bytes())
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// `$filter`: the entities whose field has this value, compared in canonical form (`1` is not
/// `1.0`). A field that an entity has not, or whose reference is expired, is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// A name among `fields`.
    pub field: String,
    /// What it must be.
    pub value: Value,
}

/// One request of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `[a-z0-9][a-z0-9_-]{0,62}`.
    pub tenant: String,
    /// 1 to 255 printable ASCII characters, not beginning with `temper:`.
    pub idempotency_key: Option<String>,
    /// The `sequence_nr` that the entity must have, as its `ETag` says it: `"7"`, or `*`.
    pub if_match: Option<String>,
    /// Who sends it, for [`crate::seams::Point::origin`] only.
    pub origin: String,
    /// What is asked.
    pub op: Op,
}

/// What is asked. `set` is an entity set: the type's name plus `s`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Create an entity; `Id` in the body names it.
    Create {
        /// The entity set.
        set: String,
        /// Fields.
        body: Body,
    },
    /// Call an action.
    Act {
        /// The entity set.
        set: String,
        /// The entity.
        id: String,
        /// The action's name.
        action: String,
        /// Params.
        params: Body,
    },
    /// Set fields.
    Patch {
        /// The entity set.
        set: String,
        /// The entity.
        id: String,
        /// Fields.
        body: Body,
    },
    /// End an entity.
    Delete {
        /// The entity set.
        set: String,
        /// The entity.
        id: String,
    },
    /// Read an entity.
    Get {
        /// The entity set.
        set: String,
        /// The entity.
        id: String,
    },
    /// Read the entities of a set in order of id.
    List {
        /// The entity set.
        set: String,
        /// At most so many, up to 1000; 100 by default.
        top: Option<u64>,
        /// Leave out so many first, of those that pass the filter.
        skip: u64,
        /// Show these fields and `Id` only; all by default.
        select: Option<Vec<String>>,
        /// Show these entities only.
        filter: Option<Filter>,
    },
    /// Read an entity's events, also after its deletion.
    History {
        /// The entity set.
        set: String,
        /// The entity.
        id: String,
        /// At most so many, up to 1000; 100 by default.
        top: Option<u64>,
        /// Leave out so many first.
        skip: u64,
    },
}

impl Request {
    /// A request without key, `If-Match` and origin.
    pub fn new(tenant: impl Into<String>, op: Op) -> Self {
        Self {
            tenant: tenant.into(),
            idempotency_key: None,
            if_match: None,
            origin: String::new(),
            op,
        }
    }

    /// The same with an idempotency key.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// The same with an `If-Match`.
    #[must_use]
    pub fn with_if_match(mut self, etag: impl Into<String>) -> Self {
        self.if_match = Some(etag.into());
        self
    }

    /// The same with the name of who sends it.
    #[must_use]
    pub fn with_origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = origin.into();
        self
    }
}

impl Op {
    /// The entity set asked for.
    pub fn set(&self) -> &str {
        match self {
            Self::Create { set, .. }
            | Self::Act { set, .. }
            | Self::Patch { set, .. }
            | Self::Delete { set, .. }
            | Self::Get { set, .. }
            | Self::List { set, .. }
            | Self::History { set, .. } => set,
        }
    }

    /// The entity asked for, where the request names one outside its body.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Create { .. } | Self::List { .. } => None,
            Self::Act { id, .. }
            | Self::Patch { id, .. }
            | Self::Delete { id, .. }
            | Self::Get { id, .. }
            | Self::History { id, .. } => Some(id),
        }
    }
}
