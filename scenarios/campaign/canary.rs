//! A known defect that every campaign must find first.
//!
//! **Invariant:** a harness that cannot find what is there reports no passes: such a campaign is broken.

use crate::lines::counted;
use crate::plan::Protocol;
use crate::verdict::{Signature, Verdict};
use crate::what::What;
use crate::workers::Crew;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use stormglass_sim::Seed;

/// The defect: easy to find under the protocol that it is about.
const DEFECT: &str = "replay-drops-blobs";
/// Seeds within which it is found.
const SEEDS_MAX: u64 = 200;

/// What became of the canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Canary {
    /// It was found.
    Found {
        /// Seeds that were played.
        seed_count: u64,
        /// As what.
        signature: Signature,
    },
    /// It was not.
    Missed,
    /// Nobody waited for it.
    Interrupted,
}

impl Canary {
    /// One line.
    pub fn in_words(&self) -> String {
        match self {
            Canary::Found { seed_count, signature } => {
                format!("{DEFECT} found after {}: {signature}", counted(seed_count, "seed"))
            }
            Canary::Missed => format!("{DEFECT} NOT FOUND within {SEEDS_MAX} seeds"),
            Canary::Interrupted => format!("{DEFECT}: interrupted"),
        }
    }
}

/// Plays the defect over fresh seeds from `first` on until it is found.
///
/// # Errors
/// When a process cannot be started.
pub fn play(first: u64, jobs: usize, stop: &Arc<AtomicBool>) -> io::Result<Canary> {
    let what = What { protocol: Some(Protocol::EventThenBlobs), ..What::with_defect(Some(DEFECT)) };
    watch(&what.crew()?.stopped_by(stop), first, jobs)
}

/// Has a crew that plays a defect find it, over fresh seeds from `first` on. A run that accuses nobody finds nothing.
///
/// # Errors
/// When a process cannot be started.
pub fn watch(crew: &Crew, first: u64, jobs: usize) -> io::Result<Canary> {
    let (mut canary, mut seed_count) = (Canary::Missed, 0);
    let seeds = (0..SEEDS_MAX).map(|n| Seed(first.wrapping_add(n)));
    crew.play_all(seeds, jobs, |ended| {
        seed_count += 1;
        match (&ended.outcome.verdict, Signature::of(&ended.outcome.verdict)) {
            (Verdict::Violated(_), Some(signature)) => {
                canary = Canary::Found { seed_count, signature };
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    })?;
    let is_cut = canary == Canary::Missed && crew.is_stopped();
    Ok(if is_cut { Canary::Interrupted } else { canary })
}
