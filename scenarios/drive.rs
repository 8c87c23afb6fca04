//! Runs of any spec: what is legal and what is not follows from its automaton, sizes from its ceilings, waits
//! from its deadlines and delays.
//!
//! **Invariant:** a plan brings its specs along, so that it replays where their files are not.

mod report;
mod requests;
mod sketch;
mod values;
mod walk;

pub use report::Report;

use crate::foreign;
use crate::plan::{Mode, PLAN_VERSION, Plan, Protocol, SpecText};
use crate::profile::Bounds;
use crate::runner::specs_of;
use crate::scenario::Settings;
use crate::workload::author::Cast;
use crate::workload::draw::Draw;
use crate::workload::swarm;
use crate::workload::values::Taste;
use std::path::{Path, PathBuf};
use stormglass_model::automaton::{Automaton, Effect, VarKind, Variable};
use stormglass_sim::clock::DEFAULT_START_UTC_MS;
use stormglass_sim::{DiskOptions, Seed};
use walk::{Kind, Walk};

/// The scenario of plans that bring their specs along.
pub const SCENARIO: &str = "drive";

/// The kinds of steps, each with its weight before the seed's swarm.
const KINDS: [(Kind, u32); 18] = [
    (Kind::Legal, 14),
    (Kind::Toward, 8),
    (Kind::Illegal, 3),
    (Kind::AnyAct, 3),
    (Kind::Refused, 1),
    (Kind::Patch, 5),
    (Kind::Create, 3),
    (Kind::Delete, 1),
    (Kind::Get, 3),
    (Kind::History, 2),
    (Kind::List, 2),
    (Kind::Sweep, 2),
    (Kind::Wait, 2),
    (Kind::ToDeadline, 3),
    (Kind::StepClock, 1),
    (Kind::EndBoot, 2),
    (Kind::Repeat, 2),
    (Kind::Crash, 2),
];

/// The plan by which `seed` drives the first of these specs; the others are served with it.
pub fn plan(specs: &[SpecText], seed: Seed, settings: &Settings) -> Plan {
    let profile = &settings.profile;
    let inline_max_bytes = swarm::ceiling(seed);
    let mut automata: Vec<Automaton> =
        foreign::read_all(specs).into_iter().map(|one| one.automaton).collect();
    for variable in automata.iter_mut().flat_map(|one| &mut one.variables) {
        variable.ceiling_bytes = variable.ceiling_bytes.or(inline_max_bytes);
    }
    // Nothing overflows but large values, so that some runs must have them.
    let is_coarse = automata.iter().take(1).flat_map(|one| &one.variables).all(is_of_large_ceiling);
    let mut swarm = Draw::new(seed, "swarm");
    let entities = swarm.within(profile.entities);
    let cast = Cast {
        clients: swarm.within(profile.clients),
        tenants: swarm.within(profile.tenants).min(entities),
        entities,
        taste: Taste {
            contents: swarm.within(Bounds { min: 1, max: 6 }),
            has_large: swarm.share(profile.large_runs) || (is_coarse && swarm.percent(30)),
        },
        idle_ms: swarm.pick(&[1_000, 300_000]),
        has_namesakes: swarm.percent(20),
    };
    let weigh = |(kind, weight): (Kind, u32), swarm: &mut Draw| {
        let is_taken = matches!(kind, Kind::Legal) || swarm.percent(65);
        (kind, if is_taken { weight * (1 + swarm.below(4)) } else { 0 })
    };
    let kinds: Vec<(Kind, u32)> = KINDS.map(|kind| weigh(kind, &mut swarm)).to_vec();
    let step_count = swarm.within(profile.steps) as usize;
    let start_utc_ms = DEFAULT_START_UTC_MS + i64::from(swarm.below(1_000));
    let mut walk = Walk::new(Draw::new(seed, "workload"), cast, &automata, start_utc_ms);
    walk.write(&kinds, step_count);
    let Walk { steps, mut faults, .. } = walk;
    let (more, kinds_of_faults) = swarm::faults(seed, &steps, profile);
    faults.extend(more);
    let taken = kinds.iter().map(|(kind, weight)| (swarm::kebab(&format!("{kind:?}")), *weight));
    let drawn = swarm::record(&cast, taken, kinds_of_faults);
    let interval_ms = swarm.pick(&[0, 600_000, 21_600_000]);
    let protocol = swarm.pick(&[
        Protocol::EventThenBlobs,
        Protocol::EventThenBlobs,
        Protocol::BlobsThenEvent,
        Protocol::Atomic,
    ]);
    Plan {
        version: PLAN_VERSION,
        scenario: SCENARIO.to_string(),
        seed,
        start_utc_ms,
        disk: DiskOptions {
            sector_size_bytes: swarm.pick(&[512, 4_096]),
            ..DiskOptions::default()
        },
        protocol: settings.protocol.unwrap_or(protocol),
        mode: if swarm.percent(6) { Mode::InlineTruncate } else { Mode::BlobRefs },
        inline_max_bytes,
        sweep_interval_ms: (interval_ms > 0).then_some(interval_ms),
        sweep_batch: swarm.pick(&[1, 3, 10_000]),
        snapshot_every: swarm.pick(&[1, 2, 5, 100]),
        idle_ms: cast.idle_ms,
        checkpoint_pages: swarm::checkpoint_pages(seed),
        overtaking_percent: swarm.pick(&[0, 0, 0, 5, 30]),
        policy: swarm::policy(seed),
        swarm: Some(drawn),
        specs: Some(specs.to_vec()),
        steps,
        faults,
        fuel: Vec::new(),
    }
}

fn is_of_large_ceiling(variable: &Variable) -> bool {
    variable.kind != VarKind::Text
        || variable.ceiling_bytes.is_none_or(|bytes| bytes > values::SMALL_BYTES)
}

/// Reads specs from their files, and refuses what the platform would refuse.
///
/// # Errors
/// Which file, and what is wrong with it.
pub fn read_files(paths: &[PathBuf]) -> Result<Vec<SpecText>, String> {
    let read_one = |path: &PathBuf| {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|why| format!("{}: {why}", path.display()))?;
        Ok(SpecText { file: file_name(path), text })
    };
    let texts = paths.iter().map(read_one).collect::<Result<Vec<_>, String>>()?;
    specs_of(&texts).map_err(|why| why.to_string())?;
    Ok(texts)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The places, among these specs, of those that are served when the spec at `first` is driven: itself, and
/// whatever it spawns, directly or not.
pub fn served(specs: &[SpecText], first: usize) -> Vec<usize> {
    let read = foreign::read_all(specs);
    let mut served = vec![first];
    let mut at = 0;
    while let Some(place) = served.get(at).copied() {
        at += 1;
        let effects = read[place].automaton.actions.iter().flat_map(|action| &action.effects);
        for effect in effects {
            let Effect::Spawn(spawn) = effect else { continue };
            let child = read.iter().position(|one| one.automaton.name == spawn.entity_type);
            served.extend(child.filter(|child| !served.contains(child)));
        }
    }
    served
}
