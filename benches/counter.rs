//! Counts the instructions of a child process with whatever this machine has for it.
//!
//! **Invariant:** only user instructions are counted, and a count is only ever compared with one of
//! the same counter.

use std::process::{Command, Stdio};

/// What counts.
#[derive(Clone, Copy)]
pub enum Counter {
    /// The processor, asked through `perf`.
    Perf,
    /// `valgrind --tool=callgrind`, which runs the program on a simulated processor.
    Callgrind,
}

impl Counter {
    /// The first counter that gives a number here.
    pub fn choose() -> Option<Counter> {
        let gives_a_number =
            |counter: &Counter| counter.count(&mut Command::new("true"), &[]).is_some();
        [Counter::Perf, Counter::Callgrind].into_iter().find(gives_a_number)
    }

    /// The counter's name, for the report.
    pub fn name(self) -> &'static str {
        match self {
            Counter::Perf => "perf stat -e instructions:u",
            Counter::Callgrind => "valgrind --tool=callgrind",
        }
    }

    /// The instructions of this very program, run again with `args`: all, or those of the functions
    /// `within` with all that they call, none of which may call another of them. Nothing if the
    /// counter cannot tell functions apart.
    ///
    /// # Panics
    /// When the counter, having been chosen, gives no number.
    pub fn count_self(self, args: &[&str], within: &[&str]) -> Option<u64> {
        if matches!(self, Counter::Perf) && !within.is_empty() {
            return None;
        }
        let this = std::env::current_exe().expect("a running program has a path");
        let counted = self.count(Command::new(this).args(args), within);
        Some(counted.unwrap_or_else(|| panic!("{} gave no number for {args:?}", self.name())))
    }

    fn count(self, program: &mut Command, within: &[&str]) -> Option<u64> {
        let mut command = match self {
            Counter::Perf => Command::new("perf"),
            Counter::Callgrind => Command::new("valgrind"),
        };
        match self {
            Counter::Perf => command.args(["stat", "-x,", "-e", "instructions:u", "--"]),
            // Callgrind counts each round of a `rep movsb` as an instruction, the processor does
            // not: keep the C library from copying with it.
            Counter::Callgrind => command
                .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
                .args(within.iter().map(|function| format!("--toggle-collect={function}")))
                .arg("--")
                .env("GLIBC_TUNABLES", NO_REP_MOVSB),
        };
        command.arg(program.get_program()).args(program.get_args());
        let output = command.stdout(Stdio::null()).output().ok().filter(|o| o.status.success())?;
        let text = String::from_utf8_lossy(&output.stderr);
        match self {
            Counter::Perf => perf_total(&text),
            Counter::Callgrind => callgrind_total(&text),
        }
    }
}

const NO_REP_MOVSB: &str = "glibc.cpu.x86_rep_movsb_threshold=1000000000:\
                            glibc.cpu.x86_rep_stosb_threshold=1000000000";

/// The sum over `number,unit,event,...` lines: a processor with two kinds of core has one for each.
fn perf_total(text: &str) -> Option<u64> {
    let of_event = text.lines().filter(|line| line.contains("instructions"));
    of_event.filter_map(|line| line.split(',').next()?.parse::<u64>().ok()).reduce(|a, b| a + b)
}

/// The number of a line like `==123== Collected : 456`.
fn callgrind_total(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}
