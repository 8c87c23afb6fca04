//! What many runs amounted to.
//!
//! **Invariant:** equal runs have equal counts, shares, signatures and fingerprints, in whatever order they
//! ended. Which of equal failures became a bundle, and when the canary was found, is the host's doing.

use super::canary::Canary;
use super::findings::{Improved, broken_name, bundle_name};
use super::matters::Matters;
use super::shares::Shares;
use super::stories::{self, Failures, Kind, by_weight};
use super::twins::Twins;
use crate::counts;
use crate::failure::Screen;
use crate::host;
use crate::lines::counted;
use crate::lines::wrapped;
use crate::probes::Coverage;
use crate::report;
use crate::verdict::{Outcome, Signature, Verdict};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};
use stormglass_sim::{Digest, Seed};

/// The exit code of a campaign that was interrupted.
const EXIT_INTERRUPTED: u8 = 130;
/// The exit code of a harness that does not work.
const EXIT_BROKEN: u8 = 3;

/// Percent of the runs in which an observation may remain unverified. More, and the model looks away.
const UNVERIFIED_MAX_PERCENT: u64 = 1;

/// The file of a campaign's summary, in its folder.
pub const SUMMARY: &str = "summary.json";

/// How a summary is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// All of it.
    Whole,
    /// What was found, and the last line.
    Quiet,
}

/// What many runs amounted to.
#[derive(Debug, Default)]
pub struct Summary {
    /// What became of the canary, where there was one.
    pub canary: Option<Canary>,
    /// What became of each bundle beside the campaign, by the bundle's name.
    pub improved: BTreeMap<String, Improved>,
    /// The host's time.
    pub elapsed: Duration,
    /// Whether somebody interrupted it.
    pub was_interrupted: bool,
    /// Whether it is broken by a probe that no run reached or a kind of fault that struck in none.
    pub requires_probes: bool,
    /// The one scenario that all runs play, if they do.
    pub scenario: Option<String>,
    /// Which of a sample of the faults that struck were of consequence.
    pub matters: Matters,
    /// What kept the campaign from going on.
    pub trouble: Option<io::Error>,
    folder: PathBuf,
    passed_count: u64,
    op_count: u64,
    counts: BTreeMap<String, u64>,
    shares: Shares,
    failures: Failures,
    broken: BTreeMap<Seed, String>,
    /// Runs in which the model concluded nothing from some observation, because too much was in doubt.
    unverified: BTreeSet<Seed>,
    fingerprints: BTreeMap<Seed, String>,
    verdicts: BTreeMap<Seed, String>,
    twins: Twins,
}

impl Summary {
    /// Of no runs yet; their bundles are in `folder`.
    pub fn new(folder: &Path) -> Summary {
        Summary { folder: folder.to_path_buf(), ..Summary::default() }
    }

    /// Adds the run of `seed`.
    pub fn add(&mut self, seed: Seed, outcome: Outcome) {
        self.op_count += outcome.op_count;
        self.shares.add(&outcome.counts);
        if outcome.counts.get(counts::UNVERIFIED).is_some_and(|count| *count > 0) {
            self.unverified.insert(seed);
        }
        for (what, count) in outcome.counts {
            *self.counts.entry(what).or_default() += count;
        }
        let verdict = outcome.verdict;
        self.verdicts.insert(seed, verdict.in_words());
        self.fingerprints.insert(seed, outcome.fingerprint);
        match (Signature::of(&verdict), &verdict) {
            (None, _) => self.passed_count += 1,
            (_, Verdict::HarnessBroken(why)) => drop(self.broken.insert(seed, why.clone())),
            (Some(signature), _) => {
                let name = bundle_name(seed, &verdict, &signature);
                self.failures.entry(signature).or_default().insert((seed, name));
            }
        }
    }

    /// Takes what became of the runs that were played twice.
    pub fn compare(&mut self, twins: Twins) {
        self.twins = twins;
    }

