//! `explore --matrix`: the durability matrix.

use crate::cli::told::{Done, Manner, found, manner};
use crate::cli::{EXIT_BROKEN, EXIT_INTERRUPTED, Error, stopped_by_ctrl_c};
use serde_json::json;
use stormglass_scenarios::explore::matrix::{self, Expectations, Setting};
use stormglass_scenarios::host::Stopwatch;

pub fn run() -> Result<Done, Error> {
    let (stop, stopwatch) = (stopped_by_ctrl_c()?, Stopwatch::start());
    let matrix = match matrix::explore(Setting::all(), &Expectations::committed()?, &stop) {
        Ok(matrix) => matrix,
        Err(error) => {
            let why = error.to_string();
            found(format!("harness broken: {why}"));
            return Done::new(
                EXIT_BROKEN,
                json!({ "harness_broken": why, "controls": [], "cells": [] }),
            );
        }
    };
    found(matrix.in_words().trim_end_matches('\n'));
    // Not among the results: it is the host's.
    if manner() != Manner::Quiet {
        eprintln!("{:.1} s", stopwatch.elapsed().as_secs_f64());
    }
    let code = match matrix.was_interrupted() {
        true => EXIT_INTERRUPTED,
        false => matrix.exit_code(),
    };
    let (controls, cells) = (matrix.controls_to_json(), matrix.to_json());
    Done::new(code, json!({ "harness_broken": null, "controls": controls, "cells": cells }))
}
