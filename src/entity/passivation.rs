//! When an actor's state is kept: every so many events, and before the actor goes.
//!
//! **Invariant (`I20`):** a snapshot costs time only. One that fails is tried again later; what it would
//! have covered is replayed.

use super::actor::Actor;
use super::snapshot::encode_snapshot;
use super::state::EntityState;
use crate::probe;

impl Actor {
    /// Every so many events the state is kept, so that replays stay short. A failure costs time
    /// only. Blobs that are still to be put do not hold it up: a replay looks for every blob of its
    /// state, whichever event it is from.
    pub(super) async fn snapshot_if_due(&mut self) {
        let every = self.tenant.core.snapshot_every;
        let Some(loaded) = &self.loaded else { return };
        let Some(state) = &loaded.state else { return };
        if loaded.snapshot_unusable || state.sequence_nr >= loaded.snapshot_at + every {
            self.snapshot().await;
        }
    }

    /// Before the actor goes: what it knows is kept for the next one.
    pub(super) async fn passivate(&mut self) {
        let Some(loaded) = &self.loaded else { return };
        let behind = |state: &EntityState| state.sequence_nr > loaded.snapshot_at;
        if loaded.state.as_deref().is_some_and(behind) {
            self.snapshot().await;
        }
        if let Some(first) = self.loaded.as_mut().and_then(|loaded| loaded.first_snapshot.take()) {
            let now_ms = self.now_ms();
            let store = &self.tenant.store;
            let _ = store.save_snapshot(self.caller(), &self.key, first, true, now_ms).await;
        }
    }

    async fn snapshot(&mut self) {
        let Some(loaded) = &self.loaded else { return };
        let Some(state) = &loaded.state else { return };
        if !self.pending.is_empty() {
            probe!("a snapshot covers an event whose blobs are still to be put");
        }
        let (row, replaces, now_ms) =
            (encode_snapshot(state), loaded.snapshot_unusable, self.now_ms());
        let at = row.sequence_nr;
        let store = &self.tenant.store;
        let saved = store.save_snapshot(self.caller(), &self.key, row, replaces, now_ms).await;
        match (saved, &mut self.loaded) {
            (Ok(()), Some(loaded)) => {
                loaded.snapshot_at = at;
                loaded.snapshot_unusable = false;
            }
            (Err(error), _) => tracing::warn!(entity = self.name, %error, "snapshot failed"),
            (Ok(()), None) => {}
        }
    }
}
