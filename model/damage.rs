//! Answers from data that was damaged (I22): typed errors, or values that were written.
//!
//! The runner tells what a dishonest fault has damaged. Where it knows the rows, nothing else of the tenant
//! is excused: whoever rests on such a row is answered with exactly its value or with an error that names
//! what is lost, everybody else as ever. Where a whole file is damaged (its pages, its log, what its syncs
//! answered for), what the contract can promise is less: SQLite's log ends at the first frame whose checksum
//! is wrong and its pages have no checksum, so that an event may be gone without a trace. There an answer
//! may show any earlier version of the entity, whole, or of a past that was lost; never a mixture, a value
//! that nobody wrote, or null in the place of one.
//!
//! Where a log has been brought to its file before, damage in it shows pages of before beside pages of after: a row of
//! `outbox` may stay whose event is gone, and what it calls is then done on account of nothing.
//!
//! Verified: I22. Not verified: of such a file, entities that ever had rows there; of a damaged file, which earlier version is shown, that later answers agree
//! on it, what a list leaves out, and entities that another entity's lost event may have made; rows of a
//! damaged tenant are not read at all.

use std::collections::{BTreeMap, BTreeSet};

use crate::entity::{EntityKey, OpId};
use crate::fit::not_allowed;
use crate::inner::NOBODY;
use crate::oracle::{Oracle, Tracked, WORLDS_MAX, key_of};
use crate::request::{Answer, EntityView, Kind, Listed};
use crate::violation::{Invariant, Violation};
use crate::world::{Op, World};

/// The place of an error that says nothing of damage.
const UNNAMED: &str = "damage answered with an error that does not name it";

/// What of a tenant is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Rows on which these entities rest.
    Rows(BTreeSet<EntityKey>),
    /// Anything.
    File,
}

/// The damage of a run, by tenant, and pasts that may have gone with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Damage {
    tenants: BTreeMap<String, Extent>,
    lost: BTreeMap<EntityKey, Vec<World>>,
    /// Whether logs are brought to their files, so that a damaged one may be of two moments.
    pages_mix: bool,
}

impl Damage {
    fn may_be_lost(&self, key: &EntityKey) -> bool {
        match self.tenants.get(&key.tenant) {
            None => false,
            Some(Extent::Rows(entities)) => entities.contains(key),
            Some(Extent::File) => true,
        }
    }
}

impl Oracle {
    /// Rows of a tenant on which these entities rest are damaged.
    pub fn rows_damaged(&mut self, tenant: &str, entities: BTreeSet<EntityKey>) {
        let none = || Extent::Rows(BTreeSet::new());
        match self.damage.tenants.entry(tenant.to_owned()).or_insert_with(none) {
            Extent::Rows(known) => known.extend(entities),
            Extent::File => {}
        }
        self.mark_damaged(tenant);
    }

    /// A tenant's file is damaged.
    pub fn file_damaged(&mut self, tenant: &str) {
        self.damage.tenants.insert(tenant.to_owned(), Extent::File);
        self.mark_damaged(tenant);
    }

    fn mark_damaged(&mut self, tenant: &str) {
        let damage = &self.damage;
        for (key, tracked) in self.entities.iter_mut().filter(|(key, _)| key.tenant == tenant) {
            let may_be_lost = damage.may_be_lost(key);
            tracked.worlds.iter_mut().for_each(|world| world.may_be_lost = may_be_lost);
        }
    }

    /// Logs are brought to their files while the platform runs.
    pub fn logs_are_brought_to_files(&mut self) {
        self.damage.pages_mix = true;
    }

    /// What of a tenant is damaged, if anything.
    pub fn damage_of(&self, tenant: &str) -> Option<&Extent> {
        self.damage.tenants.get(tenant)
    }

    /// The tenants of which something is damaged.
    pub fn damaged_tenants(&self) -> BTreeSet<String> {
        self.damage.tenants.keys().cloned().collect()
    }

    /// Whether an entity may be answered with an error that names damage.
    pub fn may_be_lost(&self, key: &EntityKey) -> bool {
        self.damage.may_be_lost(key)
    }

    /// The disk went back to what it was at `then`, and so does what is known of it. Specs and modes are
    /// those of now: they are not on the disk.
    pub fn go_back_to(&mut self, then: &Oracle) {
        let now = std::mem::replace(self, then.clone());
        self.take_settings(now);
    }

    pub(crate) fn answer_damaged(&mut self, op: &Op, answer: &Answer) -> Vec<Violation> {
        let is_file = self.damage_of(&op.request.tenant) == Some(&Extent::File);
        match answer {
            Answer::List(items) if is_file => self.list_of_damaged(op, items),
            Answer::List(items) => {
                let found = self.answer_list(op, items);
                found.into_iter().map(|one| self.as_damage(&op.request.tenant, one)).collect()
            }
            _ if !is_file => {
                let found = self.answer_one(op, answer);
                found.map(|one| self.as_damage(&op.request.tenant, one)).into_iter().collect()
            }
            _ => {
                let shown = match answer {
                    Answer::Entity { view, .. } => view.fields.get("Id").and_then(|id| id.as_str()),
                    _ => None,
                };
                match op.request.entity_id().or(shown).map(|id| key_of(&op.request, id)) {
                    Some(key) => self.judge_older(&key, op, answer).into_iter().collect(),
                    None => self.answer_one(op, answer).into_iter().collect(),
                }
            }
        }
    }

