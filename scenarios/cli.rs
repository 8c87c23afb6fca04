//! The command line: what was typed, and what is done about it.

use clap::{Args, Parser, Subcommand};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, IsTerminal, Write};
use std::num::NonZero;
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;
use std::time::Duration;
use stormglass_scenarios::campaign::Summary;
use stormglass_scenarios::determinism::{self, Comparison};
use stormglass_scenarios::plan::{Plan, Protocol};
use stormglass_scenarios::profile::{self, Profile};
use stormglass_scenarios::runner::{self, PlayOptions};
use stormglass_scenarios::scenario::Settings;
use stormglass_scenarios::verdict::{Outcome, Played, Verdict};
use stormglass_scenarios::workers::{self, Crew};
use stormglass_scenarios::{defects, scenario};
use stormglass_sim::Seed;

/// The harness itself failed.
const EXIT_BROKEN: u8 = 3;
/// Runs of a campaign whose seeds are not given.
const CAMPAIGN_RUN_COUNT: u64 = 1_000;

type Error = Box<dyn std::error::Error>;

/// Deterministic simulation testing of an event-sourced platform on libsql.
#[derive(Parser)]
#[command(name = "stormglass", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Plays one run and tells it as it happened; with --count, many fresh ones until one fails.
    Run(RunOptions),
    /// Plays many runs and sums them up.
    Campaign(CampaignOptions),
    /// Plays a plan again.
    Replay(ReplayOptions),
    /// Plays one seed in two processes and compares the traces record by record.
    CheckDeterminism(SeedOptions),
    /// Names the scenarios, the invariants and the known defects.
    List,
    /// Plays the seeds that come in on standard input.
    #[command(hide = true)]
    Worker(What),
}

/// What is played.
#[derive(Args, Clone)]
struct What {
    /// The scenario; `stormglass list` names them. Each seed draws its own if absent.
    #[arg(long)]
    scenario: Option<String>,
    /// How long and how hostile the runs are: quick, nightly, hostile, or the path of a TOML file.
    #[arg(long, default_value = profile::DEFAULT)]
    profile: String,
    /// The write protocol, in place of the one that the seed draws.
    #[arg(long)]
    protocol: Option<Protocol>,
    /// A known defect to plant in the platform.
    #[arg(long)]
    defect: Option<String>,
}

#[derive(Args)]
struct SeedOptions {
    /// The seed: decimal, 0x..., or a commit hash of 40 digits. A fresh one if absent.
    #[arg(long)]
    seed: Option<Seed>,
    #[command(flatten)]
    what: What,
}

#[derive(Args)]
struct RunOptions {
    #[command(flatten)]
    seed: SeedOptions,
    /// Prints every record of the trace, a JSON object a line, instead of the story.
    #[arg(long)]
    trace: bool,
    /// Prints the plan instead of playing it.
    #[arg(long, conflicts_with_all = ["trace", "count"])]
    plan: bool,
    /// Plays so many runs of fresh seeds (or from --seed on) in processes of their own, a line each,
    /// and stops at the first that is not passed.
    #[arg(long, conflicts_with = "trace")]
    count: Option<NonZero<u64>>,
}

#[derive(Args)]
struct CampaignOptions {
    /// The seeds, as a range without its end: 0..1000. Fresh ones if absent.
    #[arg(long, value_parser = seed_range)]
    seeds: Option<Range<u64>>,
    /// Processes that play at once. One a core if absent.
    #[arg(long)]
    jobs: Option<NonZero<usize>>,
    #[command(flatten)]
    what: What,
}

#[derive(Args)]
struct ReplayOptions {
    /// The plan's file, as `run --plan` printed it.
    plan: PathBuf,
    /// Prints every record of the trace, a JSON object a line, instead of the story.
    #[arg(long)]
    trace: bool,
    /// A known defect to plant in the platform.
    #[arg(long)]
    defect: Option<String>,
}

/// Does what was asked; returns the exit code.
pub fn run(cli: Cli) -> Result<u8, Error> {
    match cli.command {
        Command::Run(options) => run_one_or_many(&options),
        Command::Campaign(options) => campaign(&options),
        Command::Replay(options) => replay(&options),
        Command::CheckDeterminism(options) => check_determinism(&options),
        Command::List => list(),
        Command::Worker(what) => {
            what.plant()?;
            workers::serve(|seed| Ok(what.play(seed, false).map_err(|e| e.to_string())?.outcome))?;
            Ok(0)
        }
    }
}

