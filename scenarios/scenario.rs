//! The scenarios, by name, and how one seed of each is played.

use crate::plan::{Plan, Protocol};
use crate::profile::Profile;
use crate::runner::{self, PlayOptions};
use crate::sql::{self, Script};
use crate::verdict::Played;
use crate::workload::SCENARIOS;
use crate::workload::draw::at_weight;
use stormglass_sim::{Seed, WorldError};

/// The control: SQL scripts without a platform.
pub const SQL: &str = "sql";

/// Name and description of every scenario.
pub fn all() -> Vec<(&'static str, &'static str)> {
    let control = (SQL, "the control: SQL scripts on libsql alone, without the platform");
    SCENARIOS.iter().map(|known| (known.name, known.description)).chain([control]).collect()
}

/// The scenario that a seed plays when none is named: one of the platform's.
pub fn of_seed(seed: Seed) -> &'static str {
    let total: u64 = SCENARIOS.iter().map(|known| known.weight).sum();
    let at = seed.stream("scenario").below(total);
    let drawn = at_weight(SCENARIOS.iter().map(|known| (known.name, known.weight)), at);
    drawn.expect("the draw is below the sum of the weights")
}

/// What a person chose for all runs, in place of what each seed draws.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The write protocol.
    pub protocol: Option<Protocol>,
    /// The bounds of the runs.
    pub profile: Profile,
}

/// Plays the run of `seed`; nothing if there is no such scenario.
///
/// # Errors
/// [`WorldError`] when there can be no world.
pub fn play(
    scenario: &str,
    seed: Seed,
    settings: &Settings,
    options: PlayOptions,
) -> Option<Result<Played, WorldError>> {
    if scenario == SQL {
        return Some(sql::play(&Script::from_seed(seed), options.keep_trace));
    }
    let plan = plan(scenario, seed, settings)?;
    Some(play_plan(&plan, options))
}

/// Plays a plan and counts the places of the platform that it reached.
///
/// # Errors
/// [`WorldError`] when there can be no world.
pub fn play_plan(plan: &Plan, options: PlayOptions) -> Result<Played, WorldError> {
    take_reached();
    runner::play(plan, options).map(|mut played| {
        played.outcome.counts.extend(take_reached());
        played
    })
}

/// The places of the platform that were reached since the last call, and how often.
fn take_reached() -> Vec<(String, u64)> {
    #[cfg(feature = "defects")]
    let counts = stormglass_platform::defects::take_counts();
    #[cfg(not(feature = "defects"))]
    let counts = std::collections::BTreeMap::<&str, u64>::new();
    counts.into_iter().map(|(place, count)| (crate::counts::reached(place), count)).collect()
}

/// The plan of a seed; nothing if there is no such scenario or it has none.
pub fn plan(scenario: &str, seed: Seed, settings: &Settings) -> Option<Plan> {
    let known = SCENARIOS.iter().find(|known| known.name == scenario)?;
    let mut plan = known.plan(seed, &settings.profile);
    plan.protocol = settings.protocol.unwrap_or(plan.protocol);
    Some(plan)
}
