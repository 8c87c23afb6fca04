//! The bytes of one file, as a persistent tree of chunks.
//!
//! **Invariant:** a clone shares every chunk with its original and costs one reference count, and no
//! write through one of the two is ever visible through the other. That is what makes an image of a
//! disk, the durable state after a sync, and a fork for a crash state cheap, whatever the file's size.

use std::sync::Arc;

/// Bits of a chunk's number that choose among the children of one tree node. Few, because the first
/// write after a clone copies one node a level.
const FAN_OUT_BITS: u32 = 4;
const FAN_OUT: usize = 1 << FAN_OUT_BITS;
/// Bytes of a chunk of a [`Grid::Pages`] file: SQLite's default page.
const PAGE: usize = 4096;
/// Bytes of a write-ahead log's header and of the header before each frame (SQLite file format,
/// section 4.1).
const WAL_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;
const ZEROS: [u8; PAGE] = [0; PAGE];

/// Bytes that a write brought and that the file, its durable copy and the list of pending operations
/// may share.
pub type Bytes = Arc<[u8]>;

/// Where a file's chunks begin and end. It changes what a write costs, never what a read returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grid {
    /// Chunks of 4096 bytes.
    Pages,
    /// A header, then a frame header and a page in turn, as SQLite writes a log of 4096-byte pages:
    /// on a grid of pages each frame would straddle two chunks, and every write would copy both.
    Frames,
}

/// Where one chunk lies in the file.
struct Place {
    index: u64,
    start: u64,
    len: usize,
}

impl Grid {
    fn place(self, offset: u64) -> Place {
        let page = PAGE as u64;
        match self {
            Grid::Pages => Place { index: offset / page, start: offset / page * page, len: PAGE },
            Grid::Frames if offset < WAL_HEADER => {
                Place { index: 0, start: 0, len: WAL_HEADER as usize }
            }
            Grid::Frames => {
                let frame = (offset - WAL_HEADER) / (FRAME_HEADER + page);
                let start = WAL_HEADER + frame * (FRAME_HEADER + page);
                if offset < start + FRAME_HEADER {
                    Place { index: 1 + 2 * frame, start, len: FRAME_HEADER as usize }
                } else {
                    Place { index: 2 + 2 * frame, start: start + FRAME_HEADER, len: PAGE }
                }
            }
        }
    }
}

#[derive(Clone)]
pub(super) enum Node {
    Branch([Option<Arc<Node>>; FAN_OUT]),
    Leaf([Option<Bytes>; FAN_OUT]),
}

/// The bytes of one file. A chunk that was never written is absent and reads as zeros.
#[derive(Clone)]
pub struct Content {
    grid: Grid,
    pub(super) root: Option<Arc<Node>>,
    /// Levels of nodes under and including the root; 0 when there is none.
    height: u32,
    len: u64,
}

