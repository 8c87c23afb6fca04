//! Answers to `GET` of an entity set: each item is an answer of its own moment.
//!
//! Verified: order, length, every item (I4, I10), that no entity is left out or shown after its
//! deletion (I1, I2); a page that is not full leaves out every entity that it does not show. Not
//! verified: the page's links.

use std::sync::Arc;

use crate::entity::EntityKey;
use crate::fit::not_allowed;
use crate::oracle::{Oracle, key_of};
use crate::request::{Answer, Kind, Listed, Request};
use crate::violation::{Invariant, Mismatch, Violation};
use crate::world::Op;

impl Oracle {
    /// Judges a list: the items that are there, and the entities that are not.
    pub(crate) fn answer_list(&mut self, op: &Op, items: &[(String, Listed)]) -> Vec<Violation> {
        let Kind::List { top } = op.request.kind else {
            let set = format!("{}/{}", op.request.tenant, op.request.set);
            return vec![not_allowed("no list", &Answer::List(items.to_vec())).at(set)];
        };
        let mut violations: Vec<Violation> = page_problem(op, top, items).into_iter().collect();
        for (id, item) in items {
            violations.extend(self.judge_item(op, id, item));
        }
        for key in self.left_out(op, top, items) {
            let denied = Answer::Error { status: 404, code: "EntityNotFound".into() };
            violations.extend(self.judge(&key, &read_of(op, &key.id), &denied));
        }
        violations
    }

    fn judge_item(&mut self, op: &Op, id: &str, item: &Listed) -> Option<Violation> {
        let key = key_of(&op.request, id);
        match item {
            Listed::Entity(view) => {
                let answer = Answer::Entity { status: 200, view: view.clone() };
                self.judge(&key, &read_of(op, id), &answer)
            }
            Listed::Failed { code } if code == "Unavailable" => None,
            Listed::Failed { code } => {
                let answer = Answer::Error { status: 500, code: code.clone() };
                Some(not_allowed("the entity", &answer).at(key.to_string()))
            }
        }
    }

    /// The known entities that would stand on this page, were they there.
    fn left_out(&self, op: &Op, top: usize, items: &[(String, Listed)]) -> Vec<EntityKey> {
        let last = items.last().filter(|_| items.len() >= top).map(|(id, _)| id.as_str());
        let is_on_page = |key: &&EntityKey| {
            key.tenant == op.request.tenant
                && key.set == op.request.set
                && last.is_none_or(|last| key.id.as_str() < last)
                && items.iter().all(|(id, _)| *id != key.id)
        };
        self.entities.keys().filter(is_on_page).cloned().collect()
    }
}

/// The read of one entity that a list contains.
fn read_of(op: &Op, id: &str) -> Op {
    let request = &op.request;
    let read = Request::new(&request.tenant, &request.set, Kind::Read { id: id.to_owned() });
    Op { request: Arc::new(read), ..op.clone() }
}

fn page_problem(op: &Op, top: usize, items: &[(String, Listed)]) -> Option<Violation> {
    let set = format!("{}/{}", op.request.tenant, op.request.set);
    if items.len() > top {
        let (expected, actual) = (format!("at most {top} items"), format!("{}", items.len()));
        return Some(Mismatch::new(Invariant::I18, "list too long", expected, actual).at(set));
    }
    let unordered = items.windows(2).find(|pair| pair[0].0 >= pair[1].0)?;
    let (expected, actual) =
        ("ids in order", format!("{} before {}", unordered[0].0, unordered[1].0));
    Some(Mismatch::new(Invariant::I18, "list out of order", expected, actual).at(set))
}
