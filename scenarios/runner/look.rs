//! Looking on while a run is played, a step at a time.
//!
//! **Invariant:** whoever looks changes nothing: a run that is looked at to its end has the trace that it has alone.

use super::{PlayOptions, Run, play_looked_at};
use crate::check::{Going, Judge, Part, Stop};
use crate::patience::Bound;
use crate::plan::{Plan, Step, Who};
use crate::verdict::Played;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use stormglass_sim::{World, WorldError};

/// The moment before a step, or before several that are sent at once. The server is up and nothing moves.
pub struct Pause<'p> {
    /// What comes next; nothing after the last step, before the run's own checks.
    pub next: &'p [Step],
    /// The story so far.
    pub story: &'p [String],
    world: &'p World,
    judge: &'p Judge<'p>,
}

impl Pause<'_> {
    /// What the model takes for true, and the blobs that the tables had when they were last read.
    pub fn model(&self) -> Value {
        let mut shown = self.judge.show();
        let clock = self.world.clock();
        shown["monotonic_ms"] = json!(clock.monotonic_ms());
        shown["utc_ms"] = json!(clock.now_utc_ms());
        shown["disk_op_count"] = json!(self.world.op_count());
        shown
    }

    /// What the model takes for true of one entity.
    pub fn entity(&self, who: Who) -> Option<Value> {
        self.judge.show_entity(who)
    }
}

/// Whoever looks; with a break the run is left.
pub type Look<'l> = &'l dyn Fn(&Pause<'_>) -> ControlFlow<()>;

/// What is around a run.
pub(super) struct Around<'a> {
    /// Is told whose turn it is.
    pub watch: &'a dyn Fn(Part),
    /// Whoever looks on.
    pub look: Option<Look<'a>>,
    /// How much it may do.
    pub bound: Bound,
}

impl Default for Around<'_> {
    fn default() -> Self {
        Around { watch: &|_| {}, look: None, bound: Bound::WHOLE }
    }
}

/// What came of a run that was looked at.
pub struct LookedAt {
    /// As far as it was played.
    pub played: Played,
    /// Whether it was left before its end: then its verdict is none.
    pub was_left: bool,
}

/// Plays `plan`, and has `look` see each moment before a step.
///
/// # Errors
/// [`WorldError`] when there can be no world.
pub fn play_step_by_step(
    plan: &Plan,
    options: PlayOptions,
    look: Look<'_>,
) -> Result<LookedAt, WorldError> {
    play_looked_at(plan, options, &Around { look: Some(look), ..Around::default() })
}

impl Run<'_> {
    /// Has whoever looks see the moment before `next`.
    pub(super) fn pause(&mut self, next: &[Step]) -> Going {
        let Some(look) = self.look else { return Ok(()) };
        let (story, world, judge) = (self.story.lines(), self.world, &self.judge);
        match look(&Pause { next, story, world, judge }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => {
                self.was_left = true;
                Err(Stop::Broken("it was left before its end".to_string()))
            }
        }
    }
}
