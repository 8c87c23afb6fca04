//! What guests use of their fuel in a run, and what they are given of it; when each read, and how long it took.
//!
//! **Invariant:** a run of a guest is named by its scope and its place there, so that dropping a step moves
//! no other. Who is given its limit runs as it would have run unasked. Of times no more is said than is certain.
//! What is told of guests is told in order, and with the disk operation before which it was: whoever goes on from
//! there knows it as well. The runs of a scope are not carried along: none with guests goes on in another boot.

use crate::plan::FuelLimit;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use stormglass_model::clock::{Moment, Span};
use stormglass_model::entity::EntityKey;
use stormglass_model::world::Ran;
use stormglass_platform::seams::{GuestRun, Point, Usage};
use stormglass_sim::Digest;

/// A run of a guest, as a plan names it.
pub type Address = (String, u64);

/// A run that ended for want of fuel: the entity, its event, and the integration's name.
pub type Spent = (EntityKey, u64, String);

/// What was told of guests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Told {
    /// Runs that the plan has ended.
    pub spent: Vec<Spent>,
    /// What was learnt of runs, the last of each.
    pub ran: BTreeMap<Spent, Ran>,
}

impl Told {
    fn add(&mut self, news: News) {
        match news {
            News::Spent(row) => self.spent.push(row),
            News::Ran(row, ran) => drop(self.ran.insert(row, ran)),
        }
    }
}

/// One thing that was told.
#[derive(Clone)]
enum News {
    Spent(Spent),
    Ran(Spent, Ran),
}

/// A place in a run: whether its own end has begun, and how many moments of its steps, or of that end, had been kept.
pub type Place = (bool, usize);

/// When something happens to a guest.
#[derive(Clone, Copy)]
pub struct Instant {
    /// By the clocks.
    pub now: Moment,
    /// By the moments that are kept of the run.
    pub moment_count: usize,
}

/// The guests of one run. Clones are the same guests.
#[derive(Clone, Default)]
pub struct Guests(Arc<Mutex<State>>);

/// On whose account a task comes by a point: tenant, entity, origin.
type Account = (String, String, String);

/// A run of the boot that runs.
#[derive(Hash)]
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
    /// Everything that was told, with its place, and how much of it the runner has asked for.
    told: Vec<(Place, News)>,
    asked_count: usize,
    limits: BTreeMap<Address, u64>,
    counts: BTreeMap<String, u64>,
    /// Who runs, by row: what it is called, and whether its limit is the plan's.
    running: BTreeMap<Spent, (Address, bool)>,
    /// Fuel at each call of the host and at the end, by run.
    used: BTreeMap<Address, Vec<u64>>,
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
    fn begin(&mut self, run: GuestRun<'_>, at: Instant) {
        let now = at.now;
        let entity = format!("{}('{}')", run.entity_type, run.entity_id);
        let account = (run.tenant.to_string(), entity, run.origin.to_string());
        let Some(readings) = self.readings.get(&account).copied() else { return };
        let readings = readings.hull(Span::exactly(now.clock_ms));
        let ran = Ran { readings, lasted_ms: 0 };
        let (is_over, is_measured) = (false, false);
        let began_ms = self.sent_ms.get(&account).copied().unwrap_or(now.mono_ms);
        let begun = Run { account, began_ms, is_over, is_measured, ran };
        self.tell(at, News::Ran(row(run), ran));
        self.runs.insert(row(run), begun);
    }

    fn end(&mut self, row: &Spent, at: Instant) {
        let Some(run) = self.runs.get_mut(row) else { return };
        run.is_over = true;
        run.ran.lasted_ms = at.now.mono_ms.saturating_sub(run.began_ms);
        let news = News::Ran(row.clone(), run.ran);
        self.tell(at, news);
    }

    fn tell(&mut self, at: Instant, news: News) {
        self.told.push(((self.of_steps.is_some(), at.moment_count), news));
    }

    /// What was told from the `from`-th on, as far as it was told by then.
    fn told(&self, from: usize, is_by_then: impl Fn(Place) -> bool) -> Told {
        let mut told = Told::default();
        let news = self.told[from..].iter().take_while(|(place, _)| is_by_then(*place));
        news.for_each(|(_, news)| told.add(news.clone()));
        told
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
    pub fn passes(&self, (boot, goes_on): (u32, bool), point: &Point<'_>, at: Instant) {
        let Point { label, tenant, entity, origin } = *point;
        if origin != "outbox" && !origin.ends_with("/outbox") {
            return;
        }
        let (mut state, now) = (self.state(), at.now);
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
            let mut measured = Vec::new();
            for (row, run) in state.runs.iter_mut().filter(|(_, run)| run.account == account) {
                if run.is_over && !run.is_measured {
                    run.is_measured = true;
                    run.ran.lasted_ms = now.mono_ms.saturating_sub(run.began_ms);
                    measured.push(News::Ran(row.clone(), run.ran));
                }
            }
            measured.into_iter().for_each(|news| state.tell(at, news));
        }
        let read = Span::exactly(now.clock_ms);
        state.readings.entry(account).and_modify(|span| *span = span.hull(read)).or_insert(read);
    }

    /// What was told since the last call.
    pub fn take_told(&self) -> Told {
        let mut state = self.state();
        let told = state.told(state.asked_count, |_| true);
        state.asked_count = state.told.len();
        told
    }

    /// How much of what was told has been asked for.
    pub fn asked_count(&self) -> usize {
        self.state().asked_count
    }

    /// What was told from the `from`-th on and before the moment at `place`.
    pub fn told_before(&self, from: usize, place: Place) -> Told {
        self.state().told(from, |then| then <= place)
    }

    /// Of a run that goes on where so much was told that nobody has asked for.
    pub fn go_on(&self, told: Told) {
        let mut state = self.state();
        let spent = told.spent.into_iter().map(News::Spent);
        let ran = told.ran.into_iter().map(|(row, ran)| News::Ran(row, ran));
        // It was told before any moment of this run.
        state.told = spent.chain(ran).map(|news| ((false, 0), news)).collect();
    }

    /// The hash of what nobody has asked for, and of all from which more will be told in this boot.
    pub fn standing(&self) -> Digest {
        let state = self.state();
        let State { boot, readings, sent_ms, runs, asked_count, .. } = &*state;
        let of_boot = (boot, readings, sent_ms, runs);
        Digest::of_value(&(state.told(*asked_count, |_| true), of_boot))
    }

    /// A run begins in `scope`: what it is given, if that is the plan's to say.
    pub fn begin(&self, scope: String, run: GuestRun<'_>, at: Instant) -> Option<u64> {
        let mut state = self.state();
        state.begin(run, at);
        let count = state.counts.entry(scope.clone()).or_default();
        *count += 1;
        let address = (scope, *count);
        let limit = state.limits.get(&address).copied();
        state.running.insert(row(run), (address, limit.is_some()));
        limit
    }

    /// A run has used so much.
    pub fn used(&self, run: GuestRun<'_>, fuel: u64, (usage, at): (Usage, Instant)) {
        let (row, mut state) = (row(run), self.state());
        if usage != Usage::Call {
            state.end(&row, at);
        }
        let Some((address, is_limited)) = state.running.get(&row).cloned() else { return };
        state.used.entry(address).or_default().push(fuel);
        if usage == Usage::UsedUp && is_limited {
            state.tell(at, News::Spent(row));
            state.spent_count += 1;
        }
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
