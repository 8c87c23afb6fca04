//! The command line: what was typed, and who does it. A file a command.

mod campaign;
mod defects;
mod determinism;
mod explore;
mod list;
mod live;
mod replay;
mod report;
mod run;
mod shrink;
mod spec;
mod told;

use clap::{Args, Parser, Subcommand};
use std::num::{IntErrorKind, ParseIntError};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use stormglass_scenarios::threads;
use stormglass_scenarios::what::What;
use told::{Done, Manner};

/// The harness itself failed.
const EXIT_BROKEN: u8 = 3;
/// Whoever called has had enough.
const EXIT_INTERRUPTED: u8 = 130;
/// Where campaigns leave what they find.
const FINDINGS: &str = "findings";

type Error = Box<dyn std::error::Error>;

/// Deterministic simulation testing of an event-sourced platform on libsql.
#[derive(Parser)]
#[command(name = "stormglass", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    speech: Speech,
}

/// How every command speaks.
#[derive(Args)]
struct Speech {
    /// Prints what was found and the last line, and no progress.
    #[arg(long, global = true)]
    quiet: bool,
    /// Prints one JSON object (docs/json.md), and progress on standard error.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Plays one run and tells it as it happened; with --count, many fresh ones until one fails.
    Run(run::Options),
    /// Plays many runs, keeps what they find, and sums them up.
    Campaign(campaign::Options),
    /// Plays a bundle or a plan again.
    Replay(replay::Options),
    /// Drops from a failing plan what it does not need.
    Shrink(shrink::Options),
    /// Plays one seed in two processes and compares the traces record by record.
    CheckDeterminism(run::SeedOptions),
    /// Ends one run before every disk operation, in every state that a crash may leave, and recovers.
    Explore(explore::Options),
    /// Names the known defects; with --find, plays fresh seeds until each is found.
    Defects(defects::Options),
    /// Writes the page of a campaign's folder or of a bundle's once more, and says where it is.
    Report(report::Options),
    /// Kills a deployed server under load, again and again, and holds it against the model.
    Live(live::Options),
    /// Reads specs for their authors.
    Spec(spec::Options),
    /// Names the scenarios, the invariants, the known defects, the kinds of faults and the probes.
    List,
    /// Plays the seeds and plans that come in on standard input.
    #[command(hide = true)]
    Worker(What),
}

impl Command {
    /// As it is typed.
    fn name(&self) -> &'static str {
        match self {
            Command::Run(_) => "run",
            Command::Campaign(_) => "campaign",
            Command::Replay(_) => "replay",
            Command::Shrink(_) => "shrink",
            Command::CheckDeterminism(_) => "check-determinism",
            Command::Explore(_) => "explore",
            Command::Defects(_) => "defects",
            Command::Report(_) => "report",
            Command::Live(_) => "live",
            Command::Spec(options) => options.name(),
            Command::List => "list",
            Command::Worker(_) => "worker",
        }
    }

    fn run(&self) -> Result<Done, Error> {
        match self {
            Command::Run(options) => run::run(options),
            Command::Campaign(options) => campaign::run(options),
            Command::Replay(options) => replay::run(options),
            Command::Shrink(options) => shrink::run(options),
            Command::CheckDeterminism(options) => determinism::run(options),
            Command::Explore(options) => explore::run(options),
            Command::Defects(options) => defects::run(options),
            Command::Report(options) => report::run(options),
            Command::Live(options) => live::run(options),
            Command::Spec(options) => spec::run(options),
            Command::List => list::run(),
            Command::Worker(what) => {
                what.plant()?;
                threads::watch();
                what.serve()?;
                Done::new(0, ())
            }
        }
    }
}

/// Input that is no good, or a failure of the host.
const EXIT_USAGE: u8 = 2;

/// Does what was asked; returns the exit code.
pub fn run(cli: &Cli) -> u8 {
    let Cli { command, speech } = cli;
    told::choose(match speech {
        Speech { json: true, .. } => Manner::Json,
        Speech { quiet: true, .. } => Manner::Quiet,
        _ => Manner::Whole,
    });
    match command.run() {
        Ok(done) => {
            if speech.json {
                told::print_done(command.name(), &done);
            }
            done.code
        }
        Err(error) => refuse(command.name(), speech.json, &error.to_string()),
    }
}

/// Says why nothing was done, in one line and below it, where there is a place to be shown, that; returns the exit
/// code.
pub fn refuse(command: &str, json: bool, why: &str) -> u8 {
    let is_marked = why.lines().skip(1).all(|line| line.starts_with(' '));
    let one_line = || why.lines().collect::<Vec<_>>().join(" ");
    let why = if is_marked && !json { why.to_string() } else { one_line() };
    if json {
        told::print_error(command, EXIT_USAGE, &why);
    } else {
        eprintln!("error: {why}");
    }
    EXIT_USAGE
}

/// How many, where none makes no sense.
fn some<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::Zero => "it must be at least 1".to_string(),
        _ => error.to_string(),
    })
}

/// A flag that the first Ctrl-C sets; the second one ends the process.
fn stopped_by_ctrl_c() -> Result<Arc<AtomicBool>, Error> {
    let stop = Arc::<AtomicBool>::default();
    let code = i32::from(EXIT_INTERRUPTED);
    let interrupt = signal_hook::consts::SIGINT;
    // In this order: at the first one the flag is not yet set.
    signal_hook::flag::register_conditional_shutdown(interrupt, code, Arc::clone(&stop))?;
    signal_hook::flag::register(interrupt, Arc::clone(&stop))?;
    Ok(stop)
}
