//! A known defect that every campaign must find first.
//!
//! **Invariant:** a harness that cannot find what is there reports no passes: such a campaign is broken. What is found
//! stands for the defect only if it is a promise that the defect breaks and the same seed passes without it.

use crate::hunt::invariants_of;
use crate::lines::counted;
use crate::plan::Protocol;
use crate::verdict::{Signature, Verdict};
use crate::what::What;
use crate::workers::{Crew, Order};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use stormglass_sim::Seed;

/// The defects that take turns: each is found within some tens of seeds, and together they break promises about most
/// that is checked. The protocol is that without which the defect is none.
const DEFECTS: [(&str, Option<Protocol>); 8] = [
    ("replay-drops-blobs", Some(Protocol::EventThenBlobs)),
    ("first-writer-ttl", None),
    ("idempotency-in-memory", None),
    ("sync-normal", None),
    ("create-not-projected", None),
    ("replay-resurrects", None),
    ("guest-quoted-json", None),
    ("sweep-permanent", None),
];
/// Seeds within which it is found.
const SEEDS_MAX: u64 = 200;

/// What became of the canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// The defect.
    pub defect: &'static str,
    /// Whether it was found.
    pub end: End,
}

/// How the search for a canary ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It was found.
    Found {
        /// Seeds that were played.
        seed_count: u64,
        /// As what.
        signature: Signature,
    },
    /// It was not.
    Missed,
    /// It was not, and so many seeds fail without it as well: the campaign has found something else.
    Hidden(u64),
    /// Nobody waited for it.
    Interrupted,
}

impl Canary {
    /// Whether a defect was there and nothing found it.
    pub fn is_missed(&self) -> bool {
        self.end == End::Missed
    }

    /// One line.
    pub fn in_words(&self) -> String {
        let defect = self.defect;
        match &self.end {
            End::Found { seed_count, signature } => {
                format!("{defect} found after {}: {signature}", counted(*seed_count, "seed"))
            }
            End::Missed => format!("{defect} NOT FOUND within {SEEDS_MAX} seeds"),
            End::Hidden(count) => {
                format!("{defect} hidden: {} without it as well", counted(*count, "failing seed"))
            }
            End::Interrupted => format!("{defect}: interrupted"),
        }
    }
}

/// Plays the defect whose turn it is over fresh seeds from `first` on until it is found.
///
/// # Errors
/// When a process cannot be started.
pub fn play(first: u64, jobs: usize, stop: &Arc<AtomicBool>) -> io::Result<Canary> {
    let (defect, protocol) = DEFECTS[(first % DEFECTS.len() as u64) as usize];
    let what = |defect| What { protocol, ..What::with_defect(defect) };
    let sick = what(Some(defect)).crew()?.stopped_by(stop);
    let healthy = what(None).crew()?.stopped_by(stop);
    let end = watch((&sick, &healthy), &invariants_of(defect), first, jobs)?;
    Ok(Canary { defect, end })
}

/// Has a crew that plays a defect find a promise that it breaks, over fresh seeds from `first` on, where the crew
/// without it finds nothing. A run that accuses nobody finds nothing.
///
/// # Errors
/// When a process cannot be started.
pub fn watch(
    (sick, healthy): (&Crew, &Crew),
    broken: &[String],
    first: u64,
    jobs: usize,
) -> io::Result<End> {
    let (mut end, mut seed_count, mut hidden_count) = (End::Missed, 0, 0);
    let (mut healthy, mut trouble) = (healthy.solo(), None);
    let seeds = (0..SEEDS_MAX).map(|n| Seed(first.wrapping_add(n)));
    sick.play_all(seeds, jobs, |ended| {
        seed_count += 1;
        let verdict = &ended.outcome.verdict;
        let (Verdict::Violated(found), Some(signature)) = (verdict, Signature::of(verdict)) else {
            return ControlFlow::Continue(());
        };
        match healthy.play(&Order::seed(ended.seed)) {
            Err(error) => trouble = Some(error),
            // Interrupted.
            Ok(None) => {}
            Ok(Some(outcome)) if outcome.verdict != Verdict::Passed => {
                hidden_count += 1;
                return ControlFlow::Continue(());
            }
            Ok(Some(_)) if !broken.contains(&found.invariant) => return ControlFlow::Continue(()),
            Ok(Some(_)) => end = End::Found { seed_count, signature },
        }
        ControlFlow::Break(())
    })?;
    if let Some(error) = trouble {
        return Err(error);
    }
    Ok(match end {
        End::Missed if sick.is_stopped() => End::Interrupted,
        End::Missed if hidden_count > 0 => End::Hidden(hidden_count),
        end => end,
    })
}
