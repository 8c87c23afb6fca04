//! Whose a panic is, of code that really panics.

use std::sync::Arc;
use stormglass_platform::seams::{BoxFuture, Clock, Databases, Ids, NoPoints};
use stormglass_platform::{Config, Op, Platform, Request, Seams, SpecText, Specs};
use stormglass_scenarios::check::panics::caught;
use stormglass_scenarios::runner::{PlayOptions, play_watched};
use stormglass_scenarios::scenario::{self, Settings};
use stormglass_scenarios::verdict::Verdict;
use stormglass_sim::Seed;

/// A world that panics when a name for an entity is asked of it.
struct Odd;

impl Clock for Odd {
    fn now_utc_ms(&self) -> i64 {
        0
    }

    fn monotonic_ms(&self) -> u64 {
        0
    }

    fn sleep(&self, _: u64) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

impl Databases for Odd {
    fn uri(&self, _: &str) -> String {
        ":memory:".to_string()
    }

    fn tenants(&self) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

impl Ids for Odd {
    fn next_id(&self) -> String {
        panic!("no name comes to mind")
    }
}

/// Goal: a panic on the server, below the platform's own code, ends in a finding. Method: a task of a
/// simulated node whose platform calls what panics, as a library would.
#[test]
fn a_panic_below_the_platform_on_a_server_is_its_own() {
    let panic = caught(|| {
        madsim::runtime::Runtime::new().block_on(async {
            let node = madsim::runtime::Handle::current().create_node().name("server").build();
            let served = node.spawn(async {
                let odd = Arc::new(Odd);
                let (clock, points) = (odd.clone(), Arc::new(NoPoints));
                let seams = Seams { clock, databases: odd.clone(), points, ids: odd };
                let text = include_str!("../../scenarios/specs/session.ioa.toml").to_string();
                let spec = SpecText { file: "session.ioa.toml".to_string(), text };
                let specs = Specs::read(&[spec], false).expect("the spec is good");
                let platform = Platform::start(Config { specs, ..Config::default() }, seams);
                let set = "Sessions".to_string();
                let create = Request::new("acme", Op::Create { set, body: "{}".into() });
                platform.expect("the settings are good").handle(create).await
            });
            let _ = served.await;
        })
    });
    let Verdict::Violated(found) = panic.expect_err("it panics").verdict("act") else {
        panic!("the platform is not accused")
    };
    assert_eq!((found.invariant.as_str(), found.place.as_str()), ("I21", "panic"));
    assert_eq!(found.actual, "no name comes to mind");
    assert!(found.subject.contains("panics.rs:"), "{}", found.subject);
}

/// Goal: a harness that panics in the middle of a run accuses nobody, and the next run in the same
/// process is what it would have been. Method: whoever watches the judge panics at its third turn.
#[test]
fn a_panic_of_the_harness_accuses_nobody_and_leaves_nothing() {
    let plan = scenario::plan("overflow", Seed(1), &Settings::default()).expect("a scenario");
    let options = PlayOptions { keep_trace: false, checks: true };
    let play = |watch: &dyn Fn(_)| {
        play_watched(&plan, options, watch).expect("this thread has no other world").outcome
    };
    let before = play(&|_| {});
    assert_eq!(before.verdict, Verdict::Passed);
    let turns = std::cell::Cell::new(0);
    let broken = play(&|_| {
        turns.set(turns.get() + 1);
        assert_ne!(turns.get(), 30, "a watcher that fails");
    });
    let Verdict::HarnessBroken(why) = &broken.verdict else { panic!("{broken:?}") };
    assert!(why.contains("a watcher that fails"), "{why}");
    assert_eq!(play(&|_| {}), before);
}
