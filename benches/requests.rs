//! The platform under the requests of a plan, without crashes, faults, clients or checks.
//!
//! **Invariant:** only the URI of the tenants' databases differs between the two stores.

use std::sync::{Arc, Mutex, PoisonError};
use stormglass_platform::seams::{self, BoxFuture, Clock, NoPoints};
use stormglass_platform::{Config, Platform, Seams, SweepSettings};
use stormglass_scenarios::http;
use stormglass_scenarios::plan::{Action, Plan, tenant_name};
use stormglass_scenarios::runner;
use stormglass_scenarios::scenario::{self, Settings};
use stormglass_scenarios::seams::{database_path, tenants_on};
use stormglass_scenarios::translate::{self, Sets};
use stormglass_sim::{self as sim, Boot, Machine, Seed, World, WorldOptions};

/// Where the tenants' databases are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// In libsql's own memory.
    Memory,
    /// On the simulated disk.
    Disk,
}

/// The plan of a number.
pub fn plan(number: u64) -> Plan {
    let plan = scenario::plan("overflow", Seed(number), &Settings::default());
    plan.expect("the default scenario has plans")
}

/// The world of a plan.
pub fn world(plan: &Plan) -> World {
    let options =
        WorldOptions { disk: plan.disk, start_utc_ms: plan.start_utc_ms, keep_trace: false };
    World::new(plan.seed.0, options).expect("a bench has one world at a time")
}

/// A plan's configuration, without background work.
pub fn config(plan: &Plan) -> Config {
    let sweep = SweepSettings { enabled: false, ..SweepSettings::default() };
    Config { sweep, ..runner::config(plan) }
}

/// Serves every request of a plan from a fresh store, and stops as a server should. Returns how many
/// there were.
pub fn serve(plan: &Plan, store: Store) -> u64 {
    let world = world(plan);
    let runtime = madsim::runtime::Runtime::new();
    let boot = world.boot();
    runtime.block_on(async {
        let seams = seams(&world, &boot, (store, Arc::new(NoPoints)));
        let platform = Platform::start(config(plan), seams);
        let platform = Arc::new(platform.expect("the workload's spec is sound"));
        let count = ask_all(&platform, plan, &world).await;
        platform.shutdown().await;
        count
    })
}

/// Sends every request of a plan, one after the other.
pub async fn ask_all(platform: &Arc<Platform>, plan: &Plan, world: &World) -> u64 {
    let (mut count, sets) = (0, Sets::of(plan));
    let router = stormglass_platform::http::router(Arc::clone(platform));
    for step in &plan.steps {
        match &step.action {
            Action::Wait { ms } => world.clock().advance(*ms),
            Action::StepClock { by_ms } => world.step_clock(*by_ms),
            Action::Sweep { tenant, max_rows } => {
                platform.sweep(&tenant_name(*tenant), *max_rows).await.expect("no fault is armed");
                count += 1;
            }
            _ => {
                let Some(request) = translate::request(step, &sets) else { continue };
                let answer = http::serve(router.clone(), request).await;
                let answer = answer.expect("an answer of the contract's shape");
                assert!(answer.status < 500, "no fault is armed: {answer:?}");
                count += 1;
            }
        }
    }
    count
}

/// The seams of a boot.
pub fn seams(
    world: &World,
    boot: &Boot,
    (store, points): (Store, Arc<dyn seams::Points>),
) -> Seams {
    let databases = Databases { machine: Machine::clone(world), boot: boot.clone(), store };
    Seams {
        clock: Arc::new(WorldClock(world.clock().clone())),
        databases: Arc::new(databases),
        points,
        ids: Arc::new(Ids::default()),
    }
}

struct Databases {
    machine: Machine,
    boot: Boot,
    store: Store,
}

impl seams::Databases for Databases {
    fn uri(&self, tenant: &str) -> String {
        match self.store {
            Store::Memory => ":memory:".to_string(),
            Store::Disk => self.boot.uri(&database_path(tenant)),
        }
    }

    fn tenants(&self) -> Result<Vec<String>, String> {
        Ok(tenants_on(&self.machine.image()))
    }
}

struct WorldClock(sim::Clock);

impl Clock for WorldClock {
    fn now_utc_ms(&self) -> i64 {
        self.0.now_utc_ms()
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.0.monotonic_ms()).unwrap_or(0)
    }

    fn sleep(&self, duration_ms: u64) -> BoxFuture<'_, ()> {
        Box::pin(self.0.sleep(i64::try_from(duration_ms).unwrap_or(i64::MAX)))
    }
}

#[derive(Default)]
struct Ids(Mutex<u64>);

impl seams::Ids for Ids {
    fn next_id(&self) -> String {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last += 1;
        format!("id-{last}")
    }
}
