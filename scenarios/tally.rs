//! What happened in one run, counted while it runs.
//!
//! **Invariant:** counting touches nothing of the run: it reads ledgers, answers and rows that are there
//! anyway. A run that is not counted has the same trace.

use crate::counts::{self, Phase};
use crate::deeds::{Actors, Line, Settled};
use crate::guests::Guests;
use crate::http::Answer;
use crate::plan::{Action, Step};
use crate::races::Races;
use crate::story::Replays;
use crate::trail::{Place, Struck};
use crate::translate;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use stormglass_model::tables::TenantRows;
use stormglass_platform::seams::Point;
use stormglass_sim::fault::{Ledger, Strike};
use stormglass_sim::{Crash, Disk, Fault, FileKind, Machine, OpKind};

/// The effect's name for an operation that takes long.
const SLOW: &str = "slow";

/// A kind of fault, of operation and of file.
type Key = (&'static str, OpKind, FileKind);

/// What the platform is at, told by the points that it comes to.
#[derive(Clone, Default)]
pub struct Phases {
    state: Arc<Mutex<PhasesState>>,
    races: Races,
    guests: Guests,
}

#[derive(Default)]
struct PhasesState {
    phase: Phase,
    /// The last point of each entity's actor: a put right after a look for blobs is a replay's.
    last_points: BTreeMap<String, &'static str>,
    ledger: Ledger,
    struck: BTreeMap<(Key, Phase), u64>,
    /// Faults that have struck, where each did so first.
    first_strikes: Vec<(Strike, Phase)>,
    /// What was done, by the names of `counts`.
    work: BTreeMap<&'static str, u64>,
    /// The tenant of the last point: what follows it is done for this one.
    tenant: String,
    delayed: Delayed,
    /// The call of the background sweeper that is under way: it has no end yet.
    sweeping: Option<BackgroundSweep>,
    /// Those that were over since the runner last asked.
    swept: Vec<BackgroundSweep>,
    /// What was replayed since the runner last asked.
    replays: Replays,
    /// What actors do by themselves.
    actors: Actors,
    /// From which disk operation on it is at what, while turns are kept.
    turns: Option<Vec<Turn>>,
}

/// From so many disk operations on, the platform is at this.
pub type Turn = (u64, Phase);

/// A call of the background sweeper.
#[derive(Clone)]
pub struct BackgroundSweep {
    /// The tenant.
    pub tenant: String,
    /// The disk when it went on to the store.
    pub before: Disk,
    /// The disk when the next task went on.
    pub after: Disk,
    /// The wall clock then, in milliseconds.
    pub clock_ms: i64,
}

/// Whose work faults have held up since the runner last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delayed {
    /// Everybody's: time was lost.
    pub all: bool,
    /// That of these tenants.
    pub tenants: BTreeSet<String>,
}

impl PhasesState {
    /// The background sweeper's call is over, if one was under way: another task goes on, or nobody does.
    fn end_sweep(&mut self, machine: &Machine) {
        if let Some(sweep) = self.sweeping.take() {
            self.swept.push(BackgroundSweep { after: machine.image(), ..sweep });
        }
    }

    /// What has struck since the last turn did so in the phase that ends here.
    fn turn(&mut self, machine: &Machine, phase: Phase) {
        let ledger = machine.ledger();
        if ledger != self.ledger {
            let fresh = machine.first_strikes().split_off(self.first_strikes.len());
            let phase = self.phase;
            let placed = |strike: Strike| (strike, phase.with(strike.op, strike.file));
            self.first_strikes.extend(fresh.into_iter().map(placed));
        }
        for (key, count) in &ledger {
            let before = self.ledger.get(key).copied().unwrap_or(0);
            if *count > before {
                let phase = self.phase.with(key.1, key.2);
                *self.struck.entry((*key, phase)).or_default() += count - before;
                self.delayed.all |= key.0 == SLOW || self.tenant.is_empty();
                self.delayed.tenants.insert(self.tenant.clone());
            }
        }
        self.ledger = ledger;
        self.phase = phase;
        if let Some(turns) = &mut self.turns {
            turns.push((machine.op_count(), phase));
        }
    }
}

