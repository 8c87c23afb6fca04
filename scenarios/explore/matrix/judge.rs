//! What a crash left, held against what was committed before it.
//!
//! **Verified:** I1, every acknowledged row is there and no acknowledged deletion is undone; I2, what is there
//! is what some number of whole transactions left; I14, SQLite's integrity check passes and everything reads.
//! **Not verified:** atomicity of what cannot be read.

use crate::sql::database::look;
use crate::sql::oracle::State;
use std::collections::BTreeSet;
use stormglass_model::violation::Invariant;
use stormglass_sim::{Digest, Machine, block_on};

/// What the matrix is about, in the order of its columns.
pub const INVARIANTS: [Invariant; 3] = [Invariant::I1, Invariant::I2, Invariant::I14];

/// A mark for each of [`INVARIANTS`].
pub type Marks = [bool; INVARIANTS.len()];

/// What was found on a disk.
pub enum Found {
    /// The database does not open, or does not read to its end.
    Unreadable,
    /// All rows, and whether the integrity check passed.
    Rows {
        /// Whether it passed.
        sound: bool,
        /// The rows.
        state: State,
    },
}

/// Opens the database of `machine` and reads it.
pub fn find(machine: &Machine) -> Found {
    match block_on(look(machine)) {
        Ok((integrity, state)) => Found::Rows { sound: integrity == "ok", state },
        Err(_) => Found::Unreadable,
    }
}

/// Which invariants `found` breaks, after so many acknowledged transactions; `states` are what there was
/// after none, one, two of them, and so on.
pub fn broken(found: &Found, states: &[State], acknowledged: usize) -> Marks {
    match found {
        Found::Unreadable => [rows_of(&states[acknowledged]).next().is_some(), false, true],
        Found::Rows { sound, state } => {
            let so_far = &states[..states.len().min(acknowledged + 2)];
            [loses_rows(state, so_far, acknowledged), !so_far.contains(state), !sound]
        }
    }
}

type Row = (u32, u32, Digest);

fn rows_of(state: &State) -> impl Iterator<Item = Row> {
    state.iter().flat_map(|(batch, rows)| rows.iter().map(|(n, body)| (*batch, *n, *body)))
}

/// Whether a row that must be there is not, or one that must be gone is there. What the transaction after
/// the acknowledged ones changes may be as before or as after it.
fn loses_rows(found: &State, so_far: &[State], acknowledged: usize) -> bool {
    let set = |state| rows_of(state).collect::<BTreeSet<Row>>();
    let (found, before) = (set(found), set(&so_far[acknowledged]));
    let after = so_far.get(acknowledged + 1).map_or_else(|| before.clone(), set);
    let lost = before.iter().any(|row| after.contains(row) && !found.contains(row));
    let ever: BTreeSet<Row> = so_far[..acknowledged].iter().flat_map(rows_of).collect();
    let undone = found.iter().any(|row| ever.contains(row) && !before.contains(row));
    lost || undone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::oracle::Rows;

    fn holding(rows: &[(u32, u32)]) -> State {
        let mut state = State::new();
        for (batch, n) in rows {
            let batch: &mut Rows = state.entry(*batch).or_default();
            batch.insert(*n, Digest(u128::from(*n)));
        }
        state
    }

    /// Goal: each kind of loss is seen as what it is. Method: two acknowledged transactions, the second of
    /// which took back the first's second row, and one in doubt; every kind of remains.
    #[test]
    fn each_loss_breaks_its_invariant() {
        let states = [
            holding(&[]),
            holding(&[(1, 0), (1, 1)]),
            holding(&[(1, 0), (2, 0)]),
            holding(&[(2, 0), (3, 0), (3, 1)]),
        ];
        let [kept, lost, half] = [[false; 3], [true, false, false], [false, true, false]];
        for (remains, expected) in [
            (&[(1, 0), (2, 0)][..], kept),
            (&[(2, 0), (3, 0), (3, 1)], kept),
            (&[(1, 0), (1, 1)], lost),
            (&[], lost),
            (&[(2, 0), (3, 0)], half),
            (&[(1, 0), (2, 0), (9, 0)], half),
            (&[(1, 0)], [true, true, false]),
            (&[(1, 0), (1, 1), (2, 0)], [true, true, false]),
        ] {
            let found = Found::Rows { sound: true, state: holding(remains) };
            assert_eq!(broken(&found, &states, 2), expected, "{remains:?}");
        }
        let unsound = Found::Rows { sound: false, state: states[2].clone() };
        assert_eq!(broken(&unsound, &states, 2), [false, false, true]);
        assert_eq!(broken(&Found::Unreadable, &states, 2), [true, false, true]);
        assert_eq!(broken(&Found::Unreadable, &states, 0), [false, false, true]);
    }
}
