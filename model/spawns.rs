//! What a child's parents may have asked of it: spawns, as far as the parents' pasts are known.
//!
//! A child's past depends on its parents': an event of a parent that nobody has seen yet may have made
//! the child. So every past that a parent may have by now is imagined, not only those that were needed
//! to explain what was seen of the parent itself.
//!
//! Keeps: I15 and I4 of spawns: nothing makes a child but a request, or an event of a past like that.

use crate::automaton::Effect;
use crate::decide::same_params;
use crate::entity::EntityKey;
use crate::inner::Spawned;
use crate::oracle::Oracle;
use crate::request::Kind;
use crate::world::{Op, World};

/// The pasts of a parent that are looked at for the sake of its children.
const IMAGINED_MAX: usize = 2_000;

impl Oracle {
    /// Whether entities of `parent` may spawn entities of `child`.
    pub(crate) fn spawns(&self, parent: &str, child: &str) -> bool {
        let effects = self.specs.get(parent).into_iter().flat_map(|spec| &spec.actions);
        effects.flat_map(|action| &action.effects).any(|effect| match effect {
            Effect::Spawn(spawn) => child.strip_suffix('s') == Some(spawn.entity_type),
            _ => false,
        })
    }

    /// Whether entities of some set may spawn entities of this one.
    pub(crate) fn is_spawned(&self, set: &str) -> bool {
        self.specs.keys().any(|parent| self.spawns(parent, set))
    }

    /// What events of other entities may ask of `child`: of each of its parents' pasts, those in `whole`
    /// where they stand there. None when a parent's past is not known.
    pub(crate) fn spawned(
        &self,
        child: &EntityKey,
        whole: &[(EntityKey, Vec<World>)],
    ) -> Option<Vec<Spawned>> {
        let mut found: Vec<Spawned> = Vec::new();
        let Some(rules) = self.rules_of(&child.tenant, &child.set) else {
            return Some(found);
        };
        let is_parent =
            |key: &EntityKey| key.tenant == child.tenant && self.spawns(&key.set, &child.set);
        for (key, tracked) in self.entities.iter().filter(|(key, _)| is_parent(key)) {
            if tracked.is_lost_track {
                return None;
            }
            let read = whole.iter().find(|(read, _)| read == key);
            let worlds = match read {
                Some((_, worlds)) => worlds.clone(),
                None => self.imagined(&tracked.worlds)?,
            };
            for (world, event) in worlds.iter().flat_map(|w| w.journal.iter().map(move |e| (w, e)))
            {
                for intent in &event.intents {
                    let asked = world.spawned((event, intent), key, (child, &rules));
                    found.extend(asked);
                }
            }
        }
        let mut distinct: Vec<Spawned> = Vec::new();
        for one in found {
            let is_known = |other: &Spawned| {
                let (a, b) = (&other.creation.request, &one.creation.request);
                a.key == b.key && same_params(&a.params(), &b.params())
            };
            if !distinct.iter().any(is_known) {
                distinct.push(one);
            }
        }
        Some(distinct)
    }

    /// The pasts of a parent with what may have been added by now, if a spawn may be among it. None when
    /// there are too many.
    fn imagined(&self, worlds: &[World]) -> Option<Vec<World>> {
        let search = self.search(&[]);
        let mut all = worlds.to_vec();
        let mut newest: Vec<World> = worlds.to_vec();
        newest.retain(|world| world.candidates(&search, None).into_iter().any(may_spawn));
        while !newest.is_empty() {
            let mut further = Vec::new();
            for world in &newest {
                let inner = world.inner_candidates(&search);
                let candidates = world.candidates(&search, None).into_iter().chain(&inner);
                further.extend(candidates.filter_map(|op| world.with(op, &search)));
            }
            all.extend(further.iter().cloned());
            if all.len() > IMAGINED_MAX {
                return None;
            }
            newest = further;
        }
        Some(all)
    }
}

fn may_spawn(op: &Op) -> bool {
    let Kind::Act { action, .. } = &op.request.kind else {
        return false;
    };
    let action = op.rules.automaton.action(action);
    action.is_some_and(|action| action.effects.iter().any(|e| matches!(e, Effect::Spawn(_))))
}
