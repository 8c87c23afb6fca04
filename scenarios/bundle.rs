//! A failure as a folder: the plan, what happened, what was found, and the disk as it was.
//!
//! **Invariant:** a bundle is whole or not there: it is written beside its place and renamed. A later, better
//! one replaces it in the same way.

mod apart;

pub use apart::keep_apart;

use crate::build_info::Build;
use crate::determinism::{self, Comparison};
use crate::failure::{Failure, Paint};
use crate::plan::{Plan, PlanError};
use crate::report::{self, scenes::Scenes};
use crate::runner::{self, PlayOptions};
use crate::shrink::Shrinking;
use crate::sql::{self, Script};
use crate::verdict::{Outcome, Played, Signature, Verdict};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use stormglass_sim::WorldError;

/// The plan's file.
pub const PLAN: &str = "plan.json";
/// The file of a SQL script, which has no plan.
pub const SCRIPT: &str = "script.json";
/// The trace's file: a record a line.
pub const TRACE: &str = "trace.jsonl";
/// The second trace's file, of a run that came out otherwise in another process.
pub const SECOND_TRACE: &str = "trace-second.jsonl";
/// The story's file: the failure as a person is told it.
pub const STORY: &str = "story.txt";
/// The file that says what was found.
pub const OUTCOME: &str = "outcome.json";
/// The file of what was pending and what was there at each crash.
pub const CRASHES: &str = "crashes.json";
/// The file with what the model knew when a run was left.
pub const MODEL: &str = "model.json";
/// The folder with the simulated disk's files.
pub const DISK: &str = "disk";

/// What is played again.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A plan.
    Plan(Box<Plan>),
    /// A script of the control.
    Script(Box<Script>),
}

impl Source {
    /// Plays it in this process.
    ///
    /// # Errors
    /// [`WorldError`] when there can be no world.
    pub fn play(&self, keep_trace: bool) -> Result<Played, WorldError> {
        match self {
            Source::Plan(plan) => runner::play(plan, PlayOptions { keep_trace, checks: true }),
            Source::Script(script) => sql::play(script, keep_trace),
        }
    }

    /// Its scenario.
    pub fn scenario(&self) -> &str {
        match self {
            Source::Plan(plan) => &plan.scenario,
            Source::Script(_) => crate::scenario::SQL,
        }
    }

    /// The plan, if it is one.
    pub fn plan(&self) -> Option<&Plan> {
        match self {
            Source::Plan(plan) => Some(plan),
            Source::Script(_) => None,
        }
    }

    fn file(&self) -> (&'static str, String) {
        match self {
            Source::Plan(plan) => (PLAN, plan.to_json()),
            Source::Script(script) => {
                (SCRIPT, serde_json::to_string_pretty(script).expect("a script is plain data"))
            }
        }
    }
}

/// What `outcome.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The scenario.
    pub scenario: String,
    /// The seed that made the plan, as it is given to `--seed`.
    pub seed: Option<String>,
    /// The defect that was planted, if one was.
    pub defect: Option<String>,
    /// What makes it the same as others.
    pub signature: Option<Signature>,
    /// What came of the plan as it lies here.
    pub outcome: Outcome,
    /// The command that plays the seed again.
    pub reproduce: String,
    /// How much of the plan is left; nothing before it is shrunk.
    #[serde(default)]
    pub shrunk: Option<Shrinking>,
    /// Whether two fresh processes have left equal traces of it.
    #[serde(default)]
    pub is_confirmed: bool,
    /// The build that found it.
    pub build: Build,
}

impl Recorded {
    /// The record of a run as it came out, before anything else is known of it.
    pub fn of(source: &Source, outcome: Outcome, (reproduce, build): (String, Build)) -> Recorded {
        Recorded {
            scenario: source.scenario().to_string(),
            seed: None,
            defect: None,
            signature: Signature::of(&outcome.verdict),
            outcome,
            reproduce,
            shrunk: None,
            is_confirmed: false,
            build,
        }
    }

    /// The record of an outcome; its signature follows from it.
    pub fn with_outcome(mut self, outcome: Outcome) -> Recorded {
        self.signature = Signature::of(&outcome.verdict);
        self.outcome = outcome;
        self
    }
}

