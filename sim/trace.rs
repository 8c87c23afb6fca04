//! What happened in a run, record by record, with a running hash over all of it.
//!
//! **Invariant:** equal fingerprints mean equal runs. Every disk operation (kind, file, offset, length,
//! bytes, outcome), request, answer, fault, crash, boot and check goes into the hash, in order, with
//! its simulated time. No address, no host time and no process-wide number does.

use crate::disk::Fate;
use serde::{Serialize, Serializer};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use twox_hash::XxHash3_128;

/// The format of a trace: what is recorded, how it is encoded, and the hash over it. Fingerprints
/// compare only under one format.
pub const TRACE_FORMAT: &str = "stormglass-trace-2 xxh3-128";

/// What was asked of the disk.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize, Hash,
)]
#[serde(rename_all = "kebab-case")]
pub enum OpKind {
    /// A file was opened, and made if it was not there.
    Open,
    /// Bytes were read.
    Read,
    /// Bytes were written.
    Write,
    /// A length was set.
    Truncate,
    /// A file's bytes were made durable.
    Sync,
    /// A directory's entries were made durable.
    SyncDirectory,
    /// A name was taken away.
    Delete,
    /// A name was changed.
    Rename,
    /// The process computed for a while: no operation of the disk, but one that can be slow, and one
    /// before which the process can die.
    Compute,
}

/// What a file is to SQLite, by the flags it was opened with or else by its name.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize, Hash,
)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A database.
    Database,
    /// A write-ahead log.
    Wal,
    /// A rollback journal, or the journal that ties several of them.
    Journal,
    /// A file without a name that goes when it is closed.
    Temporary,
    /// Any other file.
    Other,
}

impl FileKind {
    /// The kind that a path's suffix tells.
    pub fn of_path(path: &str) -> FileKind {
        if path.ends_with("-wal") {
            FileKind::Wal
        } else if path.contains("-journal") || path.contains("-mj") {
            FileKind::Journal
        } else if path.ends_with(".db") {
            FileKind::Database
        } else {
            FileKind::Other
        }
    }
}

/// A 128-bit hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(pub u128);

impl Digest {
    /// XXH3-128 of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(XxHash3_128::oneshot(bytes))
    }

    /// XXH3-128 of what `value` feeds to a hasher: equal for equal values, in any process of this build.
    pub fn of_value(value: &(impl Hash + ?Sized)) -> Digest {
        let mut digester = Digester(XxHash3_128::new());
        value.hash(&mut digester);
        Digest(digester.0.finish_128())
    }

    fn halves(self) -> [u64; 2] {
        [self.0 as u64, (self.0 >> 64) as u64]
    }
}

/// What a value feeds is taken in whole; only [`Digest::of_value`] asks for what came of it.
struct Digester(XxHash3_128);

impl Hasher for Digester {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.finish_128() as u64
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// A disk operation.
    Disk {
        /// What was asked.
        kind: OpKind,
        /// The file's path, or `(temporary)`.
        file: Arc<str>,
        /// First byte, or the new length of a truncation.
        offset: u64,
        /// Bytes asked for.
        len: u64,
        /// Hash of the bytes written, or of those that were read.
        bytes: Digest,
        /// `"ok"`, or what went wrong.
        outcome: &'static str,
    },
    /// An injected fault struck the operation of this record's number.
    Fault {
        /// The effect, in words.
        effect: String,
    },
    /// A process started.
    Boot,
    /// The process died.
    Crash {
        /// How, in words.
        ending: String,
        /// How many changes were pending.
        pending: u64,
        /// Hash over the fate of each.
        fates: Digest,
    },
    /// The wall clock was set.
    ClockStep {
        /// By so many milliseconds.
        by_ms: i64,
    },
    /// A parked task was let go on.
    Point {
        /// Where it stood.
        label: String,
    },
    /// Somebody asked for something.
    Request {
        /// Who.
        who: String,
        /// What.
        what: String,
    },
    /// Somebody was answered, or lost the connection.
    Answer {
        /// Who.
        who: String,
        /// What.
        what: String,
    },
    /// A check was made.
    Check {
        /// Its name.
        name: String,
        /// What it found.
        found: String,
    },
}

