//! An exploration in processes of its own, each of which explores a slice.
//!
//! **Invariant:** nothing that a slice has told is lost, whatever becomes of its process. A recovery that never ends,
//! or takes its process along, is played once more alone: the same end there is the platform's (I21), another end
//! is the harness's.

use super::report::{Found, Report};
use super::watch::Line;
use crate::plan::Plan;
use crate::verdict::{Signature, Verdict};
use crate::workers::{Crew, End, Order, Worker, judged};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The row of recoveries that took their process along.
const DEAD: &str = "without an end";

/// Who explores.
pub struct Slices<'a> {
    /// Processes that explore a slice when they are told which.
    pub explorers: Crew,
    /// Processes that play plans.
    pub players: Crew,
    /// How many slices, each in a process.
    pub count: u64,
    /// The run that is explored.
    pub plan: &'a Plan,
    /// Is told what all of them have explored so far.
    pub told: &'a (dyn Fn(&Report) + Sync),
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Explored {
    /// What was explored by the slices together.
    pub report: Report,
    /// Slices that were not explored to their end, in words.
    pub left: Vec<String>,
    /// What accuses the harness.
    pub broken: Vec<String>,
    /// Whether somebody interrupted it.
    pub was_interrupted: bool,
}

/// A slice as far as it was explored.
struct Slice {
    name: String,
    report: Report,
    /// The recovery that was begun last.
    at: Option<u64>,
    /// Why it was not explored to its end.
    early: Option<Early>,
}

/// Why a slice was not explored to its end.
#[derive(Debug)]
enum Early {
    /// Its process ended before.
    Ended(End),
    /// It has no process, or nobody to watch it.
    Unwatched(io::Error),
}

impl Slice {
    /// One of which nothing is explored yet.
    fn new(name: String) -> Slice {
        Slice { name, report: Report::default(), at: None, early: None }
    }
}

impl Slices<'_> {
    /// Explores all of them at once.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub fn explore(&self) -> io::Result<Explored> {
        let name = |at: u64| format!("{at}/{}", self.count);
        let so_far = Mutex::new(vec![Report::default(); self.count as usize]);
        let tell = |at: u64, report: &Report| {
            let mut so_far = so_far.lock().unwrap_or_else(PoisonError::into_inner);
            so_far[at as usize].clone_from(report);
            (self.told)(&Report::joined(so_far.iter().cloned()));
        };
        let slices: Vec<Slice> = thread::scope(|scope| {
            let tell = &tell;
            let begin = |at| scope.spawn(move || self.slice(name(at), &|report| tell(at, report)));
            let begun: Vec<_> = (0..self.count).map(begin).collect();
            let joined = (0..).zip(begun).map(|(at, slice)| {
                let panicked = |_| {
                    let why = io::Error::other("whoever watched it panicked");
                    Slice { early: Some(Early::Unwatched(why)), ..Slice::new(name(at)) }
                };
                slice.join().unwrap_or_else(panicked)
            });
            joined.collect()
        });
        let is_any = |slice: &Slice| !matches!(slice.early, Some(Early::Unwatched(_)));
        if !slices.iter().any(is_any) {
            let why = slices.into_iter().find_map(|slice| match slice.early {
                Some(Early::Unwatched(why)) => Some(why),
                _ => None,
            });
            return why.map_or_else(|| Ok(Explored::default()), Err);
        }
        let mut explored = Explored::default();
        let (mut reports, mut found_dead) = (Vec::new(), Vec::new());
        for Slice { name, report, at, early } in slices {
            reports.push(report);
            let end = match early {
                None => continue,
                Some(Early::Ended(end)) => end,
                Some(Early::Unwatched(error)) => {
                    explored.left.push(format!("slice {name}"));
                    explored.broken.push(format!("slice {name}: {error}"));
                    continue;
                }
            };
            if end.is_stopped() {
                explored.was_interrupted = true;
                continue;
            }
            let place = at.map_or("its run".to_string(), |at| format!("its recovery {at}"));
            explored.left.push(format!("slice {name} from {place} on: its process {end}"));
            match self.accused(&name, at, &end) {
                Ok(Some(Ok(found))) => found_dead.push(found),
                Ok(Some(Err(why))) => {
                    explored.broken.push(format!("slice {name} at {place}: {why}"));
                }
                Ok(None) => explored.was_interrupted = true,
                Err(error) => explored.broken.push(format!("slice {name} at {place}: {error}")),
            }
        }
        explored.report = Report::joined(reports);
        for found in found_dead {
            explored.report.at(DEAD).violations += 1;
            explored.report.found.push(found);
        }
        Ok(explored)
    }

    fn slice(&self, name: String, tell: &dyn Fn(&Report)) -> Slice {
        let crew = self.explorers.told_also(&["--slice", &name]);
        let mut slice = Slice::new(name);
        let mut worker = match Worker::start(&crew) {
            Ok(worker) => worker,
            Err(error) => return Slice { early: Some(Early::Unwatched(error)), ..slice },
        };
        loop {
            if crew.is_stopped() {
                return Slice { early: Some(Early::Ended(worker.stop())), ..slice };
            }
            match worker.told(&crew) {
                Ok(Line::At(number)) => slice.at = Some(number),
                Ok(Line::SoFar(report)) => {
                    slice.report = *report;
                    tell(&slice.report);
                }
                Ok(Line::Done(report)) => return Slice { report: *report, ..slice },
                // Nobody has asked for one.
                Ok(Line::Plan(_)) => {}
                Err(end) => return Slice { early: Some(Early::Ended(end)), ..slice },
            }
        }
    }

    /// Whom the end of a slice's process accuses: the platform, with a plan that comes to the same end, or the
    /// harness. Nobody when it was interrupted.
    fn accused(
        &self,
        name: &str,
        at: Option<u64>,
        end: &End,
    ) -> io::Result<Option<Result<Found, String>>> {
        if end.is_inability() {
            return Ok(Some(Err(format!("its process {end}"))));
        }
        let plan = match at {
            None => self.plan.clone(),
            Some(number) => match self.plan_of(name, number)? {
                Ok(plan) => plan,
                Err(again) if again.is_stopped() => return Ok(None),
                Err(again) => {
                    let why = format!("its process {end}; when asked for the plan it {again}");
                    return Ok(Some(Err(why)));
                }
            },
        };
        let line = Order::plan(&plan).to_line();
        let alone = Worker::start(&self.players)?.play(&line, &self.players);
        if alone.as_ref().is_err_and(End::is_stopped) {
            return Ok(None);
        }
        let verdict = judged(end, alone).verdict;
        Ok(Some(match (Signature::of(&verdict), verdict) {
            (_, Verdict::HarnessBroken(why)) => Err(why),
            (Some(signature), verdict) => Ok(Found { signature, verdict, plan }),
            (None, verdict) => Err(verdict.in_words()),
        }))
    }

    /// The plan that comes to a recovery: the slice is explored once more up to there.
    fn plan_of(&self, name: &str, number: u64) -> io::Result<Result<Plan, End>> {
        let crew = self.explorers.told_also(&["--slice", name, "--until", &number.to_string()]);
        let mut worker = Worker::start(&crew)?;
        loop {
            match worker.told(&crew) {
                Ok(Line::Plan(plan)) => return Ok(Ok(*plan)),
                Ok(_) if crew.is_stopped() => return Ok(Err(worker.stop())),
                Ok(_) => {}
                Err(end) => return Ok(Err(end)),
            }
        }
    }
}
