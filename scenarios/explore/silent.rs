//! Silent damage at every operation of one run: an older image put back, a sync that lies, bits that flip at rest.
//!
//! **Invariant:** each case is a plan, judged as any run with damage is (`check/damage.rs`): what the contract promises
//! then is checked, what cannot hold is not. Images that the bound leaves out are counted.

use super::errors::{Case, first_ops, from_on, struck};
use super::report::Report;
use crate::plan::{Action, Step};
use crate::runner::Recording;
use stormglass_sim::{Boundary, Effect, Ending, Fault, Seed, Survivors, When};

/// Images that are put back at an operation, at most.
const IMAGES_MAX: usize = 4;

/// The disk goes back to an older image: at each operation of the steps, to each of some that had been kept by then.
pub(super) fn older_images(recording: &Recording<'_>, report: &mut Report) -> Vec<Case> {
    let mut cases = Vec::new();
    for (boundary, count) in recording.images_by_op() {
        let seed = Seed(boundary.op_count);
        let chosen = backs(count, seed);
        report.at(BETWEEN).left_out += (count - chosen.len()) as u64;
        cases.extend(chosen.into_iter().map(|back| {
            let row = match back {
                0 => "older-image newest",
                back if back + 1 == count => "older-image oldest",
                _ => BETWEEN,
            };
            let ending = Ending::DiskSwap { back: back as u32 };
            Case::new(row, vec![crash_at(boundary, ending)])
        }));
    }
    cases
}

/// The row of images that are neither the newest nor the oldest.
const BETWEEN: &str = "older-image between";

/// Which of `count` images are put back, the newest being 0: all, or the newest, the one before it, the oldest, and
/// as many others as the bound leaves room for.
fn backs(count: usize, seed: Seed) -> Vec<usize> {
    if count <= IMAGES_MAX {
        return (0..count).collect();
    }
    let mut stream = seed.stream("older image");
    let others = count - 3;
    let mut chosen = vec![0, 1, count - 1];
    while chosen.len() < IMAGES_MAX {
        let back = 2 + stream.below(others as u64) as usize;
        if !chosen.contains(&back) {
            chosen.push(back);
        }
    }
    chosen.sort_unstable();
    chosen
}

/// A sync lies, and the power goes before the next operation; or all of them lie from there on, and it goes after the
/// last step.
pub(super) fn lying_syncs(ops: &[Boundary], last_step: u32) -> Vec<Case> {
    let power = || Ending::PowerLoss(Survivors::None);
    let at_end = || Step::alone(last_step + 1, 1, Action::Crash { ending: power() });
    let mut cases = Vec::new();
    let first = first_ops(ops);
    for (at, n) in struck(ops, &Effect::LyingSync) {
        let lie = Fault::in_scope(&ops[at].scope, Effect::LyingSync, When::Nth(n));
        let once = "lying-sync, then the power";
        cases.push(match ops.get(at + 1) {
            Some(next) => Case::new(once, vec![lie, crash_at(next, power())]),
            None => Case::new(once, vec![lie]).then(at_end()),
        });
        let faults = from_on((ops, &first), (at, n), &Effect::LyingSync);
        cases.push(Case::new("lying-sync from there on", faults).then(at_end()));
    }
    cases
}

/// Bits flip somewhere in the file that an operation is about to read.
pub(super) fn rot(ops: &[Boundary]) -> Vec<Case> {
    let drawn = |boundary: &Boundary| {
        let mut stream = Seed(boundary.op_count).stream("rot");
        let (at, bytes) = (stream.bits(), 1 + stream.below(4) as u32);
        Effect::BitRot { at, bytes, mask: 1 << stream.below(8) }
    };
    let mut cases = Vec::new();
    for (at, n) in struck(ops, &Effect::BitRot { at: 0, bytes: 1, mask: 1 }) {
        let fault = Fault::in_scope(&ops[at].scope, drawn(&ops[at]), When::Nth(n));
        cases.push(Case::new("rot before a read", vec![fault]));
    }
    cases
}

fn crash_at(boundary: &Boundary, ending: Ending) -> Fault {
    Fault::in_scope(&boundary.scope, Effect::Crash(ending), When::Nth(boundary.nth))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_the_one_before_and_the_oldest_are_put_back_and_the_bound_is_kept() {
        assert_eq!(backs(1, Seed(1)), [0]);
        assert_eq!(backs(4, Seed(1)), [0, 1, 2, 3]);
        let mut between = std::collections::BTreeSet::new();
        for n in 0..100 {
            let chosen = backs(12, Seed(n));
            let [0, 1, back, 11] = chosen[..] else { panic!("{chosen:?}") };
            between.insert(back);
        }
        assert!(between.into_iter().eq(2..11));
    }
}
