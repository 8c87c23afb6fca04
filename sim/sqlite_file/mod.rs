//! The rows of a database file, read by SQLite's file format and without SQLite.
//!
//! **Invariant:** what is read is what a process would find that opens the file on this disk after a
//! kill: the file, and of its write-ahead log the frames up to the last valid commit. Reading changes
//! nothing. What is malformed, or not modelled, is an error and never a wrong row: whoever needs an
//! answer then asks SQLite on a fork.
//!
//! **Modelled** (SQLite documentation, "Database File Format"): the header, table b-trees with overflow
//! pages, records, `sqlite_schema`, columns by name from the text of `CREATE TABLE`, columns that
//! `ALTER TABLE` added and older rows lack; write-ahead logs with salts and checksums.
//! **Not modelled:** a rollback journal (a file that has one is refused), tables without rowid, virtual
//! tables and views, generated columns, text in UTF-16, indexes (their pages are never looked at).

mod btree;
mod columns;
mod log;
mod pages;
mod record;
#[cfg(test)]
mod tests;

pub use record::{Row, Value};

use crate::disk::Disk;
use columns::Columns;
use log::SeenLog;
use pages::Pages;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a database cannot be read this way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is not what a sound database is.
    #[error("malformed database: {0}")]
    Malformed(String),
    /// It may be sound, but uses what this reader does not know.
    #[error("this reader does not know {0}")]
    Unknown(&'static str),
}

fn malformed(what: impl Into<String>) -> ReadError {
    ReadError::Malformed(what.into())
}

/// What one look at a file leaves for the next, which then reads only what has changed. It never
/// changes what is read.
#[derive(Default)]
pub struct Memory {
    log: SeenLog,
    /// Columns by the text that declares them, those of `sqlite_schema` by none.
    columns: BTreeMap<Vec<u8>, Arc<Columns>>,
}

struct Table {
    root: u32,
    columns: Arc<Columns>,
}

/// The tables of one database file at one moment.
pub struct Tables<'a> {
    pages: Pages<'a>,
    tables: BTreeMap<String, Table>,
}

impl<'a> Tables<'a> {
    /// Reads the schema of the database at `path`. A file that is absent or empty has no tables.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open(
        disk: &'a Disk,
        path: &str,
        memory: &'a mut Memory,
    ) -> Result<Tables<'a>, ReadError> {
        let Memory { log, columns } = memory;
        let pages = Pages::open(disk, path, log)?;
        let mut tables = BTreeMap::new();
        if !pages.is_empty() {
            let schema =
                columns.entry(Vec::new()).or_insert_with(|| Arc::new(Columns::of_schema()));
            let schema = Arc::clone(schema);
            let names = ["type", "name", "rootpage", "sql"];
            read_rows(&pages, &Table { root: 1, columns: schema }, &names, |row| {
                if row.bytes(0)? != b"table" {
                    return Ok(());
                }
                let name = row.text(1)?.to_string();
                let root = u32::try_from(row.integer(2)?).unwrap_or(0);
                let sql = row.bytes(3)?;
                let known = match columns.get(sql) {
                    Some(known) => Arc::clone(known),
                    None => {
                        let fresh = Arc::new(Columns::new(sql));
                        columns.insert(sql.to_vec(), Arc::clone(&fresh));
                        fresh
                    }
                };
                tables.insert(name, Table { root, columns: known });
                Ok::<(), ReadError>(())
            })?;
        }
        Ok(Tables { pages, tables })
    }

    /// Whether there is a table of that name.
    pub fn has(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Hands each row of `table` to `each`, in the order of their rowids, with the values of `columns`
    /// in their order.
    ///
    /// # Errors
    /// [`ReadError`], for a table or column that is not there, too; and whatever `each` fails with.
    pub fn rows<E: From<ReadError>>(
        &self,
        table: &str,
        columns: &[&str],
        each: impl FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let found = self.tables.get(table);
        let found = found.ok_or_else(|| malformed(format!("no table `{table}`")))?;
        read_rows(&self.pages, found, columns, each)
    }
}

fn read_rows<E: From<ReadError>>(
    pages: &Pages<'_>,
    table: &Table,
    names: &[&str],
    mut each: impl FnMut(&Row<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let wanted = names.iter().map(|name| table.columns.find(name));
    let wanted = wanted.collect::<Result<Vec<_>, ReadError>>()?;
    let mut places = Vec::new();
    btree::each_record(pages, table.root, |rowid, record| {
        record::decode_header(record, &mut places)?;
        each(&Row::new(rowid, record, &places, &wanted))
    })
}