impl What {
    /// Checks the names and plants the defect.
    fn plant(&self) -> Result<(), Error> {
        if let Some(asked) = &self.scenario
            && !scenario::all().iter().any(|(name, _)| name == asked)
        {
            let known: Vec<&str> = scenario::all().iter().map(|(name, _)| *name).collect();
            let known = known.join(", ");
            return Err(format!("no scenario `{asked}`; there are {known}").into());
        }
        Ok(defects::plant(self.defect.as_deref())?)
    }

    /// The scenario that `seed` plays.
    fn scenario(&self, seed: Seed) -> &str {
        self.scenario.as_deref().unwrap_or_else(|| scenario::of_seed(seed))
    }

    fn settings(&self) -> Result<Settings, Error> {
        Ok(Settings { protocol: self.protocol, profile: Profile::load(&self.profile)? })
    }

    fn play(&self, seed: Seed, keep_trace: bool) -> Result<Played, Error> {
        let options = PlayOptions { keep_trace, checks: true };
        let played = scenario::play(self.scenario(seed), seed, &self.settings()?, options);
        Ok(played.expect("the scenario's name was checked")?)
    }

    /// The arguments that make another process play the same.
    fn arguments(&self, command: &str) -> Vec<String> {
        let mut arguments = vec![command.to_string()];
        if let Some(scenario) = &self.scenario {
            arguments.extend(["--scenario".to_string(), scenario.clone()]);
        }
        if self.profile != profile::DEFAULT {
            arguments.extend(["--profile".to_string(), self.profile.clone()]);
        }
        if let Some(protocol) = self.protocol.and_then(|p| clap::ValueEnum::to_possible_value(&p)) {
            arguments.extend(["--protocol".into(), protocol.get_name().to_string()]);
        }
        if let Some(defect) = &self.defect {
            arguments.extend(["--defect".into(), defect.clone()]);
        }
        arguments
    }

    /// The command with which a person plays `seed` again.
    fn command(&self, seed: Seed) -> String {
        let words = self.arguments("run");
        format!("cargo stormglass {} --seed {seed}", words.join(" "))
    }
}

fn run_one_or_many(options: &RunOptions) -> Result<u8, Error> {
    let SeedOptions { seed, what } = &options.seed;
    what.plant()?;
    let seed = seed.unwrap_or_else(fresh_seed);
    if let Some(count) = options.count {
        return run_many(what, seed, count.get());
    }
    if options.plan {
        let name = what.scenario(seed);
        let plan = scenario::plan(name, seed, &what.settings()?);
        let plan = plan.ok_or_else(|| format!("scenario `{name}` has no plans"))?;
        println!("{}", plan.to_json());
        return Ok(0);
    }
    let played = what.play(seed, options.trace)?;
    tell(what.scenario(seed), &format!("seed {seed}"), &played, options.trace, &what.command(seed))
}

/// Prints one run. With `trace`, standard output is the trace and nothing else.
fn tell(
    scenario: &str,
    name: &str,
    played: &Played,
    trace: bool,
    reproduce: &str,
) -> Result<u8, Error> {
    let mut out = io::stdout().lock();
    if trace {
        for record in &played.records {
            writeln!(out, "{}", serde_json::to_string(record)?)?;
        }
    } else {
        for line in &played.story {
            writeln!(out, "  {line}")?;
        }
    }
    let Outcome { verdict, fingerprint, op_count, counts } = &played.outcome;
    let checks = counts.get("check readings").copied().unwrap_or(0);
    let mut last = format!("\n{scenario}  {name}  {}\n", verdict.in_words());
    last += &format!("{op_count} disk operations, tables read {checks} times\n");
    last += &format!("fingerprint  {fingerprint}\nreproduce    {reproduce}");
    if trace {
        eprintln!("{last}")
    } else {
        writeln!(out, "{last}")?
    }
    Ok(verdict.exit_code())
}

fn run_many(what: &What, first: Seed, count: u64) -> Result<u8, Error> {
    let seeds = (0..count).map(|n| Seed(first.0.wrapping_add(n)));
    let mut worst = 0;
    let mut done = 0;
    let crew = Crew::of_this_program(what.arguments("worker"))?;
    crew.play_all(seeds, cores(), |seed, outcome| {
        done += 1;
        let Outcome { verdict, fingerprint, op_count, .. } = &outcome;
        let words = verdict.in_words();
        println!("{}  seed {seed}  {op_count:>5} ops  {fingerprint}  {words}", what.scenario(seed));
        if *verdict == Verdict::Passed {
            return ControlFlow::Continue(());
        }
        println!("reproduce    {}", what.command(seed));
        worst = verdict.exit_code();
        ControlFlow::Break(())
    })?;
    println!("{done} of {count} runs played");
    Ok(worst)
}

