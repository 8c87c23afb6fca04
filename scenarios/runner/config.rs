//! The platform's configuration for a plan.
//!
//! **Invariant:** it follows from the plan and its specs, or the workload's, alone.

use crate::change::{Change, overflow_mode};
use crate::foreign::{self, NOWHERE};
use crate::plan::{self, Plan, Protocol};
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};
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

/// The plan's specs. Those of the last plan are kept, for every boot needs them.
fn specs(plan: &Plan) -> Specs {
    static LAST: Mutex<Option<(Vec<SpecText>, Specs)>> = Mutex::new(None);
    let texts = texts(plan);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, specs)) = last.as_ref().filter(|(known, _)| *known == texts) {
        return specs.clone();
    }
    let specs = Specs::read(&texts, false);
    let specs = specs.expect("a plan is read or made with sound specs only");
    *last = Some((texts, specs.clone()));
    specs
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

/// The guests, each compiled at most once in a process.
fn modules() -> Modules {
    static MODULES: LazyLock<Modules> = LazyLock::new(|| {
        Modules::read(&GUESTS.map(|(name, bytes)| (name.to_string(), bytes.to_vec())))
    });
    MODULES.clone()
}

/// The guests by every name that the plan's specs call a module by: [`SCRIPTED`] is whoever is nobody else.
fn modules_of(plan: &Plan) -> Modules {
    let Some(texts) = &plan.specs else { return modules() };
    static LAST: Mutex<Option<(Vec<String>, Modules)>> = Mutex::new(None);
    let names: Vec<String> = foreign::modules(texts);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, modules)) = last.as_ref().filter(|(known, _)| *known == names) {
        return modules.clone();
    }
    let guests = BTreeMap::from(GUESTS);
    let bytes = |name: &str| guests.get(name).unwrap_or(&guests[SCRIPTED]).to_vec();
    let named = names.iter().filter(|name| *name != NOWHERE);
    let named: Vec<_> = named.map(|name| (name.clone(), bytes(name))).collect();
    let modules = Modules::read(&named);
    *last = Some((names, modules.clone()));
    modules
}

/// The guest that stands in for modules that are not there.
const SCRIPTED: &str = "scripted";

/// Enough to hash the largest value of the workload, and little enough for a guest that never ends.
const GUEST_LIMITS: GuestLimits =
    GuestLimits { fuel: 60_000_000, slice_fuel: 2_000_000, memory_bytes: 64 << 20 };

/// The platform's configuration for a plan, as it begins.
pub fn config(plan: &Plan) -> Config {
    Config {
        specs: specs(plan),
        protocol: match plan.protocol {
            Protocol::EventThenBlobs => WriteProtocol::EventThenBlobs,
            Protocol::BlobsThenEvent => WriteProtocol::BlobsThenEvent,
            Protocol::Atomic => WriteProtocol::Atomic,
        },
        mode: overflow_mode(plan.mode),
        sweep: SweepSettings {
            interval_ms: plan.sweep_interval_ms.unwrap_or(SweepSettings::default().interval_ms),
            batch: plan.sweep_batch,
            enabled: plan.sweep_interval_ms.is_some(),
        },
        snapshot_every: plan.snapshot_every,
        idle_ms: plan.idle_ms,
        modules: modules_of(plan),
        guests: if plan.specs.is_some() { GuestLimits::default() } else { GUEST_LIMITS },
        ..Config::default()
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
        change.apply_to_config(&mut config);
    }
    config.specs = Specs::read(&texts, false)?;
    Ok(config)
}
