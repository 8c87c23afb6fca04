//! The records of a table as they were last met.
//!
//! **Invariant:** a record keeps its number exactly as long as its bytes stay the same: those in the leaf
//! page are compared, of those in overflow pages it is known that the disk still has the very pieces
//! that were read, which nobody writes to while they are held.

use super::ReadError;
use super::btree::Cell;
use super::pages::Pages;
use crate::disk::Bytes;

/// A record as it was met.
#[derive(Clone)]
pub(super) struct SeenRecord {
    rowid: i64,
    pub number: u64,
    size: usize,
    local: Box<[u8]>,
    /// Its overflow pages; none if the disk does not keep one of them in one piece.
    overflow: Option<Vec<Bytes>>,
}

impl SeenRecord {
    /// Keeps a record under a number of its own.
    pub fn new(cell: &Cell<'_, '_>, pages: &Pages<'_>, number: u64) -> Result<Self, ReadError> {
        let mut overflow = Some(Vec::new());
        cell.each_overflow_page(|page_nr| {
            match (&mut overflow, pages.piece(page_nr)) {
                (Some(pieces), Some(piece)) => pieces.push(piece.clone()),
                _ => overflow = None,
            }
            Ok(overflow.is_some())
        })?;
        let (rowid, size, local) = (cell.rowid, cell.size, cell.local.into());
        Ok(SeenRecord { rowid, number, size, local, overflow })
    }

    /// Whether the record at a place is this one.
    pub fn is(&self, cell: &Cell<'_, '_>, pages: &Pages<'_>) -> Result<bool, ReadError> {
        let is_here = self.rowid == cell.rowid && self.size == cell.size;
        let (true, Some(pieces)) = (is_here && *self.local == *cell.local, &self.overflow) else {
            return Ok(false);
        };
        let mut same_count = 0;
        cell.each_overflow_page(|page_nr| {
            let piece = pages.piece(page_nr);
            let is_same = piece.is_some_and(|piece| Bytes::ptr_eq(piece, &pieces[same_count]));
            same_count += usize::from(is_same);
            Ok(is_same)
        })?;
        Ok(same_count == pieces.len())
    }

    pub fn is_before(&self, cell: &Cell<'_, '_>) -> bool {
        self.rowid < cell.rowid
    }
}
