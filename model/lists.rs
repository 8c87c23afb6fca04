//! Answers to `GET` of an entity set: each item is an answer of its own moment.
//!
//! Verified: order, length, every item (I4, I10), that no entity is left out or shown after its
//! deletion (I1, I2); that a page begins where `$skip` says, holds what `$filter` lets pass, and shows
//! what `$select` names (I18); a page that is not full leaves out every entity that it does not
//! show. Not verified: the page's links; whether an item whose filtered field is not selected passes.

use std::sync::Arc;

use serde_json::Value;

use crate::canonical::same;
use crate::clock::Span;
use crate::damage::is_typed;
use crate::entity::{EntityKey, Existence};
use crate::fit::not_allowed;
use crate::oracle::{Oracle, key_of};
use crate::request::{Answer, EntityView, Kind, Listed, Page, Request};
use crate::violation::{Invariant, Mismatch, Violation};
use crate::world::{Op, World};

/// Whether a list shows an entity, as far as the model knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listing {
    Never,
    Perhaps,
    Surely,
}

impl Oracle {
    /// Judges a list: the items that are there, and the entities that are not.
    pub(crate) fn answer_list(&mut self, op: &Op, items: &[(String, Listed)]) -> Vec<Violation> {
        let set = format!("{}/{}", op.request.tenant, op.request.set);
        let Kind::List(page) = &op.request.kind else {
            return vec![not_allowed("no list", &Answer::List(items.to_vec())).at(set)];
        };
        let shape = page_problem(page, items).or_else(|| self.beginning_problem(op, page, items));
        let mut violations: Vec<Violation> = shape.into_iter().map(|one| one.at(&*set)).collect();
        for (id, item) in items {
            violations.extend(self.judge_item(op, page, id, item));
        }
        for key in self.left_out(op, page, items) {
            let is_wrong = if page.filter.is_none() {
                let denied = Answer::Error { status: 404, code: "EntityNotFound".into() };
                self.judge(&key, &read_of(op, &key.id), &denied).is_some()
            } else {
                self.listing(&key, op, page) == Listing::Surely
            };
            if is_wrong {
                let (expected, actual) = ("the entity on this page", "a page without it");
                let mismatch = Mismatch::new(Invariant::I18, "entity left out", expected, actual);
                violations.push(mismatch.at(key.to_string()));
            }
        }
        violations
    }

    fn judge_item(&mut self, op: &Op, page: &Page, id: &str, item: &Listed) -> Option<Violation> {
        let key = key_of(&op.request, id);
        match item {
            Listed::Entity(view) => {
                if let Some(mismatch) = filter_problem(page, view) {
                    return Some(mismatch.at(key.to_string()));
                }
                let view = EntityView { select: page.select.clone(), ..view.clone() };
                let answer = Answer::Entity { status: 200, view };
                self.judge(&key, &read_of(op, id), &answer)
            }
            Listed::Failed { code } if code == "Unavailable" => None,
            Listed::Failed { code } if is_typed(code) && self.may_be_lost(&key) => None,
            Listed::Failed { code } => {
                let answer = Answer::Error { status: 500, code: code.clone() };
                Some(not_allowed("the entity", &answer).at(key.to_string()))
            }
        }
    }

    /// The known entities that would stand on this page, were they there.
    fn left_out(&self, op: &Op, page: &Page, items: &[(String, Listed)]) -> Vec<EntityKey> {
        // Where the page begins is open when something may have been skipped.
        let first = items.first().filter(|_| page.skip > 0).map(|(id, _)| id.as_str());
        let last = items.last().filter(|_| items.len() >= page.top).map(|(id, _)| id.as_str());
        if page.top == 0 || (page.skip > 0 && items.is_empty()) {
            return Vec::new();
        }
        let is_on_page = |key: &&EntityKey| {
            first.is_none_or(|first| key.id.as_str() > first)
                && last.is_none_or(|last| key.id.as_str() < last)
                && items.iter().all(|(id, _)| *id != key.id)
        };
        self.members(op).filter(is_on_page).cloned().collect()
    }

