//! The disk's promises one by one, and the choices of crash states.

use super::{A, B, C, Pair, SECTOR, after, drawn, image, images};
use std::collections::BTreeSet;
use stormglass_sim::crash_state::{bounded, every};
use stormglass_sim::disk::{DiskError, Fate, FileId, Grid, Pending};
use stormglass_sim::{Disk, DiskOptions, Ending, Survivors};

fn disk(options: DiskOptions) -> Disk {
    Disk::new(DiskOptions { sector_size_bytes: SECTOR as u32, ..options })
}

/// A disk with one durable file of these bytes.
fn with_durable(options: DiskOptions, bytes: &[u8]) -> (Disk, FileId) {
    let mut disk = disk(options);
    let file = disk.create(A, Grid::Pages);
    disk.write(file, 0, bytes).expect("no quota");
    disk.sync(file);
    disk.sync_directory_of(A);
    (disk, file)
}

/// Goal: a process kill loses nothing and settles nothing. Method: drawn scripts; after a kill the page
/// cache is what it was, and a power loss then may leave all that it could have left before.
#[test]
fn a_process_kill_keeps_the_page_cache_and_leaves_it_pending() {
    for seed in 1_000..1_150 {
        let running = drawn(seed, Pair::based(SECTOR, Grid::Pages, 1), 1).disk;
        let mut killed = running.clone();
        killed.crash(&Ending::ProcessKill);
        assert_eq!(image(&killed), image(&running), "seed {seed}");
        assert_eq!(images(&killed).1, images(&running).1, "seed {seed}");
    }
}

/// Goal: what a power loss left is durable. Method: after one, nothing is pending and another takes
/// nothing.
#[test]
fn what_survives_a_power_loss_is_durable() {
    for seed in 1_000..1_100 {
        let mut disk = drawn(seed, Pair::based(SECTOR, Grid::Pages, 1), 1).disk;
        disk.crash(&Ending::PowerLoss(Survivors::Drawn(seed)));
        assert_eq!(disk.pending(), []);
        assert_eq!(after(&disk, Survivors::None), image(&disk), "seed {seed}");
    }
}

/// Goal: the promise of a sync. Method: bytes that were synced and not written again are there in every
/// state, whatever was written around them since.
#[test]
fn synced_bytes_survive_every_power_loss() {
    let (mut disk, file) = with_durable(DiskOptions::default(), b"durable!");
    disk.write(file, 6, b"XY").expect("no quota");
    disk.write(file, 8, b"123456").expect("no quota");
    let (count, images) = images(&disk);
    assert!(count == 8 && images.len() == 8, "{count} states, {} images", images.len());
    for image in images {
        assert_eq!(&image[A][..6], b"durabl");
    }
}

/// Goal: bytes and names are synced apart. Method: a file synced without its directory may vanish, and
/// where it does not it has its bytes; with the directory synced it is there.
#[test]
fn a_synced_file_whose_name_was_not_synced_may_vanish_whole() {
    let mut disk = disk(DiskOptions::default());
    let file = disk.create(A, Grid::Pages);
    disk.write(file, 0, b"bytes").expect("no quota");
    disk.sync(file);
    let named = [(A.to_string(), b"bytes".to_vec())].into();
    assert_eq!(images(&disk).1, BTreeSet::from([Default::default(), named]));
    disk.sync_directory_of(A);
    assert_eq!(after(&disk, Survivors::None)[A], b"bytes");
}

/// Goal: POSIX's unlink. Method: a deleted file is read and written through its handle; when that goes,
/// so do its bytes, and at once those of a file that was never named.
#[test]
fn an_unlinked_open_file_lives_until_its_handle_goes() {
    let (mut disk, file) = with_durable(DiskOptions::default(), b"abc");
    disk.set_quota(Some(8));
    disk.open(file);
    disk.delete(A).expect("it is there");
    disk.sync_directory_of(A);
    disk.write(file, 3, b"def").expect("within the quota");
    let mut bytes = [0; 6];
    assert_eq!((disk.read(file, 0, &mut bytes), &bytes), (6, b"abcdef"));
    assert_eq!(disk.find(A), None);

    let other = disk.create_unnamed(Grid::Pages);
    disk.open(other);
    assert_eq!(disk.write(other, 0, b"123"), Err(DiskError::NoSpace), "both count");
    disk.close(file);
    disk.write(other, 0, b"12345678").expect("the first file's bytes are free");
    disk.close(other);
    assert_eq!(disk.pending(), []);
    assert_eq!(images(&disk).1, BTreeSet::from([Default::default()]));
}

/// Goal: a file whose deletion is pending may come back with its bytes. Method: every crash state.
#[test]
fn a_deletion_that_was_not_synced_may_be_undone() {
    let (mut disk, _) = with_durable(DiskOptions::default(), b"abc");
    disk.delete(A).expect("it is there");
    let back = [(A.to_string(), b"abc".to_vec())].into();
    assert_eq!(images(&disk).1, BTreeSet::from([Default::default(), back]));
}

