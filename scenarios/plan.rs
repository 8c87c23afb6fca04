//! What a run does, as data.
//!
//! **Invariant:** a plan replays without its seed. The seed made it; from then on everything that a run
//! does, the crash states and the schedule included, follows from the plan alone. A plan outlives
//! changes of the generator.

use crate::change::Change;
use crate::malformed::Malformed;
use crate::recipe::Recipe;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use stormglass_sim::{DiskOptions, Ending, Fault, Seed};

/// The version of plans that this build reads and writes.
pub const PLAN_VERSION: u32 = 1;

/// The order in which the platform writes an action's event and blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// The event first.
    EventThenBlobs,
    /// The blobs first.
    BlobsThenEvent,
    /// Both in one transaction.
    Atomic,
}

impl Protocol {
    /// As `--protocol` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::EventThenBlobs => "event-then-blobs",
            Protocol::BlobsThenEvent => "blobs-then-event",
            Protocol::Atomic => "atomic",
        }
    }
}

/// How the platform keeps large values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// As blobs.
    BlobRefs,
    /// As placeholders.
    InlineTruncate,
}

impl Mode {
    /// As plans write it.
    pub fn name(self) -> &'static str {
        match self {
            Mode::BlobRefs => "blob-refs",
            Mode::InlineTruncate => "inline-truncate",
        }
    }
}

/// Who is asked: a tenant's entity, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    /// The tenant.
    pub tenant: u32,
    /// The entity.
    pub entity: u32,
    /// The entity set: the place of its spec among the plan's, or the workload's.
    #[serde(default, skip_serializing_if = "is_first")]
    pub set: u32,
}

fn is_first(set: &u32) -> bool {
    *set == 0
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
        #[serde(default, skip_serializing_if = "is_first")]
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

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its number, which stays when other steps are dropped. Faults name it: scope `step N`.
    pub id: u32,
    /// The client who sends it.
    pub client: u32,
    /// Sent together with the step before, not after its answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub together: bool,
    /// The idempotency key's number, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<u32>,
    /// The event that the entity must be at, if it is to be asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_match: Option<u64>,
    /// What it does.
    #[serde(rename = "do")]
    pub action: Action,
}

/// A spec that a plan brings along.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecText {
    /// The name of its file, for messages.
    pub file: String,
    /// IOA, TOML.
    pub text: String,
}

/// A whole run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// The scenario that made it.
    pub scenario: String,
    /// For what is drawn while it runs: identifiers, the schedule, faults by rate.
    pub seed: Seed,
    /// The wall clock at the start, in milliseconds of Unix time.
    pub start_utc_ms: i64,
    /// What the disk promises.
    pub disk: DiskOptions,
    /// Event and blobs.
    pub protocol: Protocol,
    /// Large values.
    pub mode: Mode,
    /// Milliseconds between two sweeps of the background sweeper; none switches it off.
    pub sweep_interval_ms: Option<u64>,
    /// Rows that it deletes in one transaction.
    pub sweep_batch: u64,
    /// Events between two snapshots.
    pub snapshot_every: u64,
    /// Milliseconds after which an idle actor goes.
    pub idle_ms: u64,
    /// The specs that are served, so that the plan replays where their files are not; the workload's own
    /// if absent. A set's number is the place of its spec here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specs: Option<Vec<SpecText>>,
    /// In so many percent of the moments at which a task could go on while requests are out, time passes to
    /// the next timer instead.
    #[serde(default, skip_serializing_if = "is_first")]
    pub overtaking_percent: u32,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The faults.
    pub faults: Vec<Fault>,
}

/// Why a text is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It is no JSON, or not of a plan's shape.
    #[error("not a plan: {0}")]
    Shape(#[from] serde_json::Error),
    /// It is one of another version.
    #[error("plan of version {found}, this build reads version {PLAN_VERSION}")]
    Version {
        /// The version that it says it is.
        found: u64,
    },
    /// It is of a scenario that this build does not know.
    #[error("plan of unknown scenario `{0}`; `stormglass list` names those there are")]
    Scenario(String),
    /// A spec of its own that the platform does not take.
    #[error("plan with an unsound spec: {0}")]
    Spec(String),
    /// A setting that no run can have.
    #[error("plan with a {0} of 0, it must be at least 1")]
    Zero(&'static str),
    /// A change of the specs after which they are none.
    #[error("plan with a change that no platform takes: {0}")]
    Change(#[from] stormglass_platform::SpecsError),
    /// A step's number that is 0 or another step's.
    #[error("plan with step number {0}, which is taken; 0 is the runner's own")]
    StepId(u32),
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// [`PlanError`], with line and column where there is one.
    pub fn from_json(text: &str) -> Result<Plan, PlanError> {
        let value: serde_json::Value = serde_json::from_str(text)?;
        if let Some(found) = value.get("version").and_then(serde_json::Value::as_u64)
            && found != u64::from(PLAN_VERSION)
        {
            return Err(PlanError::Version { found });
        }
        // From the text once more, so that an error has its line and column.
        let plan: Plan = serde_json::from_str(text)?;
        let is_known = match &plan.specs {
            Some(_) => plan.scenario == crate::drive::SCENARIO,
            None => crate::workload::SCENARIOS.iter().any(|known| known.name == plan.scenario),
        };
        if !is_known {
            return Err(PlanError::Scenario(plan.scenario));
        }
        if let Some(specs) = &plan.specs {
            crate::runner::specs_of(specs).map_err(|why| PlanError::Spec(why.to_string()))?;
        }
        plan.check_numbers()?;
        Ok(plan)
    }

    fn check_numbers(&self) -> Result<(), PlanError> {
        let settings = [
            ("sector_size_bytes", u64::from(self.disk.sector_size_bytes)),
            ("sweep_batch", self.sweep_batch),
            ("snapshot_every", self.snapshot_every),
            ("sweep_interval_ms", self.sweep_interval_ms.unwrap_or(1)),
            ("idle_ms", self.idle_ms),
        ];
        if let Some((name, _)) = settings.into_iter().find(|(_, value)| *value == 0) {
            return Err(PlanError::Zero(name));
        }
        let mut changes = Vec::new();
        for step in &self.steps {
            if let Action::Reconfigure { change } = &step.action {
                changes.push(change.clone());
                crate::runner::changed(self, &changes)?;
            }
        }
        let mut taken = BTreeSet::from([0]);
        match self.steps.iter().find(|step| !taken.insert(step.id)) {
            Some(step) => Err(PlanError::StepId(step.id)),
            None => Ok(()),
        }
    }

    /// The plan as JSON, indented.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a plan is plain data")
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
