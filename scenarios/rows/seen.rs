//! What other runs have found in files of the very same bytes.
//!
//! **Invariant:** rows, and whether SQLite finds a file sound, depend on the tenant's name and on the bytes of
//! its files alone: that is what they are known by here. Only what was read without trouble and found sound is
//! known; whatever was not is looked at each time. Each map is bounded: one that is full begins anew, which costs
//! time and changes nothing.

use super::files_of;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use stormglass_model::tables::TenantRows;
use stormglass_sim::disk::Digests;
use stormglass_sim::{Digest, Disk};

/// Readings that are remembered at most, and as many hashes of them.
const READINGS_MAX: usize = 1 << 12;
/// Files that are known to be sound at most, of which nothing is kept but a hash.
const SOUND_MAX: usize = 1 << 16;

#[derive(Default)]
struct Found {
    digests: Digests,
    rows: BTreeMap<Digest, Arc<TenantRows>>,
    sound: BTreeSet<Digest>,
    /// Hashes of rows, known by their place in memory and held on to.
    of_rows: BTreeMap<usize, (Arc<TenantRows>, Digest)>,
}

/// What the runs of one exploration have found. Clones are the same.
#[derive(Clone, Default)]
pub struct Seen(Rc<RefCell<Found>>);

impl Seen {
    /// The hash over all files of a disk.
    pub fn disk(&self, disk: &Disk) -> Digest {
        self.0.borrow_mut().digests.of(disk)
    }

    /// A tenant's files as they are.
    pub(super) fn files(&self, tenant: &str, disk: &Disk) -> Digest {
        self.0.borrow_mut().digests.of_files(disk, &files_of(tenant))
    }

    /// The rows that were read in these files.
    pub(super) fn rows(&self, files: Digest) -> Option<Arc<TenantRows>> {
        self.0.borrow().rows.get(&files).cloned()
    }

    /// These rows were read in these files.
    pub(super) fn add_rows(&self, files: Digest, rows: &Arc<TenantRows>) {
        let mut found = self.0.borrow_mut();
        if found.rows.len() >= READINGS_MAX {
            found.rows.clear();
        }
        found.rows.insert(files, Arc::clone(rows));
    }

    /// Whether SQLite has found these files sound.
    pub(super) fn is_sound(&self, files: Digest) -> bool {
        self.0.borrow().sound.contains(&files)
    }

    /// SQLite finds these files sound.
    pub(super) fn add_sound(&self, files: Digest) {
        let mut found = self.0.borrow_mut();
        if found.sound.len() >= SOUND_MAX {
            found.sound.clear();
        }
        found.sound.insert(files);
    }

    /// The hash over a tenant's rows.
    pub fn of_rows(&self, rows: &Arc<TenantRows>) -> Digest {
        let mut found = self.0.borrow_mut();
        let place = Arc::as_ptr(rows) as usize;
        if found.of_rows.len() >= READINGS_MAX && !found.of_rows.contains_key(&place) {
            found.of_rows.clear();
        }
        let known = found.of_rows.entry(place);
        known.or_insert_with(|| (Arc::clone(rows), Digest::of_value(&**rows))).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stormglass_sim::DiskOptions;
    use stormglass_sim::disk::Grid;

    #[test]
    fn files_are_known_by_their_bytes_and_their_tenant_alone() {
        let seen = Seen::default();
        let mut disk = Disk::new(DiskOptions::default());
        let mut files = BTreeMap::new();
        for tenant in ["a", "b"] {
            for path in files_of(tenant) {
                let file = disk.create(&path, Grid::Pages);
                disk.write(file, 0, &[7; 5_000]).unwrap();
                files.insert(path, file);
            }
        }
        let [a, b] = ["a", "b"].map(|tenant| seen.files(tenant, &disk));
        assert_ne!(a, b);
        seen.add_sound(a);
        seen.add_rows(a, &Arc::default());
        let is_known = |tenant, disk: &Disk| {
            let files = seen.files(tenant, disk);
            (seen.is_sound(files), seen.rows(files).is_some())
        };
        assert_eq!(is_known("a", &disk), (true, true));
        assert_eq!(is_known("b", &disk), (false, false));
        for (path, file) in files {
            let mut other = disk.clone();
            other.write(file, 4_999, &[8]).unwrap();
            let is_of_b = path.contains("/b.");
            assert_eq!(is_known("a", &other), (is_of_b, is_of_b), "{path}");
        }
    }
}
