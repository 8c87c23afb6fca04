//! The locks that connections of one machine hold on each other's files.
//!
//! **Invariant:** who gets a lock and who is refused is what SQLite's unix VFS answers to connections
//! of one process (SQLite documentation, "File Locking And Concurrency In SQLite Version 3", section
//! 3; "WAL-mode File Format", section 2.3). A parity test holds the two against each other.

use std::collections::BTreeMap;

/// Identity of an open file.
pub(crate) type HandleId = u64;

/// SQLite's five levels of a lock on a database file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LockLevel {
    None,
    Shared,
    Reserved,
    Pending,
    Exclusive,
}

/// The lock was refused because another connection holds one that excludes it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Busy;

/// Who holds what on one database file.
#[derive(Default)]
pub(crate) struct FileLocks {
    holders: BTreeMap<HandleId, LockLevel>,
}

impl FileLocks {
    /// Raises the lock of `handle` to `wanted`. A refused exclusive lock leaves a reserved one pending:
    /// no new reader gets in.
    pub fn raise(&mut self, handle: HandleId, wanted: LockLevel) -> Result<(), Busy> {
        let held = self.level(handle);
        if held >= wanted {
            return Ok(());
        }
        let others = self.holders.iter().filter(|(id, _)| **id != handle);
        let strongest_other = others.map(|(_, level)| *level).max().unwrap_or(LockLevel::None);
        let refused_from = match wanted {
            LockLevel::Shared => LockLevel::Pending,
            LockLevel::Reserved => LockLevel::Reserved,
            _ if held >= LockLevel::Reserved => {
                self.holders.insert(handle, LockLevel::Pending);
                LockLevel::Shared
            }
            _ => LockLevel::Shared,
        };
        if strongest_other >= refused_from {
            return Err(Busy);
        }
        self.holders.insert(handle, wanted);
        Ok(())
    }

    /// Lowers the lock of `handle` to `wanted`; a lower one stays as it is.
    pub fn lower(&mut self, handle: HandleId, wanted: LockLevel) {
        if self.level(handle) > wanted {
            match wanted {
                LockLevel::None => self.holders.remove(&handle),
                _ => self.holders.insert(handle, wanted),
            };
        }
    }

    /// Whether anybody means to write.
    pub fn reserved(&self) -> bool {
        self.holders.values().any(|level| *level >= LockLevel::Reserved)
    }

    /// What `handle` holds.
    pub fn level(&self, handle: HandleId) -> LockLevel {
        self.holders.get(&handle).copied().unwrap_or(LockLevel::None)
    }
}

/// Number of locks on a write-ahead log's shared memory (`SQLITE_SHM_NLOCK`).
pub(crate) const SHM_LOCK_COUNT: usize = 8;

/// Which of a log's locks one connection holds: a bit each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ShmHeld {
    shared: u8,
    exclusive: u8,
}

/// Who holds the locks on one write-ahead log's shared memory.
#[derive(Default)]
pub(crate) struct ShmLocks {
    shared_counts: [u32; SHM_LOCK_COUNT],
    exclusive: u8,
}

impl ShmLocks {
    /// Takes the locks of `mask` for reading.
    pub fn share(&mut self, held: &mut ShmHeld, mask: u8) -> Result<(), Busy> {
        let missing = mask & !held.shared;
        if missing & self.exclusive != 0 {
            return Err(Busy);
        }
        for slot in slots(missing) {
            self.shared_counts[slot] += 1;
        }
        held.shared |= missing;
        Ok(())
    }

    /// Takes the locks of `mask` for this connection alone.
    pub fn exclude(&mut self, held: &mut ShmHeld, mask: u8) -> Result<(), Busy> {
        let missing = mask & !held.exclusive;
        let shared = slots(missing).any(|slot| self.shared_counts[slot] > 0);
        if shared || missing & self.exclusive != 0 {
            return Err(Busy);
        }
        self.exclusive |= missing;
        held.exclusive |= missing;
        Ok(())
    }

    /// Gives the locks of `mask` back.
    pub fn release(&mut self, held: &mut ShmHeld, mask: u8) {
        for slot in slots(held.shared & mask) {
            self.shared_counts[slot] -= 1;
        }
        self.exclusive &= !(held.exclusive & mask);
        held.shared &= !mask;
        held.exclusive &= !mask;
    }
}

fn slots(mask: u8) -> impl Iterator<Item = usize> {
    (0..SHM_LOCK_COUNT).filter(move |slot| mask >> slot & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_share_and_a_waiting_writer_keeps_new_ones_out() {
        let mut locks = FileLocks::default();
        assert_eq!(locks.raise(1, LockLevel::Shared), Ok(()));
        assert_eq!(locks.raise(2, LockLevel::Shared), Ok(()));
        assert_eq!(locks.raise(1, LockLevel::Reserved), Ok(()));
        assert_eq!(locks.raise(2, LockLevel::Reserved), Err(Busy));
        assert_eq!(locks.raise(1, LockLevel::Exclusive), Err(Busy));
        assert_eq!(locks.raise(3, LockLevel::Shared), Err(Busy));
        locks.lower(2, LockLevel::None);
        assert_eq!(locks.raise(1, LockLevel::Exclusive), Ok(()));
    }

    #[test]
    fn an_exclusive_slot_excludes_readers_and_writers() {
        let (mut locks, mut a, mut b) =
            (ShmLocks::default(), ShmHeld::default(), ShmHeld::default());
        assert_eq!(locks.share(&mut a, 0b1000), Ok(()));
        assert_eq!(locks.exclude(&mut b, 0b1000), Err(Busy));
        locks.release(&mut a, 0xff);
        assert_eq!(locks.exclude(&mut b, 0b1100), Ok(()));
        assert_eq!(locks.share(&mut a, 0b0100), Err(Busy));
    }
}
