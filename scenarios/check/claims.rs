//! The invariants that specs state of their own entities, checked on the model's states.
//!
//! **Verified:** each form of `assert` that the contract names, after every event of every entity of which
//! one past alone agrees with what was observed. A broken one is the spec's bug: it is told and counted, and
//! changes no verdict.
//! **Not verified:** liveness, `[[field_invariant]]` and assertions of other forms.

use crate::foreign::{Claim, Foreign, Holds};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stormglass_model::automaton::{Automaton, guards_hold};
use stormglass_model::entity::{EntityKey, Event, Existence, State};
use stormglass_model::oracle::Oracle;

/// What the specs of a run claim, and how far that was looked at.
#[derive(Clone, Default)]
pub(super) struct Claims {
    specs: Arc<BTreeMap<String, Foreign>>,
    /// Events of each entity that were looked at.
    seen: BTreeMap<EntityKey, u64>,
    told: BTreeSet<String>,
}

impl Claims {
    pub fn new(specs: Vec<Foreign>) -> Claims {
        let with_claims = specs.into_iter().filter(|spec| !spec.invariants.is_empty());
        let specs = with_claims.map(|spec| (spec.automaton.set(), spec)).collect();
        Claims { specs: Arc::new(specs), ..Claims::default() }
    }

    /// Looks at what has happened since the last time; each claim is told once for an entity.
    pub fn check(&mut self, oracle: &Oracle) -> Vec<String> {
        let mut fresh = Vec::new();
        if self.specs.is_empty() {
            return fresh;
        }
        for (key, world) in oracle.certain() {
            let Some(spec) = self.specs.get(&key.set) else { continue };
            let seen = self.seen.insert(key.clone(), world.version()).unwrap_or(0);
            for event in world.journal.iter().skip(seen as usize) {
                let state = world.state(event.sequence_nr);
                for claim in broken(spec, event, state) {
                    let told = format!("{}.{} on {key}", spec.automaton.name, claim.name);
                    if self.told.insert(told.clone()) {
                        fresh.push(told);
                    }
                }
            }
        }
        fresh
    }
}

/// The claims that an event and the state after it break.
fn broken<'a>(
    spec: &'a Foreign,
    event: &'a Event,
    state: &'a State,
) -> impl Iterator<Item = &'a Claim> {
    let is_live = state.existence == Existence::Live;
    spec.invariants.iter().filter(move |claim| match &claim.holds {
        Holds::NoFurtherTransitions => {
            is_claimed(claim, &event.from) && is_action(&spec.automaton, event)
        }
        Holds::Guard(states, guard) => {
            let is_named = |states: &Vec<&str>| states.contains(&state.status.as_str());
            is_live
                && is_claimed(claim, &state.status)
                && states.as_ref().is_none_or(is_named)
                && !guards_hold(std::slice::from_ref(guard), state)
        }
    })
}

fn is_claimed(claim: &Claim, status: &str) -> bool {
    claim.when.as_ref().is_none_or(|states| states.contains(&status))
}

/// Creation, PATCH and DELETE are no transitions of a spec.
fn is_action(automaton: &Automaton, event: &Event) -> bool {
    automaton.action(&event.action).is_some()
}
