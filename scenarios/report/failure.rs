//! The page of one failure, from its bundle's folder.
//!
//! **Invariant:** a bundle's files and its folder's name decide every byte: equal bundles have equal pages. What a
//! bundle lacks, as one whose run took its process along lacks a trace, is said and does not keep the rest away.

use super::crash::{self, CrashView};
use super::diff::{self, Part};
use super::records::{Record, standings};
use super::scenes::Scenes;
use super::tables::Table;
use super::text::{island, shown, shown_lines};
use super::timeline::{Lane, Timeline};
use super::{Frame, REPORT_JS, named, of_line};
use crate::bundle::{CRASHES, OUTCOME, PLAN, Recorded, STORY, TRACE};
use crate::faults;
use crate::plan::Plan;
use crate::translate;
use crate::verdict::{Finding, Verdict};
use askama::Template;
use serde::de::DeserializeOwned;
use std::fs;
use std::io;
use std::path::Path;
use stormglass_model::violation;

const JS: &str = include_str!("timeline.js");
/// Characters of an expected or actual value.
const VALUE_MAX: usize = 2_000;

#[derive(Template)]
#[template(path = "failure.html")]
struct Page {
    frame: Frame,
    /// For style sheets: `violated`, `broken`, `passed`.
    verdict: &'static str,
    badge: String,
    sentence: String,
    place: String,
    facts: Vec<(&'static str, String)>,
    commands: Vec<(&'static str, String)>,
    diff: Option<Diff>,
    story: String,
    timeline: Timeline,
    lanes: Vec<Lane>,
    crashes: Vec<CrashView>,
    earlier_crashes: usize,
    end_tables: Vec<Table>,
    plan: Option<PlanView>,
    build: Vec<(String, String)>,
}

struct Diff {
    subject: String,
    expected: Vec<Part>,
    actual: Vec<Part>,
    because: String,
}

/// A plan for a reader.
struct PlanView {
    settings: Vec<(&'static str, String)>,
    steps: Vec<StepView>,
    faults: Vec<String>,
}

struct StepView {
    id: u32,
    client: String,
    is_together: bool,
    what: String,
}

/// The page of the bundle in `folder`, which is called `name`.
///
/// # Errors
/// What the host says of its files, or that one of them is none of a bundle's.
pub fn page(folder: &Path, name: &str) -> io::Result<String> {
    let recorded: Recorded = json(folder, OUTCOME)?
        .ok_or_else(|| io::Error::other(format!("no {OUTCOME} in {}", folder.display())))?;
    let plan = text(folder, PLAN)?.and_then(|text| Plan::from_json(&text).ok());
    let scenes: Scenes = json(folder, CRASHES)?.unwrap_or_default();
    let records = records(folder)?;
    let story = text(folder, STORY)?.unwrap_or_default();
    Ok(render(&Bundle { name, recorded, plan, scenes, records, story }))
}

struct Bundle<'a> {
    name: &'a str,
    recorded: Recorded,
    plan: Option<Plan>,
    scenes: Scenes,
    records: Vec<Record>,
    story: String,
}

fn render(bundle: &Bundle<'_>) -> String {
    let Bundle { name, recorded, plan, scenes, records, story } = bundle;
    let verdict = &recorded.outcome.verdict;
    let finding = match verdict {
        Verdict::Violated(finding) => Some(finding),
        _ => None,
    };
    let standings = standings(records, scenes);
    let found = recorded.signature.as_ref().map(|signature| {
        let statement = finding.map_or("", |found| found.statement.as_str());
        format!("{} {statement}: {}", signature.invariant, signature.place)
    });
    let timeline = Timeline::of(records, (scenes, &standings), plan.as_ref(), found.as_deref());
    let crashes = crash::views(records, (scenes, &standings), finding);
    let (class, badge, sentence, place) = head(verdict);
    let data = island(&timeline.drawing());
    let page = Page {
        frame: Frame::new(format!("{badge}: {place}"), data, &[REPORT_JS, JS]),
        verdict: class,
        badge,
        sentence,
        place,
        facts: facts(recorded),
        commands: commands(recorded, name),
        diff: finding.map(Diff::of),
        story: shown_lines(story, 400),
        lanes: timeline.lanes(),
        timeline,
        earlier_crashes: scenes.crashes.len() - crashes.len(),
        crashes,
        end_tables: crash::end_tables(records, scenes, finding),
        plan: plan.as_ref().map(PlanView::of),
        build: build(recorded),
    };
    page.render().expect("text is written to a string")
}

/// The verdict in a word, its badge, its sentence, and where.
fn head(verdict: &Verdict) -> (&'static str, String, String, String) {
    match verdict {
        Verdict::Passed => {
            let sentence = "every check held".to_string();
            ("passed", "Passed".to_string(), sentence, "nothing was found".to_string())
        }
        Verdict::HarnessBroken(why) => {
            let sentence = "The harness itself failed: this run accuses nobody.".to_string();
            ("broken", "Harness broken".to_string(), sentence, shown(why, VALUE_MAX))
        }
        Verdict::Violated(finding) => {
            let all = violation::ALL.iter();
            let known = all.clone().find(|one| one.id() == finding.invariant);
            let words = known.map_or(finding.statement.as_str(), |one| one.statement());
            let badge = format!("Violated {}", shown(&finding.invariant, 60));
            ("violated", badge, sentence(words), shown(&finding.place, 200))
        }
    }
}

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if words.ends_with('.') { "" } else { "." };
    shown(&format!("{first}{}{end}", letters.as_str()), VALUE_MAX)
}

fn facts(recorded: &Recorded) -> Vec<(&'static str, String)> {
    let seed = recorded.seed.clone();
    let signature = recorded.signature.as_ref();
    let ops = recorded.outcome.op_count.to_string();
    let facts = [
        ("scenario", Some(recorded.scenario.clone())),
        ("seed", seed),
        ("signature", signature.map(|signature| format!("{}  {signature}", signature.short()))),
        ("planted defect", recorded.defect.clone()),
        ("shrunk", recorded.shrunk.map(|shrunk| shrunk.to_string())),
        ("disk operations", Some(ops)),
        ("fingerprint", Some(recorded.outcome.fingerprint.clone()).filter(|hash| !hash.is_empty())),
    ];
    facts.into_iter().filter_map(|(name, fact)| Some((name, shown(&fact?, 300)))).collect()
}

fn commands(recorded: &Recorded, name: &str) -> Vec<(&'static str, String)> {
    let name = shown(name, 200);
    let mut commands = vec![
        ("reproduce", shown(&recorded.reproduce, 400)),
        ("replay this", format!("cargo stormglass replay {name}")),
    ];
    if recorded.defect.is_none() && matches!(recorded.outcome.verdict, Verdict::Violated(_)) {
        commands.push(("keep", format!("cargo stormglass shrink {name} --save")));
    }
    commands
}

impl Diff {
    fn of(finding: &Finding) -> Diff {
        let [expected, actual] =
            [&finding.expected, &finding.actual].map(|text| shown(text, VALUE_MAX));
        let [expected, actual] = diff::parts(&expected, &actual);
        let subject = shown(&finding.subject, 300);
        Diff { subject, expected, actual, because: shown(&finding.because, VALUE_MAX) }
    }
}

impl PlanView {
    fn of(plan: &Plan) -> PlanView {
        let settings = plan.settings().into_iter();
        let settings = settings.map(|(head, words)| (head, shown(&words.join(", "), 600)));
        let step = |step: &crate::plan::Step| StepView {
            id: step.id,
            client: if step.client == 0 { String::new() } else { step.client.to_string() },
            is_together: step.together,
            what: shown(&translate::brief(step), 400),
        };
        PlanView {
            settings: settings.collect(),
            steps: plan.steps.iter().map(step).collect(),
            faults: plan.faults.iter().map(|fault| shown(&faults::in_words(fault), 400)).collect(),
        }
    }
}

/// The build as it was recorded, whatever it is made of.
fn build(recorded: &Recorded) -> Vec<(String, String)> {
    let build = serde_json::to_value(&recorded.build).unwrap_or_default();
    let parts = build.as_object().cloned().unwrap_or_default().into_iter().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        (name.replace('_', " "), shown(&value, 200))
    });
    parts.collect()
}

fn text(folder: &Path, file: &str) -> io::Result<Option<String>> {
    let path = folder.join(file);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(&path, error)),
    }
}

fn json<T: DeserializeOwned>(folder: &Path, file: &str) -> io::Result<Option<T>> {
    let Some(text) = text(folder, file)? else { return Ok(None) };
    let read = serde_json::from_str(&text);
    read.map(Some).map_err(|error| named(&folder.join(file), error.into()))
}

fn records(folder: &Path) -> io::Result<Vec<Record>> {
    let text = text(folder, TRACE)?.unwrap_or_default();
    let path = folder.join(TRACE);
    let read = |(line, at): (&str, usize)| {
        serde_json::from_str(line).map_err(|error| of_line(&path, at, &error))
    };
    text.lines().zip(1..).map(read).collect()
}