fn campaign(options: &CampaignOptions) -> Result<u8, Error> {
    options.what.plant()?;
    let seeds = options.seeds.clone().unwrap_or_else(|| {
        let first = fresh_seed().0;
        first..first + CAMPAIGN_RUN_COUNT
    });
    let name = options.what.scenario.as_deref().unwrap_or("all scenarios");
    println!("{name}  seeds {:#x}..{:#x}", seeds.start, seeds.end);
    let total = seeds.end - seeds.start;
    let shows_progress = io::stderr().is_terminal();
    let (mut summary, mut done) = (Summary::default(), 0);
    let elapsed = timed(|| {
        let jobs = options.jobs.map_or_else(cores, NonZero::get);
        let crew = Crew::of_this_program(options.what.arguments("worker"))?;
        crew.play_all(seeds.map(Seed), jobs, |seed, outcome| {
            done += 1;
            if outcome.verdict != Verdict::Passed {
                println!("FAIL seed {seed}   {}", outcome.verdict.in_words());
                println!("  reproduce  {}", options.what.command(seed));
            }
            summary.add(seed, outcome);
            if shows_progress && done % 20 == 0 {
                eprint!("\r{done} of {total} runs ");
            }
            ControlFlow::Continue(())
        })
    })?;
    if shows_progress {
        eprint!("\r");
    }
    println!("{}", summary.in_words(elapsed));
    Ok(summary.exit_code())
}

#[expect(clippy::disallowed_methods, reason = "runs a second are told in the host's time")]
fn timed(work: impl FnOnce() -> io::Result<()>) -> io::Result<Duration> {
    let started = std::time::Instant::now();
    work()?;
    Ok(started.elapsed())
}

fn replay(options: &ReplayOptions) -> Result<u8, Error> {
    let path = options.plan.display();
    let text =
        std::fs::read_to_string(&options.plan).map_err(|error| format!("{path}: {error}"))?;
    let plan = Plan::from_json(&text).map_err(|error| format!("{path}: {error}"))?;
    defects::plant(options.defect.as_deref())?;
    let play = PlayOptions { keep_trace: options.trace, checks: true };
    let played = runner::play(&plan, play)?;
    let reproduce = format!("cargo stormglass replay {path}");
    tell(&plan.scenario, &format!("plan {path}"), &played, options.trace, &reproduce)
}

fn check_determinism(options: &SeedOptions) -> Result<u8, Error> {
    options.what.plant()?;
    let seed = options.seed.unwrap_or_else(fresh_seed);
    let program = std::env::current_exe()?;
    let mut arguments = options.what.arguments("run");
    arguments.extend(["--trace".to_string(), "--seed".to_string(), seed.to_string()]);
    Ok(match determinism::compare(&program, &arguments)? {
        Comparison::Equal { line_count } => {
            println!("seed {seed}: two processes, {line_count} records each, all equal");
            0
        }
        Comparison::Differ { line, first, second } => {
            println!("seed {seed}: the traces of two processes differ at record {line}");
            println!("  first   {}", first.as_deref().unwrap_or("(ended)"));
            println!("  second  {}", second.as_deref().unwrap_or("(ended)"));
            EXIT_BROKEN
        }
        Comparison::NoTrace { last_words } => {
            println!("seed {seed}: a process ended without a trace: {last_words}");
            EXIT_BROKEN
        }
    })
}

fn list() -> Result<u8, Error> {
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
    for (name, description, found_by) in defects::known() {
        writeln!(out, "  {name:<22} {description} ({found_by})")?;
    }
    Ok(0)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// A seed that no earlier run took, as far as chance goes; short enough to be read aloud.
fn fresh_seed() -> Seed {
    Seed(RandomState::new().build_hasher().finish() >> 24)
}

fn seed_range(text: &str) -> Result<Range<u64>, String> {
    let (first, end) = text.split_once("..").ok_or("give a range such as 0..1000")?;
    let seed = |text: &str| text.parse::<Seed>().map(|seed| seed.0).map_err(|e| e.to_string());
    let range = seed(first)?..seed(end)?;
    if range.is_empty() { Err("the range holds no seed".to_string()) } else { Ok(range) }
}
