//! The platform on a real clock, a real disk and a real socket.
//!
//! **Invariant:** this is the only part that reads a clock, draws random numbers or opens a socket,
//! and it is not there under `--cfg madsim`.

mod folder;
mod load;
mod seams;
mod serve;
mod settings;

pub use folder::Folder;
pub use seams::{FreshIds, SystemClock};
pub use serve::run;
pub use settings::Settings;

use std::io;
use std::path::PathBuf;

use crate::{SpecsError, StartError};

/// Why a server does not start, or ends other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A folder, or a file in it, that cannot be used.
    #[error("{what} {}: {why}", path.display())]
    Path {
        /// What it is for.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// The system's words.
        #[source]
        why: io::Error,
    },
    /// Another server has the data.
    #[error("data folder {} is used by another server", path.display())]
    InUse {
        /// Where it is.
        path: PathBuf,
    },
    /// A folder of specs without any.
    #[error("specs folder {} holds no file that ends in .toml", path.display())]
    NoSpecs {
        /// Where it is.
        path: PathBuf,
    },
    /// A spec that cannot be served.
    #[error(transparent)]
    Specs(#[from] SpecsError),
    /// A bad setting; databases that cannot be listed.
    #[error(transparent)]
    Start(#[from] StartError),
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}: {why}")]
    Listen {
        /// As given.
        address: String,
        /// The system's words.
        #[source]
        why: io::Error,
    },
    /// What a server needs of the system beside that.
    #[error("{what}: {why}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's words.
        #[source]
        why: io::Error,
    },
}

impl ServerError {
    fn path(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |why| Self::Path { what, path, why }
    }
}
