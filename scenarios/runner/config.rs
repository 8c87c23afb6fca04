//! The platform's configuration for a plan.
//!
//! **Invariant:** it follows from the plan and the workload's specs alone.

use crate::change::{Change, overflow_mode};
use crate::plan::{Plan, Protocol};
use std::sync::LazyLock;
use stormglass_platform::{Config, SpecText, Specs, SpecsError, SweepSettings, WriteProtocol};

/// The workload's spec.
const SPEC: &str = include_str!("../specs/session.ioa.toml");

/// The texts of the workload's specs.
fn texts() -> Vec<SpecText> {
    let (file, text) = ("session.ioa.toml".to_string(), SPEC.to_string());
    vec![SpecText { file, text }]
}

/// The workload's specs: read once in a process, for every boot needs them.
fn specs() -> Specs {
    static SPECS: LazyLock<Specs> =
        LazyLock::new(|| Specs::read(&texts(), false).expect("a test reads the workload's spec"));
    SPECS.clone()
}

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
