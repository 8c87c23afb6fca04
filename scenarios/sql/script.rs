//! What a SQL run does, as data, and how a seed becomes it.

use serde::{Deserialize, Serialize};
use stormglass_sim::{
    DiskOptions, Effect, Ending, Fault, FileKind, OpKind, Seed, Stream, Survivors, Target, When,
};

/// `PRAGMA journal_mode`. Scripts are drawn with those that promise integrity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Journal {
    /// A write-ahead log.
    Wal,
    /// A rollback journal that is deleted.
    Delete,
    /// A rollback journal that is cut.
    Truncate,
    /// A rollback journal whose header is zeroed.
    Persist,
    /// A rollback journal that no file holds.
    Memory,
    /// No journal.
    Off,
}

impl Journal {
    /// The pragma's value.
    pub fn word(self) -> &'static str {
        match self {
            Journal::Wal => "WAL",
            Journal::Delete => "DELETE",
            Journal::Truncate => "TRUNCATE",
            Journal::Persist => "PERSIST",
            Journal::Memory => "MEMORY",
            Journal::Off => "OFF",
        }
    }
}

/// `PRAGMA synchronous`. Scripts are drawn with those that sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Synchronous {
    /// Nothing is synced.
    Off,
    /// A write-ahead log is synced at checkpoints only.
    Normal,
    /// Every commit is synced.
    Full,
    /// The directory of a deleted journal is synced, too.
    Extra,
}

impl Synchronous {
    /// The pragma's value.
    pub fn word(self) -> &'static str {
        match self {
            Synchronous::Off => "OFF",
            Synchronous::Normal => "NORMAL",
            Synchronous::Full => "FULL",
            Synchronous::Extra => "EXTRA",
        }
    }
}

/// One step. Connections and earlier batches are numbers that are taken modulo how many there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// `BEGIN IMMEDIATE`.
    Begin {
        /// On which connection.
        connection: usize,
    },
    /// Adds rows to the transaction's batch.
    Insert {
        /// On which connection.
        connection: usize,
        /// How many rows.
        rows: u8,
        /// Bytes of each row's body.
        body_bytes: u32,
    },
    /// Deletes a whole earlier batch.
    Erase {
        /// On which connection.
        connection: usize,
        /// Which of the batches that are there.
        pick: u32,
    },
    /// `COMMIT`.
    Commit {
        /// On which connection.
        connection: usize,
    },
    /// `ROLLBACK`, of a reader or a writer.
    Rollback {
        /// On which connection.
        connection: usize,
    },
    /// Reads everything.
    Read {
        /// On which connection.
        connection: usize,
    },
    /// `BEGIN` and a read: what is read must stay until the rollback.
    HoldRead {
        /// On which connection.
        connection: usize,
    },
    /// Asks SQL for the time and for a random number.
    Ask {
        /// On which connection.
        connection: usize,
    },
    /// `PRAGMA wal_checkpoint`.
    Checkpoint {
        /// On which connection.
        connection: usize,
        /// `PASSIVE`, `FULL`, `RESTART` or `TRUNCATE`.
        mode: String,
    },
    /// Closes the connection and opens it again.
    Reconnect {
        /// Which connection.
        connection: usize,
    },
    /// Lets time pass.
    Wait {
        /// How much.
        ms: i64,
    },
    /// Sets the wall clock.
    StepClock {
        /// By how much; negative is backwards.
        ms: i64,
    },
    /// Ends the boot between two statements.
    Crash {
        /// How.
        ending: Ending,
    },
}

/// A whole run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// For what SQLite draws itself, and for faults by rate.
    pub seed: Seed,
    /// What the disk promises.
    pub disk: DiskOptions,
    /// The journal.
    pub journal: Journal,
    /// How much is synced.
    pub synchronous: Synchronous,
    /// `PRAGMA page_size`, in bytes.
    pub page_size_bytes: u32,
    /// `PRAGMA wal_autocheckpoint`, in pages.
    pub autocheckpoint_pages: u32,
    /// `PRAGMA cache_size`, in pages.
    pub cache_pages: u32,
    /// How many connections.
    pub connections: usize,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The faults. Their scopes are `step N`, counted from 1, and `recovery N`, counted by boot.
    pub faults: Vec<Fault>,
}

impl Script {
    /// The script of a seed.
    pub fn from_seed(seed: Seed) -> Script {
        let mut swarm = seed.stream("swarm");
        let (journal, synchronous) = *swarm.pick(&[
            (Journal::Wal, Synchronous::Full),
            (Journal::Wal, Synchronous::Full),
            (Journal::Wal, Synchronous::Normal),
            (Journal::Wal, Synchronous::Extra),
            (Journal::Delete, Synchronous::Full),
            (Journal::Delete, Synchronous::Extra),
            (Journal::Truncate, Synchronous::Full),
            (Journal::Persist, Synchronous::Full),
        ]);
        let disk = DiskOptions {
            sector_size_bytes: *swarm.pick(&[512, 512, 4096]),
            // SQLite's log needs it: docs/decisions/powersafe-overwrite.md.
            powersafe_overwrite: journal == Journal::Wal || swarm.chance(1, 2),
            quota_bytes: swarm.chance(1, 10).then(|| 40_000 + swarm.below(400_000)),
        };
        let connections = 1 + swarm.below(3) as usize;
        let steps = steps(&mut seed.stream("workload"), connections);
        let mut faults = faults(&mut seed.stream("fault-plan"), steps.len() as u64);
        shorten_writes(&mut seed.stream("short-writes"), &mut faults);
        Script {
            seed,
            disk,
            journal,
            synchronous,
            page_size_bytes: *swarm.pick(&[1024, 4096, 4096, 8192]),
            autocheckpoint_pages: *swarm.pick(&[3, 20, 1000]),
            cache_pages: *swarm.pick(&[5, 100, 2000]),
            connections,
            steps,
            faults,
        }
    }

