//! In how many runs something happened at all, against what a good campaign reaches.
//!
//! **Invariant:** shares are of runs under one protocol; a control without protocol has none.

use crate::counts;
use crate::lines::counted;
use serde::Serialize;
use std::collections::BTreeMap;

/// Runs of a protocol below which a share says little.
const RUNS_MIN: u64 = 100;
/// The protocol that has aims.
const AIMED_AT: &str = "event-then-blobs";
/// Percent of runs in which every kind of fault must strike.
const FAULT_AIM: u64 = 1;

/// What a run did, and in how many percent of runs it is to be done.
const DEEDS: [(&str, u64); 4] = [
    ("crashed between event and blobs", 10),
    ("put a blob back", 5),
    ("swept a row", 5),
    ("saw an expired read", 5),
];

/// One share, in a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    /// What the runs did.
    pub what: String,
    /// How many runs did it.
    pub run_count: u64,
    /// Percent of the protocol's runs.
    pub percent: f64,
    /// Percent that it is to be, where that is said.
    pub aim_percent: Option<u64>,
    /// Whether it is below its aim.
    pub is_low: bool,
}

/// Runs by protocol and by what they did.
#[derive(Clone, Debug, Default)]
pub struct Shares {
    runs: BTreeMap<String, u64>,
    did: BTreeMap<(String, String), u64>,
}

impl Shares {
    /// Adds one run, by its counts.
    pub fn add(&mut self, counts: &BTreeMap<String, u64>) {
        let Some(protocol) = counts.keys().find_map(|name| name.strip_prefix(counts::PROTOCOL))
        else {
            return;
        };
        *self.runs.entry(protocol.to_string()).or_default() += 1;
        let has = |name: &str| counts.get(name).is_some_and(|count| *count > 0);
        let deeds = [
            counts.keys().any(|name| counts::is_torn_crash(name)),
            has(counts::PUT_BACK),
            has(counts::BLOBS_SWEPT),
            has(counts::EXPIRED_READS),
        ];
        let did = DEEDS.iter().zip(deeds).filter(|(_, did)| *did).map(|((name, _), _)| *name);
        let faults = counts::fault_kinds().into_iter().filter(|kind| has(&counts::fault(kind)));
        let faults = faults.map(fault_deed);
        for what in did.map(str::to_string).chain(faults) {
            *self.did.entry((protocol.to_string(), what)).or_default() += 1;
        }
    }

    /// Every share, by protocol with its number of runs.
    pub fn tables(&self) -> BTreeMap<String, (u64, Vec<Share>)> {
        let table = |(protocol, run_count): (&String, &u64)| {
            let deeds = DEEDS.iter().map(|(name, aim)| (name.to_string(), *aim));
            let faults =
                counts::fault_kinds().into_iter().map(|kind| (fault_deed(kind), FAULT_AIM));
            let share = |(what, aim): (String, u64)| {
                let key = (protocol.clone(), what);
                let did = self.did.get(&key).copied().unwrap_or(0);
                let percent = 100.0 * did as f64 / *run_count as f64;
                let aim_percent = Some(aim).filter(|_| protocol == AIMED_AT);
                let is_low = aim_percent.is_some_and(|aim| did * 100 < aim * run_count);
                let is_low = is_low && *run_count >= RUNS_MIN;
                Share { what: key.1, run_count: did, percent, aim_percent, is_low }
            };
            (protocol.clone(), (*run_count, deeds.chain(faults).map(share).collect()))
        };
        self.runs.iter().map(table).collect()
    }

    /// The tables in lines.
    pub fn in_words(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (protocol, (run_count, shares)) in self.tables() {
            lines.push(format!("shares of {}, {protocol}", counted(run_count, "run")));
            for Share { what, percent, aim_percent, is_low, .. } in shares {
                let aim = match aim_percent {
                    Some(aim) if is_low => format!("  BELOW ITS AIM of {aim} %"),
                    Some(aim) => format!("  (aim {aim} %)"),
                    None => String::new(),
                };
                lines.push(format!("  {percent:>5.1} %  {what}{aim}"));
            }
        }
        lines
    }
}

fn fault_deed(kind: &str) -> String {
    format!("fault {kind} struck")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counts::Phase;
    use stormglass_sim::Ending;

    #[test]
    fn a_share_below_its_aim_is_marked_once_there_are_runs_enough() {
        let mut shares = Shares::default();
        let run = |is_torn: bool| {
            let mut counts = BTreeMap::from([(counts::protocol(AIMED_AT), 1)]);
            let phase = if is_torn { Phase::BetweenEventAndBlobs } else { Phase::Blobs };
            counts.insert(counts::crash(&Ending::ProcessKill, phase), 3);
            counts
        };
        let low = |shares: &Shares| shares.tables()[AIMED_AT].1[0].is_low;
        (0..99).for_each(|n| shares.add(&run(n < 9)));
        assert!(!low(&shares), "9 of 99 is below 10 percent, but of few runs");
        shares.add(&run(false));
        assert!(low(&shares));
        assert!(shares.in_words()[1].ends_with("BELOW ITS AIM of 10 %"));
        (0..10).for_each(|_| shares.add(&run(true)));
        assert!(!low(&shares));
    }
}
