//! Shrinking in worker processes: each plan that is tried is an order, and its outcome the judgement.
//!
//! **Invariant:** what a try may do is bounded by simulated work, so that the same plans are kept on any host. What
//! goes on for ever within that bound is kept only if it does so within the whole of it.
//!
//! **Not done:** a run that does nothing that is counted and never yields is seen by the host's time alone: few of
//! those are tried.

use super::{Shrinking, TRIES_MAX, endings, shrink};
use crate::check::ENDLESS;
use crate::host::Stopwatch;
use crate::patience::Bound;
use crate::plan::Plan;
use crate::verdict::{Outcome, Signature};
use crate::workers::{Order, RUN_WITHOUT_END, Solo};
use std::io;

/// Tries that keep silent until their worker is killed, before the best so far is enough.
const SILENT_MAX: u64 = 3;

/// Shrinks a plan that fails with `outcome`, in worker processes, until there is nothing more to try, or the
/// crew is stopped. `tell` sees the best plan so far and how many were tried.
///
/// # Errors
/// When a process cannot be started.
pub fn shrink_in(
    solo: &mut Solo<'_>,
    plan: &Plan,
    outcome: &Outcome,
    tell: &mut dyn FnMut(&Plan, u64),
) -> io::Result<(Plan, Shrinking)> {
    shrink_by(&mut |order| solo.play(order), plan, outcome, tell)
}

/// Has a plan played, and says what came of it; nothing when it is to end.
type Play<'p> = dyn FnMut(&Order) -> io::Result<Option<Outcome>> + 'p;

fn shrink_by(
    play: &mut Play<'_>,
    plan: &Plan,
    outcome: &Outcome,
    tell: &mut dyn FnMut(&Plan, u64),
) -> io::Result<(Plan, Shrinking)> {
    let watch = Stopwatch::start();
    let signature = Signature::of(&outcome.verdict);
    let is_endless = signature.as_ref().is_some_and(|signature| signature.place == ENDLESS);
    let bound = if is_endless { Bound::LEAST } else { Bound::of_less_than(outcome.op_count) };
    let best = plan.clone();
    let mut tries = Tries {
        play,
        signature,
        bound,
        tell,
        best,
        count: 0,
        silent_count: 0,
        is_cut_short: false,
        trouble: None,
    };
    let least = loop {
        let least = tries.search(plan);
        if !is_endless || tries.bound == Bound::WHOLE {
            break least;
        }
        let wider = tries.bound.wider();
        tries.bound = Bound::WHOLE;
        // What only takes longer than it may is no run without end: with more patience something else is left.
        match tries.fails(&least) {
            Some(true) => break least,
            Some(false) => {
                tries.bound = wider;
                tries.best.clone_from(plan);
            }
            // Interrupted before that was known: the whole plan is.
            None => break plan.clone(),
        }
    };
    let Tries { count, is_cut_short, trouble, .. } = tries;
    let shrinking = Shrinking {
        steps: (plan.steps.len(), least.steps.len()),
        faults: (plan.faults.len(), least.faults.len()),
        run_count: count,
        host_ms: watch.elapsed().as_millis() as u64,
        is_cut_short,
    };
    trouble.map_or(Ok((least, shrinking)), Err)
}

/// What is tried, and with how much patience.
struct Tries<'t, 'p> {
    play: &'t mut Play<'p>,
    signature: Option<Signature>,
    bound: Bound,
    tell: &'t mut dyn FnMut(&Plan, u64),
    best: Plan,
    count: u64,
    silent_count: u64,
    /// Whether there was a try that was not to be made.
    is_cut_short: bool,
    trouble: Option<io::Error>,
}

