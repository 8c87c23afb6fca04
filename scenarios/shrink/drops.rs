//! Drops parts of a plan's lists: halves first, then ever smaller pieces, at last single ones.
//!
//! **Invariant:** what is left keeps its order, and steps that were sent together stay so and join no other
//! group.

use super::tree::Pass;
use crate::plan::{Action, Plan, Step, Values};

/// A list of a plan.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Steps,
    Faults,
    /// The guests' runs with little fuel.
    Fuel,
    /// The values of all steps, one after the other.
    Values,
}

impl Part {
    fn count(self, plan: &Plan) -> usize {
        match self {
            Part::Steps => plan.steps.len(),
            Part::Faults => plan.faults.len(),
            Part::Fuel => plan.fuel.len(),
            Part::Values => plan.steps.iter().map(|step| step.action.values().len()).sum(),
        }
    }

    /// The plan without `len` of these from `at` on.
    fn drop(self, plan: &Plan, at: usize, len: usize) -> Plan {
        let mut rest = plan.clone();
        match self {
            Part::Steps => rest.steps = without(&plan.steps, at, len),
            Part::Faults => drop(rest.faults.drain(at..at + len)),
            Part::Fuel => drop(rest.fuel.drain(at..at + len)),
            Part::Values => {
                let mut place = 0;
                for values in rest.steps.iter_mut().filter_map(|step| values(&mut step.action)) {
                    values.retain(|_| {
                        place += 1;
                        place <= at || place > at + len
                    });
                }
            }
        }
        rest
    }
}

/// The values that a step brings, to be changed.
pub(super) fn values(action: &mut Action) -> Option<&mut Values> {
    match action {
        Action::Create { values, .. }
        | Action::Act { values, .. }
        | Action::Patch { values, .. } => Some(values),
        _ => None,
    }
}

/// Steps that were sent together stay so; the first that is left of a group waits for what came before
/// it, as the first of the whole group did.
pub(super) fn without(steps: &[Step], at: usize, len: usize) -> Vec<Step> {
    let mut rest = Vec::new();
    let mut has_first = false;
    for (index, step) in steps.iter().enumerate() {
        has_first &= step.together;
        if index < at || index >= at + len {
            rest.push(Step { together: step.together && has_first, ..step.clone() });
            has_first = true;
        }
    }
    rest
}

/// Drops what it can of one list.
pub(super) struct Drops {
    part: Part,
    /// How many at once; nothing before the first try.
    len: Option<usize>,
    /// The end of the next piece.
    end: usize,
    /// The beginning of the piece that was tried.
    at: usize,
}

impl Drops {
    pub fn new(part: Part) -> Drops {
        Drops { part, len: None, end: 0, at: 0 }
    }
}

impl Pass for Drops {
    fn next(&mut self, best: &Plan, was_kept: Option<bool>) -> Option<Plan> {
        let count = self.part.count(best);
        if was_kept.is_some() {
            self.end = self.at;
        }
        let len = *self.len.get_or_insert_with(|| {
            self.end = count;
            count.div_ceil(2)
        });
        if len == 0 {
            return None;
        }
        if self.end == 0 {
            // From the end: what comes after the failure goes first, and earlier steps keep their place.
            (self.len, self.end) = (Some(len / 2), count);
            return if len / 2 == 0 { None } else { self.next(best, None) };
        }
        self.at = self.end.saturating_sub(len);
        Some(self.part.drop(best, self.at, self.end - self.at))
    }
}
