//! Entities and blobs at one moment, from a disk's image, small enough to be kept beside a plan.
//!
//! **Invariant:** read by SQLite's file format on an image, as a process that came up then would find it: the
//! run does not notice. Values are shortened when they are taken, so that a bundle stays small.

use super::text::shown;
use crate::rows;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use stormglass_model::tables::{EventRow, KeptRow, OutboxState, TenantRows};
use stormglass_sim::Disk;

/// Characters of a value that are kept.
const VALUE_MAX: usize = 60;

/// What was there at one moment, by tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// The wall clock, in milliseconds of Unix time.
    pub utc_ms: i64,
    /// The tenants that have a file.
    pub tenants: BTreeMap<String, Tenant>,
}

/// What a tenant's file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Why it cannot be read, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Its entities, as their events have them.
    #[serde(default)]
    pub entities: BTreeMap<String, Entity>,
    /// Its rows of `blobs`, by key.
    #[serde(default)]
    pub blobs: BTreeMap<String, Blob>,
}

/// An entity, as its journal has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// Its last event.
    pub version: u64,
    /// The state after it.
    pub status: String,
    /// The action that it was.
    pub action: String,
    /// The event that its snapshot covers, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<u64>,
    /// Rows of its outbox that are still open.
    #[serde(default)]
    pub owed: usize,
    /// How each field was last kept.
    #[serde(default)]
    pub fields: BTreeMap<String, Field>,
}

/// How a field is kept. A shape of the bundle's own and not the model's [`KeptRow`]: what lies in a folder is read by
/// later builds, whatever becomes of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// In the state itself: the value, shortened.
    Inline(String),
    /// As a placeholder.
    Truncated {
        /// The ceiling that was exceeded.
        limit_bytes: u64,
    },
    /// As a blob.
    Blob {
        /// Its key.
        key: String,
        /// Its size.
        size_bytes: u64,
        /// When the reference expires, in milliseconds of Unix time.
        deadline_ms: Option<i64>,
    },
}

/// A row of `blobs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// What the row says of its size.
    pub size_bytes: u64,
    /// Until when it is kept, in milliseconds of Unix time; none for good.
    pub expires_at_ms: Option<i64>,
    /// Whether the bytes have the hash that the key says.
    pub is_whole: bool,
}

impl Moment {
    /// What `disk` holds for a process that comes up at this time.
    pub fn of(disk: &Disk, utc_ms: i64) -> Moment {
        let tenants = rows::of_disk(disk).into_iter().map(|(name, rows)| {
            let tenant = rows.map_or_else(
                |why| Tenant { trouble: Some(shown(&why, 400)), ..Tenant::default() },
                |rows| Tenant::of(&rows),
            );
            (name, tenant)
        });
        Moment { utc_ms, tenants: tenants.collect() }
    }

    /// The names of its tenants.
    pub fn names(&self) -> BTreeSet<&String> {
        self.tenants.keys().collect()
    }
}

impl Tenant {
    fn of(rows: &TenantRows) -> Tenant {
        let mut events: Vec<&EventRow> = rows.events.iter().map(|event| &**event).collect();
        events.sort_by_key(|event| event.sequence_nr);
        let mut tenant = Tenant::default();
        for event in events {
            let entity =
                tenant.entities.entry(name(&event.entity.set, &event.entity.id)).or_default();
            entity.version = event.sequence_nr;
            entity.status.clone_from(&event.to);
            entity.action.clone_from(&event.action);
            for (field, kept) in &event.kept {
                if let Some(kept) = Field::of(event, field, kept) {
                    entity.fields.insert(shown(field, VALUE_MAX), kept);
                }
            }
        }
        for snapshot in &rows.snapshots {
            let entity =
                tenant.entities.entry(name(&snapshot.entity.set, &snapshot.entity.id)).or_default();
            entity.snapshot = entity.snapshot.max(Some(snapshot.sequence_nr));
        }
        for row in rows.outbox.iter().filter(|row| row.state == OutboxState::Open) {
            tenant.entities.entry(name(&row.entity.set, &row.entity.id)).or_default().owed += 1;
        }
        let blobs = rows.blobs.iter().map(|row| {
            let (size_bytes, expires_at_ms) = (row.size_bytes, row.expires_at_ms);
            let is_whole = row.data.key() == row.key;
            (row.key.clone(), Blob { size_bytes, expires_at_ms, is_whole })
        });
        tenant.blobs = blobs.collect();
        tenant
    }
}

impl Field {
    /// As an event keeps it; nothing of a value that the event does not name, as an initial one.
    fn of(event: &EventRow, name: &str, kept: &KeptRow) -> Option<Field> {
        Some(match kept {
            KeptRow::Truncated { limit_bytes } => Field::Truncated { limit_bytes: *limit_bytes },
            KeptRow::Blob { key, size_bytes, deadline_ms } => {
                let (key, size_bytes) = (key.clone(), *size_bytes);
                Field::Blob { key, size_bytes, deadline_ms: *deadline_ms }
            }
            KeptRow::Inline => {
                Field::Inline(shown(&event.params.get(name)?.to_string(), VALUE_MAX))
            }
        })
    }
}

/// An entity as a tenant's tables name it.
pub fn name(set: &str, id: &str) -> String {
    format!("{set}/{}", shown(id, VALUE_MAX))
}
