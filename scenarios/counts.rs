//! What is counted in a run, by name: the one place where the names stand.
//!
//! **Invariant:** a name is a group, a space, and what of it; a summary sorts by the group. Whoever counts
//! and whoever reads the counts take the names from here.

use crate::trail::Place;
use std::collections::BTreeMap;
use std::fmt;
use stormglass_sim::{Effect, Ending, FileKind, OpKind, Survivors};

/// Readings of the tables that were held against the model.
pub const READINGS: &str = "check readings";
/// Observations from which nothing was concluded.
pub const UNVERIFIED: &str = "check unverified";
/// Rows that only in-doubt and failed attempts put (I7).
pub const ORPHANS: &str = "check orphans";
/// Runs that left more and more to be done, however long one waited.
pub const NEVER_AT_REST: &str = "check never at rest";
/// Runs of guests that ended because the plan gave them too little fuel.
pub const GUESTS_SPENT: &str = "guests spent";
/// Rows of blobs that appeared.
pub const BLOBS_PUT: &str = "blobs put";
/// Rows of blobs that a sweep took.
pub const BLOBS_SWEPT: &str = "blobs swept";
/// Answers that name an expired field.
pub const EXPIRED_READS: &str = "reads of expired fields";
/// The probe of a replay that put a blob back.
pub const PUT_BACK: &str = "reached replay put back a missing blob";

/// An answer, by its status or by what it was instead.
pub fn answer(word: &str) -> String {
    format!("answer {word}")
}

/// Sweeps of the background sweeper: one tenant's batch each.
pub const SWEEPS: &str = "work sweeps in the background";
/// Sweeps that were asked for.
pub const SWEEPS_ASKED: &str = "work sweeps asked for";
/// Guests that were started.
pub const GUEST_RUNS: &str = "work guest runs";
/// Slices of fuel after which a guest paused.
pub const GUEST_SLICES: &str = "work guest slices";
/// Tenants that had a file at a run's end.
pub const TENANTS: &str = "work tenants";

/// The probe of time that passed before a task which could have gone on.
pub const OVERTAKEN: &str = "time overtook a task";

/// The probe of a log that was begun anew over what stood in it.
pub const LOG_BEGAN_ANEW: &str = "a log began anew";

/// A run under this policy of the points' driver.
pub fn policy(name: &str) -> String {
    format!("policy {name}")
}

/// A change of specs and settings, by its kind.
pub fn change(kind: &str) -> String {
    format!("changed {kind}")
}

/// A request that was rejected: by the kind of its flaw, or by the code.
pub fn rejected(why: &str) -> String {
    format!("rejected {why}")
}

/// Runs of plans with a dishonest fault.
pub const DAMAGE_RUNS: &str = "damage runs";
/// Of those, the ones in which it struck.
pub const DAMAGE_STRUCK: &str = "damage runs struck";

/// Bits that flipped at rest, by what was hit.
pub fn rotten(place: &str) -> String {
    format!("damage rotten {place}")
}

/// Files of which the power took what a sync had answered for, or forgotten.
pub const DAMAGE_UNKEPT: &str = "damage unkept syncs";
/// Older images that were put back.
pub const DAMAGE_SWAPS: &str = "damage older images";

/// A fault that struck.
pub fn fault(effect: &str) -> String {
    format!("{FAULT}{effect}")
}

/// How the name of [`fault`] begins.
const FAULT: &str = "fault ";

/// Whether a fault of another kind than the honest ones has struck.
pub fn has_dishonest_fault(counts: &BTreeMap<String, u64>) -> bool {
    let honest = fault_kinds();
    let kinds = counts.iter().filter(|(_, count)| **count > 0);
    kinds.filter_map(|(name, _)| name.strip_prefix(FAULT)).any(|kind| !honest.contains(&kind))
}

/// A fault that struck while the platform was at something.
pub fn fault_in(effect: &str, phase: Phase) -> String {
    format!("fault-in {phase}: {effect}")
}

