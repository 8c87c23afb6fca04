//! Swarm settings that are not of a scenario's own: who goes on at points, and which kinds of faults there are.
//!
//! **Invariant:** each is drawn from a stream of its own, in a part of the seeds: the plans of the others are
//! what they were without it.

use super::author::Cast;
use super::draw::Draw;
use super::faults;
use crate::counts::fault_kinds;
use crate::plan::{Step, Swarm};
use crate::profile::Profile;
use std::collections::BTreeSet;
use stormglass_sim::{Effect, Fault, OpKind, Policy, Seed};

/// Plans whose tasks go on by PCT, in percent.
const PCT_SHARE: u32 = 25;
/// Plans whose faults are of some kinds only, in percent.
const SOME_FAULTS_SHARE: u32 = 25;
/// Plans with another ceiling than the platform's default, in percent.
const CEILING_SHARE: u32 = 20;
/// Of the writes that find no space those that are written in part, in percent.
const SHORT_WRITES_SHARE: u32 = 40;
/// The name of what strikes those.
const SHORT_WRITE: &str = "short-write";
/// Plans that bring their logs to the files sooner than the platform's default, in percent.
const CHECKPOINT_SHARE: u32 = 25;
/// How often faults are drawn anew until there are enough of the kinds that are taken.
const TRIES_MAX: usize = 20;

/// Who goes on.
pub fn policy(seed: Seed) -> Policy {
    let mut draw = Draw::new(seed, "policy");
    if !draw.percent(PCT_SHARE) {
        return Policy::Random;
    }
    // A crowd of two to four requests comes to some ten to forty points.
    Policy::Pct { depth: draw.pick(&[1, 2, 2, 3, 4]), span: draw.pick(&[10, 20, 40]) }
}

/// The ceiling of fields without one of their own, in bytes; nothing for the platform's default. All but the first
/// are sizes that values have, and lie below, at and above those that fields have of their own.
pub fn ceiling(seed: Seed) -> Option<u64> {
    let mut draw = Draw::new(seed, "ceiling");
    draw.percent(CEILING_SHARE).then(|| draw.pick(&[0, 2, 20, 1_000, 1_024, 2_000, 3_000]))
}

/// Pages of a log from which on a commit brings them to the file; nothing for the platform's default, which few runs
/// come to. At 4 nearly every commit does, and the next one begins the log anew.
pub fn checkpoint_pages(seed: Seed) -> Option<u32> {
    let mut draw = Draw::new(seed, "checkpoint-pages");
    draw.percent(CHECKPOINT_SHARE).then(|| draw.pick(&[4, 16, 64]))
}

/// The kinds of faults that a seed takes; nothing for every one.
fn kinds_of_faults(seed: Seed) -> Option<BTreeSet<String>> {
    let mut draw = Draw::new(seed, "kinds-of-faults");
    if !draw.percent(SOME_FAULTS_SHARE) {
        return None;
    }
    let mut kinds: Vec<&str> = fault_kinds();
    kinds.retain(|_| draw.percent(50));
    Some(kinds.into_iter().map(str::to_string).collect())
}

/// The faults of a plan besides those that its steps came with, and the kinds that were taken.
pub fn faults(
    seed: Seed,
    steps: &[Step],
    profile: &Profile,
) -> (Vec<Fault>, Option<BTreeSet<String>>) {
    let mut draw = Draw::new(seed, "fault-plan");
    let mut faults = faults::of_plan(&mut draw, steps, profile);
    let kinds = kinds_of_faults(seed);
    if let Some(kinds) = &kinds {
        let is_taken = |fault: &Fault| kinds.contains(fault.effect.name());
        let count = faults.len();
        faults.retain(is_taken);
        for _ in 0..TRIES_MAX {
            let more = faults::of_plan(&mut draw, steps, profile).into_iter().filter(is_taken);
            let missing = count - faults.len();
            faults.extend(more.take(missing));
        }
    }
    if kinds.as_ref().is_none_or(|kinds| kinds.contains(SHORT_WRITE)) {
        shorten_writes(seed, &mut faults);
    }
    (faults, kinds)
}

