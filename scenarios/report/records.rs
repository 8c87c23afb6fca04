//! The records of a bundle's trace, read back, and what became of each change to the disk.
//!
//! **Invariant:** what a record does not say is not made up: a change is matched with what was pending at a crash
//! by file, place and the hash of its bytes, the last one first; whatever is left was synced before, or a sync has
//! forgotten it. **Not told:** that a write to a forgotten sector makes the rest of it dirty again.

use super::scenes::{Changed, CrashScene, PendingOp, Scenes};
use serde::Deserialize;
use std::collections::BTreeMap;
use stormglass_sim::disk::Fate;
use stormglass_sim::{Effect, Ending, OpKind};

/// A line of `trace.jsonl`.
#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    /// Milliseconds since the run began.
    pub monotonic_ms: i64,
    /// The boot.
    pub boot: u32,
    /// Disk operations so far.
    pub op: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened, as `stormglass_sim::trace::Event` writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// A disk operation.
    Disk(DiskOp),
    /// An injected fault.
    Fault { effect: String },
    /// A process started.
    Boot,
    /// It died.
    Crash { ending: String, pending: u64 },
    /// The wall clock was set.
    ClockStep { by_ms: i64 },
    /// A task went on.
    Point { label: String },
    /// Somebody asked.
    Request { who: String, what: String },
    /// Somebody was answered.
    Answer { who: String, what: String },
    /// A check was made.
    Check { name: String, found: String },
}

/// A disk operation.
#[derive(Clone, Debug, Deserialize)]
pub struct DiskOp {
    /// What was asked.
    pub kind: OpKind,
    /// The file.
    pub file: String,
    /// The first byte, or the new length.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// Hash over them.
    pub bytes: String,
    /// `ok`, or what went wrong.
    pub outcome: String,
}

/// How a change to the disk stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was synced.
    Durable,
    /// It was pending and survived the power loss.
    Kept,
    /// It was pending and did not.
    Lost,
    /// Of its sectors those that are true survived.
    Torn(Vec<bool>),
    /// It is in the page cache only.
    Pending,
    /// A sync has failed and forgotten it: it is in the page cache, and no sync makes it durable.
    Forgotten,
    /// An older image took its place.
    Undone,
    /// It was refused and changed nothing.
    Failed,
}

impl Standing {
    /// Its name, also in style sheets.
    pub fn name(&self) -> &'static str {
        match self {
            Standing::Durable => "durable",
            Standing::Kept => "kept",
            Standing::Lost => "lost",
            Standing::Torn(_) => "torn",
            Standing::Pending => "pending",
            Standing::Forgotten => "forgotten",
            Standing::Undone => "undone",
            Standing::Failed => "failed",
        }
    }

    /// The name, with the sectors of a torn write.
    pub fn in_words(&self) -> String {
        let Standing::Torn(sectors) = self else { return self.name().to_string() };
        let kept = sectors.iter().filter(|kept| **kept).count();
        format!("torn, {kept} of {} sectors", sectors.len())
    }

    fn of(op: &PendingOp, ending: Option<&Ending>) -> Standing {
        match (ending, &op.fate) {
            (Some(Ending::DiskSwap { .. }), _) => Standing::Undone,
            (Some(Ending::PowerLoss(_)), Some(Fate::Kept)) => Standing::Kept,
            (Some(Ending::PowerLoss(_)), Some(Fate::Torn(kept))) => Standing::Torn(kept.clone()),
            (Some(Ending::PowerLoss(_)), _) => Standing::Lost,
            _ => Standing::Pending,
        }
    }
}

/// How each record's change stood at one moment.
pub struct Standings {
    /// The first record that the moment had a say in.
    pub from: usize,
    /// A standing for each record from there on; none for what changes nothing.
    pub of: Vec<Option<Standing>>,
}

/// How the records' changes stood at each crash, and at the end.
pub fn standings(records: &[Record], scenes: &Scenes) -> Vec<Standings> {
    let mut settled = 0;
    let mut all = Vec::new();
    for crash in &scenes.crashes {
        all.push(at(records, settled..crash.record_count, &crash.pending, Some(crash)));
        if crash.settles() {
            settled = crash.record_count;
        }
    }
    let pending = scenes.end.as_ref().map_or(&[][..], |end| &end.pending);
    all.push(at(records, settled..scenes.record_count, pending, None));
    all
}

fn at(
    records: &[Record],
    range: std::ops::Range<usize>,
    pending: &[PendingOp],
    crash: Option<&CrashScene>,
) -> Standings {
    let from = range.start.min(records.len());
    let records = &records[from..range.end.clamp(from, records.len())];
    let ending = crash.map(|crash| &crash.ending);
    let settled = match ending {
        Some(Ending::DiskSwap { .. }) => Standing::Undone,
        _ => Standing::Durable,
    };
    let mut of: Vec<_> = records.iter().map(|record| settled_one(record, &settled)).collect();
    let gone = match ending {
        Some(Ending::PowerLoss(_)) => Standing::Lost,
        Some(Ending::DiskSwap { .. }) => Standing::Undone,
        _ => Standing::Forgotten,
    };
    forgotten(records).into_iter().for_each(|at| of[at] = Some(gone.clone()));
    let mut end = records.len();
    for op in pending.iter().rev() {
        let Some(found) = records[..end].iter().rposition(|record| is_of(op, record)) else {
            continue;
        };
        of[found] = Some(Standing::of(op, ending));
        end = found;
    }
    Standings { from, of }
}

