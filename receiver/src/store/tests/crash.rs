//! The store on a disk that loses power, dies with its process, fills up or breaks, at every step: afterwards the whole
//! image is there or none, and proven blocks are not requested again. The same holds where a file gets its name by
//! renaming, as there are no hard links.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::{BlockHash, VerifiedBlock};
use glancecast_proto::wire::{Announce, FailureKind};

use super::disk_model::{Dice, Fault, Lacking, Model};
use crate::announcement::announcement;
use crate::store::dir::Room;
use crate::store::folder::{Folder, Found};
use crate::store::journal::Journal;
use crate::store::partial::PartialFile;
use crate::store::spec::KeepUnfinished;
use crate::store::{MinFree, StoreError, StoreOptions};

#[test]
fn a_power_cut_at_any_step_leaves_the_whole_image_or_none_and_costs_nothing_that_was_durable() {
    let (mut whole, mut resumed) = (0, 0);
    for seed in 0..POWER_CUTS {
        let mut dice = Dice::new(seed);
        let (disk, durable) = run_until_the_end(seed, &mut dice);
        let disk = disk.after_power_cut();
        let after = restart(seed, &disk, &mut dice);
        if after.was_whole {
            whole += 1;
            continue;
        }
        resumed += u32::from(after.held > 0);
        assert!(after.held >= durable, "seed {seed}: {durable} durable blocks, {} held", after.held);
        assert_eq!(after.recorded_and_wrong, 0, "seed {seed}: the journal leads the data");
    }
    println!("{POWER_CUTS} power cuts, seeds from 0: {whole} published, {resumed} resumed");
    assert!(whole > 0 && resumed > POWER_CUTS as u32 / 5);
}

#[test]
fn a_kill_at_any_step_costs_nothing_that_was_written() {
    for seed in 0..KILLS {
        let mut dice = Dice::new(seed);
        let (disk, _) = run_until_the_end(seed, &mut dice);
        let disk = disk.after_kill();
        let written = written(&disk, &object(seed));
        let after = restart(seed, &disk, &mut dice);
        assert!(after.was_whole || after.held >= written, "seed {seed}: {written} written, {after:?}");
    }
}

#[test]
fn a_second_power_cut_while_a_session_goes_on_from_the_first_costs_nothing_either() {
    for seed in 0..KILLS {
        let mut dice = Dice::new(seed ^ 0xABCD);
        let (first, _) = run_until_the_end(seed, &mut dice);
        let second = first.after_power_cut();
        second.cut_power_at(dice.below(30));
        let _ = push(&second, &object(seed), &mut dice);
        let after = restart(seed, &second.after_power_cut(), &mut dice);
        assert_eq!(after.recorded_and_wrong, 0, "seed {seed}");
    }
}

#[test]
fn a_disk_that_fails_at_any_step_publishes_nothing_wrong_leaves_nothing_and_takes_the_next_push() {
    let errors = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::Other];
    let mut refused = 0;
    for seed in 0..FAULTS {
        let mut dice = Dice::new(seed);
        let disk = model(seed);
        let error = errors[dice.below(3) as usize];
        let folder = folder(&disk).expect("a good disk");
        let fault = Fault { from: disk.operations() + dice.below(20), once: dice.below(2) == 0, error };
        disk.break_with(Some(fault));
        let result = push_to(&folder, &object(seed), &mut dice);
        disk.break_with(None);
        match result {
            // Even if the power is cut right afterwards: it was reported as published.
            Ok(_) => assert_eq!(disk.after_power_cut().content(IMAGE), Some(object(seed)), "seed {seed}"),
            Err(error) => {
                refused += 1;
                assert!(matches!(error, StoreError::Io { .. } | StoreError::Full { .. }), "{error}");
                let linked = disk.all_names() == ["image"]; // the directory could not be synced
                assert!(
                    linked || disk.all_names().is_empty(),
                    "seed {seed}, {fault:?}: {:?}",
                    disk.all_names()
                );
                if !linked {
                    push_to(&folder, &object(seed), &mut dice).expect("the disk is good again");
                }
                assert_eq!(disk.content(IMAGE), Some(object(seed)), "seed {seed}");
            }
        }
    }
    println!("{FAULTS} faults, seeds from 0: {refused} pushes failed");
    assert!(refused > FAULTS as u32 / 2);
}