    /// Fingerprint and verdict of each run.
    pub fn ends(&self) -> impl Iterator<Item = (Seed, String)> {
        let ends = self.fingerprints.iter().zip(self.verdicts.values());
        ends.map(|((seed, fingerprint), verdict)| (*seed, format!("{fingerprint} {verdict}")))
    }

    /// Whether a verdict is a failure unlike those that were added.
    pub fn is_news(&self, verdict: &Verdict) -> bool {
        let is_broken = matches!(verdict, Verdict::HarnessBroken(_));
        let is_new = |signature| is_broken || !self.failures.contains_key(&signature);
        Signature::of(verdict).is_some_and(is_new)
    }

    /// Runs that were played.
    pub fn run_count(&self) -> u64 {
        self.fingerprints.len() as u64
    }

    /// Runs that did not pass.
    pub fn failed_count(&self) -> u64 {
        self.run_count() - self.passed_count
    }

    fn violated_count(&self) -> usize {
        self.failures.values().map(BTreeSet::len).sum()
    }

    /// Runs that accuse nobody, a canary that was missed, and places that had to be reached.
    fn broken_count(&self) -> usize {
        let is_missed = usize::from(self.canary.as_ref().is_some_and(Canary::is_missed));
        let is_blind = usize::from(self.is_blind());
        let parted = self.improved.values().filter(|one| one.broken.is_some()).count();
        let looks_away = usize::from(self.looks_away());
        let of_runs = self.broken.len() + self.twins.different.len() + parted;
        of_runs + is_missed + is_blind + looks_away
    }

    /// Whether the model verified too little for its silence to mean anything.
    fn looks_away(&self) -> bool {
        let allowed = (self.run_count() * UNVERIFIED_MAX_PERCENT / 100).max(1);
        self.unverified.len() as u64 > allowed
    }

    fn coverage(&self) -> Coverage {
        let coverage = Coverage::of(&self.counts);
        match &self.scenario {
            Some(scenario) => coverage.of_scenario(scenario),
            None => coverage,
        }
    }

    /// Whether it did not look where it had to.
    fn is_blind(&self) -> bool {
        self.requires_probes && self.coverage().is_lacking()
    }

    /// Hash over the fingerprints of all runs, in the order of their seeds.
    pub fn fingerprint(&self) -> Digest {
        let all: Vec<&str> = self.fingerprints.values().map(String::as_str).collect();
        Digest::of(all.join("\n").as_bytes())
    }

    /// The exit code of the whole.
    pub fn exit_code(&self) -> u8 {
        if self.was_interrupted {
            EXIT_INTERRUPTED
        } else if self.broken_count() > 0 {
            EXIT_BROKEN
        } else {
            u8::from(!self.failures.is_empty())
        }
    }

    /// Writes the summary beside the runs, and the page of both.
    ///
    /// # Errors
    /// What the host says, with the path.
    pub fn keep(&self) -> io::Result<PathBuf> {
        fs::write(self.folder.join(SUMMARY), format!("{:#}\n", self.to_json()))?;
        report::write(&self.folder)
    }

    /// The summary as it was asked for.
    pub fn told(&self, told: Told) -> String {
        let mut lines = match told {
            Told::Quiet => Vec::new(),
            Told::Whole => self.happenings(),
        };
        lines.extend(self.findings());
        if told == Told::Whole {
            let plain = Screen { width: host::columns(), ..Screen::PLAIN };
            lines.extend(stories::told(&self.failures, &self.improved, (&self.folder, plain)));
        }
        if told == Told::Whole || self.is_blind() {
            lines.extend(self.lacking());
        }
        if told == Told::Whole {
            let canary = self.canary.as_ref().map(Canary::in_words);
            lines.extend(canary.map(|words| format!("canary       {words}")));
            lines.push(format!("determinism  {}", self.twins.in_words()));
            lines.push(format!("runs         {}", self.folder.join(super::folder::RUNS).display()));
            lines.push(format!("report       {}", self.folder.join(report::REPORT).display()));
            lines.push(format!("fingerprint  {}", self.fingerprint()));
        }
        lines.push(self.last_line());
        lines.join("\n")
    }

