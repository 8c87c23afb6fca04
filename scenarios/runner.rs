//! One plan, one world, one verdict.
//!
//! **Invariant:** the plan decides everything; the judge only watches. A run with the checks off has the
//! same trace.

mod alone;
mod config;
mod exchange;
mod finish;
mod fork;
mod keep;
mod known;
pub mod look;
mod outcome;

pub use config::{changed, config, specs_of};
use fork::Start;
pub use fork::{Moment, Recording, Recovered, record, record_as};
pub use keep::Keeps;
use keep::{Kept, Standpoint};
use known::Joining;
pub use known::Known;
use look::{Around, Look, LookedAt};

use crate::change::Change;
use crate::check::{Going, Judge, Part, Stop, event_without_its_blob, panics};
use crate::counts::{self, Phase};
use crate::deeds::{self, Settled};
use crate::http::Answer;
use crate::patience::{Bound, bounded};
use crate::plan::{Action, Plan, Step};
use crate::seams;
use crate::server::Server;
use crate::story::Story;
use crate::tally::{Tally, step_kind};
use crate::threads::Threads;
use crate::trail::Follower;
use crate::verdict::{Played, Verdict};
use madsim::runtime::Runtime;
use std::collections::BTreeMap;
use std::sync::Arc;
use stormglass_platform::Config;
use stormglass_sim::{Disk, Ending, Fault, Points, Scene, World, WorldError, WorldOptions};

/// The kind of step of the run's own end.
const CHECK: &str = "check";
/// The number of steps that are not the plan's but the runner's own.
pub const ASIDE: u32 = 0;

/// What a run is played with besides its plan.
#[derive(Clone, Copy, Debug)]
pub struct PlayOptions {
    /// Keep the records of the trace.
    pub keep_trace: bool,
    /// Read the tables and judge. Without, the run is the same and finds nothing.
    pub checks: bool,
}

/// Plays `plan`.
///
/// # Errors
/// [`WorldError`] when there can be no world.
pub fn play(plan: &Plan, options: PlayOptions) -> Result<Played, WorldError> {
    play_watched(plan, options, &|_| {})
}

/// Plays `plan` and tells `watch` whose turn it is, for a bench that measures the parts of a run.
///
/// # Errors
/// [`WorldError`] when there can be no world.
pub fn play_watched(
    plan: &Plan,
    options: PlayOptions,
    watch: &dyn Fn(Part),
) -> Result<Played, WorldError> {
    let around = Around { watch, ..Around::default() };
    play_looked_at(plan, options, &around).map(|looked_at| looked_at.played)
}

/// Plays `plan` as far as it ends within `bound`: beyond, it goes on for ever (I21).
///
/// # Errors
/// [`WorldError`] when there can be no world.
pub fn play_bounded(plan: &Plan, options: PlayOptions, bound: Bound) -> Result<Played, WorldError> {
    let around = Around { bound, ..Around::default() };
    play_looked_at(plan, options, &around).map(|looked_at| looked_at.played)
}

fn play_looked_at(
    plan: &Plan,
    options: PlayOptions,
    around: &Around<'_>,
) -> Result<LookedAt, WorldError> {
    let PlayOptions { keep_trace, checks } = options;
    let Around { watch, look, bound } = *around;
    let world = world(plan, keep_trace)?;
    let mut judge = Judge::new(&world, plan, (checks, watch));
    judge.be_bound(bound);
    let mut run = Run { look, ..Run::new(plan, &world, judge) };
    let threads = Threads::now();
    let verdict = run.verdict(&runtime(plan), Start::Beginning);
    // Whatever else was found, nobody can be accused of it.
    let verdict = threads.started().map_or(verdict, Verdict::HarnessBroken);
    Ok(outcome::of(run, verdict))
}

/// The world of a run of `plan` that begins.
fn world(plan: &Plan, keep_trace: bool) -> Result<World, WorldError> {
    let (disk, start_utc_ms) = (plan.disk, plan.start_utc_ms);
    World::new(plan.seed.0, WorldOptions { disk, start_utc_ms, keep_trace })
}