/// Why a path leads to nothing that can be played.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file cannot be read.
    #[error("{}: {why}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the host says.
        why: io::Error,
    },
    /// A plan that is none.
    #[error("{}: {why}", path.display())]
    Plan {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        why: PlanError,
    },
    /// Another file that is not what it should be.
    #[error("{}: not a bundle's {what}: {why}", path.display())]
    Shape {
        /// Which.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// What is wrong with it.
        why: serde_json::Error,
    },
}

/// Reads a bundle's folder, or a plan's file, which has no record.
///
/// # Errors
/// [`BundleError`].
pub fn read(path: &Path) -> Result<(Source, Option<Recorded>), BundleError> {
    let text = |path: &Path| {
        let unreadable = |why| BundleError::Read { path: path.to_path_buf(), why };
        fs::read_to_string(path).map_err(unreadable)
    };
    let plan = |path: PathBuf| {
        let plan = Plan::from_json(&text(&path)?);
        let plan = plan.map_err(|why| BundleError::Plan { path, why })?;
        Ok(Source::Plan(Box::new(plan)))
    };
    if !path.is_dir() {
        return Ok((plan(path.to_path_buf())?, None));
    }
    let (script, outcome) = (path.join(SCRIPT), path.join(OUTCOME));
    let source = if script.is_file() {
        let read = serde_json::from_str(&text(&script)?);
        let read = read.map_err(|why| BundleError::Shape { path: script, what: "script", why })?;
        Source::Script(Box::new(read))
    } else {
        plan(path.join(PLAN))?
    };
    let recorded = serde_json::from_str(&text(&outcome)?);
    let recorded =
        recorded.map_err(|why| BundleError::Shape { path: outcome, what: "outcome", why })?;
    Ok((source, Some(recorded)))
}

/// Writes what is known without playing: the plan and the outcome.
///
/// # Errors
/// What the host says.
pub fn write_plain(folder: &Path, source: &Source, recorded: &Recorded) -> io::Result<()> {
    let draft = draft_of(folder)?;
    write_source(&draft, source)?;
    finish(&draft, folder, recorded)
}

/// Writes a whole bundle: with what the run leaves, which is played once more in this process for that, and by
/// two fresh processes of `program` that must leave equal traces. Without, and no run is returned, where its end
/// would take this process along. Also returned is what was recorded.
///
/// # Errors
/// What the host says, or that there can be no world.
pub fn write_played(
    folder: &Path,
    source: &Source,
    recorded: &Recorded,
    program: &Path,
) -> io::Result<(Recorded, Option<Played>)> {
    if !is_judged(&recorded.outcome.verdict) {
        return write_plain(folder, source, recorded).map(|()| (recorded.clone(), None));
    }
    let played = source.play(true).map_err(io::Error::other)?;
    let draft = draft_of(folder)?;
    write_remains(&draft, source, &played)?;
    let recorded = confirmed(&draft, recorded, program)?;
    finish(&draft, folder, &recorded)?;
    Ok((recorded, Some(played)))
}

/// Has two fresh processes replay a draft. Where they part nobody is accused but the harness.
///
/// # Errors
/// What the host says.
pub fn confirmed(draft: &Path, recorded: &Recorded, program: &Path) -> io::Result<Recorded> {
    write_recorded(draft, recorded)?;
    let arguments = ["replay".to_string(), draft.display().to_string(), "--trace".to_string()];
    let recorded = recorded.clone();
    let compared = determinism::compare(program, &arguments)?;
    let Some(why) = compared.why_broken() else {
        return Ok(Recorded { is_confirmed: true, ..recorded });
    };
    if let Comparison::Differ(_) = compared.comparison {
        write_traces(draft, &compared.traces)?;
    }
    let outcome = Outcome { verdict: Verdict::HarnessBroken(why), ..recorded.outcome.clone() };
    Ok(recorded.with_outcome(outcome))
}

