//! What a run came to, with what it counted.
//!
//! **Invariant:** it is read off a run that is over; nothing here moves its world.

use super::Run;
use super::look::LookedAt;
use crate::counts;
use crate::trail::{self, Trail};
use crate::verdict::{Finding, Outcome, Played, Verdict, count_faults};
use std::collections::BTreeMap;
use stormglass_model::violation::Violation;
use stormglass_sim::{Damage, Harm, World};

/// Of a run that ended with this verdict.
pub(super) fn of(mut run: Run<'_>, verdict: Verdict) -> LookedAt {
    let (world, plan) = (run.world, run.plan);
    let (scenes, told_count) = run.told.take().unwrap_or_else(|| run.told_by_now());
    let Run { story, tally, judge, disk, moved, points, follower, was_left, .. } = run;
    let drawn = trail::drawn(&world.crashes());
    let trail = Trail { drawn, ..follower.into_trail(tally.struck(world, &plan.faults)) };
    let spent_count = tally.phases.guests().spent_count();
    let mut counts = tally.into_counts(world);
    if !plan.fuel.is_empty() {
        counts.insert(counts::GUESTS_SPENT.to_string(), spent_count);
    }
    counts.insert(counts::policy(plan.policy.name()), 1);
    counts.insert(counts::reached(counts::OVERTAKEN), points.overtaken_count());
    counts.insert(counts::READINGS.to_string(), judge.reading_count);
    counts.insert(counts::UNVERIFIED.to_string(), judge.unverified());
    counts.insert(counts::ORPHANS.to_string(), judge.orphan_count());
    count_faults(&mut counts, &world.ledger());
    if plan.is_dishonest() {
        count_damage(&mut counts, world);
    }
    let outcome = Outcome {
        verdict,
        fingerprint: world.fingerprint().to_string(),
        op_count: world.op_count(),
        counts,
        trail,
    };
    let (story, records) = (story.into_lines(), world.records());
    let played = Played { outcome, story, records, disk, moved, scenes, told_count };
    LookedAt { played, was_left }
}

/// What a run that was to be damaged is counted by, apart from the others.
fn count_damage(counts: &mut BTreeMap<String, u64>, world: &World) {
    let is_unkept = |damage: &&Damage| damage.harm == Harm::Unkept;
    let unkept = world.damages().iter().filter(is_unkept).count() as u64;
    let is_swap = counts.contains_key(counts::DAMAGE_SWAPS);
    counts.insert(counts::DAMAGE_RUNS.to_string(), 1);
    if world.damage_count() > 0 || is_swap {
        counts.insert(counts::DAMAGE_STRUCK.to_string(), 1);
    }
    if unkept > 0 {
        counts.insert(counts::DAMAGE_UNKEPT.to_string(), unkept);
    }
}

pub(super) fn finding(violation: Violation, step_kind: &str) -> Finding {
    Finding {
        invariant: violation.invariant.id().to_string(),
        statement: violation.invariant.name().to_string(),
        place: violation.place.to_string(),
        step_kind: step_kind.to_string(),
        subject: violation.entity,
        expected: violation.expected,
        actual: violation.actual,
        because: violation.because,
    }
}
