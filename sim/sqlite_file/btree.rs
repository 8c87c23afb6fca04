//! Table b-trees: every record of a table, in the order of rowids ("Database File Format",
//! section 1.6).
//!
//! **Invariant:** the walk ends, whatever the pages say: no page is met twice more often than there
//! are pages, and no record is longer than all of them.

use super::log::word;
use super::pages::{HEADER, Pages};
use super::record::{signed, varint};
use super::{ReadError, malformed};

const INTERIOR_TABLE: u8 = 5;
const LEAF_TABLE: u8 = 13;
/// SQLite's own limit of a cursor's depth.
const DEPTH_MAX: u32 = 20;

struct Walk<'p, 'a> {
    pages: &'p Pages<'a>,
    /// Pages that may still be visited.
    budget: u32,
    /// A record that is spread over overflow pages.
    record: Vec<u8>,
}

/// Hands each record of the table at `root` to `each`, with its rowid.
pub(super) fn each_record<E: From<ReadError>>(
    pages: &Pages<'_>,
    root: u32,
    mut each: impl FnMut(i64, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut walk = Walk { pages, budget: pages.count(), record: Vec::new() };
    walk.visit(root, DEPTH_MAX, &mut each)
}

impl Walk<'_, '_> {
    fn visit<E: From<ReadError>>(
        &mut self,
        page_nr: u32,
        depth_left: u32,
        each: &mut impl FnMut(i64, &[u8]) -> Result<(), E>,
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
        each: &mut impl FnMut(i64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let outside = || malformed("record outside of its page");
        let (size, read) = varint(page, at).ok_or_else(outside)?;
        let (rowid, more) = varint(page, at + read).ok_or_else(outside)?;
        let size = usize::try_from(size).ok().filter(|size| *size <= i32::MAX as usize);
        let size = size.ok_or_else(outside)?;
        let (start, local) = (at + read + more, self.local_size(size));
        let here = page.get(start..start + local).ok_or_else(outside)?;
        if local == size {
            return each(signed(rowid), here);
        }
        if page.len() < start + local + 4 {
            return Err(outside().into());
        }
        self.record.clear();
        self.record.extend_from_slice(here);
        self.overflow(word(page, start + local), size)?;
        each(signed(rowid), &self.record)
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

    /// Appends overflow pages until the record has `size` bytes.
    fn overflow(&mut self, first: u32, size: usize) -> Result<(), ReadError> {
        let room = self.pages.usable() - 4;
        if (size - self.record.len()).div_ceil(room) > self.pages.count() as usize {
            return Err(malformed("record longer than its database"));
        }
        self.record.reserve(size - self.record.len());
        let mut next = first;
        while self.record.len() < size {
            let page = self.pages.page(next)?;
            let count = room.min(size - self.record.len());
            self.record.extend_from_slice(&page[4..4 + count]);
            next = word(&page, 0);
        }
        Ok(())
    }
}

fn short(page: &[u8], at: usize) -> Result<u16, ReadError> {
    match page.get(at..at + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(malformed("cells beyond the end of their page")),
    }
}
