//! One worker process: its start, its orders, its end, and what that end says.
//!
//! **Invariant:** only the same end twice accuses the platform (I21); another end accuses the harness.

use super::{Crew, aside};
use crate::trail::Trail;
use crate::verdict::{Finding, Outcome, Verdict};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The place of a run that a silent process was killed over.
pub const RUN_WITHOUT_END: &str = "run without end";
/// How often a waiting crew looks whether it is to stop.
const SLICE: Duration = Duration::from_millis(100);
/// How long a run in progress may still take when it is to stop.
const GRACE: Duration = Duration::from_secs(2);
/// Characters of an ended process's last words that are kept.
const LAST_WORDS_MAX: usize = 2_000;
/// With this exit code a process says that it was not able to play at all.
const EXIT_UNABLE: i32 = 2;
/// The signal that no process can refuse.
const SIGKILL: i32 = 9;

/// A worker process. It is killed when it is dropped.
pub struct Worker {
    child: Child,
    orders: ChildStdin,
    /// What it prints; the channel ends with its standard output.
    lines: Receiver<String>,
    /// What it complained of, once it has ended.
    errors: Option<JoinHandle<String>>,
}

impl Worker {
    /// Starts a process of the crew's.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(crew: &Crew) -> io::Result<Worker> {
        let mut child = Command::new(&crew.program)
            .args(&crew.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C on the terminal is for the campaign, which ends its workers in its own way.
            .process_group(0)
            .spawn()?;
        let missing = || io::Error::other("a worker has no standard streams");
        let orders = child.stdin.take().ok_or_else(missing)?;
        let output = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        let mut errors = child.stderr.take().ok_or_else(missing)?;
        let (sender, lines) = mpsc::channel();
        aside(move || {
            let _ = output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line));
        });
        // Read as it comes, or a process that complains much would wait for its reader for ever.
        let errors = aside(move || {
            let mut bytes = Vec::new();
            let _ = errors.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Ok(Worker { child, orders, lines, errors: Some(errors) })
    }

    /// The outcome of an order, given as a line, or how the process ended of it.
    pub fn play(&mut self, line: &str, crew: &Crew) -> Result<Outcome, End> {
        // Where this fails the process is dead, which its output tells as well.
        let _ = writeln!(self.orders, "{line}").and_then(|()| self.orders.flush());
        self.told(crew)
    }

    /// What it prints next, or how the process ended in place of it.
    pub fn told<T: DeserializeOwned>(&mut self, crew: &Crew) -> Result<T, End> {
        let (mut waited, mut graced) = (Duration::ZERO, Duration::ZERO);
        loop {
            let slice = SLICE.min(crew.silence_max - waited);
            match self.lines.recv_timeout(slice) {
                Ok(line) => {
                    let told = serde_json::from_str(&line);
                    return told.map_err(|_| self.end(|_| Manner::Babbled(line)));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.end(Manner::Died)),
                Err(RecvTimeoutError::Timeout) => {}
            }
            waited += slice;
            if crew.stop.load(Ordering::Relaxed) {
                graced += slice;
            }
            if graced >= GRACE {
                return Err(self.end(|_| Manner::Stopped));
            }
            if waited >= crew.silence_max {
                return Err(self.end(|_| Manner::Silent(crew.silence_max)));
            }
        }
    }

    /// Ends it, because nobody wants to know any more.
    pub fn stop(&mut self) -> End {
        self.end(|_| Manner::Stopped)
    }

    /// Ends the process. One whose output has ended is past changing its exit status.
    fn end(&mut self, manner: impl FnOnce(Option<ExitStatus>) -> Manner) -> End {
        let _ = self.child.kill();
        let status = self.child.wait().ok();
        let errors = self.errors.take().and_then(|errors| errors.join().ok()).unwrap_or_default();
        let last_words = errors.trim().chars().take(LAST_WORDS_MAX).collect();
        End { manner: manner(status), last_words }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a process ended that was to play a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub(super) manner: Manner,
    /// What it had written on standard error.
    last_words: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    /// By itself, with this status if there is one to be had.
    Died(Option<ExitStatus>),
    /// It was killed, having said nothing for so long.
    Silent(Duration),
    /// It was killed, having printed this, which is no outcome.
    Babbled(String),
    /// It was killed, because nobody wants to know any more.
    Stopped,
}

impl End {
    /// Where it panicked, if it said so: the line without the thread's number, which differs.
    fn panicked(&self) -> Option<&str> {
        let at = self.last_words.find("panicked at")?;
        self.last_words[at..].lines().next()
    }

    /// Whether it is no run that ended so, but the harness that was unable to play one.
    pub fn is_inability(&self) -> bool {
        match &self.manner {
            // A kill comes from outside: from whoever looks after the host's memory, say.
            Manner::Died(Some(status)) => {
                status.code() == Some(EXIT_UNABLE) || status.signal() == Some(SIGKILL)
            }
            Manner::Died(None) => false,
            Manner::Babbled(_) => true,
            Manner::Silent(_) | Manner::Stopped => false,
        }
    }

    /// Whether it was ended because nobody wants to know any more.
    pub fn is_stopped(&self) -> bool {
        self.manner == Manner::Stopped
    }

    fn is_same(&self, other: &End) -> bool {
        self.manner == other.manner && self.panicked() == other.panicked()
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.manner {
            Manner::Died(Some(status)) => write!(f, "died with {status}")?,
            Manner::Died(None) => f.write_str("died")?,
            Manner::Silent(silence) => write!(f, "was silent for {silence:?}")?,
            Manner::Babbled(line) => write!(f, "printed what is no outcome: {line}")?,
            Manner::Stopped => f.write_str("was stopped")?,
        }
        if self.last_words.is_empty() { Ok(()) } else { write!(f, ": {}", self.last_words) }
    }
}

/// The outcome of a seed whose process ended, from how it went when it was played again alone.
pub fn judged(first: &End, alone: Result<Outcome, End>) -> Outcome {
    match alone {
        Ok(outcome) => {
            let why = format!("its process {first}; played again alone it ended as it should");
            Outcome { verdict: Verdict::HarnessBroken(why), ..outcome }
        }
        Err(second) if first.is_same(&second) && !first.is_inability() => {
            without_end(Verdict::Violated(no_panic(&second)))
        }
        Err(second) if first.is_same(&second) => {
            without_end(Verdict::HarnessBroken(format!("its process {second}")))
        }
        Err(second) => {
            let why = format!("its process {first}; played again alone it {second}");
            without_end(Verdict::HarnessBroken(why))
        }
    }
}

fn no_panic(end: &End) -> Finding {
    let place = match end.manner {
        Manner::Silent(_) => RUN_WITHOUT_END,
        _ => "process died",
    };
    Finding {
        invariant: "I21".to_string(),
        statement: "no panic".to_string(),
        place: place.to_string(),
        step_kind: "run".to_string(),
        subject: end.panicked().unwrap_or("the run's process").to_string(),
        expected: "a run that ends".to_string(),
        actual: end.to_string(),
        because: "played twice, each time in a process of its own".to_string(),
    }
}

/// The fingerprint of a run that left none.
pub const WITHOUT_END: &str = "(no end)";

/// The outcome of a run that left none.
pub fn without_end(verdict: Verdict) -> Outcome {
    let fingerprint = WITHOUT_END.to_string();
    Outcome { verdict, fingerprint, op_count: 0, counts: BTreeMap::new(), trail: Trail::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    const PANIC: i32 = 101;

    fn died(code: i32, last_words: &str) -> End {
        let status = ExitStatus::from_raw(code << 8);
        End { manner: Manner::Died(Some(status)), last_words: last_words.to_string() }
    }

    const SILENCE_MAX: Duration = Duration::from_secs(60);

    fn silent() -> End {
        End { manner: Manner::Silent(SILENCE_MAX), last_words: String::new() }
    }

    fn passed() -> Outcome {
        without_end(Verdict::Passed)
    }

    /// The invariant that is accused, or nothing when the harness is.
    fn accused(first: &End, alone: Result<Outcome, End>) -> Option<String> {
        match judged(first, alone).verdict {
            Verdict::Violated(finding) => Some(format!("{} {}", finding.invariant, finding.place)),
            Verdict::HarnessBroken(_) => None,
            Verdict::Passed => panic!("a run that lost its process has not passed"),
        }
    }

    #[test]
    fn only_the_same_end_twice_accuses_the_platform() {
        let panicked = |thread: u32, line: u32| {
            died(PANIC, &format!("thread 'main' ({thread}) panicked at src/a.rs:{line}:5:\noh"))
        };
        let i21 = |place: &str| Some(format!("I21 {place}"));
        assert_eq!(accused(&panicked(1, 7), Err(panicked(2, 7))), i21("process died"));
        assert_eq!(accused(&died(134, ""), Err(died(134, ""))), i21("process died"));
        assert_eq!(accused(&silent(), Err(silent())), i21("run without end"));

        assert_eq!(accused(&panicked(1, 7), Err(panicked(2, 8))), None);
        assert_eq!(accused(&panicked(1, 7), Err(died(134, ""))), None);
        assert_eq!(accused(&silent(), Err(panicked(1, 7))), None);
        assert_eq!(accused(&silent(), Ok(passed())), None);
        assert_eq!(accused(&panicked(1, 7), Ok(passed())), None);
    }

    #[test]
    fn a_process_that_cannot_play_accuses_nobody() {
        let unable = || died(EXIT_UNABLE, "error: libsql cannot be initialised");
        assert_eq!(accused(&unable(), Err(unable())), None);
        let babbled = || End { manner: Manner::Babbled("hm".into()), last_words: String::new() };
        assert_eq!(accused(&babbled(), Err(babbled())), None);
    }

    #[test]
    fn both_ends_are_told() {
        let outcome = judged(&silent(), Err(died(134, "out of memory")));
        let Verdict::HarnessBroken(why) = outcome.verdict else { panic!("{outcome:?}") };
        assert_eq!(
            why,
            "its process was silent for 60s; played again alone it died with exit status: 134: \
             out of memory"
        );
    }
}
