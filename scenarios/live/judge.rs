//! The model of a live run, shared by its clients.
//!
//! **Invariant:** what it is told, it is told in the order of the clock's readings: both happen under one
//! lock.

use super::tables::Damage;
use super::{LiveError, Report};
use crate::check::DEFAULT_CEILING_BYTES;
use crate::host::{self, Stopwatch};
use crate::http::{Answer, Request};
use crate::plan::Step;
use crate::translate::{self, Sets};
use std::sync::{Mutex, MutexGuard, PoisonError};
use stormglass_model::automaton::Mode;
use stormglass_model::clock::Moment;
use stormglass_model::entity::OpId;
use stormglass_model::oracle::Oracle;
use stormglass_model::tables::{Sight, TenantRows};
use stormglass_model::violation::{Invariant, Violation};
use stormglass_model::workload::session::session;

/// The model, what it found, and how much it saw.
pub struct Judge {
    told: Mutex<Told>,
    sets: Sets,
    since: Stopwatch,
}

struct Told {
    oracle: Oracle,
    report: Report,
}

impl Judge {
    /// Of a run that begins.
    pub fn new() -> Judge {
        let since = Stopwatch::start();
        let mode = Mode::BlobRefs { default_inline_max: DEFAULT_CEILING_BYTES };
        let mut oracle = Oracle::new(mode, moment(since));
        oracle.set_spec(session());
        let sets = Sets::new(&[session()]);
        Judge { told: Mutex::new(Told { oracle, report: Report::default() }), sets, since }
    }

    /// A reading of the clocks under the lock.
    fn now(&self) -> (MutexGuard<'_, Told>, Moment) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        (told, moment(self.since))
    }

    /// A process starts.
    pub fn boot_started(&self) -> Result<(), LiveError> {
        let (mut told, now) = self.now();
        let started = told.oracle.boot_started(now);
        started.map(drop).map_err(|misuse| LiveError::Misuse(misuse.to_string()))
    }

    /// The process is over, and every client knows.
    pub fn boot_ended(&self) {
        let (mut told, now) = self.now();
        told.oracle.boot_ended(now);
    }

    /// The process was killed, and whether it did not listen yet.
    pub fn killed(&self, at_start: bool) {
        let report = &mut self.now().0.report;
        report.kills += 1;
        report.kills_at_start += u64::from(at_start);
    }

    /// A request is about to be sent.
    pub fn sent(&self, step: &Step) -> (Request, OpId) {
        let request = translate::request(step, &self.sets).expect("clients send requests");
        let asked = translate::for_model(step, &self.sets).expect("clients send requests");
        let (mut told, now) = self.now();
        told.report.requests += 1;
        (request, told.oracle.send(now, asked))
    }

    /// A write is sent once more.
    pub fn repeats(&self) {
        self.now().0.report.repeated += 1;
    }

    /// A request got no answer.
    pub fn lost(&self, step: &Step, op: OpId) {
        let (mut told, now) = self.now();
        told.report.in_doubt += u64::from(step.action.is_write());
        told.oracle.lost(now, op);
    }

    /// A request was answered.
    pub fn answered(&self, step: &Step, op: OpId, said: &Answer) -> Result<(), LiveError> {
        let answer = translate::answer(step, said, &self.sets);
        let answer = answer.ok_or_else(|| LiveError::NoAnswer(said.body.to_string()))?;
        let (mut told, now) = self.now();
        let Told { oracle, report } = &mut *told;
        let is_write = step.action.is_write();
        match said.status {
            0..300 if is_write => report.acknowledged += 1,
            0..300 => report.reads += 1,
            300..500 => report.rejected += 1,
            _ => report.in_doubt += u64::from(is_write),
        }
        let found = oracle.answer(now, op, &answer);
        report.violations.extend(found.map_err(|misuse| LiveError::Misuse(misuse.to_string()))?);
        Ok(())
    }

    /// The tables of a server that stands still.
    pub fn look(&self, looks: Vec<Result<TenantRows, Damage>>, sight: Sight) {
        let (mut told, now) = self.now();
        let Told { oracle, report } = &mut *told;
        (report.events, report.blobs) = (0, 0);
        for look in looks {
            report.readings += 1;
            match look {
                Ok(rows) => {
                    report.events += rows.events.len() as u64;
                    report.blobs += rows.blobs.len() as u64;
                    report.violations.extend(oracle.observe(now, &rows, sight).violations);
                }
                Err(Damage { tenant, said }) => report.violations.push(Violation {
                    invariant: Invariant::I14,
                    place: "damaged file",
                    entity: tenant,
                    expected: "ok".to_string(),
                    actual: said,
                    because: "SQLite checked the file".to_string(),
                }),
            }
        }
    }

    /// The panics that the server's log tells of.
    pub fn log(&self, panics: &[String]) {
        let (mut told, _) = self.now();
        told.report.violations.extend(panics.first().map(|panic| Violation {
            invariant: Invariant::I21,
            place: "panic",
            entity: "the server".to_string(),
            expected: "none".to_string(),
            actual: panic.clone(),
            because: "its log says so".to_string(),
        }));
    }

    /// Whether a promise was broken.
    pub fn has_violations(&self) -> bool {
        !self.now().0.report.violations.is_empty()
    }

    /// Where the run stands, in a line.
    pub fn line(&self) -> String {
        let report = &self.now().0.report;
        let Report { kills, requests, acknowledged, in_doubt, events, blobs, .. } = report;
        format!(
            "kill {kills:>3}  {requests:>6} requests  {acknowledged:>6} acknowledged  \
            {in_doubt:>3} in doubt  {events:>6} events  {blobs:>6} blobs"
        )
    }

    /// What came of the run.
    pub fn report(self) -> Report {
        let told = self.told.into_inner().unwrap_or_else(PoisonError::into_inner);
        Report { unverified: told.oracle.unverified(), ..told.report }
    }
}

fn moment(since: Stopwatch) -> Moment {
    let mono_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    Moment { mono_ms, clock_ms: host::utc_now_ms() }
}