    /// Whether an answer of 5xx is one that damage allows, and the violation if not.
    pub(crate) fn damage_unnamed(&self, op: &Op, answer: &Answer) -> Option<Violation> {
        let Answer::Error { status, code } = answer else { return None };
        let key = op.request.entity_id().map(|id| key_of(&op.request, id));
        let is_hit = match self.damage_of(&op.request.tenant) {
            Some(Extent::File) => true,
            _ => key.as_ref().is_some_and(|key| self.may_be_lost(key)),
        };
        let is_allowed = match status {
            503 => true,
            _ => is_hit && is_typed(code),
        };
        let mut mismatch = not_allowed("an answer, or an error that names what is lost", answer);
        if is_hit {
            (mismatch.invariant, mismatch.place) = (Invariant::I22, UNNAMED);
            mismatch.because = Invariant::I22.statement().to_owned();
        }
        let place = key.map_or_else(|| op.request.tenant.clone(), |key| key.to_string());
        (!is_allowed).then(|| mismatch.at(place))
    }

    /// A violation of an entity that rests on damaged rows is I22.
    fn as_damage(&self, tenant: &str, mut one: Violation) -> Violation {
        let entities = match self.damage_of(tenant) {
            Some(Extent::Rows(entities)) => entities,
            _ => return of_damage(one),
        };
        if entities.iter().any(|key| key.to_string() == one.entity) {
            one = of_damage(one);
        }
        one
    }

    fn list_of_damaged(&mut self, op: &Op, items: &[(String, Listed)]) -> Vec<Violation> {
        let select = match &op.request.kind {
            Kind::List(page) => page.select.clone(),
            _ => None,
        };
        let mut found = Vec::new();
        for (id, item) in items {
            let key = key_of(&op.request, id);
            match item {
                Listed::Entity(view) => {
                    let view = EntityView { select: select.clone(), ..view.clone() };
                    let answer = Answer::Entity { status: 200, view };
                    let read = crate::lists::read_of(op, id);
                    found.extend(self.judge_older(&key, &read, &answer));
                }
                Listed::Failed { code } if code == "Unavailable" || is_typed(code) => {}
                Listed::Failed { code } => {
                    let answer = Answer::Error { status: 500, code: code.clone() };
                    let mismatch = not_allowed("the entity", &answer);
                    found.push(of_damage(mismatch.at(key.to_string())));
                }
            }
        }
        found
    }

    /// As [`Oracle::judge`], for an entity of which events may be gone.
    fn judge_older(&mut self, key: &EntityKey, op: &Op, answer: &Answer) -> Option<Violation> {
        let violation = self.judge(key, op, answer)?;
        if self.is_spawned(&key.set) {
            self.tracked(key).is_lost_track = true;
            return None;
        }
        let spawned = self.spawned(key, &[]).unwrap_or_default();
        let now = self.tracked(key).worlds.clone();
        let lost = self.damage.lost.get(key).cloned().unwrap_or_default();
        let mut search = self.search(&spawned);
        let mut found: Vec<World> = Vec::new();
        // What is gone may have been done again by the platform itself, and what came after it stands.
        for is_redone in [false, true] {
            if !found.is_empty() {
                break;
            }
            for world in now.iter().chain(&lost) {
                for version in (0..=world.version()).rev() {
                    let cut = world.cut(version, op.id, is_redone);
                    found.extend(cut.place(op, answer, &mut search));
                }
            }
        }
        let is_exhausted = search.budget == 0;
        let had_rows = |world: &World| world.journal.iter().any(|one| !one.intents.is_empty());
        if found.is_empty() && self.damage.pages_mix && now.iter().chain(&lost).any(had_rows) {
            self.tracked(key).worlds = now;
            self.lose_track(key);
            return None;
        }
        if found.is_empty() && !is_exhausted {
            return Some(of_damage(violation));
        }
        let is_lost_track = is_exhausted || found.len() + lost.len() > WORLDS_MAX;
        self.damage.lost.entry(key.clone()).or_default().extend(now);
        *self.tracked(key) = Tracked { worlds: found, is_lost_track };
        None
    }
}

/// Whether a code is one that names what is lost.
pub(crate) fn is_typed(code: &str) -> bool {
    matches!(code, "BlobLost" | "EventUndecodable")
}

fn of_damage(mut one: Violation) -> Violation {
    one.invariant = Invariant::I22;
    one.because = Invariant::I22.statement().to_owned();
    one
}

impl World {
    /// The past up to `version`: what came after it is gone, or was `is_redone` upon another. A request that
    /// is out may meet any of it.
    fn cut(&self, version: u64, besides: OpId, is_redone: bool) -> World {
        let mut cut = self.clone();
        let mut rest = self.journal.iter().skip(version as usize).peekable();
        let is_own = rest.peek().is_some_and(|event| event.op == NOBODY);
        // The answer to a deletion does not show its version: it may have met any.
        let asked =
            rest.filter(|event| event.op != NOBODY && (is_own || event.action == "Deleted"));
        cut.waiting.extend(asked.filter(|_| is_redone).map(|event| (event.op, 0)));
        cut.journal.truncate(version as usize);
        cut.states.truncate(version as usize + 1);
        cut.acks.retain(|at, _| *at <= version);
        // What closed a row may be among what is gone.
        cut.closed.clear();
        cut.placed.retain(|_, at| *at <= version);
        let gone = self.placed.keys().filter(|id| !cut.placed.contains_key(id));
        cut.waiting.extend(gone.map(|id| (*id, 0)));
        cut.waiting.insert(besides, 0);
        cut.waiting.values_mut().for_each(|at| *at = 0);
        cut.answered = None;
        cut
    }
}
