//! `shrink`: the plan of a failure with nothing in it that it does not need.

use super::run::{SeedOptions, reproduce, tell};
use super::{EXIT_BROKEN, Error, FINDINGS};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use stormglass_scenarios::build_info::Build;
use stormglass_scenarios::bundle::{self, Recorded, Source};
use stormglass_scenarios::campaign::findings::{in_words, prune_in};
use stormglass_scenarios::host::fresh_seed;
use stormglass_scenarios::verdict::{Signature, Verdict};
use stormglass_scenarios::what::What;
use stormglass_scenarios::workers::Order;

/// Where `--save` puts plans that are played for ever.
const REGRESSIONS: &str = "tests/regressions";

#[derive(Args)]
pub struct Options {
    /// The folder of a bundle, or a plan's file.
    #[arg(value_name = "BUNDLE|PLAN", required_unless_present = "seed", conflicts_with = "seed")]
    path: Option<PathBuf>,
    #[command(flatten)]
    seed: SeedOptions,
    /// Writes the plan to tests/regressions, where `cargo test` plays it for ever.
    #[arg(long)]
    save: bool,
}

pub fn run(options: &Options) -> Result<u8, Error> {
    let Options { seed: SeedOptions { seed, what }, save, .. } = options;
    let mut what = what.clone();
    let (source, name) = named(options, &mut what)?;
    what.plant()?;
    let Some(plan) = source.plan() else {
        return Err(format!("{name}: a script of scenario `sql` has no plan to shrink").into());
    };
    let crew = what.crew()?;
    let mut solo = crew.solo();
    let outcome = solo.play(&Order::plan(plan))?.ok_or("interrupted")?;
    let signature = match (&outcome.verdict, Signature::of(&outcome.verdict)) {
        (Verdict::Violated(_), Some(signature)) => signature,
        (verdict, _) => {
            println!("{name}: nothing to shrink: {}", verdict.in_words());
            return Ok(verdict.exit_code());
        }
    };
    let pruned = prune_in(&mut solo, plan, &signature)?;
    let words = in_words(plan, &pruned);
    let order = Order::plan(&pruned.plan);
    let shrunk = Source::Plan(Box::new(pruned.plan));
    let folder = Path::new(FINDINGS).join(format!("shrunk-{}", signature.short()));
    let outcome = solo.play(&order)?.ok_or("interrupted")?;
    let recorded = Recorded {
        scenario: shrunk.scenario().to_string(),
        seed: seed.map(|seed| seed.to_string()),
        defect: what.defect.clone(),
        signature: None,
        reproduce: format!("cargo stormglass replay {}", folder.display()),
        pruned: Some(words.clone()),
        build: Build::this(),
        outcome: outcome.clone(),
    };
    let recorded = recorded.with_outcome(outcome);
    if recorded.signature.as_ref() != Some(&signature) {
        let found = recorded.outcome.verdict.in_words();
        println!("HARNESS BROKEN what is left does not fail so again; it ends with: {found}");
        return Ok(EXIT_BROKEN);
    }
    let mut last = vec![format!("shrunk       {words}")];
    if *save {
        last.push(format!("kept         {}", saved(&shrunk, &what, &signature)?));
    }
    let Some(played) = bundle::write_played(&folder, &shrunk, &recorded)? else {
        println!("{}\n{}", recorded.outcome.verdict.in_words(), last.join("\n"));
        return Ok(recorded.outcome.verdict.exit_code());
    };
    last.push(reproduce(&recorded.reproduce));
    tell(shrunk.scenario(), &name, &played, false, &last)
}

/// What is to be shrunk, and what a person calls it. A bundle brings its defect along.
fn named(options: &Options, what: &mut What) -> Result<(Source, String), Error> {
    if let Some(path) = &options.path {
        let (source, recorded) = bundle::read(path)?;
        what.defect = what.defect.take().or(recorded.and_then(|recorded| recorded.defect));
        return Ok((source, path.display().to_string()));
    }
    what.plant()?;
    let seed = options.seed.seed.unwrap_or_else(fresh_seed);
    Ok((what.source(seed)?, format!("seed {seed}")))
}

/// Writes the plan to where every test run plays it.
fn saved(source: &Source, what: &What, signature: &Signature) -> Result<String, Error> {
    let Some(plan) = source.plan() else { return Err("no plan to save".into()) };
    if what.defect.is_some() {
        let why = "a regression must pass once the platform is mended: --save keeps no plan of a \
                   planted defect; `defects --find --save` does";
        return Err(why.into());
    }
    let Signature { invariant, step_kind, .. } = signature;
    let name = format!("{}-{step_kind}-{}.json", invariant.to_lowercase(), signature.short());
    let path = in_checkout(REGRESSIONS)?.join(name);
    fs::write(&path, plan.to_json() + "\n")
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path.display().to_string())
}

/// A folder of the checkout, which is there already.
pub fn in_checkout(folder: &str) -> Result<PathBuf, Error> {
    if Path::new(folder).is_dir() {
        return Ok(PathBuf::from(folder));
    }
    Err(format!("no folder {folder} here: call it from the root of the checkout").into())
}
