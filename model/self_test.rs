//! The oracle against a platform that behaves, and against the same platform with one wrong turn.
//!
//! The platform here is a toy: one map of journals, one map of blobs, built on `decide`. It takes
//! up requests in any order, loses answers, crashes anywhere, and has its clock stepped. Goal: no
//! seed of the faithful platform may be accused, and every wrong turn must be found by its own
//! invariant.

mod outbox;
mod stories;
mod toy;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::automaton::Mode;
use crate::canonical::canonical;
use crate::clock::{Mark, Moment, Span};
use crate::decide::{Decision, decide, decide_alone};
use crate::entity::{BootId, EntityKey, Event, Existence, Kept, OpId, Origin, State};
use crate::observe::Observation;
use crate::oracle::Oracle;
use crate::request::{
    Answer, EntityView, HistoryEvent, HistoryView, Kind, Listed, Page, Request, Rules,
};
use crate::sweep_check::Sweep;
use crate::tables::{BlobRow, EventRow, KeptRow, Sight, SnapshotRow, TenantRows};
use crate::violation::{Invariant, Violation};
use crate::workload::session::session;
use crate::workload::task::task;
use outbox::{Owed, entity_of, ids_of, name_of};
use toy::{Toy, error, unavailable};

/// One wrong turn of the toy platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    LosesAcknowledged,
    ForgetsKeys,
    WritesRejected,
    LiesAboutState,
    DropsBlobsOnReplay,
    FirstDeadlineWins,
    DeadlineFromNow,
    ResurrectsOnReplay,
    SweepsPermanent,
    SweepsEarly,
    SweepsUnbounded,
    SweeperStops,
    ReadsExpired,
    ExpiresLate,
    CeilingInclusive,
    StaleReads,
    RewritesParams,
    SkipsSequence,
    SnapshotGoesBack,
    ClockOfAnotherDay,
    CallsBackTwice,
    LosesCallback,
    ActsEarly,
    SpawnsTwice,
    CopiesEnvelope,
    ReopensRows,
    WritesNoRow,
    KeepsRowsOfTheDeleted,
    NeverWorks,
}

