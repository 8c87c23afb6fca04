//! `list`: everything that has a name.

use super::told::{Done, found};
use super::{Error, defects};
use serde_json::json;
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
    found("\nprobes, which a good campaign reaches");
    for (place, of_damage) in probes() {
        found(format!("  {place}{}", if of_damage { "  (of damaged data only)" } else { "" }));
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
            .map(|(place, of_damage)| json!({ "place": place, "of_damage": of_damage }))
            .collect::<Vec<_>>(),
    })
}