/// One thing that happened, with its time and place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// The wall clock, in milliseconds of Unix time.
    pub utc_ms: i64,
    /// Milliseconds since the run began.
    pub monotonic_ms: i64,
    /// The boot that it happened in; 0 before the first.
    pub boot: u32,
    /// Disk operations so far, this one included.
    pub op: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Record {
    /// Appends the record's bytes for the hash: its time and place, a tag for the event, then each
    /// field, strings with their length. No two different records encode alike.
    fn encode(&self, out: &mut Vec<u8>) {
        let texts = |out: &mut Vec<u8>, tag: u64, texts: &[&str]| {
            self.encode_numbers(out, tag, []);
            texts.iter().for_each(|text| encode_text(out, text));
        };
        match &self.event {
            Event::Disk { kind, file, offset, len, bytes, outcome } => {
                let [low, high] = bytes.halves();
                self.encode_numbers(out, 1, [*kind as u64, *offset, *len, low, high]);
                encode_text(out, file);
                encode_text(out, outcome);
            }
            Event::Fault { effect } => texts(out, 2, &[effect]),
            Event::Boot => texts(out, 3, &[]),
            Event::Crash { ending, pending, fates } => {
                let [low, high] = fates.halves();
                self.encode_numbers(out, 4, [*pending, low, high]);
                encode_text(out, ending);
            }
            Event::ClockStep { by_ms } => self.encode_numbers(out, 5, [*by_ms as u64]),
            Event::Request { who, what } => texts(out, 6, &[who, what]),
            Event::Answer { who, what } => texts(out, 7, &[who, what]),
            Event::Check { name, found } => texts(out, 8, &[name, found]),
            Event::Point { label } => texts(out, 9, &[label]),
        }
    }

    /// All numbers of a record have 8 bytes, so that they are appended in one piece.
    fn encode_numbers<const N: usize>(&self, out: &mut Vec<u8>, tag: u64, fields: [u64; N]) {
        let (utc_ms, monotonic_ms) = (self.utc_ms as u64, self.monotonic_ms as u64);
        let place = [utc_ms, monotonic_ms, u64::from(self.boot), self.op, tag];
        out.extend_from_slice(place.map(u64::to_le_bytes).as_flattened());
        out.extend_from_slice(fields.map(u64::to_le_bytes).as_flattened());
    }
}

fn encode_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Bytes of encoded records that are hashed in one go.
const UNHASHED_MAX: usize = 4096;

/// The records of a run and their running hash.
pub struct Trace {
    hash: XxHash3_128,
    /// The last records, encoded: hashing many at once costs less than one by one.
    unhashed: Vec<u8>,
    kept: Option<Vec<Record>>,
}

impl Trace {
    /// An empty trace. With `keep` it holds on to every record; without, only to the hash.
    pub fn new(keep: bool) -> Trace {
        let mut hash = XxHash3_128::new();
        hash.write(TRACE_FORMAT.as_bytes());
        Trace { hash, unhashed: Vec::new(), kept: keep.then(Vec::new) }
    }

    /// Adds one record.
    pub fn add(&mut self, record: Record) {
        record.encode(&mut self.unhashed);
        if self.unhashed.len() >= UNHASHED_MAX {
            self.hash.write(&self.unhashed);
            self.unhashed.clear();
        }
        if let Some(kept) = &mut self.kept {
            kept.push(record);
        }
    }

    /// The hash over everything recorded so far.
    pub fn fingerprint(&self) -> Digest {
        let mut hash = self.hash.clone();
        hash.write(&self.unhashed);
        Digest(hash.finish_128())
    }

    /// Whether it holds on to its records.
    pub fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// The records, when they are kept.
    pub fn records(&self) -> &[Record] {
        self.kept.as_deref().unwrap_or_default()
    }
}

/// Hash over the fates of a power loss, for its record.
pub(crate) fn digest_of_fates(fates: &[Fate]) -> Digest {
    let mut bytes: Vec<u8> = Vec::new();
    for fate in fates {
        match fate {
            Fate::Lost => bytes.push(0),
            Fate::Kept => bytes.push(1),
            Fate::Torn(kept) => {
                bytes.push(2);
                bytes.extend((kept.len() as u64).to_le_bytes());
                bytes.extend(kept.iter().map(|kept| u8::from(*kept)));
            }
        }
    }
    Digest::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: when records reach the hash is nobody's business. Method: the same records, more than
    /// are hashed in one go, into two traces of which one is asked for its fingerprint after each.
    #[test]
    fn asking_for_the_fingerprint_changes_nothing() {
        let (mut asked, mut left_alone) = (Trace::new(true), Trace::new(false));
        let mut seen = std::collections::BTreeSet::new();
        for op in 0..200 {
            let event = Event::Fault { effect: "eio".to_string() };
            let record = Record { utc_ms: 5, monotonic_ms: 5, boot: 1, op, event };
            asked.add(record.clone());
            left_alone.add(record);
            assert!(seen.insert(asked.fingerprint()), "record {op} did not count");
        }
        assert_eq!(asked.fingerprint(), left_alone.fingerprint());
    }
}