impl Phases {
    /// A task of the running boot goes on from `point`.
    pub fn point(&self, machine: &Machine, point: &Point<'_>) {
        let mut state = self.state();
        state.end_sweep(machine);
        if (point.label, point.origin) == ("store.sweep", "sweeper") {
            state.sweeping = Some(BackgroundSweep {
                tenant: point.tenant.to_string(),
                before: machine.image(),
                after: machine.image(),
                clock_ms: machine.clock().now_utc_ms(),
            });
        }
        let who = format!("{} {}", point.tenant, point.entity);
        state.actors.point(&who, point, machine.clock().monotonic_ms());
        let last = state.last_points.insert(who.clone(), point.label).unwrap_or_default();
        let work = match point.label {
            "store.sweep" if point.origin == "sweeper" => Some(counts::SWEEPS),
            "store.sweep" => Some(counts::SWEEPS_ASKED),
            "guest.start" => Some(counts::GUEST_RUNS),
            "guest.slice" => Some(counts::GUEST_SLICES),
            _ => None,
        };
        match point.label {
            "store.journal" => drop(state.replays.actors.insert(who)),
            "store.put" if last == "store.blobs" => drop(state.replays.restored.insert(who)),
            _ => {}
        }
        if let Some(work) = work {
            *state.work.entry(work).or_default() += 1;
        }
        let phase = match point.label {
            "store.append" => Phase::Event,
            "store.put" if last == "store.blobs" => Phase::Recovery,
            "store.put" => Phase::Blobs,
            "store.sweep" | "sweeper.tenant" => Phase::Sweep,
            "store.snapshot" => Phase::Snapshot,
            "store.ready" | "store.journal" => Phase::Recovery,
            "store.blobs" | "store.events" | "store.entity_ids" => Phase::Read,
            // Nothing of a store happens from here on until the next point.
            _ => state.phase,
        };
        state.turn(machine, phase);
        point.tenant.clone_into(&mut state.tenant);
    }

    /// Of a run that goes on from a moment of another: what has struck by then has held up nobody here.
    pub fn go_on(&self, machine: &Machine) {
        self.state().ledger = machine.ledger();
    }

    /// The background sweeper's calls since the last time, but for one that its boot did not survive.
    pub fn take_swept(&self, machine: &Machine) -> Vec<BackgroundSweep> {
        let mut state = self.state();
        if machine.is_running() {
            state.end_sweep(machine);
        }
        state.sweeping = None;
        std::mem::take(&mut state.swept)
    }

    /// What was replayed since the last call.
    pub fn take_replays(&self) -> Replays {
        std::mem::take(&mut self.state().replays)
    }

    /// Another boot begins: its actors are others.
    pub fn boot_begins(&self) {
        self.state().actors.boot_begins();
    }

    /// What actors did by themselves since the last call; `rows` is what the tables held before.
    pub fn take_deeds(&self, rows: &[Arc<TenantRows>]) -> Vec<Line> {
        self.state().actors.take_lines(rows)
    }

    /// What was owed and has been settled since `settled` was last asked.
    pub fn take_settled(&self, settled: &mut Settled, rows: &[Arc<TenantRows>]) -> Vec<Line> {
        settled.take_lines(rows, &self.state().actors)
    }

    /// From now on keeps each turn.
    pub fn keep_turns(&self) {
        self.state().turns = Some(Vec::new());
    }

    /// The turns that were kept, in order.
    pub fn take_turns(&self) -> Vec<Turn> {
        self.state().turns.take().unwrap_or_default()
    }

    /// Whose work was held up since the last call.
    pub fn take_delayed(&self, machine: &Machine) -> Delayed {
        let mut state = self.state();
        let phase = state.phase;
        state.turn(machine, phase);
        std::mem::take(&mut state.delayed)
    }

    /// The runner's own turn: nothing of the platform runs, or its boot only begins.
    pub fn set(&self, machine: &Machine, phase: Phase) {
        self.state().turn(machine, phase);
    }

    fn state(&self) -> MutexGuard<'_, PhasesState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What guests have used, and are given.
    pub fn guests(&self) -> &Guests {
        &self.guests
    }

    /// Who has waited for whom.
    pub fn races(&self) -> &Races {
        &self.races
    }
}

/// The counts of one run.
pub struct Tally {
    counts: BTreeMap<String, u64>,
    /// What the platform is at.
    pub phases: Phases,
    /// An event that the last crash left without its blob: it is not the next one's doing.
    torn: Option<String>,
    blobs: BTreeSet<(String, String)>,
    /// The rows that were counted last.
    rows: Vec<Arc<TenantRows>>,
}

impl Tally {
    /// Nothing yet, of a run under this protocol.
    pub fn new(protocol: &str) -> Tally {
        let counts = BTreeMap::from([(counts::protocol(protocol), 1)]);
        Tally {
            counts,
            phases: Phases::default(),
            torn: None,
            blobs: BTreeSet::new(),
            rows: Vec::new(),
        }
    }

    /// Counts one of `what`.
    pub fn count(&mut self, what: &str) {
        self.add(what, 1);
    }

    fn add(&mut self, what: &str, count: u64) {
        if count > 0 {
            *self.counts.entry(what.to_string()).or_default() += count;
        }
    }

