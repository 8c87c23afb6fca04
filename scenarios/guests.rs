//! What guests use of their fuel in a run, and what they are given of it; when each read, and how long it took.
//!
//! **Invariant:** a run of a guest is named by its scope and its place there, so that dropping a step moves
//! no other. Who is given its limit runs as it would have run unasked. Of times no more is said than is certain.

use crate::plan::FuelLimit;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use stormglass_model::clock::{Moment, Span};
use stormglass_model::entity::EntityKey;
use stormglass_model::world::Ran;
use stormglass_platform::seams::{GuestRun, Point, Usage};

/// A run of a guest, as a plan names it.
pub type Address = (String, u64);

/// A run that ended for want of fuel: the entity, its event, and the integration's name.
pub type Spent = (EntityKey, u64, String);

/// The guests of one run. Clones are the same guests.
#[derive(Clone, Default)]
pub struct Guests(Arc<Mutex<State>>);

/// On whose account a task comes by a point: tenant, entity, origin.
type Account = (String, String, String);

/// A run of the boot that runs.
struct Run {
    account: Account,
    began_ms: u64,
    /// Whether the guest itself has come to an end.
    is_over: bool,
    /// Whether what comes after it has been seen.
    is_measured: bool,
    /// What is certain of it.
    ran: Ran,
}

#[derive(Default)]
struct State {
    /// The boot that runs, and what the clock read while it did what rows are owed.
    boot: u32,
    readings: BTreeMap<Account, Span>,
    /// When an actor was last asked on its account.
    sent_ms: BTreeMap<Account, u64>,
    runs: BTreeMap<Spent, Run>,
    /// Runs of which something was learnt since the runner last asked.
    learnt: BTreeMap<Spent, Ran>,
    limits: BTreeMap<Address, u64>,
    counts: BTreeMap<String, u64>,
    /// Who runs, by row: what it is called, and whether its limit is the plan's.
    running: BTreeMap<Spent, (Address, bool)>,
    /// Fuel at each call of the host and at the end, by run.
    used: BTreeMap<Address, Vec<u64>>,
    spent: Vec<Spent>,
    spent_count: u64,
    /// Runs of each scope that had begun when the steps were over.
    of_steps: Option<BTreeMap<String, u64>>,
}

fn row(run: GuestRun<'_>) -> Spent {
    let GuestRun { tenant, entity_type, entity_id, sequence_nr, integration, .. } = run;
    let (set, id) = (format!("{entity_type}s"), entity_id.to_string());
    (EntityKey { tenant: tenant.to_string(), set, id }, sequence_nr, integration.to_string())
}

impl State {
    /// The state that the guest is to read is ready, and its expiry judged.
    fn begin(&mut self, run: GuestRun<'_>, now: Moment) {
        let entity = format!("{}('{}')", run.entity_type, run.entity_id);
        let account = (run.tenant.to_string(), entity, run.origin.to_string());
        let Some(readings) = self.readings.get(&account).copied() else { return };
        let readings = readings.hull(Span::exactly(now.clock_ms));
        let ran = Ran { readings, lasted_ms: 0 };
        let (is_over, is_measured) = (false, false);
        let began_ms = self.sent_ms.get(&account).copied().unwrap_or(now.mono_ms);
        let begun = Run { account, began_ms, is_over, is_measured, ran };
        self.learnt.insert(row(run), ran);
        self.runs.insert(row(run), begun);
    }

    fn end(&mut self, row: &Spent, now: Moment) {
        let Some(run) = self.runs.get_mut(row) else { return };
        run.is_over = true;
        run.ran.lasted_ms = now.mono_ms.saturating_sub(run.began_ms);
        self.learnt.insert(row.clone(), run.ran);
    }
}

impl Guests {
    /// From now on runs are given what the plan says.
    pub fn limit(&self, limits: &[FuelLimit]) {
        let limit = |one: &FuelLimit| ((one.scope.clone(), one.nth), one.fuel);
        self.state().limits = limits.iter().map(limit).collect();
    }

    /// The steps are over: from now on every run has its fuel.
    pub fn limit_no_more(&self) {
        let mut state = self.state();
        state.limits.clear();
        state.of_steps = Some(state.counts.clone());
    }

    /// A task of `boot` comes to a point, or goes on from it: whatever it reads of the clock meanwhile is one
    /// of these readings, or lies between two.
    pub fn passes(&self, (boot, goes_on): (u32, bool), point: &Point<'_>, now: Moment) {
        let Point { label, tenant, entity, origin } = *point;
        if origin != "outbox" && !origin.ends_with("/outbox") {
            return;
        }
        let mut state = self.state();
        if state.boot != boot {
            state.boot = boot;
            state.readings.clear();
            state.sent_ms.clear();
            state.runs.clear();
        }
        let account = (tenant.to_string(), entity.to_string(), origin.to_string());
        // A run's time begins, and what was decided at its end is asked for, in the same breath.
        if !goes_on && matches!(label, "mailbox.send" | "store.settle") {
            state.sent_ms.insert(account.clone(), now.mono_ms);
            let State { runs, learnt, .. } = &mut *state;
            for (row, run) in runs.iter_mut().filter(|(_, run)| run.account == account) {
                if run.is_over && !run.is_measured {
                    run.is_measured = true;
                    run.ran.lasted_ms = now.mono_ms.saturating_sub(run.began_ms);
                    learnt.insert(row.clone(), run.ran);
                }
            }
        }
        let read = Span::exactly(now.clock_ms);
        state.readings.entry(account).and_modify(|span| *span = span.hull(read)).or_insert(read);
    }

    /// What was learnt of runs since the last call.
    pub fn take_learnt(&self) -> BTreeMap<Spent, Ran> {
        std::mem::take(&mut self.state().learnt)
    }

    /// A run begins in `scope`: what it is given, if that is the plan's to say.
    pub fn begin(&self, scope: String, run: GuestRun<'_>, now: Moment) -> Option<u64> {
        let mut state = self.state();
        state.begin(run, now);
        let count = state.counts.entry(scope.clone()).or_default();
        *count += 1;
        let address = (scope, *count);
        let limit = state.limits.get(&address).copied();
        state.running.insert(row(run), (address, limit.is_some()));
        limit
    }

    /// A run has used so much.
    pub fn used(&self, run: GuestRun<'_>, fuel: u64, (at, now): (Usage, Moment)) {
        let (row, mut state) = (row(run), self.state());
        if at != Usage::Call {
            state.end(&row, now);
        }
        let Some((address, is_limited)) = state.running.get(&row).cloned() else { return };
        state.used.entry(address).or_default().push(fuel);
        if at == Usage::UsedUp && is_limited {
            state.spent.push(row);
            state.spent_count += 1;
        }
    }

    /// Runs that the plan has ended since the last call.
    pub fn take_spent(&self) -> Vec<Spent> {
        std::mem::take(&mut self.state().spent)
    }

    /// How many the plan has ended.
    pub fn spent_count(&self) -> u64 {
        self.state().spent_count
    }

    /// The fuel of every run that began while there were steps, at each call of the host and, at last, at its
    /// end if it came to one.
    pub fn of_steps(&self) -> BTreeMap<Address, Vec<u64>> {
        let state = self.state();
        let begun = state.of_steps.as_ref().unwrap_or(&state.counts);
        let is_of_steps = |(scope, nth): &Address| begun.get(scope).is_some_and(|n| nth <= n);
        let used = state.used.iter().filter(|(address, _)| is_of_steps(address));
        used.map(|(address, used)| (address.clone(), used.clone())).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