#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) ^ (self.0 >> 11 & 0xff)
    }

    fn below(&mut self, count: u64) -> u64 {
        self.next() % count
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

struct Queued {
    op: OpId,
    request: Request,
    answer: Option<Answer>,
    is_open: bool,
}

struct Run {
    defect: Defect,
    random: Random,
    rules: Rules,
    oracle: Oracle,
    mono_ms: u64,
    clock_ms: i64,
    toys: BTreeMap<String, Toy>,
    blobs: BTreeMap<String, (Vec<u8>, Option<i64>)>,
    snapshots: BTreeMap<String, u64>,
    queue: Vec<Queued>,
    found: Vec<Violation>,
    judged: u64,
    orphans: usize,
    is_stale: bool,
    next_sweep_ms: u64,
    has_sweeper: bool,
    owed: Vec<Owed>,
    generated: u64,
}

/// From the end of one sweep of the background sweeper to the next.
const INTERVAL_MS: u64 = 20_000;
const TENANT: &str = "t";
const SET: &str = "Sessions";
const IDS: [&str; 3] = ["a", "b", "c"];

impl Run {
    fn new(seed: u64, defect: Defect) -> Self {
        // Above and below the ceilings that fields have of their own, and below an id.
        let default_inline_max = [2_000, 0, 3][seed as usize % 3];
        let mode = match seed % 7 {
            6 => Mode::InlineTruncate { default_inline_max },
            _ => Mode::BlobRefs { default_inline_max },
        };
        let rules = Rules { automaton: Arc::new(session()), mode };
        let start = Moment { mono_ms: 0, clock_ms: 1_000_000 };
        let mut oracle = Oracle::new(mode, start);
        oracle.set_spec(session());
        oracle.set_spec(task());
        oracle.boot_started(start).unwrap();
        Run {
            defect,
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1),
            rules,
            oracle,
            mono_ms: 0,
            clock_ms: 1_000_000,
            toys: BTreeMap::new(),
            blobs: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            queue: Vec::new(),
            found: Vec::new(),
            judged: 0,
            orphans: 0,
            is_stale: false,
            next_sweep_ms: INTERVAL_MS,
            has_sweeper: true,
            owed: Vec::new(),
            generated: 0,
        }
    }

    fn moment(&self) -> Moment {
        Moment { mono_ms: self.mono_ms, clock_ms: self.clock_ms }
    }

    /// Plays until something is found or the steps are done.
    fn play(mut self, steps: u32) -> Self {
        for _ in 0..steps {
            self.step();
            if !self.found.is_empty() {
                return self;
            }
        }
        self.finish();
        self
    }

    fn step(&mut self) {
        match self.random.below(23) {
            0..=5 => self.send(),
            6..=10 => self.take_up(),
            11..=13 => self.deliver(),
            14 => self.lose(),
            15 => self.pass_time(),
            16 if self.random.one_in(3) => self.crash(),
            16 | 17 => self.sweep(),
            20..=22 => self.work(),
            _ => self.quiet(),
        }
    }

    fn pass_time(&mut self) {
        let steps_ms = [1, 1000, 29_999, 3_599_999, 3_600_000, -500, -3_600_000];
        let by_ms = steps_ms[self.random.below(7) as usize];
        self.oracle.clock(self.moment());
        self.clock_ms += by_ms;
        self.mono_ms += by_ms.max(0) as u64;
        self.oracle.clock(self.moment());
        self.sweep_in_background();
    }

    /// The background sweeper, which now and then meets a fault.
    fn sweep_in_background(&mut self) {
        if !self.has_sweeper || self.mono_ms < self.next_sweep_ms {
            return;
        }
        self.next_sweep_ms = self.mono_ms + INTERVAL_MS;
        if self.random.one_in(4) {
            self.oracle.fault_fired();
            self.has_sweeper = self.defect != Defect::SweeperStops;
            return;
        }
        let now_ms = self.clock_ms;
        self.blobs.retain(|_, (_, deadline)| deadline.is_none_or(|ms| now_ms < ms));
    }

    fn text(&mut self) -> Value {
        let sizes = [3, 1021, 1022, 1023, 1500];
        let size = sizes[self.random.below(5) as usize];
        let letter = ["x", "y", "\u{e9}"][self.random.below(3) as usize];
        json!(letter.repeat(size))
    }

    fn request(&mut self) -> Request {
        let id = IDS[self.random.below(3) as usize].to_owned();
        let act = |action: &str| Kind::Act { id: id.clone(), action: action.into() };
        let text = self.text();
        let of_task = self.random.one_in(9);
        let (kind, body) = match self.random.below(22) {
            0 | 1 => (Kind::Create, json!({"Id": id, "system_prompt": text})),
            2 | 3 => (act("Configure"), json!({"user_message": text, "system_prompt": text})),
            4 => (act("Write"), json!({"system_prompt": text, "free": text})),
            5 => (act("Note"), json!({"notes": text})),
            6 => (act("Unnote"), json!({"notes_index": 0})),
            7 => (act("Start"), json!({})),
            8 => (act("Tick"), json!({"big": text})),
            9 => (act("Finish"), json!({})),
            10 => (Kind::Patch { id }, json!({"system_prompt": text, "user_message": null})),
            11 if self.random.one_in(8) => (Kind::Delete { id }, json!({})),
            12 => (Kind::History { id }, json!({})),
            13 => (Kind::List(Page::first(100)), json!({})),
            14 => (act("Provision"), json!({"user_message": text})),
            15 => (act("EchoPrompt"), json!({})),
            16 => (act("Remind"), json!({})),
            17 => (act("Delegate"), json!({})),
            18 => (act("DelegateTo"), json!({"task_name": id})),
            19 => (act("Missed"), json!({})),
            _ => (Kind::Read { id }, json!({})),
        };
        let of_task = of_task && !matches!(kind, Kind::List(_));
        let set = if of_task { "Tasks" } else { SET };
        let mut request = Request::new(TENANT, set, kind).body(body.as_object().unwrap());
        if request.is_write() && self.random.one_in(3) {
            request.key = Some(format!("k{}", self.random.below(4)));
        }
        if self.random.one_in(12) {
            request.if_match = Some(self.random.below(6));
        }
        request
    }

    fn send(&mut self) {
        if self.queue.iter().filter(|queued| queued.is_open).count() < 4 {
            let request = self.request();
            let op = self.oracle.send(self.moment(), request.clone());
            self.queue.push(Queued { op, request, answer: None, is_open: true });
        }
    }

    /// The server takes up a request, of a client that waits or of one that has gone.
    fn take_up(&mut self) {
        let waiting: Vec<usize> =
            (0..self.queue.len()).filter(|index| self.queue[*index].answer.is_none()).collect();
        if waiting.is_empty() {
            return;
        }
        let index = waiting[self.random.below(waiting.len() as u64) as usize];
        let (op, request) = (self.queue[index].op, self.queue[index].request.clone());
        let is_lost = self.random.one_in(10);
        if is_lost && self.random.one_in(2) {
            self.queue[index].answer = Some(unavailable());
            return;
        }
        let before = self.clock_ms;
        let answer = self.serve(op, &request);
        assert_eq!(before, self.clock_ms);
        if let Some(answer) = answer {
            self.queue[index].answer = Some(if is_lost { unavailable() } else { answer });
        }
    }

    fn deliver(&mut self) {
        let ready = |queued: &Queued| queued.is_open && queued.answer.is_some();
        if let Some(index) = self.queue.iter().position(ready) {
            let queued = self.queue.remove(index);
            let answer = queued.answer.unwrap();
            self.judged += 1;
            self.found.extend(self.oracle.answer(self.moment(), queued.op, &answer).unwrap());
        }
    }

    fn lose(&mut self) {
        if let Some(queued) = self.queue.iter_mut().find(|queued| queued.is_open) {
            queued.is_open = false;
            let op = queued.op;
            self.oracle.lost(self.moment(), op);
        }
    }

    fn crash(&mut self) {
        self.oracle.boot_ended(self.moment());
        self.queue.clear();
        self.next_sweep_ms = self.mono_ms + INTERVAL_MS;
        self.has_sweeper = true;
        for toy in self.toys.values_mut() {
            toy.is_started = false;
            if self.defect == Defect::LosesAcknowledged && self.random.one_in(4) {
                toy.journal.pop();
                if toy.states.len() > 1 {
                    toy.states.pop();
                }
            }
        }
        self.snapshots.retain(|id, nr| *nr <= self.toys[id].journal.len() as u64);
        if self.random.one_in(2) {
            self.observe(Sight::Dead);
        }
        self.oracle.boot_started(self.moment()).unwrap();
    }

    fn quiet(&mut self) {
        while self.random.below(4) > 0 && self.queue.iter().any(|queued| queued.is_open) {
            self.take_up();
            self.deliver();
        }
        if self.queue.iter().all(|queued| !queued.is_open) {
            let sight = if self.random.one_in(2) { Sight::Idle } else { Sight::Settled };
            self.observe(sight);
        }
    }

    fn observe(&mut self, sight: Sight) {
        let rows = self.rows();
        let Observation { violations, orphan_count } =
            self.oracle.observe(self.moment(), &rows, sight);
        self.found.extend(violations);
        self.found.extend(self.oracle.late_sweep(TENANT, INTERVAL_MS));
        self.orphans += orphan_count;
        self.judged += 1;
    }

    fn sweep(&mut self) {
        let before = self.rows().blobs;
        let early = if self.defect == Defect::SweepsEarly { 1 } else { 0 };
        let now_ms = self.clock_ms + early;
        let mut due: Vec<(i64, String)> = Vec::new();
        for (key, (_, deadline)) in &self.blobs {
            let permanent = self.defect == Defect::SweepsPermanent && deadline.is_none();
            if permanent || deadline.is_some_and(|ms| ms <= now_ms) {
                due.push((deadline.unwrap_or(0), key.clone()));
            }
        }
        due.sort();
        if self.defect != Defect::SweepsUnbounded {
            due.truncate(2);
        }
        for (_, key) in &due {
            self.blobs.remove(key);
        }
        let after = self.rows().blobs;
        let clock = Span::exactly(self.clock_ms);
        let returned = Some(due.len());
        let sweep =
            Sweep { tenant: TENANT, before: &before, after: &after, max_rows: 2, returned, clock };
        self.found.extend(sweep.check());
    }
}

