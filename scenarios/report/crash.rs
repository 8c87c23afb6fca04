//! A crash as a page shows it: the disk's operations before it with what was durable, and what was there before
//! it, after it and at the end.
//!
//! **Invariant:** what was pending is never left out; of what was durable the last operations are shown, and how
//! many there are before them.

use super::records::{Event, Record, Standing, Standings};
use super::scenes::{CrashScene, Scenes};
use super::tables::{self, Table};
use super::text::shown;
use crate::lines::counted;
use crate::verdict::Finding;
use stormglass_sim::{Ending, OpKind};

/// Durable operations that are shown before the pending ones.
const DURABLE_MAX: usize = 16;
/// Operations that are shown at most.
const OPS_MAX: usize = 120;
/// Crashes that are shown: the last ones.
const CRASHES_MAX: usize = 3;

/// One crash, or the end.
pub struct CrashView {
    /// `crash 1: power loss, after disk operation 81`.
    pub title: String,
    /// What became of what was pending.
    pub summary: String,
    /// Whether it is the last one.
    pub is_last: bool,
    /// Operations that are left out before the first.
    pub left_out: usize,
    /// The operations.
    pub ops: Vec<OpView>,
    /// Entities and blobs.
    pub tables: Vec<Table>,
}

/// A disk operation, or what the ones after it are done for.
pub struct OpView {
    /// What they are done for.
    pub head: Option<String>,
    /// Its number.
    pub op: u64,
    /// What was asked.
    pub kind: &'static str,
    /// The file.
    pub file: String,
    /// The first byte.
    pub offset: String,
    /// Bytes.
    pub len: String,
    /// How it stands, for style sheets.
    pub standing: &'static str,
    /// The same in words.
    pub words: String,
    /// The sectors of a torn write.
    pub sectors: Vec<bool>,
}

/// The last crashes, the very last one first.
pub fn views(
    records: &[Record],
    (scenes, standings): (&Scenes, &[Standings]),
    finding: Option<&Finding>,
) -> Vec<CrashView> {
    let end = scenes.end.as_ref().map(|end| &end.state);
    let since = |record_count: usize| {
        let last = records[..record_count.min(records.len())].last();
        last.map(|record| record.monotonic_ms)
    };
    let count = scenes.crashes.len();
    let numbered = scenes.crashes.iter().zip(standings).enumerate().rev().take(CRASHES_MAX);
    let view = |(at, (crash, standings)): (usize, (&CrashScene, &Standings))| {
        let (ops, left_out) = ops(records, standings);
        let crashed = since(crash.record_count);
        let before = (format!("before crash {}", at + 1), &crash.before, crashed);
        let after = (format!("after crash {}", at + 1), &crash.after, crashed);
        let end = end.map(|end| ("at the failure".to_string(), end, since(scenes.record_count)));
        let moments: Vec<tables::Column<'_>> =
            [Some(before), Some(after), end].into_iter().flatten().collect();
        CrashView {
            title: format!(
                "Crash {}: {}, after disk operation {}",
                at + 1,
                name(&crash.ending),
                crash.op
            ),
            summary: summary(crash, standings),
            is_last: at + 1 == count,
            left_out,
            ops,
            tables: tables::of(&moments, finding),
        }
    };
    numbered.map(view).collect()
}

/// The state at the end, where there was no crash before it.
pub fn end_tables(records: &[Record], scenes: &Scenes, finding: Option<&Finding>) -> Vec<Table> {
    let last = records[..scenes.record_count.min(records.len())].last();
    let since = last.map(|record| record.monotonic_ms);
    match &scenes.end {
        Some(end) if scenes.crashes.is_empty() => {
            tables::of(&[("at the failure".to_string(), &end.state, since)], finding)
        }
        _ => Vec::new(),
    }
}

fn name(ending: &Ending) -> &'static str {
    match ending {
        Ending::ProcessKill => "process killed",
        Ending::PowerLoss(_) => "power loss",
        Ending::DiskSwap { .. } => "power loss and an older image",
    }
}

fn summary(crash: &CrashScene, standings: &Standings) -> String {
    let count = |name: &str| {
        let of = standings.of.iter().flatten().filter(|standing| standing.name() == name);
        of.count()
    };
    // What a sync has forgotten is pending no more, and not durable.
    let unsynced: usize = ["kept", "lost", "torn", "forgotten"].into_iter().map(count).sum();
    let unsynced = unsynced.max(crash.pending.len());
    if unsynced == 0 {
        return format!("Boot {} ended. Nothing was pending: all had been synced.", crash.boot);
    }
    let unsynced = counted(unsynced, "change");
    let became = match &crash.ending {
        Ending::ProcessKill => "the page cache still has all of it".to_string(),
        Ending::DiskSwap { .. } => {
            format!("image {} was put back in place of all of it", crash.image.unwrap_or_default())
        }
        Ending::PowerLoss(_) => {
            format!("{} survived, {} lost, {} torn", count("kept"), count("lost"), count("torn"))
        }
    };
    format!("Boot {} ended. {unsynced} had been written and not synced: {became}.", crash.boot)
}

/// The operations before a crash, and how many are left out.
fn ops(records: &[Record], standings: &Standings) -> (Vec<OpView>, usize) {
    let until = (standings.from + standings.of.len()).min(records.len());
    let range = standings.from..until;
    let changes = |at: usize| standings.of.get(at - standings.from).and_then(Option::as_ref);
    let is_told = |at: &usize| match &records[*at].event {
        Event::Disk(op) => {
            changes(*at).is_some() || matches!(op.kind, OpKind::Sync | OpKind::SyncDirectory)
        }
        _ => false,
    };
    let told: Vec<usize> = range.filter(is_told).collect();
    let unsettled = |at: &usize| {
        changes(*at).is_some_and(|one| {
            !matches!(one, Standing::Durable | Standing::Failed | Standing::Undone)
        })
    };
    let first = told.iter().position(unsettled).unwrap_or(told.len());
    let from = first.saturating_sub(DURABLE_MAX).max(told.len().saturating_sub(OPS_MAX));
    let mut ops = Vec::new();
    let mut last_head = None;
    for at in &told[from..] {
        let Event::Disk(op) = &records[*at].event else { continue };
        let head = records[..*at].iter().rev().find_map(|record| match &record.event {
            Event::Point { label } => Some(super::timeline::point_words(label)),
            Event::Boot => Some("the server comes up".to_string()),
            _ => None,
        });
        let standing = changes(*at);
        let takes_place = matches!(op.kind, OpKind::Write | OpKind::Truncate);
        ops.push(OpView {
            head: head.clone().filter(|_| head != last_head),
            op: records[*at].op,
            kind: op.kind_words(),
            // There is one directory.
            file: shown(op.file.rsplit('/').next().unwrap_or(&op.file), 80),
            offset: if takes_place { op.offset.to_string() } else { String::new() },
            len: if op.kind == OpKind::Write { op.len.to_string() } else { String::new() },
            standing: standing.map_or("none", Standing::name),
            words: standing.map_or(String::new(), Standing::in_words),
            sectors: match standing {
                Some(Standing::Torn(sectors)) => sectors.clone(),
                _ => Vec::new(),
            },
        });
        last_head = head;
    }
    (ops, from)
}
