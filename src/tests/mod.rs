//! The platform as a whole, on real files: what its clients see over restarts, damage and time.

mod decisions;
mod guests;
mod lifecycle;
mod limits;
mod outbox;
mod owed;
mod passivation;
mod puts;
mod recovery;
mod rivals;
mod time;
mod together;
pub mod world;
mod written;
