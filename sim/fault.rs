//! Faults: what goes wrong, where, and when.
//!
//! **Invariant:** only what devices and operating systems are known to do. Honest faults a correct program
//! survives; dishonest ones ([`Effect::is_dishonest`]) break what a program rests on. A fault's address is relative (the n-th operation of its kind within a scope), so that it stays where it was
//! when something before it is dropped. A fault that never strikes is no fault: the ledger counts.

use crate::crash_state::Ending;
use crate::rng::{Seed, Stream};
use crate::trace::{FileKind, OpKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The name of bit rot in the ledger.
const BIT_ROT: &str = "bit-rot";

/// What happens to the operation that a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Effect {
    /// It fails with an input/output error and changes nothing. A failed sync makes nothing durable;
    /// what it covered stays pending, and a later sync that succeeds covers it.
    Eio,
    /// It fails for want of space and changes nothing. Strikes creations, writes and truncations.
    NoSpace,
    /// A read returns so many bytes less than it could (at least one is read). The VFS reads on, as
    /// POSIX programs do.
    ShortRead {
        /// How many bytes are held back.
        missing_bytes: u64,
    },
    /// A write runs out of space after so many bytes (at least one is missing): those are there, and it fails.
    ShortWrite {
        /// How many bytes are written.
        written_bytes: u64,
    },
    /// It takes so long, in milliseconds of simulated time, and then goes on.
    Slow {
        /// How long.
        ms: i64,
    },
    /// A sync answers that all is well, and makes nothing durable: what it covered stays pending, until a
    /// sync that does not lie covers it or the power goes.
    LyingSync,
    /// A sync fails, and what it covered counts as clean from then on: it stays in the page cache, and no
    /// later sync makes it durable. Whoever writes to one of its sectors again makes that one dirty, whole.
    ForgettingSync,
    /// Bits flip in bytes at rest of the file that is about to be read: not those read, but anywhere in it.
    BitRot {
        /// Which byte is the first: this number, modulo the number of durable bytes.
        at: u64,
        /// How many bytes, as far as they lie in that byte's sector.
        bytes: u32,
        /// Which bits of each; at least one flips.
        mask: u8,
    },
    /// The process dies before it happens.
    Crash(Ending),
}

impl Effect {
    /// Whether it can strike an operation of this kind, which takes space on the disk or does not.
    pub fn applies_to(&self, kind: OpKind, takes_space: bool) -> bool {
        match self {
            Effect::Slow { .. } | Effect::Crash(_) => true,
            Effect::Eio => kind != OpKind::Compute,
            Effect::NoSpace => takes_space,
            Effect::ShortWrite { .. } => kind == OpKind::Write,
            Effect::ShortRead { .. } | Effect::BitRot { .. } => kind == OpKind::Read,
            Effect::LyingSync | Effect::ForgettingSync => kind == OpKind::Sync,
        }
    }

    /// Whether it breaks a promise that programs rest on: that a sync which succeeds makes durable, that one
    /// which fails forgets nothing, that bytes at rest stay, that a disk does not go back.
    pub fn is_dishonest(&self) -> bool {
        match self {
            Effect::LyingSync | Effect::ForgettingSync | Effect::BitRot { .. } => true,
            Effect::Crash(ending) => matches!(ending, Ending::DiskSwap { .. }),
            _ => false,
        }
    }

    /// The effect's name in the ledger.
    pub fn name(&self) -> &'static str {
        match self {
            Effect::Eio => "eio",
            Effect::NoSpace => "no-space",
            Effect::ShortRead { .. } => "short-read",
            Effect::ShortWrite { .. } => "short-write",
            Effect::Slow { .. } => "slow",
            Effect::LyingSync => "lying-sync",
            Effect::ForgettingSync => "forgetting-sync",
            Effect::BitRot { .. } => BIT_ROT,
            Effect::Crash(Ending::ProcessKill) => "process-kill",
            Effect::Crash(Ending::PowerLoss(_)) => "power-loss",
            Effect::Crash(Ending::DiskSwap { .. }) => "disk-swap",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::ShortRead { missing_bytes } => write!(f, "short-read -{missing_bytes}"),
            Effect::ShortWrite { written_bytes } => write!(f, "short-write {written_bytes}"),
            Effect::Slow { ms } => write!(f, "slow {ms} ms"),
            Effect::BitRot { at, bytes, mask } => write!(f, "{BIT_ROT} {at}+{bytes} ^{mask:02x}"),
            other => f.write_str(other.name()),
        }
    }
}

/// Which operations a fault looks at: all that match every part that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Only operations within this scope or a part of it (see [`crate::Machine::enter`]).
    pub scope: Option<String>,
    /// Only operations of this kind.
    pub op: Option<OpKind>,
    /// Only operations on files of this kind.
    pub file: Option<FileKind>,
}

/// At which of its operations a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum When {
    /// The n-th, counted from 1, and no other.
    Nth(u64),
    /// The n-th, counted from 1, and all after it.
    FromNth(u64),
    /// So many in a million, drawn from the run's stream for faults.
    Rate {
        /// Operations struck in a million.
        per_million: u32,
    },
}

/// A fault: what happens, to which operations, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What happens.
    pub effect: Effect,
    /// Which operations it looks at.
    pub target: Target,
    /// Which of them it strikes.
    pub when: When,
}

impl Fault {
    /// A fault at operations of any kind, on any file, within `scope` or a part of it.
    pub fn in_scope(scope: &str, effect: Effect, when: When) -> Fault {
        let target = Target { scope: Some(scope.to_string()), ..Target::default() };
        Fault { effect, target, when }
    }

