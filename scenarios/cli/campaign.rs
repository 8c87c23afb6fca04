//! `campaign`: many runs, kept and summed up.

use super::told::{Done, Manner, found, manner, say};
use super::{Error, FINDINGS, some, stopped_by_ctrl_c};
use clap::Args;
use std::num::NonZero;
use std::ops::Range;
use std::path::PathBuf;
use stormglass_scenarios::campaign::{Campaign, Ledger, Progress, Told};
use stormglass_scenarios::failure::Screen;
use stormglass_scenarios::host::{cores, fresh_seed};
use stormglass_scenarios::what::What;
use stormglass_sim::Seed;

/// Runs of a campaign whose seeds are not given.
const RUN_COUNT: u64 = 1_000;

#[derive(Args)]
pub struct Options {
    /// The seeds, as a range without its end: 0..1000. If absent, 1000 that no earlier campaign took.
    #[arg(long, value_parser = seed_range)]
    seeds: Option<Range<u64>>,
    /// Processes that play at once. One a core if absent.
    #[arg(long, value_parser = some::<NonZero<usize>>)]
    jobs: Option<NonZero<usize>>,
    #[command(flatten)]
    what: What,
    /// Fails with exit code 3 when a probe was reached in no run or a kind of fault struck in none: such
    /// a campaign does not look where it should, and its passes say little. For campaigns of some thousands
    /// of seeds; one over a single scenario is asked for the places that `list` says it comes to.
    #[arg(long)]
    require_probes: bool,
    /// The folder for a folder a campaign, in it a line a run and a bundle a failure.
    #[arg(long, default_value = FINDINGS)]
    out: PathBuf,
}

pub fn run(options: &Options) -> Result<Done, Error> {
    let Options { seeds, jobs, what, require_probes, out } = options;
    what.plant()?;
    let stop = stopped_by_ctrl_c()?;
    let ledger = Ledger::open(out)?;
    let fresh = || ledger.fresh(RUN_COUNT, || fresh_seed().0);
    let seeds = seeds.clone().unwrap_or_else(fresh);
    let folder = ledger.take(&seeds, &what.name())?;
    let name = what.scenario.as_deref().unwrap_or("all scenarios");
    let (first, end) = (seeds.start, seeds.end);
    say(format!("{name}  seeds {first:#x}..{end:#x}  in {}", folder.display()));
    let manner = manner();
    let mut progress = Progress::new(end - first, manner == Manner::Quiet, manner != Manner::Json);
    let jobs = jobs.map_or_else(cores, NonZero::get);
    let campaign = Campaign { what: what.clone(), seeds, jobs, folder, stop };
    let mut summary = campaign.play(&mut progress)?;
    summary.requires_probes = *require_probes;
    summary.scenario.clone_from(&what.scenario);
    summary.keep()?;
    let told = summary.told(if manner == Manner::Quiet { Told::Quiet } else { Told::Whole });
    let screen = Screen::of_stdout();
    told.lines().for_each(|line| found(screen.line(line)));
    Done::new(summary.exit_code(), summary.to_json())
}

/// A range of seeds, as `0..1000`.
pub fn seed_range(text: &str) -> Result<Range<u64>, String> {
    let (first, end) = text.split_once("..").ok_or("give a range such as 0..1000")?;
    let seed = |text: &str| text.parse::<Seed>().map(|seed| seed.0).map_err(|e| e.to_string());
    let range = seed(first)?..seed(end)?;
    if range.is_empty() { Err("the range holds no seed".to_string()) } else { Ok(range) }
}
