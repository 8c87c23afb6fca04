//! Requests and answers as the model sees them: what a client asked and what it was told.
//!
//! The runner translates HTTP into these. Answers with a 5xx status and lost connections are no
//! answers here but an outcome of their own: the request stays in doubt.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::automaton::{Automaton, Mode};
use crate::entity::{Params, params_of};

/// What a request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `POST Set`; the id is in the body, or follows from the key, or is generated.
    Create,
    /// `POST Set('id')/Temper.Action`.
    Act {
        /// The entity's id.
        id: String,
        /// The action's name.
        action: String,
    },
    /// `PATCH Set('id')`.
    Patch {
        /// The entity's id.
        id: String,
    },
    /// `DELETE Set('id')`.
    Delete {
        /// The entity's id.
        id: String,
    },
    /// `GET Set('id')`.
    Read {
        /// The entity's id.
        id: String,
    },
    /// `GET Set('id')/Temper.History`.
    History {
        /// The entity's id.
        id: String,
    },
    /// `GET Set`.
    List(Page),
}

/// Which part of a set a list asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// `$top`, 100 if the request has none.
    pub top: usize,
    /// `$skip`, 0 if the request has none.
    pub skip: usize,
    /// `$filter=name eq value`: only entities that have this value. A field that an entity does not
    /// have, or that has expired, is null.
    pub filter: Option<(String, Value)>,
    /// `$select`: the only fields that are shown, beside `Id`.
    pub select: Option<BTreeSet<String>>,
}

impl Page {
    /// The first `top` of all, whole.
    pub fn first(top: usize) -> Self {
        Page { top, skip: 0, filter: None, select: None }
    }
}

/// A request's body.
#[derive(Clone, Debug)]
pub enum Body {
    /// An object; an empty body is an empty object.
    Object(Params),
    /// Anything that section 5 refuses: no JSON, no object, a duplicate key, a number out of range.
    Invalid,
    /// More than 8 MiB.
    TooLarge,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `X-Tenant-Id`.
    pub tenant: String,
    /// The entity set of the path.
    pub set: String,
    /// What it wants.
    pub kind: Kind,
    /// The body of a write.
    pub body: Body,
    /// `Idempotency-Key`.
    pub key: Option<String>,
    /// `If-Match`, the sequence number between its quotes.
    pub if_match: Option<u64>,
}

impl Request {
    /// A request without body, key and `If-Match`.
    pub fn new(tenant: &str, set: &str, kind: Kind) -> Self {
        Request {
            tenant: tenant.to_owned(),
            set: set.to_owned(),
            kind,
            body: Body::Object(Params::new()),
            key: None,
            if_match: None,
        }
    }

    /// The same request with a body.
    pub fn body(mut self, body: &Map<String, Value>) -> Self {
        self.body = Body::Object(params_of(body));
        self
    }

    /// The same request with an idempotency key.
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// Whether it can change anything.
    pub fn is_write(&self) -> bool {
        !matches!(self.kind, Kind::Read { .. } | Kind::History { .. } | Kind::List(_))
    }

    /// The entity it names: for a creation its `Id`, else its key. None for a list, and for a
    /// creation whose id the platform makes up.
    pub fn entity_id(&self) -> Option<&str> {
        match &self.kind {
            Kind::Act { id, .. }
            | Kind::Patch { id }
            | Kind::Delete { id }
            | Kind::Read { id }
            | Kind::History { id } => Some(id),
            Kind::List(_) => None,
            Kind::Create => match &self.body {
                Body::Object(params) => match params.get("Id") {
                    Some(id) => id.value().as_str(),
                    None => self.key.as_deref(),
                },
                _ => None,
            },
        }
    }

    /// The params of the body, without the `Id` of a creation.
    pub fn params(&self) -> Params {
        let Body::Object(params) = &self.body else {
            return Params::new();
        };
        let mut params = params.clone();
        if self.kind == Kind::Create {
            params.remove("Id");
        }
        params
    }

    /// The name under which its event stands in the journal.
    pub fn action(&self) -> &str {
        match &self.kind {
            Kind::Create => "Created",
            Kind::Act { action, .. } => action,
            Kind::Patch { .. } => "Updated",
            Kind::Delete { .. } => "Deleted",
            Kind::Read { .. } => "GET",
            Kind::History { .. } => "GET Temper.History",
            Kind::List(_) => "GET list",
        }
    }
}

/// The spec and the mode in force when a request is sent.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The spec of the entity set.
    pub automaton: Arc<Automaton>,
    /// How the tenant keeps large values.
    pub mode: Mode,
}

/// A rejection that the contract allows. An empty code stands for one that it does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The HTTP status.
    pub status: u16,
    /// The error's code.
    pub code: &'static str,
}

impl Rejection {
    /// Whether an answer with this status and code is this rejection.
    pub fn admits(&self, status: u16, code: &str) -> bool {
        self.status == status && (self.code.is_empty() || self.code == code)
    }
}

/// An entity as an answer shows it.
#[derive(Clone, Debug, Default)]
pub struct EntityView {
    /// `sequence_nr`, which `ETag` repeats.
    pub sequence_nr: u64,
    /// `fields`, hydrated.
    pub fields: Map<String, Value>,
    /// The fields named under `@temper.expired`.
    pub expired: BTreeSet<String>,
    /// The only fields that were asked for, if not all were.
    pub select: Option<BTreeSet<String>>,
}

