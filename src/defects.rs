//! Small wrong turns that a harness must find, one at a time or some together, and counters of places reached.
//!
//! **Invariant:** without the feature `defects` every `defect!` is the constant `false`, and
//! without `probes` every `probe!` is nothing: a deployed platform contains no name from this file.

/// One known wrong turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defect {
    /// The name that `defect!` asks for.
    pub name: &'static str,
    /// What goes wrong, in one line.
    pub description: &'static str,
    /// The invariants whose violation counts as having found it.
    pub invariants: &'static [&'static str],
}

/// Whether the named defect is switched on; `false`, known at compile time, without the feature.
#[cfg(feature = "defects")]
#[macro_export]
macro_rules! defect {
    ($name:literal) => {
        $crate::defects::is_on($name)
    };
}

/// Whether the named defect is switched on; `false`, known at compile time, without the feature.
#[cfg(not(feature = "defects"))]
#[macro_export]
macro_rules! defect {
    ($name:literal) => {
        $crate::defects::is_off()
    };
}

/// Without the feature no defect is on.
#[cfg(not(feature = "defects"))]
pub const fn is_off() -> bool {
    false
}

/// Counts that this place was reached; nothing without the feature `probes`. A place to which only damaged
/// data lead says so: `probe!("...", damage)`.
#[cfg(feature = "probes")]
#[macro_export]
macro_rules! probe {
    ($name:literal) => {
        $crate::defects::count($name)
    };
    ($name:literal, damage) => {
        $crate::defects::count($name)
    };
}

/// Counts that this place was reached; nothing without the feature `probes`. A place to which only damaged
/// data lead says so: `probe!("...", damage)`.
#[cfg(not(feature = "probes"))]
#[macro_export]
macro_rules! probe {
    ($name:literal) => {};
    ($name:literal, damage) => {};
}

#[cfg(feature = "defects")]
mod switch {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Defect;

    /// A bit for each of [`KNOWN`], in their order; they are less than 64.
    static ACTIVE: AtomicU64 = AtomicU64::new(0);

