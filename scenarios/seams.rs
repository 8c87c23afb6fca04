//! The platform's seams, filled with the simulated world.

use crate::guests::Instant;
use crate::plan::{Who, entity_id, generated_entity};
use crate::planted::{self, Place};
use crate::tally::Phases;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use stormglass_model::clock::Moment;
use stormglass_platform::Seams;
use stormglass_platform::seams::{
    BoxFuture, Clock, Databases, GuestRun, Ids, Point, Points, Usage,
};
use stormglass_sim::{self as sim, Boot, Label, Machine};

/// Where the tenants' files are on the simulated disk.
const DATA: &str = "/data/";

struct SimClock(sim::Clock);

impl Clock for SimClock {
    fn now_utc_ms(&self) -> i64 {
        let planted = planted::at(Place::Clock).and_then(|ms| i64::try_from(ms).ok());
        self.0.now_utc_ms() + planted.unwrap_or(0)
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.0.monotonic_ms()).unwrap_or(0)
    }

    fn sleep(&self, duration_ms: u64) -> BoxFuture<'_, ()> {
        Box::pin(self.0.sleep(i64::try_from(duration_ms).unwrap_or(i64::MAX)))
    }
}

struct SimDatabases {
    machine: Machine,
    boot: Boot,
}

impl Databases for SimDatabases {
    fn uri(&self, tenant: &str) -> String {
        self.boot.uri(&database_path(tenant))
    }

    fn tenants(&self) -> Result<Vec<String>, String> {
        Ok(tenants_on(&self.machine.image()))
    }
}

/// The path of a tenant's file.
pub fn database_path(tenant: &str) -> String {
    format!("{DATA}{tenant}.db")
}

/// The tenants that have a file on `disk`, in order.
pub fn tenants_on(disk: &sim::Disk) -> Vec<String> {
    let name = |path: &str| Some(path.strip_prefix(DATA)?.strip_suffix(".db")?.to_string());
    disk.paths().filter_map(name).collect()
}

/// The tenant to whom a file belongs.
pub fn tenant_of_path(path: &str) -> Option<&str> {
    let name = path.strip_prefix(DATA)?;
    name.split_once(".db").map(|(tenant, _)| tenant)
}

struct SimPoints {
    points: sim::Points,
    /// Of the run, for what is drawn at a point.
    seed: sim::Seed,
    machine: Machine,
    boot: Boot,
    phases: Phases,
    /// How often each write has come to its point.
    tries: Mutex<BTreeMap<String, u64>>,
}

impl SimPoints {
    /// What guests are owed at a point is known by the time.
    fn note(&self, goes_on: bool, point: &Point<'_>) {
        if self.boot.is_alive() {
            let at = instant(&self.machine);
            self.phases.guests().passes((self.boot.number(), goes_on), point, at);
        }
    }
}

impl SimPoints {
    fn reach_as<'a>(&'a self, point: Point<'a>, lingers: bool) -> BoxFuture<'a, ()> {
        let Point { label, tenant, entity, origin } = point;
        let mut who = format!("{origin} {tenant} {entity}");
        if let Some(value) = planted::at(Place::Name) {
            who += &format!(" {value:x}");
        }
        let boot = self.boot.number();
        Box::pin(async move {
            let waiting = self.phases.races().waits(&point);
            self.note(false, &point);
            let parked = Label { boot, who, step: 0, point: label };
            if lingers {
                self.points.reach_late(parked).await;
            } else {
                self.points.reach(parked).await;
            }
            waiting.goes_on();
            // A store call runs within one poll from here on: its operations are this scope's.
            self.machine.enter(&scope(boot, label, origin));
            if self.machine.is_running() {
                self.phases.point(&self.machine, &point);
                self.note(true, &point);
            }
            if label.starts_with(GUEST) && self.boot.compute(label).is_err() {
                // The process died while it computed: nothing of it goes on.
                std::future::pending().await
            }
        })
    }
}

impl Points for SimPoints {
    fn reach<'a>(&'a self, point: Point<'a>) -> BoxFuture<'a, ()> {
        self.reach_as(point, false)
    }

    fn guest_fuel(&self, run: GuestRun<'_>) -> Option<u64> {
        let scope = scope(self.boot.number(), GUEST_START, run.origin);
        self.phases.guests().begin(scope, run, instant(&self.machine))
    }

    fn guest_used(&self, run: GuestRun<'_>, fuel: u64, at: Usage) {
        // Nothing of a dead boot is visible.
        if self.boot.is_alive() {
            self.phases.guests().used(run, fuel, (at, instant(&self.machine)));
        }
    }

