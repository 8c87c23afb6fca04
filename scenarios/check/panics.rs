//! Panics of a run, and whose they are.
//!
//! **Invariant:** a panic never takes the verdict with it. madsim hands a task's panic on to whoever runs
//! the runtime, so that it ends the run and nothing else: it is caught there.
//!
//! **Verified:** I21: a panic whose innermost frame of this project is the platform's, be it in a library
//! that the platform called. One in the harness (simulated world, model, runner) accuses nobody.
//! **Not verified:** a panic below SQLite's C code, an abort, a stack that is full: they end the process,
//! and a worker's end is judged by the one who started it.

use crate::verdict::{Finding, Verdict};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;
use stormglass_model::violation::Invariant;

/// The crates of this project, as they stand in a stack trace; the platform is the first.
const CRATES: [&str; 4] =
    ["stormglass_platform::", "stormglass_scenarios::", "stormglass_model::", "stormglass_sim::"];

/// A panic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Panic {
    /// File and line.
    place: String,
    message: String,
    is_of_platform: bool,
}

impl Panic {
    /// What a run ends with that panicked so.
    pub fn verdict(self) -> Verdict {
        let Panic { place, message, is_of_platform } = self;
        if !is_of_platform {
            return Verdict::HarnessBroken(format!("panicked at {place}: {message}"));
        }
        Verdict::Violated(Finding {
            invariant: Invariant::I21.id().to_string(),
            statement: Invariant::I21.name().to_string(),
            place: "panic".to_string(),
            subject: place,
            expected: "no panic".to_string(),
            actual: message,
            because: Invariant::I21.statement().to_string(),
        })
    }
}

thread_local! {
    static WATCHES: Cell<bool> = const { Cell::new(false) };
    static CAUGHT: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// Runs `work` to its end or to a panic in it.
///
/// # Errors
/// The panic. What `work` borrowed is as the panic left it.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if WATCHES.get() {
                let first = || of(info, &Backtrace::force_capture().to_string());
                CAUGHT.with_borrow_mut(|caught| _ = caught.get_or_insert_with(first));
            }
            before(info);
        }));
    });
    let watched = WATCHES.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    WATCHES.set(watched);
    let first = CAUGHT.take();
    done.map_err(|_| first.unwrap_or_default())
}

fn of(info: &PanicHookInfo<'_>, stack: &str) -> Panic {
    let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
    Panic {
        place: place.unwrap_or_default(),
        message: info.payload_as_str().unwrap_or("a panic without words").to_string(),
        is_of_platform: is_of_platform(stack),
    }
}

/// Whether the innermost frame of this project is the platform's. Frames of this file are the hook's.
fn is_of_platform(stack: &str) -> bool {
    let ours = |line: &&str| {
        CRATES.iter().any(|name| line.contains(name)) && !line.contains("::check::panics::")
    };
    stack.lines().find(ours).is_some_and(|line| line.contains(CRATES[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_the_innermost_crates_of_this_project() {
        let hook = "0: stormglass_scenarios::check::panics::caught::{{closure}}\n1: std::panicking";
        let outer = "8: stormglass_platform::store::Store::put\n9: stormglass_scenarios::server";
        let stack = |inner: &str| format!("{hook}\n{inner}\n{outer}");
        assert!(is_of_platform(&stack("7: libsql::local::Connection::execute")));
        assert!(!is_of_platform(&stack("7: <stormglass_sim::vfs::File as X>::read")));
        assert!(!is_of_platform(&stack("7: stormglass_scenarios::seams::SimClock::sleep")));
        assert!(!is_of_platform(hook));
    }

    #[test]
    fn what_does_not_panic_is_returned_and_what_does_is_kept_with_its_place() {
        assert_eq!(caught(|| 7), Ok(7));
        let panic = caught(|| panic!("oh {}", 1)).expect_err("it panics");
        assert_eq!(panic.message, "oh 1");
        assert!(panic.place.contains("panics.rs:"), "{}", panic.place);
        assert!(matches!(panic.verdict(), Verdict::HarnessBroken(_)));
        assert_eq!(caught(|| 8), Ok(8));
    }

    #[test]
    fn a_panic_of_the_platform_is_a_finding() {
        let panic = Panic { is_of_platform: true, ..Panic::default() };
        let Verdict::Violated(finding) = panic.verdict() else { panic!("no finding") };
        assert_eq!((finding.invariant.as_str(), finding.place.as_str()), ("I21", "panic"));
    }
}
