//! `check-determinism`: one seed in two processes.

use super::run::{SeedOptions, reproduce};
use super::told::{Done, found, say};
use super::{EXIT_BROKEN, Error, FINDINGS};
use serde_json::json;
use std::path::Path;
use stormglass_scenarios::bundle;
use stormglass_scenarios::campaign::findings::broken_name;
use stormglass_scenarios::determinism::{self, Comparison};
use stormglass_scenarios::host::fresh_seed;
use stormglass_scenarios::lines::counted;

pub fn run(options: &SeedOptions) -> Result<Done, Error> {
    let SeedOptions { seed, what } = options;
    what.plant()?;
    let seed = seed.unwrap_or_else(fresh_seed);
    let compared = determinism::compare_seed(what, seed)?;
    let scenario = what.scenario(seed);
    let told = |bundle: Option<&Path>| {
        json!({
            "seed": seed.to_string(),
            "scenario": scenario,
            "comparison": compared.comparison,
            "bundle": bundle,
        })
    };
    let Some(why) = compared.why_broken() else {
        if let Comparison::Equal { record_count } = compared.comparison {
            found(format!(
                "seed {seed}: two processes, {} each, all equal",
                counted(record_count, "record")
            ));
        }
        return Done::new(0, told(None));
    };
    let folder = Path::new(FINDINGS).join(broken_name(seed));
    bundle::keep_apart(&folder, (what, seed), &why, &compared.traces)?;
    found(format!("{scenario}  seed {seed}  HARNESS BROKEN {why}"));
    say(format!("bundle       {}", folder.display()));
    let words = what.arguments("check-determinism").join(" ");
    say(reproduce(&format!("cargo stormglass {words} --seed {seed}")));
    Done::new(EXIT_BROKEN, told(Some(&folder)))
}
