//! What a run does, as data.
//!
//! **Invariant:** a plan replays without its seed. The seed made it; from then on everything that a run
//! does, the crash states and the schedule included, follows from the plan alone. A plan outlives
//! changes of the generator.

mod action;
mod swarm;

pub use action::{
    Action, Page, Part, Values, Who, entity_id, entity_number, generated_entity, tenant_name,
    tenant_number,
};

pub use swarm::Swarm;

use crate::check::DEFAULT_CEILING_BYTES;
use crate::lines::counted;
use action::is_zero;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use stormglass_sim::{DiskOptions, Effect, Ending, Fault, Policy, Seed};

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

    /// With the ceiling of fields without one of their own, in words; nothing is said of one that is not given.
    pub fn over(self, inline_max_bytes: Option<u64>) -> String {
        match inline_max_bytes {
            None => self.name().to_string(),
            Some(bytes) => format!("{} over {}", self.name(), counted(bytes, "byte")),
        }
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

impl Step {
    /// A step that is sent after the answers of the one before, without key and version.
    pub fn alone(id: u32, client: u32, action: Action) -> Step {
        Step { id, client, together: false, key: None, if_match: None, action }
    }
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
    /// The ceiling of fields without one of their own, in bytes; the platform's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline_max_bytes: Option<u64>,
    /// Milliseconds between two sweeps of the background sweeper; none switches it off.
    pub sweep_interval_ms: Option<u64>,
    /// Rows that it deletes in one transaction.
    pub sweep_batch: u64,
    /// Events between two snapshots.
    pub snapshot_every: u64,
    /// Milliseconds after which an idle actor goes.
    pub idle_ms: u64,
    /// Pages of a log from which on a commit brings them to the file; the platform's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_pages: Option<u32>,
    /// The specs that are served, so that the plan replays where their files are not; the workload's own
    /// if absent. A set's number is the place of its spec here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specs: Option<Vec<SpecText>>,
    /// In so many percent of the moments at which a task could go on while requests are out, time passes to
    /// the next timer instead.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub overtaking_percent: u32,
    /// Who goes on of those that could.
    #[serde(default, skip_serializing_if = "Policy::is_random")]
    pub policy: Policy,
    /// What the seed drew, for whoever reads the plan; a pruned plan, or one written by hand, has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<Swarm>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The faults.
    pub faults: Vec<Fault>,
    /// Runs of guests that are given little fuel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fuel: Vec<FuelLimit>,
}

/// A run of a guest that is given less fuel than it needs, or just so much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FuelLimit {
    /// What it runs for, as faults name it: `step 3/outbox/guest`.
    pub scope: String,
    /// The how manieth run there it is, counted from 1.
    pub nth: u64,
    /// What it is given.
    pub fuel: u64,
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
        plan.check()?;
        Ok(plan)
    }

    /// Whether a run can have these settings, changes and step numbers.
    ///
    /// # Errors
    /// [`PlanError`], with what no run can have.
    pub fn check(&self) -> Result<(), PlanError> {
        let settings = [
            ("sector_size_bytes", u64::from(self.disk.sector_size_bytes)),
            ("sweep_batch", self.sweep_batch),
            ("snapshot_every", self.snapshot_every),
            ("sweep_interval_ms", self.sweep_interval_ms.unwrap_or(1)),
            ("idle_ms", self.idle_ms),
            ("checkpoint_pages", u64::from(self.checkpoint_pages.unwrap_or(1))),
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

    /// The settings of the run: heads, each with its words.
    pub fn settings(&self) -> Vec<(&'static str, Vec<String>)> {
        let mode = self.mode.over(self.inline_max_bytes);
        let mut words = vec![self.protocol.name().to_string(), mode];
        words.push(self.sweep_interval_ms.map_or("not swept".to_string(), |ms| {
            format!("swept every {} s in batches of {}", ms / 1_000, self.sweep_batch)
        }));
        words.extend([
            match self.snapshot_every {
                1 => "snapshots every event".to_string(),
                count => format!("snapshots every {count} events"),
            },
            format!("idle after {} s", self.idle_ms / 1_000),
            format!("sectors of {}", counted(self.disk.sector_size_bytes, "byte")),
            format!("time overtakes in {} %", self.overtaking_percent),
            format!("order {}", self.policy),
        ]);
        let checkpoints = |pages| format!("checkpoints from {} on", counted(pages, "page"));
        words.extend(self.checkpoint_pages.map(checkpoints));
        let mut settings = vec![("settings", words)];
        settings.extend(self.swarm.iter().flat_map(Swarm::settings));
        settings
    }

    /// The ceiling of fields without one of their own, in bytes.
    pub fn ceiling_bytes(&self) -> u64 {
        self.inline_max_bytes.unwrap_or(DEFAULT_CEILING_BYTES)
    }

    /// Whether something in it breaks what the platform rests on: its run is counted apart.
    pub fn is_dishonest(&self) -> bool {
        let rots = |step: &Step| match &step.action {
            Action::Rot { .. } => true,
            Action::Crash { ending } => Effect::Crash(ending.clone()).is_dishonest(),
            _ => false,
        };
        self.goes_back()
            || self.steps.iter().any(rots)
            || self.faults.iter().any(|fault| fault.effect.is_dishonest())
    }

    /// Whether an older image of the disk may be put back.
    pub fn goes_back(&self) -> bool {
        let is_swap = |ending: &Ending| matches!(ending, Ending::DiskSwap { .. });
        let swaps =
            |step: &Step| matches!(&step.action, Action::Crash { ending } if is_swap(ending));
        let strikes =
            |fault: &Fault| matches!(&fault.effect, Effect::Crash(ending) if is_swap(ending));
        self.steps.iter().any(swaps) || self.faults.iter().any(strikes)
    }

    /// The plan as JSON, indented.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a plan is plain data")
    }
}
