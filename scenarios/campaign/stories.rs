//! Which of a campaign's failures are told in full at its end, and how the others are named.
//!
//! **Invariant:** the order is that of the runs and not of the signatures' hashes: most runs first, and of equally
//! many the lowest seed. Every failure is told, or its command is.

use super::findings::Improved;
use crate::failure::{Failure, Screen};
use crate::lines::counted;
use crate::verdict::Signature;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use stormglass_sim::Seed;

/// Failures that are told in full.
const STORIES_MAX: usize = 5;

/// The runs of each signature, with the name of its bundle.
pub type Failures = BTreeMap<Signature, BTreeSet<(Seed, String)>>;

/// Failures of one signature.
pub struct Kind<'f> {
    /// What makes them one.
    pub signature: &'f Signature,
    /// The lowest seed.
    pub seed: Seed,
    /// The bundle of that seed.
    pub bundle: &'f str,
    /// Runs that failed so.
    pub run_count: usize,
}

/// The signatures, those of most runs first.
pub fn by_weight(failures: &Failures) -> Vec<Kind<'_>> {
    let all = failures.iter().filter_map(|(signature, seeds)| {
        let (seed, bundle) = seeds.first()?;
        Some(Kind { signature, seed: *seed, bundle, run_count: seeds.len() })
    });
    let mut all: Vec<Kind<'_>> = all.collect();
    all.sort_by_key(|kind| (Reverse(kind.run_count), kind.seed));
    all
}

/// The first failure of each promise and place as a person is told it; of those after it, and of those that are too
/// many, the command that tells them.
pub fn told(
    failures: &Failures,
    improved: &BTreeMap<String, Improved>,
    (folder, screen): (&Path, Screen),
) -> Vec<String> {
    let (mut told, mut lines, mut also) = (BTreeSet::new(), Vec::new(), Vec::new());
    for Kind { signature, bundle, run_count, .. } in by_weight(failures) {
        let failure = improved.get(bundle).and_then(|one| one.told.as_ref());
        let mut is_first = |_: &&Failure| {
            told.len() < STORIES_MAX && told.insert((&signature.invariant, &signature.place))
        };
        match failure.filter(&mut is_first) {
            Some(failure) => lines.push(format!("\n{}", failure.told(screen))),
            None => {
                let replay = format!("cargo stormglass replay {}", folder.join(bundle).display());
                let runs = counted(run_count, "run");
                also.push(format!("{:<12} {replay}   {signature}, {runs}", "also"));
            }
        }
    }
    if !also.is_empty() && !lines.is_empty() {
        lines.extend(also);
        lines.push(String::new());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build_info::Build;
    use crate::verdict::{Finding, Outcome, Verdict};

    fn finding(place: &str, step_kind: &str) -> Finding {
        let words = |words: &str| words.to_string();
        Finding {
            invariant: words("I5"),
            statement: words("no dangling reference"),
            place: words(place),
            step_kind: words(step_kind),
            subject: words("s0"),
            expected: words("a row"),
            actual: words("no row"),
            because: String::new(),
        }
    }

    /// Goal: one cause that breaks a promise at several kinds of steps is told once, where it came most often. Method:
    /// signatures of one place and of another, with many runs and with few.
    #[test]
    fn one_promise_and_place_is_told_once_and_the_heaviest_comes_first() {
        let (mut failures, mut improved) = (Failures::new(), BTreeMap::new());
        let kinds = [("row missing", "get", 2), ("row missing", "act", 3), ("other", "act", 3)];
        for (at, (place, step_kind, run_count)) in (0..).zip(kinds) {
            let verdict = Verdict::Violated(finding(place, step_kind));
            let signature = Signature::of(&verdict).unwrap();
            let (name, counts) = (signature.short(), BTreeMap::new());
            let (fingerprint, trail) = (String::new(), Default::default());
            let outcome = Outcome { verdict, fingerprint, op_count: 1, counts, trail };
            let run = format!("seed {step_kind} {place}");
            let told = Failure::of("ttl", &run, &outcome, (&[], &Build::default()));
            improved.insert(name.clone(), Improved { told, ..Improved::default() });
            let seeds = (0..run_count).map(|n| (Seed(100 * (9 - at) + n), name.clone()));
            failures.insert(signature, seeds.collect());
        }
        let order: Vec<String> =
            by_weight(&failures).iter().map(|kind| kind.signature.to_string()).collect();
        assert_eq!(order, ["I5 at act: other", "I5 at act: row missing", "I5 at get: row missing"]);
        let lines = told(&failures, &improved, (Path::new("findings/c"), Screen::PLAIN)).join("\n");
        let heads = lines.lines().filter(|line| line.starts_with("FAIL "));
        let heads: Vec<&str> = heads.map(|line| line.split("   ").nth(1).unwrap()).collect();
        assert_eq!(heads, ["seed act other", "seed act row missing"], "{lines}");
        let name = failures.keys().find(|one| one.step_kind == "get").unwrap().short();
        let line = format!(
            "\nalso         cargo stormglass replay findings/c/{name}   I5 at get: row missing, 2 runs\n"
        );
        assert!(lines.contains(&line), "{lines}");
    }
}
