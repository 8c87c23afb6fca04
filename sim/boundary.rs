//! Crash points: the moments between two disk operations of a run, kept to go on from.
//!
//! **Invariant:** keeping one changes nothing of the run, and costs the disk's image (a few reference counts
//! a file) and the faults as they stand. Between two of them nothing reaches the disk, so that those of
//! a run are all moments at which a crash can leave another image.

use crate::clock::Reading;
use crate::crash_state::Ending;
use crate::damage::Damage;
use crate::disk::{Disk, Pending};
use crate::fault::{Effect, Fault, Faults, holders};
use crate::trace::{FileKind, OpKind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The moment before a disk operation.
#[derive(Clone)]
pub struct Boundary {
    /// Disk operations before it, over all boots.
    pub op_count: u64,
    /// The boot that runs.
    pub boot: u32,
    /// What the next operation is asked to do.
    pub op: OpKind,
    /// And to what kind of file.
    pub file: FileKind,
    /// Whether it takes space on the disk.
    pub takes_space: bool,
    /// The scope of the next operation (see [`crate::Machine::enter`]).
    pub scope: Arc<str>,
    /// The how manieth of its scope it is, counted from 1: a fault's address.
    pub nth: u64,
    pub(crate) clock: Reading,
    pub(crate) faults: Faults,
    disk: Disk,
    damages: Vec<Damage>,
}

impl Boundary {
    /// The disk as the running process sees it.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// What the clocks read, and the boot that reads them.
    pub fn time(&self) -> impl std::hash::Hash + use<> {
        (self.clock, self.boot)
    }

    /// Everything that is not yet durable, in the order of issue.
    pub fn pending(&self) -> Vec<Pending> {
        self.disk.pending()
    }

    /// The run's faults that had not struck by then.
    pub fn idle_faults(&self) -> Vec<Fault> {
        self.faults.idle().cloned().collect()
    }

    /// Whether this effect can strike the next operation.
    pub fn can_be_struck_by(&self, effect: &Effect) -> bool {
        effect.applies_to(self.op, self.takes_space)
    }

    /// What the disk holds when the process ends here in this way.
    pub fn end(&self, ending: &Ending) -> Disk {
        let mut disk = self.disk.clone();
        disk.crash(ending);
        disk
    }

    /// All damage that has been done when the process has ended here in this way: by a dishonest fault before, or
    /// by the power.
    pub fn damages(&self, ending: &Ending) -> Vec<Damage> {
        let mut damages = self.damages.clone();
        damages.extend(Damage::by_end(&self.disk, ending, self.op_count));
        damages
    }

    /// Whether nothing has happened since `earlier` that a crash could tell: the disk and the clock are the
    /// same.
    pub fn is_same_as(&self, earlier: &Boundary) -> bool {
        (self.disk.version(), self.clock, self.boot)
            == (earlier.disk.version(), earlier.clock, earlier.boot)
    }
}

/// The moments that were kept so far.
#[derive(Default)]
pub(crate) struct Boundaries {
    moments: Vec<Boundary>,
    /// Operations of each scope, those of its parts among them.
    counts: BTreeMap<Arc<str>, u64>,
}

impl Boundaries {
    pub fn keep(
        &mut self,
        (op, file, takes_space): (OpKind, FileKind, bool),
        (disk, faults, damages): (&Disk, &Faults, &[Damage]),
        (op_count, boot): (u64, u32),
        clock: Reading,
    ) {
        let scope = self.count_op(faults.scope());
        let nth = self.counts[&scope];
        let (disk, faults, damages) = (disk.clone(), faults.clone(), damages.to_vec());
        self.moments.push(Boundary {
            op_count,
            boot,
            op,
            file,
            takes_space,
            scope,
            nth,
            clock,
            faults,
            disk,
            damages,
        });
    }

    pub fn count(&self) -> usize {
        self.moments.len()
    }

    /// Counts one operation of the scope `here` and of all that it is a part of.
    fn count_op(&mut self, here: &str) -> Arc<str> {
        for scope in holders(here) {
            match self.counts.get_mut(scope) {
                Some(count) => *count += 1,
                None => drop(self.counts.insert(scope.into(), 1)),
            }
        }
        let (scope, _) = self.counts.get_key_value(here).expect("it was counted above");
        Arc::clone(scope)
    }

    pub fn into_moments(self) -> Vec<Boundary> {
        self.moments
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OpenMode, Survivors, When, World, WorldOptions};

    fn world() -> World {
        World::new(7, WorldOptions::default()).expect("this thread's only world")
    }

    fn script(world: &World) {
        let boot = world.boot();
        world.enter("step 1");
        let Ok(handle) = boot.open("/a", OpenMode::Create) else { return };
        world.enter("step 1/put");
        let _ = handle.write(0, b"one").and_then(|()| handle.sync());
        world.enter("step 1");
        let _ = handle.write(3, b"two");
    }

    /// Goal: a crash at a kept moment is the crash that a fault at its address makes. Method: both, at every
    /// moment of a script, under two endings.
    #[test]
    fn a_kept_moment_is_where_its_address_leads() {
        let kept = {
            let world = world();
            world.keep_boundaries();
            script(&world);
            world.take_boundaries()
        };
        let addresses: Vec<_> = kept.iter().map(|one| (&*one.scope, one.nth)).collect();
        let (step, put) = ("step 1", "step 1/put");
        assert_eq!(addresses, [(step, 1), (put, 1), (put, 2), (step, 4), (step, 5)]);
        for boundary in &kept[..4] {
            for survivors in [Survivors::None, Survivors::All] {
                let ending = Ending::PowerLoss(survivors);
                let world = world();
                let (effect, when) = (Effect::Crash(ending.clone()), When::Nth(boundary.nth));
                world.arm(Fault::in_scope(&boundary.scope, effect, when));
                script(&world);
                assert!(!world.is_running() && world.op_count() == boundary.op_count);
                let (one, other) = (world.image(), boundary.end(&ending));
                assert_eq!(one.contents("/a"), other.contents("/a"));
            }
        }
    }

    /// Goal: damage that dishonest faults have done is known where a world goes on, as it is in the whole run. Method: a
    /// sync that lies and rot before the moment; the power takes what the sync had answered for, a kill does not.
    #[test]
    fn damage_is_carried_along() {
        let world = world();
        world.arm(Fault::in_scope("step 1/put", Effect::LyingSync, When::FromNth(1)));
        world.keep_boundaries();
        script(&world);
        let kept = world.take_boundaries();
        let last = kept.last().expect("one is kept in the end");
        for (ending, count) in [(Ending::ProcessKill, 0), (Ending::PowerLoss(Survivors::All), 1)] {
            let resumed = world.resume(last, (&ending, last.end(&ending)));
            assert_eq!((resumed.damages().len(), last.damages(&ending).len()), (count, count));
        }
        let ending = Ending::PowerLoss(Survivors::All);
        let in_whole = {
            world.crash(&ending);
            world.damages()
        };
        assert_eq!(last.damages(&ending), in_whole);
    }

    #[test]
    fn a_world_goes_on_where_another_was() {
        let world = world();
        world.keep_boundaries();
        world.clock().advance(5);
        world.step_clock(-300);
        script(&world);
        let kept = world.take_boundaries();
        let last = kept.last().expect("one is kept in the end");
        let ending = Ending::PowerLoss(Survivors::None);
        let resumed = world.resume(last, (&ending, last.end(&ending)));
        assert_eq!(resumed.clock().now_utc_ms(), world.clock().now_utc_ms());
        assert_eq!((resumed.op_count(), resumed.is_running()), (world.op_count(), false));
        assert_eq!(resumed.boot().number(), 2);
        // Its name was never made durable.
        assert!(resumed.image().contents("/a").is_none());
        assert_eq!(world.image().contents("/a").as_deref(), Some(&b"onetwo"[..]));
    }
}
