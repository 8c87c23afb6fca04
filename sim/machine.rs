//! A machine: one disk, the process that uses it, and how that process ends.
//!
//! **Invariant:** every operation belongs to a *boot*, one life of a process. From the moment a boot
//! is over, its calls fail and change nothing, and nothing of them is recorded: closing a libsql
//! connection of a dead process neither checkpoints nor deletes its log.

mod boot;

pub use boot::Boot;

use crate::boundary::{Boundaries, Boundary};
use crate::clock::Clock;
use crate::crash_state::{Ending, Survivors};
use crate::damage::{Damage, Harm};
use crate::disk::{Disk, Fate, FileId};
use crate::fault::{Effect, Fault, Faults, Ledger, Strike};
use crate::handle::IoError;
use crate::locks::{FileLocks, HandleId, ShmLocks};
use crate::rng::Seed;
use crate::scene::Scene;
use crate::trace::{Digest, Event, FileKind, OpKind, Record, Trace, digest_of_fates};
use crate::vfs::{Mount, SharedMemory};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// How a boot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// The boot that ended.
    pub boot: u32,
    /// How.
    pub ending: Ending,
    /// Disk operations before it, over all boots.
    pub op: u64,
    /// What became of each change that was pending, in the order of issue. Empty for a process kill,
    /// which leaves them all pending.
    pub fates: Vec<Fate>,
    /// The image that was put back, if one was: its number, counted from 0 at the machine's making.
    pub image: Option<usize>,
    /// The operation in whose place it came, and its file, if there was one.
    pub instead_of: Option<(OpKind, FileKind)>,
}

/// What struck an operation and did not end it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Struck {
    /// By so many bytes a read is cut short.
    pub missing_bytes: u64,
    /// After so many bytes a write fails.
    pub written_bytes: Option<u64>,
    /// A sync lies.
    pub lies: bool,
    /// A sync fails and forgets.
    pub forgets: bool,
    /// Where bits flip, how many bytes, and which bits of each.
    pub rot: Option<(u64, u32, u8)>,
}

/// What the write-ahead log's connections share while a boot lasts.
#[derive(Default)]
pub(crate) struct Shm {
    pub locks: ShmLocks,
    pub memory: Option<Arc<SharedMemory>>,
    pub user_count: u32,
}

pub(crate) struct State {
    pub disk: Disk,
    pub faults: Faults,
    pub trace: Option<Trace>,
    /// The moments before each operation, while they are kept.
    boundaries: Option<Boundaries>,
    pub op_count: u64,
    /// How often a log was begun anew over what stood in it.
    pub log_count: u64,
    boot: u32,
    running: bool,
    crashes: Vec<Crash>,
    /// The disk around each crash, where records are kept.
    scenes: Vec<Scene>,
    /// Images of the disk that may be put back, the oldest first: the first is of its making.
    images: Vec<Disk>,
    damages: Vec<Damage>,
    next_handle: HandleId,
    /// Woken when the running boot ends.
    watchers: Vec<Waker>,
    /// The running boot's VFS, and after a crash the last one's: its connections may still call.
    mount: Option<Mount>,
    pub file_locks: BTreeMap<FileId, FileLocks>,
    pub shm: BTreeMap<FileId, Shm>,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    pub clock: Clock,
}

