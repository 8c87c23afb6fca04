//! A deployed server under load, killed again and again, on the host's own disk and clock.
//!
//! **Invariant:** the model that judges simulated runs judges this one: it is told of a request before it
//! is sent and of its answer after it came, with the host's clock read at both.
//!
//! **Verified:** every answer; the tables after each kill, and of the idle server after each start; that a
//! stopped server leaves a sound file. **Not verified:** power loss (a kill keeps the page cache), and
//! anything that needs a crash at one particular moment: both are the simulated runs'.

mod author;
pub mod client;
mod judge;
mod load;
pub mod process;
pub mod tables;

use crate::host::{self, Stopwatch};
use author::{Author, Numbers};
use client::Connection;
use judge::Judge;
use process::Server;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use stormglass_model::tables::Sight;
use stormglass_model::violation::Violation;
use stormglass_sim::{Seed, Stream};

/// Why a live run cannot go on: trouble of the harness or its host, never of the platform.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The server's binary, or a file of the run.
    #[error("{}: {why}", path.display())]
    Path {
        /// Which.
        path: PathBuf,
        /// The host's words.
        #[source]
        why: io::Error,
    },
    /// The server ended before it listened.
    #[error("the server did not come up and ended with {0}; its log is in the run's folder")]
    NotUp(String),
    /// The server ended by itself.
    #[error("the server ended by itself, with {0}; its log is in the run's folder")]
    Died(String),
    /// The server did not end when it was asked to.
    #[error("the server was told to stop and ended with {0}")]
    NotStopped(String),
    /// A connection of the harness to a server that runs.
    #[error("connection to the server: {0}")]
    Connection(#[from] io::Error),
    /// An answer that no part of the contract has.
    #[error("the server answered what is no answer: {0}")]
    NoAnswer(String),
    /// Tables that the harness cannot read.
    #[error("tables of {tenant}: {why}")]
    Tables {
        /// Whose.
        tenant: String,
        /// Why.
        why: String,
    },
    /// The model was told what makes no sense.
    #[error("{0}")]
    Misuse(String),
}

impl LiveError {
    pub(crate) fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> LiveError {
        let path = path.into();
        move |why| LiveError::Path { path, why }
    }
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server's binary.
    pub server: PathBuf,
    /// How often it is killed.
    pub kills: u32,
    /// What is asked, and when it is killed.
    pub seed: Seed,
    /// Each boot lives this long under load, at most.
    pub boot_ms_max: u64,
    /// Clients that send at once.
    pub clients: u32,
    /// A folder that is not there yet. It is removed after a run without a violation.
    pub folder: PathBuf,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// Kills.
    pub kills: u64,
    /// Kills among them that came before the server listened.
    pub kills_at_start: u64,
    /// Requests sent, repeats included.
    pub requests: u64,
    /// Writes that were answered with success.
    pub acknowledged: u64,
    /// Requests that were refused.
    pub rejected: u64,
    /// Writes that got no answer, or a 5xx.
    pub in_doubt: u64,
    /// Writes in doubt that were sent again with their key, to a later boot.
    pub repeated: u64,
    /// Reads that were answered with success.
    pub reads: u64,
    /// How often a tenant's tables were held against the model.
    pub readings: u64,
    /// Events in the tables at the end.
    pub events: u64,
    /// Blobs in the tables at the end.
    pub blobs: u64,
    /// Observations from which nothing was concluded, because too much was in doubt.
    pub unverified: u64,
    /// Broken promises. The first ends the run.
    pub violations: Vec<Violation>,
    /// Seconds of host time.
    pub seconds: f64,
}

/// Kills a server under load, over and over, and holds what it says and keeps against the model.
///
/// # Errors
/// [`LiveError`]: the harness failed, nothing is said of the platform.
pub fn run(options: &Options, mut tell: impl FnMut(&str)) -> Result<Report, LiveError> {
    let clock = Stopwatch::start();
    let mut run = Run::new(options)?;
    let mut boots = options.seed.stream("live boots");
    for _ in 0..options.kills {
        run.boot_and_kill(&mut boots)?;
        if run.judge.has_violations() {
            break;
        }
        tell(&run.judge.line());
    }
    if !run.judge.has_violations() {
        run.last_boot()?;
    }
    let mut report = run.judge.report();
    report.seconds = clock.elapsed().as_secs_f64();
    if report.violations.is_empty() {
        std::fs::remove_dir_all(&options.folder).map_err(LiveError::at(&options.folder))?;
    }
    Ok(report)
}

struct Run<'a> {
    options: &'a Options,
    judge: Judge,
    numbers: Numbers,
    authors: Vec<Author>,
    boot: u32,
}

impl<'a> Run<'a> {
    fn new(options: &'a Options) -> Result<Run<'a>, LiveError> {
        process::lay_out(&options.folder)?;
        let author = |client| Author::new(options.seed, client);
        let authors = (0..options.clients).map(author).collect();
        Ok(Run { options, judge: Judge::new(), numbers: Numbers::default(), authors, boot: 0 })
    }

    fn folder(&self) -> &Path {
        &self.options.folder
    }

    fn command(&self) -> Result<Command, LiveError> {
        process::command(&self.options.server, self.folder())
    }

    /// One boot: it recovers, is read while idle, serves, and is killed.
    fn boot_and_kill(&mut self, boots: &mut Stream) -> Result<(), LiveError> {
        self.boot += 1;
        self.judge.boot_started()?;
        // Some die while they start.
        if self.boot > 1 && boots.chance(1, 8) {
            let server = Server::spawn(self.command()?)?;
            host::sleep(Duration::from_millis(boots.below(20)));
            server.kill()?;
            self.judge.killed(true);
            return self.ended();
        }
        let server = Server::start(self.command()?)?;
        if self.boot > 1 && boots.chance(1, 2) {
            self.read_idle(&server)?;
        }
        let short = boots.chance(1, 3);
        let bound = if short { 40 } else { self.options.boot_ms_max.max(1) };
        let life = Duration::from_millis(boots.below(bound));
        let shared = (&self.judge, &self.numbers, &mut self.authors[..]);
        load::under_load(server, shared, self.boot, |server| {
            host::sleep(life);
            server.kill()
        })?;
        self.judge.killed(false);
        self.ended()
    }

    /// Judges what a killed server has left.
    fn ended(&mut self) -> Result<(), LiveError> {
        self.judge.boot_ended();
        self.judge.log(&process::panics(self.folder())?);
        let looks = tables::look(&self.folder().join(process::DATA), &self.folder().join("copy"))?;
        self.judge.look(looks, Sight::Dead);
        Ok(())
    }

    /// Reads the entities of the last boots, and then the tables of the server, which is idle.
    fn read_idle(&mut self, server: &Server) -> Result<(), LiveError> {
        let mut connection = Connection::open(server.address())?;
        for step in self.numbers.reads(self.boot.saturating_sub(2)) {
            load::ask(&mut connection, &self.judge, &step)?;
        }
        let looks = tables::look(&self.folder().join(process::DATA), &self.folder().join("copy"))?;
        self.judge.look(looks, Sight::Settled);
        Ok(())
    }

    /// A boot that reads everything and is stopped as an administrator does.
    fn last_boot(&mut self) -> Result<(), LiveError> {
        self.boot += 1;
        self.judge.boot_started()?;
        let server = Server::start(self.command()?)?;
        let mut connection = Connection::open(server.address())?;
        for step in self.numbers.reads(0) {
            load::ask(&mut connection, &self.judge, &step)?;
        }
        drop(connection);
        server.stop()?;
        self.ended()
    }
}
