//! A failure as a person reads it: one screen with the promise, the plan in simulated time, what was expected
//! against what was found, and the commands that go on from there.
//!
//! **Invariant:** it is made from data alone, so that a terminal, a bundle, a saved regression and a test are told
//! the same. What was not done is not told: no line says `replayed` of a run that was played once.

pub mod diff;
mod screen;

pub use screen::Screen;

use crate::build_info::Build;
use crate::bundle::{Recorded, Source};
use crate::faults;
use crate::lines::counted;
use crate::shrink::{Shrinking, settings};
use crate::verdict::{Finding, Outcome, Verdict};
use screen::{ROW, row, wrapped};
use std::path::Path;
use stormglass_sim::Fault;

/// Lines of a run that are shown of a failure that is to fit on a screen.
pub const STORY_MAX: usize = 20;

/// A failure, to be told.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The scenario.
    pub scenario: String,
    /// What a person calls the run: `seed 0x4d2`, `plan cart.json`.
    pub name: String,
    /// What was found.
    pub finding: Finding,
    /// The run, a line each.
    pub story: Vec<String>,
    /// Lines of the run that are shown at most, the last ones.
    pub story_max: usize,
    /// Disk operations, and the hash over the trace.
    pub trace: Option<(u64, String)>,
    /// Of a plan that was shrunk, the settings that the failure needs.
    pub settings: Vec<String>,
    /// How much of the whole plan is left.
    pub shrunk: Option<Shrinking>,
    /// Whether two fresh processes left equal traces.
    pub is_confirmed: bool,
    /// The build that found it.
    pub build: Build,
    /// What else is to be said: a head and words each.
    pub notes: Vec<(String, String)>,
    /// What can be done: a head and a command each.
    pub commands: Vec<(&'static str, String)>,
}

impl Failure {
    /// The failure of a run that ended so; nothing when no promise was broken.
    pub fn of(
        scenario: &str,
        name: &str,
        outcome: &Outcome,
        (story, build): (&[String], &Build),
    ) -> Option<Failure> {
        let Verdict::Violated(finding) = &outcome.verdict else { return None };
        Some(Failure {
            scenario: scenario.to_string(),
            name: name.to_string(),
            finding: finding.clone(),
            story: story.to_vec(),
            story_max: usize::MAX,
            trace: Some((outcome.op_count, outcome.fingerprint.clone())),
            settings: Vec::new(),
            shrunk: None,
            is_confirmed: false,
            build: build.clone(),
            notes: Vec::new(),
            commands: Vec::new(),
        })
    }

    /// The failure of a bundle that lies in `folder`, with the story of its run.
    pub fn of_bundle(
        folder: &Path,
        (source, recorded): (&Source, &Recorded),
        story: &[String],
    ) -> Option<Failure> {
        let Recorded { scenario, seed, defect, outcome, reproduce, shrunk, build, .. } = recorded;
        let name = seed.as_ref().map_or("plan".to_string(), |seed| format!("seed {seed}"));
        let failure = Failure::of(scenario, &name, outcome, (story, build))?;
        let mut commands = Vec::new();
        let replay = format!("cargo stormglass replay {}", folder.display());
        if *reproduce != replay {
            commands.push(("reproduce", reproduce.clone()));
        }
        let label = match shrunk {
            Some(shrunk) if shrunk.is_cut_short => "so far",
            Some(_) => "minimal",
            None => "replay",
        };
        commands.push((label, replay));
        if scenario != crate::scenario::SQL {
            commands.push(("keep", keep(&folder.display().to_string(), defect.as_deref())));
        }
        let shrunk_plan = source.plan().filter(|_| shrunk.is_some());
        let settings = shrunk_plan.map(settings::that_matter).unwrap_or_default();
        let notes = source.idle_faults(outcome).into_iter().map(moved).collect();
        Some(Failure {
            story_max: STORY_MAX,
            trace: None,
            settings,
            shrunk: *shrunk,
            is_confirmed: recorded.is_confirmed,
            notes,
            commands,
            ..failure
        })
    }

