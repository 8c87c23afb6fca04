//! The scripts in which connections are in each other's way, and those in which one finds what a
//! crash of another may have left.

use super::scripts::{Script, script};

/// For every journal mode, after [`START`].
const FOR_EACH_MODE: [(&str, &str); 6] = [
    (
        "reader, writer, second writer",
        "b BEGIN
         b $SUM
         a $FEW
         a BEGIN
         a $FEW
         c $SUM
         c $FEW
         a COMMIT
         c $SUM
         b $FEW
         b COMMIT
         a COMMIT
         b $SUM
         c $FEW",
    ),
    (
        "exclusive against readers",
        "a BEGIN EXCLUSIVE
         b $SUM
         b BEGIN IMMEDIATE
         a $FEW
         b $SUM
         a COMMIT
         b BEGIN
         b $SUM
         a BEGIN EXCLUSIVE
         a BEGIN IMMEDIATE
         a $FEW
         c BEGIN IMMEDIATE
         a COMMIT
         c $SUM
         b COMMIT
         a COMMIT
         c $SUM",
    ),
    (
        "an open cursor",
        "a hold SELECT id FROM t
         b $FEW
         c BEGIN
         c $SUM
         b BEGIN IMMEDIATE
         b $FEW
         b COMMIT
         a release
         b COMMIT
         c COMMIT
         b COMMIT
         a close
         b close
         a $SUM",
    ),
    (
        "locking mode exclusive",
        "b $SUM
         a PRAGMA locking_mode = EXCLUSIVE
         a $FEW
         b $SUM
         b $FEW
         a close
         b $SUM
         b PRAGMA locking_mode = EXCLUSIVE
         b $SUM
         a $SUM
         a $FEW
         b $FEW
         a $SUM
         b PRAGMA locking_mode = NORMAL
         b $SUM
         a $FEW",
    ),
    (
        "changing the mode under others",
        "b $SUM
         c BEGIN
         c $SUM
         b PRAGMA journal_mode = WAL
         b PRAGMA journal_mode = DELETE
         c COMMIT
         b PRAGMA journal_mode = DELETE
         a $FEW
         b PRAGMA journal_mode = WAL
         a BEGIN IMMEDIATE
         b VACUUM
         a ROLLBACK
         b VACUUM
         c $SUM",
    ),
    (
        "recovery of a copy taken inside a transaction",
        "a PRAGMA cache_size = 5
         a BEGIN
         a $MANY
         a UPDATE t SET v = randomblob(700)
         all copy
         b open z.db
         b $SUM
         c open z.db
         c $SUM
         b $FEW
         c $SUM
         c PRAGMA integrity_check
         b close
         c close
         a COMMIT
         a BEGIN
         a UPDATE t SET v = randomblob(800)
         all copy
         b open z.db
         c open z.db
         b BEGIN IMMEDIATE
         c $SUM
         b $FEW
         c BEGIN IMMEDIATE
         b COMMIT
         c $SUM",
    ),
];

const START: &str = "a PRAGMA journal_mode = $MODE
                     a CREATE TABLE t(id INTEGER PRIMARY KEY, v)
                     a $FEW\n";

const CHECKPOINT: &str = "a PRAGMA journal_mode = WAL
                          a CREATE TABLE t(id INTEGER PRIMARY KEY, v)
                          a $FEW
                          b BEGIN
                          b $SUM
                          a $FEW
                          a PRAGMA wal_checkpoint($MODE)
                          a $FEW
                          c BEGIN IMMEDIATE
                          a PRAGMA wal_checkpoint($MODE)
                          c $FEW
                          b COMMIT
                          a PRAGMA wal_checkpoint($MODE)
                          c COMMIT
                          b hold SELECT * FROM t
                          a PRAGMA wal_checkpoint($MODE)
                          c $FEW
                          a look
                          a PRAGMA wal_checkpoint($MODE)
                          b release
                          a PRAGMA wal_checkpoint($MODE)
                          a look
                          c $FEW";

/// Two and three connections.
pub fn contention() -> Vec<Script> {
    let mut scripts = Vec::new();
    for mode in ["DELETE", "TRUNCATE", "PERSIST", "WAL"] {
        for (name, text) in FOR_EACH_MODE {
            let text = format!("{START}{text}").replace("$MODE", mode);
            scripts.push(script(format!("{mode}: {name}"), &text));
        }
    }
    for mode in ["PASSIVE", "FULL", "RESTART", "TRUNCATE"] {
        let text = CHECKPOINT.replace("$MODE", mode);
        scripts.push(script(format!("checkpoint {mode} among readers and writers"), &text));
    }
    scripts
}
