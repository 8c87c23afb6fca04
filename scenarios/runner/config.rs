//! The platform's configuration for a plan.
//!
//! **Invariant:** it follows from the plan and its specs, or the workload's, alone.

use crate::change::{Change, overflow_mode};
use crate::foreign::{self, NOWHERE};
use crate::plan::{self, Plan, Protocol};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use stormglass_platform::{
    Config, GuestLimits, Modules, SpecText, Specs, SpecsError, SweepSettings, WriteProtocol,
};

/// The workload's specs, by their files.
const TEXTS: [(&str, &str); 2] = [
    ("session.ioa.toml", include_str!("../specs/session.ioa.toml")),
    ("task.ioa.toml", include_str!("../specs/task.ioa.toml")),
];

/// The texts of the plan's specs, or of the workload's.
fn texts(plan: &Plan) -> Vec<SpecText> {
    let built_in = |(file, text): (&str, &str)| SpecText { file: file.into(), text: text.into() };
    match &plan.specs {
        None => TEXTS.map(built_in).to_vec(),
        Some(own) => own.iter().map(spec_text).collect(),
    }
}

fn spec_text(own: &plan::SpecText) -> SpecText {
    SpecText { file: own.file.clone(), text: own.text.clone() }
}

/// What a plan's server is given to serve.
#[derive(Clone)]
struct Served {
    specs: Specs,
    modules: Modules,
}

/// The plan's specs and its guests. Those of the last plan are kept, for every boot needs them, and most plans
/// of a process have the same.
fn served(plan: &Plan) -> Served {
    type Own = Option<Vec<plan::SpecText>>;
    static LAST: Mutex<Option<(Own, Served)>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, served)) = last.as_ref().filter(|(own, _)| *own == plan.specs) {
        return served.clone();
    }
    let specs = Specs::read(&texts(plan), false);
    let specs = specs.expect("a plan is read or made with sound specs only");
    let served = Served { specs, modules: modules(plan) };
    *last = Some((plan.specs.clone(), served.clone()));
    served
}

/// Reads a plan's specs as the platform will.
///
/// # Errors
/// What is wrong with them.
pub fn specs_of(own: &[plan::SpecText]) -> Result<Specs, SpecsError> {
    Specs::read(&own.iter().map(spec_text).collect::<Vec<_>>(), false)
}

/// The guests' modules, by the names that specs call them by. `nowhere` is not among them.
const GUESTS: [(&str, &[u8]); 4] = [
    ("echo", include_bytes!("../../sdk/wasm/echo.wasm")),
    ("hostile", include_bytes!("../../sdk/wasm/hostile.wasm")),
    ("scripted", include_bytes!("../../sdk/wasm/scripted.wasm")),
    ("workspace_provisioner", include_bytes!("../../sdk/wasm/workspace_provisioner.wasm")),
];

/// The guests by every name that the plan's specs call a module by: [`SCRIPTED`] is whoever is nobody else.
fn modules(plan: &Plan) -> Modules {
    let guests = BTreeMap::from(GUESTS);
    let texts = texts(plan);
    let names = foreign::modules(texts.iter().map(|spec| spec.text.as_str()));
    let named = names.into_iter().filter(|name| name != NOWHERE);
    let bytes = |name: &str| guests.get(name).unwrap_or(&guests[SCRIPTED]).to_vec();
    let named: Vec<_> = named.map(|name| (name.clone(), bytes(&name))).collect();
    Modules::read(&named)
}

/// The guest that stands in for modules that are not there.
const SCRIPTED: &str = "scripted";

/// Enough to hash the largest value of the workload, and little enough for a guest that never ends.
const GUEST_LIMITS: GuestLimits =
    GuestLimits { fuel: 60_000_000, slice_fuel: 2_000_000, memory_bytes: 64 << 20 };

/// The platform's configuration for a plan, as it begins.
pub fn config(plan: &Plan) -> Config {
    let Served { specs, modules } = served(plan);
    let platform = Config::default();
    Config {
        specs,
        protocol: match plan.protocol {
            Protocol::EventThenBlobs => WriteProtocol::EventThenBlobs,
            Protocol::BlobsThenEvent => WriteProtocol::BlobsThenEvent,
            Protocol::Atomic => WriteProtocol::Atomic,
        },
        mode: overflow_mode(plan.mode, plan.ceiling_bytes()),
        sweep: SweepSettings {
            interval_ms: plan.sweep_interval_ms.unwrap_or(SweepSettings::default().interval_ms),
            batch: plan.sweep_batch,
            enabled: plan.sweep_interval_ms.is_some(),
        },
        snapshot_every: plan.snapshot_every,
        idle_ms: plan.idle_ms,
        checkpoint_pages: plan.checkpoint_pages.unwrap_or(platform.checkpoint_pages),
        modules,
        guests: if plan.specs.is_some() { GuestLimits::default() } else { GUEST_LIMITS },
        ..platform
    }
}

/// The platform's configuration after these changes.
///
/// # Errors
/// A change that makes a spec one that no platform serves.
pub fn changed(plan: &Plan, changes: &[Change]) -> Result<Config, SpecsError> {
    let mut config = config(plan);
    if changes.is_empty() {
        return Ok(config);
    }
    let mut texts = texts(plan);
    for change in changes {
        change.apply_to_texts(&mut texts);
        change.apply_to_config(plan, &mut config);
    }
    config.specs = Specs::read(&texts, false)?;
    Ok(config)
}
