//! An event-sourced entity platform whose large field values overflow into blobs.
//!
//! Specs describe entity types as automata. Each entity has one actor and one journal; an accepted
//! action is one event. A field value over its ceiling is kept as a content-addressed blob, and a
//! reference stands in its place until it is read.
//!
//! # Starting
//!
//! ```no_run
//! # use stormglass_platform::{Config, Op, Platform, Request, SpecText, Specs, Seams};
//! # async fn run(seams: Seams, text: String) -> Result<(), Box<dyn std::error::Error>> {
//! let file = "session.ioa.toml".to_owned();
//! let specs = Specs::read(&[SpecText { file, text }], false)?;
//! let config = Config { specs, ..Config::default() };
//! let platform = Platform::start(config, seams)?;
//! let body = serde_json::json!({"Id": "s1"}).into();
//! let op = Op::Create { set: "Sessions".into(), body };
//! let created = platform.handle(Request::new("acme", op)).await;
//! assert_eq!((created.status, created.sequence_nr), (201, Some(1)));
//! platform.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! [`Platform::handle`] takes a [`Request`] and gives an [`Answer`]: a status as in HTTP, a code
//! for a failure, the body, and the entity's sequence number. 4xx is a rejection, nothing changed;
//! 5xx on a write leaves the action in doubt. Dropping a [`Platform`] without
//! [`Platform::shutdown`] is a kill: start another on the same databases.
//!
//! # The world outside
//!
//! [`Seams`] gathers everything the platform needs: a [`seams::Clock`], the [`seams::Databases`],
//! [`seams::Ids`], and [`seams::Points`], which a simulation uses to choose who runs next. Labels
//! of points: `mailbox.send`, `actor.start`, `actor.take`, `actor.answer`, `sweeper.tenant`,
//! `outbox.take`, `guest.start`, `guest.slice`, `guest.call`, `guest.end`, and `store.ready`,
//! `store.append`, `store.put`, `store.blobs`, `store.journal`, `store.events`, `store.entity_ids`,
//! `store.snapshot`, `store.sweep`, `store.outbox`, `store.settle`, each before its store call. A
//! store call runs to its end within one poll, but for the waits while a database is locked. What an
//! event is owed has the origin of its request with `/outbox` behind it; rows that a start finds
//! have `outbox`.
//!
//! # Code map
//!
//! `spec/` reads specs; `http/` makes requests of HTTP; `intake` checks what needs no entity; `platform`
//! and `tenant` lead to the actor; `entity/` has it: `plan` makes an event, `state` folds it, `write`
//! orders event and blobs, `passivation` keeps the state, `replay` recovers, `recall` looks back; `list`
//! and `history` make pages; `overflow` and `hydrate` are the two directions of a large value; `store/`
//! is libsql; `outbox/` does what events are owed, `wasm/` runs modules for it; `sweeper` deletes what is
//! expired; `live/` is the server on a real clock, disk and socket.
//!
//! **Invariant:** but for `live/`, which no simulation is built with, this crate reads no clock, draws no
//! random number and starts no thread by itself; see [`seams`].

mod answer;
pub mod canonical;
pub mod defects;
mod entity;
mod history;
pub mod http;
mod hydrate;
mod intake;
mod list;
#[cfg(not(madsim))]
pub mod live;
pub mod metrics;
mod outbox;
pub mod overflow;
mod platform;
mod request;
pub mod seams;
pub mod spec;
mod specs;
mod store;
mod sweeper;
mod tenant;
#[cfg(test)]
mod tests;
pub mod time;
mod wasm;

pub use answer::{Answer, RequestError};
pub use overflow::OverflowMode;
pub use platform::{Config, Platform, StartError, WriteProtocol};
pub use request::{BODY_MAX, Body, Filter, Op, Request};
pub use seams::Seams;
pub use specs::{SpecText, Specs, SpecsError};
pub use store::{SqlError, StoreError};
pub use sweeper::SweepSettings;
pub use wasm::{GuestLimits, MEMORY_MAX, MODULE_MAX, Modules};