    /// What is wrong with where a page begins: it leaves out as many as were to be skipped.
    fn beginning_problem(
        &self,
        op: &Op,
        page: &Page,
        items: &[(String, Listed)],
    ) -> Option<Mismatch> {
        // Without a `$skip` whoever is left out is told by name.
        if page.top == 0 || page.skip == 0 {
            return None;
        }
        let first = items.first().map(|(id, _)| id.as_str());
        let is_before = |key: &&EntityKey| first.is_none_or(|first| key.id.as_str() < first);
        let mut counts = (0, 0);
        for key in self.members(op).filter(is_before) {
            let listing = self.listing(key, op, page);
            counts.0 += usize::from(listing == Listing::Surely);
            counts.1 += usize::from(listing != Listing::Never);
        }
        let (least, most) = counts;
        // Of entities that others spawn there may be more than anybody has been told of.
        let is_short = first.is_some() && most < page.skip && !self.is_spawned(&op.request.set);
        if least <= page.skip && !is_short {
            return None;
        }
        let expected = format!("a page after the first {} of the set", page.skip);
        let actual = match least == most {
            true => format!("one after {least}"),
            false => format!("one after {least} to {most}"),
        };
        Some(Mismatch::new(Invariant::I18, "page begins elsewhere", expected, actual))
    }

    fn members<'a>(&'a self, op: &'a Op) -> impl Iterator<Item = &'a EntityKey> {
        let is_member =
            |key: &&EntityKey| (&key.tenant, &key.set) == (&op.request.tenant, &op.request.set);
        self.entities.keys().filter(is_member)
    }

    fn listing(&self, key: &EntityKey, op: &Op, page: &Page) -> Listing {
        let Some(tracked) = self.entities.get(key).filter(|tracked| !tracked.is_lost_track) else {
            return Listing::Perhaps;
        };
        let Some(spawned) = self.spawned(key, &[]) else { return Listing::Perhaps };
        let search = self.search(&spawned);
        let span = op.stamp(&self.clock, self.now);
        let mut found = None;
        for world in &tracked.worlds {
            let is_in_doubt = !world.candidates(&search, Some(op.id)).is_empty()
                || !world.inner_candidates(&search).is_empty();
            if is_in_doubt {
                return Listing::Perhaps;
            }
            let sent_version = world.waiting.get(&op.id).copied().unwrap_or(0);
            for version in sent_version..=world.version() {
                let here = listing_at(world, version, page, span);
                if *found.get_or_insert(here) != here {
                    return Listing::Perhaps;
                }
            }
        }
        found.unwrap_or(Listing::Perhaps)
    }
}

fn listing_at(world: &World, version: u64, page: &Page, span: Span) -> Listing {
    let state = world.state(version);
    if state.existence != Existence::Live {
        return Listing::Never;
    }
    let Some((name, wanted)) = &page.filter else {
        return Listing::Surely;
    };
    let Some(field) = state.fields.get(name) else {
        return if wanted.is_null() { Listing::Surely } else { Listing::Never };
    };
    let deadline = world.deadline(field);
    let may_be_expired = deadline.is_some_and(|deadline| span.hi_ms >= deadline.lo_ms);
    let may_be_read = deadline.is_none_or(|deadline| span.lo_ms < deadline.hi_ms);
    let by_value = may_be_read.then(|| same(field.written.content.value(), wanted));
    let by_expiry = may_be_expired.then(|| wanted.is_null());
    match (by_value, by_expiry) {
        (Some(one), Some(other)) if one != other => Listing::Perhaps,
        (Some(true), _) | (None, Some(true)) => Listing::Surely,
        _ => Listing::Never,
    }
}

/// The read of one entity that a list contains.
pub(crate) fn read_of(op: &Op, id: &str) -> Op {
    let request = &op.request;
    let read = Request::new(&request.tenant, &request.set, Kind::Read { id: id.to_owned() });
    Op { request: Arc::new(read), ..op.clone() }
}

fn filter_problem(page: &Page, view: &EntityView) -> Option<Mismatch> {
    let (name, wanted) = page.filter.as_ref()?;
    if !page.select.as_ref().is_none_or(|select| select.contains(name)) {
        return None;
    }
    let shown = view.fields.get(name).unwrap_or(&Value::Null);
    if same(shown, wanted) {
        return None;
    }
    let (expected, actual) = (format!("{name} = {wanted}"), format!("{name} = {shown}"));
    Some(Mismatch::new(Invariant::I18, "item that the filter refuses", expected, actual))
}

fn page_problem(page: &Page, items: &[(String, Listed)]) -> Option<Mismatch> {
    let top = page.top;
    if items.len() > top {
        let (expected, actual) = (format!("at most {top} items"), format!("{}", items.len()));
        return Some(Mismatch::new(Invariant::I18, "list too long", expected, actual));
    }
    let unordered = items.windows(2).find(|pair| pair[0].0 >= pair[1].0)?;
    let (expected, actual) =
        ("ids in order", format!("{} before {}", unordered[0].0, unordered[1].0));
    Some(Mismatch::new(Invariant::I18, "list out of order", expected, actual))
}