impl EntityView {
    /// Whether a field is to be shown.
    pub fn shows(&self, name: &str) -> bool {
        name == "Id" || self.select.as_ref().is_none_or(|select| select.contains(name))
    }

    /// Reads the body of an answer. None when it is not an entity's body at all.
    pub fn from_body(body: &Value) -> Option<Self> {
        let expired = match body.get("@temper.expired") {
            None | Some(Value::Null) => BTreeSet::new(),
            Some(names) => names_of(names)?,
        };
        Some(EntityView {
            sequence_nr: body.get("sequence_nr")?.as_u64()?,
            fields: body.get("fields")?.as_object()?.clone(),
            expired,
            select: None,
        })
    }
}

fn names_of(names: &Value) -> Option<BTreeSet<String>> {
    names.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

/// An event as history shows it.
#[derive(Clone, Debug)]
pub struct HistoryEvent {
    /// `sequence_nr`.
    pub sequence_nr: u64,
    /// `action`.
    pub action: String,
    /// `from`.
    pub from: String,
    /// `to`.
    pub to: String,
    /// `timestamp`, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// `params`, hydrated.
    pub params: Map<String, Value>,
    /// The params named under `@temper.expired`.
    pub expired: BTreeSet<String>,
}

/// A page of history.
#[derive(Clone, Debug)]
pub struct HistoryView {
    /// The events of the page, oldest first.
    pub events: Vec<HistoryEvent>,
    /// The sequence number that the page must begin with.
    pub first_nr: u64,
    /// Whether the page says that no event follows it.
    pub is_last: bool,
}

impl HistoryView {
    /// The sequence number of the last event on the page, or of the one before an empty page.
    pub fn last_nr(&self) -> u64 {
        (self.first_nr + self.events.len() as u64).saturating_sub(1)
    }
}

/// One item of a list.
#[derive(Clone, Debug)]
pub enum Listed {
    /// An entity.
    Entity(EntityView),
    /// `@temper.error`: the entity could not be read.
    Failed {
        /// The code of the error.
        code: String,
    },
}

/// What a request was told.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Success with an entity's body.
    Entity {
        /// 200 or 201.
        status: u16,
        /// The body.
        view: EntityView,
    },
    /// Success without a body.
    Empty {
        /// 204, or 200.
        status: u16,
    },
    /// A page of history.
    History(HistoryView),
    /// A list, each item with its id, in the order of the answer.
    List(Vec<(String, Listed)>),
    /// An error.
    Error {
        /// The HTTP status, 4xx or 5xx.
        status: u16,
        /// `error.code`.
        code: String,
    },
}

impl Answer {
    /// The version of the entity that the answer proves.
    pub fn sequence_nr(&self) -> Option<u64> {
        match self {
            Answer::Entity { view, .. } => Some(view.sequence_nr),
            _ => None,
        }
    }

    /// The version that the entity must have reached for this answer.
    pub fn shown_version(&self) -> Option<u64> {
        match self {
            Answer::Entity { view, .. } => Some(view.sequence_nr),
            Answer::History(page) => Some(page.last_nr() + u64::from(!page.is_last)),
            _ => None,
        }
    }

    /// Whether it shows how far the entity has come, so that what an ended boot left undone is
    /// settled.
    pub fn settles(&self) -> bool {
        match self {
            Answer::Entity { .. } => true,
            // A page behind the end is empty, however far before it the journal ends.
            Answer::History(page) => page.is_last && !page.events.is_empty(),
            Answer::Error { status, code } => crate::decide::NOT_FOUND.admits(*status, code),
            Answer::Empty { .. } | Answer::List(_) => false,
        }
    }

    /// Whether it leaves the request in doubt.
    pub fn is_in_doubt(&self) -> bool {
        matches!(self, Answer::Error { status, .. } if *status >= 500)
    }

    /// The answer in a few words.
    pub fn brief(&self) -> String {
        match self {
            Answer::Entity { status, view } => format!("{status} at event {}", view.sequence_nr),
            Answer::Empty { status } => format!("{status} without a body"),
            Answer::History(page) => format!("history of {} events", page.events.len()),
            Answer::List(items) => format!("list of {} items", items.len()),
            Answer::Error { status, code } => format!("{status} {code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answers_body_is_read_or_refused_whole() {
        let body = json!({"sequence_nr": 3, "fields": {"a": null}, "@temper.expired": ["a"]});
        let view = EntityView::from_body(&body).unwrap();
        assert_eq!((view.sequence_nr, view.expired.contains("a")), (3, true));
        assert!(EntityView::from_body(&json!({"fields": {}})).is_none());
        assert!(EntityView::from_body(&json!({"sequence_nr": 1, "fields": []})).is_none());
        let odd = json!({"sequence_nr": 1, "fields": {}, "@temper.expired": [1]});
        assert!(EntityView::from_body(&odd).is_none());
    }

    #[test]
    fn a_creation_is_named_by_its_id_or_else_by_its_key() {
        let create = || Request::new("t", "Sessions", Kind::Create);
        let with_id = create().body(json!({"Id": "a"}).as_object().unwrap()).key("k");
        assert_eq!(with_id.entity_id(), Some("a"));
        assert!(with_id.params().is_empty());
        assert_eq!(create().key("k").entity_id(), Some("k"));
        assert_eq!(create().entity_id(), None);
    }

    #[test]
    fn a_page_behind_the_end_does_not_say_where_the_end_is() {
        let behind = HistoryView { events: Vec::new(), first_nr: 3, is_last: true };
        assert!(!Answer::History(behind).settles());
    }
}