    /// A fault at the n-th operation (counted from 1) of any kind, on any file, from now on.
    pub fn at_op(n: u64, effect: Effect) -> Fault {
        Fault { effect, target: Target::default(), when: When::Nth(n) }
    }
}

#[derive(Clone)]
struct Armed {
    fault: Fault,
    seen_count: u64,
    struck_count: u64,
    /// It strikes no more. It keeps its place, by which strikes name it.
    is_over: bool,
}

/// The scopes that hold `here`, the widest first and itself last.
pub fn holders(here: &str) -> impl Iterator<Item = &str> {
    let ends = here.match_indices('/').map(|(end, _)| end).chain([here.len()]);
    ends.map(|end| &here[..end])
}

/// Whether `scope` is `here` or what `here` is a part of: `step 3` holds `step 3/put`.
fn holds(scope: &str, here: &str) -> bool {
    here.strip_prefix(scope).is_some_and(|part| part.is_empty() || part.starts_with('/'))
}

/// How often each effect struck, by the kind of operation and of file.
pub type Ledger = BTreeMap<(&'static str, OpKind, FileKind), u64>;

/// Where a fault struck for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// Its place among the faults in the order in which they were armed.
    pub fault: usize,
    /// The operation.
    pub op: OpKind,
    /// The kind of file.
    pub file: FileKind,
}

/// The faults of a run, with what they have seen and done.
#[derive(Clone)]
pub(crate) struct Faults {
    seed: Seed,
    armed: Vec<Armed>,
    scope: String,
    /// What every scope is a part of, with the stroke at its end; empty when there is none.
    whole: String,
    /// Draws for faults by rate: a stream a scope, so that dropping one scope moves no other.
    streams: BTreeMap<String, Stream>,
    ledger: Ledger,
    first_strikes: Vec<Strike>,
}

impl Faults {
    pub fn new(seed: Seed) -> Faults {
        Faults {
            seed,
            armed: Vec::new(),
            scope: String::new(),
            whole: String::new(),
            streams: BTreeMap::new(),
            ledger: Ledger::new(),
            first_strikes: Vec::new(),
        }
    }

    pub fn arm(&mut self, fault: Fault) {
        self.armed.push(Armed { fault, seen_count: 0, struck_count: 0, is_over: false });
    }

    pub fn disarm_all(&mut self) {
        self.armed.clear();
    }

    /// Every fault is over but crashes that look at nothing but parts of `whole N`.
    pub fn leave_crashes_of(&mut self, whole: &str) {
        for armed in &mut self.armed {
            let Fault { effect, target, .. } = &armed.fault;
            let scope = target.scope.as_deref().unwrap_or_default();
            let is_of_it = scope.strip_prefix(whole).is_some_and(|rest| rest.starts_with(' '));
            armed.is_over |= !is_of_it || !matches!(effect, Effect::Crash(_));
        }
    }

    pub fn enter(&mut self, scope: &str) {
        self.scope.clear();
        self.scope.push_str(&self.whole);
        self.scope.push_str(scope);
    }

    pub fn enter_whole(&mut self, whole: &str) {
        self.whole = format!("{whole}/");
    }

    /// The scope of the operations from now on.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Where each fault struck first, in the order in which they did.
    pub fn first_strikes(&self) -> &[Strike] {
        &self.first_strikes
    }

    /// Armed faults that have not struck.
    pub fn idle(&self) -> impl Iterator<Item = &Fault> {
        let is_idle = |armed: &&Armed| armed.struck_count == 0 && !armed.is_over;
        self.armed.iter().filter(is_idle).map(|armed| &armed.fault)
    }

    /// Counts bit rot that no operation brought about.
    pub fn count_rot(&mut self, file: FileKind) {
        *self.ledger.entry((BIT_ROT, OpKind::Read, file)).or_default() += 1;
    }

    /// Takes away the faults that have not struck.
    pub fn disarm_idle(&mut self) {
        self.armed.retain(|armed| armed.struck_count > 0);
    }

    /// The effects that strike the next operation, in the order in which the faults were armed.
    pub fn strike(&mut self, op: OpKind, file: FileKind, takes_space: bool) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (at, armed) in self.armed.iter_mut().enumerate() {
            let Fault { effect, target, when } = &armed.fault;
            let in_scope = target.scope.as_ref().is_none_or(|scope| holds(scope, &self.scope));
            let matches = in_scope
                && !armed.is_over
                && target.op.is_none_or(|kind| kind == op)
                && target.file.is_none_or(|kind| kind == file)
                && effect.applies_to(op, takes_space);
            if !matches {
                continue;
            }
            armed.seen_count += 1;
            let struck = match when {
                When::Nth(n) => armed.seen_count == *n,
                When::FromNth(n) => armed.seen_count >= *n,
                When::Rate { per_million } => self
                    .streams
                    .entry(self.scope.clone())
                    .or_insert_with(|| self.seed.stream_for("faults", &self.scope))
                    .chance(u64::from(*per_million), 1_000_000),
            };
            if struck {
                armed.struck_count += 1;
                if armed.struck_count == 1 {
                    self.first_strikes.push(Strike { fault: at, op, file });
                }
                *self.ledger.entry((effect.name(), op, file)).or_default() += 1;
                effects.push(effect.clone());
            }
        }
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_holds_its_parts_and_not_its_namesakes() {
        assert!(holds("step 3", "step 3") && holds("step 3", "step 3/put"));
        assert!(!holds("step 3", "step 30") && !holds("step 3/put", "step 3"));
        let here = "step 3/outbox/guest";
        assert!(holders(here).all(|scope| holds(scope, here)));
        assert_eq!(holders(here).collect::<Vec<_>>(), ["step 3", "step 3/outbox", here]);
    }
}
