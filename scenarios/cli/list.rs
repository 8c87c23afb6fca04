//! `list`: everything that has a name.

use super::told::{Done, found};
use super::{Error, defects};
use serde_json::json;
use stormglass_scenarios::probes::Comes;
use stormglass_scenarios::{counts, probes, scenario};

pub fn run() -> Result<Done, Error> {
    found("scenarios");
    for (name, description) in scenario::all() {
        found(format!("  {name:<22} {description}"));
    }
    found("\ninvariants");
    for invariant in stormglass_model::violation::ALL {
        let (id, name, statement) = (invariant.id(), invariant.name(), invariant.statement());
        found(format!("  {id:<4} {name:<22} {statement}"));
    }
    found("\ndefects, for --defect");
    for line in defects::lines() {
        found(format!("  {line}"));
    }
    found("\nkinds of faults");
    for kind in counts::fault_kinds() {
        found(format!("  {kind}"));
    }
    found("\nprobes, which a good campaign reaches: in every scenario but sql, or as it says");
    for (place, of_damage) in probes() {
        let damage = if of_damage { "  (of damaged data only)" } else { "" };
        found(format!("  {place}{damage}{}", reach_in_words(&place)));
    }
    Done::new(0, as_json())
}

/// The places of the platform, and whether only damaged data lead there.
fn probes() -> Vec<(String, bool)> {
    let place = |name: String| {
        let place = probes::told(&name);
        (place.to_string(), probes::OF_DAMAGE.contains(&place))
    };
    probes::all().into_iter().map(place).collect()
}

/// The scenarios of the platform that come to a place surely, rarely and never.
fn reach(place: &str) -> [Vec<&'static str>; 3] {
    let scenarios = || probes::EXCEPTIONS.keys().map(String::as_str);
    [Comes::Surely, Comes::Rarely, Comes::Never]
        .map(|how| scenarios().filter(|scenario| probes::comes(scenario, place) == how).collect())
}

/// Nothing where all come to it.
fn reach_in_words(place: &str) -> String {
    let [surely, rarely, never] = reach(place);
    let words = match (&rarely[..], &never[..]) {
        ([], []) => return String::new(),
        (_, []) => vec![("rarely in", rarely)],
        _ if surely.len() < never.len() => vec![("in", surely), ("rarely in", rarely)],
        _ => vec![("rarely in", rarely), ("never in", never)],
    };
    let words = words.into_iter().filter(|(_, names)| !names.is_empty());
    let words: Vec<String> =
        words.map(|(how, names)| format!("{how} {}", names.join(", "))).collect();
    format!("  ({})", words.join("; "))
}

fn as_json() -> serde_json::Value {
    let scenarios = scenario::all().into_iter();
    let invariants = stormglass_model::violation::ALL.iter().map(|invariant| {
        let (id, name, statement) = (invariant.id(), invariant.name(), invariant.statement());
        json!({ "id": id, "name": name, "statement": statement })
    });
    let probes = probes().into_iter();
    json!({
        "scenarios": scenarios
            .map(|(name, description)| json!({ "name": name, "description": description }))
            .collect::<Vec<_>>(),
        "invariants": invariants.collect::<Vec<_>>(),
        "defects": defects::as_json(),
        "fault_kinds": counts::fault_kinds(),
        "probes": probes
            .map(|(place, of_damage)| {
                let [surely, rarely, _] = reach(&place);
                json!({ "place": place, "of_damage": of_damage, "scenarios": surely, "rarely_in": rarely })
            })
            .collect::<Vec<_>>(),
    })
}
