//! `shrink`: the plan of a failure with nothing in it that it does not need.

use super::run::SeedOptions;
use super::told::{Done, found, is_watched};
use super::{EXIT_BROKEN, EXIT_INTERRUPTED, Error, FINDINGS, stopped_by_ctrl_c};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use stormglass_scenarios::build_info::Build;
use stormglass_scenarios::bundle::{self, Recorded, Source};
use stormglass_scenarios::failure::{Failure, Screen};
use stormglass_scenarios::host::fresh_seed;
use stormglass_scenarios::lines::counted;
use stormglass_scenarios::plan::Plan;
use stormglass_scenarios::shrink::{emit, shrink_in};
use stormglass_scenarios::verdict::{Finding, Signature, Verdict};
use stormglass_scenarios::what::What;
use stormglass_scenarios::workers::Order;

/// Where `--save` puts plans that are played for ever.
const REGRESSIONS: &str = "tests/regressions";
/// Where plans of planted defects are.
const DEFECTS: &str = "tests/defects";

#[derive(Args)]
pub struct Options {
    /// The folder of a bundle, or a plan's file.
    #[arg(value_name = "BUNDLE|PLAN", required_unless_present = "seed", conflicts_with = "seed")]
    path: Option<PathBuf>,
    #[command(flatten)]
    seed: SeedOptions,
    /// Writes the plan and its story to a folder: tests/regressions if none is named, where `cargo test` plays it for
    /// ever. That of a planted defect goes to tests/defects, the plan alone and under the defect's name, where it is
    /// played with the defect and without.
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = REGRESSIONS)]
    save: Option<PathBuf>,
    /// Prints a Rust test that plays the plan, in place of the story.
    #[arg(long)]
    emit_test: bool,
}

/// What is to be shrunk.
struct Failing {
    source: Source,
    /// What a person calls it.
    name: String,
    /// What is known of it, if it is a bundle.
    recorded: Option<Recorded>,
    /// The seed, as it is given to `--seed`.
    seed: Option<String>,
    /// The command that plays it whole.
    reproduce: String,
}

pub fn run(options: &Options) -> Result<Done, Error> {
    let mut what = options.seed.what.clone();
    let failing = failing(options, &mut what)?;
    what.plant()?;
    let name = &failing.name;
    let Some(plan) = failing.source.plan() else {
        return Err(format!("{name}: a script of scenario `sql` has no plan to shrink").into());
    };
    if let Some(folder) = &options.save {
        may_save(folder, what.defect.as_deref())?;
    }
    let stop = stopped_by_ctrl_c()?;
    let crew = what.crew()?.stopped_by(&stop);
    let mut solo = crew.solo();
    let Some(outcome) = solo.play(&Order::plan(plan))? else {
        found(format!("{name}: interrupted before it was played once: nothing is shrunk"));
        return Done::new(EXIT_INTERRUPTED, ());
    };
    let signature = match (&outcome.verdict, Signature::of(&outcome.verdict)) {
        (Verdict::Violated(_), Some(signature)) => signature,
        (verdict, _) => {
            found(format!("{name}: nothing to shrink: {}", verdict.in_words()));
            return Done::new(verdict.exit_code(), json!({ "outcome": outcome }));
        }
    };
    let bar = bar(plan);
    let tell = &mut |best: &Plan, try_count| {
        let Some(bar) = &bar else { return };
        bar.set_position(try_count);
        bar.set_message(left(best));
    };
    let (plan, shrunk) = shrink_in(&mut solo, plan, &outcome, tell)?;
    bar.iter().for_each(ProgressBar::finish_and_clear);
    let mut done = keep(options, &what, &failing, (plan, signature, shrunk))?;
    if stop.load(Ordering::Relaxed) && done.code == 1 {
        done.code = EXIT_INTERRUPTED;
    }
    Ok(done)
}

/// What is shown while it shrinks: on a terminal a line, elsewhere nothing.
fn bar(plan: &Plan) -> Option<ProgressBar> {
    if !is_watched() {
        return None;
    }
    let style = ProgressStyle::with_template(
        "{spinner} {msg} after {pos} runs, {elapsed}; Ctrl-C keeps the best so far",
    );
    Some(
        ProgressBar::new_spinner()
            .with_message(left(plan))
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner())),
    )
}

fn left(plan: &Plan) -> String {
    {
        let (steps, faults) = (plan.steps.len(), plan.faults.len());
        format!("{} and {} left", counted(steps, "step"), counted(faults, "fault"))
    }
}

