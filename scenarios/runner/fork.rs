//! Runs that go on from a moment of another run.
//!
//! **Invariant:** what goes on is what a plan with a crash at that moment's address plays from there: the same
//! disk, clock, faults, boot and judge. Whoever finds something here can say it as a plan.

use super::keep::{Keeps, Kept, Standpoint};
use super::known::{Joining, Known};
use super::{ASIDE, Run, runtime};
use crate::check::{Going, Judge};
use crate::guests::{Address, Guests, Told};
use crate::plan::{Action, Plan, Step, Who};
use crate::tally::Turn;
use crate::verdict::Verdict;
use std::cell::RefCell;
use std::collections::BTreeMap;
use stormglass_sim::{Boundary, Digest, Disk, Effect, Ending, Fault, When, World, WorldError};

/// How a run begins.
pub(super) enum Start<'s> {
    /// With its plan's first step.
    Beginning,
    /// With the end of a boot of another run, in which somebody stood here.
    After(&'s Standpoint<'s>),
}

/// A run with every moment at which it could have been cut off.
pub struct Recording<'a> {
    plan: &'a Plan,
    world: &'a World,
    /// What came of it.
    pub verdict: Verdict,
    /// The moments before each disk operation of its steps, and the one after the last.
    boundaries: Vec<Boundary>,
    /// The moments before each disk operation of its own end, as far as they were kept.
    of_end: Vec<Boundary>,
    /// How many of these belong to a recovery: of one that begins in the run's end all up to the first reads.
    of_recovery_count: usize,
    standpoints: Vec<Standpoint<'a>>,
    /// What the platform was at.
    pub turns: Vec<Turn>,
    /// The fuel that guests used which ran for its steps, at each call of the host and at their end.
    pub fuel: BTreeMap<Address, Vec<u64>>,
    /// Disk operations of its own end.
    pub end_op_count: u64,
    guests: Guests,
}

/// One moment of a recorded run.
#[derive(Clone, Copy)]
pub struct Moment<'r> {
    /// The disk and its next operation.
    pub boundary: &'r Boundary,
    /// The number of the state of runner and judge: equal ones are the same.
    standpoint: usize,
    /// The last one of the steps, after which they are over.
    is_last: bool,
    /// One of the run's own end.
    pub is_of_end: bool,
    /// One of the run's own end that no recovery comes to before all has been read once.
    pub is_past_recovery: bool,
    /// The how manieth it is of the steps, or of the run's own end, counted from 0.
    nth: usize,
}

