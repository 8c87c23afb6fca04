//! The integration tests of the whole workspace, in one binary: each further one would link SQLite
//! again. A module a subject.

mod campaigns;
mod checks;
mod cli;
mod command;
mod defects;
mod determinism;
mod dishonest;
mod disk;
mod every_crash;
mod explore;
mod explore_matrix;
mod faults;
mod fingerprint;
mod guests;
mod json;
mod ledger;
mod live;
mod messages;
mod panics;
mod parity;
mod passthrough;
mod plans;
mod planted;
mod points;
mod provision;
mod refused;
mod replay;
mod report;
mod seeds;
mod shrinking;
mod specs;
mod stories;
mod sweeps;
mod workers;
