//! The platform as a whole, on real files: what its clients see over restarts, damage and time.

mod guests;
mod lifecycle;
mod outbox;
mod recovery;
mod rivals;
mod time;
mod together;
pub mod world;
mod written;