fn runtime(plan: &Plan) -> Runtime {
    Runtime::with_seed_and_config(plan.seed.0, madsim::Config::default())
}

struct Run<'a> {
    plan: &'a Plan,
    world: &'a World,
    points: Points,
    judge: Judge<'a>,
    server: Option<Server>,
    story: Story,
    tally: Tally,
    follower: Follower,
    /// The kind of the last step that was begun.
    step_kind: &'static str,
    /// The disk when a promise was found broken.
    disk: Option<Disk>,
    /// The crashes and the number of records up to that moment.
    told: Option<(Vec<Scene>, usize)>,
    /// Faults that had not struck when faults stopped.
    moved: Vec<Fault>,
    crash_count: usize,
    /// The server was stopped as it should be: its end is no crash to be told.
    was_stopped: bool,
    /// What the runner's own reads were answered when everything was last visited.
    last_read: Vec<(Step, Answer)>,
    /// Changes that the next boot starts with, and those that the last one did.
    announced: Vec<Change>,
    /// The plan's, until its steps are over.
    overtaking_percent: u32,
    /// How often time had overtaken a task when the judge was last told.
    overtaken_count: u64,
    in_force: Vec<Change>,
    /// The place of the next step that is not begun.
    next_step: usize,
    /// Whether the last group of steps before it has begun, or a server only comes up for the next.
    has_begun: bool,
    /// Strikes of faults that the story has.
    told_strikes: usize,
    /// What was owed and settled, as far as the story has it.
    settled: Settled,
    /// Where the runner stood, while that is kept.
    standpoints: Option<Vec<Standpoint<'a>>>,
    /// What is kept of it.
    keeps: Keeps,
    /// What was kept so far.
    kept: Kept<'a>,
    /// How often the run's own end has begun.
    end_count: u32,
    /// The crashes by which its end is not cut off: those before it, and its own.
    crashes_before: usize,
    /// The recoveries that it may join, if it is one itself.
    joining: Option<Joining<'a>>,
    /// Whoever looks on.
    look: Option<Look<'a>>,
    was_left: bool,
}

