//! Which build found something: a seed means the same run only for the same one.

use serde::{Deserialize, Serialize};
use std::process::Command;

/// Digits of a commit that a person is shown.
const COMMIT_SHOWN: usize = 10;

/// The build of this program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Of the harness.
    pub version: String,
    /// The commit of the checkout that it runs in, and whether there are changes beside it.
    pub commit: String,
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
        let commit = commit().unwrap_or_else(|| "unknown".to_string());
        let is_dirty = git(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
        Build {
            version: env!("CARGO_PKG_VERSION").to_string(),
            commit: commit + if is_dirty { " with changes" } else { "" },
            rustc: env!("STORMGLASS_RUSTC").to_string(),
            target: env!("STORMGLASS_TARGET").to_string(),
            sqlite: sqlite().unwrap_or_else(|| "unknown".to_string()),
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
}

/// The commit of the checkout that this process runs in.
pub fn commit() -> Option<String> {
    git(&["rev-parse", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
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
