//! What a process would find on a disk, as one hash, so that equal images are known for such.
//!
//! **Invariant:** equal hashes mean equal names and bytes. The reverse fails only where files of the same
//! bytes once were longer than each other. What was hashed before is not hashed again: it is known by its
//! place in memory, and held on to so that nothing else can come to lie there.

use super::content::{Bytes, Content, Node};
use super::{Disk, FileId};
use crate::trace::Digest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Nodes that are remembered at most, a few kilobytes each.
const NODES_MAX: usize = 1 << 15;
/// Bytes from which on a chunk is sooner found than hashed again. A new node has fifteen that are old.
const CHUNK_MIN: usize = 256;

/// Hashes of what was looked at before.
#[derive(Default)]
pub struct Digests {
    nodes: BTreeMap<usize, (Arc<Node>, Digest)>,
    chunks: BTreeMap<usize, (Bytes, Digest)>,
}

impl Digests {
    /// The hash over the names and bytes of all files, as a process sees them.
    pub fn of(&mut self, disk: &Disk) -> Digest {
        self.of_entries(disk, disk.cached_entries.iter().map(|(path, file)| (&**path, *file)))
    }

    /// The same over those of `paths` that there are.
    pub fn of_files(&mut self, disk: &Disk, paths: &[impl AsRef<str>]) -> Digest {
        let found = paths.iter().filter_map(|path| {
            let path = path.as_ref();
            Some((path, disk.find(path)?))
        });
        self.of_entries(disk, found)
    }

    fn of_entries<'a>(
        &mut self,
        disk: &Disk,
        entries: impl Iterator<Item = (&'a str, FileId)>,
    ) -> Digest {
        if self.nodes.len() > NODES_MAX {
            self.nodes.clear();
            self.chunks.clear();
        }
        let mut bytes = Vec::new();
        for (path, file) in entries {
            let content = &disk.file(file).cached;
            bytes.extend_from_slice(&(path.len() as u64).to_le_bytes());
            bytes.extend_from_slice(path.as_bytes());
            bytes.extend_from_slice(&self.of_content(content).0.to_le_bytes());
        }
        Digest::of(&bytes)
    }

    fn of_content(&mut self, content: &Content) -> Digest {
        let root = content.root.as_ref().map_or(Digest(0), |root| self.of_node(root));
        let parts = [content.len().to_le_bytes().as_slice(), &root.0.to_le_bytes()].concat();
        Digest::of(&parts)
    }

    fn of_node(&mut self, node: &Arc<Node>) -> Digest {
        let place = Arc::as_ptr(node) as usize;
        if let Some((_, digest)) = self.nodes.get(&place) {
            return *digest;
        }
        let parts: Vec<u128> = match &**node {
            Node::Branch(children) => children
                .iter()
                .map(|child| child.as_ref().map_or(0, |child| self.of_node(child).0))
                .collect(),
            Node::Leaf(chunks) => chunks
                .iter()
                .map(|chunk| chunk.as_ref().map_or(0, |bytes| self.of_chunk(bytes).0))
                .collect(),
        };
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_le_bytes()).collect();
        let digest = Digest::of(&bytes);
        self.nodes.insert(place, (Arc::clone(node), digest));
        digest
    }

    fn of_chunk(&mut self, chunk: &Bytes) -> Digest {
        if chunk.len() < CHUNK_MIN {
            return Digest::of(chunk);
        }
        let place = chunk.as_ptr() as usize;
        let known = self.chunks.entry(place);
        known.or_insert_with(|| (Arc::clone(chunk), Digest::of(chunk))).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{DiskOptions, Grid};

    #[test]
    fn what_differs_in_a_byte_or_a_name_has_another_hash() {
        let mut digests = Digests::default();
        let mut disk = Disk::new(DiskOptions::default());
        let mut seen = vec![digests.of(&disk)];
        let file = disk.create("/a", Grid::Pages);
        seen.push(digests.of(&disk));
        for offset in [0, 5_000, 1_000_000] {
            disk.write(file, offset, b"x").unwrap();
            seen.push(digests.of(&disk));
            let image = disk.clone();
            disk.write(file, offset, b"y").unwrap();
            seen.push(digests.of(&disk));
            assert_eq!(digests.of(&image), seen[seen.len() - 2]);
            disk.write(file, offset, b"x").unwrap();
            assert_eq!(digests.of(&disk), digests.of(&image));
        }
        disk.rename("/a", "/b").unwrap();
        seen.push(digests.of(&disk));
        let mut sorted = seen.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), seen.len());
        assert_eq!(Digests::default().of(&disk), *seen.last().unwrap());
    }

    #[test]
    fn some_files_are_hashed_by_their_own_names_and_bytes_alone() {
        let (paths, mut digests) = (["/a", "/a-wal"], Digests::default());
        let mut disk = Disk::new(DiskOptions::default());
        let mut seen = vec![digests.of_files(&disk, &paths)];
        let file = disk.create("/a", Grid::Pages);
        seen.push(digests.of_files(&disk, &paths));
        disk.write(file, 0, &[7; 9_000]).unwrap();
        seen.push(digests.of_files(&disk, &paths));
        let other = disk.create("/b", Grid::Pages);
        disk.write(other, 0, &[7; 9_000]).unwrap();
        assert_eq!(digests.of_files(&disk, &paths), seen[2]);
        let image = disk.clone();
        disk.write(file, 4_096, &[8]).unwrap();
        seen.push(digests.of_files(&disk, &paths));
        assert_eq!(digests.of_files(&image, &paths), seen[2]);
        disk.rename("/a", "/a-wal").unwrap();
        seen.push(digests.of_files(&disk, &paths));
        assert_eq!(Digests::default().of_files(&disk, &paths), seen[4]);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 5);
    }
}