impl Tries<'_, '_> {
    /// The smallest plan that is found within the bound.
    fn search(&mut self, plan: &Plan) -> Plan {
        let least = shrink(plan, self.left(), &mut |tried| self.fails(tried)).plan;
        match self.spelled_out(&least) {
            Some(spelled) if self.fails(&spelled) == Some(true) => {
                shrink(&spelled, self.left(), &mut |tried| self.fails(tried)).plan
            }
            _ => least,
        }
    }

    fn left(&self) -> u64 {
        TRIES_MAX.saturating_sub(self.count)
    }

    /// The plan with its drawn crash states write by write, as they come out in it. It was left with them because
    /// nothing that has a shorter name will do.
    fn spelled_out(&mut self, plan: &Plan) -> Option<Plan> {
        if !endings::is_drawn(plan) {
            return None;
        }
        let outcome = self.play(plan)?;
        endings::spelled_out(plan, &outcome.trail.drawn)
    }

    /// Whether a plan fails in the same way; nothing when it is to end.
    fn fails(&mut self, tried: &Plan) -> Option<bool> {
        let signature = Signature::of(&self.play(tried)?.verdict);
        let is_silent = signature.as_ref().is_some_and(|one| one.place == RUN_WITHOUT_END);
        self.silent_count += u64::from(is_silent);
        let fails = signature == self.signature;
        if fails {
            self.best.clone_from(tried);
        }
        (self.tell)(&self.best, self.count);
        Some(fails)
    }

