//! The durability matrix against its committed table, and the table against the matrix.

use crate::command::{Ran, passed, stormglass};
use insta::assert_snapshot;
use std::sync::atomic::{AtomicBool, Ordering};
use stormglass_scenarios::explore::matrix::{Expectations, Matrix, Setting, TABLE, explore};
use stormglass_scenarios::sql::{Journal, Synchronous};

/// Goal: what every setting keeps, and how soon each loss is seen, is what it was. Method: the command as
/// people call it, word for word; after a change of SQLite, of the disk or of the script the difference is
/// there to be reviewed, in `docs/faults.md` as well.
#[test]
fn the_matrix_is_as_its_table_says() {
    let told = passed(&["explore", "--matrix"]);
    let documented = include_str!("../../docs/faults.md");
    for line in told.lines().skip_while(|line| !line.starts_with("control")) {
        assert!(documented.contains(line), "docs/faults.md lacks `{line}`");
    }
    assert_snapshot!(told);
}

fn matrix_of(journal: Journal, synchronous: Synchronous, table: &str) -> Matrix {
    let expectations = Expectations::parse(table).expect("the table has every cell");
    let setting = Setting { journal, synchronous };
    explore([setting], &expectations, &AtomicBool::new(false)).expect("there can be a world")
}

/// The committed table, with other losses in the entry that has this reason.
fn table_with(loses: &str, why: &str) -> String {
    let at = TABLE.find(why).expect("the table has this reason");
    let start = TABLE[..at].rfind("loses = ").expect("every entry names its losses");
    let end = start + TABLE[start..].find('\n').expect("a line ends");
    format!("{}loses = {loses}{}", &TABLE[..start], &TABLE[end..])
}

/// Goal: the comparison can fail, both ways. Method: a table that says that WAL+FULL may lose commits, and one
/// that says that WAL+NORMAL keeps them.
#[test]
fn a_wrong_expectation_is_red() {
    let never = table_with("[\"I1\"]", "The log is synced at every commit.");
    let matrix = matrix_of(Journal::Wal, Synchronous::Full, &never);
    let not_seen = |end: &str| {
        format!("WAL+FULL, {end}: may lose I1 and was not seen to in 1000 crash states")
    };
    assert_eq!(matrix.differences(), ["power loss, names kept", "power loss"].map(not_seen));
    // A control that does not turn red accuses nobody but the harness.
    assert_eq!(matrix.exit_code(), 3);
    let told = matrix.in_words();
    let last = "3 cells, 2178 crash states: HARNESS BROKEN 2 differences from the table";
    assert!(told.contains(last), "{told}");
    assert!(told.contains("\nRED WAL+FULL, power loss: may lose I1 "), "{told}");
    assert!(
        told.contains("FULL (2): https://sqlite.org/pragma.html#pragma_synchronous\n"),
        "{told}"
    );

    let keeps = table_with("[]", "The log is synced at checkpoints only");
    let matrix = matrix_of(Journal::Wal, Synchronous::Normal, &keeps);
    let differences = matrix.differences();
    assert_eq!(differences.len(), 2, "{differences:?}");
    let lost = "WAL+NORMAL, power loss: must keep I1 and loses it in crash state ";
    assert!(differences[1].starts_with(lost), "{differences:?}");
    assert_eq!(matrix.exit_code(), 1);
    assert!(!matrix.in_words().contains("HARNESS BROKEN"));
}

/// Goal: a part of the table is not taken for all of it. Method: whoever waits has enough at the second setting.
#[test]
fn an_interrupted_matrix_says_how_much_of_it_there_is() {
    let expectations = Expectations::committed().expect("the table has every cell");
    let stop = AtomicBool::new(false);
    let settings = Setting::all().take(4).enumerate().map(|(at, setting)| {
        stop.store(at == 1, Ordering::Relaxed);
        setting
    });
    let matrix = explore(settings, &expectations, &stop).expect("there can be a world");
    let told = matrix.in_words();
    assert!(told.contains("\ninterrupted: 3 of 12 cells, "), "{told}");
    assert!(told.contains(": these as the table of expectations says\n"), "{told}");
}

#[test]
fn a_cell_in_json_has_what_was_seen_and_who_says_so() {
    let matrix = matrix_of(Journal::Delete, Synchronous::Full, TABLE);
    assert_eq!((matrix.differences(), matrix.exit_code()), (vec![], 0));
    let cells = matrix.to_json();
    let cell = cells.last().expect("one a setting and ending");
    assert_eq!(cell["journal_mode"], "DELETE");
    assert_eq!(cell["synchronous"], "FULL");
    assert_eq!(cell["ending"], "power loss");
    assert_eq!((&cell["states"], &cell["may_lose"]), (&1000.into(), &vec!["I1"].into()));
    assert!(cell["broken_at"]["I1"].as_u64().is_some_and(|at| at <= 1000), "{cell}");
    assert_eq!(cell["sources"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_matrix_takes_no_seed() {
    let Ran { code, out, err } = stormglass(&["explore", "--matrix", "--seed", "1"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("'--matrix' cannot be used with '--seed <SEED>'"), "{err}");
}
