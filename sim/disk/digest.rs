//! What a process would find on a disk, as one hash, so that equal images are known for such.
//!
//! **Invariant:** equal hashes mean equal names and bytes. The reverse fails only where files of the same
//! bytes once were longer than each other. What was hashed before is not hashed again: it is known by its
//! place in memory, and held on to so that nothing else can come to lie there.

use super::Disk;
use super::content::{Content, Node};
use crate::trace::Digest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Nodes that are remembered at most, a few kilobytes each.
const NODES_MAX: usize = 1 << 15;

/// Hashes of what was looked at before.
#[derive(Default)]
pub struct Digests {
    nodes: BTreeMap<usize, (Arc<Node>, Digest)>,
}

impl Digests {
    /// The hash over the names and bytes of all files, as a process sees them.
    pub fn of(&mut self, disk: &Disk) -> Digest {
        if self.nodes.len() > NODES_MAX {
            self.nodes.clear();
        }
        let mut bytes = Vec::new();
        for (path, file) in disk.cached_entries.iter() {
            let content = &disk.file(*file).cached;
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
                .map(|chunk| chunk.as_ref().map_or(0, |bytes| Digest::of(bytes).0))
                .collect(),
        };
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_le_bytes()).collect();
        let digest = Digest::of(&bytes);
        self.nodes.insert(place, (Arc::clone(node), digest));
        digest
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
}
