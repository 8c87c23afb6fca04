//! The simulated disk against the definition of a disk that forgets: for scripts of up to six
//! operations, the set of images that a power loss may leave equals the set that an enumerator written
//! from the definition alone finds.

mod enumerator;
mod promises;

use enumerator::{History, Image, Op, written};
use std::collections::BTreeSet;
use stormglass_sim::disk::Grid;
use stormglass_sim::{Disk, DiskOptions, Ending, Seed, Survivors, crash_state};

const A: &str = "/d/a";
const B: &str = "/d/b";
const C: &str = "/e/c";

const SECTOR: usize = 4;

/// Two files in two directories and a third name; writes inside a sector, across one boundary and
/// across two, over a hole or not; truncations to shorter and to longer.
const FULL: [Op; 24] = [
    Op::Create(A),
    Op::Create(C),
    Op::Write { path: A, at: 0, len: 3 },
    Op::Write { path: A, at: 2, len: 4 },
    Op::Write { path: A, at: 3, len: 6 },
    Op::Write { path: B, at: 4, len: 4 },
    Op::Write { path: C, at: 1, len: 5 },
    Op::Truncate { path: A, len: 1 },
    Op::Truncate { path: A, len: 9 },
    Op::Truncate { path: C, len: 3 },
    Op::Sync(A),
    Op::Sync(B),
    Op::Sync(C),
    Op::Delete(A),
    Op::Delete(B),
    Op::Delete(C),
    Op::Rename(A, B),
    Op::Rename(B, A),
    Op::Rename(A, C),
    Op::Rename(C, A),
    Op::Rename(B, C),
    Op::Rename(C, B),
    Op::SyncDirectory("/d"),
    Op::SyncDirectory("/e"),
];

/// One file's bytes.
const BYTES: [Op; 6] = [
    Op::Write { path: A, at: 2, len: 4 },
    Op::Write { path: A, at: 5, len: 2 },
    Op::Truncate { path: A, len: 3 },
    Op::Truncate { path: A, len: 7 },
    Op::Sync(A),
    Op::Delete(A),
];

/// Names in two directories.
const NAMES: [Op; 7] = [
    Op::Create(A),
    Op::Delete(C),
    Op::Rename(A, B),
    Op::Rename(B, C),
    Op::Rename(C, A),
    Op::SyncDirectory("/d"),
    Op::SyncDirectory("/e"),
];

/// Two durable files, to begin with.
const BASE: [Op; 8] = [
    Op::Create(A),
    Op::Create(C),
    Op::Write { path: A, at: 0, len: 6 },
    Op::Write { path: C, at: 0, len: 3 },
    Op::Sync(A),
    Op::Sync(C),
    Op::SyncDirectory("/d"),
    Op::SyncDirectory("/e"),
];

/// The simulated disk and the definition, after the same script.
#[derive(Clone)]
struct Pair {
    disk: Disk,
    history: History,
    script: Vec<Op>,
    grid: Grid,
}

impl Pair {
    fn new(sector: usize, grid: Grid) -> Pair {
        let sector_size_bytes = sector as u32;
        let disk = Disk::new(DiskOptions { sector_size_bytes, ..DiskOptions::default() });
        Pair { disk, history: History::new(sector), script: Vec::new(), grid }
    }

    fn based(sector: usize, grid: Grid, scale: usize) -> Pair {
        let mut pair = Pair::new(sector, grid);
        for op in BASE {
            assert!(pair.step(scaled(op, scale)), "{op:?}");
        }
        pair
    }

    /// Does `op` on both; false when a process could not.
    fn step(&mut self, op: Op) -> bool {
        let step = self.script.len();
        if !self.history.apply(op, step) {
            return false;
        }
        self.script.push(op);
        let disk = &mut self.disk;
        let file = |disk: &Disk, path| disk.find(path).expect("the disk has the file, too");
        match op {
            Op::Create(path) => {
                disk.create(path, self.grid);
            }
            Op::Write { path, at, len } => {
                disk.write(file(disk, path), at as u64, &written(step, len)).expect("no quota");
            }
            Op::Truncate { path, len } => {
                disk.truncate(file(disk, path), len as u64).expect("no quota");
            }
            Op::Sync(path) => disk.sync(file(disk, path)),
            Op::Delete(path) => disk.delete(path).expect("the disk has the file, too"),
            Op::Rename(from, to) => disk.rename(from, to).expect("the disk has the file, too"),
            Op::SyncDirectory(dir) => disk.sync_directory_of(&format!("{dir}/any")),
        }
        true
    }

    /// Holds the disk against the definition: the page cache and every image after a power loss.
    /// Returns how many crash states and how many different images there were.
    fn check(&self) -> (usize, usize) {
        assert_eq!(image(&self.disk), self.history.page_cache(), "page cache of {:?}", self.script);
        let (count, images) = images(&self.disk);
        let expected = self.history.images();
        assert!(images == expected, "{}", difference(&self.script, &images, &expected));
        (count, images.len())
    }
}

