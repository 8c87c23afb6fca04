//! Seeded scripts for the parity test: three connections that know nothing of one another.

use super::scripts::{self, Script};
use stormglass_sim::{Seed, Stream};

const STEP_COUNT: usize = 60;
/// OFF is missing: what a rollback leaves is then undefined.
const MODES: [&str; 6] = ["DELETE", "TRUNCATE", "PERSIST", "MEMORY", "WAL", "WAL"];
const SYNCHRONOUS: [&str; 4] = ["OFF", "NORMAL", "FULL", "EXTRA"];

/// The script of `seed`.
pub fn script(seed: u64) -> Script {
    let mut stream = Seed(seed).stream("parity");
    let (page_size, mode) = (stream.pick(&[512, 1024, 4096, 65536]), stream.pick(&MODES));
    let mut text = format!(
        "a PRAGMA page_size = {page_size}
         a PRAGMA journal_mode = {mode}
         a CREATE TABLE t(id INTEGER PRIMARY KEY, v)\n"
    );
    for who in ["a", "b", "c"] {
        text += &format!("{who} PRAGMA synchronous = {}\n", stream.pick(&SYNCHRONOUS));
        text += &format!("{who} PRAGMA cache_size = {}\n", stream.pick(&[5, 20, 2000]));
        text += &format!("{who} PRAGMA wal_autocheckpoint = {}\n", stream.pick(&[2, 20, 1000]));
    }
    for _ in 0..STEP_COUNT {
        let who = stream.pick(&["a", "b", "c"]);
        text += &format!("{who} {}\n", step(&mut stream));
    }
    scripts::script(format!("random {seed}"), &text)
}

fn step(stream: &mut Stream) -> String {
    match stream.below(40) {
        0..14 => write(stream),
        14..20 => stream.pick(&["BEGIN", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"]).to_string(),
        20..25 => "COMMIT".to_string(),
        25 => "ROLLBACK".to_string(),
        26..29 => "SELECT count(*), sum(length(v)), max(hex(v)) FROM t".to_string(),
        29 => "hold SELECT * FROM t".to_string(),
        30 => "release".to_string(),
        31 => stream.pick(&["SAVEPOINT p", "ROLLBACK TO p", "RELEASE p"]).to_string(),
        32..34 => {
            let mode = stream.pick(&["PASSIVE", "FULL", "RESTART", "TRUNCATE"]);
            format!("PRAGMA wal_checkpoint({mode})")
        }
        34 => format!("PRAGMA journal_mode = {}", stream.pick(&MODES)),
        35 => format!("PRAGMA locking_mode = {}", stream.pick(&["NORMAL", "NORMAL", "EXCLUSIVE"])),
        36 => stream.pick(&["VACUUM", "PRAGMA integrity_check", "REINDEX"]).to_string(),
        37 => "look".to_string(),
        38 => "close".to_string(),
        _ => format!("open ?psow={}", stream.below(2)),
    }
}

fn write(stream: &mut Stream) -> String {
    let (id, len) = (stream.below(60), stream.pick(&[10, 300, 3000, 30_000]));
    match stream.below(4) {
        0 => format!("UPDATE t SET v = randomblob({len}) WHERE id = {id}"),
        1 => format!("DELETE FROM t WHERE id % 8 = {}", id % 8),
        _ => format!("REPLACE INTO t VALUES ({id}, randomblob({len}))"),
    }
}
