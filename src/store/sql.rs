//! One libsql connection with its prepared statements.
//!
//! **Invariant:** statements run to their end within one call. libsql runs a local statement inside
//! a single poll, so nothing here waits, and a future that is dropped never leaves a transaction
//! open.
//!
//! Text is read as blobs (`CAST(x AS BLOB)`): libsql unwraps invalid UTF-8, and a damaged page must
//! end in an error.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

pub(super) use libsql::Value;
use libsql::params::Params;

const SQLITE_BUSY: i32 = 5;

/// Held while a database is opened.
static OPENING: Mutex<()> = Mutex::new(());

/// A statement that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{statement}: {message} (code {code})")]
pub struct SqlError {
    /// SQLite's extended result code; 0 where libsql itself refused.
    pub code: i32,
    /// SQLite's words.
    pub message: String,
    /// The first words of the statement.
    pub statement: &'static str,
}

impl SqlError {
    /// Another connection holds a lock. Nothing was done.
    pub fn is_busy(&self) -> bool {
        self.code & 0xff == SQLITE_BUSY
    }

    /// Of a write that nobody finished.
    pub(super) fn abandoned() -> Self {
        let message = "whoever made it is gone".to_owned();
        Self { code: 0, message, statement: "COMMIT" }
    }

    fn new(statement: &'static str, error: &libsql::Error) -> Self {
        let (code, message) = match error {
            libsql::Error::SqliteFailure(code, message) => (*code, message.clone()),
            other => (0, other.to_string()),
        };
        let words = statement.match_indices(' ').nth(2).map_or(statement.len(), |(at, _)| at);
        Self { code, message, statement: &statement[..words] }
    }
}

/// A connection.
pub(super) struct Database {
    connection: libsql::Connection,
    prepared: BTreeMap<&'static str, libsql::Statement>,
}

impl Database {
    pub fn open(uri: &str) -> Result<Self, SqlError> {
        // libsql crashes when two threads open databases at once.
        let _one_at_a_time = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |error: libsql::Error| SqlError::new("open", &error);
        let database = ready(libsql::Builder::new_local(uri).build()).map_err(failed)?;
        let connection = database.connect().map_err(failed)?;
        Ok(Self { connection, prepared: BTreeMap::new() })
    }

    /// Whether no transaction is open.
    pub fn is_autocommit(&self) -> bool {
        self.connection.is_autocommit()
    }

    /// Runs a statement that gives no rows; returns how many rows it changed.
    pub fn execute(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64, SqlError> {
        let statement = self.prepared(sql)?;
        let changed = ready(statement.execute(Params::Positional(values)));
        statement.reset();
        changed.map(|count| count as u64).map_err(|error| SqlError::new(sql, &error))
    }

    /// Runs a statement and returns all its rows.
    pub fn rows(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>, SqlError> {
        let statement = self.prepared(sql)?;
        let read = read_rows(statement, values);
        // A statement that is not reset holds its read transaction open.
        statement.reset();
        read.map_err(|error| SqlError::new(sql, &error))
    }

    /// The only row, if there is one.
    pub fn row(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Option<Row>, SqlError> {
        Ok(self.rows(sql, values)?.into_iter().next())
    }

    /// Sets a number of the connection, which no statement takes as a parameter.
    pub fn set(&mut self, pragma: &'static str, number: u32) -> Result<(), SqlError> {
        let failed = |error: libsql::Error| SqlError::new(pragma, &error);
        let sql = format!("PRAGMA {pragma}={number}");
        let statement = ready(self.connection.prepare(&sql)).map_err(failed)?;
        read_rows(&statement, Vec::new()).map(drop).map_err(failed)
    }

    fn prepared(&mut self, sql: &'static str) -> Result<&mut libsql::Statement, SqlError> {
        use std::collections::btree_map::Entry;
        match self.prepared.entry(sql) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let statement = ready(self.connection.prepare(sql))
                    .map_err(|error| SqlError::new(sql, &error))?;
                Ok(entry.insert(statement))
            }
        }
    }
}

fn read_rows(statement: &libsql::Statement, values: Vec<Value>) -> Result<Vec<Row>, libsql::Error> {
    let mut rows = ready(statement.query(Params::Positional(values)))?;
    let count = rows.column_count();
    let mut read = Vec::new();
    while let Some(row) = ready(rows.next())? {
        let columns = (0..count).map(|index| row.get_value(index)).collect::<Result<_, _>>()?;
        read.push(Row(columns));
    }
    Ok(read)
}

/// The values of one row.
pub(super) struct Row(Vec<Value>);

impl Row {
    /// An integer; nothing for null and for what is none.
    pub fn integer(&self, index: usize) -> Option<i64> {
        match self.0.get(index) {
            Some(Value::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    /// Bytes of a blob, or of a text that was cast to one.
    pub fn bytes(&mut self, index: usize) -> Option<Vec<u8>> {
        match self.0.get_mut(index) {
            Some(Value::Blob(bytes)) => Some(std::mem::take(bytes)),
            _ => None,
        }
    }

    /// A text that was cast to a blob; nothing for null and for invalid UTF-8.
    pub fn text(&mut self, index: usize) -> Option<String> {
        if let Some(Value::Text(text)) = self.0.get(index) {
            return Some(text.clone());
        }
        String::from_utf8(self.bytes(index)?).ok()
    }
}

pub(super) fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

pub(super) fn optional(value: Option<&str>) -> Value {
    value.map_or(Value::Null, text)
}

pub(super) fn integer(value: u64) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// The result of a future that libsql completes in its first poll.
fn ready<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("libsql runs local statements within one poll"),
    }
}
