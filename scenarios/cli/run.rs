//! `run`: one run, told as it happened, or fresh ones until one is not passed.

use super::Error;
use clap::Args;
use std::io::{self, Write};
use std::num::NonZero;
use std::ops::ControlFlow;
use stormglass_scenarios::build_info::Build;
use stormglass_scenarios::bundle::Source;
use stormglass_scenarios::counts;
use stormglass_scenarios::failure::{Failure, Paint};
use stormglass_scenarios::host::{cores, fresh_seed};
use stormglass_scenarios::lines::wrapped;
use stormglass_scenarios::scenario;
use stormglass_scenarios::verdict::{Outcome, Played, Verdict};
use stormglass_scenarios::what::What;
use stormglass_sim::Seed;

#[derive(Args)]
pub struct SeedOptions {
    /// The seed: decimal, 0x..., or a commit hash of 40 digits. A fresh one if absent.
    #[arg(long)]
    pub seed: Option<Seed>,
    #[command(flatten)]
    pub what: What,
}

#[derive(Args)]
pub struct Options {
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

pub fn run(options: &Options) -> Result<u8, Error> {
    let SeedOptions { seed, what } = &options.seed;
    what.plant()?;
    let seed = seed.unwrap_or_else(fresh_seed);
    if let Some(count) = options.count {
        return run_many(what, seed, count.get());
    }
    let name = what.scenario(seed);
    if options.plan {
        let Source::Plan(plan) = what.source(seed)? else {
            return Err(format!("scenario `{name}` has no plans").into());
        };
        println!("{}", plan.to_json());
        return Ok(0);
    }
    tell_settings(&what.source(seed)?, options.trace)?;
    let played = what.play(seed, options.trace)?;
    let mut last = vec![reproduce(&what.command(seed))];
    if matches!(played.outcome.verdict, Verdict::Violated(_)) && name != scenario::SQL {
        let shrink = format!("{} --seed {seed}", what.arguments("shrink").join(" "));
        last.push(format!("minimal      cargo stormglass {shrink}"));
    }
    tell(name, &format!("seed {seed}"), &played, options.trace, &last)
}

/// Prints what a plan is played with, as the head of its run. With `trace`, standard output is the trace's alone.
pub fn tell_settings(source: &Source, trace: bool) -> io::Result<()> {
    let Some(plan) = source.plan().filter(|_| !trace) else { return Ok(()) };
    let mut out = io::stdout().lock();
    for (head, words) in plan.settings() {
        writeln!(out, "{}", wrapped(head, &words).join("\n"))?;
    }
    writeln!(out)
}

/// The line with the command that plays the same again.
pub fn reproduce(command: &str) -> String {
    format!("reproduce    {command}")
}

/// Prints one run and then `last`. With `trace`, standard output is the trace and nothing else.
pub fn tell(
    scenario: &str,
    name: &str,
    played: &Played,
    trace: bool,
    last: &[String],
) -> Result<u8, Error> {
    let failure = Failure::of(scenario, name, &played.outcome, (&played.story, &Build::this()));
    let mut out = io::stdout().lock();
    if let (Some(failure), false) = (&failure, trace) {
        write!(out, "{}", failure.told(Paint::of_stdout()))?;
        writeln!(out, "{}", last.join("\n"))?;
        return Ok(played.outcome.verdict.exit_code());
    }
    if trace {
        for record in &played.records {
            writeln!(out, "{}", serde_json::to_string(record)?)?;
        }
    } else {
        for line in &played.story {
            writeln!(out, "  {line}")?;
        }
    }
    let Outcome { verdict, fingerprint, op_count, counts, .. } = &played.outcome;
    let readings = counts.get(counts::READINGS).copied().unwrap_or(0);
    let mut words = format!("\n{scenario}  {name}  {}\n", verdict.in_words());
    words += &format!("{op_count} disk operations, tables read {readings} times\n");
    words += &format!("fingerprint  {fingerprint}\n{}", last.join("\n"));
    if trace {
        eprintln!("{words}")
    } else {
        writeln!(out, "{words}")?
    }
    Ok(verdict.exit_code())
}

fn run_many(what: &What, first: Seed, count: u64) -> Result<u8, Error> {
    let seeds = (0..count).map(|n| Seed(first.0.wrapping_add(n)));
    let (mut worst, mut done) = (0, 0);
    what.crew()?.play_all(seeds, cores(), |ended| {
        done += 1;
        let seed = ended.seed;
        let Outcome { verdict, fingerprint, op_count, .. } = &ended.outcome;
        let words = verdict.in_words();
        println!("{}  seed {seed}  {op_count:>5} ops  {fingerprint}  {words}", what.scenario(seed));
        if *verdict == Verdict::Passed {
            return ControlFlow::Continue(());
        }
        println!("{}", reproduce(&what.command(seed)));
        worst = verdict.exit_code();
        ControlFlow::Break(())
    })?;
    println!("{done} of {count} runs played");
    Ok(worst)
}
