//! Races that were seen: somebody went on while somebody else, who could have, waited.
//!
//! **Invariant:** it only watches. A race is counted where it happens, at the moment when a parked task is let
//! go, and not where its consequences would show.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use stormglass_platform::seams::Point;

/// Where a task stands, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    label: &'static str,
    tenant: String,
    entity: String,
    origin: String,
}

impl Place {
    /// A client's request, and not what it has left to be done.
    fn is_client(&self) -> bool {
        self.origin.starts_with("step ") && !self.is_owed()
    }

    /// What an event is owed.
    fn is_owed(&self) -> bool {
        self.is_found() || self.origin.ends_with("/outbox")
    }

    /// Owed, and found by a boot.
    fn is_found(&self) -> bool {
        self.origin == "outbox"
    }

    fn is(&self, label: &str) -> bool {
        self.label == label
    }
}

/// Two tasks of one tenant, by what they are about to do.
struct Race {
    name: &'static str,
    goes: fn(&Place) -> bool,
    waits: fn(&Place) -> bool,
    /// Of one entity, too.
    is_of_one: bool,
}

const fn in_file(name: &'static str, goes: fn(&Place) -> bool, waits: fn(&Place) -> bool) -> Race {
    Race { name, goes, waits, is_of_one: false }
}

const fn of_one(name: &'static str, goes: fn(&Place) -> bool, waits: fn(&Place) -> bool) -> Race {
    Race { name, goes, waits, is_of_one: true }
}

fn append(place: &Place) -> bool {
    place.is("store.append")
}

fn put(place: &Place) -> bool {
    place.is("store.put")
}

fn sweep(place: &Place) -> bool {
    place.is("store.sweep")
}

fn snapshot(place: &Place) -> bool {
    place.is("store.snapshot")
}

fn replay(place: &Place) -> bool {
    place.is("store.journal")
}

fn look_for_blobs(place: &Place) -> bool {
    place.is("store.blobs")
}

fn passivation(place: &Place) -> bool {
    place.is("store.snapshot") && place.origin.is_empty()
}

fn request(place: &Place) -> bool {
    place.is("mailbox.send") && place.is_client()
}

fn client_event(place: &Place) -> bool {
    place.is("store.append") && place.is_client()
}

fn owed_request(place: &Place) -> bool {
    place.is("mailbox.send") && place.is_owed()
}

fn owed_event(place: &Place) -> bool {
    place.is("store.append") && place.is_owed()
}

fn guest(place: &Place) -> bool {
    place.label.starts_with("guest.")
}

const RACES: &[Race] = &[
    of_one("race: a client's event before another's request", client_event, request),
    of_one("race: a client's event before a callback", client_event, owed_request),
    of_one("race: a callback before a client's request", owed_event, request),
    of_one("race: a client's event while a guest computes", client_event, guest),
    of_one("race: a passivation before a request", passivation, request),
    of_one("race: a request before a passivation", request, passivation),
    in_file("race: an event before a sweep", append, sweep),
    in_file("race: a sweep before an event", sweep, append),
    in_file("race: a put before a sweep", put, sweep),
    in_file("race: a sweep before a put", sweep, put),
    in_file("race: a look for blobs before a sweep", look_for_blobs, sweep),
    in_file("race: a sweep before a look for blobs", sweep, look_for_blobs),
    in_file("race: a sweep while a guest computes", sweep, guest),
    in_file("race: two sweeps of one file", sweep, sweep),
    in_file("race: a snapshot before an event", snapshot, append),
    in_file("race: an event before a snapshot", append, snapshot),
    in_file("race: a replay before an event", replay, append),
    in_file("race: an event before a replay", append, replay),
    in_file("race: two events of one file", append, append),
    in_file("race: two puts of one file", put, put),
    in_file(
        "race: a row is closed before a request",
        |place| place.is("store.settle"),
        Place::is_client,
    ),
    in_file("race: what a boot found before a request", Place::is_found, Place::is_client),
    in_file("race: a request before what a boot found", Place::is_client, Place::is_found),
];

/// The names of all races, as probes.
pub fn names() -> impl Iterator<Item = &'static str> {
    RACES.iter().map(|race| race.name)
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<u64, Place>,
    next: u64,
    seen: BTreeMap<&'static str, u64>,
}

/// The races of one run. Clones are the same.
#[derive(Clone, Default)]
pub struct Races(Arc<Mutex<State>>);

impl Races {
    /// A task comes to `point` and waits there, until what this returns is dropped or goes on.
    pub fn waits(&self, point: &Point<'_>) -> Waiting {
        let place = Place {
            label: point.label,
            tenant: point.tenant.to_string(),
            entity: point.entity.to_string(),
            origin: point.origin.to_string(),
        };
        let mut state = self.state();
        state.next += 1;
        let ticket = state.next;
        state.waiting.insert(ticket, place);
        Waiting { races: self.clone(), ticket }
    }

    /// How often each race was seen.
    pub fn seen(&self) -> BTreeMap<&'static str, u64> {
        self.state().seen.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that waits at a point.
pub struct Waiting {
    races: Races,
    ticket: u64,
}

impl Waiting {
    /// It goes on, while others wait.
    pub fn goes_on(self) {
        let mut state = self.races.state();
        let Some(goes) = state.waiting.remove(&self.ticket) else { return };
        for race in RACES.iter().filter(|race| (race.goes)(&goes)) {
            let is_met = |waits: &&Place| {
                waits.tenant == goes.tenant
                    && (!race.is_of_one || waits.entity == goes.entity)
                    && (race.waits)(waits)
            };
            if state.waiting.values().find(is_met).is_some() {
                *state.seen.entry(race.name).or_default() += 1;
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.races.state().waiting.remove(&self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(races: &Races, label: &'static str, who: [&str; 3]) -> Waiting {
        let [tenant, entity, origin] = who;
        races.waits(&Point { label, tenant, entity, origin })
    }

    #[test]
    fn a_race_is_of_one_tenant_and_of_tasks_that_still_wait() {
        let races = Races::default();
        let sweep = waits(&races, "store.sweep", ["t", "", "sweeper"]);
        let elsewhere = waits(&races, "store.sweep", ["u", "", "sweeper"]);
        waits(&races, "store.append", ["t", "a", "step 1"]).goes_on();
        waits(&races, "store.append", ["v", "a", "step 1"]).goes_on();
        let expected = BTreeMap::from([("race: an event before a sweep", 1)]);
        assert_eq!(races.seen(), expected);
        drop(sweep);
        waits(&races, "store.append", ["t", "a", "step 2"]).goes_on();
        assert_eq!(races.seen(), expected, "who is gone waits no more");
        elsewhere.goes_on();
        assert_eq!(races.seen(), expected);
    }

    #[test]
    fn a_callback_is_no_client_and_another_entity_no_rival() {
        let races = Races::default();
        let request = waits(&races, "mailbox.send", ["t", "a", "step 2"]);
        waits(&races, "store.append", ["t", "b", "step 1"]).goes_on();
        assert_eq!(races.seen(), BTreeMap::new());
        waits(&races, "store.append", ["t", "a", "step 1/outbox"]).goes_on();
        waits(&races, "store.append", ["t", "a", "step 1"]).goes_on();
        let names = [
            "race: a callback before a client's request",
            "race: a client's event before another's request",
        ];
        assert_eq!(races.seen().into_keys().collect::<Vec<_>>(), names);
        drop(request);
    }
}