    /// An answer that a client was given.
    pub fn answered(&mut self, step: &Step, answer: &Answer) {
        if let Action::Malformed { what, .. } = step.action {
            self.count(&counts::rejected(&what.name()));
        } else if let Some(code) = answer.code.as_ref().filter(|_| answer.status < 500) {
            self.count(&counts::rejected(code));
        }
        if !translate::expired(&answer.body).is_empty() {
            self.count(counts::EXPIRED_READS);
        }
    }

    /// An event that lacks its blob, unless the last crash left that one already.
    pub fn fresh(&mut self, torn: Option<String>) -> Option<String> {
        let is_fresh = torn != self.torn;
        self.torn.clone_from(&torn);
        torn.filter(|_| is_fresh)
    }

    /// Crashes of one boot, and what they left: an event without its blob, if there is one.
    pub fn crashed(&mut self, crashes: &[Crash], torn: Option<String>) {
        let phase = self.phases.state().phase;
        for crash in crashes {
            let phase = match crash.instead_of {
                _ if torn.is_some() => Phase::BetweenEventAndBlobs,
                Some((op, file)) => phase.with(op, file),
                None => phase,
            };
            self.count(&counts::crash(&crash.ending, phase));
        }
    }

    /// The rows as they were last read: which blobs have come, and which a sweep of a running server
    /// took. What goes with a crash was never durable.
    pub fn rows(&mut self, rows: &[Arc<TenantRows>], is_running: bool) {
        let is_same = |(new, old): (&Arc<_>, &Arc<_>)| Arc::ptr_eq(new, old);
        if rows.len() == self.rows.len() && rows.iter().zip(&self.rows).all(is_same) {
            return;
        }
        self.rows = rows.to_vec();
        let names = |tenant: &Arc<TenantRows>| {
            let name = tenant.tenant.clone();
            tenant
                .blobs
                .iter()
                .map(move |blob| (name.clone(), blob.key.clone()))
                .collect::<Vec<_>>()
        };
        let blobs: BTreeSet<_> = rows.iter().flat_map(names).collect();
        self.add(counts::BLOBS_PUT, blobs.difference(&self.blobs).count() as u64);
        if is_running {
            // Of a damaged tenant no rows are read any more.
            let read: BTreeSet<&String> = rows.iter().map(|rows| &rows.tenant).collect();
            let gone = self.blobs.difference(&blobs).filter(|(tenant, _)| read.contains(tenant));
            self.add(counts::BLOBS_SWEPT, gone.count() as u64);
        }
        self.blobs = blobs;
    }

    /// The plan's faults that struck.
    pub fn struck(&self, machine: &Machine, faults: &[Fault]) -> Vec<Struck> {
        self.phases.set(machine, Phase::Idle);
        let state = self.phases.state();
        let struck = |(Strike { fault, op, file }, phase): &(Strike, Phase)| {
            let effect = faults.get(*fault)?.effect.name();
            Some(Struck { fault: *fault, place: place((effect, *op, *file), *phase) })
        };
        state.first_strikes.iter().filter_map(struck).collect()
    }

    /// The counts, when the run is over.
    pub fn into_counts(self, machine: &Machine) -> BTreeMap<String, u64> {
        let Tally { mut counts, phases, rows, .. } = self;
        phases.set(machine, Phase::Idle);
        let state = phases.state();
        for (((effect, op, file), phase), count) in &state.struck {
            *counts.entry(counts::fault_in(effect, *phase)).or_default() += count;
            let place = place((effect, *op, *file), *phase);
            counts.insert(counts::fault_at(&place), *count);
        }
        let races = phases.races().seen();
        counts.extend(races.into_iter().map(|(race, count)| (counts::reached(race), count)));
        counts.extend(state.work.iter().map(|(work, count)| (work.to_string(), *count)));
        counts.insert(counts::reached(counts::LOG_BEGAN_ANEW), machine.log_count());
        let tenants = rows.iter().filter(|rows| !rows.events.is_empty()).count();
        counts.insert(counts::TENANTS.to_string(), tenants as u64);
        counts
    }
}

fn place((kind, op, file): Key, phase: Phase) -> Place {
    Place { kind: kind.to_string(), op, file, phase: phase.to_string() }
}

/// What a step is, for the signature of what is found at it.
pub fn step_kind(action: &Action) -> &'static str {
    match action {
        Action::Create { .. } => "create",
        Action::Act { .. } => "act",
        Action::Patch { .. } => "patch",
        Action::Delete { .. } => "delete",
        Action::Get { .. } => "get",
        Action::History { .. } => "history",
        Action::List { .. } => "list",
        Action::Malformed { .. } => "malformed",
        Action::Sweep { .. } => "sweep",
        Action::Wait { .. } => "wait",
        Action::StepClock { .. } => "step-clock",
        Action::Checkpoint { .. } => "checkpoint",
        Action::Rot { .. } => "rot",
        Action::Crash { .. } => "crash",
        Action::Restart => "restart",
        Action::Reconfigure { .. } => "reconfigure",
    }
}
