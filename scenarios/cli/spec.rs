//! `spec`: what a spec declares, and what is wrong with it.

use super::campaign::seed_range;
use super::told::{Done, found, say};
use super::{EXIT_INTERRUPTED, Error, FINDINGS, some, stopped_by_ctrl_c};
use clap::{Args, Subcommand};
use serde_json::json;
use std::fs;
use std::num::NonZero;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use stormglass_scenarios::campaign::findings::Findings;
use stormglass_scenarios::drive::{self, Report};
use stormglass_scenarios::host::cores;
use stormglass_scenarios::lines::counted;
use stormglass_scenarios::what::What;
use stormglass_scenarios::{profile, spec_report};
use stormglass_sim::Seed;

/// Specs that the platform does not take.
const EXIT_UNSOUND: u8 = 2;

#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Says what specs declare, what of them is not executed, and what is wrong with them.
    Check(CheckOptions),
    /// Drives specs through the harness, each by itself, with whatever it spawns of the others.
    Drive(DriveOptions),
}

#[derive(Args)]
struct CheckOptions {
    /// Specs: IOA, TOML.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Takes unknown keys for warnings, as for specs of newer versions.
    #[arg(long)]
    lenient: bool,
}

#[derive(Args)]
struct DriveOptions {
    /// Specs: IOA, TOML.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How many seeds of each spec, from 0 on, or a range without its end: 0..100.
    #[arg(long, default_value = "100", value_parser = seeds)]
    seeds: Range<u64>,
    /// Processes that play at once. One a core if absent.
    #[arg(long, value_parser = some::<NonZero<usize>>)]
    jobs: Option<NonZero<usize>>,
    /// How long and how hostile the runs are: quick, nightly, hostile, damage, or the path of a TOML file.
    #[arg(long, default_value = profile::DEFAULT)]
    profile: String,
    /// A known defect to plant in the platform.
    #[arg(long)]
    defect: Option<String>,
    /// The folder for a folder a spec, in it a bundle a failure.
    #[arg(long, default_value = FINDINGS)]
    out: PathBuf,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    if text.contains("..") {
        return seed_range(text);
    }
    let count: u64 = text.parse().map_err(|_| "give a number, or a range such as 0..1000")?;
    if count == 0 { Err("the range holds no seed".to_string()) } else { Ok(0..count) }
}

impl Options {
    /// The command as it is typed.
    pub fn name(&self) -> &'static str {
        match self.command {
            Command::Check(_) => "spec check",
            Command::Drive(_) => "spec drive",
        }
    }
}

pub fn run(options: &Options) -> Result<Done, Error> {
    match &options.command {
        Command::Check(options) => check(options),
        Command::Drive(options) => drive(options),
    }
}

fn check(options: &CheckOptions) -> Result<Done, Error> {
    let mut specs = Vec::new();
    let mut is_sound = true;
    for (at, path) in options.files.iter().enumerate() {
        let file = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))?;
        let report = spec_report::report(&file, &text, options.lenient);
        let gap = if at > 0 { "\n" } else { "" };
        let told = format!("{gap}{}", report.text.trim_end_matches('\n'));
        if report.is_sound {
            say(told)
        } else {
            found(told)
        }
        is_sound &= report.is_sound;
        specs.push(json!({ "file": file, "is_sound": report.is_sound, "report": report.text }));
    }
    Done::new(if is_sound { 0 } else { EXIT_UNSOUND }, json!({ "specs": specs }))
}

fn drive(options: &DriveOptions) -> Result<Done, Error> {
    let DriveOptions { files, seeds, jobs, profile, defect, out } = options;
    let texts = drive::read_files(files)?;
    let stop = stopped_by_ctrl_c()?;
    let jobs = jobs.map_or_else(cores, NonZero::get);
    let (mut worst, mut reports) = (0, Vec::new());
    for (at, file) in files.iter().enumerate() {
        let served = drive::served(&texts, at).into_iter().map(|place| files[place].clone());
        let (specs, profile) = (served.collect(), profile.clone());
        let what = What { specs, profile, ..What::with_defect(defect.as_deref()) };
        what.plant()?;
        let crew = what.crew()?.stopped_by(&stop);
        let folder = out.join(format!("drive-{}", name_of(file)));
        let findings = Findings::new(&what, &folder, &crew);
        let mut report = Report::new(
            &file.display().to_string(),
            &format!("cargo stormglass {}", what.arguments("run").join(" ")),
        );
        let mut trouble = None;
        let improved = findings.while_playing(seeds.start, |found| {
            crew.play_all(seeds.clone().map(Seed), jobs, |ended| {
                report.add(ended.seed, &ended.outcome);
                match found.look_at(&ended) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        trouble = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })
        })?;
        trouble.map_or(Ok(()), Err)?;
        found(report.to_string().trim_end_matches('\n'));
        let mut bundles = Vec::new();
        for (bundle, one) in improved {
            let bundle = folder.join(bundle);
            let command = format!("cargo stormglass replay {}", bundle.display());
            let words = one.words;
            found(format!("  replay       {command}  ({words})"));
            bundles.push(json!({ "bundle": bundle, "shrunk": words }));
        }
        worst = worst.max(report.exit_code());
        let mut told = report.to_json();
        told["bundles"] = json!(bundles);
        reports.push(told);
        if crew.is_stopped() {
            let (played, all) = (report.run_count(), seeds.end - seeds.start);
            let specs = files.len() - at - 1;
            let file = file.display();
            found(format!(
                "interrupted: {played} of {} of {file}, {} not begun",
                counted(all, "run"),
                counted(specs, "spec")
            ));
            worst = EXIT_INTERRUPTED;
            break;
        }
    }
    Done::new(worst, json!({ "specs": reports }))
}

fn name_of(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.trim_end_matches(".toml").trim_end_matches(".ioa").to_string()
}
