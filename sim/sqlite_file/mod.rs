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
mod seen;
#[cfg(test)]
mod tests;

pub use record::{Row, Value};

use crate::disk::Disk;
use columns::{Column, Columns};
use log::SeenLog;
use pages::Pages;
use seen::SeenRecord;
use std::cell::RefCell;
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
#[derive(Clone, Default)]
pub struct Memory {
    log: SeenLog,
    records: Records,
}

/// Records by their table, and the last number that one was given.
#[derive(Clone, Default)]
struct Records {
    seen: BTreeMap<String, Vec<SeenRecord>>,
    last_number: u64,
}

struct Table {
    root: u32,
    columns: Arc<Columns>,
}

/// The tables of one database file at one moment.
pub struct Tables<'a> {
    pages: Pages<'a>,
    tables: BTreeMap<String, Table>,
    records: RefCell<&'a mut Records>,
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
        let Memory { log, records } = memory;
        let pages = Pages::open(disk, path, log)?;
        let mut tables = BTreeMap::new();
        if !pages.is_empty() {
            let schema = Columns::of_schema();
            let names = ["type", "name", "rootpage", "sql"];
            read_rows(&pages, &Table { root: 1, columns: schema }, &names, |row| {
                if row.bytes(0)? != b"table" {
                    return Ok(());
                }
                let name = row.text(1)?.to_string();
                let root = u32::try_from(row.integer(2)?).unwrap_or(0);
                let sql = row.bytes(3)?;
                tables.insert(name, Table { root, columns: Columns::new(sql) });
                Ok::<(), ReadError>(())
            })?;
        }
        Ok(Tables { pages, tables, records: RefCell::new(records) })
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
        read_rows(&self.pages, self.find(table)?, columns, each)
    }

    /// Hands the number of each record of `table` to `each`, and the row itself unless `is_known` says
    /// that this number is known: what is known is not read. A record has the number that it had at
    /// the last call with this memory for this table exactly if it is the same row with the same
    /// bytes; otherwise it has one that none had before.
    ///
    /// # Errors
    /// As [`Tables::rows`]. All records have new numbers then, at the next call.
    pub fn changed_rows<E: From<ReadError>>(
        &self,
        table: &str,
        columns: &[&str],
        is_known: impl Fn(u64) -> bool,
        mut each: impl FnMut(u64, Option<&Row<'_>>) -> Result<(), E>,
    ) -> Result<(), E> {
        let found = self.find(table)?;
        let wanted = wanted(found, columns)?;
        let mut records = self.records.borrow_mut();
        let mut before = records.seen.remove(table).unwrap_or_default().into_iter().peekable();
        let (mut met, mut places, mut room) = (Vec::new(), Vec::new(), Vec::new());
        btree::each_cell(&self.pages, found.root, |cell| {
            // Both come in the order of rowids.
            while before.next_if(|seen| seen.is_before(cell)).is_some() {}
            let same = match before.peek() {
                Some(seen) if seen.is(cell, &self.pages)? => before.next(),
                _ => None,
            };
            let seen = match same {
                Some(seen) => seen,
                None => {
                    records.last_number += 1;
                    SeenRecord::new(cell, &self.pages, records.last_number)?
                }
            };
            if is_known(seen.number) {
                each(seen.number, None)?;
            } else {
                let record = cell.record(&mut room)?;
                record::decode_header(record, &mut places)?;
                each(seen.number, Some(&Row::new(cell.rowid, record, &places, &wanted)))?;
            }
            met.push(seen);
            Ok::<(), E>(())
        })?;
        records.seen.insert(table.to_string(), met);
        Ok(())
    }

    fn find(&self, table: &str) -> Result<&Table, ReadError> {
        self.tables.get(table).ok_or_else(|| malformed(format!("no table `{table}`")))
    }
}

fn wanted(table: &Table, names: &[&str]) -> Result<Vec<Column>, ReadError> {
    names.iter().map(|name| table.columns.find(name)).collect()
}

fn read_rows<E: From<ReadError>>(
    pages: &Pages<'_>,
    table: &Table,
    names: &[&str],
    mut each: impl FnMut(&Row<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let wanted = wanted(table, names)?;
    let (mut places, mut room) = (Vec::new(), Vec::new());
    btree::each_cell(pages, table.root, |cell| {
        let record = cell.record(&mut room)?;
        record::decode_header(record, &mut places)?;
        each(&Row::new(cell.rowid, record, &places, &wanted))
    })
}