/// A fault that struck, by everything that is known of the place.
pub fn fault_at(place: &Place) -> String {
    let place = serde_json::to_string(place).expect("a place is plain data");
    format!("{FAULT_AT}{place}")
}

/// How the name of [`fault_at`] begins; a place as JSON comes after it.
pub const FAULT_AT: &str = "fault-at ";

/// A crash, by its kind and by what it interrupted.
pub fn crash(ending: &Ending, phase: Phase) -> String {
    format!("crash {phase}: {}", Effect::Crash(ending.clone()).name())
}

/// A place of the platform that was reached.
pub fn reached(place: &str) -> String {
    format!("{REACHED}{place}")
}

/// How the name of [`reached`] begins.
pub const REACHED: &str = "reached ";

/// An invariant that a spec states and does not keep, and the entity on which it was found broken.
pub fn broken_claim(claim: &str) -> String {
    format!("{BROKEN_CLAIM}{claim}")
}

/// How the name of [`broken_claim`] begins.
pub const BROKEN_CLAIM: &str = "spec-invariant ";

/// A run under this write protocol.
pub fn protocol(name: &str) -> String {
    format!("{PROTOCOL}{name}")
}

/// How the name of [`protocol`] begins.
pub const PROTOCOL: &str = "protocol ";

/// What the platform was at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing: between two steps.
    #[default]
    Idle,
    /// Committing an event.
    Event,
    /// The event is durable, a blob of it is not.
    BetweenEventAndBlobs,
    /// Putting blobs.
    Blobs,
    /// Deleting expired blobs.
    Sweep,
    /// Writing a snapshot.
    Snapshot,
    /// Bringing a log to its database's file.
    Checkpoint,
    /// Opening a store, replaying a journal, putting back what is missing.
    Recovery,
    /// Reading for a client.
    Read,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Phase; 9] = [
        Phase::Idle,
        Phase::Event,
        Phase::BetweenEventAndBlobs,
        Phase::Blobs,
        Phase::Sweep,
        Phase::Snapshot,
        Phase::Checkpoint,
        Phase::Recovery,
        Phase::Read,
    ];
}

impl Phase {
    /// The phase of a disk operation in it: what changes the file of an open database is a checkpoint's. A file that
    /// is opened may be made by that.
    pub fn with(self, op: OpKind, file: FileKind) -> Phase {
        let changes = matches!(op, OpKind::Write | OpKind::Sync | OpKind::Truncate);
        match file {
            FileKind::Database if changes && self != Phase::Recovery => Phase::Checkpoint,
            _ => self,
        }
    }

    /// Its name in a summary.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Idle => "idle",
            Phase::Event => "event",
            Phase::BetweenEventAndBlobs => "between event and blobs",
            Phase::Blobs => "blobs",
            Phase::Sweep => "sweep",
            Phase::Snapshot => "snapshot",
            Phase::Checkpoint => "checkpoint",
            Phase::Recovery => "recovery",
            Phase::Read => "read",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a name counts crashes between an event and its blobs.
pub fn is_torn_crash(name: &str) -> bool {
    name.strip_prefix("crash ")
        .and_then(|rest| rest.strip_prefix(&Phase::BetweenEventAndBlobs.to_string()))
        .is_some_and(|rest| rest.starts_with(':'))
}

/// The names of every kind of honest fault: those that a correct program survives (contract, section 10).
pub fn fault_kinds() -> Vec<&'static str> {
    let all = [
        Effect::Eio,
        Effect::NoSpace,
        Effect::ShortRead { missing_bytes: 1 },
        Effect::Slow { ms: 1 },
        Effect::Crash(Ending::ProcessKill),
        Effect::Crash(Ending::PowerLoss(Survivors::None)),
        Effect::ShortWrite { written_bytes: 1 },
    ];
    all.iter().map(Effect::name).collect()
}
