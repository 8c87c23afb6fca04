//! Records: the values of a row ("Database File Format", section 2.1).
//!
//! **Invariant:** a value is read from inside its record or not at all.

use super::columns::Column;
use super::{ReadError, malformed};
use std::str::from_utf8;

/// A value as it is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// `NULL`.
    Null,
    /// An integer.
    Integer(i64),
    /// A real number.
    Real(f64),
    /// Text; SQLite does not promise that it is valid UTF-8.
    Text(&'a [u8]),
    /// A blob.
    Blob(&'a [u8]),
}

/// Serial type of a value and where in the record it begins.
pub(super) type Place = (u64, usize);

/// A row, with the columns that were asked for.
pub struct Row<'a> {
    rowid: i64,
    record: &'a [u8],
    places: &'a [Place],
    wanted: &'a [Column],
}

impl<'a> Row<'a> {
    pub(super) fn new(
        rowid: i64,
        record: &'a [u8],
        places: &'a [Place],
        wanted: &'a [Column],
    ) -> Row<'a> {
        Row { rowid, record, places, wanted }
    }

    /// The row's number in its table.
    pub fn rowid(&self) -> i64 {
        self.rowid
    }

    /// The value of the column that was asked for as number `index`.
    ///
    /// # Errors
    /// [`ReadError`].
    ///
    /// # Panics
    /// When fewer columns were asked for.
    pub fn value(&self, index: usize) -> Result<Value<'a>, ReadError> {
        let column = self.wanted[index];
        if column.is_rowid {
            return Ok(Value::Integer(self.rowid));
        }
        let Some(place) = self.places.get(column.position) else {
            // The row is older than the column.
            return match column.has_default {
                true => Err(ReadError::Unknown("defaults of rows that lack the column")),
                false => Ok(Value::Null),
            };
        };
        match (value(self.record, *place)?, column.is_real) {
            (Value::Integer(whole), true) => Ok(Value::Real(whole as f64)),
            (value, _) => Ok(value),
        }
    }

    /// The integer of that column.
    ///
    /// # Errors
    /// [`ReadError`]; a value that is none.
    pub fn integer(&self, index: usize) -> Result<i64, ReadError> {
        match self.value(index)? {
            Value::Integer(value) => Ok(value),
            _ => Err(malformed(format!("column {index} of row {} is no integer", self.rowid))),
        }
    }

    /// The bytes of that column, a text or a blob.
    ///
    /// # Errors
    /// [`ReadError`]; a value that is neither.
    pub fn bytes(&self, index: usize) -> Result<&'a [u8], ReadError> {
        match self.value(index)? {
            Value::Text(bytes) | Value::Blob(bytes) => Ok(bytes),
            _ => Err(malformed(format!("column {index} of row {} has no bytes", self.rowid))),
        }
    }

    /// The text of that column.
    ///
    /// # Errors
    /// [`ReadError`]; a value that is none, or no UTF-8.
    pub fn text(&self, index: usize) -> Result<&'a str, ReadError> {
        let text = match self.value(index)? {
            Value::Text(bytes) => from_utf8(bytes).ok(),
            _ => None,
        };
        text.ok_or_else(|| malformed(format!("column {index} of row {} is no text", self.rowid)))
    }
}

/// Reads where the values of a record are.
pub(super) fn decode_header(record: &[u8], places: &mut Vec<Place>) -> Result<(), ReadError> {
    places.clear();
    let outside = || malformed("header of a record");
    let (size, mut at) = varint(record, 0).ok_or_else(outside)?;
    let size = usize::try_from(size).ok().filter(|size| (at..=record.len()).contains(size));
    let header = &record[..size.ok_or_else(outside)?];
    let mut start = header.len();
    while at < header.len() {
        let (serial, read) = varint(header, at).ok_or_else(outside)?;
        places.push((serial, start));
        at += read;
        let size = usize::try_from(size_of(serial)).ok();
        start = size.and_then(|size| start.checked_add(size)).ok_or_else(outside)?;
    }
    Ok(())
}

fn size_of(serial: u64) -> u64 {
    match serial {
        0 | 8..=11 => 0,
        1..=4 => serial,
        5 => 6,
        6 | 7 => 8,
        long => (long - 12) / 2,
    }
}

fn value(record: &[u8], (serial, start): Place) -> Result<Value<'_>, ReadError> {
    let size = size_of(serial) as usize;
    let bytes = start.checked_add(size).and_then(|end| record.get(start..end));
    let bytes = bytes.ok_or_else(|| malformed("value outside of its record"))?;
    Ok(match serial {
        0 => Value::Null,
        1..=6 => Value::Integer(integer(bytes)),
        7 => match f64::from_bits(integer(bytes) as u64) {
            // SQLite has no NaN.
            number if number.is_nan() => Value::Null,
            number => Value::Real(number),
        },
        8 => Value::Integer(0),
        9 => Value::Integer(1),
        10 | 11 => return Err(malformed("value of a reserved type")),
        even if even % 2 == 0 => Value::Blob(bytes),
        _ => Value::Text(bytes),
    })
}

/// A big-endian number of up to eight bytes in two's complement.
fn integer(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|first| first & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte))
}

/// A varint at `at` and how many bytes it takes.
pub(super) fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut number = 0;
    for read in 0..8 {
        let byte = *bytes.get(at + read)?;
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, read + 1));
        }
    }
    // The ninth byte brings all its bits.
    Some((number << 8 | u64::from(*bytes.get(at + 8)?), 9))
}

/// A varint as the signed number that it stands for.
pub(super) fn signed(number: u64) -> i64 {
    number as i64
}
