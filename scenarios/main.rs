//! `cargo stormglass ...`

mod cli;

use clap::Parser;
use std::process::ExitCode;

/// Input that is no good, or a failure of the host.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse()).map_or_else(
        |error| {
            eprintln!("error: {error}");
            ExitCode::from(EXIT_USAGE)
        },
        ExitCode::from,
    )
}
