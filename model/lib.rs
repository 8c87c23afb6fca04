//! The oracle: what the platform's contract allows, written without looking at the platform.
pub mod automaton;
pub mod canonical;
pub mod clock;
pub mod decide;
pub mod entity;
pub mod project;
pub mod request;
pub mod violation;
pub mod workload;
