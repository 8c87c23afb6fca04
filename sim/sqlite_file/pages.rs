//! Pages of a database, from its file and from its log.
//!
//! **Invariant:** a page's content is that of its newest committed frame, else that of the file.

use super::log::{Index, SeenLog, word};
use super::{ReadError, malformed};
use crate::disk::{Bytes, Disk, FileId};
use std::borrow::Cow;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Bytes of the database's header, at the start of page 1.
pub(super) const HEADER: usize = 100;
const USABLE_MIN: usize = 480;
const UTF_8: u32 = 1;

pub(super) struct Pages<'a> {
    disk: &'a Disk,
    file: Option<FileId>,
    log: Option<(FileId, Index)>,
    size: usize,
    /// Bytes of a page without those that are reserved at its end.
    usable: usize,
    count: u32,
}

impl<'a> Pages<'a> {
    pub fn open(disk: &'a Disk, path: &str, seen: &mut SeenLog) -> Result<Pages<'a>, ReadError> {
        let not_empty = |suffix: &str| {
            let file = disk.find(&format!("{path}{suffix}"));
            file.filter(|file| disk.len(*file) > 0)
        };
        if not_empty("-journal").is_some() {
            return Err(ReadError::Unknown("rollback journals"));
        }
        let mut pages = Pages { disk, file: None, log: None, size: 512, usable: 512, count: 0 };
        // SQLite drops the log of an empty file.
        let Some(file) = not_empty("") else { return Ok(pages) };
        pages.file = Some(file);
        if let Some(log) = not_empty("-wal") {
            pages.log = seen.scan(disk, log)?.map(|index| (log, index));
        }
        pages.size = match &pages.log {
            Some((_, index)) => index.page_size,
            None => size_in(&disk.bytes(file, 0, HEADER)),
        };
        pages.read_header()?;
        Ok(pages)
    }

    fn read_header(&mut self) -> Result<(), ReadError> {
        self.count = 1;
        let there = match &self.log {
            Some((_, index)) => index.page_count,
            None => {
                let len = self.file.map_or(0, |file| self.disk.len(file));
                u32::try_from(len.div_ceil(self.size.max(1) as u64)).unwrap_or(u32::MAX)
            }
        };
        if self.size == 0 {
            return Err(malformed("header without a page size"));
        }
        let page = self.page(1)?;
        let (header, size) = (&page[..HEADER], self.size);
        let usable = size.saturating_sub(usize::from(header[20]));
        let told = word(header, 28);
        // The count is only right if whoever wrote it also wrote the change counter.
        let is_told = told > 0 && header[24..28] == header[92..96];
        let is_sound = header.starts_with(MAGIC)
            && size_in(header) == size
            && header[21..24] == [64, 32, 32]
            && (1..=2).contains(&header[19])
            && usable >= USABLE_MIN;
        let encoding = word(header, 56);
        let schema_format = word(header, 44);
        drop(page);
        if !is_sound {
            return Err(malformed("header"));
        }
        if is_told && told > there {
            return Err(malformed(format!("header with {told} pages, of which {there} are there")));
        }
        if encoding != UTF_8 && schema_format != 0 {
            return Err(ReadError::Unknown("text in UTF-16"));
        }
        (self.usable, self.count) = (usable, if is_told { told } else { there });
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    pub fn usable(&self) -> usize {
        self.usable
    }

    /// A page's bytes. What lies beyond the file's end reads as zeros, as it does to SQLite.
    pub fn page(&self, page_nr: u32) -> Result<Cow<'a, [u8]>, ReadError> {
        let (file, offset) = self.place(page_nr)?;
        Ok(self.disk.bytes(file, offset, self.size))
    }

    /// The piece in which the disk keeps a page, if it does.
    pub fn piece(&self, page_nr: u32) -> Option<&'a Bytes> {
        let (file, offset) = self.place(page_nr).ok()?;
        self.disk.piece(file, offset, self.size)
    }

    fn place(&self, page_nr: u32) -> Result<(FileId, u64), ReadError> {
        let Some(file) = self.file.filter(|_| (1..=self.count).contains(&page_nr)) else {
            return Err(malformed(format!("page {page_nr} of {}", self.count)));
        };
        let in_log = |(log, index): &(FileId, Index)| Some((*log, index.offset_of(page_nr)?));
        let in_file = || (file, u64::from(page_nr - 1) * self.size as u64);
        Ok(self.log.as_ref().and_then(in_log).unwrap_or_else(in_file))
    }
}

/// The page size in a database's header; 0 if it is none.
fn size_in(header: &[u8]) -> usize {
    match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65536,
        size if size.is_power_of_two() && size >= 512 => usize::from(size),
        _ => 0,
    }
}
