//! The page of a campaign, from its folder: the lines of its runs, and the summary if it came to one.
//!
//! **Invariant:** what the lines of the runs say is added up here; of the summary only what they do not say is
//! taken, so that a campaign that was killed has a page as well.

mod runs;

use super::plot::{self, Plot, Words, histogram};
use super::text::{island, shown};
use super::{Frame, REPORT, REPORT_JS, named};
use crate::campaign::{SUMMARY, Share};
use crate::counts;
use crate::lines::counted;
use crate::probes::Coverage;
use crate::trail::Place;
use crate::verdict::Signature;
use askama::Template;
use runs::{Kind, Numbers, Runs};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use stormglass_model::violation;

const JS: &str = include_str!("campaign.js");
/// Bars of the speed over time, about.
const TIMES: u64 = 40;
/// Harness errors that are told.
const BROKEN_MAX: usize = 50;

#[derive(Template)]
#[template(path = "campaign.html")]
struct Page {
    frame: Frame,
    verdict: &'static str,
    badge: String,
    sentence: String,
    facts: Vec<(&'static str, String)>,
    verdicts: Vec<Part>,
    failures: Vec<Failure>,
    broken: Vec<(String, String)>,
    broken_left_out: usize,
    plots: Vec<Plot>,
    scenarios: Vec<ScenarioView>,
    probes: Vec<(String, u64)>,
    unreached_count: usize,
    phases: Vec<String>,
    fault_kinds: Vec<KindRow>,
    faults: Vec<FaultRow>,
    sampled_count: u64,
    shares: Vec<(String, u64, Vec<Share>)>,
}

/// A verdict's share of all runs.
struct Part {
    name: &'static str,
    count: u64,
    percent: String,
}

struct Failure {
    signature: String,
    statement: String,
    count: u64,
    first_seed: String,
    shrunk: String,
    link: Option<String>,
}

struct ScenarioView {
    name: String,
    runs: runs::Scenario,
    ops_mean: u64,
    host_ms_mean: String,
}

/// A kind of fault, and how often it fired in each phase.
struct KindRow {
    kind: String,
    fired: u64,
    sampled: u64,
    mattered: u64,
    /// Count, and a shade from 0 to 4.
    phases: Vec<(u64, usize)>,
}

/// A place at which faults fired.
#[derive(Clone)]
struct FaultRow {
    place: Place,
    op: String,
    file: String,
    fired: u64,
    sampled: u64,
    mattered: u64,
}

/// The page of the campaign in `folder`.
///
/// # Errors
/// What the host says of its files, or that one of them is none of a campaign's.
pub fn page(folder: &Path) -> io::Result<String> {
    let runs = Runs::read(folder)?;
    let path = folder.join(SUMMARY);
    let summary = match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| named(&path, error.into()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Value::Null,
        Err(error) => return Err(named(&path, error)),
    };
    Ok(render(folder, runs, &summary))
}

fn render(folder: &Path, runs: Runs, summary: &Value) -> String {
    let Coverage { probes, .. } = Coverage::of(&runs.counts);
    let mut probes: Vec<(String, u64)> = probes.into_iter().collect();
    probes.sort_by_key(|(_, count)| *count > 0);
    let unreached_count = probes.iter().filter(|(_, count)| *count == 0).count();
    let faults = faults(&runs.counts, summary);
    let (phases, fault_kinds) = by_kind(&faults);
    let (verdict, badge, sentence) = head(&runs, summary);
    let name = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    let name = shown(&name.file_name().unwrap_or_default().to_string_lossy(), 200);
    let broken_left_out = runs.broken.len().saturating_sub(BROKEN_MAX);
    let why = |(seed, why): (&String, &String)| (shown(seed, 40), shown(why, 400));
    let shares = runs.shares.tables().into_iter();
    let page = Page {
        frame: Frame::new(format!("Campaign {name}: {badge}"), island(&name), &[REPORT_JS, JS]),
        facts: facts(&name, &runs, summary),
        verdict,
        badge,
        sentence,
        verdicts: verdicts(&runs),
        failures: failures(folder, &runs.failures, summary),
        broken: runs.broken.iter().take(BROKEN_MAX).map(why).collect(),
        broken_left_out,
        plots: plots(&runs.numbers),
        probes,
        unreached_count,
        phases,
        fault_kinds,
        sampled_count: faults.iter().map(|row| row.sampled).sum(),
        faults,
        shares: shares.map(|(protocol, (count, shares))| (protocol, count, shares)).collect(),
        scenarios: runs.scenarios.into_iter().map(ScenarioView::of).collect(),
    };
    page.render().expect("text is written to a string")
}

fn head(runs: &Runs, summary: &Value) -> (&'static str, String, String) {
    let count = runs.numbers.len();
    let broken = summary["harness_error_count"].as_u64().unwrap_or(runs.broken.len() as u64);
    let (violated, kinds) = (runs.violated_count(), runs.failures.len());
    let (class, badge) = match (broken, violated) {
        (1.., _) => ("broken", format!("Harness broken {broken} times").replace("1 times", "once")),
        (0, 0) => ("passed", "Passed".to_string()),
        (0, _) => {
            let names: BTreeSet<&str> = runs.failures.keys().map(|kind| &*kind.invariant).collect();
            let names: Vec<&str> = names.into_iter().collect();
            ("violated", format!("Violated {}", shown(&names.join(", "), 120)))
        }
    };
    let whole = match (summary, summary["was_interrupted"].as_bool()) {
        (Value::Null, _) => " It has not come to its end: there is no summary.",
        (_, Some(true)) => " It was interrupted.",
        _ => "",
    };
    let found = match violated {
        0 => "none of them failed".to_string(),
        _ => format!("{violated} failed in {}", counted(kinds, "way")),
    };
    (class, badge, format!("{}, {found}.{whole}", counted(count, "run")))
}

fn facts(name: &str, runs: &Runs, summary: &Value) -> Vec<(&'static str, String)> {
    let text = |key: &str| summary[key].as_str().map(|text| shown(text, 400));
    let seconds = summary["elapsed_ms"].as_u64().map(|ms| ms as f64 / 1_000.0);
    let per_second = seconds.map(|seconds| runs.numbers.len() as f64 / seconds.max(0.001));
    let ops: u64 = runs.numbers.iter().map(|run| run.ops).sum();
    let facts = [
        ("campaign", Some(name.to_string())),
        ("host time", seconds.map(|seconds| format!("{seconds:.1} s"))),
        ("runs a second", per_second.map(|speed| format!("{speed:.0}"))),
        ("disk operations", Some(ops.to_string())),
        ("canary", text("canary")),
        ("determinism", text("determinism")),
        ("fingerprint", text("fingerprint")),
    ];
    facts.into_iter().filter_map(|(name, fact)| Some((name, fact?))).collect()
}

fn verdicts(runs: &Runs) -> Vec<Part> {
    let (all, violated) = (runs.numbers.len() as u64, runs.violated_count());
    let broken = runs.broken.len() as u64;
    let passed = all.saturating_sub(violated + broken);
    let percent = |count: u64| format!("{:.1}", 100.0 * count as f64 / all.max(1) as f64);
    [("passed", passed), ("violated", violated), ("broken", broken)]
        .map(|(name, count)| Part { name, count, percent: percent(count) })
        .into()
}

fn failures(folder: &Path, kinds: &BTreeMap<Signature, Kind>, summary: &Value) -> Vec<Failure> {
    let of = |(signature, kind): (&Signature, &Kind)| {
        let name = signature.short();
        let told = summary["failures"].as_array().into_iter().flatten();
        let told = told.clone().find(|one| one["signature"] == serde_json::json!(signature));
        let shrunk = told.and_then(|told| told["shrunk"].as_str()).unwrap_or_default();
        let known = violation::ALL.iter().find(|one| one.id() == signature.invariant);
        let statement = known.map_or(kind.statement.as_str(), |one| one.statement());
        let is_there = folder.join(&name).join(REPORT).is_file();
        Failure {
            signature: shown(&signature.to_string(), 200),
            statement: shown(statement, 300),
            count: kind.count,
            first_seed: shown(&kind.first_seed, 40),
            shrunk: shown(shrunk, 200),
            link: is_there.then(|| format!("{name}/{REPORT}")),
        }
    };
    let mut failures: Vec<Failure> = kinds.iter().map(of).collect();
    failures.sort_by_key(|failure| std::cmp::Reverse(failure.count));
    failures
}

impl ScenarioView {
    fn of((name, runs): (String, runs::Scenario)) -> ScenarioView {
        let count = runs.run_count.max(1);
        let ops_mean = runs.op_count / count;
        let host_ms_mean = format!("{:.1}", runs.host_ms as f64 / count as f64);
        ScenarioView { name: shown(&name, 60), runs, ops_mean, host_ms_mean }
    }
}

/// A row for each place at which faults fired; what mattered comes from the summary.
fn faults(counts: &BTreeMap<String, u64>, summary: &Value) -> Vec<FaultRow> {
    let mut found: BTreeMap<Place, (u64, u64)> = BTreeMap::new();
    for row in summary["faults"].as_array().into_iter().flatten() {
        let place = ["kind", "op", "file", "phase"].map(|key| (key.to_string(), row[key].clone()));
        let place = Value::Object(place.into_iter().collect());
        let Ok(place) = serde_json::from_value(place) else { continue };
        let number = |key: &str| row[key].as_u64().unwrap_or(0);
        found.insert(place, (number("sampled"), number("mattered")));
    }
    let words = |kind: Value| kind.as_str().unwrap_or_default().to_string();
    let row = |(name, fired): (&String, &u64)| {
        let place: Place = serde_json::from_str(name.strip_prefix(counts::FAULT_AT)?).ok()?;
        let (sampled, mattered) = found.get(&place).copied().unwrap_or_default();
        let (op, file) = (words(serde_json::json!(place.op)), words(serde_json::json!(place.file)));
        Some(FaultRow { place, op, file, fired: *fired, sampled, mattered })
    };
    let mut rows: Vec<FaultRow> = counts.iter().filter_map(row).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.fired));
    rows
}

