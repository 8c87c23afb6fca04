//! Threads that were started in a run.
//!
//! **Invariant:** a run has no thread but its own: what another one does, and when, is the host's. madsim refuses
//! those of Rust's standard library (see [`crate::check::panics`]); those that C code starts are seen here.
//!
//! **Not verified:** a thread that has ended before its run has, where there is no `/proc`, and in a process that
//! has threads of other business.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where Linux lists the threads of a process.
const TASKS: &str = "/proc/self/task";

static IS_WATCHED: AtomicBool = AtomicBool::new(false);

/// From now on this process plays runs and starts no thread for anything else.
pub fn watch() {
    IS_WATCHED.store(true, Ordering::Relaxed);
}

/// The threads of this process, by number, if they are watched.
pub(crate) struct Threads(Option<BTreeSet<u32>>);

impl Threads {
    /// Those that there are.
    pub fn now() -> Threads {
        Threads(IS_WATCHED.load(Ordering::Relaxed).then(all))
    }

    /// Why the harness is broken, if there are more by now.
    pub fn started(&self) -> Option<String> {
        let started: Vec<u32> = all().difference(self.0.as_ref()?).copied().collect();
        let name = |id: &u32| {
            let name = fs::read_to_string(format!("{TASKS}/{id}/comm")).unwrap_or_default();
            format!("`{}`", name.trim())
        };
        (!started.is_empty()).then(|| {
            let names: Vec<String> = started.iter().map(name).collect();
            let names = names.join(", ");
            format!(
                "a thread was started in the run ({names}): what threads do depends on the host"
            )
        })
    }
}

fn all() -> BTreeSet<u32> {
    let entries = fs::read_dir(TASKS).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
