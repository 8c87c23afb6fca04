//! The platform as a whole, on real files: what its clients see over restarts, damage and time.

mod lifecycle;
mod recovery;
mod time;
pub mod world;