#[test]
fn what_is_kept_of_an_older_image_of_the_same_name_is_not_taken_for_the_new_one() {
    for seed in 0..KILLS {
        let mut dice = Dice::new(seed);
        let (disk, _) = run_until_the_end(seed, &mut dice);
        let disk = disk.after_kill();
        if disk.content(IMAGE).is_some() {
            continue;
        }
        // Half of its blocks differ, and one of them is zeros.
        let mut object = object(seed);
        object[..BLOCK].fill(0);
        object[2 * BLOCK..3 * BLOCK].fill(seed as u8 ^ 0x55);
        push(&disk, &object, &mut dice).expect("a good disk");
        assert_eq!(disk.content(IMAGE), Some(object), "seed {seed}");
    }
}

#[test]
fn where_nothing_is_kept_there_is_no_journal_and_a_kill_leaves_nothing_for_the_next_start() {
    let (mut published, mut broken_off) = (0, 0);
    for seed in 0..KILLS {
        let mut dice = Dice::new(seed);
        let disk = Model::new(seed);
        let none = options(Duration::ZERO);
        let keep_none = |disk: &Model| Folder::on(Arc::new(disk.clone()), Path::new(DIRECTORY), none, None);
        let folder = keep_none(&disk).expect("a good disk so far");
        disk.cut_power_at(disk.operations() + dice.below(16));
        if push_to(&folder, &object(seed), &mut dice).is_ok() {
            published += 1;
        }
        let disk = disk.after_kill();
        assert!(!disk.all_names().iter().any(|name| name.ends_with(".journal")), "{:?}", disk.all_names());
        keep_none(&disk).expect("the disk is good again");
        let left = disk.all_names();
        assert!(left.is_empty() || left == ["image"], "seed {seed}: {left:?}");
        broken_off += u32::from(left.is_empty());
    }
    println!("{KILLS} kills, seeds from 0: {published} published, {broken_off} broken off");
    assert!(published > 0 && broken_off > 0);
}

#[test]
fn where_others_take_the_reserve_while_an_image_arrives_it_fails_with_the_reason_and_holds_no_room() {
    let disk = Model::new(0);
    let room = |free| Room { free, total: 1_000 << 20 };
    disk.set_room(room(1_000 << 20));
    let geometry = Geometry::new(48 << 20, 22, 1432).expect("in range");
    let min_free = MinFree { percent: 10, bytes: u64::MAX };
    let options = StoreOptions { min_free, ..options(Duration::from_secs(1)) };
    let folder =
        Folder::on(Arc::new(disk.clone()), Path::new(DIRECTORY), options, None).expect("a good disk");
    let announce = announcement("image", geometry);
    let bytes = vec![7; 4 << 20];
    // 16 MiB, after which the room is checked.
    let write = |partial: &PartialFile, first: u32| {
        (first..first + 4).map(BlockIndex).try_for_each(|block| {
            let hash = BlockHash::of(geometry, block, &bytes);
            partial.write(&VerifiedBlock::verify(geometry, block, &bytes, hash).expect("right"))
        })
    };

    let needed = (48 << 20) + (48 << 20) / 128 + Journal::bytes(12);
    disk.set_room(room((100 << 20) + needed - 1));
    let error = folder.begin("image", &announce).expect_err("one byte of the reserve is missing");
    assert!(
        matches!(error, StoreError::NoSpace { reserve: 104_857_600, needed: found, .. } if found == needed),
        "{error}"
    );
    disk.set_room(room((100 << 20) + needed));
    let partial = folder.begin("image", &announce).expect("what is needed, and the reserve");
    disk.set_room(room(100 << 20));
    write(&partial, 0).expect("the reserve is there");
    assert_eq!(partial.flush(), 4);
    disk.set_room(room((100 << 20) - 1));
    let error = write(&partial, 4).expect_err("others have taken a part of the reserve");
    assert!(error.to_string().contains("min_free") && error.kind() == FailureKind::NoSpace, "{error}");
    drop(partial);
    assert!(disk.all_names().is_empty(), "{:?}", disk.all_names());

    // Unfinished files that wait to be resumed do not occupy the reserve either.
    disk.set_room(room(200 << 20));
    let partial = folder.begin("image", &announce).expect("room");
    write(&partial, 0).expect("room");
    drop(partial);
    folder.clean().expect("a good disk");
    assert_eq!(disk.all_names().len(), 2, "kept while there is room");
    disk.set_room(room((100 << 20) - 1));
    folder.clean().expect("a good disk");
    assert!(disk.all_names().is_empty(), "{:?}", disk.all_names());
}