/// Plays `plan` and keeps its moments for `then`.
///
/// # Errors
/// [`WorldError`] when there can be no world.
pub fn record<T>(plan: &Plan, then: impl FnOnce(&Recording<'_>) -> T) -> Result<T, WorldError> {
    record_as(plan, Keeps::All, then)
}

/// The same, where so much is kept, for a bench that measures what keeping costs.
///
/// # Errors
/// [`WorldError`] when there can be no world.
pub fn record_as<T>(
    plan: &Plan,
    keeps: Keeps,
    then: impl FnOnce(&Recording<'_>) -> T,
) -> Result<T, WorldError> {
    let world = super::world(plan, false)?;
    let judge = Judge::new(&world, plan, (true, &|_| {}));
    let run = Run::new(plan, &world, judge);
    Ok(then(&Recording::of(run, Start::Beginning, keeps)))
}

impl<'a> Recording<'a> {
    fn of(mut run: Run<'a>, start: Start<'_>, keeps: Keeps) -> Recording<'a> {
        let (plan, world) = (run.plan, run.world);
        let begins_in_end = run.end_count > 0;
        run.keeps = keeps;
        if !matches!(keeps, Keeps::Nothing | Keeps::Images) {
            run.standpoints = Some(Vec::new());
            run.tally.phases.keep_turns();
        }
        if keeps != Keeps::Nothing {
            world.keep_boundaries();
        }
        let verdict = run.verdict(&runtime(plan), start);
        run.end_is_over();
        let Kept { steps: mut boundaries, end: of_end, first_read_count, standpoints } =
            std::mem::take(&mut run.kept);
        let last = boundaries.last().map_or(0, |last| last.op_count);
        let of_recovery_count =
            if begins_in_end { first_read_count.unwrap_or(of_end.len()) } else { 0 };
        if begins_in_end {
            boundaries.clear();
        }
        let turns = run.tally.phases.take_turns();
        let guests = run.tally.phases.guests().clone();
        let fuel = guests.of_steps();
        let end_op_count = world.op_count() - last;
        Recording {
            plan,
            world,
            verdict,
            boundaries,
            of_end,
            of_recovery_count,
            standpoints,
            turns,
            fuel,
            end_op_count,
            guests,
        }
    }

    /// Its moments, in order.
    pub fn moments(&self) -> impl Iterator<Item = Moment<'_>> {
        let (step_count, mut standpoint) = (self.boundaries.len(), 0);
        let all = self.boundaries.iter().chain(&self.of_end).enumerate();
        all.filter_map(move |(at, boundary)| {
            let is_of_end = at >= step_count;
            let stood = |one: &Standpoint<'_>| match (is_of_end, one.end_count > 0) {
                (false, false) => one.moment_count <= at,
                (false, true) => false,
                (true, false) => true,
                (true, true) => one.moment_count <= at - step_count,
            };
            while self.standpoints.get(standpoint + 1).is_some_and(stood) {
                standpoint += 1;
            }
            // Before the first there is nothing yet that a crash could cut off.
            self.standpoints.get(standpoint).filter(|one| stood(one))?;
            let nth = if is_of_end { at - step_count } else { at };
            let is_past_recovery = is_of_end && nth >= self.of_recovery_count;
            let is_last = at + 1 == step_count;
            Some(Moment { boundary, standpoint, is_last, is_of_end, is_past_recovery, nth })
        })
    }

    /// The moments before each disk operation of its steps.
    pub fn ops_of_steps(&self) -> &[Boundary] {
        self.boundaries.split_last().map_or(&[], |(_, before)| before)
    }

    /// The moments before each disk operation of its steps, and how many images of the disk there are to go back to by
    /// then, if its plan goes back: one of before anything, and one after each group of steps.
    pub fn images_by_op(&self) -> impl Iterator<Item = (&Boundary, usize)> {
        let of_steps = self.moments().filter(|moment| !moment.is_of_end && !moment.is_last);
        of_steps.map(|moment| {
            let Standpoint { next_step, has_begun, .. } = self.standpoints[moment.standpoint];
            let groups = self.plan.steps[..next_step].iter().filter(|step| !step.together).count();
            (moment.boundary, 1 + groups.saturating_sub(usize::from(has_begun)))
        })
    }

    /// The highest number of a step.
    pub fn last_step_id(&self) -> u32 {
        self.plan.steps.iter().map(|step| step.id).max().unwrap_or(ASIDE)
    }

    /// The judge at a moment: equal ones stand where the same one stood, and are to be told the same of guests.
    pub fn judge_at(&self, moment: Moment<'_>) -> Digest {
        Digest::of_value(&(moment.standpoint, self.told_by(moment)))
    }

    /// What guests came to up to a moment, of which the judge who stands there was not told.
    fn told_by(&self, moment: Moment<'_>) -> Told {
        let from = self.standpoints[moment.standpoint].guests_told;
        self.guests.told_before(from, (moment.is_of_end, moment.nth))
    }

    /// Every entity that was asked for up to a moment.
    pub fn asked(&self, moment: Moment<'_>) -> Vec<Who> {
        self.standpoints[moment.standpoint].judge.asked().collect()
    }

    /// The plan that plays up to a moment, ends the boot there, and then plays `after`. Nothing can be played after
    /// a moment of the run's own end but that end.
    pub fn plan_of(&self, moment: Moment<'_>, ending: &Ending, after: &[Action]) -> Plan {
        let Standpoint { next_step, has_begun, .. } = self.standpoints[moment.standpoint];
        assert!(!moment.is_of_end || after.is_empty(), "no step comes after the steps");
        let mut plan = self.plan.clone();
        plan.steps.truncate(next_step);
        let mut last_id = self.last_step_id();
        let mut add = |plan: &mut Plan, action: Action| {
            last_id += 1;
            plan.steps.push(Step::alone(last_id, 1, action));
        };
        let idle = moment.boundary.idle_faults();
        plan.faults.retain(|fault| !idle.contains(fault));
        if moment.is_last {
            add(&mut plan, Action::Crash { ending: ending.clone() });
        } else {
            if !has_begun {
                add(&mut plan, Action::Wait { ms: 0 });
            }
            plan.faults.push(crash_at(moment.boundary, ending));
        }
        after.iter().for_each(|action| add(&mut plan, action.clone()));
        plan
    }

    /// The plan that plays up to a moment. It knows of no end there: see [`Recording::plan_of`].
    pub fn plan_up_to(&self, moment: Moment<'_>) -> Plan {
        let mut plan = self.plan.clone();
        plan.steps.truncate(self.standpoints[moment.standpoint].next_step);
        plan
    }

    /// What comes of a recovery after the boot ended in this way, which left `disk`, at a moment up to which
    /// `plan` plays. It is played until it comes to where one of those that are known has been, and to its end if it
    /// never does. What is found is what a plan finds that is played from there.
    pub fn recover(
        &self,
        at: Moment<'_>,
        (ending, disk): (&Ending, &Disk),
        (plan, known): (&Plan, &RefCell<Known>),
    ) -> Recovered {
        let world = self.world.resume(at.boundary, (ending, disk.clone()));
        let standpoint = &self.standpoints[at.standpoint];
        let mut run = self.run_from(at, &world, (plan, 0));
        run.next_step = plan.steps.len();
        // What the judge is to know of damage is a part of where he stands.
        let damages = at.boundary.damages(ending);
        run.joining = Some(Joining::new(known, (at.standpoint, &damages)));
        run.judge.put_checks_off(known.borrow().seen.clone());
        let short = run.verdict(&runtime(plan), Start::After(standpoint));
        let (passed, joined) = run.joining.take().expect("it was set above").into_passed();
        let verdict = match &short {
            Verdict::Passed => short,
            _ if joined.is_some() => short,
            _ => self.in_full(at, (ending, disk), &short),
        };
        known.borrow_mut().add(passed, verdict.clone());
        Recovered { verdict, is_joined: joined.is_some() }
    }

    /// The same without any short cut: what is found is told as a plan finds it.
    fn in_full(
        &self,
        at: Moment<'_>,
        (ending, disk): (&Ending, &Disk),
        short: &Verdict,
    ) -> Verdict {
        let plan = self.plan_of(at, ending, &[]);
        let verdict = self.go_on(at, (ending, disk.clone()), (&plan, 0));
        if verdict != Verdict::Passed {
            return verdict;
        }
        let found = short.in_words();
        Verdict::HarnessBroken(format!(
            "a recovery that passes in full finds on the short way: {found}"
        ))
    }

    /// What comes of a run of `plan`, made by [`Recording::plan_of`], from a moment on, where the boot ended
    /// in a way that left `disk`; `after_count` of its steps come then.
    fn go_on(
        &self,
        at: Moment<'_>,
        end: (&Ending, Disk),
        (plan, after_count): (&Plan, usize),
    ) -> Verdict {
        let world = self.world.resume(at.boundary, end);
        let standpoint = &self.standpoints[at.standpoint];
        let mut run = self.run_from(at, &world, (plan, after_count));
        run.verdict(&runtime(plan), Start::After(standpoint))
    }

    /// Disk operations of its own end that are no moments, because they were not kept.
    pub fn unkept_end_op_count(&self) -> u64 {
        self.end_op_count.saturating_sub(self.of_end.len() as u64)
    }

    /// As [`Recording::go_on`], with the moments of what comes kept for `then`: of all of it, or of a recovery alone.
    pub fn go_on_recorded<T>(
        &self,
        at: Moment<'_>,
        end: (&Ending, Disk),
        (plan, after_count, with_end): (&Plan, usize, bool),
        then: impl FnOnce(&Recording<'_>) -> T,
    ) -> T {
        let world = self.world.resume(at.boundary, end);
        let standpoint = &self.standpoints[at.standpoint];
        let run = self.run_from(at, &world, (plan, after_count));
        let keeps = match (with_end, at.is_of_end) {
            (true, _) => Keeps::All,
            (false, true) => Keeps::FirstReads,
            (false, false) => Keeps::Steps,
        };
        then(&Recording::of(run, Start::After(standpoint), keeps))
    }

    fn run_from<'b>(
        &self,
        at: Moment<'_>,
        world: &'b World,
        (plan, after_count): (&'b Plan, usize),
    ) -> Run<'b> {
        let standpoint = &self.standpoints[at.standpoint];
        let mut run = Run::new(plan, world, standpoint.judge.in_world(world));
        run.announced.clone_from(&standpoint.announced);
        run.in_force.clone_from(&standpoint.in_force);
        run.step_kind = if at.is_last { CRASH } else { standpoint.step_kind };
        run.end_count = standpoint.end_count;
        // What guests came to since, up to the moment, is told when the boot is buried.
        run.tally.phases.guests().go_on(self.told_by(at));
        run.tally.phases.go_on(world);
        // The wait for which a server that came up was cut off is still to be played.
        let waits = !at.is_last && !standpoint.has_begun;
        run.next_step = plan.steps.len() - after_count - usize::from(waits);
        run
    }
}

/// What came of a recovery.
pub struct Recovered {
    /// How it ended.
    pub verdict: Verdict,
    /// It came to where another recovery had been, and ended as that one did.
    pub is_joined: bool,
}

/// The kind of a step that ends a boot.
const CRASH: &str = "crash";

/// A crash at a moment's address.
fn crash_at(boundary: &Boundary, ending: &Ending) -> Fault {
    let effect = Effect::Crash(ending.clone());
    Fault::in_scope(&boundary.scope, effect, When::Nth(boundary.nth))
}

impl<'a> Run<'a> {
    /// The boot is over in which somebody stood there: its requests are lost, and the plan's rest is played.
    pub(super) async fn go_on_after(&mut self, standpoint: &Standpoint<'_>) -> Going {
        for (_, op) in &standpoint.open {
            match op {
                Some(op) => self.judge.lost(*op),
                None => self.judge.swept(None),
            }
        }
        self.bury().await?;
        self.play_steps().await
    }
}
