//! How a seed becomes a plan.
//!
//! **Invariant:** swarm testing: each seed takes a random subset of the kinds of steps and faults, with
//! random weights, so that among many seeds there are runs full of each and runs without it. Sizes and
//! waits lie at the boundaries that matter.

use crate::plan::{Action, Mode, PLAN_VERSION, Plan, Protocol, Step, Values, Who};
use crate::profile::Profile;
use crate::recipe::{Alphabet, Recipe};
use stormglass_sim::clock::DEFAULT_START_UTC_MS;
use stormglass_sim::{
    DiskOptions, Effect, Ending, Fault, FileKind, OpKind, Seed, Stream, Survivors, Target, When,
};

/// A scenario: a name, what it does, and how a seed becomes a plan of it.
pub struct Scenario {
    /// As `--scenario` takes it.
    pub name: &'static str,
    /// In one line.
    pub description: &'static str,
    /// How many seeds play it when no scenario is named, against the others.
    pub weight: u64,
    /// The plan of a seed, within a profile's bounds.
    pub plan: fn(Seed, &Profile) -> Plan,
}

/// Every scenario of the platform.
pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "overflow",
    description: "the whole mix: several clients, values around the ceiling, crashes, faults, clock",
    weight: 1,
    plan: overflow,
}];

/// The time to live of the workload's expiring field, in milliseconds.
const TTL_MS: i64 = 3_600_000;
/// The ceiling of the workload's small fields, in bytes.
const SMALL_CEILING_BYTES: u32 = 1_024;
/// Kinds of steps that a swarm weighs.
const KIND_COUNT: usize = 13;
const CRASH: usize = 10;
const RESTART: usize = 11;

/// The plan of a seed: the whole mix.
fn overflow(seed: Seed, _: &Profile) -> Plan {
    let mut swarm = seed.stream("taste");
    let protocols = [Protocol::EventThenBlobs, Protocol::BlobsThenEvent, Protocol::Atomic];
    let protocol = if swarm.chance(2, 3) { protocols[0] } else { *swarm.pick(&protocols) };
    let mode = if swarm.chance(1, 12) { Mode::InlineTruncate } else { Mode::BlobRefs };
    let mut shape = Shape {
        stream: seed.stream("workload"),
        clients: 1 + swarm.below(3) as u32,
        tenants: 1 + swarm.below(2) as u32,
        entities: 1 + swarm.below(4) as u32,
        weights: (0..KIND_COUNT)
            .map(|kind| match kind {
                // Each costs a boot: runs full of them do little else.
                CRASH | RESTART => swarm.below(4),
                _ => swarm.below(6) * swarm.below(4),
            })
            .collect(),
        contents: 1 + swarm.below(6) as u32,
        has_large: swarm.chance(1, 6),
        steps: Vec::new(),
        key_count: 0,
    };
    shape.fill(8 + swarm.below(24) as usize);
    let faults = faults(&mut seed.stream("fault-plan"), &shape.steps);
    Plan {
        version: PLAN_VERSION,
        scenario: "overflow".to_string(),
        seed,
        start_utc_ms: DEFAULT_START_UTC_MS + swarm.below(1_000) as i64,
        disk: DiskOptions {
            sector_size_bytes: *swarm.pick(&[512, 512, 4096]),
            ..DiskOptions::default()
        },
        protocol,
        mode,
        sweep_interval_ms: swarm.chance(2, 3).then(|| *swarm.pick(&[600_000, 21_600_000])),
        sweep_batch: *swarm.pick(&[1, 3, 10_000]),
        snapshot_every: *swarm.pick(&[2, 5, 100]),
        idle_ms: *swarm.pick(&[1_000, 300_000]),
        steps: shape.steps,
        faults,
    }
}

/// What the steps of one plan are drawn from.
struct Shape {
    stream: Stream,
    clients: u32,
    tenants: u32,
    entities: u32,
    weights: Vec<u64>,
    contents: u32,
    has_large: bool,
    steps: Vec<Step>,
    key_count: u32,
}

impl Shape {
    fn fill(&mut self, count: usize) {
        for entity in 0..self.entities {
            let who = Who { tenant: entity % self.tenants, entity };
            let values = self.some_fields(&["user_message", "system_prompt", "big"]);
            self.push(Action::Create { who, values });
        }
        while self.steps.len() < count {
            self.step();
        }
    }

