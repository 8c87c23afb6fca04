//! Readings of the tables: when they are taken, and what the model is told of them.
//!
//! **Invariant:** what is read stands on a fork of the disk, and each reading says how sure its rows are: of
//! a dead store, an idle one, or one in which nothing can be overwritten any more.

use super::{Going, Judge, Part, remains, violated};
use crate::plan::{Who, entity_number, tenant_number};
use crate::rows::{Look, Seen};
use crate::seams::tenants_on;
use serde_json::{Value, json};
use std::sync::Arc;
use stormglass_model::entity::EntityKey;
use stormglass_model::observe::Observation;
use stormglass_model::tables::{BlobRow, Sight, TenantRows};
use stormglass_model::violation::{Invariant, Mismatch, Violation};

impl Judge<'_> {
    /// Every entity that was ever asked for, and every one that has rows: a spawn may have made it.
    pub async fn visited(&mut self) -> Vec<Who> {
        self.look_aside().await;
        let mut visited = self.asked.clone();
        for rows in self.reader.rows() {
            let tenant = tenant_number(&rows.tenant);
            let whos = rows.events.iter().filter_map(|row| {
                let EntityKey { set, id, .. } = &row.entity;
                let (set, entity) = (self.sets.number(set)?, entity_number(id)?);
                Some(Who { tenant: tenant?, entity, set })
            });
            visited.extend(whos);
        }
        visited.into_iter().collect()
    }

    /// Reads what a server's end left on the disk, judge or not.
    pub async fn look_at_remains(&mut self) -> Vec<Look> {
        self.remains.read_before(&self.reader.rows());
        self.look(true).await
    }

    pub(super) async fn look(&mut self, is_dead: bool) -> Vec<Look> {
        self.note_damage();
        (self.watch)(Part::Tables);
        self.read_at_op = self.world.op_count();
        self.standing.has_news = false;
        let (image, tenants) = (self.world.image(), self.tenants());
        let spared = self.oracle.damaged_tenants();
        let looks = self.reader.look(self.world, (image, is_dead), (&tenants, &spared)).await;
        (self.watch)(Part::Platform);
        looks
    }

    /// From now on no file is checked after a crash before [`Judge::files_are_sound`] asks for it.
    /// What others with the same files have `seen` is not looked at again.
    pub fn put_checks_off(&mut self, seen: Seen) {
        self.reader.seen = Some(seen);
        self.reader.puts_checks_off = true;
    }

    /// I14: SQLite finds each file sound that it has not checked as it is, if checks were put off.
    pub async fn files_are_sound(&mut self) -> Going {
        if !std::mem::take(&mut self.reader.puts_checks_off) {
            return Ok(());
        }
        let (image, spared) = (self.world.image(), self.oracle.damaged_tenants());
        let (tenant, damage) = match self.reader.check(self.world, &image, &spared).await {
            Ok(None) => return Ok(()),
            Ok(Some((tenant, damage))) => (tenant, Some(damage)),
            Err(why) => ("a tenant's tables".to_string(), Some(why)),
        };
        let look = Look { tenant, damage, rows: Ok(Arc::default()) };
        remains::whole(look).map_or_else(violated, |_| Ok(()))
    }

    /// Reads the tables for a run's own sake, judge or not: the next quiet moment reads them again.
    pub async fn look_aside(&mut self) {
        self.look(false).await;
        self.read_at_op = u64::MAX;
    }

    pub(super) fn judge_rows(&mut self, looks: Vec<Look>, is_dead: bool) -> Vec<Violation> {
        let mut found: Vec<Violation> = self.files_of_nobody().collect();
        for look in looks {
            self.reading_count += 1;
            let rows = match remains::whole(look) {
                Ok(rows) => rows,
                Err(violation) => {
                    found.push(violation);
                    continue;
                }
            };
            let sight = match (is_dead, self.standing.is_settled(&rows.tenant)) {
                (true, _) => Sight::Dead,
                (false, true) => Sight::Settled,
                (false, false) => Sight::Idle,
            };
            let Observation { violations, orphan_count } =
                self.ask(|oracle, now| oracle.observe(now, &rows, sight));
            found.extend(violations);
            found.extend(self.remains.judge(&rows, orphan_count, is_dead));
            self.orphans.insert(rows.tenant.clone(), orphan_count);
            if !is_dead {
                found.extend(self.standing.recovers_to_what_was_shown(&rows));
            }
        }
        found
    }

    /// I13: files of tenants that nobody has written to.
    fn files_of_nobody(&self) -> impl Iterator<Item = Violation> {
        let mut tenants = tenants_on(&self.world.image());
        tenants.retain(|tenant| !self.created.contains(tenant));
        tenants.into_iter().map(|tenant| {
            let place = "file of a tenant that nobody wrote to";
            Mismatch::new(Invariant::I13, place, "no file", "a file").at(tenant)
        })
    }

    /// The rows of every tenant as they were last read.
    pub fn rows(&self) -> Vec<Arc<TenantRows>> {
        self.reader.rows()
    }

    /// What the model takes for true, with the blobs of each tenant as they were last read.
    pub fn show(&self) -> Value {
        let mut shown = self.oracle.show();
        let blobs = |rows: &TenantRows| {
            let blob = |row: &BlobRow| {
                let BlobRow { key, size_bytes, expires_at_ms, .. } = row;
                json!({ "key": key, "size_bytes": size_bytes, "expires_at_ms": expires_at_ms })
            };
            rows.blobs.iter().map(blob).collect::<Vec<_>>()
        };
        let tenants = self.rows();
        let tenant = |rows: &Arc<TenantRows>| (rows.tenant.clone(), json!(blobs(rows)));
        shown["blobs_when_last_read"] = Value::Object(tenants.iter().map(tenant).collect());
        shown
    }

    /// What the model takes for true of one entity; nothing if it was never heard of.
    pub fn show_entity(&self, who: Who) -> Option<Value> {
        self.oracle.show_entity(&self.key(who))
    }
}
