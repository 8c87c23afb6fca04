//! What guests use of their fuel in a run, and what they are given of it.
//!
//! **Invariant:** a run of a guest is named by its scope and its place there, so that dropping a step moves
//! no other. Who is given its limit runs as it would have run unasked.

use crate::plan::FuelLimit;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use stormglass_model::entity::EntityKey;
use stormglass_platform::seams::{GuestRun, Usage};

/// A run of a guest, as a plan names it.
pub type Address = (String, u64);

/// A run that ended for want of fuel: the entity, its event, and the integration's name.
pub type Spent = (EntityKey, u64, String);

/// The guests of one run. Clones are the same guests.
#[derive(Clone, Default)]
pub struct Guests(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
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

    /// A run begins in `scope`: what it is given, if that is the plan's to say.
    pub fn begin(&self, scope: String, run: GuestRun<'_>) -> Option<u64> {
        let mut state = self.state();
        let count = state.counts.entry(scope.clone()).or_default();
        *count += 1;
        let address = (scope, *count);
        let limit = state.limits.get(&address).copied();
        state.running.insert(row(run), (address, limit.is_some()));
        limit
    }

    /// A run has used so much.
    pub fn used(&self, run: GuestRun<'_>, fuel: u64, at: Usage) {
        let (row, mut state) = (row(run), self.state());
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
