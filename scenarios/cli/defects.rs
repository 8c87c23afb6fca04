//! `defects`: the known defects, and how long each takes to find.

use super::shrink::in_checkout;
use super::told::{Done, found, progress, say};
use super::{EXIT_BROKEN, EXIT_INTERRUPTED, Error, some, stopped_by_ctrl_c};
use clap::Args;
use serde_json::{Value, json};
use std::fs;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use stormglass_scenarios::host::{cores, fresh_seed};
use stormglass_scenarios::hunt::{self, Hunt};
use stormglass_scenarios::plan::{Action, Plan};
use stormglass_scenarios::shrink::Shrinking;
use stormglass_scenarios::verdict::{Signature, Verdict};
use stormglass_sim::{Effect, Seed};

pub use stormglass_scenarios::defects::plant;

/// Where `--save` puts the plan that finds a defect.
const DEFECTS: &str = "tests/defects";

#[derive(Args)]
pub struct Options {
    /// Plays fresh seeds with each defect until it is found.
    #[arg(long)]
    find: bool,
    /// The defects to find. All if absent.
    #[arg(requires = "find")]
    names: Vec<String>,
    /// Seeds within which a defect is to be found, in each range.
    #[arg(long, default_value = "500", requires = "find", value_parser = some::<NonZero<u64>>)]
    seeds_max: NonZero<u64>,
    /// Ranges of seeds for each defect, one after the other, no seed in two of them.
    #[arg(long, default_value = "3", requires = "find", value_parser = some::<NonZero<u64>>)]
    ranges: NonZero<u64>,
    /// The first seed of the first range. A fresh one if absent.
    #[arg(long, requires = "find")]
    first: Option<Seed>,
    /// Processes that play at once. One a core if absent.
    #[arg(long, requires = "find", value_parser = some::<NonZero<usize>>)]
    jobs: Option<NonZero<usize>>,
    /// Shrinks the first finding's plan, and says how small it became and how long that took.
    #[arg(long, requires = "find")]
    shrink: bool,
    /// Shrinks it, and writes it to tests/defects, where `cargo test` plays it.
    #[arg(long, requires = "find")]
    save: bool,
}

/// Every known defect in a line.
pub fn lines() -> Vec<String> {
    let known = stormglass_scenarios::defects::known().into_iter();
    let line = |(name, description, found_by)| format!("{name:<22} {description} ({found_by})");
    known.map(line).collect()
}

/// Every known defect for a program.
pub fn as_json() -> Vec<Value> {
    let known = stormglass_scenarios::defects::known().into_iter();
    let told = |(name, description, found_by): (&str, &str, String)| {
        let invariants: Vec<&str> = found_by.split(", ").collect();
        json!({ "name": name, "description": description, "invariants": invariants })
    };
    known.map(told).collect()
}

pub fn run(options: &Options) -> Result<Done, Error> {
    if !options.find {
        found(lines().join("\n"));
        return Done::new(0, json!({ "known": as_json() }));
    }
    for name in &options.names {
        plant(Some(name))?;
    }
    let all = stormglass_scenarios::defects::known().into_iter().map(|(name, ..)| name.to_string());
    let names = if options.names.is_empty() { all.collect() } else { options.names.clone() };
    if options.save {
        in_checkout(DEFECTS)?;
    }
    let stop = stopped_by_ctrl_c()?;
    let first = options.first.unwrap_or_else(fresh_seed);
    progress(format!(
        "{:<22} {:<16} {:>6} {:>8}  first violation",
        "defect", "seeds from", "seeds", "seconds"
    ));
    let (mut failed, mut worst, mut sizes, mut hunts) = (Vec::new(), 0, Vec::new(), Vec::new());
    let (mut found_count, mut cut, mut left) = (0, None, names.iter());
    while !stop.load(Ordering::Relaxed)
        && let Some(name) = left.next()
    {
        let code = find(options, name, (first, &stop), (&mut hunts, &mut sizes))?;
        worst = worst.max(code);
        match code {
            0 => found_count += 1,
            // It was not missed: nobody knows.
            EXIT_INTERRUPTED => cut = Some(name),
            _ => failed.push(name.as_str()),
        }
    }
    let (all, left) = (names.len(), left.count());
    let was_interrupted = cut.is_some() || left > 0;
    if !was_interrupted {
        found(format!("{found_count} of {all} defects found, each first by a promise of its own"));
    }
    if !failed.is_empty() {
        found(format!("not found: {}", failed.join(", ")));
    }
    if !sizes.is_empty() {
        say(format!("\n{}", table(&sizes).join("\n")));
    }
    if was_interrupted {
        worst = EXIT_INTERRUPTED;
        let cut = cut.map(|name| format!(", {name} not finished")).unwrap_or_default();
        found(format!("interrupted: {found_count} of {all} defects found{cut}, {left} not begun"));
    }
    let sizes: Vec<_> = sizes.iter().map(Size::as_json).collect();
    let result = json!({
        "asked": names,
        "found_count": found_count,
        "not_found": failed,
        "hunts": hunts,
        "shrunk": sizes,
    });
    Done::new(worst, result)
}

