//! Runs in processes of their own: seeds go out, outcomes come back.
//!
//! **Invariant:** a run that takes its process with it is not lost: its seed is played once more alone.
//! The same end there is the platform's (I21), another end is the harness's.

use crate::verdict::{Finding, Outcome, Verdict};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::thread;
use stormglass_sim::Seed;

/// Bytes of a dead process's last words that are kept.
const LAST_WORDS_MAX: usize = 2_000;

/// Plays `seeds` in `jobs` processes of this program, which `arguments` make workers; `each` sees every
/// outcome as it comes and says whether to go on.
///
/// # Errors
/// When a process cannot be started.
pub fn play_all(
    arguments: &[String],
    seeds: impl Iterator<Item = Seed> + Send,
    jobs: usize,
    mut each: impl FnMut(Seed, Outcome) -> ControlFlow<()>,
) -> io::Result<()> {
    let seeds = Mutex::new(seeds);
    let next = || seeds.lock().unwrap_or_else(PoisonError::into_inner).next();
    let (outcomes, arrived) = mpsc::sync_channel(jobs);
    thread::scope(|scope| {
        for _ in 0..jobs {
            let (outcomes, next) = (outcomes.clone(), &next);
            scope.spawn(move || {
                let mut worker = None;
                while let Some(seed) = next() {
                    let outcome = play_one(arguments, &mut worker, seed);
                    if outcomes.send((seed, outcome)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(outcomes);
        for (seed, outcome) in &arrived {
            if each(seed, outcome?).is_break() {
                break;
            }
        }
        drop(arrived);
        Ok(())
    })
}

/// A worker process.
struct Worker {
    child: Child,
    seeds: ChildStdin,
    outcomes: BufReader<ChildStdout>,
}

impl Worker {
    fn start(arguments: &[String]) -> io::Result<Worker> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let missing = || io::Error::other("a worker has no standard streams");
        let seeds = child.stdin.take().ok_or_else(missing)?;
        let outcomes = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        Ok(Worker { child, seeds, outcomes })
    }

    /// The outcome of `seed`; nothing when the process dies of it.
    fn play(&mut self, seed: Seed) -> Option<Outcome> {
        writeln!(self.seeds, "{seed}").ok()?;
        self.seeds.flush().ok()?;
        let mut line = String::new();
        self.outcomes.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    /// What a dead process said last.
    fn last_words(mut self) -> String {
        drop(self.seeds);
        let mut words = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            let _ = errors.read_to_string(&mut words);
        }
        let _ = self.child.wait();
        let end = words.char_indices().nth(LAST_WORDS_MAX).map_or(words.len(), |(at, _)| at);
        words[..end].trim().to_string()
    }
}

impl Drop for WorkerGuard {
    fn drop(&mut self) {
        if let Some(mut worker) = self.0.take() {
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }
}

/// Ends its process when it is dropped.
#[derive(Default)]
struct WorkerGuard(Option<Worker>);

fn play_one(
    arguments: &[String],
    kept: &mut Option<WorkerGuard>,
    seed: Seed,
) -> io::Result<Outcome> {
    let guard = kept.get_or_insert_with(WorkerGuard::default);
    if guard.0.is_none() {
        guard.0 = Some(Worker::start(arguments)?);
    }
    if let Some(worker) = &mut guard.0
        && let Some(outcome) = worker.play(seed)
    {
        return Ok(outcome);
    }
    let first = guard.0.take().map(Worker::last_words).unwrap_or_default();
    let mut alone = Worker::start(arguments)?;
    Ok(match alone.play(seed) {
        Some(outcome) => broken(outcome, &first),
        None => dead(&first, &alone.last_words()),
    })
}

fn broken(outcome: Outcome, first: &str) -> Outcome {
    let why = format!("its process died, but not when it was played again alone: {first}");
    Outcome { verdict: Verdict::HarnessBroken(why), ..outcome }
}

/// The outcome of a seed that killed its process twice.
fn dead(first: &str, second: &str) -> Outcome {
    let panicked = second.lines().find(|line| line.contains("panicked at")).unwrap_or(second);
    let finding = Finding {
        invariant: "I21".to_string(),
        statement: "no panic".to_string(),
        place: "process died".to_string(),
        subject: panicked.to_string(),
        expected: "a run that ends".to_string(),
        actual: second.to_string(),
        because: if first == second { String::new() } else { format!("the first time: {first}") },
    };
    Outcome {
        verdict: Verdict::Violated(finding),
        fingerprint: "(died)".to_string(),
        op_count: 0,
        counts: BTreeMap::new(),
    }
}

/// The other side: plays the seeds that come in, one a line, and prints each outcome on a line.
///
/// # Errors
/// When the streams fail or a line is no seed.
pub fn serve(mut play: impl FnMut(Seed) -> Result<Outcome, String>) -> Result<(), String> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let seed = line.trim().parse().map_err(|error| format!("{error}"))?;
        let outcome = serde_json::to_string(&play(seed)?).map_err(|error| error.to_string())?;
        writeln!(out, "{outcome}").and_then(|()| out.flush()).map_err(|error| error.to_string())?;
    }
    Ok(())
}