impl Shared {
    pub fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere (a failed assertion in a test) leaves the state as consistent as it was
        // before the call that panicked: every change to it is made by one method at a time.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, state: &mut State, event: Event) {
        let (boot, op) = (state.boot, state.op_count);
        if let Some(trace) = &mut state.trace {
            let (utc_ms, monotonic_ms) = (self.clock.now_utc_ms(), self.clock.monotonic_ms());
            trace.add(Record { utc_ms, monotonic_ms, boot, op, event });
        }
    }

    fn end_boot(&self, state: &mut State, ending: &Ending, instead_of: Option<(OpKind, FileKind)>) {
        let pending = state.disk.pending();
        let kept = state.trace.as_ref().filter(|trace| trace.is_kept());
        let before = kept.map(|trace| (trace.records().len(), state.disk.clone()));
        let fates = match ending {
            Ending::ProcessKill | Ending::DiskSwap { .. } => Vec::new(),
            Ending::PowerLoss(survivors) => {
                survivors.fates(&pending, state.disk.options().sector_size_bytes)
            }
        };
        let event = Event::Crash {
            ending: Effect::Crash(ending.clone()).name().to_string(),
            pending: pending.len() as u64,
            fates: digest_of_fates(&fates),
        };
        self.record(state, event);
        state.damages.extend(Damage::by_end(&state.disk, ending, state.op_count));
        state.disk.crash(ending);
        let image = match ending {
            Ending::DiskSwap { back } => Some(state.put_back(*back as usize)),
            _ => None,
        };
        state.running = false;
        state.file_locks.clear();
        state.shm.clear();
        let (boot, op) = (state.boot, state.op_count);
        let crash = Crash { boot, ending: ending.clone(), op, fates, image, instead_of };
        if let Some((record_count, before)) = before {
            let (utc_ms, after) = (self.clock.now_utc_ms(), state.disk.clone());
            state.scenes.push(Scene { crash: crash.clone(), record_count, utc_ms, before, after });
        }
        state.crashes.push(crash);
        state.watchers.drain(..).for_each(Waker::wake);
    }

    /// Counts one disk operation of boot `boot`, lets the faults strike it, and returns what struck
    /// and did not end it.
    pub fn begin(
        &self,
        state: &mut State,
        boot: u32,
        op: OpKind,
        file: FileKind,
    ) -> Result<Struck, IoError> {
        let takes_space = matches!(op, OpKind::Write | OpKind::Truncate);
        self.begin_taking_space(state, boot, (op, file), takes_space)
    }

    /// As [`Shared::begin`], for an operation that may or may not take space on the disk: an open that
    /// makes no file cannot fail for want of it.
    pub fn begin_taking_space(
        &self,
        state: &mut State,
        boot: u32,
        (op, file): (OpKind, FileKind),
        takes_space: bool,
    ) -> Result<Struck, IoError> {
        self.check_alive(state, boot)?;
        state.keep_boundary((op, file, takes_space), &self.clock);
        state.op_count += 1;
        let effects = state.faults.strike(op, file, takes_space);
        let (mut struck, mut failure) = (Struck::default(), None);
        for effect in effects {
            if let Effect::Crash(ending) = &effect {
                // The operation that would have been is not: the crash comes after the one before.
                state.op_count -= 1;
                self.end_boot(state, ending, Some((op, file)));
                return Err(IoError::Dead);
            }
            self.record(state, Event::Fault { effect: effect.to_string() });
            match effect {
                Effect::Eio => failure = failure.or(Some(IoError::Eio)),
                Effect::NoSpace => failure = failure.or(Some(IoError::NoSpace)),
                Effect::ShortRead { missing_bytes } => struck.missing_bytes = missing_bytes,
                Effect::ShortWrite { written_bytes } => struck.written_bytes = Some(written_bytes),
                Effect::LyingSync => struck.lies = true,
                Effect::ForgettingSync => struck.forgets = true,
                Effect::BitRot { at, bytes, mask } => struck.rot = Some((at, bytes, mask)),
                Effect::Slow { ms } => self.clock.advance(ms),
                Effect::Crash(_) => {}
            }
        }
        failure.map_or(Ok(struck), Err)
    }

    /// Records one disk operation and hands its outcome on. Nothing is recorded of a dead boot.
    #[expect(clippy::too_many_arguments, reason = "the fields of one record")]
    pub fn finish<T>(
        &self,
        state: &mut State,
        kind: OpKind,
        file: &Arc<str>,
        offset: u64,
        len: u64,
        bytes: impl FnOnce() -> Digest,
        outcome: Result<T, IoError>,
    ) -> Result<T, IoError> {
        if state.trace.is_some() && !matches!(outcome, Err(IoError::Dead)) {
            let word = outcome.as_ref().err().map_or("ok", |error| error.word());
            let bytes = bytes();
            let file = file.clone();
            self.record(state, Event::Disk { kind, file, offset, len, bytes, outcome: word });
        }
        outcome
    }

    pub fn check_alive(&self, state: &State, boot: u32) -> Result<(), IoError> {
        if state.running && state.boot == boot { Ok(()) } else { Err(IoError::Dead) }
    }
}

/// A machine. Clones are the same machine.
#[derive(Clone)]
pub struct Machine(pub(crate) Arc<Shared>);

