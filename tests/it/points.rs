//! Points and timers under madsim: the order in which tasks go on is the seed's and the labels', whatever
//! madsim's own queue does.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use madsim::runtime::{Handle, NodeHandle, Runtime};
use stormglass_sim::{
    Effect, Fault, Label, OpenMode, Points, Policy, World, WorldOptions, trace::Event,
    trace::Record,
};

const DAY_MS: i64 = 86_400_000;
const MADSIM_SEEDS: std::ops::Range<u64> = 0..50;

/// What the tasks of one run share.
#[derive(Clone)]
struct Sim {
    world: Arc<World>,
    points: Points,
    server: NodeHandle,
    log: Arc<Mutex<Vec<String>>>,
}

impl Sim {
    fn note(&self, what: impl Into<String>) {
        self.log.lock().expect("no task panicked").push(what.into());
    }

    async fn reach(&self, boot: u32, who: &str, step: u32) {
        let label = Label { boot, who: who.to_string(), step, point: "store" };
        self.points.reach(label).await;
        self.note(format!("{who}{step}"));
    }

    /// A task on the server that passes `steps` points.
    fn spawn_walker(&self, who: &'static str, steps: u32) -> madsim::task::JoinHandle<()> {
        self.spawn_walker_of(1, who, steps)
    }

    fn spawn_walker_of(
        &self,
        boot: u32,
        who: &'static str,
        steps: u32,
    ) -> madsim::task::JoinHandle<()> {
        let sim = self.clone();
        self.server.spawn(async move {
            for step in 0..steps {
                sim.reach(boot, who, step).await;
            }
        })
    }

    /// A task on the server that waits so long and notes the time at which it went on.
    fn spawn_sleeper(&self, who: &'static str, ms: i64) -> madsim::task::JoinHandle<()> {
        let sim = self.clone();
        self.server.spawn(async move {
            sim.points.reach(Label { boot: 1, who: who.into(), step: 0, point: "start" }).await;
            sim.world.clock().sleep(ms).await;
            sim.note(format!("{who} at {}", sim.world.clock().monotonic_ms()));
        })
    }
}

/// Runs `body` on a world with a server node and a driver on a node of its own, ends by killing both,
/// and returns what the tasks noted and the trace.
fn simulate<F>(
    world_seed: u64,
    madsim_seed: u64,
    body: impl FnOnce(Sim) -> F,
) -> (Vec<String>, Vec<Record>)
where
    F: Future<Output = ()>,
{
    let options = WorldOptions { keep_trace: true, ..WorldOptions::default() };
    let world = World::new(world_seed, options).expect("the last run's world is gone");
    let (world, log) = (Arc::new(world), Arc::default());
    let runtime = Runtime::with_seed_and_config(madsim_seed, madsim::Config::default());
    runtime.block_on(async {
        let points = Points::new(&world);
        let handle = Handle::current();
        let server = handle.create_node().name("server").build();
        let driver = handle.create_node().name("driver").build();
        let sim = Sim { world: world.clone(), points, server, log: Arc::clone(&log) };
        let points = sim.points.clone();
        driver.spawn(async move { points.drive().await });
        let server = sim.server.id();
        body(sim).await;
        handle.kill(server);
        handle.kill(driver.id());
        // madsim drops the futures of a killed node when it next runs.
        madsim::time::sleep(Duration::from_millis(1)).await;
    });
    drop(runtime);
    let records = world.records();
    assert_eq!(Arc::strong_count(&world), 1, "a task outlived its run");
    let log = Arc::into_inner(log).expect("a task outlived its run");
    (log.into_inner().expect("no task panicked"), records)
}

