//! One plan, one world, one verdict.
//!
//! **Verified:** I1 to I4, I10, I18 and I19 by every answer and every reading of the tables; I5 to I8, I12
//! and I20 by every reading; I11 at the end (a killed and recovered store has the same rows); I14 after
//! every crash; I16 at the end (no 5xx once faults have stopped for a minute); I21 throughout.
//! **Not verified:** I9 (the background sweeper's punctuality), I13 beyond the tenant column, I15, I22.
//!
//! Violations that an answer shows are held back until the next reading of the tables: where both
//! show one, the table's is the first.

use crate::plan::{Action, Mode, Plan, Protocol, Step, Who, entity_id, tenant_name};
use crate::recipe::Recipe;
use crate::rows::{self, Look};
use crate::server::{Connection, Server};
use crate::story::Story;
use crate::verdict::{Finding, Outcome, Played, Verdict, count_faults};
use crate::{seams, translate};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stormglass_model::clock::Moment;
use stormglass_model::entity::{EntityKey, OpId};
use stormglass_model::oracle::Oracle;
use stormglass_model::tables::{Sight, TenantRows, same_rows};
use stormglass_model::violation::{Invariant, Mismatch, Violation};
use stormglass_model::{automaton, workload};
use stormglass_platform::{Answer, Config, OverflowMode, SpecText, SweepSettings, WriteProtocol};
use stormglass_sim::{Disk, Ending, Points, World, WorldError, WorldOptions};
use tokio::sync::mpsc;

/// The workload's spec.
const SPEC: &str = include_str!("specs/session.ioa.toml");
/// The ceiling of fields without one of their own, in bytes: the platform's default.
const DEFAULT_CEILING_BYTES: u64 = 131_072;
/// Simulated time in which every request has its answer once faults have stopped, in milliseconds (I16).
const PROGRESS_MS: i64 = 60_000;
/// Disk operations and simulated days after which a run is going on for ever (I21).
const OPS_MAX: u64 = 1_000_000;
const DAYS_MAX: i64 = 400;
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

/// Why a run stops.
enum Stop {
    Violated(Box<Violation>),
    Broken(String),
}

type Going = Result<(), Stop>;

/// Plays `plan`.
///
/// # Errors
/// [`WorldError`] when there can be no world.
pub fn play(plan: &Plan, options: PlayOptions) -> Result<Played, WorldError> {
    let world_options = WorldOptions {
        disk: plan.disk,
        start_utc_ms: plan.start_utc_ms,
        keep_trace: options.keep_trace,
    };
    let world = World::new(plan.seed.0, world_options)?;
    let runtime =
        madsim::runtime::Runtime::with_seed_and_config(plan.seed.0, madsim::Config::default());
    let mut run = Run::new(plan, &world, options);
    let going = runtime.block_on(run.play());
    let verdict = match going {
        Ok(()) => Verdict::Passed,
        Err(Stop::Violated(violation)) => Verdict::Violated(finding(*violation)),
        Err(Stop::Broken(why)) => Verdict::HarnessBroken(why),
    };
    let Run { story, mut counts, oracle, .. } = run;
    counts.insert("unverified".to_string(), oracle.unverified());
    count_faults(&mut counts, &world.ledger());
    let outcome = Outcome {
        verdict,
        fingerprint: world.fingerprint().to_string(),
        op_count: world.op_count(),
        counts,
    };
    Ok(Played { outcome, story: story.into_lines(), records: world.records() })
}

fn finding(violation: Violation) -> Finding {
    Finding {
        invariant: violation.invariant.id().to_string(),
        statement: violation.invariant.name().to_string(),
        place: violation.place.to_string(),
        subject: violation.entity,
        expected: violation.expected,
        actual: violation.actual,
        because: violation.because,
    }
}

