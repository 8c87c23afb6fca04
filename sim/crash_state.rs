//! Which pending changes survive a power loss.
//!
//! **Invariant:** the choice is data. [`Survivors`] names it, [`Survivors::fates`] spells it out for
//! the changes that are pending when the power goes, and both replay.

use crate::disk::{Change, Fate, Pending};
use crate::rng::Seed;
use serde::{Deserialize, Serialize};

/// How the life of a process ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ending {
    /// The process dies; the operating system and its page cache live on.
    ProcessKill,
    /// The machine loses power: what was synced survives, and of the rest what is named here.
    PowerLoss(Survivors),
    /// The machine loses power and comes back with an older image of its disk: a backup was put back, a
    /// volume went back to a snapshot. Only a [`crate::Machine`] has images; a disk alone loses its power
    /// with nothing of the pending changes kept.
    DiskSwap {
        /// Which of the kept images: the newest is 0. Past the oldest it is the oldest.
        back: u32,
    },
}

/// A choice among the pending changes. Positions count them in the order of issue, from 0; a position
/// past the last pending change chooses nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Survivors {
    /// Only what was synced.
    None,
    /// Everything.
    All,
    /// The first so many changes.
    Prefix(usize),
    /// The changes at these positions: the disk may have reordered the rest away.
    Subset(Vec<usize>),
    /// Everything but the last write, of which only the sectors marked true survive.
    TornLast(Vec<bool>),
    /// An answer for each change; changes past the end are lost.
    Fates(Vec<Fate>),
    /// Drawn from this number: each change lost, kept, or torn.
    Drawn(u64),
}

impl Survivors {
    /// The shortest name for these fates of all that was pending.
    pub fn of(fates: &[Fate]) -> Survivors {
        let kept = fates.iter().take_while(|fate| **fate == Fate::Kept).count();
        match &fates[kept..] {
            [] if kept == 0 => Survivors::None,
            [] => Survivors::All,
            [Fate::Torn(sectors)] => Survivors::TornLast(sectors.clone()),
            rest if rest.iter().all(|fate| *fate == Fate::Lost) => match kept {
                0 => Survivors::None,
                kept => Survivors::Prefix(kept),
            },
            _ => {
                // What is past the end is lost in any case.
                let end = fates.iter().rposition(|fate| *fate != Fate::Lost);
                Survivors::Fates(fates[..end.map_or(0, |last| last + 1)].to_vec())
            }
        }
    }

    /// The fate of each of `pending`.
    pub fn fates(&self, pending: &[Pending], sector_size_bytes: u32) -> Vec<Fate> {
        let count = pending.len();
        match self {
            Survivors::None => vec![Fate::Lost; count],
            Survivors::All => vec![Fate::Kept; count],
            Survivors::Prefix(kept) => keep(count, |at| at < *kept),
            Survivors::Subset(kept) => keep(count, |at| kept.contains(&at)),
            Survivors::TornLast(sectors) => {
                let mut fates = vec![Fate::Kept; count];
                if let Some(last) = last_write(pending, sector_size_bytes) {
                    fates[last] = Fate::Torn(sectors.clone());
                }
                fates
            }
            Survivors::Fates(fates) => {
                let rest = std::iter::repeat(Fate::Lost);
                fates.iter().cloned().chain(rest).take(count).collect()
            }
            Survivors::Drawn(number) => draw(*number, pending, sector_size_bytes),
        }
    }
}

fn keep(count: usize, kept: impl Fn(usize) -> bool) -> Vec<Fate> {
    (0..count).map(|at| if kept(at) { Fate::Kept } else { Fate::Lost }).collect()
}

fn last_write(pending: &[Pending], sector_size_bytes: u32) -> Option<usize> {
    pending.iter().rposition(|op| op.change.sector_count(sector_size_bytes) > 0)
}