/// The order of `walkers` at 4 points each.
fn order(world_seed: u64, madsim_seed: u64, walkers: &[&'static str]) -> Vec<String> {
    order_under(Policy::Random, (world_seed, madsim_seed), walkers)
}

fn order_under(
    policy: Policy,
    (world_seed, madsim_seed): (u64, u64),
    walkers: &[&'static str],
) -> Vec<String> {
    let body = async |sim: Sim| {
        sim.points.follow(policy);
        let tasks: Vec<_> = walkers.iter().map(|who| sim.spawn_walker(who, 4)).collect();
        for task in tasks {
            task.await.expect("no walker panics");
        }
    };
    let (log, records) = simulate(world_seed, madsim_seed, body);
    assert_eq!(log.len(), walkers.len() * 4);
    let label = |record: &Record| match &record.event {
        Event::Point { label } => Some(label.replace("1/", "").replace("/store/1", "")),
        _ => None,
    };
    let released: Vec<String> = records.iter().filter_map(label).collect();
    let spelled: Vec<String> = log.iter().map(|at| at.replace(char::is_numeric, "")).collect();
    let released_by: Vec<String> =
        released.iter().map(|at| at.split('/').next().unwrap_or_default().to_string()).collect();
    assert_eq!(released_by, spelled, "the trace tells who went on");
    log
}

const WALKERS: [&str; 5] = ["ann", "ben", "cid", "dora", "eve"];

/// Goal: madsim's queue decides nothing. Method: five tasks at four points each under 50 madsim seeds;
/// the same tasks that only yield show that those seeds do shuffle.
#[test]
fn one_world_seed_gives_one_order_whatever_madsim_draws() {
    let orders: BTreeSet<_> = MADSIM_SEEDS.map(|seed| order(1, seed, &WALKERS)).collect();
    assert_eq!(orders.len(), 1, "{orders:?}");

    let yielding = |madsim_seed| {
        let body = async |sim: Sim| {
            let walk = |who: &'static str| {
                let task_sim = sim.clone();
                sim.server.spawn(async move {
                    for step in 0..4 {
                        madsim::task::yield_now().await;
                        task_sim.note(format!("{who}{step}"));
                    }
                })
            };
            for task in WALKERS.map(walk) {
                task.await.expect("no walker panics");
            }
        };
        simulate(1, madsim_seed, body).0
    };
    let orders: BTreeSet<_> = MADSIM_SEEDS.map(yielding).collect();
    assert!(orders.len() > 40, "madsim's seeds gave only {} orders", orders.len());
}

/// Goal: the seed explores. Method: 40 world seeds; nearly every one has an order of its own, and any of
/// the tasks may go first and last.
#[test]
fn different_world_seeds_give_different_orders() {
    let orders: BTreeSet<_> = (0..40).map(|seed| order(seed, 7, &WALKERS)).collect();
    assert!(orders.len() >= 38, "{} orders", orders.len());
    let firsts: BTreeSet<_> = orders.iter().map(|order| order[0].clone()).collect();
    let lasts: BTreeSet<_> = orders.iter().map(|order| order[19].clone()).collect();
    assert_eq!((firsts.len(), lasts.len()), (5, 5), "{firsts:?} {lasts:?}");
}

/// Goal: shrinking moves nothing. Method: each task dropped in turn, under several seeds and every policy;
/// the order of the others among themselves stays.
#[test]
fn dropping_a_task_moves_no_other() {
    let pct = |depth| Policy::Pct { depth, span: 6 };
    for (policy, seed) in [Policy::Random, pct(1), pct(2), pct(4)]
        .into_iter()
        .flat_map(|p| (0..8).map(move |n| (p, n)))
    {
        let whole = order_under(policy, (seed, 1), &WALKERS);
        for dropped in WALKERS {
            let rest: Vec<_> = WALKERS.into_iter().filter(|who| *who != dropped).collect();
            let expected: Vec<_> =
                whole.iter().filter(|at| !at.starts_with(dropped)).cloned().collect();
            let order = order_under(policy, (seed, 2), &rest);
            assert_eq!(order, expected, "{policy}, seed {seed} without {dropped}");
        }
    }
}

/// Goal: PCT changes few orders, and never madsim's. Method: how often another task goes on than the one
/// before, of 20 times: without a change each walks to its end; every further change makes few more.
#[test]
fn pct_lets_a_task_go_on_until_it_falls_below_the_others() {
    let switches = |depth: u32, seed: u64| {
        let policy = Policy::Pct { depth, span: 20 };
        let log = order_under(policy, (seed, seed), &WALKERS);
        assert_eq!(log, order_under(policy, (seed, seed + 99), &WALKERS), "madsim decides nothing");
        log.windows(2).filter(|pair| pair[0][..3] != pair[1][..3]).count()
    };
    let of_depth = |depth| (0..30).map(|seed| switches(depth, seed)).collect::<Vec<_>>();
    assert!(of_depth(1).iter().all(|count| *count == 4), "{:?}", of_depth(1));
    let sums: Vec<usize> = (1..=4).map(|depth| of_depth(depth).iter().sum()).collect();
    assert!(sums.is_sorted() && sums[1] > sums[0] && sums[3] < 30 * 10, "{sums:?}");
    let random = |seed| {
        let log = order(seed, 1, &WALKERS);
        log.windows(2).filter(|pair| pair[0][..3] != pair[1][..3]).count()
    };
    let random: usize = (0..30).map(random).sum();
    assert!(random > sums[1] && random > 30 * 8, "{random} {sums:?}");
}

/// Goal: a world that goes on after a boot has the orders that the whole run has: nothing of PCT's changes is to be
/// carried along. Method: the second boot's tasks alone, and after a first boot of the same names under which tasks
/// have fallen.
#[test]
fn a_boots_tasks_fall_at_the_same_points_whether_or_not_there_was_a_boot_before() {
    let policy = Policy::Pct { depth: 3, span: 6 };
    let order_of = |boots: std::ops::RangeInclusive<u32>, seed: u64| {
        let (log, _) = simulate(seed, seed, async |sim: Sim| {
            sim.points.follow(policy);
            for boot in boots {
                sim.log.lock().expect("no task panicked").clear();
                let walk = |who: &&'static str| sim.spawn_walker_of(boot, who, 4);
                let tasks: Vec<_> = WALKERS.iter().map(walk).collect();
                for task in tasks {
                    task.await.expect("no walker panics");
                }
            }
        });
        log
    };
    for seed in 0..20 {
        assert_eq!(order_of(2..=2, seed), order_of(1..=2, seed), "seed {seed}");
    }
    let others = (0..20).filter(|seed| order_of(1..=1, *seed) != order_of(2..=2, *seed)).count();
    assert!(others > 10, "each boot has orders of its own: {others}");
}

/// Goal: the death of a process takes its tasks and nothing else. Method: the server is killed while two
/// of its tasks are parked; they are dropped, never go on, and a task of a second node goes on.
#[test]
fn killing_a_node_drops_its_parked_tasks_and_the_driver_goes_on() {
    for madsim_seed in MADSIM_SEEDS {
        let (log, records) = simulate(madsim_seed % 10, madsim_seed, async |sim: Sim| {
            let held = Arc::new(());
            let victim = |who: &'static str| {
                let (sim, held) = (sim.clone(), held.clone());
                let server = sim.server.clone();
                server.spawn(async move {
                    let _held = held;
                    for step in 0..1_000 {
                        sim.reach(1, who, step).await;
                    }
                });
            };
            ["ann", "ben"].into_iter().for_each(victim);
            let other = Handle::current().create_node().name("other").build();
            let task_sim = sim.clone();
            let survivor = other.spawn(async move {
                for step in 0..3 {
                    task_sim.reach(1, "client", step).await;
                }
                Handle::current().kill(task_sim.server.id());
                for step in 3..50 {
                    task_sim.reach(1, "client", step).await;
                    assert_eq!(Arc::strong_count(&held), 1, "a killed task is still there");
                }
            });
            survivor.await.expect("the driver goes on");
        });
        let killed_at = log.iter().position(|at| at == "client2").expect("it was reached");
        let rest: Vec<_> = log[killed_at + 1..].iter().map(String::as_str).collect();
        assert_eq!(rest, (3..50).map(|step| format!("client{step}")).collect::<Vec<_>>());
        assert_eq!(records.len(), log.len(), "one release on the record for each that went on");
    }
}