    /// The run that failed, and the promise that it broke.
    fn head(&self, width: usize) -> Vec<String> {
        let Failure { scenario, name, finding, .. } = self;
        let Finding { invariant, statement, place, .. } = finding;
        let (run, promise) =
            (format!("FAIL {scenario}   {name}"), format!("{invariant} {statement}: {place}"));
        match run.chars().count() + promise.chars().count() {
            len if len + 3 <= width => vec![format!("{run}   {promise}")],
            _ => [wrapped(&run, 5, width), wrapped(&format!("     {promise}"), 5, width)].concat(),
        }
    }

    /// What was promised of what, and what was found.
    fn difference(&self, width: usize) -> Vec<String> {
        let Finding { subject, expected, actual, because, .. } = &self.finding;
        let mut lines = row("on", subject, width);
        let (expected, actual) = diff::of(expected, actual);
        for (head, side) in [("expected", expected), ("actual", actual)] {
            for (at, words) in side.iter().enumerate() {
                lines.extend(row(if at == 0 { head } else { "" }, words, width));
            }
        }
        if !because.is_empty() {
            lines.extend(row("because", because, width));
        }
        lines
    }

    /// What a person is told at once of a run that has just failed: no story yet, and what can be done.
    pub fn notice(&self, screen: Screen) -> String {
        let commands = self.commands.iter().map(|(head, words)| format!("{head:<12} {words}"));
        let lines = [self.head(screen.width), self.difference(screen.width), commands.collect()];
        lines.concat().iter().map(|line| screen.line(line) + "\n").collect()
    }

    /// The lines of a screen with so many columns, without colour.
    pub fn lines(&self, width: usize) -> Vec<String> {
        let Failure { story, .. } = self;
        let mut lines = self.head(width);
        lines.push(String::new());
        let skipped = story.len().saturating_sub(self.story_max);
        if skipped > 0 {
            lines.push(format!("  ... {} before", counted(skipped, "line")));
        }
        lines.extend(story[skipped..].iter().flat_map(|line| screen::of_story(line, width)));
        if !story.is_empty() {
            lines.push(String::new());
        }
        lines.extend(self.difference(width));
        lines.push(String::new());
        lines.extend(self.circumstances(width));
        lines.push(String::new());
        let notes = self.notes.iter().map(|(head, words)| format!("{head:<12} {words}"));
        lines.extend(notes.flat_map(|note| wrapped(&note, ROW, width)));
        lines.extend(self.commands.iter().map(|(head, words)| format!("{head:<12} {words}")));
        lines
    }

    fn circumstances(&self, width: usize) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.settings.is_empty() {
            lines.extend(row("settings", &self.settings.join(", "), width));
        }
        if let Some((op_count, fingerprint)) = &self.trace {
            lines.extend(row(
                "trace",
                &format!("{}, {fingerprint}", counted(op_count, "disk operation")),
                width,
            ));
        }
        if let Some(shrunk) = &self.shrunk {
            lines.extend(row("shrunk", &shrunk.to_string(), width));
        }
        if self.is_confirmed {
            lines.extend(row("replayed", "twice in fresh processes, traces identical", width));
        }
        lines.extend(row("build", &self.build.brief(), width));
        lines
    }

    /// The whole text, with a line feed at its end.
    pub fn told(&self, screen: Screen) -> String {
        self.lines(screen.width).iter().map(|line| screen.line(line) + "\n").collect()
    }
}

/// What is said of a fault that never struck: a head and words.
pub fn moved(fault: &Fault) -> (String, String) {
    ("moved".to_string(), format!("this fault never struck: {}", faults::in_words(fault)))
}