/// How likely each fate is differs from one number to the next, so that among many numbers there are
/// states where nearly all survives as well as states where nearly nothing does.
fn draw(number: u64, pending: &[Pending], sector_size_bytes: u32) -> Vec<Fate> {
    let mut stream = Seed(number).stream("crash-state");
    let (kept, torn) = (stream.below(101), stream.below(101));
    let fate = |op: &Pending| {
        let sectors = op.change.sector_count(sector_size_bytes);
        if sectors > 1 && stream.chance(torn, 200) {
            Fate::Torn((0..sectors).map(|_| stream.chance(1, 2)).collect())
        } else if stream.chance(kept, 100) {
            Fate::Kept
        } else {
            Fate::Lost
        }
    };
    pending.iter().map(fate).collect()
}

/// A bounded set of choices that between them hold the states in which storage engines were found to
/// break: nothing, everything, each prefix, each single loss, each single survivor, the last write
/// torn before and after each of its sector boundaries, and `samples` drawn ones.
pub fn bounded(pending: &[Pending], sector_size_bytes: u32, samples: u64) -> Vec<Survivors> {
    let count = pending.len();
    let mut choices = vec![Survivors::None, Survivors::All];
    choices.extend((1..count).map(Survivors::Prefix));
    // The last loss and the first survivor alone are prefixes; of two changes, the loss of the first
    // leaves the second alone.
    let but = |lost: usize| (0..count).filter(|at| *at != lost).collect();
    choices.extend((0..count.saturating_sub(1)).map(|lost| Survivors::Subset(but(lost))));
    if count > 2 {
        choices.extend((1..count).map(|kept| Survivors::Subset(vec![kept])));
    }
    if let Some(last) = last_write(pending, sector_size_bytes) {
        let sectors = pending[last].change.sector_count(sector_size_bytes);
        for boundary in 1..sectors {
            for first_kept in [true, false] {
                let torn = (0..sectors).map(|at| (at < boundary) == first_kept).collect();
                choices.push(Survivors::TornLast(torn));
            }
        }
    }
    if count > 0 {
        choices.extend((0..samples).map(Survivors::Drawn));
    }
    choices
}

/// What [`within`] chose, and what it left.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// The choices.
    pub survivors: Vec<Survivors>,
    /// Choices of [`bounded`] that are not among them.
    pub left_out_count: usize,
}

/// Drawn states among those of [`within`], where there is room.
const DRAWN: u64 = 8;

/// At most `max` choices of [`bounded`]: first nothing and everything, the last write torn, and prefixes that
/// end with whole pages (of a write-ahead log: frames); then, picked by `seed`, the other ones.
pub fn within(pending: &[Pending], sector_size_bytes: u32, max: usize, seed: Seed) -> Chosen {
    let ends_page = |kept: usize| match &pending[kept - 1].change {
        Change::Write { bytes, .. } => bytes.len() >= PAGE_LEAST,
        _ => true,
    };
    let is_first = |one: &Survivors| match one {
        Survivors::None | Survivors::All | Survivors::TornLast(_) => true,
        Survivors::Prefix(kept) => ends_page(*kept),
        _ => false,
    };
    let all = bounded(pending, sector_size_bytes, DRAWN);
    let (mut first, mut rest): (Vec<_>, Vec<_>) = all.into_iter().partition(is_first);
    let drawn = |one: &Survivors| matches!(one, Survivors::Drawn(_));
    let whole_count = first.len() + rest.iter().filter(|one| !drawn(one)).count();
    // The first two are nothing and everything; of the others so many as leave room for some of the rest.
    let mut stream = seed.stream("crash-states");
    let room = (max - max / 4).max(2);
    while first.len() > room {
        first.remove(2 + stream.below(first.len() as u64 - 2) as usize);
    }
    while first.len() + rest.len() > max.max(2) && !rest.is_empty() {
        rest.swap_remove(stream.below(rest.len() as u64) as usize);
    }
    first.append(&mut rest);
    let kept = first.iter().filter(|one| !drawn(one)).count();
    Chosen { survivors: first, left_out_count: whole_count - kept }
}

/// SQLite's smallest page, in bytes: a shorter write is a header.
const PAGE_LEAST: usize = 512;

