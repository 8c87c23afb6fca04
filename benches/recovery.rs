//! A crash and the way back, split by what the platform does on it.
//!
//! **Invariant:** the platform's own points part its time: what lies between two of them belongs to
//! the first. Nothing else runs in between.

use crate::requests::{self, Store};
use crate::sampler::Sampler;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use stormglass_platform::seams::{BoxFuture, NoPoints, Point, Points};
use stormglass_platform::{Op, Platform, Request};
use stormglass_scenarios::plan::{Plan, Who, entity_id, tenant_name};
use stormglass_scenarios::seams::{database_path, tenants_on};
use stormglass_scenarios::translate::Sets;
use stormglass_sim::{Disk, Ending, Survivors, World, block_on};

const PLANS: u64 = 20;
const ROUNDS: usize = 80;

/// What a recovery consists of.
#[derive(Clone, Copy)]
enum Part {
    Crash,
    Start,
    Open,
    Replay,
    Blobs,
    Repair,
    Answer,
    Fork,
    Integrity,
}

const PARTS: [(Part, &str); 9] = [
    (Part::Crash, "power loss"),
    (Part::Start, "boot, specs, actors"),
    (Part::Open, "open: log, schema, the boot's row"),
    (Part::Replay, "replay of the journal"),
    (Part::Blobs, "blob check: read and hash"),
    (Part::Repair, "blobs put back"),
    (Part::Answer, "first answer of each entity"),
    (Part::Fork, "open of a fork for the next"),
    (Part::Integrity, "integrity check"),
];

/// Prints the parts of a recovery, all tenants and entities of a plan visited once.
pub fn print_recoveries() {
    let images: Vec<_> =
        (0..PLANS).map(requests::plan).map(|plan| (image_after(&plan), plan)).collect();
    let sampler: Sampler<{ PARTS.len() }> = Sampler::start();
    let stopwatch = Arc::new(Stopwatch { turn: sampler.turns(), stage: AtomicUsize::new(AWAKE) });
    let mut entity_count = 0;
    for (image, plan) in &images {
        let whos = plan.steps.iter().filter_map(|step| step.action.who());
        let whos: BTreeSet<(u32, u32)> = whos.map(|who| (who.tenant, who.entity)).collect();
        entity_count += whos.len();
        (0..ROUNDS).for_each(|_| recovery(plan, image, &whos, &stopwatch));
    }
    let cycles = (images.len() * ROUNDS) as f64;
    let times = sampler.stop().map(|us| us / cycles);
    let all: f64 = times.iter().sum();
    let entities = entity_count as f64 / images.len() as f64;
    println!("\ncrash and recovery of {entities:.1} entities           us   share");
    for (part, name) in PARTS {
        let us = times[part as usize];
        println!("  {name:<38} {us:>8.1} {:>5.0} %", 100.0 * us / all);
    }
    println!("  {:<38} {all:>8.1}", "all");
}

/// The disk in the moment after a plan's last answer.
fn image_after(plan: &Plan) -> Disk {
    let world = requests::world(plan);
    let boot = world.boot();
    madsim::runtime::Runtime::new().block_on(async {
        let seams = requests::seams(&world, &boot, (Store::Disk, Arc::new(NoPoints)));
        let platform = Platform::start(requests::config(plan), seams);
        let platform = Arc::new(platform.expect("the workload's spec is sound"));
        requests::ask_all(&platform, plan, &world).await;
        let image = world.image();
        world.crash(&Ending::ProcessKill);
        platform.shutdown().await;
        image
    })
}

fn recovery(plan: &Plan, image: &Disk, whos: &BTreeSet<(u32, u32)>, stopwatch: &Arc<Stopwatch>) {
    let world = requests::world(plan);
    world.insert_disk(image.clone());
    world.boot();
    let runtime = madsim::runtime::Runtime::new();
    let sets = Sets::of(plan);
    stopwatch.stage.store(AWAKE, Ordering::Relaxed);
    stopwatch.turn_to(Part::Crash);
    world.crash(&Ending::PowerLoss(Survivors::All));
    stopwatch.turn_to(Part::Start);
    runtime.block_on(async {
        let boot = world.boot();
        let seams = requests::seams(&world, &boot, (Store::Disk, stopwatch.clone()));
        let platform = Platform::start(requests::config(plan), seams);
        let platform = platform.expect("the workload's spec is sound");
        for (tenant, entity) in whos.iter().copied() {
            let who = Who { tenant, entity, set: 0 };
            let op = Op::Get { set: sets.name(who.set), id: entity_id(who) };
            let answer = platform.handle(Request::new(tenant_name(tenant), op)).await;
            assert!(answer.status < 500, "no fault is armed: {answer:?}");
        }
        check(&world, stopwatch);
        stopwatch.stop();
        world.crash(&Ending::ProcessKill);
        platform.shutdown().await;
    });
}

/// Has SQLite check a fork of every tenant's file.
fn check(world: &World, stopwatch: &Stopwatch) {
    let _kept = world.keep_randomness();
    for tenant in tenants_on(&world.image()) {
        stopwatch.turn_to(Part::Fork);
        let machine = world.side_machine(world.image(), &Ending::ProcessKill);
        let connection = crate::rows::connect(&machine.boot().uri(&database_path(&tenant)));
        let first = |sql| {
            let mut rows = block_on(connection.query(sql, ())).expect("SQL");
            let row = block_on(rows.next()).expect("the database is sound").expect("a row");
            row.get_value(0).expect("a column")
        };
        first("SELECT count(*) FROM sqlite_schema");
        stopwatch.turn_to(Part::Integrity);
        assert_eq!(first("PRAGMA integrity_check(1)"), libsql::Value::Text("ok".to_string()));
        stopwatch.turn_to(Part::Fork);
    }
}

/// Points that hold nobody up and tell whose turn it is.
struct Stopwatch {
    turn: Arc<AtomicUsize>,
    /// What has begun and not ended: of what is done twice, the first is the recovery's.
    stage: AtomicUsize,
}

const AWAKE: usize = 0;
const REPLAYING: usize = 1;
const CHECKING: usize = 2;

impl Stopwatch {
    fn turn_to(&self, part: Part) {
        self.turn.store(part as usize, Ordering::Relaxed);
    }

    fn stop(&self) {
        self.turn.store(PARTS.len(), Ordering::Relaxed);
    }
}

impl Points for Stopwatch {
    fn reach<'a>(&'a self, point: Point<'a>) -> BoxFuture<'a, ()> {
        let stage = self.stage.load(Ordering::Relaxed);
        let (part, next) = match (point.label, stage) {
            ("store.ready", _) => (Part::Open, AWAKE),
            ("store.journal", AWAKE) => (Part::Replay, REPLAYING),
            ("store.blobs", REPLAYING) => (Part::Blobs, CHECKING),
            ("store.put", CHECKING) => (Part::Repair, CHECKING),
            ("mailbox.send" | "actor.start" | "actor.take", _) => (Part::Start, AWAKE),
            _ => (Part::Answer, AWAKE),
        };
        self.stage.store(next, Ordering::Relaxed);
        self.turn_to(part);
        Box::pin(std::future::ready(()))
    }
}