impl Content {
    /// An empty file.
    pub fn new(grid: Grid) -> Content {
        Content { grid, root: None, height: 0, len: 0 }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the two share all their bytes: then they are equal. What does not may be equal, too.
    pub fn shares_all_with(&self, other: &Content) -> bool {
        let is_same_root = match (&self.root, &other.root) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        is_same_root && (self.grid, self.height, self.len) == (other.grid, other.height, other.len)
    }

    /// Copies bytes from `offset` on into `buf` and returns how many there were before the end.
    pub fn read(&self, offset: u64, buf: &mut [u8]) -> usize {
        let end = self.len.min(offset.saturating_add(buf.len() as u64));
        let mut at = offset;
        while at < end {
            let place = self.grid.place(at);
            let skip = (at - place.start) as usize;
            let count = (place.len - skip).min((end - at) as usize);
            let out = &mut buf[(at - offset) as usize..][..count];
            match self.chunk(place.index) {
                Some(chunk) => out.copy_from_slice(&chunk[skip..skip + count]),
                None => out.fill(0),
            }
            at += count as u64;
        }
        end.saturating_sub(offset) as usize
    }

    /// The `len` bytes from `offset` on, if one chunk that is there has them all.
    pub fn within_chunk(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let place = self.grid.place(offset);
        let skip = (offset - place.start) as usize;
        if offset + len as u64 > self.len {
            return None;
        }
        self.chunk(place.index)?.get(skip..skip + len)
    }

    /// The chunk that is exactly the `len` bytes from `offset` on, if there is one.
    pub fn exact_chunk(&self, offset: u64, len: usize) -> Option<&Bytes> {
        let place = self.grid.place(offset);
        let is_exact = place.start == offset && place.len == len && offset + len as u64 <= self.len;
        if is_exact { self.chunk(place.index) } else { None }
    }

    /// Puts `bytes` at `offset`, extending the file if they reach past its end. A write of exactly
    /// one chunk copies nothing: the file keeps `bytes` itself.
    pub fn write(&mut self, offset: u64, bytes: &Bytes) {
        let place = self.grid.place(offset);
        if place.start == offset && place.len == bytes.len() {
            *self.slot(place.index) = Some(bytes.clone());
        } else {
            self.overwrite(offset, bytes);
        }
        self.len = self.len.max(offset + bytes.len() as u64);
    }

    /// Sets the length; what is cut off is gone, what is added reads as zeros.
    pub fn truncate(&mut self, len: u64) {
        if len < self.len {
            let place = self.grid.place(len);
            let kept_whole = place.index + u64::from(len > place.start);
            self.drop_chunks_from(kept_whole);
            if len > place.start && self.chunk(place.index).is_some() {
                let tail = place.start + place.len as u64 - len;
                self.overwrite(len, &ZEROS[..tail as usize]);
            }
        }
        self.len = len;
    }

    /// All bytes, in one vector.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        self.read(0, &mut bytes);
        bytes
    }

    /// Copies `data` into the chunks it touches; the length stays.
    fn overwrite(&mut self, offset: u64, data: &[u8]) {
        let end = offset + data.len() as u64;
        let mut at = offset;
        while at < end {
            let place = self.grid.place(at);
            let skip = (at - place.start) as usize;
            let count = (place.len - skip).min((end - at) as usize);
            let from = (at - offset) as usize;
            let chunk =
                self.slot(place.index).get_or_insert_with(|| Arc::from(&ZEROS[..place.len]));
            if Arc::get_mut(chunk).is_none() {
                *chunk = Arc::from(&chunk[..]);
            }
            let owned = Arc::get_mut(chunk).expect("the chunk was copied if it was shared");
            owned[skip..skip + count].copy_from_slice(&data[from..from + count]);
            at += count as u64;
        }
    }

    fn chunk(&self, index: u64) -> Option<&Bytes> {
        if index >= capacity(self.height) {
            return None;
        }
        let mut node = self.root.as_deref()?;
        let mut level = self.height;
        loop {
            level -= 1;
            match node {
                Node::Branch(children) => node = children[digit(index, level)].as_deref()?,
                Node::Leaf(chunks) => return chunks[digit(index, level)].as_ref(),
            }
        }
    }

    /// The place of chunk `index`, with every node on the way owned by this file alone.
    fn slot(&mut self, index: u64) -> &mut Option<Bytes> {
        while index >= capacity(self.height) {
            self.root = match self.root.take() {
                None => Some(Arc::new(Node::Leaf(Default::default()))),
                Some(root) => {
                    let mut children: [Option<Arc<Node>>; FAN_OUT] = Default::default();
                    children[0] = Some(root);
                    Some(Arc::new(Node::Branch(children)))
                }
            };
            self.height += 1;
        }
        let mut level = self.height;
        let mut node = self.root.as_mut().expect("a tree with capacity has a root");
        loop {
            level -= 1;
            match Arc::make_mut(node) {
                Node::Leaf(chunks) => return &mut chunks[digit(index, level)],
                Node::Branch(children) => {
                    node = children[digit(index, level)].get_or_insert_with(|| {
                        Arc::new(match level {
                            1 => Node::Leaf(Default::default()),
                            _ => Node::Branch(Default::default()),
                        })
                    });
                }
            }
        }
    }

