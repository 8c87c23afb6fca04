//! What the oracle says when the contract is broken: an invariant, a place, and the two values.
//!
//! A violation is plain data. `place` is a short fixed phrase without ids, sizes or times, so that
//! two runs that fail in the same way have the same signature; what differs from run to run stands
//! in the other fields.

use std::fmt;

/// The invariants of the contract's section 10, in the order in which they are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Durability.
    I1,
    /// Atomicity.
    I2,
    /// Sequence.
    I3,
    /// Hydration.
    I4,
    /// No dangling reference.
    I5,
    /// Content address.
    I6,
    /// Dedup.
    I7,
    /// No early sweep.
    I8,
    /// No late sweep.
    I9,
    /// Expiry.
    I10,
    /// Replay.
    I11,
    /// No resurrection.
    I12,
    /// Isolation.
    I13,
    /// Integrity.
    I14,
    /// Outbox.
    I15,
    /// Progress.
    I16,
    /// Determinism.
    I17,
    /// Decisions.
    I18,
    /// Representation.
    I19,
    /// Bookkeeping.
    I20,
    /// No panic.
    I21,
    /// Damage.
    I22,
}

/// Every invariant, in the order of the ids.
pub const ALL: [Invariant; 22] = [
    Invariant::I1,
    Invariant::I2,
    Invariant::I3,
    Invariant::I4,
    Invariant::I5,
    Invariant::I6,
    Invariant::I7,
    Invariant::I8,
    Invariant::I9,
    Invariant::I10,
    Invariant::I11,
    Invariant::I12,
    Invariant::I13,
    Invariant::I14,
    Invariant::I15,
    Invariant::I16,
    Invariant::I17,
    Invariant::I18,
    Invariant::I19,
    Invariant::I20,
    Invariant::I21,
    Invariant::I22,
];

/// Id, name and statement of each invariant, in the order of [`ALL`].
const TEXTS: [(&str, &str, &str); 22] = [
    ("I1", "durability", "an acknowledged action stays in the journal with exactly its params"),
    (
        "I2",
        "atomicity",
        "an in-doubt action is whole or absent, a rejected one absent, a seen one stays",
    ),
    ("I3", "sequence", "sequence numbers run from 1 to N without gap, and a key is applied once"),
    ("I4", "hydration", "every readable field shows exactly the value that was written"),
    (
        "I5",
        "no dangling reference",
        "every unexpired reference of a started actor has its blob row",
    ),
    ("I6", "content address", "a blob's body hashes to its key and its size is recorded rightly"),
    ("I7", "dedup", "a tenant has one row for a body, and only rows that some attempt put"),
    ("I8", "no early sweep", "a row stays until the latest deadline that was put for it"),
    ("I9", "no late sweep", "an expired row is gone one sweep interval and a second later"),
    ("I10", "expiry", "a reference reads expired exactly from its deadline on"),
    ("I11", "replay", "what a replay or a recovery rebuilds equals what was there"),
    ("I12", "no resurrection", "no deadline changes, and what has expired is never put back"),
    ("I13", "isolation", "no request reads or changes another tenant"),
    ("I14", "integrity", "the database passes its integrity check after every recovery"),
    ("I15", "outbox", "every accepted trigger, schedule and spawn is settled exactly once"),
    ("I16", "progress", "once faults stop, requests are answered, and not with 5xx"),
    ("I17", "determinism", "the same plan and build give the same trace anywhere"),
    ("I18", "decisions", "every answer is one the model allows between request and answer"),
    ("I19", "representation", "a value is inline exactly when it is not above its ceiling"),
    ("I20", "bookkeeping", "snapshots never go back or ahead, and a sweep keeps to its batch"),
    ("I21", "no panic", "nothing on the server panics, aborts or runs without end"),
    ("I22", "damage", "what cannot be read whole is named by an error, never answered wrongly"),
];

impl Invariant {
    fn text(self) -> (&'static str, &'static str, &'static str) {
        TEXTS[self as usize]
    }

    /// The id by which contract and reports name it, as `I5`.
    pub fn id(self) -> &'static str {
        self.text().0
    }

    /// The name in one or three words.
    pub fn name(self) -> &'static str {
        self.text().1
    }

    /// What must hold, in one sentence.
    pub fn statement(self) -> &'static str {
        self.text().2
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id(), self.name())
    }
}

/// One broken invariant: what was expected, what was there, and why it was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant that does not hold.
    pub invariant: Invariant,
    /// The check's own variant, a phrase without ids, sizes or times.
    pub place: &'static str,
    /// The entity, blob or tenant concerned, as text.
    pub entity: String,
    /// What the model allows.
    pub expected: String,
    /// What was observed.
    pub actual: String,
    /// Why the model expects it.
    pub because: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} at {}: expected {}, found {}, because {}",
            self.invariant, self.place, self.entity, self.expected, self.actual, self.because
        )
    }
}

/// A violation that does not know its entity yet: what a comparison of two values returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The invariant that does not hold.
    pub invariant: Invariant,
    /// The check's own variant.
    pub place: &'static str,
    /// What the model allows.
    pub expected: String,
    /// What was observed.
    pub actual: String,
    /// Why the model expects it.
    pub because: String,
}

impl Mismatch {
    /// A mismatch of `invariant` at `place`.
    pub fn new(
        invariant: Invariant,
        place: &'static str,
        expected: impl Into<String>,
        actual: impl Into<String>,
    ) -> Self {
        let (expected, actual) = (expected.into(), actual.into());
        Mismatch { invariant, place, expected, actual, because: invariant.statement().to_owned() }
    }

    /// The same mismatch with its reason.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.because = reason.into();
        self
    }

    /// The violation of `entity` that this mismatch is.
    pub fn at(self, entity: impl Into<String>) -> Violation {
        Violation {
            invariant: self.invariant,
            place: self.place,
            entity: entity.into(),
            expected: self.expected,
            actual: self.actual,
            because: self.because,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_invariant_has_its_own_text_in_the_order_of_the_ids() {
        for (index, invariant) in ALL.iter().enumerate() {
            assert_eq!(invariant.id(), format!("I{}", index + 1));
            assert!(!invariant.name().is_empty());
            assert!(invariant.statement().len() > 20);
        }
        assert!(ALL.is_sorted());
    }
}