    /// Whether a power loss may take acknowledged commits (never integrity): a log that is synced at
    /// checkpoints only, and a deleted journal whose directory is not synced and which comes back
    /// (SQLite documentation, "PRAGMA synchronous").
    pub fn may_lose_commits(&self) -> bool {
        self.synchronous == Synchronous::Normal
            || (self.journal == Journal::Delete && self.synchronous == Synchronous::Full)
    }
}

fn steps(stream: &mut Stream, connections: usize) -> Vec<Step> {
    let count = 20 + stream.below(60);
    // Each script favours some kinds of steps and goes without others.
    let weights: Vec<u64> = (0..13).map(|_| stream.below(5) * stream.below(4)).collect();
    let mut steps = Vec::new();
    for _ in 0..count {
        let connection = stream.below(connections as u64) as usize;
        let total: u64 = 16 + weights.iter().sum::<u64>();
        let mut at = stream.below(total);
        let kind = weights.iter().position(|weight| {
            let here = at < *weight;
            at = at.saturating_sub(*weight);
            here
        });
        match kind {
            Some(kind) => steps.push(step(stream, kind, connection)),
            None => transaction(stream, connection, &mut steps),
        }
    }
    steps
}

/// A whole transaction: scripts without any would test little.
fn transaction(stream: &mut Stream, connection: usize, steps: &mut Vec<Step>) {
    steps.push(Step::Begin { connection });
    steps.push(insert(stream, connection));
    if stream.chance(1, 3) {
        steps.push(Step::Erase { connection, pick: stream.below(1 << 16) as u32 });
    }
    steps.push(Step::Commit { connection });
}

fn insert(stream: &mut Stream, connection: usize) -> Step {
    let size_max = *stream.pick(&[40, 400, 6_000, 60_000]);
    let body_bytes = stream.below(size_max) as u32;
    Step::Insert { connection, rows: 1 + stream.below(4) as u8, body_bytes }
}

fn step(stream: &mut Stream, kind: usize, connection: usize) -> Step {
    match kind {
        0 => Step::Begin { connection },
        1 => insert(stream, connection),
        2 => Step::Erase { connection, pick: stream.below(1 << 16) as u32 },
        3 => Step::Commit { connection },
        4 => Step::Rollback { connection },
        5 => Step::Read { connection },
        6 => Step::HoldRead { connection },
        7 => Step::Ask { connection },
        8 => {
            let mode = *stream.pick(&["PASSIVE", "FULL", "RESTART", "TRUNCATE"]);
            Step::Checkpoint { connection, mode: mode.to_string() }
        }
        9 => Step::Reconnect { connection },
        10 => Step::Wait { ms: stream.below(100_000) as i64 },
        11 => Step::StepClock { ms: stream.below(200_000_000) as i64 - 100_000_000 },
        _ => Step::Crash { ending: ending(stream) },
    }
}

fn ending(stream: &mut Stream) -> Ending {
    Ending::PowerLoss(match stream.below(8) {
        0 | 1 => return Ending::ProcessKill,
        2 => Survivors::None,
        3 => Survivors::All,
        4 => Survivors::Prefix(stream.below(12) as usize),
        5 => Survivors::TornLast((0..8).map(|_| stream.chance(1, 2)).collect()),
        _ => Survivors::Drawn(stream.bits()),
    })
}

fn faults(stream: &mut Stream, steps: u64) -> Vec<Fault> {
    if stream.chance(1, 4) {
        return Vec::new();
    }
    (0..1 + stream.below(4)).map(|_| fault(stream, steps)).collect()
}

/// Half of the writes that find no space are written in part.
fn shorten_writes(stream: &mut Stream, faults: &mut [Fault]) {
    for fault in faults.iter_mut().filter(|fault| fault.effect == Effect::NoSpace) {
        if stream.chance(1, 2) {
            fault.effect = Effect::ShortWrite { written_bytes: 1 + stream.below(4096) };
        }
    }
}

fn fault(stream: &mut Stream, steps: u64) -> Fault {
    let effect = match stream.below(8) {
        0..3 => Effect::Crash(ending(stream)),
        3 | 4 => Effect::Eio,
        5 => Effect::NoSpace,
        6 => Effect::ShortRead { missing_bytes: 1 + stream.below(4096) },
        _ => Effect::Slow { ms: stream.below(5_000) as i64 },
    };
    let scope = match stream.below(5) {
        0 => Some(format!("recovery {}", 1 + stream.below(3))),
        _ => Some(format!("step {}", 1 + stream.below(steps))),
    };
    let op = match &effect {
        Effect::Eio if stream.chance(1, 2) => Some(*stream.pick(&[
            OpKind::Open,
            OpKind::Read,
            OpKind::Write,
            OpKind::Sync,
            OpKind::SyncDirectory,
            OpKind::Truncate,
            OpKind::Delete,
        ])),
        _ => None,
    };
    let file = *stream.pick(&[None, None, Some(FileKind::Wal), Some(FileKind::Database)]);
    let by_rate = stream.chance(1, 5) && !matches!(effect, Effect::Crash(_));
    match by_rate {
        true => {
            let when = When::Rate { per_million: 1 + stream.below(20_000) as u32 };
            Fault { effect, target: Target { scope: None, op, file }, when }
        }
        false => {
            let when = When::Nth(1 + stream.below(8));
            Fault { effect, target: Target { scope, op, file }, when }
        }
    }
}
