//! The crash states of one cell, in the order in which they are tried.
//!
//! **Invariant:** a budget cuts off no moment: each gets a state before any gets its second. Then those come
//! first at which all is pending that was written since the last sync; what can be left of the others is
//! nearly all among their prefixes. Within a moment the order is drawn from a fixed seed. Equal disks after
//! equally many acknowledgements are one state.

use super::script::{Moment, SEED};
use super::{End, Setting};
use std::collections::BTreeSet;
use stormglass_sim::disk::{Change, Digests, Fate, Pending};
use stormglass_sim::{Digest, Disk, Ending, Seed, Stream, Survivors, crash_state};

/// Drawn states of a moment, besides the systematic ones.
const SAMPLE_COUNT: u64 = 8;

/// What one crash left.
pub struct CrashState {
    /// The disk.
    pub disk: Disk,
    /// Known by its hash.
    pub digest: Digest,
    /// Transactions that were acknowledged before the crash.
    pub acknowledged: usize,
}

/// Hands the states of a cell to `each` until there are no more or it has had `states_max`.
pub fn visit(
    moments: &[Moment],
    (setting, end): (Setting, End),
    states_max: u64,
    digests: &mut Digests,
    mut each: impl FnMut(CrashState),
) {
    let label = format!("{setting} {end}");
    let mut stream = Seed(SEED).stream_for("matrix", &label);
    let order = shuffled(moments.len(), &mut stream);
    let choices: Vec<Vec<usize>> = moments
        .iter()
        .map(|moment| shuffled(endings(&moment.boundary.pending(), end).len(), &mut stream))
        .collect();
    let mut known = BTreeSet::new();
    for (round, at) in turns(moments, &order, &choices) {
        let choice = choices[at][round];
        let Moment { boundary, acknowledged, .. } = &moments[at];
        let disk = boundary.end(&endings(&boundary.pending(), end).swap_remove(choice));
        let (digest, acknowledged) = (digests.of(&disk), *acknowledged);
        if known.insert((digest, acknowledged)) {
            each(CrashState { disk, digest, acknowledged });
            if known.len() as u64 == states_max {
                return;
            }
        }
    }
}

/// Whose turn it is, and for the how manieth time.
fn turns<'a>(
    moments: &'a [Moment],
    order: &'a [usize],
    choices: &'a [Vec<usize>],
) -> impl Iterator<Item = (usize, usize)> + 'a {
    let rounds = choices.iter().map(Vec::len).max().unwrap_or(0);
    let later = move |is_ripe| {
        let all = (1..rounds).flat_map(|round| order.iter().map(move |at| (round, *at)));
        all.filter(move |(_, at)| moments[*at].is_ripe == is_ripe)
    };
    let all = order.iter().map(|at| (0, *at)).chain(later(true)).chain(later(false));
    all.filter(|(round, at)| *round < choices[*at].len())
}

fn shuffled(count: usize, stream: &mut Stream) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for at in (1..count).rev() {
        order.swap(at, stream.below(at as u64 + 1) as usize);
    }
    order
}

/// Everything that the process can leave when it ends in this way with these changes pending.
pub(super) fn endings(pending: &[Pending], end: End) -> Vec<Ending> {
    let sector_size_bytes = stormglass_sim::DiskOptions::default().sector_size_bytes;
    let survivors = || crash_state::bounded(pending, sector_size_bytes, SAMPLE_COUNT).into_iter();
    match end {
        End::ProcessKill => vec![Ending::ProcessKill],
        End::PowerLoss => survivors().map(Ending::PowerLoss).collect(),
        End::PowerLossNamesKept => survivors()
            .map(|survivors| {
                let mut fates = survivors.fates(pending, sector_size_bytes);
                for (fate, op) in fates.iter_mut().zip(pending) {
                    if !matches!(op.change, Change::Write { .. } | Change::Truncate { .. }) {
                        *fate = Fate::Kept;
                    }
                }
                Ending::PowerLoss(Survivors::Fates(fates))
            })
            .collect(),
    }
}