/// The phases, and the kinds of faults by how often each fired in them.
fn by_kind(faults: &[FaultRow]) -> (Vec<String>, Vec<KindRow>) {
    let met: BTreeSet<&str> = faults.iter().map(|row| row.place.phase.as_str()).collect();
    let phases: Vec<String> = counts::Phase::ALL
        .iter()
        .map(|phase| phase.name().to_string())
        .filter(|name| met.contains(name.as_str()))
        .collect();
    let mut kinds: BTreeMap<&str, KindRow> = BTreeMap::new();
    for row in faults {
        let kind = row.place.kind.clone();
        let empty = || KindRow {
            kind,
            fired: 0,
            sampled: 0,
            mattered: 0,
            phases: vec![(0, 0); phases.len()],
        };
        let of = kinds.entry(&row.place.kind).or_insert_with(empty);
        of.fired += row.fired;
        of.sampled += row.sampled;
        of.mattered += row.mattered;
        if let Some(at) = phases.iter().position(|name| *name == row.place.phase) {
            of.phases[at].0 += row.fired;
        }
    }
    let mut rows: Vec<KindRow> = kinds.into_values().collect();
    let cells = rows.iter().flat_map(|row| row.phases.iter().map(|(count, _)| *count));
    let most = cells.max().unwrap_or(0).max(1) as f64;
    for (count, shade) in rows.iter_mut().flat_map(|row| row.phases.iter_mut()) {
        *shade = if *count == 0 { 0 } else { (1.0 + 3.0 * (*count as f64 / most).sqrt()) as usize };
    }
    (phases, rows)
}