impl Machine {
    pub(crate) fn new(seed: Seed, disk: Disk, clock: Clock, trace: Option<Trace>) -> Machine {
        Machine(Arc::new(Shared {
            state: Mutex::new(State {
                images: vec![disk.clone()],
                damages: Vec::new(),
                disk,
                faults: Faults::new(seed),
                trace,
                boundaries: None,
                op_count: 0,
                log_count: 0,
                boot: 0,
                running: false,
                crashes: Vec::new(),
                scenes: Vec::new(),
                next_handle: 0,
                watchers: Vec::new(),
                mount: None,
                file_locks: BTreeMap::new(),
                shm: BTreeMap::new(),
            }),
            clock,
        }))
    }

    /// Starts the next process on this machine's disk.
    ///
    /// # Panics
    /// When the last one still runs: end it with [`Machine::crash`].
    pub fn boot(&self) -> Boot {
        let mut state = self.0.state();
        assert!(!state.running, "boot {} still runs: crash it first", state.boot);
        state.boot += 1;
        state.running = true;
        self.0.record(&mut state, Event::Boot);
        let number = state.boot;
        let mount = Mount::new(Arc::downgrade(&self.0), number);
        let vfs_name = mount.name();
        let last_mount = state.mount.replace(mount);
        drop(state);
        drop(last_mount);
        Boot { machine: self.clone(), number, vfs_name }
    }

    /// Ends the running process, and the power with it if `ending` says so. Without a running process
    /// a power loss still takes what is pending.
    pub fn crash(&self, ending: &Ending) {
        let mut state = self.0.state();
        self.0.end_boot(&mut state, ending, None);
    }

    /// The clock that the machine shows its processes.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Whether a process runs.
    pub fn is_running(&self) -> bool {
        self.0.state().running
    }

    /// How many crashes there were so far.
    pub fn crash_count(&self) -> usize {
        self.0.state().crashes.len()
    }

    /// Every crash so far.
    pub fn crashes(&self) -> Vec<Crash> {
        self.0.state().crashes.clone()
    }

    /// The disk around every crash so far; none unless [`crate::WorldOptions::keep_trace`] is set.
    pub fn scenes(&self) -> Vec<Scene> {
        self.0.state().scenes.clone()
    }

    /// Disk operations so far, over all boots: the number of the last one.
    pub fn op_count(&self) -> u64 {
        self.0.state().op_count
    }

    /// How often a write-ahead log was begun anew, all of it being in its database's file: over what stood in it.
    pub fn log_count(&self) -> u64 {
        self.0.state().log_count
    }

    /// The disk as it is, in an image of its own. Costs a few reference counts a file.
    pub fn image(&self) -> Disk {
        self.0.state().disk.clone()
    }

    /// From now on keeps the moment before each operation, from which [`crate::World::resume`] goes on.
    pub fn keep_boundaries(&self) {
        self.0.state().boundaries = Some(Boundaries::default());
    }

    /// How many moments have been kept.
    pub fn boundary_count(&self) -> usize {
        self.0.state().boundaries.as_ref().map_or(0, Boundaries::count)
    }

    /// The moments that were kept, in order, and at last this one; no more are kept.
    pub fn take_boundaries(&self) -> Vec<Boundary> {
        let mut state = self.0.state();
        state.keep_boundary((OpKind::Compute, FileKind::Other, false), &self.0.clock);
        state.boundaries.take().map_or_else(Vec::new, Boundaries::into_moments)
    }

    /// Puts another disk into the machine.
    ///
    /// # Panics
    /// When a process runs.
    pub fn insert_disk(&self, disk: Disk) {
        let mut state = self.0.state();
        assert!(!state.running, "a disk is changed while no process runs");
        state.disk = disk;
    }

    /// Keeps an image of the disk as it is, without what is pending: one that [`Ending::DiskSwap`] may put
    /// back. Costs a few reference counts a file. The first image is that of the machine's making. None is
    /// kept, and the answer is false, while syncs have lied or forgotten: it would lack what they answered
    /// for.
    pub fn keep_image(&self) -> bool {
        let mut state = self.0.state();
        if !state.disk.unkept().is_empty() {
            return false;
        }
        let mut image = state.disk.clone();
        image.crash(&Ending::PowerLoss(Survivors::None));
        state.images.push(image);
        true
    }

    /// Flips bits in the bytes at rest of the file that `path` names: from `offset` on, at most `bytes` of
    /// them, none beyond the first one's sector. Nothing without such a file, or past its durable end.
    pub fn rot(&self, path: &str, offset: u64, (bytes, mask): (u32, u8)) {
        let mut state = self.0.state();
        let Some(file) = state.disk.find(path) else { return };
        if state.rot(file, &path.into(), (offset, bytes, mask)) {
            let kind = FileKind::of_path(path);
            state.faults.count_rot(kind);
            let effect = Effect::BitRot { at: offset, bytes, mask }.to_string();
            self.0.record(&mut state, Event::Fault { effect });
        }
    }

