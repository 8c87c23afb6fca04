//! `run`: one run, told as it happened, or fresh ones until one is not passed.

use super::told::{Done, Manner, found, manner, progress, say};
use super::{EXIT_INTERRUPTED, Error, some, stopped_by_ctrl_c};
use clap::Args;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::num::NonZero;
use std::ops::ControlFlow;
use stormglass_scenarios::build_info::Build;
use stormglass_scenarios::bundle::Source;
use stormglass_scenarios::counts;
use stormglass_scenarios::failure::{Failure, Screen};
use stormglass_scenarios::host::{cores, fresh_seed};
use stormglass_scenarios::lines::{counted, wrapped};
use stormglass_scenarios::verdict::{Outcome, Played, Verdict};
use stormglass_scenarios::what::What;
use stormglass_scenarios::{scenario, threads};
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
    #[arg(long, conflicts_with = "trace", value_parser = some::<NonZero<u64>>)]
    count: Option<NonZero<u64>>,
}

pub fn run(options: &Options) -> Result<Done, Error> {
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
        found(plan.to_json());
        return Done::new(0, json!({ "seed": seed.to_string(), "plan": plan }));
    }
    threads::watch();
    tell_settings(&what.source(seed)?, options.trace)?;
    let played = what.play(seed, options.trace)?;
    let command = what.command(seed);
    let mut last = vec![reproduce(&command)];
    if matches!(played.outcome.verdict, Verdict::Violated(_)) && name != scenario::SQL {
        let shrink = format!("{} --seed {seed}", what.arguments("shrink").join(" "));
        last.push(format!("minimal      cargo stormglass {shrink}"));
    }
    tell(name, &format!("seed {seed}"), &played, options.trace, &last)?;
    let mut result = as_json(name, &played)?;
    result["seed"] = json!(seed.to_string());
    result["reproduce"] = json!(command);
    Done::new(played.outcome.verdict.exit_code(), result)
}

/// Prints what a plan is played with, as the head of its run. With `trace`, standard output is the trace's alone.
pub fn tell_settings(source: &Source, trace: bool) -> io::Result<()> {
    let Some(plan) = source.plan().filter(|_| !trace) else { return Ok(()) };
    for (head, words) in plan.settings() {
        say(wrapped(head, &words).join("\n"));
    }
    say("");
    Ok(())
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
    let Outcome { verdict, fingerprint, op_count, counts, .. } = &played.outcome;
    let readings = counts.get(counts::READINGS).copied().unwrap_or(0);
    let head = format!("{scenario}  {name}  {}", verdict.in_words());
    let rest = format!(
        "{}, tables read {}",
        counted(op_count, "disk operation"),
        counted(readings, "time")
    );
    let rest = format!("{rest}\nfingerprint  {fingerprint}\n{}", last.join("\n"));
    if trace {
        if manner() != Manner::Json {
            let mut out = io::stdout().lock();
            for record in &played.records {
                match writeln!(out, "{}", serde_json::to_string(record)?) {
                    // A reader that went away has seen enough, and nobody is in the wrong.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                    written => written?,
                }
            }
        }
        eprintln!("\n{head}\n{rest}");
        return Ok(verdict.exit_code());
    }
    match Failure::of(scenario, name, &played.outcome, (&played.story, &Build::this())) {
        Some(failure) => {
            found(failure.told(Screen::of_stdout()).trim_end_matches('\n'));
            found(last.join("\n"));
        }
        None => {
            say_story(&played.story);
            say("");
            found(head);
            say(rest);
        }
    }
    Ok(verdict.exit_code())
}

/// Prints lines of a story, as wide as the terminal is.
pub fn say_story(story: &[String]) {
    let screen = Screen::of_stdout();
    story.iter().flat_map(|line| screen.of_story(line)).for_each(|line| say(screen.line(&line)));
}

/// One run as a program is told of it.
pub fn as_json(scenario: &str, played: &Played) -> Result<Value, Error> {
    let Played { outcome, story, records, moved, .. } = played;
    let mut told = json!({
        "scenario": scenario,
        "outcome": outcome,
        "story": story,
        "moved": moved,
    });
    if !records.is_empty() {
        told["trace"] = serde_json::to_value(records)?;
    }
    Ok(told)
}

fn run_many(what: &What, first: Seed, count: u64) -> Result<Done, Error> {
    let seeds = (0..count).map(|n| Seed(first.0.wrapping_add(n)));
    let last = Seed(first.0.wrapping_add(count - 1));
    let seed_width = [first, last].map(|seed| seed.to_string().len()).into_iter().max();
    let known = scenario::all().into_iter().map(|(name, _)| name.len()).max();
    // Whatever is the same for all seeds is as wide as it is.
    let name_width = if what.is_of_one_scenario() { None } else { known };
    let (seed_width, name_width) = (seed_width.unwrap_or(0), name_width.unwrap_or(0));
    let (mut worst, mut runs, mut failed) = (0, Vec::new(), None);
    let stop = stopped_by_ctrl_c()?;
    what.crew()?.stopped_by(&stop).play_all(seeds, cores(), |ended| {
        let seed = ended.seed;
        let Outcome { verdict, fingerprint, op_count, .. } = &ended.outcome;
        let (name, words) = (what.scenario(seed), verdict.in_words());
        let seed_word = seed.to_string();
        let line = format!("{name:<name_width$}  seed {seed_word:<seed_width$}  {op_count:>5} ops  {fingerprint}  {words}");
        runs.push(json!({ "seed": seed.to_string(), "scenario": name, "outcome": ended.outcome }));
        if *verdict == Verdict::Passed {
            progress(line);
            return ControlFlow::Continue(());
        }
        found(line);
        let command = what.command(seed);
        found(reproduce(&command));
        (worst, failed) = (verdict.exit_code(), Some(command));
        ControlFlow::Break(())
    })?;
    let played = runs.len() as u64;
    let was_interrupted = failed.is_none() && played < count;
    if was_interrupted {
        worst = EXIT_INTERRUPTED;
    }
    let interrupted = if was_interrupted { "interrupted: " } else { "" };
    found(format!("{interrupted}{played} of {} played", counted(count, "run")));
    Done::new(worst, json!({ "asked_count": count, "runs": runs, "reproduce": failed }))
}
