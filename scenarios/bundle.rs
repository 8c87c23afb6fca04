//! A failure as a folder: the plan, what happened, what was found, and the disk as it was.
//!
//! **Invariant:** a bundle is whole or not there: it is written beside its place and renamed. A later, better
//! one replaces it in the same way.

mod apart;
mod write;

pub use apart::keep_apart;
pub use write::{
    confirmed, draft_of, finish, remove, write_pageless, write_plain, write_played, write_remains,
    write_stop,
};

use crate::build_info::Build;
use crate::plan::{Plan, PlanError};
use crate::runner::{self, PlayOptions};
use crate::shrink::Shrinking;
use crate::sql::{self, Script};
use crate::trail::Trail;
use crate::verdict::{Outcome, Played, Signature, Verdict};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use stormglass_sim::{Fault, WorldError};

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

    /// The faults of the plan that never struck in a run that came to this: their places are others' now, or the
    /// run was over before. Nothing is known of a run that left no trail.
    pub fn idle_faults(&self, outcome: &Outcome) -> Vec<&Fault> {
        let Some(plan) = self.plan().filter(|_| outcome.trail != Trail::default()) else {
            return Vec::new();
        };
        let struck = |at: &usize| outcome.trail.struck.iter().any(|struck| struck.fault == *at);
        let idle = plan.faults.iter().enumerate().filter(|(at, _)| !struck(at));
        idle.map(|(_, fault)| fault).collect()
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
    /// There is nothing of the kind.
    #[error("{}: no folder of a bundle (with {PLAN} and {OUTCOME}), and no plan's file", path.display())]
    None {
        /// What was named.
        path: PathBuf,
    },
    /// The folder of others: of a campaign, or of all of them.
    #[error("{}: no bundle, but a folder with {}: name one of them", path.display(), names.join(", "))]
    Campaign {
        /// What was named.
        path: PathBuf,
        /// The bundles in it, or the campaigns with some.
        names: Vec<String>,
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
    let is_bundle = || path.join(OUTCOME).is_file() || path.join(PLAN).is_file();
    if !path.exists() || (path.is_dir() && !is_bundle()) {
        let (path, names) = (path.to_path_buf(), bundles_in(path));
        return Err(match names.is_empty() {
            true => BundleError::None { path },
            false => BundleError::Campaign { path, names },
        });
    }
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

/// Bundles that a message names at most.
const NAMES_MAX: usize = 12;

/// The bundles right in a folder, or else those in the folders that it holds.
fn bundles_in(folder: &Path) -> Vec<String> {
    let inside = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> =
            entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        folders.sort();
        folders
    };
    let is_bundle = |path: &PathBuf| path.join(OUTCOME).is_file();
    let folders = inside(folder);
    let mut bundles: Vec<PathBuf> =
        folders.iter().filter(|path| is_bundle(path)).cloned().collect();
    if bundles.is_empty() {
        bundles = folders.iter().flat_map(|path| inside(path)).filter(is_bundle).collect();
    }
    let more = bundles.len().saturating_sub(NAMES_MAX);
    let named = bundles.iter().take(NAMES_MAX).map(|path| path.display().to_string());
    named.chain((more > 0).then(|| format!("and {more} more"))).collect()
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

    pub fn recorded(source: &Source) -> Recorded {
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

    /// Goal: a story says which of its faults did nothing. Method: a plan with one that has no place, and one that
    /// has; what is written before a failure is shrunk has its story and no page.
    #[test]
    fn a_story_names_the_faults_that_never_struck() {
        let out = std::env::temp_dir().join(format!("stormglass-idle-{}", std::process::id()));
        let settings = crate::scenario::Settings::default();
        let mut plan = crate::scenario::plan("overflow", Seed(42), &settings).unwrap();
        let fault = |scope: &str| {
            use stormglass_sim::{Effect, When};
            Fault::in_scope(scope, Effect::Slow { ms: 1 }, When::Nth(1))
        };
        plan.faults = vec![fault("step 1"), fault("step 999")];
        let source = Source::Plan(Box::new(plan));
        let played = source.play(false).unwrap();
        let idle: Vec<&Fault> = source.idle_faults(&played.outcome);
        assert_eq!(idle, played.moved.iter().collect::<Vec<_>>());
        let found = recorded(&source);
        let outcome = Outcome { trail: played.outcome.trail, ..found.outcome.clone() };
        write_pageless(&out, &source, &found.clone().with_outcome(outcome)).unwrap();
        let story = fs::read_to_string(out.join(STORY)).unwrap();
        let line =
            "\nmoved        this fault never struck: slow 1 ms, at operation 1, in step 999\n";
        assert!(story.contains(line) && story.matches("never struck").count() == 1, "{story}");
        assert!(!out.join(crate::report::REPORT).exists());
        // Nothing is known of the faults of a run that left no trail.
        write_plain(&out, &source, &found).unwrap();
        assert!(!fs::read_to_string(out.join(STORY)).unwrap().contains("never struck"));
        assert!(out.join(crate::report::REPORT).is_file());
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
            let error = read(&out).expect_err("the folder of a bundle's folder").to_string();
            let has_name = error.contains(&folder.display().to_string());
            assert!(has_name && error.contains(": no bundle, but a folder with "), "{error}");

            // A better one takes its place, and nothing is left beside it.
            let shrunk = Shrinking {
                steps: (3, 1),
                faults: (0, 0),
                run_count: 1,
                host_ms: 1,
                is_cut_short: false,
            };
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
