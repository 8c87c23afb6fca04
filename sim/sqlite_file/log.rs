//! A write-ahead log, read as recovery reads it ("Database File Format", section 4).
//!
//! **Invariant:** a frame counts if its salts are the header's, its checksum continues that of the frame
//! before, and a commit frame follows that counts, or it is one. What an earlier scan has found is kept
//! for the frames whose bytes are the very same pieces of the disk: a piece that someone holds is never
//! written to again.

use super::{ReadError, malformed};
use crate::disk::{Bytes, Disk, FileId};
use std::borrow::Cow;

const HEADER: usize = 32;
pub(super) const FRAME_HEADER: usize = 24;
const MAGIC: u32 = 0x377f_0682;
const VERSION: u32 = 3_007_000;
/// More pages than any database here has; beyond it SQLite is to read.
const PAGES_MAX: u32 = 1 << 20;

/// The two running sums of the checksum.
type Sums = (u32, u32);

/// The log as it was last read.
#[derive(Clone, Default)]
pub(super) struct SeenLog {
    header: Vec<u8>,
    frames: Vec<Frame>,
}

#[derive(Clone)]
struct Frame {
    /// Header and page; none where the disk does not keep them as one piece each.
    pieces: Option<(Bytes, Bytes)>,
    page_nr: u32,
    /// Pages of the database after the commit; 0 for a frame that commits nothing.
    commit_pages: u32,
    sums: Sums,
}

/// The committed frames of a log.
pub(super) struct Index {
    pub page_size: usize,
    /// Pages of the database after the last commit.
    pub page_count: u32,
    /// By page number, the number of the frame that holds it plus one; 0 for none.
    frames: Vec<u32>,
}

impl Index {
    /// Where in the log the newest committed content of a page stands, if it does.
    pub fn offset_of(&self, page_nr: u32) -> Option<u64> {
        let frame = self.frames.get(page_nr as usize).copied().unwrap_or(0).checked_sub(1)?;
        Some(frame_offset(frame as usize, self.page_size) + FRAME_HEADER as u64)
    }
}

fn frame_offset(frame: usize, page_size: usize) -> u64 {
    HEADER as u64 + frame as u64 * (FRAME_HEADER + page_size) as u64
}

impl SeenLog {
    /// Scans the log; none if nothing is committed in it.
    pub fn scan(&mut self, disk: &Disk, log: FileId) -> Result<Option<Index>, ReadError> {
        let header = disk.bytes(log, 0, HEADER);
        if *header != *self.header {
            self.header = header.to_vec();
            self.frames.clear();
        }
        // A header that does not hold is as none: its log was never begun.
        let Some(page_size) = page_size(&self.header) else { return Ok(None) };
        let big_endian = word(&self.header, 0) & 1 == 1;
        let mut sums = checksum((0, 0), &self.header[..24], big_endian);
        if sums != (word(&self.header, 24), word(&self.header, 28)) {
            return Ok(None);
        }
        if word(&self.header, 4) != VERSION {
            return Err(malformed("log of another version"));
        }
        let len = disk.len(log).saturating_sub(HEADER as u64);
        let count = (len / (FRAME_HEADER + page_size) as u64) as usize;
        let kept = self.frames.iter().take(count).enumerate();
        let kept = kept.take_while(|(nr, frame)| frame.is_still(disk, log, (*nr, page_size)));
        let kept = kept.count();
        self.frames.truncate(kept);
        if let Some(last) = self.frames.last() {
            sums = last.sums;
        }
        for nr in kept..count {
            let salts = &self.header[16..24];
            match Frame::read(disk, log, (nr, page_size), (salts, sums, big_endian)) {
                Some(frame) => {
                    sums = frame.sums;
                    self.frames.push(frame);
                }
                None => break,
            }
        }
        self.index(page_size)
    }

