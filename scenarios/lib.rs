//! Ties the simulated world, the platform and the model together: what a run does, what it must keep,
//! and how many of them are played and told.

pub mod build_info;
pub mod bundle;
pub mod campaign;
pub mod change;
pub mod check;
pub mod counts;
pub mod defects;
pub mod determinism;
pub mod drive;
pub mod foreign;
pub mod host;
pub mod http;
pub mod hunt;
pub mod live;
pub mod malformed;
pub mod patience;
pub mod plan;
pub mod profile;
pub mod prune;
pub mod recipe;
pub mod rows;
pub mod runner;
pub mod scenario;
pub mod seams;
pub mod server;
pub mod spec_report;
pub mod sql;
pub mod story;
pub mod tally;
pub mod times;
pub mod translate;
pub mod verdict;
pub mod what;
pub mod workers;
pub mod workload;
