//! What every author of steps writes alike, whatever the specs: how a client sends an action, and steps that
//! ask no entity.
//!
//! **Invariant:** it looks at what an action is, never at what it does.

use super::author::Cast;
use super::draw::Draw;
use crate::plan::{Action, Step};

/// How a client sends an action.
pub struct Manner {
    /// Together with the step before.
    pub together: bool,
    /// With an idempotency key.
    pub key: Option<u32>,
    /// With a version that the entity must have.
    pub if_match: Option<u64>,
}

impl Manner {
    /// Draws it for an action after `last`, of an entity that is at `version`, as far as that is known. A key is
    /// one that no step has yet.
    pub fn of(
        draw: &mut Draw,
        cast: &Cast,
        (last, action): (Option<&Step>, &Action),
        (key_count, version): (&mut u32, Option<u64>),
    ) -> Manner {
        let follows_request = last.is_some_and(|last| last.action.is_request());
        let is_crowd = cast.clients > 1 && follows_request && action.is_request();
        let together = is_crowd && draw.percent(30);
        let key = (action.is_write() && draw.percent(25)).then(|| fresh_key(key_count));
        let version = version.filter(|_| action.is_write() && draw.percent(10));
        let off = draw.pick(&[0, 0, 0, -1, 1]);
        let if_match = version.map(|version| version.saturating_add_signed(off));
        Manner { together, key, if_match }
    }

    /// Gives it to a step.
    pub fn give(self, step: &mut Step) {
        (step.together, step.key, step.if_match) = (self.together, self.key, self.if_match);
    }
}

/// A key that no step has yet.
pub fn fresh_key(key_count: &mut u32) -> u32 {
    *key_count += 1;
    *key_count
}

/// One of the steps that have a key, if there are any.
pub fn keyed(draw: &mut Draw, steps: &[Step]) -> Option<Step> {
    let keyed: Vec<usize> = (0..steps.len()).filter(|at| steps[*at].key.is_some()).collect();
    (!keyed.is_empty()).then(|| steps[draw.pick(&keyed)].clone())
}

/// How much of a list is asked for.
pub fn top(draw: &mut Draw) -> Option<u32> {
    draw.pick(&[None, Some(1), Some(2), Some(1_000)])
}

/// A sweep of a tenant.
pub fn sweep(draw: &mut Draw, tenant: u32) -> Action {
    Action::Sweep { tenant, max_rows: draw.pick(&[1, 2, 1_000]) }
}

/// Some time.
pub fn wait(draw: &mut Draw) -> Action {
    Action::Wait { ms: draw.pick(&[1, 500, 5_000, 61_000, 700_000, 30_000_000]) }
}

/// A step of the clock.
pub fn step_clock(draw: &mut Draw) -> Action {
    Action::StepClock { by_ms: draw.pick(&[-7_200_000, -1_000, -1, 1, 1_000, 7_200_000]) }
}
