//! Gentler faults: a crash that loses less that has to be told, one strike in place of many.

use crate::plan::{Action, Plan};
use crate::trail::Drawn;
use stormglass_sim::disk::Fate;
use stormglass_sim::{Effect, Ending, Survivors, When};

/// Prefixes that are tried for a crash state that has no shorter name.
const PREFIXES: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// Strikes that are tried in place of a rate.
const STRIKES: [u64; 4] = [1, 2, 3, 4];

/// For each fault, then for each crash between two steps, what is gentler.
pub(super) fn simpler(plan: &Plan, place: usize) -> Option<Vec<Plan>> {
    let fault_count = plan.faults.len();
    if place < 2 * fault_count {
        return Some(if place.is_multiple_of(2) {
            effects(plan, place / 2)
        } else {
            strikes(plan, place / 2)
        });
    }
    let at = place - 2 * fault_count;
    let step = plan.steps.get(at)?;
    let Action::Crash { ending } = &step.action else { return Some(Vec::new()) };
    let with = |ending| {
        let mut tried = plan.clone();
        tried.steps[at].action = Action::Crash { ending };
        tried
    };
    Some(gentler(ending).into_iter().map(with).collect())
}

fn effects(plan: &Plan, at: usize) -> Vec<Plan> {
    let Effect::Crash(ending) = &plan.faults[at].effect else { return Vec::new() };
    let with = |ending| {
        let mut tried = plan.clone();
        tried.faults[at].effect = Effect::Crash(ending);
        tried
    };
    gentler(ending).into_iter().map(with).collect()
}

fn strikes(plan: &Plan, at: usize) -> Vec<Plan> {
    let single = match plan.faults[at].when {
        When::Nth(_) => Vec::new(),
        When::FromNth(n) => vec![When::Nth(n)],
        When::Rate { .. } => STRIKES.map(When::Nth).to_vec(),
    };
    let with = |when| {
        let mut tried = plan.clone();
        tried.faults[at].when = when;
        tried
    };
    single.into_iter().map(with).collect()
}

/// Whether a plan leaves the state of a crash to be drawn.
pub(super) fn is_drawn(plan: &Plan) -> bool {
    let mut plan = plan.clone();
    drawn_states(&mut plan).next().is_some()
}

/// The plan with what its drawn states came to, by their numbers; nothing when none of them came about.
pub(super) fn spelled_out(plan: &Plan, drawn: &[Drawn]) -> Option<Plan> {
    let mut spelled = plan.clone();
    for survivors in drawn_states(&mut spelled) {
        let Survivors::Drawn(number) = *survivors else { continue };
        if let Some(one) = drawn.iter().find(|one| one.number == number) {
            *survivors = Survivors::of(&one.fates);
        }
    }
    (spelled != *plan).then_some(spelled)
}

fn drawn_states(plan: &mut Plan) -> impl Iterator<Item = &mut Survivors> {
    let of_faults = plan.faults.iter_mut().filter_map(|fault| match &mut fault.effect {
        Effect::Crash(ending) => Some(ending),
        _ => None,
    });
    let of_steps = plan.steps.iter_mut().filter_map(|step| match &mut step.action {
        Action::Crash { ending } => Some(ending),
        _ => None,
    });
    of_faults.chain(of_steps).filter_map(|ending| match ending {
        Ending::PowerLoss(survivors @ Survivors::Drawn(_)) => Some(survivors),
        _ => None,
    })
}

/// What is gentler than an ending, the gentlest first.
fn gentler(ending: &Ending) -> Vec<Ending> {
    let survivors = match ending {
        Ending::ProcessKill => return Vec::new(),
        Ending::PowerLoss(survivors) => survivors,
        Ending::DiskSwap { .. } => &Survivors::Drawn(0),
    };
    let shorter = shorter(survivors).into_iter().map(Ending::PowerLoss);
    [Ending::ProcessKill].into_iter().chain(shorter).collect()
}

/// Crash states that are told in fewer words: nothing, everything, a prefix, chosen changes, whole ones.
fn shorter(survivors: &Survivors) -> Vec<Survivors> {
    use Survivors::{All, Drawn, Fates, None, Prefix, Subset, TornLast};
    let prefixes = || PREFIXES.map(Prefix);
    match survivors {
        None => vec![],
        All => vec![None],
        Prefix(_) => vec![None, All],
        Subset(kept) => {
            let singles = kept.iter().filter(|_| kept.len() > 1).map(|at| Subset(vec![*at]));
            [None, All].into_iter().chain(prefixes()).chain(singles).collect()
        }
        TornLast(_) => [None, All].into_iter().chain(prefixes()).collect(),
        Fates(fates) => {
            let kept = fates.iter().enumerate().filter(|(_, fate)| **fate == Fate::Kept);
            let kept = Subset(kept.map(|(at, _)| at).collect());
            let torn = fates.iter().enumerate().filter(|(_, fate)| matches!(fate, Fate::Torn(_)));
            let whole = torn.flat_map(|(at, _)| {
                [Fate::Lost, Fate::Kept].map(|fate| {
                    let mut fates = fates.clone();
                    fates[at] = fate;
                    Fates(fates)
                })
            });
            [None, All].into_iter().chain(prefixes()).chain([kept]).chain(whole).collect()
        }
        Drawn(_) => {
            let torn = [TornLast(vec![true]), TornLast(vec![])];
            [None, All].into_iter().chain(prefixes()).chain(torn).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: shrinking ends. Method: what is gentler than an ending never leads back to it.
    #[test]
    fn nothing_is_gentler_than_itself_by_way_of_another() {
        let fates = vec![Fate::Kept, Fate::Torn(vec![true]), Fate::Lost];
        let all = [
            Survivors::Drawn(7),
            Survivors::Fates(fates),
            Survivors::TornLast(vec![true, false]),
            Survivors::Subset(vec![1, 3]),
            Survivors::Prefix(3),
            Survivors::All,
        ];
        for survivors in all {
            let first = Ending::PowerLoss(survivors);
            let (mut open, mut count) = (gentler(&first), 0);
            while let Some(ending) = open.pop() {
                assert_ne!(ending, first);
                count += 1;
                assert!(count < 10_000, "{first:?} leads to itself");
                open.extend(gentler(&ending));
            }
        }
        assert_eq!(gentler(&Ending::ProcessKill), []);
    }
}
