//! `spec`: what a spec declares, and what is wrong with it.

use super::Error;
use clap::{Args, Subcommand};
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use stormglass_scenarios::spec_report;

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

pub fn run(options: &Options) -> Result<u8, Error> {
    match &options.command {
        Command::Check(options) => check(options),
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
