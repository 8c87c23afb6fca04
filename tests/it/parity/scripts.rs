//! The scripts of the parity test.
//!
//! A step is a line: who, then SQL or one of
//! - `open [NAME][?PARAMETERS]`: a connection that was not opened is opened when it is first used;
//! - `close`;
//! - `hold SQL` (read one row, keep the cursor) and `release`;
//! - `look` (compare the files as they are);
//! - `copy` (the files of `x.db` to `z.db`, as a crash could leave them).
//!
//! `@` stands for the directory, `$FEW` and `$MANY` for statements that insert 3 and 40 rows,
//! `$SUM` for one that looks at all of them.

/// SQL for one or more connections.
pub struct Script {
    pub name: String,
    /// What the simulated disk promises; the unix VFS promises what the URI parameter `psow` says.
    pub powersafe_overwrite: bool,
    pub steps: Vec<String>,
}

pub fn script(name: impl Into<String>, text: &str) -> Script {
    let (few, many) = (insert(3, 500), insert(40, 3000));
    let text = text.replace("$FEW", &few).replace("$MANY", &many).replace("$SUM", SUM);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let steps = lines.map(str::to_string).collect();
    Script { name: name.into(), powersafe_overwrite: true, steps }
}

/// `count` rows of `bytes` random bytes each, as one statement.
fn insert(count: u32, bytes: u32) -> String {
    format!(
        "INSERT INTO t(v) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
         WHERE i < {count}) SELECT randomblob({bytes}) FROM n"
    )
}

const SUM: &str = "SELECT count(*), sum(length(v)), hex(max(substr(v, 1, 8))) FROM t";

/// What every journal mode is put through by one connection.
fn workload() -> String {
    let (few, many, big) = (insert(3, 100), insert(60, 900), insert(2, 204_800));
    format!(
        "a CREATE TABLE t(id INTEGER PRIMARY KEY, v, w DEFAULT (datetime('now')))
         a CREATE INDEX t_w ON t(w, id)
         a {few}
         a {big}
         a look
         a BEGIN
         a {many}
         a look
         a UPDATE t SET v = randomblob(300) WHERE id % 3 = 0
         a COMMIT
         a BEGIN IMMEDIATE
         a DELETE FROM t WHERE id % 5 = 1
         a look
         a ROLLBACK
         a BEGIN
         a {few}
         a SAVEPOINT one
         a {many}
         a SAVEPOINT two
         a DELETE FROM t WHERE id < 20
         a ROLLBACK TO two
         a RELEASE two
         a ROLLBACK TO one
         a UPDATE t SET w = 'moved' WHERE id % 2 = 0
         a COMMIT
         a {SUM}
         a DELETE FROM t WHERE length(v) > 100000
         a look
         a VACUUM
         a look
         a PRAGMA integrity_check
         a close
         a {SUM}
         a SELECT w, count(*) FROM t GROUP BY w
         a {few}"
    )
}

/// A large transaction on a small cache, committed once and rolled back once.
fn spill() -> String {
    let many = insert(200, 2000);
    format!(
        "a PRAGMA cache_size = 5
         a BEGIN
         a {many}
         a look
         a UPDATE t SET v = randomblob(1500)
         a COMMIT
         a BEGIN
         a UPDATE t SET v = randomblob(1700)
         a SAVEPOINT deep
         a DELETE FROM t WHERE id % 2 = 0
         a look
         a ROLLBACK TO deep
         a ROLLBACK
         a {SUM}"
    )
}

