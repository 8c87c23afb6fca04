//! The durability matrix: what each `journal_mode` and each `synchronous` keeps, whichever way the process
//! ends.
//!
//! **Invariant:** one script, every setting, every moment of it. What is seen is held against the committed
//! table (`matrix.toml`), in both directions: a cell that must keep and loses is red, and so is one that may
//! lose and was not seen to, because then nobody knows whether the simulated disk forgets anything. What the
//! disk does that no cell depends on has controls beside the table, tried first.
//!
//! This is bare libsql, as in scenario `sql`: the platform sets its own pragmas.

mod control;
mod expectations;
mod judge;
mod report;
mod script;
mod states;

pub use control::Control;
pub use expectations::{COMMITTED as TABLE, Expectation, Expectations, TableError};
pub use judge::{INVARIANTS, Marks};
pub use report::{Cell, Matrix};

use crate::sql::{Journal, Synchronous};
use judge::{Found, broken, find};
use script::{Played, play};
use states::visit;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use stormglass_sim::disk::Digests;
use stormglass_sim::{Digest, Ending, World, WorldError, WorldOptions};

/// Crash states of a cell at most.
pub const STATES_MAX: u64 = 1_000;

/// Two pragmas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `PRAGMA journal_mode`.
    pub journal: Journal,
    /// `PRAGMA synchronous`.
    pub synchronous: Synchronous,
}

impl Setting {
    /// All there are, in the order of the table.
    pub fn all() -> impl Iterator<Item = Setting> {
        JOURNALS.into_iter().flat_map(|journal| {
            SYNCHRONOUS.into_iter().map(move |synchronous| Setting { journal, synchronous })
        })
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.journal.word(), self.synchronous.word())
    }
}

const JOURNALS: [Journal; 6] = [
    Journal::Wal,
    Journal::Delete,
    Journal::Truncate,
    Journal::Persist,
    Journal::Memory,
    Journal::Off,
];
const SYNCHRONOUS: [Synchronous; 4] =
    [Synchronous::Extra, Synchronous::Full, Synchronous::Normal, Synchronous::Off];

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It dies; what it wrote stays in the page cache.
    ProcessKill,
    /// The power goes. Bytes that were not synced may be lost; every name is as it was last.
    PowerLossNamesKept,
    /// The power goes. What was not synced may be lost, entries of directories too.
    PowerLoss,
}

impl End {
    /// All there are, in the order of the table.
    pub const ALL: [End; 3] = [End::ProcessKill, End::PowerLossNamesKept, End::PowerLoss];

    /// Its name in the table.
    pub fn word(self) -> &'static str {
        match self {
            End::ProcessKill => "process kill",
            End::PowerLossNamesKept => "power loss, names kept",
            End::PowerLoss => "power loss",
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why there is no matrix: trouble of the harness.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    /// There can be no world.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A statement failed, and nothing had gone wrong.
    #[error("{setting}: a statement of the script failed: {why}")]
    Sql {
        /// Under which setting.
        setting: Setting,
        /// What SQLite says.
        why: libsql::Error,
    },
    /// SQLite kept another journal.
    #[error("{setting}: SQLite kept journal_mode {taken}")]
    NotTaken {
        /// What was asked for.
        setting: Setting,
        /// What it kept.
        taken: String,
    },
}

/// Tries the controls, then plays the script under each of `settings` and tries the crash states of its cells.
/// `stop` ends it between two settings.
///
/// # Errors
/// [`MatrixError`].
pub fn explore(
    settings: impl IntoIterator<Item = Setting>,
    expectations: &Expectations,
    stop: &AtomicBool,
) -> Result<Matrix, MatrixError> {
    let controls = control::controls()?;
    let mut settings = settings.into_iter();
    let (mut cells, mut settings_left) = (Vec::new(), 0);
    while let Some(setting) = settings.next() {
        if stop.load(Ordering::Relaxed) {
            settings_left = 1 + settings.count();
            break;
        }
        let played = play(setting)?;
        let world = World::new(script::SEED, WorldOptions::default())?;
        let mut looks = Looks { world, digests: Digests::default(), found: BTreeMap::new() };
        for end in End::ALL {
            let expected = expectations.of(setting, end).clone();
            let mut cell = Cell::new(setting, end, &played, expected);
            looks.try_all(&played, &mut cell);
            cells.push(cell);
        }
    }
    Ok(Matrix { controls, cells, cells_left: settings_left * End::ALL.len() })
}

/// What was found on the disks of one setting. A disk is looked at once.
struct Looks {
    world: World,
    digests: Digests,
    found: BTreeMap<Digest, Found>,
}

impl Looks {
    fn try_all(&mut self, played: &Played, cell: &mut Cell) {
        let Looks { world, digests, found } = self;
        let Played { moments, states, .. } = played;
        visit(moments, (cell.setting, cell.end), STATES_MAX, digests, |state| {
            let found = found
                .entry(state.digest)
                .or_insert_with(|| find(&world.side_machine(state.disk, &Ending::ProcessKill)));
            cell.count(broken(found, states, state.acknowledged));
        });
    }
}
