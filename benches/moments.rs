//! What it costs to keep a moment of a run to go on from: `cargo bench --profile dev --bench moments`.
//!
//! The run of a seed is played without keeping anything, with the disk's image and the faults before every operation,
//! and with runner and judge as well, as `explore` keeps them. The differences, by the moments kept, are what a moment
//! costs: in processor time the least of rounds, for other work on the machine only adds to it; in bytes what is held
//! at the run's end, copies that later writes made of what an image shares with the disk among them. With `-- SEED...` other seeds than 42.
//!
//! **Invariant:** every number printed was measured in this run.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the host's clocks: it is what it is for"
)]
#![expect(unsafe_code, reason = "an allocator's interface is unsafe, and this one counts")]

#[allow(dead_code, reason = "shared with the other benches, which use all of it")]
mod measure;

use measure::fastest;
use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicI64, Ordering};
use stormglass_scenarios::plan::Plan;
use stormglass_scenarios::runner::{Keeps, record_as};
use stormglass_scenarios::scenario::{self, Settings};
use stormglass_sim::Seed;

const ROUNDS: usize = 301;
const AIM_US: f64 = 1.5;
const AIM_BYTES: i64 = 8 << 10;

/// The command's allocator, with a count of the bytes that are held.
struct Counting;

static HELD: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call is handed on as it came to an allocator that keeps `GlobalAlloc`'s contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's, of the same call.
        unsafe { mimalloc::MiMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's, of the same call.
        unsafe { mimalloc::MiMalloc.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Processor time of this thread, in microseconds. The call is made by number: the runtime has its own of this name.
fn processor_us() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let clock = libc::CLOCK_THREAD_CPUTIME_ID;
    // SAFETY: clock_gettime(2) writes a timespec where it is told to.
    let failed = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, &raw mut time) };
    assert_eq!(failed, 0, "there is such a clock");
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// What a run cost, and what it held in the end.
struct Cost {
    us: f64,
    bytes: i64,
}

fn main() {
    let given = std::env::args().skip(1).filter_map(|word| word.parse::<Seed>().ok());
    let mut seeds: Vec<Seed> = given.collect();
    if seeds.is_empty() {
        seeds.push(Seed(42));
    }
    println!("a moment kept                  moments      us      aim   bytes     aim");
    for seed in seeds {
        let name = scenario::of_seed(seed);
        let plan = scenario::plan(name, seed, &Settings::default()).expect("it has plans");
        print(&format!("{name} {seed}"), &plan);
    }
}

fn print(name: &str, plan: &Plan) {
    let moments = record_as(plan, Keeps::All, |recording| recording.moments().count());
    let moments = moments.expect("this thread's only world");
    let mut costs = [Keeps::Nothing, Keeps::Images, Keeps::All].map(|keeps| (keeps, Vec::new()));
    for _ in 0..ROUNDS {
        for (keeps, rounds) in &mut costs {
            rounds.push(cost(plan, *keeps));
        }
    }
    let [nothing, images, all] = costs.map(|(_, rounds)| {
        let bytes = rounds.iter().map(|cost| cost.bytes).min().unwrap_or_default();
        Cost { us: fastest(rounds.into_iter().map(|cost| cost.us).collect()), bytes }
    });
    let row = |what: &str, more: &Cost, than: &Cost| {
        let us = (more.us - than.us) / moments as f64;
        let bytes = (more.bytes - than.bytes) / moments as i64;
        println!("{what:<30} {moments:>7} {us:>7.2} {AIM_US:>8} {bytes:>7} {AIM_BYTES:>7}");
    };
    println!("{name}, {:.0} us without", nothing.us);
    row("  image and faults", &images, &nothing);
    row("  runner and judge", &all, &images);
    row("  all", &all, &nothing);
}

fn cost(plan: &Plan, keeps: Keeps) -> Cost {
    let before = HELD.load(Ordering::Relaxed);
    let start_us = processor_us();
    let cost = record_as(plan, keeps, |_| {
        let us = processor_us() - start_us;
        Cost { us, bytes: HELD.load(Ordering::Relaxed) - before }
    });
    cost.expect("this thread's only world")
}
