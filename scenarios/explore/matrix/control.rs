//! Controls of the simulated disk: two losses that SQLite's own files need not show.
//!
//! **Invariant:** each is seen in a crash state in which nothing but that could have come about: a write that is
//! torn, or a file whose bytes another file's sync has left pending. A log's checksums hide the one, and a
//! setting that syncs one file after the other the other, so that no cell of the matrix depends on them.

use super::states::endings;
use super::{End, MatrixError, script};
use stormglass_sim::{Boundary, Disk, DiskOptions, Handle, IoError, OpenMode, World, WorldOptions};

const ONE: &str = "/one";
const TWO: &str = "/two";
const OLD: u8 = b'o';
const NEW: u8 = b'n';

/// One of them, under one ending.
#[derive(Clone, Debug)]
pub struct Control {
    /// What must be seen, in words.
    pub what: &'static str,
    /// The ending.
    pub end: End,
    /// Crash states that were tried.
    pub states: u64,
    /// In the how manieth it was first seen.
    pub seen_at: Option<u64>,
}

impl Control {
    fn of(loss: &Loss, moment: &Boundary, end: End) -> Control {
        let endings = endings(&moment.pending(), end);
        let seen = endings.iter().position(|ending| (loss.is_seen)(&moment.end(ending)));
        let seen_at = seen.map(|at| at as u64 + 1);
        Control { what: loss.what, end, states: endings.len() as u64, seen_at }
    }

    /// Its ending, and when it was seen.
    pub fn in_words(&self) -> String {
        let seen_at = self.seen_at.map_or("never".to_string(), |at| format!("@{at}"));
        format!("{} {seen_at}", self.end)
    }

    /// What it accuses the disk of; nothing if it saw what it must see.
    pub fn blindness(&self) -> Option<String> {
        let Control { what, end, states, seen_at } = self;
        seen_at.is_none().then(|| format!("{what}, {end}: not seen in {states} crash states"))
    }
}

/// A script on files that are no database, and what a crash after it must be able to leave.
struct Loss {
    what: &'static str,
    play: fn(&Handle, &Handle, &[u8]) -> Result<(), IoError>,
    is_seen: fn(&Disk) -> bool,
}

const LOSSES: [Loss; 2] = [
    Loss { what: "a write is torn", play: overwrite, is_seen: is_torn },
    Loss { what: "a file is not synced with another", play: sync_the_other, is_seen: is_apart },
];

/// Both, under each loss of power.
///
/// # Errors
/// [`MatrixError::World`].
pub fn controls() -> Result<Vec<Control>, MatrixError> {
    let mut controls = Vec::new();
    for loss in &LOSSES {
        let moment = moment(loss.play)?;
        let ends = [End::PowerLossNamesKept, End::PowerLoss];
        controls.extend(ends.map(|end| Control::of(loss, &moment, end)));
    }
    Ok(controls)
}

/// The moment after a script.
fn moment(
    play: fn(&Handle, &Handle, &[u8]) -> Result<(), IoError>,
) -> Result<Boundary, MatrixError> {
    let world = World::new(script::SEED, WorldOptions::default())?;
    let boot = world.boot();
    let open = |path| boot.open(path, OpenMode::Create).expect(NO_FAULTS);
    let (one, two) = (open(ONE), open(TWO));
    let sectors = vec![NEW; 3 * DiskOptions::default().sector_size_bytes as usize];
    play(&one, &two, &sectors).expect(NO_FAULTS);
    world.keep_boundaries();
    one.sync().expect(NO_FAULTS);
    Ok(world.take_boundaries().swap_remove(0))
}

const NO_FAULTS: &str = "the world has no faults";

fn overwrite(one: &Handle, _: &Handle, sectors: &[u8]) -> Result<(), IoError> {
    one.write(0, &vec![OLD; sectors.len()])?;
    one.sync()?;
    one.write(0, sectors)
}

fn is_torn(disk: &Disk) -> bool {
    let one = disk.contents(ONE).unwrap_or_default();
    one.contains(&OLD) && one.contains(&NEW)
}

fn sync_the_other(one: &Handle, two: &Handle, sectors: &[u8]) -> Result<(), IoError> {
    one.write(0, sectors)?;
    two.write(0, sectors)?;
    two.sync()
}

fn is_apart(disk: &Disk) -> bool {
    let holds = |path| disk.contents(path).map(|bytes| bytes.contains(&NEW));
    holds(ONE) == Some(false) && holds(TWO) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blind(loss: &Loss) -> Vec<String> {
        let moment = moment(loss.play).expect("this thread's only world");
        let ends = [End::PowerLossNamesKept, End::PowerLoss];
        ends.iter().filter_map(|end| Control::of(loss, &moment, *end).blindness()).collect()
    }

    #[test]
    fn each_loss_is_seen() {
        let controls = controls().expect("this thread's only world");
        assert_eq!(controls.len(), 4);
        assert!(controls.iter().all(|control| control.blindness().is_none()), "{controls:?}");
    }

    /// Goal: a control turns red. Method: the scripts that a disk without the loss would have played: writes that are
    /// synced before the crash, and both files synced.
    #[test]
    fn a_disk_that_does_not_lose_is_not_taken_for_one_that_does() {
        let [torn, apart] = LOSSES;
        let synced = |one: &Handle, two: &Handle, sectors: &[u8]| {
            overwrite(one, two, sectors).and_then(|()| one.sync())
        };
        let both = |one: &Handle, two: &Handle, sectors: &[u8]| {
            sync_the_other(one, two, sectors).and_then(|()| one.sync())
        };
        let told = blind(&Loss { play: synced, ..torn });
        let names_kept = "a write is torn, power loss, names kept: not seen in ";
        assert!(told.len() == 2 && told[0].starts_with(names_kept), "{told:?}");
        assert_eq!(blind(&Loss { play: both, ..apart }).len(), 2);
    }
}
