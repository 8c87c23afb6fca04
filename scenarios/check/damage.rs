//! What dishonest faults have damaged, and what holds all the same.
//!
//! **Verified:** I22, by the model (`damage` there says how far): after damage to rows that are known, every
//! answer about an entity that rests on one of them has exactly its values or an error that names what is
//! lost; after damage to a file (its pages or its log rotten, or the power gone with what a sync had
//! answered for), every answer shows a version that the entity once had. I13 and I21 as ever. A tenant of
//! which nothing is damaged keeps every invariant; so do, in their answers, the entities that rest on no
//! damaged row. After an older image the model goes back to what it was then, and everything holds again.
//! A sync that lied, or failed and forgot, has damaged nothing until the power goes: until then, and after a
//! kill, every invariant holds.
//! **Not verified:** the rows of a damaged tenant, on the disk and after recovery (I1 to I8, I11, I14, I15,
//! I20), what its sweeps take and when (I8, I9), and that it is served at all (I16): no one can promise
//! that of a file that SQLite calls malformed. Of a damaged file: that events are not gone from a journal's
//! end, or whole entities; SQLite ends a log at its first wrong checksum, and pages have none.

use super::{Judge, Remains};
use crate::http::Answer;
use crate::plan::{Step, tenant_name};
use crate::rows::Reader;
use crate::seams::tenant_of_path;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use stormglass_model::damage::Extent;
use stormglass_model::entity::EntityKey;
use stormglass_model::oracle::Oracle;
use stormglass_model::violation::{Invariant, Mismatch, Violation};

/// What the model was when an image of the disk was kept.
#[derive(Clone)]
pub(super) struct Saved {
    oracle: Oracle,
    remains: Remains,
    orphans: BTreeMap<String, usize>,
    created: BTreeSet<String>,
}

/// What is needed to follow damage.
#[derive(Clone, Default)]
pub(super) struct Followed {
    /// Damage of the machine that the model was told of.
    seen_count: usize,
    /// By the numbers of the machine's images.
    saved: Vec<Saved>,
}

/// Has a finding say which field or event an answer calls lost.
pub(super) fn name_loss(found: &mut Violation, loss: &str) {
    if ["BlobLost", "EventUndecodable"].iter().any(|code| found.actual.ends_with(code)) {
        found.actual += &format!(": {loss}");
    }
}

impl Judge<'_> {
    /// An image of the disk is kept: what is known now is what will be true of it. Told first before
    /// anything has happened, of the image of the machine's making.
    pub fn image_kept(&mut self) {
        self.clock();
        self.followed.saved.push(Saved {
            oracle: self.oracle.clone(),
            remains: self.remains.clone(),
            orphans: self.orphans.clone(),
            created: self.created.clone(),
        });
    }

    /// The disk went back to an image: so does what is known, before the end of the boot is told.
    pub fn image_put_back(&mut self, number: usize) {
        let saved = &mut self.followed.saved;
        saved.truncate(number + 1);
        let Some(then) = saved.last() else { return };
        self.oracle.go_back_to(&then.oracle);
        self.remains = then.remains.clone();
        self.orphans = then.orphans.clone();
        self.created = then.created.clone();
        self.reader = Reader::default();
        self.held.clear();
        self.forget_sweep();
        // Whatever was damaged since was on another disk.
        self.followed.seen_count = self.world.damage_count();
        self.clock();
    }

    /// Bits have flipped in a row on which these entities rest, and nowhere else.
    pub fn row_damaged(&mut self, tenant: u32, entities: BTreeSet<EntityKey>) {
        self.followed.seen_count = self.world.damage_count();
        self.oracle.rows_damaged(&tenant_name(tenant), entities);
        self.damaged();
    }

    /// Takes notice of damage that has been done since the last time.
    pub fn note_damage(&mut self) {
        if self.followed.seen_count == self.world.damage_count() {
            return;
        }
        let damages = self.world.damages();
        for damage in &damages[self.followed.seen_count..] {
            if let Some(tenant) = tenant_of_path(&damage.path) {
                self.oracle.file_damaged(tenant);
            }
        }
        self.followed.seen_count = damages.len();
        self.damaged();
    }

    fn damaged(&mut self) {
        self.forget_sweep();
        self.read_at_op = u64::MAX;
    }

    /// I22: an error of damaged data names what is lost: the field, or the event by its number.
    pub(super) fn names_what_is_lost(&self, step: &Step, said: &Answer) -> Option<Violation> {
        let code = said.code.as_deref()?;
        if !matches!(code, "BlobLost" | "EventUndecodable") || said.loss().is_some() {
            return None;
        }
        let message = said.body.pointer("/error/message").and_then(Value::as_str).unwrap_or("");
        let (place, expected) = ("error names nothing", "the field or the event that is lost");
        Some(Mismatch::new(Invariant::I22, place, expected, message).at(self.subject(step)))
    }

    /// Whether an answer of 5xx to a step accuses nobody, whenever it comes.
    pub(super) fn is_excused(&self, step: &Step) -> bool {
        let tenant = match (step.action.who(), step.action.tenant()) {
            (Some(who), _) => tenant_name(who.tenant),
            (None, Some(tenant)) => tenant_name(tenant),
            (None, None) => return false,
        };
        match (self.oracle.damage_of(&tenant), step.action.who()) {
            (None, _) => false,
            (Some(Extent::File), _) | (Some(Extent::Rows(_)), None) => true,
            (Some(Extent::Rows(_)), Some(who)) => self.oracle.may_be_lost(&self.key(who)),
        }
    }

    /// Whether a step asks for a tenant of which something is damaged.
    pub(super) fn asks_damaged(&self, step: &Step) -> bool {
        let tenant = step.action.who().map(|who| tenant_name(who.tenant));
        tenant.is_some_and(|tenant| self.oracle.damage_of(&tenant).is_some())
    }
}
