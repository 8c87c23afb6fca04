//! Panics of a run, and whose they are.
//!
//! **Invariant:** a panic never takes the verdict with it. madsim hands a task's panic on to whoever runs
//! the runtime, so that it ends the run and nothing else: it is caught there.
//!
//! **Verified:** I21: a panic in the platform, or in a library where the innermost code of this project on
//! the stack is the platform's. One in the harness (simulated world, model, runner) accuses nobody.
//! **Not verified:** a panic below SQLite's C code, an abort, a stack that is full: they end the process,
//! and a worker's end is judged by the one who started it.

use crate::verdict::{Finding, Verdict};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::path::{Component, Path, PathBuf};
use std::sync::Once;
use stormglass_model::violation::Invariant;

/// The folders of this project whose code a run is made of.
const PLATFORM: &str = "src";
const HARNESS: [&str; 3] = ["scenarios", "model", "sim"];

/// A panic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Panic {
    /// File and line.
    place: String,
    message: String,
    is_of_platform: bool,
}

impl Panic {
    /// What a run ends with that panicked so during a step of this kind.
    pub fn verdict(self, step_kind: &str) -> Verdict {
        let Panic { place, message, is_of_platform } = self;
        if is_of_a_thread(&place) {
            return Verdict::HarnessBroken(format!(
                "a thread was started in the run, where the simulated runtime refuses them ({place}): what \
                 threads do depends on the host"
            ));
        }
        if !is_of_platform {
            return Verdict::HarnessBroken(format!("panicked at {place}: {message}"));
        }
        Verdict::Violated(Finding {
            invariant: Invariant::I21.id().to_string(),
            statement: Invariant::I21.name().to_string(),
            step_kind: step_kind.to_string(),
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
    let file = info.location().map_or("", |at| at.file());
    let line = info.location().map_or(0, |at| at.line());
    let is_platforms = is_platforms(&plain(Path::new(file))).or_else(|| {
        let here = std::env::current_dir().unwrap_or_default();
        is_of_platform(stack, &here)
    });
    Panic {
        place: format!("{file}:{line}"),
        message: info.payload_as_str().unwrap_or("a panic without words").to_string(),
        is_of_platform: is_platforms.unwrap_or(false),
    }
}

/// Whether a panic is the standard library's that was to start a thread: madsim has every start fail.
fn is_of_a_thread(place: &str) -> bool {
    place.contains("library/std/src/") && place.contains("thread")
}

/// Whether a file, named from the project's root, is the platform's or the harness's.
fn is_platforms(file: &Path) -> Option<bool> {
    let folder = file.components().next()?.as_os_str().to_str()?;
    let is_platform = folder == PLATFORM;
    (is_platform || HARNESS.contains(&folder)).then_some(is_platform)
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => _ = plain.pop(),
            Component::CurDir => {}
            part => plain.push(part),
        }
        plain
    })
}

/// Whether the innermost file of this project in a stack trace is the platform's. The trace tells files
/// from `here` where they are beneath it. This file's frames are the hook's.
fn is_of_platform(stack: &str, here: &Path) -> Option<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let files = stack.lines().filter_map(|line| line.trim().strip_prefix("at "));
    let mut ours = files.filter_map(|file| {
        let file = plain(&here.join(file));
        let file = file.strip_prefix(root).ok()?;
        if file.to_str()?.starts_with("scenarios/check/panics.rs:") {
            None
        } else {
            is_platforms(file)
        }
    });
    ours.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_the_innermost_files_of_this_project() {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of this project");
        let is_of = |inner: &str, outer: &str| {
            let frame = |file: &str| format!("   0: {{closure}}\n             at {file}:7:9\n");
            let own = "./scenarios/check/panics.rs";
            is_of_platform(&(frame(own) + &frame(inner) + &frame(outer)), root)
        };
        let absolute = |file: &str| format!("{}/{file}", root.display());
        assert_eq!(is_of("/cargo/libsql/src/lib.rs", "./src/store/sql.rs"), Some(true));
        assert_eq!(is_of("/cargo/libsql/src/lib.rs", &absolute("src/store/sql.rs")), Some(true));
        assert_eq!(is_of("./sim/vfs.rs", "./src/store/sql.rs"), Some(false));
        assert_eq!(is_of("./src/store/sql.rs", "./scenarios/server.rs"), Some(true));
        assert_eq!(is_of("./tests/it/panics.rs", "./src/intake.rs"), Some(true));
        assert_eq!(is_of("/rustc/library/core/src/option.rs", "/elsewhere/src/lib.rs"), None);
    }

    #[test]
    fn what_does_not_panic_is_returned_and_what_does_is_kept_with_its_place() {
        assert_eq!(caught(|| 7), Ok(7));
        let panic = caught(|| panic!("oh {}", 1)).expect_err("it panics");
        assert_eq!(panic.message, "oh 1");
        assert!(panic.place.contains("panics.rs:"), "{}", panic.place);
        assert!(matches!(panic.verdict("act"), Verdict::HarnessBroken(_)));
        assert_eq!(caught(|| 8), Ok(8));
    }

    #[test]
    fn a_panic_of_the_platform_is_a_finding() {
        let panic = Panic { is_of_platform: true, ..Panic::default() };
        let Verdict::Violated(finding) = panic.verdict("act") else { panic!("no finding") };
        assert_eq!((finding.invariant.as_str(), finding.place.as_str()), ("I21", "panic"));
    }
}