    fn drop_chunks_from(&mut self, first: u64) {
        if first == 0 {
            (self.root, self.height) = (None, 0);
        } else if let Some(root) = &mut self.root
            && first < capacity(self.height)
        {
            cut(root, self.height - 1, first);
        }
    }
}

/// Drops every chunk of `node` from its chunk number `first` on.
fn cut(node: &mut Arc<Node>, level: u32, first: u64) {
    let split = digit(first, level);
    match Arc::make_mut(node) {
        Node::Leaf(chunks) => chunks[split..].fill(None),
        Node::Branch(children) => {
            let below = first % capacity(level);
            let mut drop_from = split;
            if below > 0 {
                drop_from += 1;
                if let Some(child) = &mut children[split] {
                    cut(child, level - 1, below);
                }
            }
            children[drop_from..].fill(None);
        }
    }
}

/// Chunks that a tree of this height holds.
fn capacity(height: u32) -> u64 {
    match height {
        0 => 0,
        _ => 1u64.checked_shl(FAN_OUT_BITS * height).unwrap_or(u64::MAX),
    }
}

/// Which child of a node at `level` (leaves are level 0) leads to chunk `index`.
fn digit(index: u64, level: u32) -> usize {
    (index >> (FAN_OUT_BITS * level)) as usize % FAN_OUT
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn step() -> impl Strategy<Value = (u64, usize, u8, bool)> {
        (0..70_000u64, 0..9_000usize, any::<u8>(), prop::bool::weighted(0.2))
    }

    proptest! {
        /// Goal: the tree is a plain byte vector to its readers, on both grids, and clones are apart.
        /// Method: the same writes and truncations on both; a clone taken halfway must not move.
        #[test]
        fn content_reads_like_a_byte_vector(steps in prop::collection::vec(step(), 1..30)) {
            for grid in [Grid::Pages, Grid::Frames] {
                let (mut content, mut plain) = (Content::new(grid), Vec::<u8>::new());
                let mut halfway = None;
                for (i, &(offset, len, byte, truncate)) in steps.iter().enumerate() {
                    if truncate {
                        content.truncate(offset);
                        plain.resize(offset as usize, 0);
                    } else if len > 0 {
                        let data: Vec<u8> = (0..len).map(|n| byte.wrapping_add(n as u8)).collect();
                        let end = offset as usize + len;
                        plain.resize(plain.len().max(end), 0);
                        plain[offset as usize..end].copy_from_slice(&data);
                        content.write(offset, &data.into());
                    }
                    if i == steps.len() / 2 {
                        halfway = Some((content.clone(), plain.clone()));
                    }
                }
                prop_assert_eq!(content.to_vec(), plain);
                let (early, expected) = halfway.expect("every script has a middle");
                prop_assert_eq!(early.to_vec(), expected);
            }
        }

        /// Goal: who shares all bytes with an image has the same bytes. Method: an image before each
        /// write or truncation, held against what it left.
        #[test]
        fn what_shares_all_bytes_is_equal(steps in prop::collection::vec(step(), 1..30)) {
            for grid in [Grid::Pages, Grid::Frames] {
                let mut content = Content::new(grid);
                for &(offset, len, byte, truncate) in &steps {
                    let image = content.clone();
                    prop_assert!(image.shares_all_with(&content));
                    if truncate {
                        content.truncate(offset);
                    } else {
                        content.write(offset, &vec![byte; len.max(1)].into());
                        prop_assert!(!image.shares_all_with(&content));
                    }
                    if image.shares_all_with(&content) {
                        prop_assert_eq!(image.to_vec(), content.to_vec());
                    }
                }
            }
        }

        /// A write of exactly one chunk is kept as it is, so that the log of pending operations and
        /// the file share one copy of it.
        #[test]
        fn whole_chunks_are_shared_with_the_writer(frame in 0..200u64) {
            let mut content = Content::new(Grid::Frames);
            let page: Bytes = vec![7; PAGE].into();
            content.write(WAL_HEADER + frame * (FRAME_HEADER + PAGE as u64) + FRAME_HEADER, &page);
            prop_assert_eq!(Arc::strong_count(&page), 2);
        }
    }
}
