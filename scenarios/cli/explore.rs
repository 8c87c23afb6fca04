//! `explore`: every crash point of one run, in a bounded set of crash states.

mod matrix;
mod progress;

use super::told::{Done, found, say};
use super::{EXIT_BROKEN, EXIT_INTERRUPTED, Error, FINDINGS, some, stopped_by_ctrl_c};
use clap::Args;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use stormglass_scenarios::build_info::Build;
use stormglass_scenarios::bundle::{self, Recorded, Source};
use stormglass_scenarios::explore::errors::{self, Trouble};
use stormglass_scenarios::explore::report::{Counts, Found, Report};
use stormglass_scenarios::explore::slices::{Explored, Slices};
use stormglass_scenarios::explore::watch::{Line, Teller};
use stormglass_scenarios::explore::{Budget, explore};
use stormglass_scenarios::failure::Screen;
use stormglass_scenarios::host::{Stopwatch, cores, fresh_seed};
use stormglass_scenarios::lines::counted;
use stormglass_scenarios::plan::Plan;
use stormglass_scenarios::verdict::Verdict;
use stormglass_scenarios::what::What;
use stormglass_scenarios::workers::{Crew, Order, end_with_whoever_asked, without_end};
use stormglass_sim::Seed;

#[derive(Args)]
pub struct Options {
    /// The seed whose run is explored: decimal, 0x..., or a commit hash of 40 digits. A fresh one if absent.
    #[arg(long)]
    seed: Option<Seed>,
    #[command(flatten)]
    what: What,
    /// Crash states before each disk operation, at most.
    #[arg(long, default_value = "64", value_name = "K", value_parser = some::<NonZero<usize>>)]
    states: NonZero<usize>,
    /// 1: crashes of the run; 2: and of each recovery from one.
    #[arg(long, default_value = "1", value_parser = clap::value_parser!(u32).range(1..=2))]
    depth: u32,
    /// Recoveries from crashes within recoveries at most, with a depth of 2; and as many from crashes in what comes
    /// after a recovery, the run's own end.
    #[arg(long, default_value = "100000", value_name = "N")]
    recoveries_max: u64,
    /// In place of crashes an error of the device at every disk operation, once and from there on; or the end
    /// of a guest's fuel at every part of what it uses; or silent damage at every disk operation.
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["states", "depth"])]
    faults: Vec<Trouble>,
    /// Processes; as many as there are cores if absent.
    #[arg(long, value_parser = some::<NonZero<u64>>)]
    jobs: Option<NonZero<u64>>,
    /// What bare libsql keeps under every journal_mode and synchronous, however the process ends, held
    /// against the committed table of expectations, in place of a run.
    #[arg(long, conflicts_with_all = ["seed", "scenario", "specs", "protocol", "defect", "states", "depth", "faults", "jobs"])]
    matrix: bool,
    /// Explores this slice, I/N, and prints its report: what the processes of one exploration are told.
    #[arg(long, hide = true, value_parser = slice)]
    slice: Option<(u64, u64)>,
    /// Of a slice: ends with the plan that comes to its recovery of this number.
    #[arg(long, hide = true, requires = "slice")]
    until: Option<u64>,
}

fn slice(text: &str) -> Result<(u64, u64), String> {
    let parts =
        text.split_once('/').and_then(|(at, of)| Some((at.parse().ok()?, of.parse().ok()?)));
    parts.filter(|(at, of)| at < of).ok_or_else(|| format!("`{text}` is no slice I/N"))
}

pub fn run(options: &Options) -> Result<Done, Error> {
    if options.matrix {
        return matrix::run();
    }
    let Options { seed, what, .. } = options;
    what.plant()?;
    let seed = seed.unwrap_or_else(fresh_seed);
    let Source::Plan(plan) = what.source(seed)? else {
        let why = "scenario `sql` has no plans to explore: choose another with --scenario";
        return Err(why.into());
    };
    if let Some(slice) = options.slice {
        return options.slice(&plan, slice);
    }
    let watch = Stopwatch::start();
    let stop = stopped_by_ctrl_c()?;
    let jobs = options.jobs.map_or(cores() as u64, NonZero::get);
    let explorers = Crew::of_this_program(options.words(seed))?.stopped_by(&stop);
    let players = what.crew()?.stopped_by(&stop);
    let progress = progress::Progress::new();
    let told = |report: &Report| progress.explored(report);
    let explored =
        Slices { explorers, players, count: jobs, plan: &plan, told: &told }.explore()?;
    drop(progress);
    let seconds = watch.elapsed().as_secs_f64();
    options.tell(seed, &plan, &explored, (seconds, jobs))
}

