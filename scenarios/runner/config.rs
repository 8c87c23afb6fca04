//! The platform's configuration for a plan.
//!
//! **Invariant:** it follows from the plan and the workload's spec alone.

use crate::check::DEFAULT_CEILING_BYTES;
use crate::plan::{Mode, Plan, Protocol};
use std::sync::LazyLock;
use stormglass_platform::{Config, OverflowMode, SpecText, Specs, SweepSettings, WriteProtocol};

/// The workload's spec.
const SPEC: &str = include_str!("../specs/session.ioa.toml");

/// The workload's specs: read once in a process, for every boot needs them.
fn specs() -> Specs {
    static SPECS: LazyLock<Specs> = LazyLock::new(|| {
        let (file, text) = ("session.ioa.toml".to_string(), SPEC.to_string());
        Specs::read(&[SpecText { file, text }], false).expect("a test reads the workload's spec")
    });
    SPECS.clone()
}

/// The platform's configuration for a plan.
pub fn config(plan: &Plan) -> Config {
    let default_inline_max = DEFAULT_CEILING_BYTES;
    Config {
        specs: specs(),
        protocol: match plan.protocol {
            Protocol::EventThenBlobs => WriteProtocol::EventThenBlobs,
            Protocol::BlobsThenEvent => WriteProtocol::BlobsThenEvent,
            Protocol::Atomic => WriteProtocol::Atomic,
        },
        mode: match plan.mode {
            Mode::BlobRefs => OverflowMode::BlobRefs { default_inline_max },
            Mode::InlineTruncate => OverflowMode::InlineTruncate { default_inline_max },
        },
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