/// Plays what is left once more, keeps it as a bundle and wherever else it is to be kept, and tells it.
fn keep(
    options: &Options,
    what: &What,
    failing: &Failing,
    (plan, signature, shrunk): (Plan, Signature, stormglass_scenarios::shrink::Shrinking),
) -> Result<Done, Error> {
    // Whoever has interrupted the search still gets what it came to: these workers are not stopped.
    let crew = what.crew()?;
    let outcome = crew.solo().play(&Order::plan(&plan))?.ok_or("interrupted")?;
    let source = Source::Plan(Box::new(plan));
    let earlier = failing.recorded.as_ref().and_then(|recorded| recorded.shrunk);
    let folder = Path::new(FINDINGS).join(format!("shrunk-{}", signature.short()));
    let recorded = Recorded {
        seed: failing.seed.clone(),
        defect: what.defect.clone(),
        shrunk: Some(shrunk.after(earlier)),
        ..Recorded::of(&source, outcome, (failing.reproduce.clone(), Build::this()))
    };
    let (recorded, played) = bundle::write_played(&folder, &source, &recorded, &crew.program)?;
    if recorded.signature.as_ref() != Some(&signature) {
        let words = recorded.outcome.verdict.in_words();
        let words = format!("what is left does not fail so again; it ends with: {words}");
        found(format!("HARNESS BROKEN {words}"));
        return Done::new(EXIT_BROKEN, json!({ "broken": words }));
    }
    let story = played.map(|played| played.story).unwrap_or_default();
    let Some(mut failure) = Failure::of_bundle(&folder, (&source, &recorded), &story) else {
        return Done::new(EXIT_BROKEN, json!({ "broken": "what is left breaks no promise" }));
    };
    let mut kept = None;
    if let Some(folder) = &options.save {
        let path = saved(folder, &source, what, &failure)?;
        failure.notes.push(("kept".to_string(), path.display().to_string()));
        failure.commands.retain(|(head, _)| *head != "keep");
        kept = Some(path);
    }
    let emitted = match (options.emit_test, source.plan(), &recorded.outcome.verdict) {
        (true, Some(plan), Verdict::Violated(finding)) => {
            Some(emit::test_of(plan, finding, what.defect.as_deref()))
        }
        _ => None,
    };
    let told = emitted.clone().unwrap_or_else(|| failure.told(Screen::of_stdout()));
    found(told.trim_end_matches('\n'));
    let result = json!({
        "recorded": recorded,
        "story": story,
        "bundle": folder,
        "kept": kept,
        "test": emitted,
    });
    Done::new(recorded.outcome.verdict.exit_code(), result)
}

/// What is to be shrunk. A bundle brings its defect along.
fn failing(options: &Options, what: &mut What) -> Result<Failing, Error> {
    let Some(path) = &options.path else {
        what.plant()?;
        let seed = options.seed.seed.unwrap_or_else(fresh_seed);
        return Ok(Failing {
            source: what.source(seed)?,
            name: format!("seed {seed}"),
            recorded: None,
            seed: Some(seed.to_string()),
            reproduce: what.command(seed),
        });
    };
    let (source, recorded) = bundle::read(path)?;
    let own = recorded.as_ref();
    what.defect = what.defect.take().or(own.and_then(|recorded| recorded.defect.clone()));
    let with_defect = match &what.defect {
        Some(name) if own.is_none() => format!(" --defect {name}"),
        _ => String::new(),
    };
    let replay = format!("cargo stormglass replay {}{with_defect}", path.display());
    Ok(Failing {
        source,
        name: path.display().to_string(),
        seed: own.and_then(|recorded| recorded.seed.clone()),
        reproduce: own.map_or(replay, |recorded| recorded.reproduce.clone()),
        recorded,
    })
}

/// Whether a plan may be kept in a folder: what is kept among the regressions must pass once the platform is
/// mended, and a planted defect never is.
fn may_save(folder: &Path, defect: Option<&str>) -> Result<(), Error> {
    if defect.is_none() && folder == Path::new(DEFECTS) {
        return Err("tests/defects has plans of planted defects: leave the folder out".into());
    }
    if defect.is_some() && folder == Path::new(REGRESSIONS) {
        let why = "a regression must pass once the platform is mended, which a planted defect never is: \
                   `--save tests/defects` keeps its plan where it is played with the defect and without";
        return Err(why.into());
    }
    in_checkout(&folder.display().to_string()).map(|_| ())
}

/// Writes the plan, and beside it its story, to where every test run plays it. Returns the plan's file.
fn saved(folder: &Path, source: &Source, what: &What, failure: &Failure) -> Result<PathBuf, Error> {
    let Some(plan) = source.plan() else { return Err("no plan to save".into()) };
    if let Some(defect) = what.defect.as_ref().filter(|_| folder == Path::new(DEFECTS)) {
        let crew = What::with_defect(None).crew()?;
        let without = crew.solo().play(&Order::plan(plan))?.ok_or("interrupted")?;
        if without.verdict != Verdict::Passed {
            let words = without.verdict.in_words();
            return Err(format!("not saved, it fails without the defect: {words}").into());
        }
        return write(folder, defect, plan);
    }
    let path = write(folder, &name_of(&failure.finding), plan)?;
    let story = path.with_extension("txt");
    fs::write(&story, failure.told(Screen::PLAIN))
        .map_err(|error| format!("{}: {error}", story.display()))?;
    Ok(path)
}

/// The name of a regression: the promise, the kind of step, and what tells it from others of these.
fn name_of(finding: &Finding) -> String {
    let verdict = Verdict::Violated(finding.clone());
    let short = Signature::of(&verdict).map_or(String::new(), |signature| signature.short());
    format!("{}-{}-{short}", finding.invariant.to_lowercase(), finding.step_kind)
}

fn write(folder: &Path, name: &str, plan: &Plan) -> Result<PathBuf, Error> {
    let path = folder.join(name.to_string() + ".json");
    fs::write(&path, plan.to_json() + "\n")
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// A folder of the checkout, which is there already.
pub fn in_checkout(folder: &str) -> Result<PathBuf, Error> {
    if Path::new(folder).is_dir() {
        return Ok(PathBuf::from(folder));
    }
    Err(format!("no folder {folder} here: call it from the root of the checkout").into())
}