pub fn write_ahead_logs() -> Vec<Script> {
    let mut scripts = Vec::new();
    let (workload, spill) = (workload(), spill());
    for synchronous in ["OFF", "NORMAL", "FULL", "EXTRA"] {
        for page_size in [1024, 4096, 65536] {
            let text = format!(
                "a PRAGMA page_size = {page_size}
                 a PRAGMA journal_mode = WAL
                 a PRAGMA synchronous = {synchronous}
                 {workload}
                 {spill}"
            );
            scripts.push(script(format!("wal {synchronous} {page_size}"), &text));
        }
        for limit in [1, 8] {
            let text = format!(
                "a PRAGMA journal_mode = WAL
                 a PRAGMA synchronous = {synchronous}
                 a PRAGMA wal_autocheckpoint = {limit}
                 {workload}"
            );
            scripts.push(script(format!("wal {synchronous} autocheckpoint {limit}"), &text));
        }
        for mode in ["PASSIVE", "FULL", "RESTART", "TRUNCATE"] {
            let text = format!(
                "a PRAGMA journal_mode = WAL
                 a PRAGMA synchronous = {synchronous}
                 a CREATE TABLE t(id INTEGER PRIMARY KEY, v)
                 a $FEW
                 a PRAGMA wal_checkpoint({mode})
                 a look
                 a $FEW
                 b $SUM
                 b $FEW
                 a PRAGMA wal_checkpoint({mode})
                 a PRAGMA wal_checkpoint({mode})
                 b $FEW
                 a look
                 b close
                 a $SUM
                 a close
                 a $SUM"
            );
            scripts.push(script(format!("wal {synchronous} checkpoint {mode}"), &text));
        }
    }
    scripts.extend(life_of_a_log());
    scripts
}

/// How a log begins, ends and outlives its connections: after journal mode WAL and the table.
const LIFE_OF_A_LOG: [(&str, &str); 4] = [
    (
        "the last connection ends the log",
        "a $FEW
         b $SUM
         b $FEW
         a close
         a look
         b $FEW
         b close
         a look
         a $SUM
         a close
         a look",
    ),
    (
        "leaving the mode and coming back",
        "a $FEW
         a PRAGMA journal_mode = DELETE
         a look
         a $FEW
         a PRAGMA journal_mode = WAL
         a $FEW
         a PRAGMA journal_mode = TRUNCATE
         a $FEW
         a PRAGMA journal_mode = PERSIST
         a $FEW
         a PRAGMA journal_mode = WAL
         a $FEW",
    ),
    (
        "a journal size limit",
        "a PRAGMA journal_size_limit = 20000
         a $MANY
         a PRAGMA wal_checkpoint(RESTART)
         a $FEW
         a look
         a $MANY
         a $FEW",
    ),
    (
        "one exclusive user, without shared memory",
        "a close
         a PRAGMA locking_mode = EXCLUSIVE
         a $FEW
         a look
         a $MANY
         a PRAGMA wal_checkpoint(TRUNCATE)
         a $FEW
         a PRAGMA locking_mode = NORMAL
         a $FEW
         a close
         b $SUM",
    ),
];

fn life_of_a_log() -> Vec<Script> {
    let start = "a PRAGMA journal_mode = WAL
                 a CREATE TABLE t(id INTEGER PRIMARY KEY, v)\n";
    let lives = LIFE_OF_A_LOG.iter();
    let mut scripts: Vec<Script> = lives
        .map(|(name, text)| script(format!("wal: {name}"), &format!("{start}{text}")))
        .collect();
    for powersafe_overwrite in [true, false] {
        let name = format!("wal with psow=0, disk with powersafe overwrite {powersafe_overwrite}");
        let text =
            format!("a open ?psow=0\n{start}a $FEW\na $FEW\na $MANY\nb open ?psow=0\nb $FEW");
        scripts.push(Script { powersafe_overwrite, ..script(name, &text) });
    }
    scripts
}

pub fn rollback_journals() -> Vec<Script> {
    let mut scripts = Vec::new();
    let (workload, spill) = (workload(), spill());
    for mode in ["DELETE", "TRUNCATE", "PERSIST", "MEMORY", "OFF"] {
        for synchronous in ["OFF", "NORMAL", "FULL", "EXTRA"] {
            let text = format!(
                "a PRAGMA journal_mode = {mode}
                 a PRAGMA synchronous = {synchronous}
                 {workload}
                 a PRAGMA journal_mode = {mode}
                 a PRAGMA synchronous = {synchronous}
                 {spill}"
            );
            let text = if mode == "OFF" { without_rollback(&text) } else { text };
            scripts.push(script(format!("{mode} {synchronous}"), &text));
        }
        for page_size in [1024, 65536] {
            let text = format!(
                "a PRAGMA page_size = {page_size}
                 a PRAGMA journal_mode = {mode}
                 {workload}"
            );
            let text = if mode == "OFF" { without_rollback(&text) } else { text };
            scripts.push(script(format!("{mode} {page_size}"), &text));
        }
        let text = format!(
            "a open ?psow=0
             a PRAGMA journal_mode = {mode}
             a PRAGMA locking_mode = EXCLUSIVE
             a CREATE TABLE t(id INTEGER PRIMARY KEY, v)
             a PRAGMA auto_vacuum
             a $FEW
             a look
             a $FEW
             a PRAGMA locking_mode = NORMAL
             a $SUM
             b $SUM
             b $FEW"
        );
        scripts.push(script(format!("{mode} exclusive, psow=0"), &text));
    }
    let auto_vacuum = format!(
        "a PRAGMA auto_vacuum = INCREMENTAL
         {workload}
         a DELETE FROM t WHERE id > 5
         a PRAGMA incremental_vacuum(10)
         a PRAGMA incremental_vacuum
         a look"
    );
    scripts.push(script("incremental vacuum", &auto_vacuum));
    scripts
}