    fn step(&mut self) {
        let who = self.who();
        // Writes of overflowing values are what the scenario is about: they are always in the mix.
        let total: u64 = 12 + self.weights.iter().sum::<u64>();
        let mut at = self.stream.below(total);
        let kind = self.weights.iter().position(|weight| {
            let here = at < *weight;
            at = at.saturating_sub(*weight);
            here
        });
        let action = match kind {
            None => self.write(who),
            Some(0) => self.spec_action(who),
            Some(1) => self.spec_action(who),
            Some(2) => {
                let values = self.some_fields(&["user_message", "system_prompt", "big", "colour"]);
                Action::Patch { who, values }
            }
            Some(3) => Action::Delete { who },
            Some(4) => Action::Get { who },
            Some(5) => Action::History { who },
            Some(6) => Action::List { tenant: who.tenant },
            Some(7) => {
                let max_rows = *self.stream.pick(&[1, 2, 1_000]);
                Action::Sweep { tenant: who.tenant, max_rows }
            }
            Some(8) => Action::Wait { ms: self.wait_ms() },
            Some(9) => {
                let by_ms = self.wait_ms();
                Action::StepClock { by_ms: if self.stream.chance(1, 2) { by_ms } else { -by_ms } }
            }
            Some(CRASH) => Action::Crash { ending: ending(&mut self.stream) },
            Some(RESTART) => Action::Restart,
            Some(_) => {
                let values = self.some_fields(&["user_message", "system_prompt", "big"]);
                Action::Create { who, values }
            }
        };
        self.push(action);
    }

    /// An entity that was created, and now and then one that was not, or another tenant's of its name.
    fn who(&mut self) -> Who {
        if self.stream.chance(1, 12) {
            return Who { tenant: self.below(self.tenants), entity: self.below(self.entities + 1) };
        }
        let entity = self.below(self.entities);
        Who { tenant: entity % self.tenants, entity }
    }

    /// A write of texts around their ceiling.
    fn write(&mut self, who: Who) -> Action {
        let action = *self.stream.pick(&["Write", "Write", "Write", "Configure"]);
        let names: &[&str] = match action {
            "Write" => &["user_message", "system_prompt", "big"],
            _ => &["user_message", "system_prompt"],
        };
        Action::Act { who, action: action.to_string(), values: self.some_fields(names) }
    }

    /// Any other action of the spec, legal or not.
    fn spec_action(&mut self, who: Who) -> Action {
        // What ends an entity is seldom, or nothing would be left to write to.
        if self.stream.chance(1, 10) {
            let ends = *self.stream.pick(&["Fail", "Finish", "Reopen"]);
            let values = self.some_fields(if ends == "Fail" { &["error"] } else { &[] });
            return Action::Act { who, action: ends.to_string(), values };
        }
        let action = *self.stream.pick(&[
            "Configure",
            "Note",
            "Note",
            "Unnote",
            "Tag",
            "Start",
            "Start",
            "Tick",
            "Tick",
            "Undo",
            "Pause",
            "Approve",
            "Told",
            "Nonsense",
        ]);
        let values = match action {
            "Configure" => self.some_fields(&["user_message", "system_prompt"]),
            "Note" => vec![("notes".to_string(), self.value())],
            "Unnote" => {
                let index = self.stream.below(3) as i64;
                vec![("notes_index".to_string(), Recipe::Number(index))]
            }
            "Tag" => {
                let tag = *self.stream.pick(&["approved", "late", "late"]);
                vec![("tags".to_string(), Recipe::Words(tag.to_string()))]
            }
            "Tick" => self.some_fields(&["big"]),
            _ => Vec::new(),
        };
        Action::Act { who, action: action.to_string(), values }
    }

    fn some_fields(&mut self, names: &[&str]) -> Values {
        let mut values = Vec::new();
        for name in names {
            if self.stream.chance(2, 3) {
                values.push((name.to_string(), self.value()));
            }
        }
        values
    }

    fn value(&mut self) -> Recipe {
        let content = self.below(self.contents);
        let alphabet = *self.stream.pick(&[
            Alphabet::Plain,
            Alphabet::Plain,
            Alphabet::Escaped,
            Alphabet::Wide,
        ]);
        match self.stream.below(12) {
            0 => Recipe::Null,
            1 => Recipe::Number(*self.stream.pick(&[0, -1, i64::MAX, 9_007_199_254_740_993])),
            2 => Recipe::Bool(true),
            3 => Recipe::List { items: self.below(40), json_bytes: 30, content },
            4 => Recipe::Object { depth: 1 + self.below(20), json_bytes: 900, content },
            _ => Recipe::Text { json_bytes: self.json_bytes(), content, alphabet },
        }
    }

    /// Sizes at the ceiling of 1 KiB, below and above it; seldom the large ones.
    fn json_bytes(&mut self) -> u32 {
        if self.has_large && self.stream.chance(1, 6) {
            let large = [32_767, 32_768, 131_071, 131_072, 131_073, 204_800];
            return *self.stream.pick(&large);
        }
        *self.stream.pick(&[2, 20, 1_000, 1_023, 1_024, 1_025, 1_025, 1_100, 2_000, 3_000])
    }

    /// Waits at the deadline of the expiring field, and others.
    fn wait_ms(&mut self) -> i64 {
        match self.stream.below(3) {
            0 => TTL_MS + *self.stream.pick(&[-1_000, -1, 0, 1, 1_000]),
            1 => self.stream.below(5_000) as i64,
            _ => self.stream.below(30_000_000) as i64,
        }
    }

