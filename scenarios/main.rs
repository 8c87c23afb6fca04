//! The command line: `cargo stormglass ...`.

use clap::{Args, Parser, Subcommand};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, IsTerminal, Write};
use std::ops::Range;
use std::process::ExitCode;
use stormglass_scenarios::campaign;
use stormglass_scenarios::determinism::{self, Comparison};
use stormglass_scenarios::sql::{Script, play};
use stormglass_scenarios::verdict::Verdict;
use stormglass_sim::Seed;

/// Input that is no good, or a failure of the host.
const EXIT_USAGE: u8 = 2;
/// The harness itself failed.
const EXIT_BROKEN: u8 = 3;
/// Runs of a campaign whose seeds are not given.
const CAMPAIGN_RUN_COUNT: u64 = 1_000;

/// Deterministic simulation testing of programs that store their data with libsql.
#[derive(Parser)]
#[command(name = "stormglass", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Plays one run and tells it as it happened.
    Run(RunOptions),
    /// Plays many runs and sums them up.
    Campaign(CampaignOptions),
    /// Plays one seed in two processes and compares the traces record by record.
    CheckDeterminism(SeedOption),
}

#[derive(Args)]
struct SeedOption {
    /// The seed: decimal, 0x..., or a commit hash of 40 digits. A fresh one if absent.
    #[arg(long)]
    seed: Option<Seed>,
}

#[derive(Args)]
struct RunOptions {
    #[command(flatten)]
    seed: SeedOption,
    /// Prints every record of the trace, a JSON object a line, instead of the story.
    #[arg(long)]
    trace: bool,
}

#[derive(Args)]
struct CampaignOptions {
    /// The seeds, as a range without its end: 0..1000. Fresh ones if absent.
    #[arg(long, value_parser = seed_range)]
    seeds: Option<Range<u64>>,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(options) => run(&options),
        Command::Campaign(options) => campaign(&options),
        Command::CheckDeterminism(options) => check_determinism(&options),
    };
    result.map_or_else(
        |error| {
            eprintln!("error: {error}");
            ExitCode::from(EXIT_USAGE)
        },
        ExitCode::from,
    )
}

fn run(options: &RunOptions) -> Result<u8, Box<dyn std::error::Error>> {
    let seed = options.seed.seed.unwrap_or_else(fresh_seed);
    let (outcome, records) = play(&Script::from_seed(seed), options.trace)?;
    let mut out = io::stdout().lock();
    if options.trace {
        for record in &records {
            writeln!(out, "{}", serde_json::to_string(record)?)?;
        }
    } else {
        for line in &outcome.story {
            writeln!(out, "  {line}")?;
        }
    }
    let word = match &outcome.verdict {
        Verdict::Passed => "passed".to_string(),
        Verdict::Violated(violation) => format!("VIOLATED {violation}"),
        Verdict::HarnessBroken(why) => format!("HARNESS BROKEN: {why}"),
    };
    // With --trace, standard output is the trace and nothing else.
    let last = format!("sql  seed {seed}  {word}\nfingerprint {}", outcome.fingerprint);
    if options.trace {
        eprintln!("{last}")
    } else {
        writeln!(out, "{last}")?
    }
    Ok(outcome.verdict.exit_code())
}

fn campaign(options: &CampaignOptions) -> Result<u8, Box<dyn std::error::Error>> {
    let seeds = options.seeds.clone().unwrap_or_else(|| {
        let first = fresh_seed().0;
        first..first + CAMPAIGN_RUN_COUNT
    });
    println!("sql  seeds {:#x}..{:#x}", seeds.start, seeds.end);
    #[expect(clippy::disallowed_methods, reason = "runs a second are told in the host's time")]
    let started = std::time::Instant::now();
    let total = seeds.end - seeds.start;
    let shows_progress = io::stderr().is_terminal();
    let mut done = 0;
    let summary = campaign::run(seeds, |seed, outcome| {
        done += 1;
        if let Verdict::Violated(violation) = &outcome.verdict {
            println!("FAIL sql   seed {seed}   {violation}");
            println!("  reproduce  cargo stormglass run --seed {seed}");
        }
        if shows_progress && done % 50 == 0 {
            eprint!("\r{done} of {total} runs");
        }
        true
    })?;
    if shows_progress {
        eprint!("\r");
    }
    println!("{}", summary.in_words(started.elapsed()));
    Ok(summary.exit_code())
}

fn check_determinism(options: &SeedOption) -> Result<u8, Box<dyn std::error::Error>> {
    let seed = options.seed.unwrap_or_else(fresh_seed);
    let program = std::env::current_exe()?;
    let arguments = ["run", "--trace", "--seed", &seed.to_string()];
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
    })
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
