//! What a step does, and to whom.
//!
//! **Invariant:** tenants, entities and sets are numbers here; what they are called on the wire follows from
//! the number alone.

use crate::change::Change;
use crate::damage::Rot;
use crate::malformed::Malformed;
use crate::recipe::Recipe;
use serde::{Deserialize, Serialize};
use stormglass_sim::Ending;

/// Who is asked: a tenant's entity, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    /// The tenant.
    pub tenant: u32,
    /// The entity.
    pub entity: u32,
    /// The entity set: the place of its spec among the plan's, or the workload's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub set: u32,
}

pub(super) fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A part of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Events left out at the beginning.
    pub skip: u32,
    /// Events shown at most.
    pub top: u32,
}

/// What a list leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// So many of the first.
    #[serde(default)]
    pub skip: u32,
    /// Those whose field is not this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<(String, Recipe)>,
    /// Fields that are not among these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Vec<String>>,
}

impl Part {
    /// Whether nothing is left out.
    pub fn is_all(&self) -> bool {
        *self == Part::default()
    }

    /// What is left out, in a few words.
    pub fn brief(&self) -> String {
        let skip = (self.skip > 0).then(|| format!(" after {}", self.skip));
        let filter = self.filter.as_ref();
        let filter = filter.map(|(name, value)| format!(" where {name} is {}", value.brief()));
        let select = self.select.as_ref().map(|names| format!(", only {}", names.join(" and ")));
        [skip, filter, select].into_iter().flatten().collect()
    }
}

/// Fields or params, by name.
pub type Values = Vec<(String, Recipe)>;

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Creates an entity.
    Create {
        /// Which.
        who: Who,
        /// With these fields.
        values: Values,
    },
    /// Calls an action.
    Act {
        /// Of which entity.
        who: Who,
        /// Which action.
        action: String,
        /// With these params.
        values: Values,
    },
    /// Sets fields.
    Patch {
        /// Of which entity.
        who: Who,
        /// To these values.
        values: Values,
    },
    /// Deletes an entity.
    Delete {
        /// Which.
        who: Who,
    },
    /// Reads an entity.
    Get {
        /// Which.
        who: Who,
    },
    /// Reads an entity's history.
    History {
        /// Which.
        who: Who,
        /// A page of it; as much as a page holds if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        page: Option<Page>,
    },
    /// Reads all entities of a tenant.
    List {
        /// Which tenant.
        tenant: u32,
        /// Of which entity set, as in [`Who`].
        #[serde(default, skip_serializing_if = "is_zero")]
        set: u32,
        /// At most so many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        top: Option<u32>,
        /// Which of them, and what of each.
        #[serde(default, skip_serializing_if = "Part::is_all")]
        part: Part,
    },
    /// Sends a request that is none, and must be refused.
    Malformed {
        /// Of which entity it would be.
        who: Who,
        /// What is wrong with it.
        what: Malformed,
    },
    /// Deletes expired blobs.
    Sweep {
        /// Of which tenant.
        tenant: u32,
        /// At most so many.
        max_rows: u64,
    },
    /// Lets time pass.
    Wait {
        /// How much.
        ms: i64,
    },
    /// Sets the wall clock.
    StepClock {
        /// By how much; negative is backwards.
        by_ms: i64,
    },
    /// Brings a tenant's write-ahead log to its file, as an administrator's own tool does.
    Checkpoint {
        /// Whose.
        tenant: u32,
    },
    /// Flips bits in a tenant's files, at rest.
    Rot {
        /// Whose.
        tenant: u32,
        /// Where, and which.
        rot: Rot,
    },
    /// Ends the boot between two steps.
    Crash {
        /// How.
        ending: Ending,
    },
    /// Stops the server as an administrator does, and starts it again.
    Restart,
    /// Changes what the next boot reads of its specs and settings.
    Reconfigure {
        /// What changes.
        change: Change,
    },
}

impl Action {
    /// The entity that is asked, if it is one.
    pub fn who(&self) -> Option<Who> {
        match self {
            Action::Create { who, .. }
            | Action::Act { who, .. }
            | Action::Patch { who, .. }
            | Action::Delete { who }
            | Action::Get { who }
            | Action::History { who, .. } => Some(*who),
            _ => None,
        }
    }

    /// The tenant that is asked as a whole, if one is.
    pub fn tenant(&self) -> Option<u32> {
        match self {
            Action::List { tenant, .. } | Action::Sweep { tenant, .. } => Some(*tenant),
            _ => None,
        }
    }

    /// The entity set that is asked; the first for a step that asks none.
    pub fn set(&self) -> u32 {
        match self {
            Action::List { set, .. } => *set,
            Action::Malformed { who, .. } => who.set,
            other => other.who().map_or(0, |who| who.set),
        }
    }

    /// The values that it brings.
    pub fn values(&self) -> &[(String, Recipe)] {
        match self {
            Action::Create { values, .. }
            | Action::Act { values, .. }
            | Action::Patch { values, .. } => values,
            _ => &[],
        }
    }

    /// Whether it is a request that can change an entity.
    pub fn is_write(&self) -> bool {
        matches!(
            self,
            Action::Create { .. }
                | Action::Act { .. }
                | Action::Patch { .. }
                | Action::Delete { .. }
        )
    }

    /// Whether it reads the journal and not the entity.
    pub fn is_history(&self) -> bool {
        matches!(self, Action::History { .. })
    }

    /// Whether it is sent to the server as a request.
    pub fn is_request(&self) -> bool {
        self.who().is_some() || matches!(self, Action::List { .. } | Action::Malformed { .. })
    }
}

/// A tenant's name.
pub fn tenant_name(tenant: u32) -> String {
    format!("tenant-{tenant}")
}

/// The tenant that a name names.
pub fn tenant_number(name: &str) -> Option<u32> {
    name.strip_prefix("tenant-")?.parse().ok()
}

/// Entities from this number on have ids that the platform made up.
const FIRST_GENERATED: u32 = 1 << 31;

/// The number of the entity whose id is the `number`-th that the simulated platform makes up.
pub fn generated_entity(number: u32) -> u32 {
    number | FIRST_GENERATED
}

/// The entity that an id names; none if no plan can name it.
pub fn entity_number(id: &str) -> Option<u32> {
    let numbered = id.strip_prefix('s').and_then(|id| id.split(' ').next()?.parse().ok());
    let entity = numbered.or_else(|| u32::from_str_radix(id, 16).ok())?;
    Some(entity).filter(|entity| entity_id(Who { tenant: 0, entity: *entity, set: 0 }) == id)
}

/// An entity's id.
pub fn entity_id(who: Who) -> String {
    if who.entity >= FIRST_GENERATED {
        return format!("{:08x}", who.entity);
    }
    // A quote, a space and a letter of two bytes: every id is one that must be encoded.
    format!("s{} o'\u{e9}", who.entity)
}