struct Run<'a> {
    plan: &'a Plan,
    world: &'a World,
    options: PlayOptions,
    points: Points,
    oracle: Oracle,
    server: Option<Server>,
    story: Story,
    counts: BTreeMap<String, u64>,
    /// Violations that answers showed, until the tables were read.
    held: Vec<Violation>,
    /// Tenants in whose store a commit has succeeded in this boot, and none failed since: what stands in
    /// their log will stay.
    settled: BTreeSet<u32>,
    /// Errors injected before this boot, and until the tables were last read.
    errors_before_boot: u64,
    errors_read: u64,
    /// Something was shown that the tables were not yet held against.
    has_news: bool,
    /// The event that each entity's actor has last shown in this boot, with no write sent since.
    shown: BTreeMap<EntityKey, u64>,
    crash_count: usize,
    looked_at_op: u64,
    asked: BTreeSet<(u32, u32)>,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, world: &'a World, options: PlayOptions) -> Run<'a> {
        for fault in &plan.faults {
            world.arm(fault.clone());
        }
        let mode = match plan.mode {
            Mode::BlobRefs => {
                automaton::Mode::BlobRefs { default_inline_max: DEFAULT_CEILING_BYTES }
            }
            Mode::InlineTruncate => {
                automaton::Mode::InlineTruncate { default_inline_max: DEFAULT_CEILING_BYTES }
            }
        };
        let mut oracle = Oracle::new(mode, moment(world));
        oracle.set_spec(workload::session::session());
        Run {
            plan,
            world,
            options,
            points: Points::new(world),
            oracle,
            server: None,
            story: Story::new(world.clock().clone()),
            counts: BTreeMap::new(),
            held: Vec::new(),
            settled: BTreeSet::new(),
            errors_before_boot: 0,
            errors_read: 0,
            has_news: false,
            shown: BTreeMap::new(),
            crash_count: 0,
            looked_at_op: 0,
            asked: BTreeSet::new(),
        }
    }

    async fn play(&mut self) -> Going {
        self.world.clock().set_horizon(0);
        let points = self.points.clone();
        let driver = madsim::runtime::Handle::current().create_node().name("driver").build();
        driver.spawn(async move { points.drive().await });
        let played = self.play_steps().await;
        // A run ends by killing its nodes, or it leaks them.
        if self.world.is_running() {
            self.world.crash(&Ending::ProcessKill);
        }
        if let Some(server) = self.server.take() {
            let _ = server.buried().await;
        }
        madsim::runtime::Handle::current().kill(driver.id());
        madsim::time::sleep(std::time::Duration::from_millis(2)).await;
        played
    }

    async fn play_steps(&mut self) -> Going {
        let mut rest = &self.plan.steps[..];
        while let Some(first) = rest.first() {
            let more = rest[1..].iter().take_while(|step| step.together).count();
            let (group, after) = rest.split_at(1 + more);
            rest = after;
            self.be_up().await?;
            if first.action.is_request() || matches!(first.action, Action::Sweep { .. }) {
                self.send(group).await?;
            } else {
                self.alone(first).await?;
            }
            self.settle().await?;
        }
        self.finish().await
    }

    /// Faults stop; everything must answer, and a recovered store must have the same rows.
    async fn finish(&mut self) -> Going {
        self.world.disarm_all();
        self.world.set_quota(None);
        self.be_up().await?;
        self.read_everything("first").await?;
        self.pass(PROGRESS_MS).await;
        self.settle().await?;
        self.read_everything("last").await?;
        self.settle().await?;
        let before = self.readable_rows().await;
        let all_settled = self.asked.iter().all(|(tenant, _)| self.settled.contains(tenant));
        self.end_boot(&Ending::ProcessKill);
        self.settle().await?;
        self.be_up().await?;
        self.read_everything("after recovery").await?;
        self.settle().await?;
        let after = self.readable_rows().await;
        if all_settled && self.options.checks {
            for (before, after) in before.iter().zip(&after) {
                if let Some(violation) = same_rows(before, after) {
                    return violated(violation);
                }
            }
        }
        Ok(())
    }

    /// Reads every entity that was ever asked for. From a minute after the faults on, 5xx is no answer.
    async fn read_everything(&mut self, when: &str) -> Going {
        let must_answer = when != "first";
        for (tenant, entity) in self.asked.clone() {
            let who = Who { tenant, entity };
            let values = vec![("colour".to_string(), Recipe::Words(when.to_string()))];
            let patch = Action::Patch { who, values };
            let reads = [Action::Get { who }, Action::History { who }];
            // Writing shows whether the actor and its journal still agree.
            let writes = (when == "last").then_some(patch);
            for action in reads.into_iter().chain(writes) {
                let step = Step { id: ASIDE, client: 0, together: false, key: None, action };
                let unavailable = self.counts.get("answer 503").copied().unwrap_or(0);
                self.send(std::slice::from_ref(&step)).await?;
                let now = self.counts.get("answer 503").copied().unwrap_or(0);
                if must_answer && now > unavailable && self.options.checks {
                    let name = format!("{}/{}", tenant_name(tenant), entity);
                    let mismatch = Mismatch::new(
                        Invariant::I16,
                        "unavailable without faults",
                        "an answer",
                        "503",
                    );
                    return violated(mismatch.at(name));
                }
            }
        }
        Ok(())
    }

    /// Starts the next boot, if none runs.
    async fn be_up(&mut self) -> Going {
        while self.server.is_none() {
            let boot = self.world.boot();
            let number = boot.number();
            self.world.enter(&format!("recovery of boot {number}"));
            let alive = Arc::new(());
            let seams = seams::of(self.world, &self.points, &boot, &alive);
            let started = Server::start(boot, self.config(), (seams, alive)).await;
            self.server = Some(started.map_err(|error| Stop::Broken(error.to_string()))?);
            self.oracle
                .boot_started(moment(self.world))
                .map_err(|misuse| Stop::Broken(misuse.to_string()))?;
            self.settled.clear();
            self.errors_before_boot = self.error_count();
            self.shown.clear();
            self.story.tell(&format!("boot {number}"), "server up");
            self.settle().await?;
        }
        Ok(())
    }

    fn config(&self) -> Config {
        let default_inline_max = DEFAULT_CEILING_BYTES;
        let sweep = SweepSettings::default();
        Config {
            specs: vec![SpecText { file: "session.ioa.toml".to_string(), text: SPEC.to_string() }],
            protocol: match self.plan.protocol {
                Protocol::EventThenBlobs => WriteProtocol::EventThenBlobs,
                Protocol::BlobsThenEvent => WriteProtocol::BlobsThenEvent,
                Protocol::Atomic => WriteProtocol::Atomic,
            },
            mode: match self.plan.mode {
                Mode::BlobRefs => OverflowMode::BlobRefs { default_inline_max },
                Mode::InlineTruncate => OverflowMode::InlineTruncate { default_inline_max },
            },
            sweep: SweepSettings {
                interval_ms: self.plan.sweep_interval_ms.unwrap_or(sweep.interval_ms),
                batch: self.plan.sweep_batch,
                enabled: self.plan.sweep_interval_ms.is_some(),
            },
            snapshot_every: self.plan.snapshot_every,
            idle_ms: self.plan.idle_ms,
            ..Config::default()
        }
    }

    /// Sends a group of requests at once. Whoever is told 5xx for a write asks the journal what became
    /// of it, as a careful client does.
    async fn send(&mut self, group: &[Step]) -> Going {
        let doubtful = self.exchange(group).await?;
        for who in doubtful {
            let action = Action::History { who };
            let step = Step { id: ASIDE, client: 0, together: false, key: None, action };
            self.exchange(std::slice::from_ref(&step)).await?;
        }
        Ok(())
    }

    /// Sends requests and waits until each is answered or lost; returns the entities of the writes
    /// that were answered 5xx.
    async fn exchange(&mut self, group: &[Step]) -> Result<Vec<Who>, Stop> {
        let mut doubtful = Vec::new();
        let Some(connection) = self.server.as_ref().map(Server::connection) else {
            return Ok(doubtful);
        };
        let (results, mut answers) = mpsc::unbounded_channel();
        let mut open: BTreeMap<u32, (&Step, Option<OpId>)> = BTreeMap::new();
        for step in group {
            let op = translate::for_model(step).map(|asked| {
                self.note_asked(step);
                self.forget_shown(step);
                self.oracle.send(moment(self.world), asked)
            });
            self.world.request(format!("client {}", step.client), translate::brief(step));
            open.insert(step.id, (step, op));
            let (connection, results, step) = (connection.clone(), results.clone(), step.clone());
            madsim::task::spawn(async move {
                let answer = ask(&connection, &step).await;
                let _ = results.send((step.id, answer));
            });
        }
        drop(results);
        self.world.clock().set_horizon(self.world.clock().monotonic_ms() + PROGRESS_MS);
        while let Some((id, answer)) = answers.recv().await {
            if let Some((step, op)) = open.remove(&id) {
                if step.action.is_write() && answer.is_in_doubt() {
                    doubtful.extend(step.action.who());
                }
                self.answered(step, op, answer)?;
            }
        }
        self.world.clock().set_horizon(self.world.clock().monotonic_ms());
        self.bounded()?;
        Ok(doubtful)
    }

    fn note_asked(&mut self, step: &Step) {
        if let Some(who) = step.action.who() {
            self.asked.insert((who.tenant, who.entity));
        }
    }

    fn forget_shown(&mut self, step: &Step) {
        if let Some(who) = step.action.who().filter(|_| step.action.is_write()) {
            let (tenant, id) = (tenant_name(who.tenant), entity_id(who));
            self.shown.retain(|key, _| key.tenant != tenant || key.id != id);
        }
    }

    fn answered(&mut self, step: &Step, op: Option<OpId>, said: Said) -> Going {
        let words = said.in_words();
        self.world.answer(format!("client {}", step.client), words.clone());
        self.story.step(step, &words);
        self.count(&format!("answer {}", words.split(' ').next().unwrap_or("none")));
        let (Some(op), Said::Answer(answer)) = (op, &said) else {
            if let Some(op) = op {
                self.oracle.lost(moment(self.world), op);
            }
            return Ok(());
        };
        let said = answer;
        let Some(answer) = translate::answer(step, answer) else {
            let mismatch =
                Mismatch::new(Invariant::I18, "answer of another shape", "a known one", &words);
            return violated(mismatch.at(translate::brief(step)));
        };
        let found = self.oracle.answer(moment(self.world), op, &answer);
        let found = found.map_err(|misuse| Stop::Broken(misuse.to_string()))?;
        if found.is_empty() {
            self.note_standing(step, said);
        }
        self.held.extend(found);
        Ok(())
    }

    /// Keeps count of what an answer says of its tenant's store and of its entity.
    fn note_standing(&mut self, step: &Step, answer: &Answer) {
        let Some(who) = step.action.who() else { return };
        let key = EntityKey {
            tenant: tenant_name(who.tenant),
            set: translate::SET.to_string(),
            id: entity_id(who),
        };
        if answer.status >= 500 {
            self.settled.remove(&who.tenant);
            self.shown.remove(&key);
        } else if answer.is_success() {
            // Opening a store commits, too.
            if step.action.is_write() || self.error_count() == self.errors_before_boot {
                self.settled.insert(who.tenant);
            }
            if let (Some(shown), false) = (answer.sequence_nr, step.action.is_history()) {
                self.has_news |= self.shown.insert(key, shown) != Some(shown);
            }
        }
    }

    /// Errors injected so far: a commit may have failed of each, one of the background's included.
    fn error_count(&self) -> u64 {
        let ledger = self.world.ledger();
        let errors =
            ledger.iter().filter(|((effect, ..), _)| matches!(*effect, "eio" | "no-space"));
        errors.map(|(_, count)| count).sum()
    }

    /// I11: what the running actors have shown is what a recovery would find.
    fn recovers_to_what_was_shown(&self, rows: &TenantRows) -> Option<Violation> {
        let wrong = self.shown.iter().filter(|(key, _)| key.tenant == rows.tenant).find_map(
            |(key, shown)| {
                let events = rows.events.iter().filter(|event| event.entity == *key).count() as u64;
                (events != *shown).then_some((key, shown, events))
            },
        );
        let (key, shown, events) = wrong?;
        let (expected, actual) = (format!("{shown} events"), format!("{events} events"));
        let place = "recovery finds another journal than the actor showed";
        Some(Mismatch::new(Invariant::I11, place, expected, actual).at(key.to_string()))
    }

    /// A step that is not sent to the server.
    async fn alone(&mut self, step: &Step) -> Going {
        match &step.action {
            Action::Wait { ms } => {
                self.story.step(step, "");
                self.pass(*ms).await;
            }
            Action::StepClock { by_ms } => {
                self.oracle.clock(moment(self.world));
                self.world.step_clock(*by_ms);
                self.oracle.clock(moment(self.world));
                self.story.step(step, "");
            }
            Action::Crash { ending } => self.end_boot(ending),
            Action::Restart => {
                let connection = self.server.as_ref().map(Server::connection);
                if let Some(connection) = connection {
                    let clock = self.world.clock();
                    clock.set_horizon(clock.monotonic_ms() + PROGRESS_MS);
                    let stopped = connection.shutdown().await;
                    self.world.clock().set_horizon(self.world.clock().monotonic_ms());
                    self.story.step(step, if stopped { "stopped" } else { "lost" });
                }
                if self.world.is_running() {
                    self.end_boot(&Ending::ProcessKill);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Lets time pass: every timer up to its end is met.
    async fn pass(&mut self, ms: i64) {
        let clock = self.world.clock();
        clock.set_horizon(clock.monotonic_ms() + ms);
        clock.sleep(ms).await;
        self.points.quiet().await;
        clock.set_horizon(clock.monotonic_ms());
    }

    fn end_boot(&mut self, ending: &Ending) {
        if self.world.is_running() {
            self.world.crash(ending);
        }
    }

    /// Waits until nothing moves, buries a dead boot, reads the tables and judges.
    async fn settle(&mut self) -> Going {
        self.points.quiet().await;
        self.oracle.clock(moment(self.world));
        if !self.world.is_running() && self.server.is_some() {
            self.bury().await?;
        } else if self.options.checks
            && (self.world.op_count() != self.looked_at_op || self.has_news)
        {
            let errors = self.error_count();
            if std::mem::replace(&mut self.errors_read, errors) != errors {
                self.settled.clear();
            }
            let disk = self.world.image();
            self.judge(disk, false).await?;
        }
        match self.held.drain(..).next() {
            Some(violation) if self.options.checks => violated(violation),
            _ => Ok(()),
        }
    }

    async fn bury(&mut self) -> Going {
        if let Some(server) = self.server.take() {
            let left = server.buried().await;
            left.map_err(|count| Stop::Broken(format!("{count} futures outlive their boot")))?;
        }
        self.oracle.boot_ended(moment(self.world));
        let crashes = self.world.crashes();
        let new = &crashes[self.crash_count..];
        let disk = self.world.image();
        let phase = self.phase(&disk).await;
        for crash in new {
            self.story.crash(crash, phase);
            self.count(&format!("crash {phase}"));
        }
        self.crash_count = crashes.len();
        if self.options.checks { self.judge(disk, true).await } else { Ok(()) }
    }

    /// Where a crash fell, by what it left: an event whose blob is not there fell between the two.
    async fn phase(&self, disk: &Disk) -> &'static str {
        let now_ms = self.world.clock().now_utc_ms();
        let looks = rows::look(self.world, disk.clone(), &BTreeSet::new()).await;
        let mut looks = looks.into_iter();
        let is_torn = looks.any(|look| look.rows.is_ok_and(|rows| lacks_a_blob(&rows, now_ms)));
        if is_torn { "between an event and its blobs" } else { "elsewhere" }
    }

    /// Reads every tenant's tables on a copy of `disk` and has the model judge them.
    async fn judge(&mut self, disk: Disk, is_dead: bool) -> Going {
        self.looked_at_op = self.world.op_count();
        self.has_news = false;
        let tenants = self.asked.iter().map(|(tenant, _)| tenant_name(*tenant)).collect();
        let settled: BTreeSet<String> = self.settled.iter().map(|t| tenant_name(*t)).collect();
        for Look { integrity, rows } in rows::look(self.world, disk, &tenants).await {
            let name = |rows: &TenantRows| rows.tenant.clone();
            if integrity != "ok" {
                let mismatch = Mismatch::new(Invariant::I14, "integrity check", "ok", integrity);
                return violated(mismatch.at(rows.as_ref().map_or(String::new(), name)));
            }
            let rows = match rows {
                Ok(rows) => rows,
                Err(why) => {
                    let mismatch = Mismatch::new(Invariant::I14, "unreadable rows", "rows", why);
                    return violated(mismatch.at(""));
                }
            };
            let sight = match is_dead {
                true => Sight::Dead,
                false if settled.contains(&rows.tenant) => Sight::Settled,
                false => Sight::Idle,
            };
            let mut found = self.oracle.observe(moment(self.world), &rows, sight).violations;
            if !is_dead {
                found.extend(self.recovers_to_what_was_shown(&rows));
            }
            if let Some(violation) = found.into_iter().min_by_key(|found| found.invariant) {
                return violated(violation);
            }
            self.count("reading of tables");
        }
        Ok(())
    }

    async fn readable_rows(&self) -> Vec<TenantRows> {
        let looks = rows::look(self.world, self.world.image(), &BTreeSet::new()).await;
        looks.into_iter().filter_map(|look| look.rows.ok()).collect()
    }

    fn bounded(&self) -> Going {
        let days = self.world.clock().monotonic_ms() / 86_400_000;
        if self.world.op_count() <= OPS_MAX && days <= DAYS_MAX {
            return Ok(());
        }
        let actual = format!("{} operations, {days} days", self.world.op_count());
        violated(Mismatch::new(Invariant::I21, "goes on for ever", "an end", actual).at(""))
    }

    fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_string()).or_default() += 1;
    }
}

