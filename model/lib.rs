//! The oracle: what the platform's contract allows, written without looking at the platform.
//!
//! Pure: no clock, no disk, no network, no randomness. A runner tells [`oracle::Oracle`] what it
//! sent, what came back, when boots began and ended, what the clock read, and which rows it found;
//! the oracle answers with [`violation::Violation`]s.
//!
//! ```
//! use stormglass_model::automaton::Mode;
//! use stormglass_model::clock::Moment;
//! use stormglass_model::oracle::Oracle;
//! use stormglass_model::request::{Answer, Kind, Request};
//! use stormglass_model::workload::session::session;
//!
//! let at = |mono_ms| Moment { mono_ms, clock_ms: 1_700_000_000_000 + mono_ms as i64 };
//! let mut oracle = Oracle::new(Mode::BlobRefs { default_inline_max: 131_072 }, at(0));
//! oracle.set_spec(session());
//! oracle.boot_started(at(0)).expect("no boot runs yet");
//! let read = Request::new("t", "Sessions", Kind::Read { id: "a".into() });
//! let op = oracle.send(at(1), read);
//! let answer = Answer::Error { status: 409, code: "WrongState".into() };
//! let violations = oracle.answer(at(2), op, &answer).expect("the request is open");
//! assert_eq!(violations[0].place, "answer not allowed: WrongState");
//! ```
//!
//! **Invariant:** this crate depends on neither the platform nor the simulated world.

pub mod automaton;
pub mod blob_check;
pub mod canonical;
pub mod clock;
pub mod damage;
pub mod decide;
pub mod entity;
pub mod explain;
pub mod fit;
pub mod guests;
pub mod inner;
pub mod journal_check;
mod learn;
pub mod ledger;
mod lists;
pub mod observe;
pub mod oracle;
pub mod outbox_check;
pub mod project;
pub mod request;
#[cfg(test)]
mod self_test;
pub mod show;
mod spawns;
pub mod sweep_check;
pub mod tables;
pub mod violation;
pub mod words;
pub mod workload;
pub mod world;
