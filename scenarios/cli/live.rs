//! `live`: a deployed server, killed under load.

use super::told::{Done, found, progress};
use super::{Error, some};
use clap::Args;
use serde_json::{Value, json};
use std::num::NonZero;
use std::path::PathBuf;
use stormglass_scenarios::host::fresh_seed;
use stormglass_scenarios::lines::counted;
use stormglass_scenarios::live::{self, Report};
use stormglass_sim::Seed;

#[derive(Args)]
pub struct Options {
    /// The server's binary.
    #[arg(long, value_name = "PATH", default_value = "target/live/release/stormglass-server")]
    server: PathBuf,
    /// How often the server is killed.
    #[arg(long, default_value = "50", value_parser = some::<NonZero<u32>>)]
    kills: NonZero<u32>,
    /// What is asked, and how long each boot lives; when exactly a kill falls is the host's doing. A
    /// fresh one if absent.
    #[arg(long)]
    seed: Option<Seed>,
    /// Seconds that a boot lives under load at most.
    #[arg(long, default_value_t = 0.6)]
    seconds: f64,
    /// Clients that send at once.
    #[arg(long, default_value = "4", value_parser = some::<NonZero<u32>>)]
    clients: NonZero<u32>,
    /// The folder for the databases and the server's log; it stays when something is found.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// How README says that the server is built.
const BUILD: &str =
    "RUSTFLAGS= cargo build --release -p stormglass-platform --target-dir target/live";

pub fn run(options: &Options) -> Result<Done, Error> {
    // Before anything is laid out: nothing is broken when the server has not been built yet.
    if !options.server.is_file() {
        let server = options.server.display();
        return Err(format!("{server}: no such server; this builds one: {BUILD}").into());
    }
    let seed = options.seed.unwrap_or_else(fresh_seed);
    let folder = options.folder.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("stormglass-live-{}", std::process::id()))
    });
    let asked = live::Options {
        server: options.server.clone(),
        kills: options.kills.get(),
        seed,
        boot_ms_max: (options.seconds * 1000.0) as u64,
        clients: options.clients.get(),
        folder,
    };
    progress(format!(
        "live  seed {seed}  {}  in {}",
        counted(asked.kills, "kill"),
        asked.folder.display()
    ));
    let report = match live::run(&asked, |line| progress(line)) {
        Ok(report) => report,
        Err(error) => {
            let why = error.to_string();
            found(format!("harness broken: {why}"));
            let result = json!({ "seed": seed.to_string(), "harness_broken": why, "report": null, "folder": asked.folder });
            return Done::new(super::EXIT_BROKEN, result);
        }
    };
    found(sum(&report));
    report.violations.iter().for_each(found);
    let code = u8::from(!report.violations.is_empty());
    let folder = (code != 0).then_some(&asked.folder);
    found(match report.violations.first() {
        None => "passed".to_string(),
        Some(first) => format!("violated {}; see {}", first.invariant, asked.folder.display()),
    });
    let told = as_json(&report);
    let result = json!({ "seed": seed.to_string(), "harness_broken": null, "report": told, "folder": folder });
    Done::new(code, result)
}

fn as_json(report: &Report) -> Value {
    let violations = report.violations.iter().map(|violation| {
        json!({
            "invariant": violation.invariant.id(),
            "statement": violation.invariant.name(),
            "place": violation.place.to_string(),
            "subject": violation.entity,
            "expected": violation.expected,
            "actual": violation.actual,
            "because": violation.because,
        })
    });
    json!({
        "kills": report.kills,
        "kills_at_start": report.kills_at_start,
        "requests": report.requests,
        "acknowledged": report.acknowledged,
        "rejected": report.rejected,
        "in_doubt": report.in_doubt,
        "repeated": report.repeated,
        "reads": report.reads,
        "readings": report.readings,
        "events": report.events,
        "blobs": report.blobs,
        "unverified": report.unverified,
        "violations": violations.collect::<Vec<_>>(),
        "elapsed_ms": (report.seconds * 1e3) as u64,
    })
}

fn sum(report: &Report) -> String {
    let Report { kills, kills_at_start, requests, acknowledged, rejected, .. } = report;
    let Report { in_doubt, repeated, reads, readings, events, blobs, .. } = report;
    let Report { unverified, seconds, .. } = report;
    format!(
        "\nkills         {kills}, {kills_at_start} of them while the server started, in {seconds:.1} s\n\
        requests      {requests}, {}\n\
        acknowledged  {acknowledged}\n\
        rejected      {rejected}\n\
        in doubt      {in_doubt}, {} sent again with their key\n\
        tables        read {}, {} and {} at the end\n\
        unverified    {unverified}",
        counted(reads, "read"),
        counted(repeated, "write"),
        counted(readings, "time"),
        counted(events, "event"),
        counted(blobs, "blob"),
    )
}