impl<'a> Run<'a> {
    /// A run of `plan` that has not begun.
    fn new(plan: &'a Plan, world: &'a World, judge: Judge<'a>) -> Run<'a> {
        Run {
            plan,
            world,
            points: Points::new(world),
            judge,
            server: None,
            story: Story::new(world.clock().clone(), &plan.steps),
            tally: Tally::new(plan.protocol.name()),
            follower: Follower::default(),
            step_kind: "boot",
            disk: None,
            told: None,
            moved: Vec::new(),
            crash_count: 0,
            was_stopped: false,
            last_read: Vec::new(),
            announced: Vec::new(),
            overtaken_count: 0,
            overtaking_percent: plan.overtaking_percent,
            in_force: Vec::new(),
            next_step: 0,
            has_begun: true,
            told_strikes: world.first_strikes().len(),
            settled: Settled::default(),
            standpoints: None,
            keeps: Keeps::Nothing,
            kept: Kept::default(),
            end_count: 0,
            crashes_before: 0,
            joining: None,
            look: None,
            was_left: false,
        }
    }

    /// Plays to the end and says what came of it.
    fn verdict(&mut self, runtime: &Runtime, start: Start<'_>) -> Verdict {
        match panics::caught(|| runtime.block_on(self.play(start))) {
            Ok(Ok(())) => Verdict::Passed,
            Ok(Err(Stop::Violated(violation))) => {
                Verdict::Violated(outcome::finding(*violation, self.step_kind))
            }
            Ok(Err(Stop::Broken(why))) => Verdict::HarnessBroken(why),
            Ok(Err(Stop::Known(number))) => self.known_end(number),
            Ok(Err(Stop::CutOff)) => {
                Verdict::HarnessBroken("an end that was cut off did not begin anew".to_string())
            }
            Err(panic) => {
                self.told = Some(self.told_by_now());
                // What the run still had is dropped, as far as that goes without another panic.
                let _ = panics::caught(|| runtime.block_on(self.end()));
                panic.verdict(self.step_kind)
            }
        }
    }

    async fn play(&mut self, start: Start<'_>) -> Going {
        if let Start::Beginning = start {
            for fault in &self.plan.faults {
                self.world.arm(fault.clone());
            }
        }
        // In the run's own end every guest has its fuel.
        if self.end_count == 0 {
            self.tally.phases.guests().limit(&self.plan.fuel);
        }
        let clock = self.world.clock();
        clock.set_horizon(clock.monotonic_ms());
        self.points.follow(self.plan.policy);
        let points = self.points.clone();
        let driver = madsim::runtime::Handle::current().create_node().name("driver").build();
        driver.spawn(async move { points.drive().await });
        let steps = match start {
            Start::Beginning => self.play_steps().await,
            Start::After(standpoint) => self.go_on_after(standpoint).await,
        };
        self.steps_are_over();
        let played = match steps {
            Ok(()) => self.finish().await,
            stopped => {
                self.moved = self.world.idle_faults();
                stopped
            }
        };
        self.tell_actors();
        self.disk = played.is_err().then(|| self.world.image());
        self.told = Some(self.told_by_now());
        self.end().await;
        madsim::runtime::Handle::current().kill(driver.id());
        madsim::time::sleep(std::time::Duration::from_millis(2)).await;
        played
    }

    /// What has happened so far, for whoever is told of it.
    fn told_by_now(&self) -> (Vec<Scene>, usize) {
        (self.world.scenes(), self.world.record_count())
    }

    /// A run ends by killing its nodes, or it leaks them.
    async fn end(&mut self) {
        self.end_boot(&Ending::ProcessKill);
        if let Some(server) = self.server.take() {
            let _ = server.buried().await;
        }
    }

    async fn play_steps(&mut self) -> Going {
        if self.plan.goes_back() {
            self.judge.image_kept();
        }
        let plan = self.plan;
        while let Some(first) = plan.steps.get(self.next_step) {
            let rest = &plan.steps[self.next_step..];
            let more = rest[1..].iter().take_while(|step| step.together).count();
            let group = &rest[..1 + more];
            self.has_begun = false;
            self.be_up().await?;
            self.pause(group)?;
            (self.next_step, self.has_begun) = (self.next_step + group.len(), true);
            self.step_kind = step_kind(&first.action);
            self.stand(&BTreeMap::new());
            match &first.action {
                Action::Wait { .. }
                | Action::StepClock { .. }
                | Action::Checkpoint { .. }
                | Action::Rot { .. }
                | Action::Crash { .. }
                | Action::Restart
                | Action::Reconfigure { .. } => self.alone(first).await?,
                _ => self.send(group).await?,
            }
            self.settle().await?;
            if self.plan.goes_back() && self.world.keep_image() {
                self.judge.image_kept();
            }
        }
        self.pause(&[])
    }

    /// The platform's configuration in force.
    fn config(&self) -> Result<Config, Stop> {
        changed(self.plan, &self.in_force).map_err(|error| Stop::Broken(error.to_string()))
    }

    /// Starts the next boot, if none runs.
    async fn be_up(&mut self) -> Going {
        while self.server.is_none() {
            let boot = self.world.boot();
            let number = boot.number();
            self.world.enter(&format!("recovery of boot {number}"));
            self.tally.phases.set(self.world, Phase::Recovery);
            self.tally.phases.boot_begins();
            let alive = Arc::new(());
            let seams = seams::of(self.world, (&self.points, &self.tally.phases), &boot, &alive);
            for change in std::mem::take(&mut self.announced) {
                self.judge.reconfigured(&change);
                self.in_force.push(change);
            }
            let config = self.config()?;
            self.stand(&BTreeMap::new());
            let started = Server::start(boot, config, (seams, alive)).await;
            self.server = Some(started.map_err(|error| Stop::Broken(error.to_string()))?);
            self.judge.boot_started()?;
            self.stand(&BTreeMap::new());
            self.story.boot(number);
            self.settle().await?;
        }
        Ok(())
    }

    /// Tells of actors that were made from their journals, and of those that went or came back by themselves: not at
    /// the run's end, where all do.
    fn tell_actors(&mut self) {
        let rows = self.judge.rows();
        let replays = self.tally.phases.take_replays();
        if !replays.actors.is_empty() {
            self.story.replayed(replays, &deeds::snapshots(&rows));
        }
        let deeds = self.tally.phases.take_deeds(&rows);
        if self.step_kind != CHECK && self.world.is_running() {
            deeds.into_iter().for_each(|deed| self.story.deed(deed));
        }
    }

    /// Tells of what was owed and has been settled.
    fn tell_settled(&mut self) {
        let deeds = self.tally.phases.take_settled(&mut self.settled, &self.judge.rows());
        deeds.into_iter().for_each(|deed| self.story.deed(deed));
    }

    /// Has the judge know what guests have come to.
    fn tell_guests(&mut self) {
        let told = self.tally.phases.guests().take_told();
        if let Some(joining) = &mut self.joining {
            joining.told(&told);
        }
        self.judge.guests_told(told);
    }

    fn end_boot(&mut self, ending: &Ending) {
        if self.world.is_running() {
            self.tally.phases.set(self.world, Phase::Idle);
            self.world.crash(ending);
        }
    }

    /// Waits until nothing moves, buries a dead boot, and has the judge look.
    async fn settle(&mut self) -> Going {
        bounded(&self.judge, self.points.quiet()).await?;
        self.tell_strikes();
        self.tell_actors();
        self.tell_guests();
        let swept = self.tally.phases.take_swept(self.world);
        if !self.plan.is_dishonest() {
            self.judge.swept_in_background(&swept, self.plan.sweep_batch);
        }
        let mut delayed = self.tally.phases.take_delayed(self.world);
        let overtaken_count = self.points.overtaken_count();
        delayed.all |=
            std::mem::replace(&mut self.overtaken_count, overtaken_count) != overtaken_count;
        self.judge.delayed(&delayed);
        if self.world.is_running() || self.server.is_none() {
            let quiet = self.judge.quiet().await;
            self.tell_settled();
            self.note_rows();
            self.stand(&BTreeMap::new());
            self.tally.rows(&self.judge.rows(), true);
            for claim in self.judge.broken_claims() {
                self.story.tell("spec", &format!("breaks its own invariant {claim}"));
                self.tally.count(&counts::broken_claim(&claim));
            }
            quiet
        } else {
            self.bury().await
        }
    }

    async fn bury(&mut self) -> Going {
        if let Some(server) = self.server.take() {
            let left = server.buried().await;
            left.map_err(|count| Stop::Broken(format!("{count} futures outlive their boot")))?;
        }
        let crashes = self.world.crashes();
        let is_new = crashes.get(self.crash_count..).unwrap_or_default();
        if let Some(number) = is_new.iter().find_map(|crash| crash.image) {
            self.judge.image_put_back(number);
            self.tally.count(counts::DAMAGE_SWAPS);
        }
        self.tell_guests();
        self.judge.boot_ended();
        let before = self.judge.rows();
        let remains = self.judge.look_at_remains().await;
        self.note_rows();
        self.tell_settled();
        let latest_ms = self.judge.latest_clock_ms();
        let torn = remains
            .iter()
            .find_map(|look| event_without_its_blob(look.rows.as_ref().ok()?, latest_ms));
        // What an earlier crash left and nobody has mended is not this one's doing.
        let torn = self.tally.fresh(torn);
        for crash in &crashes[self.crash_count..] {
            if !std::mem::take(&mut self.was_stopped) {
                self.story.crash(crash, torn.as_deref());
            }
        }
        self.tally.crashed(&crashes[self.crash_count..], torn);
        if self.joining.is_none() {
            self.follower.boot_ended(&before, &self.judge.rows());
        }
        self.tally.rows(&self.judge.rows(), false);
        self.crash_count = crashes.len();
        self.judge.dead(remains)
    }
}

/// A step of the runner's own.
fn aside(action: Action) -> Step {
    Step::alone(ASIDE, 0, action)
}
