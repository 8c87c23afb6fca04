//! Processes side by side: what two of them do against one, and what one holds in memory.
//!
//! **Invariant:** each process times its own runs, without its start and its first ones.

use crate::measure::time_us;
use crate::mixes::Mix;
use std::process::{Child, Command, Stdio};

/// Runs before the measured ones.
const WARM: u64 = 20;
const RUNS: u64 = 300;
const ROUNDS: usize = 3;
const RATIO_AIM: f64 = 1.9;
const MEMORY_AIM_BYTES: u64 = 32 << 20;

/// What one process prints: microseconds, and the most bytes it had in memory.
pub fn work(mix: Mix) {
    mix.play(0..WARM);
    let us = time_us(|| mix.play(WARM..WARM + RUNS));
    println!("{us} {}", peak_bytes().unwrap_or(0));
}

/// Prints how runs of each mix share the machine.
pub fn print(mixes: &[Mix]) {
    println!("\nworkers                        one a second   two a second    ratio   MiB at most");
    for mix in mixes {
        let (mut ratios, mut best, mut peak) = (Vec::new(), (0.0_f64, 0.0_f64), 0);
        for _ in 0..ROUNDS {
            let (one, memory) = together(*mix, 1);
            let (two, _) = together(*mix, 2);
            ratios.push(two / one);
            best = (best.0.max(one), best.1.max(two));
            peak = peak.max(memory);
        }
        ratios.sort_by(f64::total_cmp);
        let ratio = ratios[ROUNDS / 2];
        let name = mix.name();
        let mib = peak as f64 / f64::from(1 << 20);
        println!("  {name:<30} {:>12.0} {:>14.0} {ratio:>8.2} {mib:>13.1}", best.0, best.1);
        let holds = |is_met| if is_met { "holds" } else { "missed" };
        let memory = holds(peak > 0 && peak < MEMORY_AIM_BYTES);
        println!("  aim: x{RATIO_AIM}: {}; under 32 MiB: {memory}", holds(ratio >= RATIO_AIM));
    }
    println!("  the ratio is the median of {ROUNDS} rounds, each with one and then two.");
}

/// Runs a second of so many processes together, and the most bytes that one of them held.
fn together(mix: Mix, count: usize) -> (f64, u64) {
    let this = std::env::current_exe().expect("a running program has a path");
    let start = |_| -> Child {
        let mut command = Command::new(&this);
        command.args([crate::JOB, "work", &(mix as u64).to_string()]);
        command.stdout(Stdio::piped()).spawn().expect("this program runs once, so it runs again")
    };
    let children: Vec<Child> = (0..count).map(start).collect();
    let (mut a_second, mut peak) = (0.0, 0);
    for child in children {
        let output = child.wait_with_output().expect("a child ends");
        let text = String::from_utf8_lossy(&output.stdout);
        let (us, bytes) = text.trim().split_once(' ').expect("two numbers");
        a_second += RUNS as f64 * 1e6 / us.parse::<f64>().expect("a time");
        peak = peak.max(bytes.parse().expect("a number of bytes"));
    }
    (a_second, peak)
}

/// The most bytes that this process ever had in memory (Linux' `VmHWM`).
fn peak_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}
