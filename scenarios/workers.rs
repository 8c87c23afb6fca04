//! Runs in processes of their own: orders go out, outcomes come back.
//!
//! **Invariant:** a run that takes its process with it, or never ends, is not lost: it is played once more
//! alone. The same end there is the platform's (I21), another end is the harness's.

mod process;

pub use process::{End, RUN_WITHOUT_END, WITHOUT_END, Worker, judged, without_end};

use crate::host::Stopwatch;
use crate::patience::Bound;
use crate::plan::Plan;
use crate::verdict::Outcome;
use process::Manner;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use stormglass_sim::Seed;

/// How long a worker may keep silent over one run: a run takes a thousandth of it.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What a worker is to play.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Run {
    /// What this seed makes.
    Seed(Seed),
    /// A plan.
    Plan(Box<Plan>),
}

/// What a worker is told: a line of JSON, or a bare seed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// What to play.
    pub run: Run,
    /// Where to leave what is left of the run: trace, story and disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<PathBuf>,
    /// How much a plan's run may do, where that is less than any run may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
}

impl Order {
    /// Plays a seed.
    pub fn seed(seed: Seed) -> Order {
        Order { run: Run::Seed(seed), bundle: None, bound: None }
    }

    /// Plays a plan.
    pub fn plan(plan: &Plan) -> Order {
        Order { run: Run::Plan(Box::new(plan.clone())), bundle: None, bound: None }
    }

    /// The line that a worker is told.
    pub fn to_line(&self) -> String {
        match self {
            Order { run: Run::Seed(seed), bundle: None, .. } => seed.to_string(),
            order => serde_json::to_string(order).expect("an order is plain data"),
        }
    }

    fn from_line(line: &str) -> Result<Order, String> {
        if line.starts_with('{') {
            return serde_json::from_str(line).map_err(|error| format!("no order: {error}"));
        }
        line.parse().map(Order::seed).map_err(|error| format!("{error}"))
    }
}

/// A run that was played.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its seed.
    pub seed: Seed,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took, in milliseconds of the host's time.
    pub host_ms: u64,
}

/// What the workers of a campaign are, and how much patience there is with them.
#[derive(Clone)]
pub struct Crew {
    /// The program of every worker.
    pub program: PathBuf,
    /// The arguments that make it one.
    pub arguments: Vec<String>,
    /// How long a worker may keep silent over one run before it is killed.
    pub silence_max: Duration,
    /// Once it is set no run is begun, and those in progress are ended.
    pub stop: Arc<AtomicBool>,
}

impl Crew {
    /// Workers that are `program` with `arguments`.
    pub fn new(program: PathBuf, arguments: Vec<String>) -> Crew {
        Crew { program, arguments, silence_max: SILENCE_MAX, stop: Arc::default() }
    }

    /// Workers that are this program with `arguments`.
    ///
    /// # Errors
    /// When this program's path is not known.
    pub fn of_this_program(arguments: Vec<String>) -> io::Result<Crew> {
        Ok(Crew::new(std::env::current_exe()?, arguments))
    }

    /// A crew like this one whose workers are told more.
    pub fn told_also(&self, arguments: &[&str]) -> Crew {
        let more = arguments.iter().map(|argument| argument.to_string());
        let arguments = self.arguments.iter().cloned().chain(more).collect();
        Crew { arguments, ..self.clone() }
    }

    /// The same crew, stopped by this flag.
    pub fn stopped_by(self, stop: &Arc<AtomicBool>) -> Crew {
        Crew { stop: Arc::clone(stop), ..self }
    }