/// Goal: time is met exactly and passes for nothing. Method: timers from a millisecond to years, set in
/// any order; each goes on at its deadline, in the order of the deadlines.
#[test]
fn timers_are_met_exactly_and_in_order() {
    let expected = ["ben at 1", "cid at 1000", "eve at 1001", "ann at 86400000"];
    for madsim_seed in MADSIM_SEEDS {
        let (log, _) = simulate(4, madsim_seed, async |sim: Sim| {
            let decade = sim.spawn_sleeper("dora", 3_653 * DAY_MS);
            for (who, ms) in [("ann", DAY_MS), ("ben", 1), ("cid", 1_000), ("eve", 1_001)] {
                sim.spawn_sleeper(who, ms);
            }
            decade.await.expect("no sleeper panics");
            // One timer a day for a year, one after the other.
            for day in 1..=365 {
                sim.world.clock().sleep(DAY_MS).await;
                assert_eq!(sim.world.clock().monotonic_ms(), (3_653 + day) * DAY_MS);
            }
        });
        let decade = format!("dora at {}", 3_653 * DAY_MS);
        assert_eq!(log[..4], expected);
        assert_eq!(log[4..], [decade]);
    }
}

/// Goal: a timer beyond the horizon is met once time has passed it all the same. Method: the driver waits,
/// because the only timer is out of reach; then the clock is moved past its deadline.
#[test]
fn a_timer_beyond_the_horizon_is_met_when_time_passes_it() {
    let (log, _) = simulate(6, 0, async |sim: Sim| {
        sim.world.clock().set_horizon(0);
        let sleeper = sim.spawn_sleeper("sleeper", 10);
        sim.points.quiet().await;
        sim.world.clock().advance(25);
        sim.points.quiet().await;
        sleeper.await.expect("no task panics");
    });
    assert_eq!(log.last().map(String::as_str), Some("sleeper at 25"));
}

