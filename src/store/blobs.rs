//! Bodies of overflowed values, by content address, and when they may go.
//!
//! **Invariant (`I8`):** a row's `expires_at` is the latest of the deadlines put since the row was
//! made, and none once one of them was none; a sweep deletes only what its clock reading has
//! passed.

use std::sync::Arc;

use super::batch::Write;
use super::sql::{Value, integer, optional, text};
use super::{Caller, Database, Store, StoreError};
use crate::canonical;
use crate::overflow::Reference;
use crate::{probe, time};

/// One body to be there, at least until its deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Its address.
    pub key: String,
    /// Canonical JSON.
    pub body: Arc<String>,
    /// Until when; nothing for ever.
    pub expires_at_ms: Option<i64>,
}

/// Who puts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutCause {
    /// An action.
    Live,
    /// A replay.
    Replay,
}

/// A row as found, its body not checked against its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobRow {
    /// The body.
    pub data: Vec<u8>,
    /// What the row says of its size.
    pub size: Option<u64>,
    /// The row's deadline, sortable text; nothing for a permanent row.
    pub expires_at: Option<String>,
}

impl BlobRow {
    /// The body, if it is what its address says.
    pub fn verified(self, reference: &Reference) -> Option<String> {
        if crate::defect!("no-hash-check") {
            return Some(String::from_utf8_lossy(&self.data).into_owned());
        }
        let hash = canonical::sha256_hex(&self.data);
        let whole = reference.key == format!("field-overflow/sha256/{hash}.json")
            && self.size == Some(self.data.len() as u64);
        if whole { String::from_utf8(self.data).ok() } else { None }
    }

    /// Whether the row stays at least as long as the reference can be read.
    pub fn outlives(&self, expires_at_ms: Option<i64>) -> bool {
        match (&self.expires_at, expires_at_ms) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(row), Some(deadline)) => row.as_str() >= time::to_text(deadline).as_str(),
        }
    }
}

impl Store {
    /// Puts bodies, all in one transaction.
    ///
    /// # Errors
    /// Nothing of it is there, or the commit is in doubt.
    pub async fn put(
        &self,
        caller: Caller<'_>,
        puts: &[Put],
        cause: PutCause,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let (own, size_bytes) = (puts.to_vec(), size_of(puts));
        let work = move |db: &mut Database, _: &str| put_all(db, &own, cause, now_ms);
        let write = Write { work: Box::new(work), size_bytes };
        let written = self.write_together("store.put", caller, write).await?;
        if crate::defect!("cross-tenant-dedup") {
            self.renew_elsewhere(puts);
        }
        self.metrics.blobs_put.add(written);
        if cause == PutCause::Replay {
            self.metrics.blobs_repaired.add(written);
        }
        Ok(())
    }

    /// The defect `cross-tenant-dedup`: a body is one body, whosesoever row it is.
    fn renew_elsewhere(&self, puts: &[Put]) {
        let tenants = self.seams.databases.tenants().unwrap_or_default();
        for tenant in tenants.iter().filter(|tenant| **tenant != self.tenant) {
            let Ok(mut db) = Database::open(&self.seams.databases.uri(tenant)) else { continue };
            for put in puts {
                let deadline = put.expires_at_ms.map(time::to_text);
                let renewal = "UPDATE blobs SET expires_at = ?2 WHERE blob_key = ?1
                    AND expires_at IS NOT NULL AND coalesce(?2, '9') > expires_at";
                let _ = db.execute(renewal, vec![text(&put.key), optional(deadline.as_deref())]);
            }
        }
    }

    /// The rows of these addresses, in their order.
    ///
    /// # Errors
    /// A failed read; it never looks like a missing row.
    pub async fn blobs(
        &self,
        caller: Caller<'_>,
        keys: &[&str],
    ) -> Result<Vec<Option<BlobRow>>, StoreError> {
        self.read("store.blobs", caller, |db, _| keys.iter().map(|key| read(db, key)).collect())
            .await
    }