fn plots(numbers: &[Numbers]) -> Vec<Plot> {
    let ops = Words {
        id: "ops",
        title: "Disk operations of a run",
        x_name: "disk operations",
        y_name: "runs",
    };
    let answers =
        Words { id: "answers", title: "Answers of a run", x_name: "answers", y_name: "runs" };
    let durations = Words {
        id: "durations",
        title: "Duration of a run",
        x_name: "milliseconds of host time",
        y_name: "runs",
    };
    let of = |value: fn(&Numbers) -> u64| numbers.iter().map(value).collect();
    let plots = [
        speed(numbers),
        histogram(durations, of(|run| run.host_ms)),
        histogram(ops, of(|run| run.ops)),
        histogram(answers, of(|run| run.answers)),
    ];
    plots.into_iter().flatten().collect()
}

/// Runs a second over time, where the lines say when they were written.
fn speed(numbers: &[Numbers]) -> Option<Plot> {
    let ends: Vec<u64> = numbers.iter().filter_map(|run| run.at_ms).collect();
    let last = *ends.iter().max()?;
    let step = plot::nice((last / TIMES).max(100));
    let mut counts = vec![0_u64; (last / step + 1) as usize];
    ends.iter().for_each(|end| counts[(end / step) as usize] += 1);
    let seconds = |ms: u64| match step < 1_000 {
        true => format!("{:.1}", ms as f64 / 1_000.0),
        false => (ms / 1_000).to_string(),
    };
    let bar = |(at, count): (usize, &u64)| {
        let (from, end) = (at as u64 * step, ((at as u64 + 1) * step).min(last + 1));
        // What is less than half a bar says little of a second.
        let width = (end - from).max(step / 2) as f64 / 1_000.0;
        (format!("{} s to {} s", seconds(from), seconds(end)), *count as f64 / width)
    };
    let bars: Vec<(String, f64)> = counts.iter().enumerate().map(bar).collect();
    let below = (0..counts.len() as u64).map(|at| format!("{} s", seconds(at * step))).collect();
    let mean = ends.len() as f64 * 1_000.0 / last.max(1) as f64;
    let summary = format!("{mean:.0} runs a second on the whole, over {} s", seconds(last));
    let words = Words {
        id: "speed",
        title: "Runs a second",
        x_name: "host time since the first run",
        y_name: "runs a second",
    };
    Some(plot::plot(words, summary, bars, below))
}