#[test]
fn data_of_which_nobody_knows_how_much_it_is_comes_while_there_is_room_and_leaves_nothing_when_there_is_none()
{
    let disk = Model::new(0);
    let geometry = Geometry::new(48 << 20, 22, 1432).expect("in range");
    let min_free = MinFree { percent: 10, bytes: u64::MAX };
    let options = StoreOptions { min_free, ..options(Duration::from_secs(1)) };
    let folder =
        Folder::on(Arc::new(disk.clone()), Path::new(DIRECTORY), options, None).expect("a good disk");
    let known = announcement("image", geometry);
    let unknown = Announce { data_bytes: None, ..known.clone() };
    let bytes = vec![7; 4 << 20];
    let write = |partial: &PartialFile, block: u32, free: u64| {
        disk.set_room(Room { free, total: 1_000 << 20 });
        let block = BlockIndex(block);
        let hash = BlockHash::of(geometry, block, &bytes);
        partial.write(&VerifiedBlock::verify(geometry, block, &bytes, hash).expect("right"))
    };

    disk.set_room(Room { free: 110 << 20, total: 1_000 << 20 });
    assert!(
        matches!(folder.begin("image", &known), Err(StoreError::NoSpace { .. })),
        "it is said beforehand"
    );
    let partial = folder.begin("image", &unknown).expect("there is room for something");
    write(&partial, 0, 106 << 20).expect("room");
    write(&partial, 1, 102 << 20).expect("room");
    assert_eq!(partial.flush(), 2);
    let error = write(&partial, 2, 98 << 20).expect_err("into the reserve");
    assert!(matches!(error, StoreError::Reserve { .. }) && error.kind() == FailureKind::NoSpace, "{error}");
    drop(partial);
    assert!(disk.all_names().is_empty(), "{:?}", disk.all_names());

    // A disk that is full before anybody has looked.
    for full in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
        disk.set_room(Room { free: 110 << 20, total: 1_000 << 20 });
        let partial = folder.begin("image", &unknown).expect("there is room for something");
        write(&partial, 0, 110 << 20).expect("room");
        assert_eq!(partial.flush(), 1);
        disk.break_with(Some(Fault { from: disk.operations(), once: true, error: full }));
        let error = write(&partial, 1, 110 << 20).expect_err("no room");
        assert!(matches!(error, StoreError::Full { .. }) && error.kind() == FailureKind::NoSpace, "{error}");
        drop(partial);
        assert!(disk.all_names().is_empty(), "{:?}", disk.all_names());
    }

    disk.set_room(Room { free: 100 << 20, total: 1_000 << 20 });
    assert!(folder.begin("image", &unknown).is_err(), "nothing at all can be written");
}

/// What a restart finds.
#[derive(Debug)]
struct After {
    was_whole: bool,
    /// Number of blocks that are right.
    held: usize,
    recorded_and_wrong: usize,
}

/// Pushes to a disk that stops at a random step; returns the disk and the number of blocks reported as durable.
fn run_until_the_end(seed: u64, dice: &mut Dice) -> (Model, usize) {
    let disk = model(seed);
    disk.cut_power_at(dice.below(OPERATIONS));
    let durable = match push(&disk, &object(seed), dice) {
        Ok(durable) | Err((durable, _)) => durable,
    };
    (disk, durable)
}

/// Returns a disk; every fourth one has no hard links.
fn model(seed: u64) -> Model {
    if seed.is_multiple_of(4) { Model::seeded(seed, Lacking::Links) } else { Model::new(seed) }
}

/// Restarts on a disk, checks what is there, and pushes the same object to its end.
fn restart(seed: u64, disk: &Model, dice: &mut Dice) -> After {
    let object = object(seed);
    let published = disk.content(IMAGE);
    if let Some(published) = &published {
        assert!(*published == object, "seed {seed}: a torn image is visible");
    }
    let folder = folder(disk).expect("the power is back");
    let was_whole = published.is_some();
    let mut after = After { was_whole, held: 0, recorded_and_wrong: 0 };
    if !was_whole {
        let partial = folder.begin("image", &announce()).expect("room");
        let mut bytes = vec![0; BLOCK];
        for &block in partial.kept() {
            let bytes = &mut bytes[..geometry().block_len(block) as usize];
            let held = partial.holds(geometry(), block, hash(&object, block), bytes);
            after.held += usize::from(held);
            after.recorded_and_wrong += usize::from(!held && partial.is_recorded(block));
        }
        drop(partial);
        push_to(&folder, &object, dice).expect("the power is back");
    }
    assert_eq!(disk.content(IMAGE).as_ref(), Some(&object), "seed {seed}");
    assert_eq!(disk.all_names(), ["image"], "seed {seed}: something unfinished is left");
    after
}