/// Goal: a task that was let go at the very moment of looking is not taken for one at rest. Method: each
/// poll moves madsim's clock by some nanoseconds, so that after some of them the driver's timer and that
/// of whoever waits for quiet come due in one instant; madsim seeds draw which of them goes first.
#[test]
fn quiet_waits_for_a_task_that_was_just_let_go() {
    for madsim_seed in 0..300 {
        let (log, _) = simulate(1, madsim_seed, async |sim: Sim| {
            let walker = sim.spawn_walker("ann", 4);
            for _ in 0..madsim_seed % 20 {
                madsim::task::yield_now().await;
            }
            sim.points.quiet().await;
            sim.note("quiet");
            walker.await.expect("no walker panics");
        });
        assert_eq!(log.last().map(String::as_str), Some("quiet"), "madsim seed {madsim_seed}");
    }
}

/// Goal: tasks whose timers are due together go on one at a time, the earlier deadline first and among
/// equal ones the older. Method: a slow disk operation passes over several deadlines at once.
#[test]
fn a_slow_operation_makes_due_timers_fire_before_the_next_point() {
    for madsim_seed in MADSIM_SEEDS {
        let (log, _) = simulate(5, madsim_seed, async |sim: Sim| {
            let file = sim.world.boot().open("/file", OpenMode::Create).expect("no fault is armed");
            let clock = sim.world.clock().clone();
            for (who, ms) in [("forty", 40), ("thirty", 30), ("also thirty", 30), ("sixty", 60)] {
                // Set here and in this order; waited for by a task of its own.
                let mut timer = Box::pin(clock.sleep(ms));
                let set = timer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(set.is_pending());
                let task_sim = sim.clone();
                sim.server.spawn(async move {
                    timer.await;
                    task_sim.note(who);
                });
            }
            sim.world.arm(Fault::at_op(1, Effect::Slow { ms: 50 }));
            let task_sim = sim.clone();
            let slow = sim.server.spawn(async move {
                task_sim.reach(1, "writer", 0).await;
                file.write(0, b"x").expect("slow, but done");
                task_sim.note(format!("written at {}", task_sim.world.clock().monotonic_ms()));
                task_sim.reach(1, "writer", 1).await;
            });
            slow.await.expect("no task panics");
            clock.sleep(10).await;
        });
        let due = ["thirty", "also thirty", "forty"];
        let expected = [&["writer0", "written at 50"][..], &due, &["writer1", "sixty"]].concat();
        assert_eq!(log, expected, "madsim seed {madsim_seed}");
    }
}

/// Goal: a run leaves nothing behind. Method: tasks that never end, parked, asleep and waiting for one
/// another, held by nothing but their nodes; the ending of `simulate` finds nobody holding the world, and
/// the next run gets one.
#[test]
fn a_run_that_kills_its_nodes_leaves_nothing_behind() {
    for madsim_seed in 0..20 {
        let held = Arc::new(());
        simulate(6, madsim_seed, async |sim: Sim| {
            for who in WALKERS {
                let (task_sim, held) = (sim.clone(), held.clone());
                sim.server.spawn(async move {
                    let _held = held;
                    task_sim.reach(1, who, 0).await;
                    task_sim.world.clock().sleep(DAY_MS).await;
                    std::future::pending::<()>().await;
                });
            }
            sim.world.clock().sleep(1).await;
            assert_eq!(Arc::strong_count(&held), 6);
        });
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

/// Goal: time passes before a task that could go on, and only where it is let. Method: a task at a point
/// and a timer before the horizon, another at it; the order of both on the trace of what happened.
#[test]
fn time_overtakes_a_parked_task_where_it_may() {
    let order = |percent: u32| {
        let world = World::new(7, WorldOptions::default()).expect("this thread's only world");
        let points = Points::new(&world);
        let runtime = madsim::runtime::Runtime::new();
        let happened = Arc::new(Mutex::new(Vec::new()));
        runtime.block_on(async {
            let (clock, driver) = (world.clock().clone(), points.clone());
            clock.set_horizon(1_000);
            points.let_time_overtake(percent);
            for ms in [500, 1_000] {
                let (clock, happened) = (clock.clone(), Arc::clone(&happened));
                madsim::task::spawn(async move {
                    clock.sleep(ms).await;
                    happened.lock().expect("no panic").push(ms);
                });
            }
            let (parked, noted) = (points.clone(), Arc::clone(&happened));
            madsim::task::spawn(async move {
                let label = Label { boot: 1, who: "a".to_string(), step: 1, point: "store.put" };
                parked.reach(label).await;
                noted.lock().expect("no panic").push(0);
            });
            let driver = madsim::task::spawn(async move { driver.drive().await });
            points.quiet().await;
            driver.abort();
        });
        let happened = happened.lock().expect("no panic").clone();
        (happened, points.overtaken_count())
    };
    assert_eq!(order(0), (vec![0, 500, 1_000], 0));
    assert_eq!(order(100), (vec![500, 0, 1_000], 1));
}