impl Options {
    fn budget(&self, slice: (u64, u64)) -> Budget {
        let recoveries_max = self.recoveries_max.div_ceil(slice.1);
        Budget { states: self.states.get(), depth: self.depth, recoveries_max, slice }
    }

    /// What a slice is told of how much there is to explore.
    fn share(&self) -> Vec<String> {
        if !self.faults.is_empty() {
            let names: Vec<&str> = self.faults.iter().map(|error| error.name()).collect();
            return vec!["--faults".to_string(), names.join(",")];
        }
        let budget = [
            ("--states", self.states.to_string()),
            ("--depth", self.depth.to_string()),
            ("--recoveries-max", self.recoveries_max.to_string()),
        ];
        budget.into_iter().flat_map(|(name, value)| [name.to_string(), value]).collect()
    }

    /// What every process is told that explores a slice.
    fn words(&self, seed: Seed) -> Vec<String> {
        let mut words = self.what.arguments("explore");
        words.extend(["--seed".to_string(), seed.to_string()]);
        words.extend(self.share());
        words
    }

    /// Explores a slice for the process that has started this one.
    fn slice(&self, plan: &Plan, slice: (u64, u64)) -> Result<Done, Error> {
        end_with_whoever_asked();
        let mut teller = Teller::new(self.until);
        let report = match &self.faults[..] {
            [] => explore(plan, self.budget(slice), &mut teller)?,
            faults => errors::explore(plan, faults, slice, &mut teller)?,
        };
        Teller::say(&Line::Done(Box::new(report)));
        Done::new(0, ())
    }