    /// Deletes at most `max_rows` rows whose deadline is at or before `now_ms`, oldest first, and
    /// returns how many.
    ///
    /// # Errors
    /// Nothing was deleted, or the commit is in doubt.
    pub async fn sweep(
        &self,
        caller: Caller<'_>,
        max_rows: u64,
        now_ms: i64,
    ) -> Result<u64, StoreError> {
        let swept = self.write("store.sweep", caller, |db, _| {
            let now_ms = if crate::defect!("sweep-early") {
                now_ms.saturating_add(999) / 1000 * 1000
            } else {
                now_ms
            };
            let limit = if crate::defect!("sweep-unbounded") {
                Value::Integer(-1)
            } else {
                integer(max_rows)
            };
            let sweep = if crate::defect!("sweep-permanent") {
                "DELETE FROM blobs WHERE blob_key IN (
                    SELECT blob_key FROM blobs WHERE coalesce(expires_at, '') <= ?1
                    ORDER BY expires_at, blob_key LIMIT ?2 + 0)"
            } else {
                "DELETE FROM blobs WHERE blob_key IN (
                    SELECT blob_key FROM blobs WHERE expires_at IS NOT NULL AND expires_at <= ?1
                    ORDER BY expires_at, blob_key LIMIT ?2 + 0)"
            };
            Ok(db.execute(sweep, vec![Value::Text(time::to_text(now_ms)), limit])?)
        });
        let swept = swept.await?;
        self.metrics.swept(now_ms, swept);
        Ok(swept)
    }
}

fn read(db: &mut Database, key: &str) -> Result<Option<BlobRow>, StoreError> {
    let row = db.row(
        "SELECT CAST(data AS BLOB), size_bytes, CAST(expires_at AS BLOB) FROM blobs
        WHERE blob_key = ?1",
        vec![text(key)],
    )?;
    let Some(mut row) = row else { return Ok(None) };
    let deadline = row.bytes(2);
    Ok(Some(BlobRow {
        data: row.bytes(0).unwrap_or_default(),
        size: row.integer(1).and_then(|size| u64::try_from(size).ok()),
        expires_at: deadline.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    }))
}

/// The bytes of all bodies.
pub(super) fn size_of(puts: &[Put]) -> usize {
    puts.iter().map(|put| put.body.len()).sum()
}

/// Puts within the caller's transaction and returns how many bodies it wrote. What is there already
/// is not written again.
pub(super) fn put_all(
    db: &mut Database,
    puts: &[Put],
    cause: PutCause,
    now_ms: i64,
) -> Result<u64, StoreError> {
    let mut written = 0;
    for put in puts {
        let deadline = put.expires_at_ms.map(time::to_text);
        match read(db, &put.key)? {
            None => {
                insert(db, put, deadline.as_deref(), now_ms)?;
                written += 1;
            }
            Some(row) => written += u64::from(renew(db, put, row, (cause, now_ms))?),
        }
    }
    Ok(written)
}

fn insert(
    db: &mut Database,
    put: &Put,
    deadline: Option<&str>,
    now_ms: i64,
) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO blobs (blob_key, data, size_bytes, created_at, expires_at)
        VALUES (?1, ?2, ?3, ?4, ?5)",
        vec![
            text(&put.key),
            Value::Blob(put.body.as_bytes().to_vec()),
            integer(put.body.len() as u64),
            Value::Text(time::to_text(now_ms)),
            optional(deadline),
        ],
    )?;
    Ok(())
}

/// Returns whether the body was damaged and is written again.
fn renew(
    db: &mut Database,
    put: &Put,
    row: BlobRow,
    (cause, now_ms): (PutCause, i64),
) -> Result<bool, StoreError> {
    let size = put.body.len() as u64;
    let damaged = row.data != put.body.as_bytes() || row.size != Some(size);
    if damaged {
        probe!("a damaged blob was written again", damage);
        db.execute(
            "UPDATE blobs SET data = ?2, size_bytes = ?3 WHERE blob_key = ?1",
            vec![text(&put.key), Value::Blob(put.body.as_bytes().to_vec()), integer(size)],
        )?;
    }
    if row.outlives(put.expires_at_ms) {
        return Ok(damaged);
    }
    let is_expired = row.expires_at.as_ref().is_some_and(|at| *at <= time::to_text(now_ms));
    let forgotten = crate::defect!("first-writer-ttl")
        || (is_expired && crate::defect!("put-ignores-expired"))
        || (cause == PutCause::Replay && crate::defect!("replay-skips-renewal"));
    if forgotten {
        return Ok(damaged);
    }
    if is_expired {
        probe!("a put renewed an expired blob");
    }
    db.execute(
        "UPDATE blobs SET expires_at = ?2 WHERE blob_key = ?1",
        vec![text(&put.key), optional(put.expires_at_ms.map(time::to_text).as_deref())],
    )?;
    Ok(damaged)
}