/// Writes what a run left into a folder that is still a draft: everything but the outcome.
///
/// # Errors
/// What the host says.
pub fn write_remains(draft: &Path, source: &Source, played: &Played) -> io::Result<()> {
    fs::create_dir_all(draft)?;
    write_source(draft, source)?;
    let mut trace = io::BufWriter::new(fs::File::create(draft.join(TRACE))?);
    for record in &played.records {
        writeln!(trace, "{}", serde_json::to_string(record)?)?;
    }
    trace.flush()?;
    fs::write(draft.join(STORY), played.story.join("\n"))?;
    let crashes = serde_json::to_string(&Scenes::of(played))?;
    fs::write(draft.join(CRASHES), crashes + "\n")?;
    write_disk(draft, played).map(drop)
}

/// Writes the files of the disk; returns their paths beneath the folder.
fn write_disk(folder: &Path, played: &Played) -> io::Result<Vec<PathBuf>> {
    let Some(disk) = &played.disk else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for path in disk.paths() {
        let file = Path::new(DISK).join(path.trim_start_matches('/'));
        let whole = folder.join(&file);
        fs::create_dir_all(whole.parent().unwrap_or(folder))?;
        fs::write(whole, disk.contents(path).unwrap_or_default())?;
        files.push(file);
    }
    Ok(files)
}

/// Writes a run that was left between two steps: the plan, the story so far, the disk's files and what the model
/// knew. Returns the paths of the disk's files.
///
/// # Errors
/// What the host says.
pub fn write_stop(
    folder: &Path,
    source: &Source,
    played: &Played,
    model: &str,
) -> io::Result<Vec<PathBuf>> {
    let draft = draft_of(folder)?;
    write_source(&draft, source)?;
    fs::write(draft.join(MODEL), format!("{model}\n"))?;
    let story: String = played.story.iter().map(|line| format!("  {line}\n")).collect();
    fs::write(draft.join(STORY), story)?;
    let files = write_disk(&draft, played)?;
    put_in_place(&draft, folder)?;
    Ok(files.iter().map(|file| folder.join(file)).collect())
}

fn write_traces(draft: &Path, [first, second]: &[String; 2]) -> io::Result<()> {
    fs::write(draft.join(TRACE), first)?;
    fs::write(draft.join(SECOND_TRACE), second)
}

/// Completes a draft with its outcome, its story as it is told and its page, and puts it into its place.
///
/// # Errors
/// What the host says.
pub fn finish(draft: &Path, folder: &Path, recorded: &Recorded) -> io::Result<()> {
    write_recorded(draft, recorded)?;
    let file = draft.join(STORY);
    let story = fs::read_to_string(&file).unwrap_or_default();
    let story: Vec<String> = story.lines().map(str::to_string).collect();
    let told = match Failure::of_bundle(folder, recorded, &story) {
        Some(failure) => failure.told(Paint::PLAIN),
        None => format!("{}\n\n{}\n", story.join("\n"), recorded.outcome.verdict.in_words()),
    };
    fs::write(file, told)?;
    report::write_failure(draft, folder)?;
    put_in_place(draft, folder)
}

/// An empty folder beside the place of a bundle, to be written into.
///
/// # Errors
/// What the host says.
pub fn draft_of(folder: &Path) -> io::Result<PathBuf> {
    let draft = folder.with_extension("new");
    remove(&draft)?;
    fs::create_dir_all(&draft)?;
    Ok(draft)
}

/// What stood there is set aside first, so that one of the two is whole at any moment.
fn put_in_place(draft: &Path, folder: &Path) -> io::Result<()> {
    let aside = folder.with_extension("old");
    remove(&aside)?;
    if folder.exists() {
        fs::rename(folder, &aside)?;
    }
    fs::rename(draft, folder)?;
    remove(&aside)
}

/// Takes a draft, or any folder, away.
///
/// # Errors
/// What the host says.
pub fn remove(folder: &Path) -> io::Result<()> {
    if folder.exists() { fs::remove_dir_all(folder) } else { Ok(()) }
}

fn write_source(draft: &Path, source: &Source) -> io::Result<()> {
    let (file, text) = source.file();
    fs::write(draft.join(file), text + "\n")
}

fn write_recorded(draft: &Path, recorded: &Recorded) -> io::Result<()> {
    fs::write(draft.join(OUTCOME), serde_json::to_string_pretty(recorded)? + "\n")
}

