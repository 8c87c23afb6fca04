//! `live`: a deployed server, killed under load.

use super::Error;
use clap::Args;
use std::num::NonZero;
use std::path::PathBuf;
use stormglass_scenarios::host::fresh_seed;
use stormglass_scenarios::live::{self, Report};
use stormglass_sim::Seed;

#[derive(Args)]
pub struct Options {
    /// The server's binary.
    #[arg(long, value_name = "PATH", default_value = "target/live/release/stormglass-server")]
    server: PathBuf,
    /// How often the server is killed.
    #[arg(long, default_value = "50")]
    kills: NonZero<u32>,
    /// What is asked, and how long each boot lives; when exactly a kill falls is the host's doing. A
    /// fresh one if absent.
    #[arg(long)]
    seed: Option<Seed>,
    /// Seconds that a boot lives under load at most.
    #[arg(long, default_value_t = 0.6)]
    seconds: f64,
    /// Clients that send at once.
    #[arg(long, default_value = "4")]
    clients: NonZero<u32>,
    /// The folder for the databases and the server's log; it stays when something is found.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Prints the last lines only.
    #[arg(long)]
    quiet: bool,
}

pub fn run(options: &Options) -> Result<u8, Error> {
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
    println!("live  seed {seed}  {} kills  in {}", asked.kills, asked.folder.display());
    let tell = |line: &str| {
        if !options.quiet {
            println!("{line}");
        }
    };
    let report = match live::run(&asked, tell) {
        Ok(report) => report,
        Err(error) => {
            println!("harness broken: {error}");
            return Ok(super::EXIT_BROKEN);
        }
    };
    println!("{}", sum(&report));
    for violation in &report.violations {
        println!("{violation}");
    }
    if report.violations.is_empty() {
        println!("passed");
        return Ok(0);
    }
    println!("violated {}; see {}", report.violations[0].invariant, asked.folder.display());
    Ok(1)
}

fn sum(report: &Report) -> String {
    let Report { kills, kills_at_start, requests, acknowledged, rejected, .. } = report;
    let Report { in_doubt, repeated, reads, readings, events, blobs, .. } = report;
    let Report { unverified, seconds, .. } = report;
    format!(
        "\nkills         {kills}, {kills_at_start} of them while the server started, in {seconds:.1} s\n\
        requests      {requests}, {reads} reads\n\
        acknowledged  {acknowledged}\n\
        rejected      {rejected}\n\
        in doubt      {in_doubt}, {repeated} writes sent again with their key\n\
        tables        read {readings} times, {events} events and {blobs} blobs at the end\n\
        unverified    {unverified}"
    )
}