/// Some of the writes that find no space are written in part.
fn shorten_writes(seed: Seed, faults: &mut [Fault]) {
    let mut draw = Draw::new(seed, "short-writes");
    let is_write = |fault: &&mut Fault| {
        fault.effect == Effect::NoSpace && fault.target.op == Some(OpKind::Write)
    };
    for fault in faults.iter_mut().filter(is_write) {
        if draw.percent(SHORT_WRITES_SHARE) {
            let most = draw.pick(&[24, 512, 4_096]);
            fault.effect = Effect::ShortWrite { written_bytes: u64::from(draw.below(most) + 1) };
        }
    }
}

/// The record of what was drawn.
pub fn record(
    cast: &Cast,
    kinds: impl Iterator<Item = (String, u32)>,
    faults: Option<BTreeSet<String>>,
) -> Swarm {
    Swarm {
        clients: cast.clients,
        tenants: cast.tenants,
        entities: cast.entities,
        contents: cast.taste.contents,
        has_large: cast.taste.has_large,
        kinds: kinds
            .filter(|(_, weight)| *weight > 0)
            .map(|(kind, weight)| format!("{kind} {weight}"))
            .collect(),
        faults,
    }
}

/// A kind's name as plans write it: `to-deadline` of `ToDeadline`.
pub fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.extend(if letter == '_' { '-' } else { letter }.to_lowercase());
    }
    kebab
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::SCENARIOS;

    /// Goal: the share of seeds is what it says, and each of the settings comes up. Method: 2,000 seeds.
    #[test]
    fn a_part_of_the_seeds_draws_another_policy_or_fewer_kinds_of_faults() {
        let policies: Vec<Policy> = (0..2_000).map(|n| policy(Seed(n))).collect();
        let pct_count = policies.iter().filter(|policy| !policy.is_random()).count();
        assert!((400..600).contains(&pct_count), "{pct_count}");
        let all: BTreeSet<String> = policies.iter().map(ToString::to_string).collect();
        assert_eq!(all.len(), 1 + 4 * 3, "{all:?}");
        let some = (0..2_000).filter_map(|n| kinds_of_faults(Seed(n))).collect::<Vec<_>>();
        assert!((400..600).contains(&some.len()), "{}", some.len());
        for kind in fault_kinds() {
            let taken = some.iter().filter(|kinds| kinds.contains(kind)).count();
            assert!(taken * 10 > some.len() * 4 && taken * 10 < some.len() * 6, "{kind}: {taken}");
        }
    }

    #[test]
    fn a_part_of_the_seeds_draws_a_ceiling_below_or_above_those_of_fields() {
        let drawn: Vec<u64> = (0..2_000).filter_map(|n| ceiling(Seed(n))).collect();
        assert!((300..500).contains(&drawn.len()), "{}", drawn.len());
        let all: BTreeSet<u64> = drawn.into_iter().collect();
        let own = u64::from(crate::workload::values::CEILING_BYTES);
        assert!(all.contains(&0) && all.contains(&own), "{all:?}");
        assert!(all.iter().any(|bytes| *bytes > own) && all.iter().any(|bytes| *bytes < own));
        let profile = Profile::default();
        let is_drawn = |n| SCENARIOS[0].plan(Seed(n), &profile).inline_max_bytes;
        assert!((0..50).all(|n| is_drawn(n) == ceiling(Seed(n))));
    }

    #[test]
    fn a_part_of_the_seeds_draws_checkpoints_that_come_soon() {
        let drawn: Vec<u32> = (0..2_000).filter_map(|n| checkpoint_pages(Seed(n))).collect();
        assert!((400..600).contains(&drawn.len()), "{}", drawn.len());
        assert_eq!(drawn.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([4, 16, 64]));
        let profile = Profile::default();
        let is_drawn = |n| SCENARIOS[0].plan(Seed(n), &profile).checkpoint_pages;
        assert!((0..50).all(|n| is_drawn(n) == checkpoint_pages(Seed(n))));
    }

    #[test]
    fn where_some_kinds_are_taken_there_are_no_others() {
        let profile = Profile { faulty_runs: crate::profile::Percent(100), ..Profile::default() };
        let mut found = 0;
        for seed in (0..300).map(Seed) {
            let steps = SCENARIOS[0].plan(seed, &profile).steps;
            let (faults, kinds) = faults(seed, &steps, &profile);
            let Some(kinds) = kinds else { continue };
            assert!(faults.iter().all(|fault| kinds.contains(fault.effect.name())), "{faults:?}");
            found += faults.len();
        }
        assert!(found > 50, "{found} faults");
    }
}