/// Whether a run's end can be played again in this process: it was judged, and did not take it along.
pub fn is_judged(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Violated(found) if !(found.invariant == "I21" && found.step_kind == "run"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Finding;
    use crate::what::What;
    use stormglass_sim::Seed;

    fn recorded(source: &Source) -> Recorded {
        let verdict = Verdict::Violated(Finding {
            invariant: "I5".to_string(),
            statement: "no dangling reference".to_string(),
            place: "row missing".to_string(),
            step_kind: "act".to_string(),
            subject: "s1".to_string(),
            expected: "a row".to_string(),
            actual: "no row".to_string(),
            because: String::new(),
        });
        let outcome = Outcome {
            verdict,
            fingerprint: String::new(),
            op_count: 3,
            counts: Default::default(),
            trail: Default::default(),
        };
        let reproduce = "cargo stormglass run --seed 0x1".to_string();
        let recorded = Recorded::of(source, outcome, (reproduce, Build::default()));
        Recorded { seed: Some("0x1".to_string()), ..recorded }
    }

    /// Goal: a run that another process makes otherwise accuses nobody. Method: a program that leaves another trace
    /// each time, one that leaves none, and one that is as it should be.
    #[test]
    fn a_failure_that_two_processes_make_otherwise_accuses_the_harness() {
        let out = std::env::temp_dir().join(format!("stormglass-twins-{}", std::process::id()));
        let source = What::with_defect(None).source(Seed(1)).unwrap();
        let confirmed_by = |text: &str| {
            let draft = draft_of(&out.join("bundle")).unwrap();
            // A shell runs the text: the arguments of a replay are for it to ignore.
            let program = draft.join("program");
            fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&program, mode).unwrap();
            confirmed(&draft, &recorded(&source), &program).unwrap()
        };
        let sound = confirmed_by("echo '{}'; echo '{}'");
        assert!(sound.is_confirmed && matches!(sound.outcome.verdict, Verdict::Violated(_)));
        for (text, why) in [
            (
                "echo '{}'; echo \"{\\\"own\\\":$$}\"",
                "two processes make other runs of it: the runs part at record 2",
            ),
            ("echo oh >&2", "a process ended without a trace: oh"),
        ] {
            let recorded = confirmed_by(text);
            let Verdict::HarnessBroken(told) = &recorded.outcome.verdict else { panic!("{text}") };
            assert!(!recorded.is_confirmed && told.starts_with(why), "{told}");
            assert_eq!(recorded.signature.unwrap().invariant, "harness-broken");
        }
        remove(&out).unwrap();
    }

    /// Scripts of the control have no plan; their bundles are read and played all the same.
    #[test]
    fn what_was_written_is_read_whether_plan_or_script() {
        let out = std::env::temp_dir().join(format!("stormglass-bundle-{}", std::process::id()));
        for scenario in ["overflow", "sql"] {
            let what = What { scenario: Some(scenario.to_string()), ..What::with_defect(None) };
            let source = what.source(Seed(1)).unwrap();
            let (folder, recorded) = (out.join(scenario), recorded(&source));
            write_plain(&folder, &source, &recorded).unwrap();
            assert_eq!(read(&folder).unwrap(), (source.clone(), Some(recorded.clone())));

            // A better one takes its place, and nothing is left beside it.
            let shrunk = Shrinking { steps: (3, 1), faults: (0, 0), run_count: 1, host_ms: 1 };
            let better = Recorded { shrunk: Some(shrunk), ..recorded };
            let draft = draft_of(&folder).unwrap();
            write_remains(&draft, &source, &source.play(true).unwrap()).unwrap();
            finish(&draft, &folder, &better).unwrap();
            assert_eq!(read(&folder).unwrap(), (source, Some(better)));
            let story = fs::read_to_string(folder.join(STORY)).unwrap();
            assert!(story.starts_with("FAIL ") && story.contains("  shrunk     3 steps to 1, "));
            assert!(folder.join(TRACE).is_file() && folder.join(STORY).is_file());
            assert!(!draft.exists() && !folder.with_extension("old").exists());
        }
        assert_eq!(fs::read_dir(&out).unwrap().count(), 2);
        remove(&out).unwrap();
    }
}