fn scaled(op: Op, by: usize) -> Op {
    match op {
        Op::Write { path, at, len } => Op::Write { path, at: at * by, len: len * by },
        Op::Truncate { path, len } => Op::Truncate { path, len: len * by },
        other => other,
    }
}

fn difference(script: &[Op], images: &BTreeSet<Image>, expected: &BTreeSet<Image>) -> String {
    let missing: Vec<_> = expected.difference(images).take(3).collect();
    let illegal: Vec<_> = images.difference(expected).take(3).collect();
    format!("{script:?}\nnever left by the disk: {missing:?}\nagainst the definition: {illegal:?}")
}

/// All files as a running process sees them.
fn image(disk: &Disk) -> Image {
    let content = |path: &str| disk.contents(path).expect("a listed path has contents");
    disk.paths().map(|path| (path.to_string(), content(path))).collect()
}

/// The image after this power loss.
fn after(disk: &Disk, survivors: Survivors) -> Image {
    let mut disk = disk.clone();
    disk.crash(&Ending::PowerLoss(survivors));
    image(&disk)
}

/// How many crash states the disk has, and the images that they leave.
fn images(disk: &Disk) -> (usize, BTreeSet<Image>) {
    let every = crash_state::every(&disk.pending(), disk.options().sector_size_bytes);
    (every.len(), every.into_iter().map(|survivors| after(disk, survivors)).collect())
}

/// Scripts checked, crash states tried, images found.
#[derive(Default, Debug)]
struct Tally {
    scripts: usize,
    states: usize,
    images: usize,
}

impl Tally {
    fn add(&mut self, pair: &Pair) {
        let (states, images) = pair.check();
        self.scripts += 1;
        self.states += states;
        self.images += images;
    }

    /// Checks `pair` and every script that goes on from it with up to `steps_left` operations. Each
    /// goes on from a clone, so a clone that moved its original would show, too.
    fn exhaust(&mut self, pair: &Pair, alphabet: &[Op], steps_left: usize) {
        self.add(pair);
        if steps_left == 0 {
            return;
        }
        for op in alphabet {
            let mut next = pair.clone();
            if next.step(*op) {
                self.exhaust(&next, alphabet, steps_left - 1);
            }
        }
    }

    /// Holds the test to its size: an alphabet that lost its operations would check nothing.
    fn at_least(&self, scripts: usize, images: usize) {
        println!("{self:?}");
        assert!(self.scripts >= scripts, "fewer than {scripts} scripts: {self:?}");
        assert!(self.images >= images, "fewer than {images} images: {self:?}");
    }
}

/// Goal: nothing in a short script escapes the definition. Method: all scripts of up to four
/// operations on an empty disk and of up to three on two durable files, over the whole alphabet.
#[test]
fn every_short_script_leaves_exactly_the_defined_images() {
    let mut tally = Tally::default();
    tally.exhaust(&Pair::new(SECTOR, Grid::Pages), &FULL, 4);
    tally.exhaust(&Pair::based(SECTOR, Grid::Frames, 1), &FULL, 3);
    tally.at_least(7_410, 56_495);
}

/// Goal: the same for one file's bytes, deeper. Method: all scripts of six operations that write,
/// truncate, sync and delete one durable file.
#[test]
fn every_script_of_six_on_one_file_leaves_exactly_the_defined_images() {
    let mut tally = Tally::default();
    tally.exhaust(&Pair::based(SECTOR, Grid::Pages, 1), &BYTES, 6);
    tally.at_least(23_437, 261_091);
}

/// Goal: the same for names, deeper. Method: all scripts of six creations, deletions, renamings within
/// and across directories and syncs of either, on two durable files.
#[test]
fn every_script_of_six_on_names_leaves_exactly_the_defined_images() {
    let mut tally = Tally::default();
    tally.exhaust(&Pair::based(SECTOR, Grid::Pages, 1), &NAMES, 6);
    tally.at_least(10_058, 35_040);
}

/// Six operations drawn from the whole alphabet that a process can do one after the other.
fn drawn(seed: u64, mut pair: Pair, scale: usize) -> Pair {
    let mut stream = Seed(seed).stream("script");
    let end = pair.script.len() + 6;
    while pair.script.len() < end {
        pair.step(scaled(*stream.pick(&FULL), scale));
    }
    pair
}

/// Goal: scripts of six over the whole alphabet, too many to enumerate, and files of several chunks.
/// Method: seeded samples on an empty disk and on two durable files; with a factor on every offset
/// that puts the sectors across the pages and frames in which the simulator keeps a file.
#[test]
fn drawn_scripts_of_six_leave_exactly_the_defined_images() {
    let mut tally = Tally::default();
    for seed in 0..600 {
        tally.add(&drawn(seed, Pair::new(SECTOR, Grid::Pages), 1));
        tally.add(&drawn(seed, Pair::based(SECTOR, Grid::Frames, 1), 1));
    }
    for (seed, grid) in (600..640).zip([Grid::Pages, Grid::Frames].into_iter().cycle()) {
        tally.add(&drawn(seed, Pair::based(SECTOR * 509, grid, 509), 509));
    }
    tally.at_least(1_240, 18_797);
}