    fn push(&mut self, action: Action) {
        let key = (action.is_write() && self.stream.chance(1, 4)).then(|| {
            // Now and then the key of an earlier step: a repeat, or a misuse.
            if self.key_count == 0 || self.stream.chance(3, 4) {
                self.key_count += 1;
            }
            self.key_count
        });
        let follows_request = self.steps.last().is_some_and(|last| last.action.is_request());
        let together =
            action.is_request() && follows_request && self.clients > 1 && self.stream.chance(1, 3);
        let id = self.steps.len() as u32 + 1;
        let client = self.below(self.clients) + 1;
        self.steps.push(Step { id, client, together, key, action });
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.stream.below(u64::from(bound)) as u32
    }
}

/// Whether a value is over the ceiling of the workload's small fields.
fn is_over(value: &Recipe) -> bool {
    match value {
        Recipe::Text { json_bytes, .. } => *json_bytes > SMALL_CEILING_BYTES,
        Recipe::List { items, json_bytes, .. } => items * json_bytes > SMALL_CEILING_BYTES,
        _ => false,
    }
}

fn ending(stream: &mut Stream) -> Ending {
    Ending::PowerLoss(match stream.below(8) {
        0 | 1 => return Ending::ProcessKill,
        2 | 3 => Survivors::None,
        4 => Survivors::All,
        5 => Survivors::Prefix(stream.below(12) as usize),
        6 => Survivors::TornLast((0..8).map(|_| stream.chance(1, 2)).collect()),
        _ => Survivors::Drawn(stream.bits()),
    })
}

fn faults(stream: &mut Stream, steps: &[Step]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let overflows = |step: &&Step| step.action.values().iter().any(|(_, value)| is_over(value));
    let writes: Vec<u32> = steps.iter().filter(overflows).map(|step| step.id).collect();
    if !writes.is_empty() && stream.chance(3, 5) {
        faults.push(between_event_and_blobs(stream, &writes));
    }
    if !writes.is_empty() && stream.chance(1, 2) {
        faults.push(failed_commit(stream, &writes));
    }
    for _ in 0..stream.below(4) {
        faults.push(any_fault(stream, steps.len() as u64));
    }
    faults
}

/// A crash after the event's commit and before its blobs': at the second sync of the log in the step.
fn between_event_and_blobs(stream: &mut Stream, writes: &[u32]) -> Fault {
    let scope = format!("step {}", stream.pick(writes));
    let ending = match stream.below(3) {
        0 => Ending::ProcessKill,
        _ => Ending::PowerLoss(Survivors::None),
    };
    let (op, when) = match stream.below(2) {
        0 => (OpKind::Sync, When::Nth(2)),
        _ => (OpKind::Write, When::Nth(4 + stream.below(10))),
    };
    let target = Target { scope: Some(scope), op: Some(op), file: Some(FileKind::Wal) };
    Fault { effect: Effect::Crash(ending), target, when }
}

/// A sync that fails under the commit of a write: nobody knows whether the event is there.
fn failed_commit(stream: &mut Stream, writes: &[u32]) -> Fault {
    let scope = Some(format!("step {}", stream.pick(writes)));
    let target = Target { scope, op: Some(OpKind::Sync), file: Some(FileKind::Wal) };
    Fault { effect: Effect::Eio, target, when: When::Nth(1 + stream.below(2)) }
}

fn any_fault(stream: &mut Stream, steps: u64) -> Fault {
    let effect = match stream.below(10) {
        0..4 => Effect::Crash(ending(stream)),
        4..6 => Effect::Eio,
        6 => Effect::NoSpace,
        7 => Effect::ShortRead { missing_bytes: 1 + stream.below(4096) },
        _ => Effect::Slow { ms: *stream.pick(&[1, 1_000, 60_000]) },
    };
    let boot = 1 + stream.below(3);
    let scope = match stream.below(6) {
        0 => format!("recovery of boot {boot}"),
        1 => format!("sweep of boot {boot}"),
        _ => format!("step {}", 1 + stream.below(steps)),
    };
    let op = match stream.below(2) {
        0 => Some(*stream.pick(&[OpKind::Open, OpKind::Read, OpKind::Write, OpKind::Sync])),
        _ => None,
    };
    let file = *stream.pick(&[None, None, Some(FileKind::Wal), Some(FileKind::Database)]);
    if !matches!(effect, Effect::Crash(_)) && stream.chance(1, 6) {
        let when = When::Rate { per_million: 1 + stream.below(10_000) as u32 };
        return Fault { effect, target: Target { scope: None, op, file }, when };
    }
    let when = When::Nth(1 + stream.below(8));
    Fault { effect, target: Target { scope: Some(scope), op, file }, when }
}
