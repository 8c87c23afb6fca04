//! The places that a good campaign reaches, and what one has left out.
//!
//! **Invariant:** the platform's probes are read from its sources when this crate is built, those of the
//! harness stand where they are counted: no list can lag behind. Which scenario comes to which is a committed table
//! (`probes.toml`), which a test holds against campaigns.

use crate::counts::{self, Phase};
use crate::malformed::Malformed;
use crate::races;
use clap::ValueEnum;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use stormglass_sim::{Ending, Survivors};

include!(concat!(env!("OUT_DIR"), "/probes.rs"));

/// The names of all probes, as runs count them.
pub fn all() -> Vec<String> {
    of_honest_runs().chain(OF_DAMAGE.iter().map(|place| counts::reached(place))).collect()
}

/// Those to which no damage has to lead.
fn of_honest_runs() -> impl Iterator<Item = String> {
    let of_harness = [counts::OVERTAKEN, counts::LOG_BEGAN_ANEW];
    let places = PLATFORM.iter().copied().chain(races::names()).chain(of_harness);
    places.map(counts::reached).chain(crashes()).chain(rejections())
}

/// Crashes of each kind in each phase.
fn crashes() -> impl Iterator<Item = String> {
    let endings = [Ending::ProcessKill, Ending::PowerLoss(Survivors::None)];
    let of_phase = move |phase| endings.clone().map(|ending| counts::crash(&ending, phase));
    Phase::ALL.into_iter().flat_map(of_phase)
}

/// Requests that are none, by what is wrong with them.
fn rejections() -> impl Iterator<Item = String> {
    Malformed::value_variants().iter().map(|what| counts::rejected(&what.name()))
}

/// A probe's name as it is told: a place without the word for its group.
pub fn told(name: &str) -> &str {
    name.strip_prefix(counts::REACHED).unwrap_or(name)
}

/// The probes that a scenario does not come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exceptions {
    /// Never.
    pub never: Vec<String>,
    /// So seldom that a campaign of some thousands of seeds may miss them.
    pub rarely: Vec<String>,
}

/// The exceptions of every scenario of the platform.
pub static EXCEPTIONS: LazyLock<BTreeMap<String, Exceptions>> = LazyLock::new(|| {
    toml::from_str(include_str!("probes.toml")).expect("the committed table is sound")
});

/// How surely a scenario comes to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Comes {
    /// It does not.
    Never,
    /// Seldom.
    Rarely,
    /// A campaign of some thousands of seeds does.
    Surely,
}

/// How surely `scenario` comes to the probe that is told as `name`.
pub fn comes(scenario: &str, name: &str) -> Comes {
    let Some(exceptions) = EXCEPTIONS.get(scenario) else { return Comes::Never };
    let has = |names: &[String]| names.iter().any(|one| one == name);
    match exceptions {
        Exceptions { never, .. } if has(never) => Comes::Never,
        Exceptions { rarely, .. } if has(rarely) => Comes::Rarely,
        _ => Comes::Surely,
    }
}

/// What a campaign has reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// How often each probe was reached.
    pub probes: BTreeMap<String, u64>,
    /// How often each kind of fault struck.
    pub faults: BTreeMap<&'static str, u64>,
}

impl Coverage {
    /// Of runs with these counts. Without any run of the platform there are no probes, and without a fault that
    /// damages data none to which only such faults lead.
    pub fn of(counts: &BTreeMap<String, u64>) -> Coverage {
        let count = |name: &str| counts.get(name).copied().unwrap_or(0);
        let has_platform = counts.keys().any(|name| name.starts_with(counts::PROTOCOL));
        let is_damaged = counts::has_dishonest_fault(counts);
        let probes: Vec<String> = match (has_platform, is_damaged) {
            (false, _) => Vec::new(),
            (true, false) => of_honest_runs().collect(),
            (true, true) => all(),
        };
        let fault = |kind: &'static str| (kind, count(&counts::fault(kind)));
        Coverage {
            probes: probes
                .into_iter()
                .map(|name| (told(&name).to_string(), count(&name)))
                .collect(),
            faults: counts::fault_kinds().into_iter().map(fault).collect(),
        }
    }

    /// The same of a campaign of one scenario: what it was not to reach and did not is no part of it.
    pub fn of_scenario(mut self, scenario: &str) -> Coverage {
        let is_asked = |name: &String| comes(scenario, name) == Comes::Surely;
        // What is no scenario of the platform has no table.
        if EXCEPTIONS.contains_key(scenario) {
            self.probes.retain(|name, count| *count > 0 || is_asked(name));
        }
        self
    }