/// A defect's plan as it is left: what is left of it, and the crashes in it.
struct Size {
    name: String,
    shrunk: Shrinking,
    crash_count: usize,
}

impl Size {
    fn of(name: &str, plan: &Plan, shrunk: Shrinking) -> Size {
        let strikes = plan.faults.iter().filter(|fault| matches!(fault.effect, Effect::Crash(_)));
        let ends = plan.steps.iter().filter(|step| matches!(step.action, Action::Crash { .. }));
        Size { name: name.to_string(), shrunk, crash_count: strikes.count() + ends.count() }
    }

    fn as_json(&self) -> Value {
        json!({ "defect": self.name, "shrunk": self.shrunk, "crash_count": self.crash_count })
    }
}

/// A line a defect, and the medians.
fn table(sizes: &[Size]) -> Vec<String> {
    let head = ["defect", "steps", "faults", "crashes", "runs", "seconds"].map(str::to_string);
    let line = |[name, steps, faults, crashes, runs, seconds]: [String; 6]| {
        format!("{name:<22} {steps:>10} {faults:>10} {crashes:>8} {runs:>6} {seconds:>8}")
    };
    let mut lines = vec![line(head)];
    for Size { name, shrunk, crash_count } in sizes {
        let Shrinking { steps, faults, run_count, host_ms, .. } = shrunk;
        lines.push(line([
            name.clone(),
            format!("{} to {}", steps.0, steps.1),
            format!("{} to {}", faults.0, faults.1),
            crash_count.to_string(),
            run_count.to_string(),
            format!("{:.1}", *host_ms as f64 / 1e3),
        ]));
    }
    let ranked = |rank: fn(usize) -> usize, of: &dyn Fn(&Size) -> u64| {
        let mut all: Vec<u64> = sizes.iter().map(of).collect();
        all.sort_unstable();
        all.get(rank(all.len())).copied().unwrap_or(0)
    };
    for (name, rank) in
        [("median", (|len| len / 2) as fn(usize) -> usize), ("largest", |len| len - 1)]
    {
        lines.push(line([
            name.to_string(),
            ranked(rank, &|size| size.shrunk.steps.1 as u64).to_string(),
            ranked(rank, &|size| size.shrunk.faults.1 as u64).to_string(),
            ranked(rank, &|size| size.crash_count as u64).to_string(),
            ranked(rank, &|size| size.shrunk.run_count).to_string(),
            format!("{:.1}", ranked(rank, &|size| size.shrunk.host_ms) as f64 / 1e3),
        ]));
    }
    lines
}

