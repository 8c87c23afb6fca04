//! The platform's configuration for a plan.
//!
//! **Invariant:** it follows from the plan and the workload's specs alone.

use crate::change::{Change, overflow_mode};
use crate::plan::{Plan, Protocol};
use std::sync::LazyLock;
use stormglass_platform::{
    Config, GuestLimits, Modules, SpecText, Specs, SpecsError, SweepSettings, WriteProtocol,
};

/// The workload's specs, by their files.
const TEXTS: [(&str, &str); 2] = [
    ("session.ioa.toml", include_str!("../specs/session.ioa.toml")),
    ("task.ioa.toml", include_str!("../specs/task.ioa.toml")),
];

/// The texts of the workload's specs.
fn texts() -> Vec<SpecText> {
    let text = |(file, text): (&str, &str)| SpecText { file: file.into(), text: text.into() };
    TEXTS.map(text).to_vec()
}

/// The workload's specs: read once in a process, for every boot needs them.
fn specs() -> Specs {
    static SPECS: LazyLock<Specs> =
        LazyLock::new(|| Specs::read(&texts(), false).expect("a test reads the workload's specs"));
    SPECS.clone()
}

/// The guests' modules, by the names that specs call them by. `nowhere` is not among them.
const GUESTS: [(&str, &[u8]); 4] = [
    ("echo", include_bytes!("../../sdk/wasm/echo.wasm")),
    ("hostile", include_bytes!("../../sdk/wasm/hostile.wasm")),
    ("scripted", include_bytes!("../../sdk/wasm/scripted.wasm")),
    ("workspace_provisioner", include_bytes!("../../sdk/wasm/workspace_provisioner.wasm")),
];

/// The guests, compiled once in a process.
fn modules() -> Modules {
    static MODULES: LazyLock<Modules> = LazyLock::new(|| {
        Modules::read(&GUESTS.map(|(name, bytes)| (name.to_string(), bytes.to_vec())))
    });
    MODULES.clone()
}

/// Enough to hash the largest value of the workload, and little enough for a guest that never ends.
const GUEST_LIMITS: GuestLimits =
    GuestLimits { fuel: 60_000_000, slice_fuel: 2_000_000, memory_bytes: 64 << 20 };

/// The platform's configuration for a plan, as it begins.
pub fn config(plan: &Plan) -> Config {
    Config {
        specs: specs(),
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
        modules: modules(),
        guests: GUEST_LIMITS,
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
    let mut texts = texts();
    for change in changes {
        change.apply_to_texts(&mut texts);
        change.apply_to_config(&mut config);
    }
    config.specs = Specs::read(&texts, false)?;
    Ok(config)
}
