//! A simulated disk, clock and randomness under any program that stores its data with libsql.
//!
//! **Invariant:** this crate knows nothing of the program on top of it.

#[cfg(all(feature = "madsim", not(madsim)))]
compile_error!(
    "stormglass-sim needs `--cfg madsim`: an environment variable RUSTFLAGS has replaced the flags of \
     .cargo/config.toml. Unset it, or add `--cfg madsim` to it, or turn off the feature `madsim`."
);

pub mod boundary;
pub mod clock;
pub mod crash_state;
mod damage;
pub mod disk;
pub mod fault;
mod handle;
mod locks;
mod machine;
#[cfg(feature = "madsim")]
pub mod points;
pub mod rng;
mod scene;
#[cfg(feature = "madsim")]
pub mod schedule;
pub mod sqlite_file;
pub mod trace;
mod vfs;
mod world;

pub use boundary::Boundary;
pub use clock::Clock;
pub use crash_state::{Ending, Survivors};
pub use damage::{Damage, Harm};
pub use disk::{Disk, DiskOptions};
pub use fault::{Effect, Fault, Target, When};
pub use handle::{Handle, IoError, OpenMode};
pub use machine::{Boot, Crash, Machine};
#[cfg(feature = "madsim")]
pub use points::{Label, Points};
pub use rng::{Seed, Stream};
pub use scene::Scene;
#[cfg(feature = "madsim")]
pub use schedule::Policy;
pub use trace::{Digest, FileKind, OpKind};
pub use vfs::KeptRandomness;
pub use world::{World, WorldError, WorldOptions};

use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Runs a future that never waits for anything outside itself, such as libsql's on local files: they
/// run their SQL inside `poll`.
///
/// # Panics
/// When the future does wait.
pub fn block_on<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("block_on is for futures that never wait; this one does"),
    }
}