/// The command that keeps a failure for ever. One of a planted defect goes where plans are played with theirs.
pub fn keep(what: &str, defect: Option<&str>) -> String {
    let folder = defect.map_or(String::new(), |_| " tests/defects".to_string());
    format!("cargo stormglass shrink {what} --save{folder}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Failure {
        let hash = "5ad1feb4b7500be4b245aedc42d21561716211d95f010104c8ae89e927e45cef";
        let finding = Finding {
            invariant: "I4".to_string(),
            statement: "hydration".to_string(),
            place: "value differs".to_string(),
            step_kind: "get".to_string(),
            subject: "tenant-0/Sessions/s1".to_string(),
            expected: format!("200 {{\"fields\":{{\"a\":\"{}\",\"b\":1}}}}", "x".repeat(1_000)),
            actual: "200 {\"fields\":{\"b\":1},\"at\":2}".to_string(),
            because: format!("event 2 wrote field-overflow/sha256/{hash}.json"),
        };
        let line = format!(
            "{:<14} {:<8} {:<9} Write s1 {}",
            "t+0.000s",
            "step 3",
            "client 1",
            "a=1 ".repeat(30)
        );
        Failure {
            scenario: "restart".to_string(),
            name: "seed 0x4d2".to_string(),
            finding,
            story: vec![line; 30],
            story_max: 3,
            trace: None,
            settings: vec!["snapshots every 1 events".to_string()],
            shrunk: Some(Shrinking {
                steps: (212, 2),
                faults: (9, 1),
                run_count: 38,
                host_ms: 4_140,
                is_cut_short: false,
            }),
            is_confirmed: true,
            build: Build { commit: "4f1c9e2a77".to_string(), ..Build::default() },
            notes: Vec::new(),
            commands: vec![("minimal", "cargo stormglass replay findings/9f3c2a1b".to_string())],
        }
    }

    /// One screen: no line is wider, however long its values, and only the paths that differ are shown.
    #[test]
    fn a_failure_is_one_screen_of_what_differs() {
        let told = failure().told(Screen::PLAIN);
        assert!(told.lines().all(|line| line.chars().count() <= 100), "{told}");
        assert!(told.lines().count() <= 40, "{told}");
        assert!(
            told.starts_with("FAIL restart   seed 0x4d2   I4 hydration: value differs\n"),
            "{told}"
        );
        assert!(told.contains("\n  ... 27 lines before\n"), "{told}");
        let diff = "
  expected   at absent
             fields.a = 1000 characters, SHA-256 44bfdd2b...
  actual     at = 2
             fields.a absent
  because    event 2 wrote field-overflow/sha256/5ad1feb4...json
";
        let diff = diff.replace("44bfdd2b", &diff::sha_256("x".repeat(1_000).as_bytes()));
        assert!(told.contains(&diff), "{told}");
        assert!(
            told.contains("\n  shrunk     212 steps to 2, 9 faults to 1 (38 runs, 4.1 s)\n"),
            "{told}"
        );
        assert!(told.contains("\n  replayed   twice in fresh processes"), "{told}");
    }

    /// On a narrow terminal no line is cut by it but commands, which are copied.
    #[test]
    fn a_narrow_screen_has_the_same_words_on_more_lines() {
        let narrow = failure().told(Screen { width: 80, ..Screen::PLAIN });
        let wide = failure().told(Screen::PLAIN);
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert!(narrow.lines().count() > wide.lines().count());
        let words = |told: &str| told.split_whitespace().map(str::to_string).collect::<Vec<_>>();
        assert_eq!(words(&narrow), words(&wide));
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let (plain, coloured) = (failure().told(Screen::PLAIN), failure().told(Screen::COLOURED));
        assert_ne!(plain, coloured);
        let mut bare = String::new();
        for (at, part) in coloured.split('\u{1b}').enumerate() {
            bare += if at == 0 { part } else { part.split_once('m').unwrap().1 };
        }
        assert_eq!(bare, plain);
    }
}
