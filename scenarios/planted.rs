//! Non-determinism that is planted on purpose: the control of the harness's own comparisons.
//!
//! **Invariant:** these are no defects of the platform: no list names them, no promise of the contract is about
//! them, and without the feature `defects` there is none. Whatever is planted stays in the thread that planted it.

use std::cell::Cell;

/// How the names begin that `--defect` takes for one of these.
pub const PREFIX: &str = "planted-";

/// Where a value reaches a run that is none of its plan's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The milliseconds of the platform's clock.
    Clock,
    /// The name under which a task waits for its turn.
    Name,
}

/// What is planted.
#[derive(Clone, Copy, Debug)]
pub struct Plant {
    /// Where.
    pub place: Place,
    /// What the value is: asked every time.
    pub value: fn() -> u64,
}

thread_local! {
    static PLANTED: Cell<Option<Plant>> = const { Cell::new(None) };
}

/// Plants it in the runs of this thread, or takes away what was planted.
pub fn plant(plant: Option<Plant>) {
    PLANTED.set(plant);
}

/// The value that is planted at this place.
pub(crate) fn at(place: Place) -> Option<u64> {
    if cfg!(not(feature = "defects")) {
        return None;
    }
    PLANTED.get().filter(|plant| plant.place == place).map(|plant| (plant.value)())
}

/// The plants that the command line has, for controls from end to end.
///
/// # Errors
/// There is none of this name.
pub fn known(name: &str) -> Result<Plant, String> {
    let value: fn() -> u64 = match name {
        "planted-address" => address,
        "planted-thread" => thread,
        _ => return Err(format!("no control `{name}`")),
    };
    Ok(Plant { place: Place::Name, value })
}

/// Where something lies in memory, which each process decides anew.
fn address() -> u64 {
    let here = Box::new(0_u8);
    std::ptr::from_ref::<u8>(&here).addr() as u64
}

/// A thread: whatever it does, the host says when.
#[expect(clippy::disallowed_methods, reason = "what is to be refused")]
fn thread() -> u64 {
    drop(std::thread::spawn(|| {}));
    0
}