    fn index(&self, page_size: usize) -> Result<Option<Index>, ReadError> {
        let Some(last) = self.frames.iter().rposition(|frame| frame.commit_pages > 0) else {
            return Ok(None);
        };
        let page_count = self.frames[last].commit_pages;
        if page_count > PAGES_MAX {
            return Err(ReadError::Unknown("a database of so many pages"));
        }
        let mut frames = vec![0; page_count as usize + 1];
        for (nr, frame) in self.frames[..=last].iter().enumerate() {
            // A page beyond the end was cut off by a later commit.
            if let Some(slot) = frames.get_mut(frame.page_nr as usize) {
                *slot = nr as u32 + 1;
            }
        }
        Ok(Some(Index { page_size, page_count, frames }))
    }
}

impl Frame {
    fn read(
        disk: &Disk,
        log: FileId,
        (nr, page_size): (usize, usize),
        (salts, sums, big_endian): (&[u8], Sums, bool),
    ) -> Option<Frame> {
        let offset = frame_offset(nr, page_size);
        let header = disk.bytes(log, offset, FRAME_HEADER);
        let (page_nr, commit_pages) = (word(&header, 0), word(&header, 4));
        if header[8..16] != *salts || page_nr == 0 {
            return None;
        }
        let page: Cow<'_, [u8]> = disk.bytes(log, offset + FRAME_HEADER as u64, page_size);
        let sums = checksum(sums, &header[..8], big_endian);
        let sums = checksum(sums, &page, big_endian);
        let pieces = pieces(disk, log, (nr, page_size));
        let pieces = pieces.map(|(header, page)| (header.clone(), page.clone()));
        let holds = sums == (word(&header, 16), word(&header, 20));
        holds.then_some(Frame { pieces, page_nr, commit_pages, sums })
    }

    /// Whether the frame's bytes are those that were read.
    fn is_still(&self, disk: &Disk, log: FileId, place: (usize, usize)) -> bool {
        match (&self.pieces, pieces(disk, log, place)) {
            (Some((header, page)), Some((header_there, page_there))) => {
                Bytes::ptr_eq(header, header_there) && Bytes::ptr_eq(page, page_there)
            }
            _ => false,
        }
    }
}

fn pieces(disk: &Disk, log: FileId, (nr, page_size): (usize, usize)) -> Option<(&Bytes, &Bytes)> {
    let offset = frame_offset(nr, page_size);
    let header = disk.piece(log, offset, FRAME_HEADER)?;
    Some((header, disk.piece(log, offset + FRAME_HEADER as u64, page_size)?))
}

/// The page size in a log's header, if it is one.
fn page_size(header: &[u8]) -> Option<usize> {
    let page_size = word(header, 8) as usize;
    let is_log = word(header, 0) & !1 == MAGIC;
    (is_log && page_size.is_power_of_two() && (512..=65536).contains(&page_size))
        .then_some(page_size)
}

/// Big-endian 32 bits at `at`; bytes that are not there are 0.
pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map_or(0, u32::from_be_bytes)
}

/// Continues the checksum over `bytes`, whose count is a multiple of 8.
fn checksum((mut one, mut two): Sums, bytes: &[u8], big_endian: bool) -> Sums {
    let mut add = |first: u32, second: u32| {
        one = one.wrapping_add(first).wrapping_add(two);
        two = two.wrapping_add(second).wrapping_add(one);
    };
    let pairs = bytes.chunks_exact(8).map(|pair| {
        let [a, b, c, d, e, f, g, h] = *pair else { return ([0; 4], [0; 4]) };
        ([a, b, c, d], [e, f, g, h])
    });
    if big_endian {
        pairs.for_each(|(first, second)| {
            add(u32::from_be_bytes(first), u32::from_be_bytes(second));
        });
    } else {
        pairs.for_each(|(first, second)| {
            add(u32::from_le_bytes(first), u32::from_le_bytes(second));
        });
    }
    (one, two)
}