/// Goal: the quota counts what processes can reach, and refuses without a trace. Method: growth by
/// write and by truncation to the limit and past it; overwriting and shrinking at the limit.
#[test]
fn growth_past_the_quota_fails_and_changes_nothing() {
    let quota = DiskOptions { quota_bytes: Some(10), ..DiskOptions::default() };
    let (mut disk, file) = with_durable(quota, b"12345678");
    let before = disk.clone();
    assert_eq!(disk.write(file, 8, b"abc"), Err(DiskError::NoSpace));
    assert_eq!(disk.truncate(file, 11), Err(DiskError::NoSpace));
    assert_eq!((image(&disk), disk.pending()), (image(&before), before.pending()));
    disk.write(file, 8, b"ab").expect("exactly the quota");
    disk.write(file, 0, b"overwritten"[..10].into()).expect("no growth");
    let second = disk.create(C, Grid::Pages);
    assert_eq!(disk.write(second, 0, b"x"), Err(DiskError::NoSpace));
    disk.truncate(file, 9).expect("shrinking");
    disk.write(second, 0, b"x").expect("the byte that was freed");
    disk.set_quota(None);
    disk.write(second, 1, b"more").expect("no quota");
}

/// Goal: an image is a disk of its own. Method: the original and its clone each go on with another
/// drawn script, in turns; both are what they are when each is made alone.
#[test]
fn images_of_a_disk_never_move_one_another() {
    let states = |disk: &Disk| (image(disk), disk.pending(), images(disk).1);
    for seed in 2_000..2_030 {
        let mut original = drawn(seed, Pair::based(SECTOR, Grid::Pages, 1), 1);
        let at_clone = states(&original.disk);
        let clone = original.clone();
        original = drawn(seed + 100, original, 1);
        assert_eq!(states(&clone.disk), at_clone, "seed {seed}: the original moved its image");
        original.check();
        let at_turn = states(&original.disk);
        let clone = drawn(seed + 200, clone, 1);
        clone.check();
        let mut crashed = clone.disk.clone();
        crashed.crash(&Ending::PowerLoss(Survivors::Drawn(seed)));
        assert_eq!(states(&original.disk), at_turn, "seed {seed}: the image moved its original");
    }
}

/// Goal: without powersafe overwrite a torn write damages the rest of its sectors, and nothing else
/// does. Method: a write from the middle of one sector to the middle of the third; every state.
#[test]
fn without_powersafe_overwrite_only_the_sectors_of_a_torn_write_are_damaged() {
    let options = DiskOptions { powersafe_overwrite: false, ..DiskOptions::default() };
    let (mut disk, file) = with_durable(options, b"aaaabbbbccccdddd");
    disk.write(file, 6, b"NEWBYT").expect("no quota");
    let mut damaged_count = 0;
    for survivors in every(&disk.pending(), SECTOR as u32) {
        let bytes = after(&disk, survivors.clone()).remove(A).expect("the name is durable");
        assert_eq!((&bytes[..4], &bytes[12..]), (&b"aaaa"[..], &b"dddd"[..]), "{survivors:?}");
        assert!([b"bbbb", b"\xa5\xa5NE", b"bbNE"].contains(&bytes[4..8].try_into().expect("four")));
        assert!([b"cccc", b"WBYT"].contains(&bytes[8..12].try_into().expect("four")));
        damaged_count += usize::from(bytes.contains(&0xa5));
    }
    assert_eq!(damaged_count, 2, "the first sector torn, with the second and without");
    assert_eq!(
        &after(&disk, Survivors::All)[A],
        b"aaaabbNEWBYTdddd",
        "a whole write damages nothing"
    );
}

/// A fate as what it means: one answer a sector, or one for a change without sectors.
fn spelled_out(pending: &[Pending], survivors: &Survivors) -> Vec<Vec<bool>> {
    let fates = survivors.fates(pending, SECTOR as u32);
    let spell = |(op, fate): (&Pending, Fate)| {
        let sectors = op.change.sector_count(SECTOR as u32);
        match fate {
            Fate::Lost => vec![false; sectors.max(1)],
            Fate::Kept => vec![true; sectors.max(1)],
            Fate::Torn(kept) => (0..sectors.max(1))
                .map(|at| sectors > 0 && kept.get(at).copied().unwrap_or(false))
                .collect(),
        }
    };
    pending.iter().zip(fates).map(spell).collect()
}

