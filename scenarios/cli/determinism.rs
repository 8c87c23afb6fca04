//! `check-determinism`: one seed in two processes.

use super::run::SeedOptions;
use super::{EXIT_BROKEN, Error};
use stormglass_scenarios::determinism::{self, Comparison};
use stormglass_scenarios::host::fresh_seed;

pub fn run(options: &SeedOptions) -> Result<u8, Error> {
    options.what.plant()?;
    let seed = options.seed.unwrap_or_else(fresh_seed);
    let program = std::env::current_exe()?;
    let mut arguments = options.what.arguments("run");
    arguments.extend(["--trace".to_string(), "--seed".to_string(), seed.to_string()]);
    Ok(match determinism::compare(&program, &arguments)? {
        Comparison::Equal { line_count } => {
            println!("seed {seed}: two processes, {line_count} records each, all equal");
            0
        }
        Comparison::Differ { line, first, second } => {
            println!("seed {seed}: the traces of two processes differ at record {line}");
            println!("  first   {}", first.as_deref().unwrap_or("(ended)"));
            println!("  second  {}", second.as_deref().unwrap_or("(ended)"));
            EXIT_BROKEN
        }
        Comparison::NoTrace { last_words } => {
            println!("seed {seed}: a process ended without a trace: {last_words}");
            EXIT_BROKEN
        }
    })
}