/// The writes that a failing sync has forgotten.
fn forgotten(records: &[Record]) -> Vec<usize> {
    let mut unsynced: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut found = Vec::new();
    let mut forgets = false;
    for (at, record) in records.iter().enumerate() {
        match &record.event {
            Event::Disk(op) if op.kind == OpKind::Write && op.outcome == "ok" => {
                unsynced.entry(&op.file).or_default().push(at);
            }
            Event::Disk(op) if op.kind == OpKind::Sync && op.outcome == "ok" => {
                unsynced.remove(op.file.as_str());
            }
            Event::Disk(op) if op.kind == OpKind::Sync && forgets => {
                found.extend(unsynced.remove(op.file.as_str()).unwrap_or_default());
            }
            _ => {}
        }
        forgets = matches!(&record.event, Event::Fault { effect } if *effect == forgetting());
    }
    found
}

/// How a trace calls a sync that fails and forgets.
fn forgetting() -> String {
    Effect::ForgettingSync.to_string()
}

/// How a change stands that is not among the pending ones; nothing for what is none.
fn settled_one(record: &Record, settled: &Standing) -> Option<Standing> {
    let Event::Disk(op) = &record.event else { return None };
    match op.kind {
        OpKind::Write | OpKind::Truncate | OpKind::Delete | OpKind::Rename => {
            Some(if op.outcome == "ok" { settled.clone() } else { Standing::Failed })
        }
        _ if op.outcome != "ok" => Some(Standing::Failed),
        _ => None,
    }
}

fn is_of(pending: &PendingOp, record: &Record) -> bool {
    let Event::Disk(op) = &record.event else { return false };
    let is_same = match &pending.change {
        Changed::Write { offset, len, bytes } => {
            let is_equal = (op.offset, op.len, &op.bytes) == (*offset, *len, bytes);
            // What touches a forgotten sector is pending with the rest of it.
            let is_within = op.len < *len && *offset <= op.offset;
            let is_within = is_within && op.offset + op.len <= offset + len;
            op.kind == OpKind::Write && (is_equal || is_within)
        }
        Changed::Truncate { len } => op.kind == OpKind::Truncate && op.offset == *len,
        Changed::Create => op.kind == OpKind::Open,
        Changed::Delete => op.kind == OpKind::Delete,
        Changed::Rename => op.kind == OpKind::Rename,
    };
    is_same && op.file == pending.file && op.outcome == "ok"
}

#[cfg(test)]
mod tests {
    use super::*;
    use stormglass_sim::Survivors;

    fn write(offset: u64, bytes: &str) -> Record {
        let (kind, file, outcome) = (OpKind::Write, "/a.db".to_string(), "ok".to_string());
        let op = DiskOp { kind, file, offset, len: 1, bytes: bytes.to_string(), outcome };
        Record { monotonic_ms: 0, boot: 1, op: 1, event: Event::Disk(op) }
    }

    fn power_loss(record_count: usize, pending: Vec<PendingOp>) -> CrashScene {
        let (before, after) = Default::default();
        let ending = Ending::PowerLoss(Survivors::None);
        CrashScene { record_count, boot: 1, op: 4, ending, image: None, pending, before, after }
    }

    fn sync(outcome: &str) -> Record {
        let (kind, file, outcome) = (OpKind::Sync, "/a.db".to_string(), outcome.to_string());
        let op = DiskOp { kind, file, offset: 0, len: 0, bytes: String::new(), outcome };
        Record { monotonic_ms: 0, boot: 1, op: 1, event: Event::Disk(op) }
    }

    /// Goal: what a failing sync has forgotten is not told as synced. Method: writes before and after such a sync, and
    /// one that succeeds at last.
    #[test]
    fn what_a_sync_has_forgotten_goes_with_the_power() {
        let fault = Event::Fault { effect: forgetting() };
        let fault = Record { monotonic_ms: 0, boot: 1, op: 1, event: fault };
        let records =
            [write(0, "a"), fault, sync("eio"), write(8, "b"), sync("ok"), write(16, "c")];
        let names = |one: &Standings| -> Vec<&str> {
            one.of.iter().flatten().map(Standing::name).collect()
        };
        let alive = at(&records, 0..6, &[], None);
        assert_eq!(names(&alive), ["forgotten", "failed", "durable", "durable"]);
        let crashes = vec![power_loss(6, Vec::new())];
        let all = standings(&records, &Scenes { record_count: 6, crashes, end: None });
        assert_eq!(names(&all[0]), ["lost", "failed", "durable", "durable"]);
    }

    fn pending(offset: u64, bytes: &str, fate: Fate) -> PendingOp {
        let change = Changed::Write { offset, len: 1, bytes: bytes.to_string() };
        PendingOp { change, file: "/a.db".to_string(), fate: Some(fate) }
    }

    /// Goal: equal writes are told apart by their order. Method: the same write before and after a sync.
    #[test]
    fn what_was_synced_before_equal_pending_bytes_is_durable() {
        let records = [write(0, "x"), write(8, "y"), write(0, "x"), write(8, "z")];
        let ops = [pending(0, "x", Fate::Lost), pending(8, "z", Fate::Torn(vec![true, false]))];
        let crashes = vec![power_loss(4, ops.to_vec())];
        let all = standings(&records, &Scenes { record_count: 4, crashes, end: None });
        let words: Vec<_> = all[0].of.iter().flatten().map(Standing::in_words).collect();
        assert_eq!(words, ["durable", "durable", "lost", "torn, 1 of 2 sectors"]);
        assert!(all[1].of.is_empty(), "the power loss has settled all of it");
    }
}