/// What came back for a step.
enum Said {
    Answer(Answer),
    Swept(Result<u64, String>),
    Lost,
}

impl Said {
    fn is_in_doubt(&self) -> bool {
        matches!(self, Said::Answer(answer) if answer.status >= 500)
    }

    fn in_words(&self) -> String {
        match self {
            Said::Answer(Answer { status, code: Some(code), .. }) => format!("{status} {code}"),
            Said::Answer(Answer { status, sequence_nr: Some(n), .. }) => {
                format!("{status} at event {n}")
            }
            Said::Answer(Answer { status, .. }) => status.to_string(),
            Said::Swept(Ok(count)) => format!("swept {count}"),
            Said::Swept(Err(_)) => "failed".to_string(),
            Said::Lost => "lost".to_string(),
        }
    }
}

async fn ask(connection: &Connection, step: &Step) -> Said {
    if let Action::Sweep { tenant, max_rows } = &step.action {
        let swept = connection.sweep(tenant_name(*tenant), *max_rows).await;
        return swept.map_or(Said::Lost, Said::Swept);
    }
    let Some(request) = translate::request(step) else { return Said::Lost };
    connection.request(request).await.map_or(Said::Lost, Said::Answer)
}

fn moment(world: &World) -> Moment {
    let clock = world.clock();
    Moment { mono_ms: clock.monotonic_ms() as u64, clock_ms: clock.now_utc_ms() }
}

fn violated(violation: Violation) -> Going {
    Err(Stop::Violated(Box::new(violation)))
}

/// Whether the last event of some entity refers to a blob that is not there and not expired.
fn lacks_a_blob(rows: &TenantRows, now_ms: i64) -> bool {
    use stormglass_model::tables::KeptRow;
    let keys: BTreeSet<&str> = rows.blobs.iter().map(|blob| blob.key.as_str()).collect();
    let last = rows.events.iter().filter(|event| {
        let same = |other: &&stormglass_model::tables::EventRow| other.entity == event.entity;
        rows.events.iter().filter(same).all(|other| other.sequence_nr <= event.sequence_nr)
    });
    last.flat_map(|event| event.kept.values()).any(|kept| match kept {
        KeptRow::Blob { key, deadline_ms, .. } => {
            deadline_ms.is_none_or(|at| now_ms < at) && !keys.contains(key.as_str())
        }
        _ => false,
    })
}