    const fn defect(
        name: &'static str,
        description: &'static str,
        invariants: &'static [&'static str],
    ) -> Defect {
        Defect { name, description, invariants }
    }

    /// The defects of this crate, in the order of the contract's list.
    pub const KNOWN: &[Defect] = &[
        defect(
            "replay-drops-blobs",
            "replay rebuilds envelopes and never puts their bodies",
            &["I5", "I18"],
        ),
        defect("first-writer-ttl", "a put over an existing row ignores the new deadline", &["I8"]),
        defect("put-ignores-expired", "a put over an expired row does not renew it", &["I8"]),
        defect("ttl-from-now", "replay computes deadlines from the clock", &["I12", "I10"]),
        defect("replay-resurrects", "replay puts bodies back whose reference is expired", &["I12"]),
        defect(
            "snapshot-hides-loss",
            "blobs from before the snapshot are not verified at start",
            &["I5", "I18"],
        ),
        defect("snapshot-goes-back", "a lower snapshot replaces a higher one", &["I20"]),
        defect(
            "lost-ack-rolls-back",
            "an action in doubt leaves the actor behind its journal",
            &["I2", "I16", "I5"],
        ),
        defect("idempotency-in-memory", "idempotency keys are forgotten at a restart", &["I3"]),
        defect(
            "create-not-projected",
            "a creation's large values stay inline",
            &["I19", "I11", "I4", "I18"],
        ),
        defect(
            "patch-not-journalled",
            "a PATCH changes the actor and not the journal",
            &["I1", "I11", "I4", "I7"],
        ),
        defect(
            "sweep-permanent",
            "the sweep forgets that permanent rows have no deadline",
            &["I8"],
        ),
        defect("sweep-early", "the sweep rounds its clock reading up to a second", &["I8"]),
        defect("sweep-unbounded", "the sweep deletes more rows than it was allowed", &["I20"]),
        defect("sweeper-stops", "the background sweeper ends at its first error", &["I9"]),
        defect("sync-normal", "the database does not sync what it acknowledges", &["I1"]),
        defect("wal-off", "the journal mode is MEMORY instead of WAL", &["I14", "I1", "I2"]),
        defect("ack-before-commit", "an action is answered before its event is committed", &["I1"]),
        defect(
            "guest-sees-envelope",
            "a guest reads the reference of an overflowed field",
            &["I4"],
        ),
        defect("guest-quoted-json", "a guest reads strings with their quotation marks", &["I4"]),
        defect(
            "guest-off-by-one",
            "a value exactly as large as the guest's buffer is said not to fit",
            &["I4"],
        ),
        defect("spoofed-envelope", "a client's own JSON is taken for a reference", &["I4", "I18"]),
        defect("no-hash-check", "blob bodies and events are not verified", &["I22"]),
        defect(
            "cross-tenant-dedup",
            "a put renews the same body in other tenants' databases",
            &["I13", "I12"],
        ),
        defect("ceiling-inclusive", "a value of exactly the ceiling overflows", &["I19"]),
        defect("utf8-length", "sizes are counted in characters instead of bytes", &["I19"]),
        defect("guard-reads-envelope", "guards see the reference of an overflowed list", &["I18"]),
        defect("spawn-copies-envelope", "a child is created with references", &["I4"]),
        defect("uuid-on-replay", "replay makes generated ids anew", &["I11", "I4", "I7"]),
        defect("missing-blob-is-null", "a field whose blob is missing reads as null", &["I4"]),
        defect(
            "key-order",
            "objects are written with their keys in another order",
            &["I19", "I11", "I4", "I7"],
        ),
        defect(
            "callback-twice",
            "the callback of work that is done again is applied again",
            &["I15", "I3"],
        ),
        defect("replay-skips-renewal", "replay leaves an existing row's earlier deadline", &["I5"]),
        defect("no-barrier", "an append in doubt is only read again", &["I11"]),
        defect("bad-options-ignored", "an option that is not understood is left out", &["I18"]),
        defect("counters-as-text", "an answer's counters are text beside its fields", &["I18"]),
        defect("blobs-after-event", "blobs come after their event under every protocol", &["I2"]),
        defect("schedules-polled", "what comes due is looked for every five minutes", &["I15"]),
    ];

    /// Switches one defect on, or several whose names a `+` joins, and every other off.
    ///
    /// # Errors
    /// The first name that no defect has.
    pub fn set(names: Option<&str>) -> Result<(), String> {
        let mut active = 0;
        for name in names.into_iter().flat_map(|names| names.split('+')) {
            let at = KNOWN.iter().position(|defect| defect.name == name);
            active |= 1 << at.ok_or_else(|| name.to_owned())?;
        }
        ACTIVE.store(active, Ordering::Relaxed);
        Ok(())
    }

    /// Whether this defect is one of those that are switched on.
    pub fn is_on(name: &str) -> bool {
        let active = ACTIVE.load(Ordering::Relaxed);
        let is_active = |at: usize| active & (1 << at) != 0;
        active != 0 && KNOWN.iter().position(|defect| defect.name == name).is_some_and(is_active)
    }
}

#[cfg(feature = "defects")]
pub use switch::{KNOWN, is_on, set};

#[cfg(feature = "probes")]
mod probes {
    use std::collections::BTreeMap;
    use std::sync::{Mutex, PoisonError};

    static COUNTS: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());

    /// Adds one to a probe.
    pub fn count(name: &'static str) {
        *COUNTS.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_insert(0) += 1;
    }

    /// All probes reached since the last call, with how often; the counts start again at 0.
    pub fn take_counts() -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut *COUNTS.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(feature = "probes")]
pub use probes::{count, take_counts};

#[cfg(all(test, feature = "defects"))]
mod tests {
    use super::*;

    /// Goal: every switch is wired and every wire has a switch. Method: compare the names in this
    /// crate's text with the list.
    #[test]
    fn every_known_defect_stands_somewhere_and_no_other() {
        let mut files = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        let mut used = std::collections::BTreeSet::new();
        while let Some(path) = files.pop() {
            if path.is_dir() {
                files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for part in text.split("defect!(\"").skip(1) {
                used.insert(part.split('"').next().unwrap().to_owned());
            }
        }
        used.remove(").skip(1) {");
        let known: std::collections::BTreeSet<String> =
            KNOWN.iter().map(|defect| defect.name.to_owned()).collect();
        assert_eq!(used.iter().filter(|name| !known.contains(*name)).count(), 0, "{used:?}");
        assert_eq!(known.iter().filter(|name| !used.contains(*name)).count(), 0, "{known:?}");
    }

    #[test]
    fn only_known_names_can_be_switched_on() {
        assert_eq!(set(Some("no-such")), Err("no-such".to_owned()));
        assert!(!is_on("no-barrier"));
    }
}