    fn play(&mut self, plan: &Plan) -> Option<Outcome> {
        if self.silent_count >= SILENT_MAX {
            self.is_cut_short = true;
            return None;
        }
        let order = Order { bound: Some(self.bound), ..Order::plan(plan) };
        match (self.play)(&order) {
            Ok(outcome) => {
                self.count += u64::from(outcome.is_some());
                self.is_cut_short |= outcome.is_none();
                outcome
            }
            Err(error) => {
                self.trouble = Some(error);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, Step};
    use crate::scenario::{self, Settings};
    use crate::trail::{Drawn, Trail};
    use crate::verdict::{Finding, Verdict};
    use std::collections::BTreeMap;
    use stormglass_sim::disk::Fate;
    use stormglass_sim::{Effect, Ending, Fault, Seed, Survivors, When};

    fn outcome(place: Option<&str>, drawn: Vec<Drawn>) -> Outcome {
        let found = |place: &str| Finding {
            invariant: "I21".to_string(),
            statement: "no panic".to_string(),
            place: place.to_string(),
            step_kind: "wait".to_string(),
            subject: String::new(),
            expected: String::new(),
            actual: String::new(),
            because: String::new(),
        };
        Outcome {
            verdict: place.map_or(Verdict::Passed, |place| Verdict::Violated(found(place))),
            fingerprint: String::new(),
            op_count: 100,
            counts: BTreeMap::new(),
            trail: Trail { drawn, ..Trail::default() },
        }
    }

    fn plan() -> Plan {
        let mut plan = scenario::plan("overflow", Seed(1), &Settings::default()).unwrap();
        plan.faults.clear();
        plan
    }

    fn played(order: &Order) -> (&Plan, Bound) {
        let crate::workers::Run::Plan(plan) = &order.run else { panic!("only plans are tried") };
        (plan, order.bound.expect("every try is bounded"))
    }

    /// What becomes of three pending changes; they are a write of two sectors each.
    fn fates(survivors: &Survivors) -> Vec<Fate> {
        use stormglass_sim::disk::{Disk, DiskOptions, Grid};
        let mut disk = Disk::new(DiskOptions::default());
        let file = disk.create("/a-wal", Grid::Frames);
        (0..3).for_each(|n| disk.write(file, n * 1024, &[1; 1024]).unwrap());
        survivors.fates(&disk.pending()[1..], 512)
    }

    /// Goal: what survives is told change by change where no shorter name will do. Method: a run that fails when the
    /// second of its three changes is lost and no other.
    #[test]
    fn a_drawn_state_is_spelled_out_where_it_has_no_short_name() {
        let needed = [Fate::Kept, Fate::Lost, Fate::Kept];
        let number = (0..).find(|n| fates(&Survivors::Drawn(*n)) == needed).unwrap();
        let ending = Ending::PowerLoss(Survivors::Drawn(number));
        let mut whole = plan();
        whole.faults = vec![Fault::in_scope("step 1", Effect::Crash(ending), When::Nth(1))];
        let mut play = |order: &Order| {
            let (plan, _) = played(order);
            let survivors = plan.faults.iter().find_map(|fault| match &fault.effect {
                Effect::Crash(Ending::PowerLoss(survivors)) => Some(survivors.clone()),
                _ => None,
            });
            let fates = survivors.as_ref().map_or(Vec::new(), fates);
            let drawn = match survivors {
                Some(Survivors::Drawn(number)) => vec![Drawn { number, fates: fates.clone() }],
                _ => Vec::new(),
            };
            Ok(Some(outcome((fates == needed).then_some("value differs"), drawn)))
        };
        let failed = outcome(Some("value differs"), Vec::new());
        let (least, shrunk) = shrink_by(&mut play, &whole, &failed, &mut |_, _| {}).unwrap();
        let [Fault { effect: Effect::Crash(Ending::PowerLoss(survivors)), .. }] = &least.faults[..]
        else {
            panic!("{:?}", least.faults)
        };
        // Two positions that are kept have a shorter name than three fates.
        assert_eq!(*survivors, Survivors::Subset(vec![0, 2]));
        assert!(least.steps.is_empty() && shrunk.run_count < TRIES_MAX, "{shrunk}");
    }

    /// How a run goes that has so many disk operations for each second of its waits.
    fn busy(plan: &Plan, bound: Bound) -> Outcome {
        let seconds = plan.steps.iter().map(|step| match step.action {
            Action::Wait { ms } => ms as u64 / 1_000,
            _ => 0,
        });
        let op_count = 100 * seconds.sum::<u64>();
        outcome((op_count > bound.op_count).then_some(ENDLESS), Vec::new())
    }

    /// Goal: a run that goes on for ever is shrunk with little work, and one that only takes long is not taken for it.
    /// Method: work that is counted, of a plan that has far more of it than the bound and of one that has a little.
    #[test]
    fn what_goes_on_for_ever_does_so_by_the_whole_bound() {
        for seconds in [10_000_000, 15_000] {
            let mut whole = plan();
            whole.steps.truncate(3);
            whole.steps.push(Step::alone(90, 1, Action::Wait { ms: seconds * 1_000 }));
            let failed = busy(&whole, Bound::WHOLE);
            assert!(Signature::of(&failed.verdict).is_some());
            let mut patient_count = 0;
            let mut play = |order: &Order| {
                let (plan, bound) = played(order);
                patient_count += u64::from(bound == Bound::WHOLE);
                Ok(Some(busy(plan, bound)))
            };
            let (least, shrunk) = shrink_by(&mut play, &whole, &failed, &mut |_, _| {}).unwrap();
            assert_eq!(least.steps.len(), 1);
            assert_ne!(busy(&least, Bound::WHOLE).verdict, Verdict::Passed, "{least:?}");
            let run_count = shrunk.run_count;
            assert!(2 * patient_count < run_count, "{seconds}: {patient_count} of {run_count}");
        }
    }

    /// What is seen by the host's time alone is tried a few times, and the best of these is kept.
    #[test]
    fn few_tries_keep_silent() {
        let whole = plan();
        let failed = outcome(Some(RUN_WITHOUT_END), Vec::new());
        let mut play = |_: &Order| Ok(Some(failed.clone()));
        let (least, shrunk) = shrink_by(&mut play, &whole, &failed, &mut |_, _| {}).unwrap();
        assert_eq!(shrunk.run_count, SILENT_MAX);
        assert!(least.steps.len() < whole.steps.len() / 2);
    }
}
