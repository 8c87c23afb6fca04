//! The integration tests of the whole workspace, in one binary: each further one would link SQLite
//! again. A module a subject.

mod determinism;
mod disk;
mod every_crash;
mod faults;
mod fingerprint;
mod parity;
mod passthrough;
mod points;