/// Hunts one defect in every range. The exit code: 0 if it was found in all, by its own promises.
fn find(
    options: &Options,
    name: &str,
    (first, stop): (Seed, &Arc<AtomicBool>),
    (told, sizes): (&mut Vec<Value>, &mut Vec<Size>),
) -> Result<u8, Error> {
    let (invariants, jobs) =
        (hunt::invariants_of(name), options.jobs.map_or_else(cores, NonZero::get));
    let (mut hunts, seeds_max) = (Vec::new(), options.seeds_max.get());
    for range in 0..options.ranges.get() {
        let start = first.0.wrapping_add(range.wrapping_mul(seeds_max));
        let hunt = hunt::hunt(name, start..start.saturating_add(seeds_max), jobs, stop)?;
        if stop.load(Ordering::Relaxed) {
            return Ok(EXIT_INTERRUPTED);
        }
        progress(line(name, &hunt, &invariants));
        told.push(hunt_as_json(name, &hunt, &invariants));
        hunts.push(hunt);
    }
    let median = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(0.0)
    };
    let seeds = |hunt: &Hunt| hunt.seed_count().map_or(f64::INFINITY, |count| count as f64);
    let (seeds, seconds) = (
        median(hunts.iter().map(seeds).collect()),
        median(hunts.iter().map(|hunt| hunt.elapsed.as_secs_f64()).collect()),
    );
    progress(format!("{name:<22} {:<16} {seeds:>6} {seconds:>8.1}", "median"));
    let is_found = hunts.iter().all(|hunt| hunt.is_own(&invariants));
    let own = hunts.iter().filter(|hunt| hunt.is_own(&invariants));
    let first = own.filter_map(|hunt| hunt.found.as_ref()).next();
    let is_kept = match first {
        Some((seed, verdict)) if options.save || options.shrink => {
            let size = shrink(options, name, (*seed, verdict))?;
            let is_kept = size.is_some();
            sizes.extend(size);
            is_kept
        }
        _ => true,
    };
    let is_broken = |hunt: &Hunt| matches!(hunt.found, Some((_, Verdict::HarnessBroken(_))));
    Ok(match hunts.iter().any(is_broken) {
        true => EXIT_BROKEN,
        false => u8::from(!(is_found && is_kept)),
    })
}

fn line(name: &str, hunt: &Hunt, invariants: &[String]) -> String {
    let seconds = hunt.elapsed.as_secs_f64();
    let head = |seeds: &str| {
        let start = Seed(hunt.seeds.start).to_string();
        format!("{name:<22} {start:<16} {seeds:>6} {seconds:>8.1}")
    };
    let (Some((seed, verdict)), Some(count)) = (&hunt.found, hunt.seed_count()) else {
        return format!("{}  NOT FOUND within {}", head("-"), hunt.seeds.end - hunt.seeds.start);
    };
    let words = match (verdict, Signature::of(verdict)) {
        (Verdict::HarnessBroken(why), _) => format!("HARNESS BROKEN {why}"),
        (_, Some(signature)) => signature.to_string(),
        (_, None) => String::new(),
    };
    let foreign = match hunt.is_own(invariants) {
        true => String::new(),
        false => format!("  NOT ITS OWN: expected {}", invariants.join(", ")),
    };
    format!("{}  {words}  seed {seed}{foreign}", head(&count.to_string()))
}

fn hunt_as_json(name: &str, hunt: &Hunt, invariants: &[String]) -> Value {
    let found = hunt.found.as_ref().map(|(seed, verdict)| {
        json!({
            "seed": seed.to_string(),
            "seed_count": hunt.seed_count(),
            "signature": Signature::of(verdict),
            "verdict": verdict,
        })
    });
    json!({
        "defect": name,
        "first_seed": Seed(hunt.seeds.start).to_string(),
        "seeds_max": hunt.seeds.end - hunt.seeds.start,
        "found": found,
        "is_own": hunt.is_own(invariants),
        "elapsed_ms": hunt.elapsed.as_millis() as u64,
    })
}

/// Shrinks the plan of a finding, and keeps it if that was asked for; nothing when it is none to be kept.
fn shrink(
    options: &Options,
    name: &str,
    (seed, verdict): (Seed, &Verdict),
) -> Result<Option<Size>, Error> {
    let (plan, shrunk) = match hunt::plan_of(name, seed, verdict) {
        Ok(found) => found,
        Err(why) => {
            progress(format!("{name:<22} NOT KEPT: {why}"));
            return Ok(None);
        }
    };
    progress(format!("{name:<22} {:<16} {shrunk}", "shrunk"));
    if options.save {
        let path = in_checkout(DEFECTS)?.join(format!("{name}.json"));
        fs::write(&path, plan.to_json() + "\n")
            .map_err(|error| format!("{}: {error}", path.display()))?;
        progress(format!("{name:<22} {:<16} {}", "kept", path.display()));
    }
    Ok(Some(Size::of(name, &plan, shrunk)))
}