    /// Prints what was found and returns the exit code.
    fn tell(
        &self,
        seed: Seed,
        plan: &Plan,
        explored: &Explored,
        (seconds, jobs): (f64, u64),
    ) -> Result<Done, Error> {
        let Explored { report, left, broken, was_interrupted } = explored;
        let (scenario, screen) = (plan.scenario.as_str(), Screen::of_stdout());
        let mut worst = if broken.is_empty() { 0 } else { EXIT_BROKEN };
        let mut failures = Vec::new();
        for found in report.signatures().into_values() {
            let (code, folder) = self.keep(seed, plan, found)?;
            worst = worst.max(code);
            failures.push((found, folder));
        }
        let recoveries = report.recoveries();
        let rate = recoveries as f64 / seconds.max(0.001) / jobs as f64;
        say(format!("explore  {scenario}  seed {seed}\n"));
        report.in_words().iter().for_each(say);
        say("");
        for why in broken {
            found(format!("HARNESS BROKEN {why}\n"));
        }
        for (failure, folder) in &failures {
            match &failure.verdict {
                Verdict::Violated(_) => {
                    // The bundle was written a moment ago.
                    let story =
                        std::fs::read_to_string(folder.join(bundle::STORY)).unwrap_or_default();
                    story.lines().for_each(|line| found(screen.line(line)));
                }
                other => found(other.in_words()),
            }
            found(format!("bundle       {}\n", folder.display()));
        }
        let (total, ops) = (report.total(), report.ops_after);
        if report.end_points > 0 {
            let count = report.end_points;
            say(format!(
                "the run's end {count} of the points: its reads, its minutes, its last restart"
            ));
        }
        if ops > 0 {
            let why = "in which everything must be answered: it is the part without faults";
            let words = format!("{} of the run's own end, {why}", counted(ops, "operation"));
            say(screen.told("not explored", &words));
        }
        if report.is_of_a_failing_run() {
            let why = "anything: the run fails by itself already; mend that first, or choose another seed";
            found(screen.told("not explored", why));
        }
        let points_left = report.points_left();
        if points_left > 0 || *was_interrupted {
            let all = report.points_in_all;
            found(format!(
                "not explored {points_left} of {}, or not by every process",
                counted(all, "point")
            ));
        }
        left.iter().for_each(|slice| found(format!("not explored {slice}")));
        if total.left_out > 0 && self.faults.is_empty() {
            let (left_out, states) = (total.left_out, self.states);
            say(format!(
                "left out     {}: raise --states (now {states})",
                counted(left_out, "state")
            ));
        }
        if self.faults.is_empty() {
            let Counts { joined, .. } = total;
            let whole = recoveries - joined;
            say(format!(
                "to the end   {}; {joined} until they were where another had been",
                counted(whole, "recovery")
            ));
        }
        if self.faults.contains(&Trouble::Fuel) && report.is_without_guests() && !was_interrupted {
            found("no guest runs in this one, so that no fuel could end: try --scenario wasm");
        }
        let kind = if self.faults.is_empty() { "crash" } else { "fault" };
        let (points, violations, kinds) = (total.points, total.violations, failures.len());
        let interrupted = if *was_interrupted { "interrupted: " } else { "" };
        found(format!(
            "{interrupted}{}, {}, {} ({}), {seconds:.1} s, {}/s a core",
            counted(points, &format!("{kind} point")),
            counted(recoveries, "recovery"),
            counted(violations, "violation"),
            counted(kinds, "signature"),
            counted(format!("{rate:.0}"), "recovery"),
        ));
        let failures = failures.iter().map(|(found, folder)| {
            serde_json::json!({ "signature": found.signature, "verdict": found.verdict, "bundle": folder })
        });
        let result = serde_json::json!({
            "seed": seed.to_string(),
            "scenario": scenario,
            "states_max": self.states,
            "depth": self.depth,
            "phases": report.phases,
            "total": total,
            "end_points": report.end_points,
            "ops_not_explored": ops,
            "points_not_explored": points_left,
            "slices_left": left,
            "harness_broken": broken,
            "failures": failures.collect::<Vec<_>>(),
            "elapsed_ms": (seconds * 1e3) as u64,
            "jobs": jobs,
        });
        Done::new(if *was_interrupted { EXIT_INTERRUPTED } else { worst }, result)
    }

    /// Plays a failure's plan alone and keeps it as a bundle. A plan that does not fail so by itself accuses
    /// the harness.
    fn keep(&self, seed: Seed, explored: &Plan, found: &Found) -> Result<(u8, PathBuf), Error> {
        let name = format!("explore-{seed}");
        let folder = Path::new(FINDINGS).join(name).join(found.signature.short());
        let source = Source::Plan(Box::new(found.plan.clone()));
        let crew = self.what.crew()?;
        let outcome = match &found.verdict {
            // It has been played alone, which cost its process its life.
            Verdict::Violated(_) if !bundle::is_judged(&found.verdict) => {
                without_end(found.verdict.clone())
            }
            _ => crew.solo().play(&Order::plan(&found.plan))?.ok_or("interrupted")?,
        };
        let reproduce = format!("cargo stormglass replay {}", folder.display());
        let recorded = Recorded {
            defect: self.what.defect.clone(),
            // The run as the seed makes it; a plan with a crash more is no seed's.
            seed: (found.plan == *explored).then(|| seed.to_string()),
            ..Recorded::of(&source, outcome, (reproduce, Build::this()))
        };
        let is_same = recorded.signature.as_ref() == Some(&found.signature);
        let (recorded, _) = bundle::write_played(&folder, &source, &recorded, &crew.program)?;
        let code = match (&found.verdict, &recorded.outcome.verdict) {
            (Verdict::HarnessBroken(_), _) => EXIT_BROKEN,
            (_, Verdict::Violated(_)) if is_same => 1,
            (_, ended) => {
                eprintln!(
                    "HARNESS BROKEN played alone the plan of {} ends with: {}",
                    found.signature,
                    ended.in_words()
                );
                EXIT_BROKEN
            }
        };
        Ok((code, folder))
    }
}
