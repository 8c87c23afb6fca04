//! `list`: everything that has a name.

use super::{Error, defects};
use std::io::{self, Write};
use stormglass_scenarios::{counts, probes, scenario};

pub fn run() -> Result<u8, Error> {
    let mut out = io::stdout().lock();
    writeln!(out, "scenarios")?;
    for (name, description) in scenario::all() {
        writeln!(out, "  {name:<22} {description}")?;
    }
    writeln!(out, "\ninvariants")?;
    for invariant in stormglass_model::violation::ALL {
        let (id, name, statement) = (invariant.id(), invariant.name(), invariant.statement());
        writeln!(out, "  {id:<4} {name:<22} {statement}")?;
    }
    writeln!(out, "\ndefects, for --defect")?;
    for line in defects::lines() {
        writeln!(out, "  {line}")?;
    }
    writeln!(out, "\nkinds of faults")?;
    for kind in counts::fault_kinds() {
        writeln!(out, "  {kind}")?;
    }
    writeln!(out, "\nprobes, which a good campaign reaches")?;
    for name in probes::all() {
        let place = probes::told(&name);
        let of_damage = probes::OF_DAMAGE.contains(&place);
        writeln!(out, "  {place}{}", if of_damage { "  (of damaged data only)" } else { "" })?;
    }
    Ok(0)
}
