//! The one script of the matrix, and every moment of it at which the process can die.
//!
//! **Invariant:** the script is the same under every setting, and what it committed is known at each of its
//! moments. Its cache is so small that transactions spill: they write to the database, or to the log, before
//! they commit.

use super::{MatrixError, Setting};
use crate::sql::Journal;
use crate::sql::database::{TABLE, body, drain};
use crate::sql::oracle::{Change, State};
use crate::sql::player::PATH;
use libsql::Connection;
use stormglass_sim::{Boundary, Digest, OpKind, World, WorldOptions, block_on};

/// For what SQLite draws: salts and nonces.
pub const SEED: u64 = 6;
const PAGE_SIZE_BYTES: u32 = 1024;
const CACHE_PAGES: u32 = 5;
const AUTOCHECKPOINT_PAGES: u32 = 24;

enum Step {
    /// A transaction that takes batches away and adds rows as a batch of its own: how many, and the bytes of
    /// each. The batch's number is the step's, counted from 1.
    Write {
        erased: &'static [u32],
        rows: u32,
        body_bytes: u32,
        end: &'static str,
    },
    Checkpoint(&'static str),
}

const fn commit(erased: &'static [u32], rows: u32, body_bytes: u32) -> Step {
    Step::Write { erased, rows, body_bytes, end: "COMMIT" }
}

/// Transactions of one small row, of rows of more than a page, and of more pages than the cache holds; pages
/// that are freed and used again; checkpoints in between; one that is taken back after it spilled.
const STEPS: [Step; 12] = [
    commit(&[], 3, 40),
    commit(&[], 1, 20),
    commit(&[], 8, 700),
    commit(&[1], 2, 60),
    Step::Checkpoint("PASSIVE"),
    commit(&[], 1, 3_000),
    commit(&[3], 6, 600),
    commit(&[2], 1, 30),
    Step::Checkpoint("TRUNCATE"),
    commit(&[], 2, 50),
    Step::Write { erased: &[4, 6], rows: 6, body_bytes: 800, end: "ROLLBACK" },
    commit(&[8], 1, 100),
];

/// The script in words.
pub fn in_words() -> String {
    let count = |wanted: &str| {
        STEPS
            .iter()
            .filter(|step| matches!(step, Step::Write { end, .. } if *end == wanted))
            .count()
    };
    let checkpoints = STEPS.iter().filter(|step| matches!(step, Step::Checkpoint(_))).count();
    format!(
        "{} transactions, {} taken back, {checkpoints} checkpoints",
        count("COMMIT"),
        count("ROLLBACK")
    )
}

/// A moment at which the process can die.
pub struct Moment {
    /// The disk then.
    pub boundary: Boundary,
    /// Transactions that were acknowledged until then.
    pub acknowledged: usize,
    /// Whether something comes next after which less may be lost than here: a sync, an acknowledgement, or
    /// nothing more.
    pub is_ripe: bool,
}

/// The script, played under one setting.
pub struct Played {
    /// Its moments: one for each state of the disk that a crash could tell from the one before.
    pub moments: Vec<Moment>,
    /// What was there after so many transactions. The last one is what one in doubt would have left.
    pub states: Vec<State>,
    /// Disk operations.
    pub op_count: u64,
}

/// Plays the script under `setting`.
///
/// # Errors
/// [`MatrixError`].
pub fn play(setting: Setting) -> Result<Played, MatrixError> {
    let world = World::new(SEED, WorldOptions::default())?;
    world.keep_boundaries();
    let mut progress = Progress { states: vec![State::new()], acknowledged_at: Vec::new() };
    let uri = world.boot().uri(PATH);
    let sql = |why| MatrixError::Sql { setting, why };
    let boundaries = block_on(async {
        let store = libsql::Builder::new_local(uri).build().await.map_err(sql)?;
        let connection = store.connect().map_err(sql)?;
        set_up(&connection, setting).await?;
        match write(&connection, &world, &mut progress).await {
            // What was taken back after it spilled is half there without a journal, and the next statement
            // may fail on it: the script ends then.
            Err(_) if setting.journal == Journal::Off => {}
            other => other.map_err(sql)?,
        }
        // Closing the connection is not among the moments.
        Ok::<_, MatrixError>(world.take_boundaries())
    })?;
    Ok(progress.into_played(boundaries, world.op_count()))
}

struct Progress {
    states: Vec<State>,
    /// Disk operations before each acknowledgement.
    acknowledged_at: Vec<u64>,
}

impl Progress {
    fn into_played(self, boundaries: Vec<Boundary>, op_count: u64) -> Played {
        let mut moments: Vec<Moment> = Vec::new();
        for boundary in boundaries {
            let at = boundary.op_count;
            let acknowledged = self.acknowledged_at.iter().filter(|before| **before <= at).count();
            // Of moments with one disk the last one has the most acknowledged.
            if moments.last().is_some_and(|last| boundary.is_same_as(&last.boundary)) {
                moments.pop();
            }
            if let Some(last) = moments.last_mut() {
                last.is_ripe |= last.acknowledged < acknowledged;
            }
            let is_ripe = matches!(boundary.op, OpKind::Sync | OpKind::SyncDirectory);
            moments.push(Moment { boundary, acknowledged, is_ripe });
        }
        if let Some(last) = moments.last_mut() {
            last.is_ripe = true;
        }
        Played { moments, states: self.states, op_count }
    }
}

async fn set_up(connection: &Connection, setting: Setting) -> Result<(), MatrixError> {
    let sql = |why| MatrixError::Sql { setting, why };
    let Setting { journal, synchronous } = setting;
    for (name, value) in [
        ("page_size", PAGE_SIZE_BYTES.to_string()),
        // Before the journal, whose own set-up is to be synced as the rest.
        ("synchronous", synchronous.word().to_string()),
        ("wal_autocheckpoint", AUTOCHECKPOINT_PAGES.to_string()),
        ("cache_size", CACHE_PAGES.to_string()),
    ] {
        drain(connection, &format!("PRAGMA {name} = {value}")).await.map_err(sql)?;
    }
    // Where SQLite cannot have the mode, it answers with the one that it keeps.
    let pragma = format!("PRAGMA journal_mode = {}", journal.word());
    let mut rows = connection.query(&pragma, ()).await.map_err(sql)?;
    let row = rows.next().await.and_then(|row| row.ok_or(libsql::Error::QueryReturnedNoRows));
    let taken: String = row.and_then(|row| row.get(0)).map_err(sql)?;
    match taken.eq_ignore_ascii_case(journal.word()) {
        true => Ok(()),
        false => Err(MatrixError::NotTaken { setting, taken }),
    }
}

async fn write(
    connection: &Connection,
    world: &World,
    progress: &mut Progress,
) -> libsql::Result<()> {
    connection.execute(TABLE, ()).await?;
    for (batch, step) in (1..).zip(&STEPS) {
        match step {
            Step::Checkpoint(mode) => {
                drain(connection, &format!("PRAGMA wal_checkpoint({mode})")).await?;
            }
            Step::Write { erased, rows, body_bytes, end } => {
                let change = change(batch, erased, *rows, *body_bytes);
                let before =
                    progress.states.last().expect("the first state is there from the start");
                if *end == "COMMIT" {
                    progress.states.push(change.apply(before));
                }
                transact(connection, &change, *body_bytes, end).await?;
                if *end == "COMMIT" {
                    progress.acknowledged_at.push(world.op_count());
                }
            }
        }
    }
    Ok(())
}

fn change(batch: u32, erased: &[u32], rows: u32, body_bytes: u32) -> Change {
    let digest = |n| Digest::of(&body(batch, n, body_bytes));
    let added = (0..rows).map(|n| (n, digest(n))).collect();
    Change { added: State::from([(batch, added)]), removed: erased.iter().copied().collect() }
}

async fn transact(
    connection: &Connection,
    change: &Change,
    body_bytes: u32,
    end: &str,
) -> libsql::Result<()> {
    connection.execute("BEGIN IMMEDIATE", ()).await?;
    for batch in &change.removed {
        connection.execute("DELETE FROM entries WHERE batch = ?1", [*batch]).await?;
    }
    for (batch, rows) in &change.added {
        for n in rows.keys() {
            let row = (*batch, *n, body(*batch, *n, body_bytes));
            connection.execute("INSERT INTO entries VALUES (?1, ?2, ?3)", row).await?;
        }
    }
    connection.execute(end, ()).await?;
    Ok(())
}