/// The states that a bounded choice has to hold, from its description.
fn described(pending: &[Pending]) -> Vec<Vec<Vec<bool>>> {
    let sectors = |op: &Pending| op.change.sector_count(SECTOR as u32);
    let state = |kept: &dyn Fn(usize) -> bool| -> Vec<Vec<bool>> {
        pending.iter().enumerate().map(|(at, op)| vec![kept(at); sectors(op).max(1)]).collect()
    };
    let mut states = vec![state(&|_| false), state(&|_| true)];
    for at in 0..pending.len() {
        states.push(state(&|other| other < at));
        states.push(state(&|other| other != at));
        states.push(state(&|other| other == at));
    }
    if let Some(last) = pending.iter().rposition(|op| sectors(op) > 0) {
        for boundary in 1..sectors(&pending[last]) {
            for first in [true, false] {
                let mut torn = state(&|_| true);
                for (sector, kept) in torn[last].iter_mut().enumerate() {
                    *kept = (sector < boundary) == first;
                }
                states.push(torn);
            }
        }
    }
    states
}

/// Goal: the bounded choice is legal and holds what it says. Method: drawn scripts with 0 to 6 pending
/// changes; each state in it is one of all, and each described one is in it.
#[test]
fn the_bounded_choice_holds_what_it_describes_and_nothing_illegal() {
    let mut counts = BTreeSet::new();
    for seed in 3_000..3_200 {
        let base = Pair::based(SECTOR, Grid::Pages, 1);
        let mut disk = drawn(seed, base, 1).disk;
        if seed % 3 == 0 {
            disk.find(A).into_iter().for_each(|file| disk.sync(file));
            disk.sync_directory_of(B);
        }
        let pending = disk.pending();
        counts.insert(pending.len());
        let all: BTreeSet<_> =
            every(&pending, SECTOR as u32).iter().map(|one| spelled_out(&pending, one)).collect();
        let chosen = |samples| -> BTreeSet<_> {
            let chosen = bounded(&pending, SECTOR as u32, samples);
            chosen.iter().map(|one| spelled_out(&pending, one)).collect()
        };
        assert!(chosen(10).is_subset(&all), "seed {seed}");
        let chosen = chosen(0);
        for state in described(&pending) {
            assert!(chosen.contains(&state), "seed {seed}: {state:?} of {pending:?}");
        }
    }
    assert_eq!(counts, (0..=6).collect());
}

/// Goal: each way to name a choice means one answer a change, and lost and kept mean no and every sector.
/// Method: drawn scripts; every choice spelled out by its own description, and the image of each bounded
/// choice against that of its spelling.
#[test]
fn the_named_choices_mean_what_they_spell() {
    for seed in 4_000..4_100 {
        let disk = drawn(seed, Pair::based(SECTOR, Grid::Pages, 1), 1).disk;
        let pending = disk.pending();
        let states = described(&pending);
        for at in 0..pending.len() {
            let but = (0..pending.len()).filter(|other| *other != at).collect();
            let named =
                [Survivors::Prefix(at), Survivors::Subset(but), Survivors::Subset(vec![at])];
            let spelled = named.map(|choice| spelled_out(&pending, &choice));
            assert_eq!(spelled[..], states[2 + 3 * at..][..3], "seed {seed}, change {at}");
        }
        for choice in bounded(&pending, SECTOR as u32, 10) {
            let spelled = spelled_out(&pending, &choice).into_iter().zip(&pending);
            let fate =
                |(kept, op): (Vec<bool>, &Pending)| match op.change.sector_count(SECTOR as u32) {
                    0 if kept[0] => Fate::Kept,
                    0 => Fate::Lost,
                    _ => Fate::Torn(kept),
                };
            let spelled = Survivors::Fates(spelled.map(fate).collect());
            assert_eq!(after(&disk, choice.clone()), after(&disk, spelled), "{seed} {choice:?}");
        }
    }
}

/// Goal: samples reach states that no other choice names. Method: one write of three sectors, of which
/// only the middle one survives.
#[test]
fn a_drawn_choice_tears_a_single_write_anywhere() {
    let (mut disk, file) = with_durable(DiskOptions::default(), b"............");
    disk.write(file, 0, b"111122223333").expect("no quota");
    let chosen = bounded(&disk.pending(), SECTOR as u32, 200);
    let images: BTreeSet<_> = chosen.into_iter().map(|one| after(&disk, one)).collect();
    assert_eq!(images, super::images(&disk).1);
}

/// Goal: a crash is part of a plan, and plans are files. Method: each kind of choice through JSON and
/// back; unknown words are refused.
#[test]
fn survivors_are_plain_data() {
    let fates = vec![Fate::Lost, Fate::Kept, Fate::Torn(vec![true, false])];
    for survivors in [
        Survivors::None,
        Survivors::All,
        Survivors::Prefix(3),
        Survivors::Subset(vec![0, 2]),
        Survivors::TornLast(vec![false, true]),
        Survivors::Fates(fates),
        Survivors::Drawn(u64::MAX),
    ] {
        let ending = Ending::PowerLoss(survivors);
        let text = serde_json::to_string(&ending).expect("plain data");
        assert_eq!(serde_json::from_str::<Ending>(&text).expect(&text), ending);
    }
    let text = serde_json::to_string(&Survivors::Prefix(3)).expect("plain data");
    assert_eq!(text, r#"{"prefix":3}"#);
    assert!(serde_json::from_str::<Survivors>(r#""most""#).is_err());
}