const SEEDS: u64 = 300;
const STEPS: u32 = 400;

#[test]
fn a_platform_that_keeps_the_contract_is_never_accused() {
    let mut judged = 0;
    let mut unverified = 0;
    let mut orphans = 0;
    for seed in 0..SEEDS {
        let run = Run::new(seed, Defect::None).play(STEPS);
        assert!(run.found.is_empty(), "seed {seed}: {}", run.found[0]);
        judged += run.judged;
        unverified += run.oracle.unverified();
        orphans += run.orphans;
    }
    assert!(judged > SEEDS * 50, "only {judged} observations were judged");
    assert!(orphans > 0, "no crash left an orphan");
    assert!(unverified * 1000 < judged, "{unverified} of {judged} observations were not verified");
}

/// Goal: no check is blind. Method: each wrong turn is played until it is found, and what is found
/// first must be one of its own invariants.
#[test]
fn every_wrong_turn_is_found_by_its_own_invariant() {
    use Invariant::*;
    let cases: [(Defect, &[Invariant]); 29] = [
        (Defect::LosesAcknowledged, &[I1, I2]),
        (Defect::ForgetsKeys, &[I3, I18]),
        (Defect::WritesRejected, &[I2, I18]),
        (Defect::LiesAboutState, &[I18]),
        (Defect::DropsBlobsOnReplay, &[I5]),
        // Without a look at what a boot left behind, a callback may be of the boot before.
        (Defect::FirstDeadlineWins, &[I8, I5]),
        (Defect::DeadlineFromNow, &[I12]),
        (Defect::ResurrectsOnReplay, &[I12]),
        (Defect::SweepsPermanent, &[I8]),
        (Defect::SweepsEarly, &[I8]),
        (Defect::SweepsUnbounded, &[I20]),
        (Defect::SweeperStops, &[I9]),
        (Defect::ReadsExpired, &[I10]),
        (Defect::ExpiresLate, &[I10]),
        (Defect::CeilingInclusive, &[I19]),
        (Defect::StaleReads, &[I1, I2]),
        (Defect::RewritesParams, &[I1, I2]),
        (Defect::SkipsSequence, &[I3]),
        (Defect::SnapshotGoesBack, &[I20]),
        (Defect::ClockOfAnotherDay, &[I18, I10]),
        (Defect::CallsBackTwice, &[I15, I2]),
        (Defect::LosesCallback, &[I15]),
        (Defect::ActsEarly, &[I15]),
        (Defect::SpawnsTwice, &[I15]),
        (Defect::CopiesEnvelope, &[I4]),
        (Defect::ReopensRows, &[I15]),
        (Defect::WritesNoRow, &[I15]),
        (Defect::KeepsRowsOfTheDeleted, &[I15]),
        (Defect::NeverWorks, &[I15]),
    ];
    for (defect, own) in cases {
        let mut runs = (0..SEEDS).map(|seed| Run::new(seed, defect).play(STEPS));
        let found = runs.find_map(|run| run.found.first().cloned());
        let found = found.unwrap_or_else(|| panic!("{defect:?} was not found"));
        assert!(own.contains(&found.invariant), "{defect:?} was found as {found}");
    }
}
