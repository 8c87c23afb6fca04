//! Faults of a plan and what became of pending changes, as a person reads them.
//!
//! **Invariant:** a crash state is told change by change, numbered in the order of issue, from 1.

use serde::Serialize;
use stormglass_sim::disk::Fate;
use stormglass_sim::{Effect, Ending, Fault, Survivors, When};

/// Runs of numbers that are told one by one; of more only how many there are.
const RUNS_MAX: usize = 6;

/// A fault with where it is to strike: `eio, at write 1 on a wal file, in step 3`.
pub fn in_words(fault: &Fault) -> String {
    let Fault { effect, target, when } = fault;
    let what = match effect {
        Effect::Crash(Ending::PowerLoss(survivors)) => format!("power loss, {}", choice(survivors)),
        other => other.to_string(),
    };
    let op = target.op.map_or("operation".to_string(), name);
    let at = match when {
        When::Nth(n) => format!("at {op} {n}"),
        When::FromNth(n) => format!("from {op} {n} on"),
        When::Rate { per_million } => format!("at {per_million} of a million, each {op}"),
    };
    let file = target.file.map_or(String::new(), |file| format!(" on a {} file", name(file)));
    let scope = target.scope.as_ref();
    let scope = scope.map_or(String::new(), |scope| format!(", in {}", scope_in_words(scope)));
    format!("{what}, {at}{file}{scope}")
}

/// A scope as a person reads it: what belongs to no step of the plan is the runner's own.
pub fn scope_in_words(scope: &str) -> String {
    let part = |part: &str| if part == CHECK { "check".to_string() } else { part.to_string() };
    scope.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// The scope of the runner's own requests.
const CHECK: &str = "step 0";

/// The name of a kind, as plans write it.
pub fn name(kind: impl Serialize) -> String {
    let name = serde_json::to_value(kind).expect("a kind is plain data");
    name.as_str().unwrap_or_default().to_string()
}

/// What a plan chooses among changes that nobody knows yet.
fn choice(survivors: &Survivors) -> String {
    match survivors {
        Survivors::None => "nothing pending kept".to_string(),
        Survivors::All => "everything pending kept".to_string(),
        Survivors::Prefix(1) => "the first pending change kept".to_string(),
        Survivors::Prefix(count) => format!("the first {count} pending changes kept"),
        Survivors::Subset(kept) => {
            let kept: Vec<usize> = kept.iter().map(|at| at + 1).collect();
            format!("of the pending changes {} kept", runs(&kept))
        }
        Survivors::TornLast(_) => "everything pending kept but a torn last write".to_string(),
        Survivors::Fates(fates) => format!("of the pending changes {}", one_by_one(fates)),
        Survivors::Drawn(_) => "a drawn part of what is pending kept".to_string(),
    }
}

/// What became of all that was pending.
pub fn fates(fates: &[Fate]) -> String {
    let count = fates.len();
    let kept = fates.iter().filter(|fate| **fate == Fate::Kept).count();
    let first = fates.iter().take_while(|fate| **fate == Fate::Kept).count();
    let is_whole = |fate: &Fate| !matches!(fate, Fate::Torn(_));
    match (kept, fates.iter().all(is_whole)) {
        (0, true) => format!("nothing of {} kept", changes(count)),
        (kept, true) if kept == count => format!("everything of {} kept", changes(count)),
        (kept, true) if kept == first => format!("the first {kept} of {} kept", changes(count)),
        _ => format!("of {} {}", changes(count), one_by_one(fates)),
    }
}

fn changes(count: usize) -> String {
    format!("{count} pending change{}", if count == 1 { "" } else { "s" })
}

/// Each change that was not lost: `1 to 3 and 5 kept, 4 torn (2 of 8 sectors)`.
fn one_by_one(fates: &[Fate]) -> String {
    let numbered = || fates.iter().zip(1..);
    let kept: Vec<usize> =
        numbered().filter(|(fate, _)| **fate == Fate::Kept).map(|(_, number)| number).collect();
    let torn: Vec<String> = numbered()
        .filter_map(|(fate, number)| match fate {
            Fate::Torn(sectors) => {
                let kept = sectors.iter().filter(|kept| **kept).count();
                Some(format!("{number} torn ({kept} of {} sectors)", sectors.len()))
            }
            _ => None,
        })
        .collect();
    let mut words = Vec::new();
    if !kept.is_empty() {
        words.push(format!("{} kept", runs(&kept)));
    }
    match torn.len() {
        count if count > RUNS_MAX => words.push(format!("{count} torn")),
        _ => words.extend(torn),
    }
    if words.is_empty() { "none kept".to_string() } else { words.join(", ") }
}

/// Rising numbers, those that follow one another as one: `1 to 3, 5 and 8`.
fn runs(numbers: &[usize]) -> String {
    let runs: Vec<String> = numbers
        .chunk_by(|one, next| next - one == 1)
        .map(|run| match run {
            [one] => one.to_string(),
            [first, second] => format!("{first}, {second}"),
            run => format!("{} to {}", run[0], run[run.len() - 1]),
        })
        .collect();
    match runs.split_last() {
        _ if runs.len() > RUNS_MAX => numbers.len().to_string(),
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => "none".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fate::{Kept, Lost, Torn};

    #[test]
    fn what_survived_is_told_change_by_change() {
        let told = |all: &[Fate]| fates(all);
        assert_eq!(told(&[Lost, Lost]), "nothing of 2 pending changes kept");
        assert_eq!(told(&[Kept]), "everything of 1 pending change kept");
        assert_eq!(told(&[Kept, Kept, Lost]), "the first 2 of 3 pending changes kept");
        let mixed = [Kept, Kept, Kept, Torn(vec![true, false]), Kept, Lost];
        assert_eq!(told(&mixed), "of 6 pending changes 1 to 3 and 5 kept, 4 torn (1 of 2 sectors)");
        assert_eq!(told(&[Lost, Kept]), "of 2 pending changes 2 kept");
        let many: Vec<Fate> = (0..40).map(|n| if n % 2 == 0 { Kept } else { Lost }).collect();
        assert_eq!(told(&many), "of 40 pending changes 20 kept");
    }

    #[test]
    fn a_fault_is_told_with_its_place() {
        let fault = |survivors| {
            let effect = Effect::Crash(Ending::PowerLoss(survivors));
            in_words(&Fault::in_scope("step 3", effect, When::Nth(2)))
        };
        let fates = Survivors::Fates(vec![Lost, Kept]);
        let told = "power loss, of the pending changes 2 kept, at operation 2, in step 3";
        assert_eq!(fault(fates), told);
        let told = "power loss, the first pending change kept, at operation 2, in step 3";
        assert_eq!(fault(Survivors::Prefix(1)), told);
    }
}