    fn reach_together<'a>(&'a self, point: Point<'a>) -> (bool, BoxFuture<'a, ()>) {
        let n = self.try_number(&point);
        // The others are made by their own tasks, in whatever order the points give.
        let joins = self.draw("joins", &point, n).chance(3, 4);
        // A commit takes a disk longer than all else that a server does, so that those who come meanwhile wait
        // together; here, where it takes no time, some linger.
        let lingers = self.draw("lingers", &point, n).chance(1, 2);
        (joins, self.reach_as(point, lingers))
    }
}

impl SimPoints {
    /// The how manieth time it is, from 0, that the same write comes to a point in this boot: one that is tried again
    /// draws anew.
    fn try_number(&self, point: &Point<'_>) -> u64 {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let count = tries.entry(name(point)).or_default();
        *count += 1;
        *count - 1
    }

    /// What is drawn for the n-th try of a write, whatever else is in the plan.
    fn draw(&self, purpose: &str, point: &Point<'_>, n: u64) -> sim::Stream {
        let nth = if n == 0 { String::new() } else { format!("/{n}") };
        let label = format!("{}/{}{nth}", self.boot.number(), name(point));
        self.seed.stream_for(purpose, &label)
    }
}

fn name(point: &Point<'_>) -> String {
    let Point { label, tenant, entity, origin } = point;
    format!("{origin} {tenant} {entity}/{label}")
}

fn instant(machine: &Machine) -> Instant {
    let clock = machine.clock();
    let mono_ms = u64::try_from(clock.monotonic_ms()).unwrap_or(0);
    let now = Moment { mono_ms, clock_ms: clock.now_utc_ms() };
    Instant { now, moment_count: machine.boundary_count() }
}

/// How the labels of points begin at which a guest is computing.
const GUEST: &str = "guest.";
/// The first of them.
const GUEST_START: &str = "guest.start";

/// The scope of the operations after a point: what faults name. What a step leads to is a part of its
/// scope, such as `step 3/append` and `step 3/put`, and `step 3/outbox/guest` of what its outbox rows do.
fn scope(boot: u32, label: &str, origin: &str) -> String {
    let part = match label.split_once('.') {
        Some(("store", "ready" | "outbox")) => return format!("recovery of boot {boot}"),
        // An idle or stopping actor keeps its state; nobody asked for it.
        Some(("store", "snapshot")) if origin.is_empty() => {
            return format!("passivation of boot {boot}");
        }
        Some(("store", call)) => format!("/{call}"),
        Some(("guest", _)) => "/guest".to_string(),
        _ => String::new(),
    };
    match origin {
        // Rows that a boot found, whoever wrote them.
        "outbox" => format!("outbox of boot {boot}{part}"),
        origin if origin.starts_with("step ") => format!("{origin}{part}"),
        "sweeper" => format!("sweep of boot {boot}/sweeper"),
        _ => format!("sweep of boot {boot}/asked"),
    }
}

/// Ids that are never given twice and that a plan can name: a number of the boot and one within it, in
/// no order that shows.
struct SimIds {
    boot: u32,
    count: AtomicU32,
    factor: u32,
    _alive: Arc<()>,
}

impl Ids for SimIds {
    fn next_id(&self) -> String {
        let number = (self.boot << 16) | (self.count.fetch_add(1, Ordering::Relaxed) & 0xffff);
        // An odd factor only shuffles the numbers.
        let entity = generated_entity(number.wrapping_mul(self.factor));
        entity_id(Who { tenant: 0, entity, set: 0 })
    }
}

/// The seams for one boot of a world's machine. `alive` lives as long as anything of the platform that
/// was started with them; `phases` is told what it is at.
pub fn of(
    world: &sim::World,
    (points, phases): (&sim::Points, &Phases),
    boot: &Boot,
    alive: &Arc<()>,
) -> Seams {
    let machine = Machine::clone(world);
    let factor = world.seed().stream("generated ids").bits() as u32 | 1;
    let (boot_number, count) = (boot.number(), AtomicU32::new(0));
    Seams {
        clock: Arc::new(SimClock(world.clock().clone())),
        databases: Arc::new(SimDatabases { machine: machine.clone(), boot: boot.clone() }),
        points: Arc::new(SimPoints {
            points: points.clone(),
            seed: world.seed(),
            machine,
            boot: boot.clone(),
            phases: phases.clone(),
            tries: Mutex::default(),
        }),
        ids: Arc::new(SimIds { boot: boot_number, count, factor, _alive: Arc::clone(alive) }),
    }
}
