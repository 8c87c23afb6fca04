//! The script's database: how it is read, and the words for what SQLite answers.

use super::oracle::{Rows, State};
use super::player::PATH;
use libsql::{Connection, Error};
use stormglass_sim::{Digest, Ending, Machine};

/// The table of every script.
pub const TABLE: &str = "CREATE TABLE IF NOT EXISTS entries(
                    batch INTEGER, n INTEGER, body BLOB, PRIMARY KEY (batch, n))";

/// What the machine's disk holds: the answer of an integrity check, and all rows.
pub async fn look(machine: &Machine) -> libsql::Result<(String, State)> {
    let store = libsql::Builder::new_local(machine.boot().uri(PATH)).build().await?;
    let connection = store.connect()?;
    let looked = check_and_read(&connection).await;
    // Dead, the connection does no more than free its memory.
    machine.crash(&Ending::ProcessKill);
    looked
}

async fn check_and_read(connection: &Connection) -> libsql::Result<(String, State)> {
    let mut rows = connection.query("PRAGMA integrity_check(1)", ()).await?;
    let integrity = match rows.next().await? {
        Some(row) => row.get(0)?,
        None => "no answer".to_string(),
    };
    drop(rows);
    let mut tables = connection.query("SELECT 1 FROM sqlite_schema", ()).await?;
    let has_table = tables.next().await?.is_some();
    drop(tables);
    let state = if has_table { read_all(connection).await? } else { State::new() };
    Ok((integrity, state))
}

pub async fn read_all(connection: &Connection) -> libsql::Result<State> {
    let mut state = State::new();
    let mut rows = connection.query("SELECT batch, n, body FROM entries", ()).await?;
    while let Some(row) = rows.next().await? {
        let (batch, n, body): (u32, u32, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let rows: &mut Rows = state.entry(batch).or_default();
        rows.insert(n, Digest::of(&body));
    }
    Ok(state)
}

pub async fn ask_time_and_number(connection: &Connection) -> libsql::Result<(i64, i64)> {
    let sql = "SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER), random()";
    let mut rows = connection.query(sql, ()).await?;
    let row = rows.next().await?.ok_or(Error::QueryReturnedNoRows)?;
    Ok((row.get(0)?, row.get(1)?))
}

pub async fn drain(connection: &Connection, sql: &str) -> libsql::Result<()> {
    let mut rows = connection.query(sql, ()).await?;
    while rows.next().await?.is_some() {}
    Ok(())
}

/// The body of a row: bytes that nothing else in the run holds.
pub fn body(batch: u32, n: u32, len: u32) -> Vec<u8> {
    let mut bytes = vec![0; len as usize];
    stormglass_sim::Seed(u64::from(batch) << 32 | u64::from(n)).stream("body").fill(&mut bytes);
    bytes
}

/// An answer as a word.
pub fn said<T>(answer: &libsql::Result<T>) -> &'static str {
    answer.as_ref().err().map_or("ok", word)
}

/// SQLite's primary result code as a word.
pub fn word(error: &Error) -> &'static str {
    let Error::SqliteFailure(code, _) = error else { return "failed" };
    match code & 0xff {
        5 => "busy",
        6 => "locked",
        9 => "interrupted",
        10 => "io-error",
        11 => "corrupt",
        13 => "full",
        14 => "cannot-open",
        _ => "failed",
    }
}
