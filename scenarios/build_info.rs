//! Which build found something: a seed means the same run only for the same one.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::process::Command;
use stormglass_sim::Digest;

/// What the dependencies were when this program was built.
const LOCK: &[u8] = include_bytes!("../Cargo.lock");
/// What stands for a part that is not known.
const UNKNOWN: &str = "unknown";
/// What follows a commit when the checkout has changes beside it.
const WITH_CHANGES: &str = " with changes";

/// Digits of a commit that a person is shown.
const COMMIT_SHOWN: usize = 10;

/// The build of this program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Of the harness.
    pub version: String,
    /// The commit of the checkout that it was built in, and whether there are changes beside it.
    pub commit: String,
    /// Hash of Cargo.lock, which names every dependency; empty in records from before there was one.
    #[serde(default)]
    pub lock: String,
    /// The compiler.
    pub rustc: String,
    /// The target triple.
    pub target: String,
    /// SQLite's version and source id.
    pub sqlite: String,
    /// The version of libsql.
    #[serde(default)]
    pub libsql: String,
    /// The version of wasmtime.
    #[serde(default)]
    pub wasmtime: String,
}

impl Build {
    /// Of this program, asked now.
    pub fn this() -> Build {
        let commit = commit().unwrap_or_else(|| UNKNOWN.to_string());
        let is_dirty = git(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
        Build {
            version: env!("CARGO_PKG_VERSION").to_string(),
            commit: commit + if is_dirty { WITH_CHANGES } else { "" },
            lock: Digest::of(LOCK).to_string(),
            rustc: env!("STORMGLASS_RUSTC").to_string(),
            target: env!("STORMGLASS_TARGET").to_string(),
            sqlite: sqlite().unwrap_or_else(|| UNKNOWN.to_string()),
            libsql: env!("STORMGLASS_LIBSQL").to_string(),
            wasmtime: env!("STORMGLASS_WASMTIME").to_string(),
        }
    }

    /// The commit and what a run rests on, in a line.
    pub fn brief(&self) -> String {
        let (commit, changes) = self.commit.split_once(' ').unwrap_or((&self.commit, ""));
        let commit: String = commit.chars().take(COMMIT_SHOWN).collect();
        let commit = [commit.as_str(), changes].join(" ");
        let rustc: Vec<&str> = self.rustc.split(' ').take(2).collect();
        let Build { libsql, wasmtime, .. } = self;
        let (commit, rustc) = (commit.trim_end(), rustc.join(" "));
        format!("{commit}, {rustc}, libsql {libsql}, wasmtime {wasmtime}")
    }

    /// The parts, by the names that a person knows them by.
    fn parts(&self) -> [(&'static str, &str); 8] {
        let Build { version, commit, lock, rustc, target, sqlite, libsql, wasmtime } = self;
        [
            ("harness", version),
            ("commit", commit),
            ("Cargo.lock", lock),
            ("rustc", rustc),
            ("target", target),
            ("SQLite", sqlite),
            ("libsql", libsql),
            ("wasmtime", wasmtime),
        ]
    }

    /// The parts in which `later` is another build than this one.
    pub fn differences(&self, later: &Build) -> Vec<Difference> {
        let pairs = self.parts().into_iter().zip(later.parts());
        let differ = pairs.filter(|((_, old), (_, new))| old != new);
        let told = |text: &str| if text.is_empty() { UNKNOWN } else { text }.to_string();
        differ
            .map(|((part, old), (_, new))| Difference { part, old: told(old), new: told(new) })
            .collect()
    }

    /// Whether this and `later` are known to be the same program, so that equal plans must make equal runs.
    pub fn is_same_program(&self, later: &Build) -> bool {
        let is_known = self.commit != UNKNOWN && !self.commit.ends_with(WITH_CHANGES);
        is_known && self == later
    }
}

/// A part in which two builds differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which.
    pub part: &'static str,
    /// What it was.
    pub old: String,
    /// What it is.
    pub new: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {}", self.part, self.old, self.new)
    }
}

/// The commit of the checkout that this program was built in.
pub fn commit() -> Option<String> {
    git(&["rev-parse", "HEAD"])
}

/// Asks in the checkout, wherever this process was started.
fn git(arguments: &[&str]) -> Option<String> {
    let checkout = ["-C", env!("CARGO_MANIFEST_DIR")];
    let output = Command::new("git").args(checkout).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.trim().to_string())
}

fn sqlite() -> Option<String> {
    stormglass_sim::block_on(async {
        let database = libsql::Builder::new_local(":memory:").build().await.ok()?;
        let sql = "SELECT sqlite_version() || ' ' || sqlite_source_id()";
        let mut rows = database.connect().ok()?.query(sql, ()).await.ok()?;
        rows.next().await.ok()??.get::<String>(0).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_that_differs_is_named_with_what_it_was_and_is() {
        let this = Build::this();
        assert_eq!(this.differences(&this), []);
        let parts = this.parts().map(|(part, _)| part);
        let altered: [fn(&mut Build) -> &mut String; 6] = [
            |build| &mut build.version,
            |build| &mut build.commit,
            |build| &mut build.lock,
            |build| &mut build.rustc,
            |build| &mut build.target,
            |build| &mut build.sqlite,
        ];
        for (part, alter) in parts.into_iter().zip(altered) {
            let mut other = this.clone();
            alter(&mut other).insert_str(0, "old-");
            let [difference] = &other.differences(&this)[..] else { panic!("{part}") };
            let now = alter(&mut this.clone()).clone();
            assert_eq!(difference.to_string(), format!("{part} old-{now} -> {now}"));
            assert!(!other.is_same_program(&this), "{part}");
        }
    }

    #[test]
    fn a_checkout_with_changes_is_no_program_of_its_own() {
        let clean = Build { commit: "4f1c9e2".to_string(), ..Build::this() };
        assert!(clean.is_same_program(&clean));
        for commit in ["4f1c9e2 with changes", UNKNOWN] {
            let other = Build { commit: commit.to_string(), ..clean.clone() };
            assert!(!other.is_same_program(&other), "{commit}");
        }
    }
}
