//! The world of one run: a machine, a clock, randomness and a trace, all from one seed.
//!
//! **Invariant:** there is one world at a time in a process. SQLite's list of VFS objects and its
//! random numbers belong to the process, so two worlds side by side would move each other. Parallel
//! runs are parallel processes.

use crate::boundary::Boundary;
use crate::clock::{Clock, DEFAULT_START_UTC_MS};
use crate::crash_state::Ending;
use crate::disk::{Disk, DiskOptions};
use crate::machine::{Boot, Machine};
use crate::rng::Seed;
use crate::trace::{Digest, Event, Record, Trace};
use crate::vfs::{self, KeptRandomness};
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};

/// What a world is made of besides its seed.
#[derive(Clone, Copy, Debug)]
pub struct WorldOptions {
    /// What the disk promises.
    pub disk: DiskOptions,
    /// The wall clock at the start, in milliseconds of Unix time.
    pub start_utc_ms: i64,
    /// Whether the records of the trace are kept, or only their hash.
    pub keep_trace: bool,
}

impl Default for WorldOptions {
    fn default() -> Self {
        WorldOptions {
            disk: DiskOptions::default(),
            start_utc_ms: DEFAULT_START_UTC_MS,
            keep_trace: false,
        }
    }
}

/// Why there is no world.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// libsql could not be initialised.
    #[error("libsql cannot be initialised: {0}")]
    Libsql(String),
    /// This thread already has one, which would be waited for in vain.
    #[error("this thread already has a world; drop it first (one world at a time per process)")]
    AlreadyHere,
}

/// The world of one run. It is its machine's, too: `world.boot()`, `world.crash(..)`, `world.arm(..)`.
pub struct World {
    machine: Machine,
    seed: Seed,
    process: Arc<ProcessLock>,
}

impl World {
    /// Makes a world, waiting until no other thread of this process has one.
    ///
    /// # Errors
    /// [`WorldError`].
    pub fn new(seed: u64, options: WorldOptions) -> Result<World, WorldError> {
        let process = ProcessLock::take()?;
        vfs::initialise().map_err(WorldError::Libsql)?;
        let seed = Seed(seed);
        vfs::seed_randomness(seed.stream("ids").bits() as u32);
        let clock = Clock::new(options.start_utc_ms);
        let trace = Trace::new(options.keep_trace);
        let machine = Machine::new(seed, Disk::new(options.disk), clock, Some(trace));
        Ok(World { machine, seed, process: Arc::new(process) })
    }

    /// The seed.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// Steps the wall clock by `by_ms` milliseconds, on the record.
    pub fn step_clock(&self, by_ms: i64) {
        self.clock().step(by_ms);
        self.machine.note(Event::ClockStep { by_ms });
    }

    /// Records that `who` asked for `what`.
    pub fn request(&self, who: impl Into<String>, what: impl Into<String>) {
        self.machine.note(Event::Request { who: who.into(), what: what.into() });
    }

    /// Records that `who` was answered `what`.
    pub fn answer(&self, who: impl Into<String>, what: impl Into<String>) {
        self.machine.note(Event::Answer { who: who.into(), what: what.into() });
    }

    /// Records that the check `name` found `found`.
    pub fn check(&self, name: impl Into<String>, found: impl Into<String>) {
        self.machine.note(Event::Check { name: name.into(), found: found.into() });
    }

    /// The hash over everything recorded so far: equal for equal runs, in any process.
    ///
    /// # Panics
    /// In a world that was resumed.
    pub fn fingerprint(&self) -> Digest {
        self.machine.0.state().trace.as_ref().expect("a world that began has a trace").fingerprint()
    }

    /// The records so far; none unless [`WorldOptions::keep_trace`] is set.
    pub fn records(&self) -> Vec<Record> {
        let state = self.machine.0.state();
        state.trace.as_ref().map_or_else(Vec::new, |trace| trace.records().to_vec())
    }

    /// How many records there are so far, if they are kept.
    pub fn record_count(&self) -> usize {
        let state = self.machine.0.state();
        state.trace.as_ref().map_or(0, |trace| trace.records().len())
    }

    /// A machine of its own for a look at `image`, after `ending`: without trace and faults, so that
    /// the run does not notice. Keep [`World::keep_randomness`] alive while SQL runs on it.
    pub fn side_machine(&self, mut image: Disk, ending: &Ending) -> Machine {
        image.crash(ending);
        Machine::new(self.seed, image, self.clock().clone(), None)
    }

    /// A world of its own that goes on after the machine of this one was at `boundary` and then ended in
    /// a way that left `disk`: its clock and its faults stand where they stood, no process runs. It takes this world's place
    /// in the process: nothing may run in both at once. It has no trace.
    pub fn resume(&self, boundary: &Boundary, (ending, disk): (&Ending, Disk)) -> World {
        // Not the moment's own: what differs in nothing else is to stay the same.
        let label = format!("after boot {}", boundary.boot);
        vfs::seed_randomness(self.seed.stream_for("ids", &label).bits() as u32);
        let clock = self.clock().resumed(boundary.clock);
        let empty = Disk::new(disk.options());
        let machine = Machine::new(self.seed, empty, clock, None);
        machine.0.state().resume(boundary, (ending, disk));
        World { machine, seed: self.seed, process: Arc::clone(&self.process) }
    }

    /// Holds SQLite's random numbers still until the guard is dropped.
    pub fn keep_randomness(&self) -> KeptRandomness {
        KeptRandomness::new()
    }

    /// Starts the first or next process. As [`Machine::boot`].
    pub fn boot(&self) -> Boot {
        self.machine.boot()
    }
}

impl Deref for World {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

/// The right to be this process's one world.
struct ProcessLock(());

static OWNER: Mutex<Option<ThreadId>> = Mutex::new(None);
static FREED: Condvar = Condvar::new();

impl ProcessLock {
    fn take() -> Result<ProcessLock, WorldError> {
        let me = thread::current().id();
        let mut owner = OWNER.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(other) = *owner {
            if other == me {
                return Err(WorldError::AlreadyHere);
            }
            owner = FREED.wait(owner).unwrap_or_else(PoisonError::into_inner);
        }
        *owner = Some(me);
        Ok(ProcessLock(()))
    }
}

impl Drop for ProcessLock {
    fn drop(&mut self) {
        *OWNER.lock().unwrap_or_else(PoisonError::into_inner) = None;
        FREED.notify_one();
    }
}