/// Every choice there is: each change lost or kept, each write with every set of its sectors. As many
/// as the product of their numbers, so only for scripts of a few small changes. A write with all its
/// sectors is spelled as a torn one, which differs from a kept one only without powersafe overwrite:
/// there the disk damages what shares a sector with it, and undamaged images are not among these.
pub fn every(pending: &[Pending], sector_size_bytes: u32) -> Vec<Survivors> {
    let mut all = vec![Vec::new()];
    for op in pending {
        let sectors = op.change.sector_count(sector_size_bytes);
        let choices: Vec<Fate> = match sectors {
            0 => vec![Fate::Lost, Fate::Kept],
            _ => (0..1u32 << sectors)
                .map(|set| Fate::Torn((0..sectors).map(|at| set >> at & 1 == 1).collect()))
                .collect(),
        };
        all = all
            .iter()
            .flat_map(|fates: &Vec<Fate>| {
                choices.iter().map(|choice| [&fates[..], std::slice::from_ref(choice)].concat())
            })
            .collect();
    }
    all.into_iter().map(Survivors::Fates).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, DiskOptions, Grid};

    fn pending(count: u64) -> Vec<Pending> {
        let mut disk = Disk::new(DiskOptions::default());
        let file = disk.create("/a-wal", Grid::Frames);
        for n in 0..count {
            disk.write(file, 32 + n * 4120, &[1; 24]).unwrap();
            disk.write(file, 56 + n * 4120, &[2; 4096]).unwrap();
        }
        disk.pending()
    }

    /// Goal: a drawn state that is spelled out is the same state, in the fewest words. Method: many numbers, over
    /// disks with one change and with many.
    #[test]
    fn a_state_that_is_spelled_out_is_the_same_state() {
        let mut seen = std::collections::BTreeSet::new();
        for (frames, number) in (1..4).flat_map(|frames| (0..400).map(move |n| (frames, n))) {
            let pending = pending(frames);
            let fates = Survivors::Drawn(number).fates(&pending, 512);
            let spelled = Survivors::of(&fates);
            assert_eq!(spelled.fates(&pending, 512), fates, "{spelled:?}");
            seen.insert(match spelled {
                Survivors::None => "none",
                Survivors::All => "all",
                Survivors::Prefix(_) => "prefix",
                Survivors::TornLast(_) => "torn-last",
                Survivors::Fates(_) => "fates",
                Survivors::Subset(_) | Survivors::Drawn(_) => panic!("{spelled:?}"),
            });
        }
        assert_eq!(seen.len(), 5, "{seen:?}");
        assert_eq!(Survivors::of(&[]), Survivors::None);
        assert_eq!(Survivors::of(&[Fate::Kept, Fate::Lost]), Survivors::Prefix(1));
        let apart = [Fate::Lost, Fate::Kept, Fate::Lost];
        assert_eq!(Survivors::of(&apart), Survivors::Fates(vec![Fate::Lost, Fate::Kept]));
    }

    #[test]
    fn a_budget_takes_the_likeliest_states_first_and_says_what_it_left() {
        for (frames, max) in [(0, 64), (1, 64), (3, 64), (20, 64), (200, 64), (20, 2)] {
            let pending = pending(frames);
            let chosen = within(&pending, 512, max, Seed(7));
            assert_eq!(chosen, within(&pending, 512, max, Seed(7)));
            assert!(chosen.survivors.len() <= max && chosen.survivors[0] == Survivors::None);
            assert_eq!(chosen.survivors[1], Survivors::All);
            let whole = bounded(&pending, 512, 0).len();
            let is_drawn = |one: &&Survivors| matches!(one, Survivors::Drawn(_));
            let drawn = chosen.survivors.iter().filter(is_drawn).count();
            assert_eq!(chosen.survivors.len() - drawn + chosen.left_out_count, whole);
        }
        assert_eq!(within(&pending(1), 512, 64, Seed(7)).left_out_count, 0);
    }
}
