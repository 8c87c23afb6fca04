//! Recoveries that come to where another recovery has been, and end as that one did.
//!
//! **Invariant:** two of them have the same files byte for byte, the same clock, boot and faults, nothing under
//! way, and the same way of the run's end still to go; the judge stood where he stood and was shown and told the same
//! since, answer by answer, row by row and guest by guest. Not compared are what was durable of the files (only kills
//! come then) and the numbers of the disk's operations.

use super::Run;
use crate::check::{Going, Stop};
use crate::guests::Told;
use crate::patience::bounded;
use crate::plan::Step;
use crate::rows::Seen;
use crate::server::{Said, Server};
use crate::translate;
use crate::verdict::Verdict;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;
use stormglass_model::tables::TenantRows;
use stormglass_sim::Digest;

/// Where the recoveries of one recorded run have been, and how each ended.
pub struct Known {
    /// What they have found in files.
    pub(super) seen: Seen,
    ends: BTreeMap<Digest, usize>,
    verdicts: Vec<Verdict>,
}

impl Known {
    /// Nothing yet, but for what others have `seen`.
    pub fn new(seen: Seen) -> Known {
        Known { seen, ends: BTreeMap::new(), verdicts: Vec::new() }
    }

    /// A recovery that came by these moments has ended so.
    pub(super) fn add(&mut self, passed: Vec<Digest>, verdict: Verdict) {
        let number = self.verdicts.len();
        self.verdicts.push(verdict);
        self.ends.extend(passed.into_iter().map(|moment| (moment, number)));
    }
}

/// A recovery on its way to where another was.
pub(super) struct Joining<'a> {
    known: &'a RefCell<Known>,
    /// Of what the judge was shown since he stood where he stood.
    shown: Digest,
    /// The moments that nobody has been at before.
    passed: Vec<Digest>,
    /// The number of the recovery that it came to.
    joined: Option<usize>,
}

impl<'a> Joining<'a> {
    /// Begins where a judge stands: equal ones are the same.
    pub fn new(known: &'a RefCell<Known>, standpoint: impl Hash) -> Joining<'a> {
        let shown = Digest::of_value(&standpoint);
        Joining { known, shown, passed: Vec::new(), joined: None }
    }

    /// The moments that nobody has been at before, and the number of the recovery that it came to.
    pub fn into_passed(self) -> (Vec<Digest>, Option<usize>) {
        (self.passed, self.joined)
    }

    /// The judge is shown an answer.
    pub fn answered(&mut self, step: &Step, said: &Said) {
        let answer = match said {
            Said::Answer(answer) => {
                (answer.status, answer.code.as_deref(), answer.sequence_nr, Some(&answer.body))
            }
            _ => (0, None, None, None),
        };
        let words = said.in_words();
        self.shown = Digest::of_value(&(self.shown.0, translate::brief(step), words, answer));
    }

    /// The judge is told of guests.
    pub fn told(&mut self, told: &Told) {
        if *told != Told::default() {
            self.shown = Digest::of_value(&(self.shown.0, told));
        }
    }

    /// The judge is shown rows.
    pub fn read(&mut self, rows: &[Arc<TenantRows>]) {
        let seen = &self.known.borrow().seen;
        let digests: Vec<u128> = rows.iter().map(|rows| seen.of_rows(rows).0).collect();
        self.shown = Digest::of_value(&(self.shown.0, digests));
    }
}

impl Run<'_> {
    /// How the recovery ended that this one has come to.
    pub(super) fn known_end(&self, number: usize) -> Verdict {
        let joining = self.joining.as_ref().expect("only a recovery joins another");
        joining.known.borrow().verdicts[number].clone()
    }

    /// The judge has seen the rows as they are.
    pub(super) fn note_rows(&mut self) {
        if let Some(joining) = &mut self.joining {
            joining.read(&self.judge.rows());
        }
    }

    /// Stops where another recovery has been; SQLite checks the files of one that goes on by itself.
    pub(super) async fn join(&mut self) -> Going {
        if self.joining.is_none() {
            return Ok(());
        }
        bounded(&self.judge, self.points.quiet()).await?;
        let moment = self.moment();
        let Some(joining) = &mut self.joining else { return Ok(()) };
        joining.joined = joining.known.borrow().ends.get(&moment).copied();
        if let Some(number) = joining.joined {
            return Err(Stop::Known(number));
        }
        joining.passed.push(moment);
        self.judge.files_are_sound().await
    }

    fn moment(&mut self) -> Digest {
        let clock = self.world.clock();
        let boot = self.server.as_ref().map(|server| Server::boot(server).number());
        let faults = self.world.ledger();
        let Some(joining) = &self.joining else { return Digest(0) };
        let files = joining.known.borrow().seen.disk(&self.world.image());
        let times = (clock.now_utc_ms(), clock.monotonic_ms());
        let guests = self.tally.phases.guests().standing();
        Digest::of_value(&(joining.shown.0, files.0, times, boot, faults, guests.0))
    }
}