    /// All damage that dishonest faults have done so far, to whatever disk was in the machine.
    pub fn damages(&self) -> Vec<Damage> {
        self.0.state().damages.clone()
    }

    /// How much damage there was so far.
    pub fn damage_count(&self) -> usize {
        self.0.state().damages.len()
    }

    /// Sets or lifts the disk's quota, in bytes.
    pub fn set_quota(&self, quota_bytes: Option<u64>) {
        self.0.state().disk.set_quota(quota_bytes);
    }

    /// Arms a fault: it counts the operations that match it from now on.
    pub fn arm(&self, fault: Fault) {
        self.0.state().faults.arm(fault);
    }

    /// Takes all faults away; the ledger stays.
    pub fn disarm_all(&self) {
        self.0.state().faults.disarm_all();
    }

    /// Takes all faults away but crashes whose scopes are `whole N` or parts of it; the ledger stays.
    pub fn leave_crashes_of(&self, whole: &str) {
        self.0.state().faults.leave_crashes_of(whole);
    }

    /// From now on every scope that is entered is a part of `whole`: `"end 1"` makes `"step 3"` be
    /// `"end 1/step 3"`.
    pub fn enter_whole(&self, whole: &str) {
        self.0.state().faults.enter_whole(whole);
    }

    /// Names the part of the plan that the operations from now on belong to (`"step 3"`, `"recovery of
    /// boot 2"`). A name stands for one part of one run; `"step 3/put"` is a part of `"step 3"`.
    pub fn enter(&self, scope: &str) {
        self.0.state().faults.enter(scope);
    }

    /// How often each effect struck.
    pub fn ledger(&self) -> Ledger {
        self.0.state().faults.ledger().clone()
    }

    /// Where each fault struck first, in the order in which they did.
    pub fn first_strikes(&self) -> Vec<Strike> {
        self.0.state().faults.first_strikes().to_vec()
    }

    /// Armed faults that have not struck.
    pub fn idle_faults(&self) -> Vec<Fault> {
        self.0.state().faults.idle().cloned().collect()
    }

    pub(crate) fn note(&self, event: Event) {
        let mut state = self.0.state();
        self.0.record(&mut state, event);
    }
}

impl State {
    fn keep_boundary(&mut self, next: (OpKind, FileKind, bool), clock: &Clock) {
        let State { boundaries: Some(boundaries), disk, faults, damages, op_count, boot, .. } =
            self
        else {
            return;
        };
        boundaries.keep(next, (disk, faults, damages), (*op_count, *boot), clock.reading());
    }

    /// Goes on from where another machine was at `boundary`, with what its crash has left. Faults that had not
    /// struck by then are taken away.
    pub fn resume(&mut self, boundary: &Boundary, (ending, disk): (&Ending, Disk)) {
        (self.disk, self.faults) = (disk, boundary.faults.clone());
        self.damages = boundary.damages(ending);
        (self.op_count, self.boot) = (boundary.op_count, boundary.boot);
        self.faults.disarm_idle();
    }

    /// Flips bits of a file and keeps that in mind; false where there is nothing to flip.
    pub fn rot(&mut self, file: FileId, path: &Arc<str>, rot: (u64, u32, u8)) -> bool {
        let (offset, bytes, mask) = rot;
        let rotten = self.disk.rot(file, offset, bytes, mask);
        let is_any = !rotten.is_empty();
        if is_any {
            let (path, harm) = (path.clone(), Harm::Rotten(rotten));
            self.damages.push(Damage { path, op: self.op_count, harm });
        }
        is_any
    }

    /// Puts an older image back and forgets the newer ones. Returns its number.
    fn put_back(&mut self, back: usize) -> usize {
        let number = (self.images.len() - 1).saturating_sub(back);
        self.images.truncate(number + 1);
        let quota_bytes = self.disk.options().quota_bytes;
        self.disk = self.images[number].clone();
        self.disk.set_quota(quota_bytes);
        number
    }

    pub fn take_handle_id(&mut self) -> HandleId {
        self.next_handle += 1;
        self.next_handle
    }
}
