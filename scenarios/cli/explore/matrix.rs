//! `explore --matrix`: the durability matrix.

use crate::cli::{EXIT_BROKEN, EXIT_INTERRUPTED, Error, stopped_by_ctrl_c};
use std::sync::atomic::Ordering;
use stormglass_scenarios::explore::matrix::{self, Expectations, Setting};
use stormglass_scenarios::host::Stopwatch;

pub fn run(json: bool) -> Result<u8, Error> {
    let (stop, stopwatch) = (stopped_by_ctrl_c()?, Stopwatch::start());
    let matrix = match matrix::explore(Setting::all(), &Expectations::committed()?, &stop) {
        Ok(matrix) => matrix,
        Err(error) => {
            println!("harness broken: {error}");
            return Ok(EXIT_BROKEN);
        }
    };
    if json {
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
