//! `spec`: what a spec declares, and what is wrong with it.

use super::campaign::seed_range;
use super::{Error, FINDINGS, stopped_by_ctrl_c};
use clap::{Args, Subcommand};
use std::fs;
use std::io::{self, Write};
use std::num::NonZero;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use stormglass_scenarios::campaign::findings::Findings;
use stormglass_scenarios::drive::{self, Report};
use stormglass_scenarios::host::cores;
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
    #[arg(long)]
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

pub fn run(options: &Options) -> Result<u8, Error> {
    match &options.command {
        Command::Check(options) => check(options),
        Command::Drive(options) => drive(options),
    }
}

fn check(options: &CheckOptions) -> Result<u8, Error> {
    let mut out = io::stdout().lock();
    let mut unsound_count = 0;
    for (at, path) in options.files.iter().enumerate() {
        let file = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))?;
        let report = spec_report::report(&file, &text, options.lenient);
        let gap = if at > 0 { "\n" } else { "" };
        write!(out, "{gap}{}", report.text)?;
        unsound_count += u32::from(!report.is_sound);
    }
    Ok(if unsound_count == 0 { 0 } else { EXIT_UNSOUND })
}

fn drive(options: &DriveOptions) -> Result<u8, Error> {
    let DriveOptions { files, seeds, jobs, profile, defect, out } = options;
    let texts = drive::read_files(files)?;
    let stop = stopped_by_ctrl_c()?;
    let jobs = jobs.map_or_else(cores, NonZero::get);
    let mut worst = 0;
    for (at, file) in files.iter().enumerate() {
        let served = drive::served(&texts, at).into_iter().map(|place| files[place].clone());
        let (specs, profile) = (served.collect(), profile.clone());
        let what = What { specs, profile, ..What::with_defect(defect.as_deref()) };
        what.plant()?;
        let crew = what.crew()?.stopped_by(&stop);
        let folder = out.join(format!("drive-{}", name_of(file)));
        let findings = Findings::new(&what, &folder, &crew);
        let mut report = Report::new(&file.display().to_string());
        let mut trouble = None;
        let improved = findings.while_playing(|found| {
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
        write!(io::stdout(), "{report}")?;
        for (bundle, one) in improved {
            let bundle = folder.join(bundle);
            let words = one.words;
            println!("  replay       cargo stormglass replay {}  ({words})", bundle.display());
        }
        worst = worst.max(report.exit_code());
        if crew.is_stopped() {
            return Ok(super::EXIT_INTERRUPTED);
        }
    }
    Ok(worst)
}

fn name_of(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.trim_end_matches(".toml").trim_end_matches(".ioa").to_string()
}