    /// The probes that no run reached.
    pub fn unreached(&self) -> Vec<&str> {
        self.probes.iter().filter(|(_, count)| **count == 0).map(|(name, _)| &**name).collect()
    }

    /// The kinds of faults that struck in no run.
    pub fn idle(&self) -> Vec<&str> {
        self.faults.iter().filter(|(_, count)| **count == 0).map(|(kind, _)| *kind).collect()
    }

    /// Whether a probe was never reached or a kind of fault never struck.
    pub fn is_lacking(&self) -> bool {
        !self.unreached().is_empty() || !self.idle().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Goal: the list is the platform's, whole. Method: names from both ends of its sources, and none twice.
    #[test]
    fn the_sources_of_the_platform_name_its_probes() {
        for name in ["a guest ran", "replay put back a missing blob", "the sweeper deleted a row"] {
            assert!(PLATFORM.contains(&name), "{PLATFORM:?}");
        }
        assert_eq!(all().iter().collect::<BTreeSet<_>>().len(), all().len());
        assert!(OF_DAMAGE.contains(&"a snapshot was ignored"), "{OF_DAMAGE:?}");
        assert!(PLATFORM.iter().any(|name| counts::reached(name) == counts::PUT_BACK));
    }

    /// Goal: the table speaks of what there is. Method: each of its scenarios and probes has its place in the lists.
    #[test]
    fn the_table_of_exceptions_names_scenarios_and_probes() {
        let known: BTreeSet<String> = all().iter().map(|name| told(name).to_string()).collect();
        let names: Vec<&str> = EXCEPTIONS.keys().map(String::as_str).collect();
        let mut scenarios: Vec<&str> = crate::workload::SCENARIOS.iter().map(|s| s.name).collect();
        scenarios.sort_unstable();
        assert_eq!(names, scenarios);
        for (scenario, Exceptions { never, rarely }) in EXCEPTIONS.iter() {
            for name in never.iter().chain(rarely) {
                assert!(known.contains(name), "{scenario}: no probe `{name}`");
            }
            assert!(never.iter().all(|name| !rarely.contains(name)), "{scenario}");
        }
        assert_eq!(comes("overflow", "a guest ran"), Comes::Surely);
        assert_eq!(comes("sql", "a guest ran"), Comes::Never);
    }

    #[test]
    fn one_scenario_is_asked_for_what_it_comes_to() {
        let counts = BTreeMap::from([(counts::protocol("atomic"), 1)]);
        let spawned = "a spawn found its child";
        let lacks = |scenario: &str| {
            let coverage = Coverage::of(&counts).of_scenario(scenario);
            coverage.unreached().contains(&spawned)
        };
        assert!(lacks("wasm") && !lacks("overflow") && lacks("a spec's"));
        let mut counts = counts.clone();
        counts.insert(counts::reached(spawned), 1);
        let coverage = Coverage::of(&counts).of_scenario("overflow");
        assert_eq!(coverage.probes.get(spawned), Some(&1), "what was reached is told");
    }

    #[test]
    fn what_was_never_counted_is_unreached_or_idle() {
        let mut counts: BTreeMap<String, u64> = all().into_iter().map(|name| (name, 1)).collect();
        counts.extend(counts::fault_kinds().into_iter().map(|kind| (counts::fault(kind), 1)));
        counts.insert(counts::protocol("atomic"), 1);
        assert!(!Coverage::of(&counts).is_lacking());
        counts.remove(&counts::reached("a guest ran"));
        assert_eq!(Coverage::of(&counts).unreached(), ["a guest ran"]);
        counts.insert(counts::fault("slow"), 0);
        assert_eq!(Coverage::of(&counts).idle(), ["slow"]);
        counts.remove(&counts::reached(OF_DAMAGE[0]));
        assert_eq!(Coverage::of(&counts).unreached(), ["a guest ran"], "nothing was damaged");
        counts.insert(counts::fault("some damage"), 1);
        assert_eq!(Coverage::of(&counts).unreached(), [OF_DAMAGE[0], "a guest ran"]);
        counts.remove(&counts::protocol("atomic"));
        assert_eq!(Coverage::of(&counts).unreached(), [""; 0], "the control has no platform");
    }
}