/// Returns the number of right blocks in the unfinished file.
fn written(disk: &Model, object: &[u8]) -> usize {
    let Some(name) = disk.all_names().into_iter().find(|name| name.ends_with(".part")) else { return 0 };
    // Without a journal the object of a file is unknown.
    if !disk.all_names().iter().any(|name| name.ends_with(".journal")) {
        return 0;
    }
    if disk.content(&name.replace(".part", ".journal")).is_none_or(|journal| journal.is_empty()) {
        return 0;
    }
    let bytes = disk.content(&name).expect("just seen");
    geometry().indices().filter(|&block| part(object, block) == part(&bytes, block)).count()
}

fn push(disk: &Model, object: &[u8], dice: &mut Dice) -> Result<usize, (usize, StoreError)> {
    let folder = folder(disk).map_err(|error| (0, error))?;
    let mut durable = 0;
    push_counting(&folder, object, dice, &mut durable).map_err(|error| (durable, error))?;
    Ok(durable)
}

fn push_to(folder: &Folder, object: &[u8], dice: &mut Dice) -> Result<(), StoreError> {
    push_counting(folder, object, dice, &mut 0)
}

/// Does what a receiver does with an object: keeps right blocks, writes the rest in any order, publishes. If something
/// fails, it leaves nothing.
fn push_counting(
    folder: &Folder,
    object: &[u8],
    dice: &mut Dice,
    durable: &mut usize,
) -> Result<(), StoreError> {
    if folder.find("image", object.len() as u64)? == Found::OfThisLength {
        return Ok(());
    }
    let partial = folder.begin("image", &announce())?;
    let filled = fill(&partial, object, dice, durable).and_then(|()| partial.finish(0o644));
    if filled.is_err() {
        partial.discard();
        return filled;
    }
    assert!(folder.link(partial, "image")?.is_some(), "the name was free");
    Ok(())
}

fn fill(
    partial: &PartialFile,
    object: &[u8],
    dice: &mut Dice,
    durable: &mut usize,
) -> Result<(), StoreError> {
    let mut bytes = vec![0; BLOCK];
    let mut left: Vec<BlockIndex> = geometry().indices().collect();
    left.retain(|&block| {
        let bytes = &mut bytes[..geometry().block_len(block) as usize];
        !(partial.kept().contains(&block) && partial.holds(geometry(), block, hash(object, block), bytes))
    });
    while !left.is_empty() {
        let block = left.swap_remove(dice.below(left.len() as u64) as usize);
        let bytes = part(object, block);
        let verified = VerifiedBlock::verify(geometry(), block, bytes, hash(object, block)).expect("right");
        if bytes.iter().all(|&byte| byte == 0) {
            partial.leave_hole(verified)?;
        } else {
            partial.write(&verified)?;
        }
        if dice.below(2) == 0 {
            *durable = (*durable).max(partial.flush());
        }
    }
    Ok(())
}

fn folder(disk: &Model) -> Result<Folder, StoreError> {
    Folder::on(Arc::new(disk.clone()), Path::new(DIRECTORY), options(Duration::from_secs(1)), None)
}

fn options(keep: Duration) -> StoreOptions {
    StoreOptions { keep_unfinished: KeepUnfinished { time: keep }, min_free: MinFree::DEFAULT }
}

/// Four blocks, the last one short. Each byte depends on the seed and on its block.
fn object(seed: u64) -> Vec<u8> {
    let block = |at: usize| (seed as u8).wrapping_mul(7).wrapping_add(1 + at as u8).max(1);
    (0..BYTES).step_by(512).flat_map(|at| [block(at / BLOCK); 512]).take(BYTES).collect()
}

fn part(object: &[u8], block: BlockIndex) -> &[u8] {
    &object[geometry().offset(block) as usize..][..geometry().block_len(block) as usize]
}

fn hash(object: &[u8], block: BlockIndex) -> BlockHash {
    BlockHash::of(geometry(), block, part(object, block))
}

fn geometry() -> Geometry {
    Geometry::new(BYTES as u64, 19, 1432).expect("in range")
}

fn announce() -> Announce {
    announcement("image", geometry())
}

const DIRECTORY: &str = "/images";
const IMAGE: &str = "image";
const BLOCK: usize = 1 << 19;
const BYTES: usize = 3 * BLOCK + 5_000;
/// Operations of a push, with those of opening the store.
const OPERATIONS: u64 = 38;
const POWER_CUTS: u64 = 1_500;
const KILLS: u64 = 300;
const FAULTS: u64 = 400;
