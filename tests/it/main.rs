//! The integration tests of the whole workspace, in one binary: each further one would link SQLite
//! again. A module a subject.

mod disk;
mod faults;
mod fingerprint;
mod parity;
mod points;
