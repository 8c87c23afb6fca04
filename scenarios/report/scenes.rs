//! The crashes of a run as a bundle keeps them: what was pending, what became of it, and what was there before
//! and after.
//!
//! **Invariant:** all that a page needs of the simulated disk is here, so that it can be written again, on another
//! machine and by another build, without playing the run.

use super::state::Moment;
use crate::verdict::Played;
use serde::{Deserialize, Serialize};
use stormglass_sim::disk::{Change, Fate, Pending};
use stormglass_sim::{Digest, Disk, Ending, Scene};

/// The crashes of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenes {
    /// Records of the trace up to the moment at which something was found.
    pub record_count: usize,
    /// Every crash before it, in order.
    pub crashes: Vec<CrashScene>,
    /// That moment itself: what was pending, and what was there.
    pub end: Option<EndScene>,
}

/// One crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashScene {
    /// Records of the trace before it.
    pub record_count: usize,
    /// The boot that it ended.
    pub boot: u32,
    /// The disk operation after which it came.
    pub op: u64,
    /// How.
    pub ending: Ending,
    /// The older image that was put back, if one was.
    pub image: Option<usize>,
    /// What was not durable, in the order of issue.
    pub pending: Vec<PendingOp>,
    /// What the process had written.
    pub before: Moment,
    /// What the next one found.
    pub after: Moment,
}

/// The moment at which something was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndScene {
    /// What was not durable.
    pub pending: Vec<PendingOp>,
    /// What was there.
    pub state: Moment,
}

/// A change that was not durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingOp {
    /// What it was.
    pub change: Changed,
    /// The file.
    pub file: String,
    /// What became of it; nothing where no power was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fate: Option<Fate>,
}

/// A change, with what identifies it in the trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Changed {
    /// Bytes were written.
    Write {
        /// The first.
        offset: u64,
        /// How many.
        len: u64,
        /// Hash over them.
        bytes: String,
    },
    /// A length was set.
    Truncate {
        /// To so many bytes.
        len: u64,
    },
    /// A name came.
    Create,
    /// A name went.
    Delete,
    /// A name became this one.
    Rename,
}

impl Scenes {
    /// Of a run that was played with its records.
    pub fn of(played: &Played) -> Scenes {
        let told = played.told_count;
        let crashes = played.scenes.iter().filter(|scene| scene.record_count < told);
        let utc_ms = played.records[..told.min(played.records.len())].last();
        let utc_ms = utc_ms.map_or(0, |record| record.utc_ms);
        let end = played
            .disk
            .as_ref()
            .map(|disk| EndScene { pending: pending(disk, &[]), state: Moment::of(disk, utc_ms) });
        Scenes { record_count: told, crashes: crashes.map(CrashScene::of).collect(), end }
    }
}

impl CrashScene {
    fn of(scene: &Scene) -> CrashScene {
        let Scene { crash, record_count, utc_ms, before, after } = scene;
        let fates: &[Fate] = match &crash.ending {
            // What an older image takes the place of is lost, whatever it was.
            Ending::DiskSwap { .. } => &[],
            _ => &crash.fates,
        };
        CrashScene {
            record_count: *record_count,
            boot: crash.boot,
            op: crash.op,
            ending: crash.ending.clone(),
            image: crash.image,
            pending: pending(before, fates),
            before: Moment::of(before, *utc_ms),
            after: Moment::of(after, *utc_ms),
        }
    }

    /// Whether it decided what became of all that was written before.
    pub fn settles(&self) -> bool {
        self.ending != Ending::ProcessKill
    }
}

fn pending(disk: &Disk, fates: &[Fate]) -> Vec<PendingOp> {
    let pending = disk.pending();
    let op = |(at, Pending { change, .. }): (usize, &Pending)| {
        let path = |file| disk.path_of(file).unwrap_or("(temporary)").to_string();
        let (change, file) = match change {
            Change::Write { file, offset, bytes } => {
                let (len, hash) = (bytes.len() as u64, Digest::of(bytes).to_string());
                (Changed::Write { offset: *offset, len, bytes: hash }, path(*file))
            }
            Change::Truncate { file, len } => (Changed::Truncate { len: *len }, path(*file)),
            Change::Link { path, .. } => (Changed::Create, path.to_string()),
            Change::Unlink { path } => (Changed::Delete, path.to_string()),
            Change::Rename { to, .. } => (Changed::Rename, to.to_string()),
        };
        PendingOp { change, file, fate: fates.get(at).cloned() }
    };
    pending.iter().enumerate().map(op).collect()
}
