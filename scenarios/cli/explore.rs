//! `explore`: every crash point and crash state, instead of drawn ones.

use super::{EXIT_BROKEN, EXIT_INTERRUPTED, Error, stopped_by_ctrl_c};
use clap::Args;
use std::sync::atomic::Ordering;
use stormglass_scenarios::explore::matrix::{self, Expectations, Setting};
use stormglass_scenarios::host::Stopwatch;

#[derive(Args)]
pub struct Options {
    /// What bare libsql keeps under every journal_mode and synchronous, however the process ends, held
    /// against the committed table of expectations.
    #[arg(long, required = true)]
    matrix: bool,
    /// Prints a line of JSON a cell.
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> Result<u8, Error> {
    debug_assert!(options.matrix, "there is nothing else to explore");
    let (stop, stopwatch) = (stopped_by_ctrl_c()?, Stopwatch::start());
    let matrix = match matrix::explore(Setting::all(), &Expectations::committed()?, &stop) {
        Ok(matrix) => matrix,
        Err(error) => {
            println!("harness broken: {error}");
            return Ok(EXIT_BROKEN);
        }
    };
    if options.json {
        print!("{}", matrix.to_json_lines());
    } else {
        print!("{}", matrix.in_words());
        // Not among the results: it is the host's.
        eprintln!("{:.1} s", stopwatch.elapsed().as_secs_f64());
    }
    Ok(match stop.load(Ordering::Relaxed) {
        true => EXIT_INTERRUPTED,
        false => matrix.exit_code(),
    })
}
