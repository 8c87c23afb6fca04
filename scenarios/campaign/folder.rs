//! What a campaign leaves on the host's disk: a line a run, and the ledger of seeds that were taken.
//!
//! **Invariant:** a line is whole and flushed before the next run is looked at. No campaign takes fresh
//! seeds that an earlier one took.

use crate::verdict::{Signature, Verdict};
use crate::workers::Ended;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Draws after which fresh seeds are no longer looked for by chance.
const DRAWS_MAX: u32 = 1_000;

/// The file with a line a run.
pub const RUNS: &str = "runs.jsonl";
/// The file under the out folder with a line a campaign.
const LEDGER: &str = "ledger.jsonl";

/// A campaign's folder, open for its lines.
pub struct Folder {
    runs: File,
}

impl Folder {
    /// Makes the folder.
    ///
    /// # Errors
    /// What the host says, with the path.
    pub fn create(path: &Path) -> io::Result<Folder> {
        let named = |error| named(path, error);
        fs::create_dir_all(path).map_err(named)?;
        let runs = OpenOptions::new().create(true).append(true).open(path.join(RUNS));
        Ok(Folder { runs: runs.map_err(named)? })
    }

    /// Writes one run, which ended so long after the first was begun.
    ///
    /// # Errors
    /// What the host says.
    pub fn keep(&mut self, scenario: &str, ended: &Ended, at: Duration) -> io::Result<()> {
        let Ended { seed, outcome, host_ms } = ended;
        let verdict = match &outcome.verdict {
            Verdict::Passed => "passed",
            Verdict::Violated(_) => "violated",
            Verdict::HarnessBroken(_) => "harness-broken",
        };
        let mut line = serde_json::json!({
            "seed": seed.to_string(),
            "scenario": scenario,
            "verdict": verdict,
            "fingerprint": outcome.fingerprint,
            "ops": outcome.op_count,
            "counts": outcome.counts,
            "host_ms": host_ms,
            "at_ms": at.as_millis() as u64,
        });
        if outcome.verdict != Verdict::Passed {
            line["signature"] = serde_json::json!(Signature::of(&outcome.verdict));
            line["found"] = serde_json::json!(outcome.verdict);
        }
        // One call, so that a kill leaves no half of a line behind another.
        self.runs.write_all(format!("{line}\n").as_bytes())?;
        self.runs.flush()
    }
}

/// Seeds that a campaign took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The first.
    pub first: u64,
    /// The one after the last.
    pub end: u64,
    /// What was played, in a word.
    pub name: String,
    /// Its folder under the out folder.
    pub folder: String,
}

/// The seeds that the campaigns under one out folder took. Held, it keeps others from taking.
pub struct Ledger {
    out: PathBuf,
    file: File,
    taken: Vec<Taken>,
}

impl Ledger {
    /// Opens the ledger under `out`, and makes both if they are not there.
    ///
    /// # Errors
    /// What the host says, with the path; a line that is none of a ledger's.
    pub fn open(out: &Path) -> io::Result<Ledger> {
        let path = out.join(LEDGER);
        let named = |error| named(&path, error);
        make_out(out)?;
        let file = OpenOptions::new().create(true).read(true).append(true).open(&path);
        let mut file = file.map_err(named)?;
        file.lock().map_err(named)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(named)?;
        let mut taken = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let read = serde_json::from_str(line).map_err(|error| {
                let why = format!("{}: line {}: {error}; delete the line", path.display(), at + 1);
                io::Error::other(why)
            })?;
            taken.push(read);
        }
        Ok(Ledger { out: out.to_path_buf(), file, taken })
    }

    /// So many seeds that nobody took: the first that `draw` comes to.
    pub fn fresh(&self, count: u64, mut draw: impl FnMut() -> u64) -> Range<u64> {
        for _ in 0..DRAWS_MAX {
            let first = draw();
            let range = first..first.saturating_add(count);
            let is_free = |taken: &Taken| range.end <= taken.first || taken.end <= range.start;
            if self.taken.iter().all(is_free) {
                return range;
            }
        }
        // Hardly any short seed is left: on from the last that was taken.
        let first = self.taken.iter().map(|taken| taken.end).max().unwrap_or(0);
        first..first.saturating_add(count)
    }

    /// Takes seeds for what `name` says; returns the folder for it, which no earlier campaign has.
    ///
    /// # Errors
    /// What the host says.
    pub fn take(mut self, seeds: &Range<u64>, name: &str) -> io::Result<PathBuf> {
        let plain = format!("{:#x}-{name}", seeds.start);
        let numbered = (2..).map(|n| format!("{plain}-{n}"));
        let mut names = std::iter::once(plain.clone()).chain(numbered);
        let folder = names.find(|name| !self.out.join(name).exists()).unwrap_or(plain);
        let path = self.out.join(&folder);
        fs::create_dir_all(&path).map_err(|error| named(&path, error))?;
        let (first, end, name) = (seeds.start, seeds.end, name.to_string());
        let line = serde_json::to_string(&Taken { first, end, name, folder })?;
        self.file.write_all(format!("{line}\n").as_bytes())?;
        Ok(path)
    }
}

/// Makes the out folder, if it is not there.
fn make_out(out: &Path) -> io::Result<()> {
    fs::create_dir_all(out).map_err(|error| {
        let is_file = out.ancestors().find(|path| path.is_file());
        match is_file {
            Some(file) => io::Error::other(format!(
                "--out {}: {} is a file: name a folder, which is made if it is not there",
                out.display(),
                file.display()
            )),
            None => named(out, error),
        }
    })
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(name: &str) -> PathBuf {
        let out = std::env::temp_dir().join(format!("stormglass-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&out);
        out
    }

    #[test]
    fn fresh_seeds_are_those_that_no_earlier_campaign_took() {
        let out = out("ledger");
        let take = |draws: &[u64]| {
            let ledger = Ledger::open(&out).unwrap();
            let mut draws = draws.iter().copied();
            let seeds = ledger.fresh(100, || draws.next().unwrap());
            ledger.take(&seeds, "all").unwrap();
            seeds
        };
        assert_eq!(take(&[1000]), 1000..1100);
        assert_eq!(take(&[1000, 901, 1099, 1050, 900]), 900..1000);
        assert_eq!(take(&[950, 1100]), 1100..1200);
        fs::remove_dir_all(&out).unwrap();
    }

    #[test]
    fn a_file_is_no_out_folder_and_the_message_says_so() {
        let file = out("file");
        fs::write(&file, "").unwrap();
        for place in [file.clone(), file.join("deeper")] {
            let error = Ledger::open(&place).err().expect("it is no folder").to_string();
            assert!(error.contains(" is a file: name a folder"), "{error}");
        }
        fs::remove_file(&file).unwrap();
    }

    #[test]
    fn the_same_seeds_again_have_a_folder_of_their_own() {
        let out = out("folders");
        let take = || Ledger::open(&out).unwrap().take(&(16..32), "all").unwrap();
        let names = [take(), take(), take()]
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
        assert_eq!(names, ["0x10-all", "0x10-all-2", "0x10-all-3"]);
        fs::remove_dir_all(&out).unwrap();
    }
}