    fn last_line(&self) -> String {
        let (runs, found, kinds) = (self.run_count(), self.violated_count(), self.failures.len());
        let per_second = runs as f64 / self.elapsed.as_secs_f64().max(0.001);
        let interrupted = if self.was_interrupted { "interrupted: " } else { "" };
        let broken = self.broken_count();
        format!(
            "{interrupted}{}, {} ({}), {}, {per_second:.0} runs/s",
            counted(runs, "run"),
            counted(found, "finding"),
            counted(kinds, "signature"),
            counted(broken, "harness error")
        )
    }

    /// What happened, a line a group.
    fn happenings(&self) -> Vec<String> {
        let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, count) in &self.counts {
            if name.starts_with(counts::FAULT_AT) {
                continue;
            }
            let (group, rest) = name.split_once(' ').unwrap_or(("", name));
            groups.entry(group).or_default().push(format!("{rest} {count}"));
        }
        groups.entry("disk").or_default().push(format!("operations {}", self.op_count));
        let lines = groups.into_iter().flat_map(|(group, words)| wrapped(group, &words));
        lines.chain(self.shares.in_words()).collect()
    }

    /// What was left out: a line for places, a line for kinds of faults.
    fn lacking(&self) -> Vec<String> {
        let coverage = self.coverage();
        let Coverage { probes, faults } = &coverage;
        let line = |head: &str, names: Vec<&str>, whole: String| {
            let none = [format!("none of {whole}")];
            let names: Vec<String> = names.into_iter().map(str::to_string).collect();
            wrapped(head, if names.is_empty() { &none } else { &names })
        };
        let mut lines = Vec::new();
        if !probes.is_empty() {
            let whole = format!("{} probes", probes.len());
            lines.extend(line("unreached", coverage.unreached(), whole));
        }
        let whole = format!("{} kinds of faults", faults.len());
        lines.extend(line("idle", coverage.idle(), whole));
        lines.extend(wrapped("mattered", &self.matters.in_words()));
        let never = self.matters.never();
        lines.extend(if never.is_empty() { Vec::new() } else { wrapped("no matter", &never) });
        lines
    }

    /// What was found: by invariant, a line a signature.
    fn findings(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for Kind { signature, seed: first, bundle: name, run_count: count } in
            by_weight(&self.failures)
        {
            lines.push(format!("VIOLATED {signature}"));
            lines.push(format!("  seeds      {count}, the first {first}"));
            lines.push(format!("  bundle     {}", self.folder.join(name).display()));
            let improved = self.improved.get(name);
            lines.extend(improved.map(|one| format!("  shrunk     {}", one.words)));
            let broken = improved.and_then(|one| one.broken.as_ref());
            lines.extend(broken.map(|why| format!("HARNESS BROKEN bundle {name}   {why}")));
        }
        for (seed, why) in self.all_broken() {
            lines.push(format!("HARNESS BROKEN seed {seed}   {why}"));
            let bundle = self.folder.join(broken_name(seed));
            // There is none of a run that is one of too many.
            if bundle.is_dir() {
                lines.push(format!("  bundle     {}", bundle.display()));
            }
            if self.twins.different.contains_key(&seed) {
                lines
                    .push(format!("  compare    cargo stormglass check-determinism --seed {seed}"));
            }
        }
        if self.looks_away() {
            let (some, all) = (self.unverified.len(), counted(self.run_count(), "run"));
            let first = self.unverified.first().map(Seed::to_string).unwrap_or_default();
            lines.push(format!(
                "HARNESS BROKEN too much was in doubt to verify {some} of {all}, the first {first}"
            ));
        }
        if self.is_blind() {
            let coverage = self.coverage();
            let (probes, kinds) = (coverage.unreached().len(), coverage.idle().len());
            lines.push(format!(
                "HARNESS BROKEN it does not look where it should: {} unreached, {} of \
                 faults idle",
                counted(probes, "probe"),
                counted(kinds, "kind")
            ));
        }
        lines
    }

    /// The runs that accuse nobody, and those that other processes made otherwise.
    fn all_broken(&self) -> impl Iterator<Item = (Seed, String)> {
        let broken = self.broken.iter().map(|(seed, why)| (*seed, why.clone()));
        let apart = self.twins.different.iter().map(|(seed, apart)| (*seed, apart.in_words()));
        broken.chain(apart)
    }

    /// The summary for a program.
    pub fn to_json(&self) -> serde_json::Value {
        let failures = by_weight(&self.failures).into_iter().map(|kind| {
            let Kind { signature, seed: first, bundle: name, run_count: count } = kind;
            json!({
                "signature": signature,
                "seed_count": count,
                "first_seed": first.to_string(),
                "bundle": self.folder.join(name),
                "shrunk": self.improved.get(name).map(|one| &one.words),
            })
        });
        let broken = self.all_broken().map(|(seed, why)| (seed.to_string(), why));
        let coverage = self.coverage();
        // The places of faults are told whole, in a table of their own.
        let counts = self.counts.iter().filter(|(name, _)| !name.starts_with(counts::FAULT_AT));
        json!({
            "folder": self.folder,
            "run_count": self.run_count(),
            "passed_count": self.passed_count,
            "violated_count": self.violated_count(),
            "harness_error_count": self.broken_count(),
            "was_interrupted": self.was_interrupted,
            "disk_op_count": self.op_count,
            "elapsed_ms": self.elapsed.as_millis() as u64,
            "fingerprint": self.fingerprint().to_string(),
            "canary": self.canary.as_ref().map(Canary::in_words),
            "determinism": self.twins.in_words(),
            "failures": failures.collect::<Vec<_>>(),
            "harness_broken": broken.collect::<BTreeMap<_, _>>(),
            "probes": coverage.probes,
            "unreached": coverage.unreached(),
            "idle_faults": coverage.idle(),
            "faults": self.matters.ledger(&self.counts),
            "faults_that_never_mattered": self.matters.never(),
            "counts": counts.collect::<BTreeMap<_, _>>(),
            "shares": self.shares.tables(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::canary::End;
    use super::super::twins::Apart;
    use super::*;

    fn outcome(verdict: Verdict) -> Outcome {
        let (fingerprint, counts) = ("f".to_string(), BTreeMap::new());
        Outcome { verdict, fingerprint, op_count: 1, counts, trail: Default::default() }
    }

    /// A harness that finds nothing where something is must not be told as one that passed.
    #[test]
    fn a_campaign_that_misses_its_canary_is_broken() {
        let mut summary = Summary::new(Path::new("findings"));
        summary.add(Seed(1), outcome(Verdict::Passed));
        assert_eq!(summary.exit_code(), 0);
        let canary = |end| Some(Canary { defect: "replay-drops-blobs", end });
        for end in [End::Interrupted, End::Hidden(3)] {
            summary.canary = canary(end);
            assert_eq!(summary.exit_code(), 0);
        }
        summary.canary = canary(End::Missed);
        assert_eq!(summary.exit_code(), 3);
        let told = summary.told(Told::Whole);
        assert!(told.contains("replay-drops-blobs NOT FOUND within 200 seeds"), "{told}");
        assert!(told.contains("1 run, 0 findings (0 signatures), 1 harness error, "), "{told}");
        summary.was_interrupted = true;
        assert_eq!(summary.exit_code(), 130);
    }

    /// A model that verifies little must not be told as one that found nothing.
    #[test]
    fn a_campaign_of_which_much_remains_unverified_is_broken() {
        let mut summary = Summary::new(Path::new("findings"));
        let unverified = |count| Outcome {
            counts: BTreeMap::from([(counts::UNVERIFIED.to_string(), count)]),
            ..outcome(Verdict::Passed)
        };
        (0..298).for_each(|seed| summary.add(Seed(seed), unverified(0)));
        (298..300).for_each(|seed| summary.add(Seed(seed), unverified(40)));
        assert_eq!(summary.exit_code(), 0);
        (300..302).for_each(|seed| summary.add(Seed(seed), unverified(1)));
        assert_eq!(summary.exit_code(), 3);
        let told = summary.told(Told::Quiet);
        let line = "HARNESS BROKEN too much was in doubt to verify 4 of 302 runs, the first 0x12a";
        assert!(told.contains(line), "{told}");
    }

    /// Goal: a failure whose plan is another run in another process is told as the harness's.
    #[test]
    fn a_bundle_that_two_processes_make_otherwise_breaks_the_campaign() {
        let mut summary = Summary::new(Path::new("findings"));
        let finding = crate::verdict::Finding {
            invariant: "I5".to_string(),
            statement: "no dangling reference".to_string(),
            place: "row missing".to_string(),
            step_kind: "get".to_string(),
            subject: String::new(),
            expected: String::new(),
            actual: String::new(),
            because: String::new(),
        };
        summary.add(Seed(7), outcome(Verdict::Violated(finding)));
        assert_eq!(summary.exit_code(), 1);
        let name = summary.failures.values().flatten().next().unwrap().1.clone();
        let why = Some("two processes part at record 3".to_string());
        let one = Improved { words: "not shrunk".to_string(), broken: why, ..Improved::default() };
        summary.improved.insert(name.clone(), one);
        assert_eq!(summary.exit_code(), 3);
        let told = summary.told(Told::Quiet);
        let line = format!("HARNESS BROKEN bundle {name}   two processes part at record 3");
        assert!(told.contains(&line), "{told}");
    }

    #[test]
    fn what_accuses_nobody_outweighs_what_was_found() {
        let mut summary = Summary::new(Path::new("findings"));
        summary.add(Seed(7), outcome(Verdict::HarnessBroken("its process died".to_string())));
        assert_eq!(summary.exit_code(), 3);
        let told = summary.told(Told::Quiet);
        assert!(told.contains("HARNESS BROKEN seed 0x7   its process died"), "{told}");
    }

    /// A campaign that does not look must not be told as one that found nothing, where that was asked for.
    #[test]
    fn a_campaign_that_leaves_out_a_probe_is_broken_when_all_are_required() {
        let mut summary = Summary::new(Path::new("findings"));
        let mut run = outcome(Verdict::Passed);
        run.counts.insert(crate::counts::protocol("atomic"), 1);
        run.counts.insert(crate::counts::reached("a guest ran"), 1);
        summary.add(Seed(7), run);
        assert_eq!(summary.exit_code(), 0);
        let told = summary.told(Told::Whole);
        assert!(told.contains("\nunreached    a callback became on_failure, "), "{told}");
        assert!(!told.contains(" a guest ran,") && told.contains("\nidle         eio, "), "{told}");
        summary.requires_probes = true;
        assert_eq!(summary.exit_code(), 3);
        let told = summary.told(Told::Quiet);
        assert!(told.contains("HARNESS BROKEN it does not look where it should: "), "{told}");
        assert!(told.contains("\nunreached    a callback became on_failure, "), "{told}");
        assert!(told.contains(", 1 harness error, "), "{told}");
    }

    /// A run that is another one in another process must not be told as one that passed.
    #[test]
    fn a_run_that_comes_out_otherwise_breaks_the_campaign() {
        let mut summary = Summary::new(Path::new("findings"));
        summary.add(Seed(7), outcome(Verdict::Passed));
        summary.compare(Twins { compared_count: 1, different: BTreeMap::new() });
        assert_eq!(summary.exit_code(), 0);
        let apart = Apart { ends: ("f".to_string(), "g".to_string()), ..Apart::default() };
        let different = BTreeMap::from([(Seed(7), apart)]);
        summary.compare(Twins { compared_count: 1, different });
        assert_eq!(summary.exit_code(), 3);
        let told = summary.told(Told::Whole);
        assert!(told.contains("HARNESS BROKEN seed 0x7   two processes make other"), "{told}");
        assert!(told.contains("determinism  1 run played once more"), "{told}");
    }
}