/// `text` without what a journal is needed for: without one, a rollback leaves the database
/// undefined.
fn without_rollback(text: &str) -> String {
    let lines = text.lines().map(|line| match line.trim().starts_with("a ROLLBACK TO") {
        true => "",
        false => line,
    });
    lines.collect::<Vec<_>>().join("\n").replace("a ROLLBACK\n", "a COMMIT\n")
}

/// Attached databases, super-journals, temporary files.
pub fn several_files() -> Vec<Script> {
    let mut scripts = Vec::new();
    for mode in ["DELETE", "TRUNCATE", "PERSIST", "MEMORY", "WAL"] {
        for synchronous in ["NORMAL", "FULL", "EXTRA"] {
            let text = format!(
                "a PRAGMA journal_mode = {mode}
                 a CREATE TABLE t(id INTEGER PRIMARY KEY, v)
                 a ATTACH '@y.db' AS y
                 a PRAGMA y.journal_mode = {mode}
                 a PRAGMA synchronous = {synchronous}
                 a PRAGMA y.synchronous = {synchronous}
                 a CREATE TABLE y.u(id INTEGER PRIMARY KEY, v)
                 a BEGIN
                 a $FEW
                 a INSERT INTO u(v) SELECT v FROM t
                 a look
                 a COMMIT
                 a look
                 a BEGIN
                 a DELETE FROM u
                 a UPDATE t SET v = randomblob(5000)
                 a ROLLBACK
                 a BEGIN
                 a UPDATE t SET v = 1
                 a UPDATE u SET v = 2
                 a COMMIT
                 a $SUM
                 a SELECT * FROM u
                 a VACUUM INTO '@copy.db'
                 a DETACH y
                 a $FEW"
            );
            scripts.push(script(format!("two databases {mode} {synchronous}"), &text));
        }
    }
    scripts.push(temporary_files());
    scripts
}

fn temporary_files() -> Script {
    let (many, text) = (insert(400, 900), "SELECT hex(substr(v, 1, 20)) FROM t ORDER BY v, id");
    let temporary = format!(
        "a PRAGMA temp_store = FILE
         a PRAGMA cache_size = 10
         a CREATE TABLE t(id INTEGER PRIMARY KEY, v)
         a {many}
         a CREATE TEMP TABLE s(k, v)
         a PRAGMA temp.cache_size = 5
         a INSERT INTO s SELECT id, v FROM t
         a CREATE INDEX temp.s_v ON s(v)
         a BEGIN
         a UPDATE s SET v = randomblob(700)
         a SAVEPOINT p
         a DELETE FROM s WHERE k % 2
         a ROLLBACK TO p
         a COMMIT
         a SELECT count(*), sum(length(v)) FROM s
         a {text}
         a SELECT count(*) FROM (SELECT DISTINCT v FROM t UNION SELECT v FROM s)
         a CREATE INDEX t_v ON t(v)
         a DROP TABLE s
         a UPDATE t SET id = id + 1000, v = v || 'x' WHERE id > 3
         a INSERT INTO t(v) SELECT random() FROM t
         a $SUM"
    );
    script("temporary tables and sorting", &temporary)
}

/// Enough of everything for the test of the test.
pub fn self_check() -> Script {
    script(
        "self-check",
        "a PRAGMA journal_mode = WAL
         a PRAGMA synchronous = FULL
         a CREATE TABLE t(id INTEGER PRIMARY KEY, v)
         a $FEW
         a $FEW
         a $SUM",
    )
}