    /// Whether the crew is to stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Plays `seeds` in `jobs` processes; `each` sees every run as it ends and says whether to go on.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub fn play_all(
        &self,
        seeds: impl Iterator<Item = Seed> + Send,
        jobs: usize,
        mut each: impl FnMut(Ended) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let orders = seeds.map(|seed| (seed, Order::seed(seed)));
        self.play_orders(orders, jobs, |seed, outcome, host_ms| {
            each(Ended { seed, outcome, host_ms })
        })
    }

    /// Plays orders, each with what it is called, in `jobs` processes; `each` sees what they are called, their
    /// outcomes and the milliseconds of host time that they took, as they end, and says whether to go on.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub fn play_orders<N: Send>(
        &self,
        orders: impl Iterator<Item = (N, Order)> + Send,
        jobs: usize,
        mut each: impl FnMut(N, Outcome, u64) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let orders = Mutex::new(orders);
        let next = || orders.lock().unwrap_or_else(PoisonError::into_inner).next();
        let (outcomes, arrived) = mpsc::sync_channel(jobs);
        thread::scope(|scope| {
            for _ in 0..jobs {
                let (outcomes, next) = (outcomes.clone(), &next);
                scope.spawn(move || {
                    let mut solo = self.solo();
                    while let Some((name, order)) = next().filter(|_| !self.is_stopped()) {
                        let watch = Stopwatch::start();
                        let played = solo.play(&order).transpose();
                        let host_ms = watch.elapsed().as_millis() as u64;
                        let Some(played) = played else { return };
                        if outcomes.send((name, played, host_ms)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(outcomes);
            for (name, played, host_ms) in &arrived {
                if each(name, played?, host_ms).is_break() {
                    break;
                }
            }
            drop(arrived);
            Ok(())
        })
    }

    /// One worker of this crew, for one order after the other.
    pub fn solo(&self) -> Solo<'_> {
        Solo { crew: self, kept: None }
    }
}

/// One worker at a time: the next one is started when the last has died.
pub struct Solo<'a> {
    crew: &'a Crew,
    kept: Option<Worker>,
}

impl Solo<'_> {
    /// The outcome of an order; none when the crew was stopped before there was one.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub fn play(&mut self, order: &Order) -> io::Result<Option<Outcome>> {
        if self.crew.is_stopped() {
            return Ok(None);
        }
        let line = order.to_line();
        let mut worker = self.kept.take().map_or_else(|| Worker::start(self.crew), Ok)?;
        let first = match worker.play(&line, self.crew) {
            Ok(outcome) => {
                self.kept = Some(worker);
                return Ok(Some(outcome));
            }
            Err(end) => end,
        };
        let alone = match first.manner {
            Manner::Stopped => return Ok(None),
            _ => Worker::start(self.crew)?.play(&line, self.crew),
        };
        match &alone {
            Err(second) if second.manner == Manner::Stopped => Ok(None),
            _ => Ok(Some(judged(&first, alone))),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "these threads wait for processes and streams; no run is in them"
)]
fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::spawn(work)
}

/// The other side: plays the orders that come in, one a line, and prints each outcome on a line. Ends
/// with its standard input, that is with whoever gives the orders, and then at the latest after the time
/// that a run may take.
///
/// # Errors
/// When the streams fail or a line is no order.
pub fn serve(mut play: impl FnMut(Order) -> Result<Outcome, String>) -> Result<(), String> {
    let (orders, arrived) = mpsc::channel();
    aside(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if orders.send(line).is_err() {
                return;
            }
        }
        drop(orders);
        end_after_a_run();
    });
    let mut out = io::stdout().lock();
    for line in arrived {
        let outcome = play(Order::from_line(line.trim())?)?;
        let outcome = serde_json::to_string(&outcome).map_err(|error| error.to_string())?;
        writeln!(out, "{outcome}").and_then(|()| out.flush()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// For a process that is given no orders: it ends after whoever started it, and at the latest after the time that
/// a run may take.
pub fn end_with_whoever_asked() {
    aside(|| {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        end_after_a_run();
    });
}

/// Nobody is left who would kill a worker whose run never ends.
#[expect(clippy::disallowed_methods, reason = "the thread waits beside the run, not in it")]
fn end_after_a_run() {
    thread::sleep(SILENCE_MAX);
    std::process::exit(1);
}
