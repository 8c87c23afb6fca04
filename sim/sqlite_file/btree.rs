//! Table b-trees: every record of a table, in the order of rowids ("Database File Format",
//! section 1.6).
//!
//! **Invariant:** the walk ends, whatever the pages say: no more pages are visited than there are,
//! and no record is longer than all of them.

use super::log::word;
use super::pages::{HEADER, Pages};
use super::record::{signed, varint};
use super::{ReadError, malformed};

const INTERIOR_TABLE: u8 = 5;
const LEAF_TABLE: u8 = 13;
/// SQLite's own limit of a cursor's depth.
const DEPTH_MAX: u32 = 20;

/// A record of a table where it stands: its part in the leaf page, and the rest in overflow pages.
pub(super) struct Cell<'w, 'a> {
    pages: &'w Pages<'a>,
    pub rowid: i64,
    /// Bytes of the whole record.
    pub size: usize,
    pub local: &'w [u8],
    /// The first overflow page, if there is one.
    pub overflow: Option<u32>,
}

impl Cell<'_, '_> {
    /// The whole record, in `room` if it is spread over pages.
    pub fn record<'r>(&'r self, room: &'r mut Vec<u8>) -> Result<&'r [u8], ReadError> {
        if self.overflow.is_none() {
            return Ok(self.local);
        }
        room.clear();
        room.reserve(self.size);
        room.extend_from_slice(self.local);
        let usable = self.pages.usable();
        self.each_overflow_page(|page_nr| {
            let page = self.pages.page(page_nr)?;
            let count = (usable - 4).min(self.size - room.len());
            room.extend_from_slice(&page[4..4 + count]);
            Ok(true)
        })?;
        Ok(room)
    }

    /// Hands the number of each overflow page to `each`, in order, until it says that this is enough.
    pub fn each_overflow_page(
        &self,
        mut each: impl FnMut(u32) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        let count = (self.size - self.local.len()).div_ceil(self.pages.usable() - 4);
        if count > self.pages.count() as usize {
            return Err(malformed("record longer than its database"));
        }
        let mut next = self.overflow.unwrap_or(0);
        for _ in 0..count {
            if !each(next)? {
                break;
            }
            next = word(&self.pages.page(next)?, 0);
        }
        Ok(())
    }
}

struct Walk<'w, 'a> {
    pages: &'w Pages<'a>,
    /// Pages that may still be visited.
    budget: u32,
}

/// Hands each record of the table at `root` to `each`.
pub(super) fn each_cell<E: From<ReadError>>(
    pages: &Pages<'_>,
    root: u32,
    mut each: impl FnMut(&Cell<'_, '_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut walk = Walk { pages, budget: pages.count() };
    walk.visit(root, DEPTH_MAX, &mut each)
}

impl Walk<'_, '_> {
    fn visit<E: From<ReadError>>(
        &mut self,
        page_nr: u32,
        depth_left: u32,
        each: &mut impl FnMut(&Cell<'_, '_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if depth_left == 0 || self.budget == 0 {
            return Err(malformed(format!("b-tree with a loop at page {page_nr}")).into());
        }
        self.budget -= 1;
        let page = self.pages.page(page_nr)?;
        let page = &page[..self.pages.usable()];
        let start = if page_nr == 1 { HEADER } else { 0 };
        let cells = usize::from(short(page, start + 3)?);
        let pointers = |kind_header: usize| start + kind_header;
        match page[start] {
            LEAF_TABLE => {
                for cell in 0..cells {
                    let at = usize::from(short(page, pointers(8) + 2 * cell)?);
                    self.leaf_cell(page, at, each)?;
                }
                Ok(())
            }
            INTERIOR_TABLE => {
                for cell in 0..cells {
                    let at = usize::from(short(page, pointers(12) + 2 * cell)?);
                    if at + 4 > page.len() {
                        return Err(malformed(format!("cell outside of page {page_nr}")).into());
                    }
                    self.visit(word(page, at), depth_left - 1, each)?;
                }
                self.visit(word(page, start + 8), depth_left - 1, each)
            }
            kind => Err(malformed(format!("page {page_nr} of kind {kind} in a table")).into()),
        }
    }

    fn leaf_cell<E: From<ReadError>>(
        &mut self,
        page: &[u8],
        at: usize,
        each: &mut impl FnMut(&Cell<'_, '_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let outside = || malformed("record outside of its page");
        let (size, read) = varint(page, at).ok_or_else(outside)?;
        let (rowid, more) = varint(page, at + read).ok_or_else(outside)?;
        let size = usize::try_from(size).ok().filter(|size| *size <= i32::MAX as usize);
        let size = size.ok_or_else(outside)?;
        let (start, count) = (at + read + more, self.local_size(size));
        let local = page.get(start..start + count).ok_or_else(outside)?;
        let overflow = match count == size {
            true => None,
            false if page.len() < start + count + 4 => return Err(outside().into()),
            false => Some(word(page, start + count)),
        };
        each(&Cell { pages: self.pages, rowid: signed(rowid), size, local, overflow })
    }

    /// Bytes of a record that stand in its leaf page.
    fn local_size(&self, size: usize) -> usize {
        let usable = self.pages.usable();
        let (most, least) = (usable - 35, (usable - 12) * 32 / 255 - 23);
        if size <= most {
            return size;
        }
        let spread = least + (size - least) % (usable - 4);
        if spread <= most { spread } else { least }
    }
}

fn short(page: &[u8], at: usize) -> Result<u16, ReadError> {
    match page.get(at..at + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(malformed("cells beyond the end of their page")),
    }
}
