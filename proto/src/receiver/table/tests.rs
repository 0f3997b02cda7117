use super::*;
use glancecast_fec::Esi;

use crate::ids::{Sequence, SessionTag};
use crate::integrity::Fingerprint;
use crate::limits::{CORRUPT_TRIES_MAX, REPORT_GAPS_MAX};
use crate::rng::Rng;
use crate::wire::{Encoding, Listed, ManifestEntry, Proofs, SymbolHash};

/// The number of symbols of a block: 1 MiB in 1432 bytes each.
const K: u32 = 733;

#[test]
fn a_host_asks_for_no_more_new_blocks_than_it_has_buffers() {
    let mut table = table(6, 2);
    table.learn(&stored(0, 6));
    assert_eq!(table.deficits(6), [deficit(0, 2, K + 1)]);
    collect(&mut table, 3, 0..1);
    assert_eq!(table.deficits(6), [deficit(0, 1, K + 1), deficit(3, 1, K)]);
    collect(&mut table, 5, 0..2);
    assert_eq!(table.deficits(6), [deficit(3, 1, K), deficit(5, 1, K - 1)]);
}

#[test]
fn nothing_is_asked_for_that_was_not_sent_yet() {
    let mut table = table(6, 6);
    table.learn(&stored(0, 6));
    assert_eq!(table.deficits(2), [deficit(0, 2, K + 1)]);
    assert_eq!(table.deficits(0), []);
}

#[test]
fn a_report_holds_as_many_deficits_as_its_datagram() {
    let geometry = Geometry::new(300 << 20, 20, 512).expect("in range");
    let mut table = Table::new(geometry, 300);
    table.learn(&stored(0, 300));
    // Every other block lacks one symbol more, so that no two share a run.
    (0..300).for_each(|block| collect(&mut table, block, 0..1 + block % 2));
    let runs = table.deficits(300);
    assert_eq!(runs.len(), report_runs_in(geometry.control_bytes()));
    assert_eq!(runs[1].first, BlockIndex(1), "from the front");
}

#[test]
fn a_block_without_its_entry_is_a_gap_and_no_deficit() {
    let mut table = table(6, 6);
    table.learn(&stored(1, 2));
    assert_eq!(table.gaps(6), [gap(0, 1), gap(3, 3)]);
    assert_eq!(table.gaps(4), [gap(0, 1), gap(3, 1)]);
    assert_eq!(table.deficits(6), [deficit(1, 2, K + 1)]);
    table.learn(&stored(0, 6));
    assert_eq!(table.gaps(6), []);
}

#[test]
fn a_report_names_no_more_gaps_than_it_holds() {
    let mut table = table(40, 4);
    (0..20).for_each(|i| table.learn(&stored(2 * i, 1)));
    let gaps = table.gaps(40);
    assert_eq!(gaps.len(), REPORT_GAPS_MAX);
    assert_eq!(gaps[0], gap(1, 1));
}

#[test]
fn where_nobody_can_be_asked_a_block_waits_for_two_symbols_more_until_all_was_sent() {
    let mut table = table(2, 2);
    table.wait_for_overhead();
    table.learn(&stored(0, 2));
    collect(&mut table, 0, 1..K + 2);
    assert!(table.next_work().is_none(), "one more than K");
    collect(&mut table, 0, K + 2..K + 3);
    assert!(table.next_work().is_some());
    collect(&mut table, 1, 1..K + 1);
    assert!(table.next_work().is_none());
    table.stop_waiting();
    assert!(table.next_work().is_some(), "K will have to do");
}

#[test]
fn a_block_waits_for_its_entry_and_the_entry_for_the_symbols() {
    let mut table = table(2, 2);
    collect(&mut table, 0, 0..K);
    assert!(table.next_work().is_none());
    table.learn(&stored(0, 2));
    assert!(matches!(table.next_work(), Some(Work::Rebuild { block: BlockIndex(0), .. })));
    assert!(table.next_work().is_none());
    collect(&mut table, 1, 0..K);
    assert!(matches!(table.next_work(), Some(Work::Rebuild { block: BlockIndex(1), .. })));
}

#[test]
fn only_a_push_that_is_held_to_its_signed_progress_has_a_horizon() {
    let mut table = table(64, 16);
    assert!(table.place_for(&header(63, 0)).is_ok());
    table.hold_to_signed_progress();
    collect(&mut table, 7, 0..1);
    assert_eq!(table.place_for(&header(8, 0)), Err(Discard::FarAhead));
    table.learn(&stored(20, 4));
    assert!(table.place_for(&header(31, 0)).is_ok());
    assert_eq!(table.place_for(&header(32, 0)), Err(Discard::FarAhead));
    assert_eq!(table.place_for(&header(7, 0)), Err(Discard::Duplicate), "what is collected goes on");
}

#[test]
fn a_suspect_block_keeps_its_buffer_and_its_symbols() {
    let mut table = table(2, 2);
    table.learn(&stored(0, 2));
    collect(&mut table, 0, 0..K);
    let (buffer, collected) = take_rebuild(&mut table);
    assert_eq!(table.suspect(BlockIndex(0), buffer, collected), Tries::Left);
    assert_eq!((table.suspects(), table.deficits(1)), (vec![BlockIndex(0)], vec![]));
    assert_eq!(table.place_for(&header(0, K + 1)), Err(Discard::NotNeeded));
    assert!(table.next_work().is_none() && !table.has_all_symbols());
    let hashes = vec![SymbolHash([1; 8]); K as usize];
    table.take_proofs(&Proofs { block: BlockIndex(0), first: Esi::new(0).expect("small"), hashes });
    let Some(Work::Sift { buffer, mut collected, .. }) = table.next_work() else {
        panic!("all hashes are here")
    };
    collected.drop_source(3);
    let sifted = Sifted { forged: 1, ..Sifted::default() };
    table.take_sifted(BlockIndex(0), buffer, collected, &sifted);
    assert_eq!((table.suspects(), table.deficits(1)), (vec![], vec![deficit(0, 1, 3)]));
    collect(&mut table, 0, 3..4);
    assert!(table.next_work().is_none(), "one more, as it may be forged again");
    collect(&mut table, 0, K + 1..K + 2);
    let (buffer, collected) = take_rebuild(&mut table);
    table.release(buffer, collected);
    table.hold(BlockIndex(0));
}

#[test]
fn forged_symbols_use_up_no_try_and_each_round_of_them_has_more_asked_for() {
    let mut table = table(1, 1);
    table.learn(&stored(0, 1));
    collect(&mut table, 0, 0..K);
    let mut asked = Vec::new();
    for round in 0..2 * CORRUPT_TRIES_MAX {
        let (buffer, collected) = take_rebuild(&mut table);
        assert_eq!(table.suspect(BlockIndex(0), buffer, collected), Tries::Left, "round {round}");
        let hashes = vec![SymbolHash([1; 8]); 2 * K as usize];
        table.take_proofs(&Proofs { block: BlockIndex(0), first: Esi::new(0).expect("small"), hashes });
        let Some(Work::Sift { buffer, mut collected, .. }) = table.next_work() else {
            panic!("all hashes are here")
        };
        // Of what came since, nothing is the sender's.
        let forged = 1 + collected.repair().len() as u32;
        collected.drop_source(3);
        collected.retain_repair(|_| false);
        table.take_sifted(BlockIndex(0), buffer, collected, &Sifted { forged, ..Sifted::default() });
        let symbols = table.deficits(1)[0].symbols;
        asked.push(symbols);
        collect(&mut table, 0, 3..4);
        collect(&mut table, 0, K..K + u32::from(symbols) - 2);
    }
    assert_eq!(asked[..4], [3, 4, 6, 10]);
    assert_eq!(u32::from(asked[31]), 2 + K / 4, "a quarter of a block at most");
}

#[test]
fn a_block_whose_symbols_are_all_the_senders_is_asked_for_anew() {
    let mut table = table(1, 1);
    table.learn(&stored(0, 1));
    collect(&mut table, 0, 0..K);
    let (buffer, collected) = take_rebuild(&mut table);
    assert_eq!(table.suspect(BlockIndex(0), buffer, collected), Tries::Left);
    let hashes = vec![SymbolHash([1; 8]); K as usize];
    table.take_proofs(&Proofs { block: BlockIndex(0), first: Esi::new(0).expect("small"), hashes });
    let Some(Work::Sift { buffer, collected, .. }) = table.next_work() else { panic!("all hashes are here") };
    table.take_sifted(BlockIndex(0), buffer, collected, &Sifted::default());
    assert_eq!(table.deficits(1), [deficit(0, 1, K + 1)]);
}

#[test]
fn a_corrupt_block_starts_over_with_nothing() {
    let mut table = table(2, 1);
    table.learn(&stored(0, 2));
    collect(&mut table, 0, 0..K);
    let (buffer, collected) = take_rebuild(&mut table);
    table.release(buffer, collected);
    assert_eq!(table.start_over(BlockIndex(0)), Tries::Left);
    assert_eq!(table.deficits(1), [deficit(0, 1, K + 1)]);
    collect(&mut table, 0, 0..K);
    let (buffer, collected) = take_rebuild(&mut table);
    assert_eq!(collected.held().count(), K);
    table.release(buffer, collected);
    table.hold(BlockIndex(0));
    assert_eq!((table.held(), table.is_complete()), (1, false));
}

#[test]
fn an_undecodable_block_keeps_its_symbols_and_asks_for_one_more() {
    let mut table = table(2, 1);
    table.learn(&stored(0, 2));
    collect(&mut table, 0, 1..K + 1);
    let (buffer, collected) = take_rebuild(&mut table);
    table.collect_more(BlockIndex(0), buffer, collected);
    assert!(table.next_work().is_none());
    assert_eq!(table.deficits(1), [deficit(0, 1, 2)]);
    collect(&mut table, 0, K + 1..K + 2);
    assert!(table.next_work().is_some());
}

#[test]
fn symbols_of_another_length_than_the_entrys_are_dropped_with_their_buffer() {
    let mut table = table(2, 1);
    let wrong = |esi| SymbolHeader { encoded_len: 5_000, ..header(0, esi) };
    let place = table.place_for(&wrong(0)).expect("nothing is known of it yet");
    table.insert(&wrong(0), place);
    assert_eq!(table.place_for(&header(0, 1)), Err(Discard::Malformed), "one length at a time");
    table.learn(&stored(0, 2));
    assert_eq!(table.place_for(&wrong(1)), Err(Discard::Malformed));
    assert_eq!(table.deficits(1), [deficit(0, 1, K + 1)], "its buffer is free again");
    collect(&mut table, 0, 0..K);
    assert!(table.next_work().is_some());
}

#[test]
fn a_zero_block_takes_no_symbols_and_no_buffer() {
    let mut table = table(2, 1);
    collect(&mut table, 0, 0..1);
    table.learn(&zeros(0, 1));
    assert_eq!(table.buffers.free(), 1);
    assert!(matches!(table.next_work(), Some(Work::Zero { block: BlockIndex(0), .. })));
    assert!(matches!(table.place_for(&header(0, 0)), Err(Discard::Malformed)));
    assert_eq!(table.deficits(2), []);
    table.hold_zeros(BlockIndex(0), BlockHash([3; 32]));
    assert_eq!(table.held(), 1);
}

#[test]
fn the_root_is_known_when_the_hashes_of_zero_blocks_are_worked_out() {
    let mut table = table(2, 1);
    table.learn(&stored(0, 1));
    table.learn(&zeros(1, 1));
    assert_eq!(table.root(), None);
    assert!(table.next_work().is_some());
    table.hold_zeros(BlockIndex(1), BlockHash([7; 32]));
    let hashes = [BlockHash([1; 32]), BlockHash([7; 32])];
    assert_eq!(table.root(), Some(Root::of(table.geometry, &hashes)));
}

#[test]
fn with_a_base_nothing_is_asked_for_before_it_is_known_what_is_in_it() {
    let mut table = with_base(&[1, 2, 3]);
    assert_eq!(table.deficits(3), []);
    collect(&mut table, 2, 0..3);
    table.take_base(base(&[(3, 40), (1, 50)]));
    assert_eq!(table.deficits(3), [deficit(1, 1, K + 1)]);
    for (block, piece) in [(0, 50), (2, 40)] {
        match table.next_work() {
            Some(Work::Reuse { block: of, origin: Origin::Base(at), .. }) => {
                assert_eq!((of.0, at.0), (block, piece));
            }
            other => panic!("{other:?}"),
        }
        assert!(table.is_reused(BlockIndex(block)));
        table.hold(BlockIndex(block));
    }
    assert_eq!((table.held(), table.buffers.free()), (2, 4), "what was collected of block 2 is dropped");
}

#[test]
fn a_block_that_others_asked_for_is_not_before_its_entry_says_whether_the_base_has_it() {
    let mut table = table(2, 4);
    table.wait_for_base();
    table.take_base(base(&[(1, 9)]));
    collect(&mut table, 0, 0..3);
    assert_eq!(table.deficits(2), []);
    table.learn(&fingerprinted(&[1, 2]));
    assert_eq!(table.deficits(2), [deficit(1, 1, K + 1)]);
    assert!(table.is_reused(BlockIndex(0)));
}

#[test]
fn what_the_base_turns_out_not_to_hold_is_asked_for() {
    let mut table = with_base(&[1, 2]);
    table.take_base(base(&[(1, 0)]));
    assert!(matches!(table.next_work(), Some(Work::Reuse { .. })));
    table.ask_anew(BlockIndex(0));
    assert_eq!(table.deficits(2), [deficit(0, 2, K + 1)]);
    assert!(table.next_work().is_none(), "it is not looked for again");
}

#[test]
fn of_equal_blocks_one_is_asked_for_and_the_others_are_made_of_it() {
    let mut table = with_base(&[5, 6, 5, 5]);
    table.take_base(base(&[]));
    assert_eq!(table.deficits(4), [deficit(0, 2, K + 1)]);
    collect(&mut table, 0, 0..K);
    let (buffer, collected) = take_rebuild(&mut table);
    table.release(buffer, collected);
    table.hold(BlockIndex(0));
    for block in [2, 3] {
        let Some(Work::Reuse { block: of, origin, .. }) = table.next_work() else { panic!("made of 0") };
        assert_eq!((of, origin), (BlockIndex(block), Origin::Object(BlockIndex(0))));
    }
    table.hold(BlockIndex(2));
    table.ask_anew(BlockIndex(3));
    assert_eq!(table.deficits(4), [deficit(1, 1, K + 1), deficit(3, 1, K + 1)], "3 only looked the same");
}

#[test]
fn what_was_kept_and_is_something_else_is_looked_for_in_the_base() {
    let mut table = table(2, 4);
    table.wait_for_base();
    table.keep(&[BlockIndex(0)]);
    table.take_base(base(&[(1, 9)]));
    table.learn(&fingerprinted(&[1, 2]));
    assert!(matches!(table.next_work(), Some(Work::Recheck { block: BlockIndex(0), .. })));
    table.ask_anew(BlockIndex(0));
    assert!(matches!(table.next_work(), Some(Work::Reuse { block: BlockIndex(0), .. })));
    assert_eq!(table.deficits(2), [deficit(1, 1, K + 1)]);
}

#[test]
fn a_new_block_without_a_buffer_is_dropped_until_one_is_free() {
    let mut table = table(2, 1);
    table.learn(&stored(0, 2));
    collect(&mut table, 0, 0..K);
    assert_eq!(table.place_for(&header(1, 0)), Err(Discard::NoBuffer));
    let (buffer, collected) = take_rebuild(&mut table);
    assert_eq!(table.place_for(&header(1, 0)), Err(Discard::NoBuffer), "it is being rebuilt from");
    table.release(buffer, collected);
    table.hold(BlockIndex(0));
    assert!(table.place_for(&header(1, 0)).is_ok());
}

#[test]
fn a_block_that_is_complete_needs_nothing() {
    let mut table = table(2, 2);
    table.learn(&stored(0, 2));
    collect(&mut table, 0, 0..K);
    assert_eq!(table.place_for(&header(0, K)), Err(Discard::NotNeeded));
    let _ = take_rebuild(&mut table);
    assert_eq!(table.place_for(&header(0, K)), Err(Discard::NotNeeded));
    table.hold(BlockIndex(0));
    assert_eq!(table.place_for(&header(0, K)), Err(Discard::NotNeeded));
    assert_eq!(table.deficits(1), []);
}

#[test]
fn blocks_and_lengths_that_cannot_be_are_refused() {
    let table = table(2, 1);
    for (block, encoded_len) in [(2, 1 << 20), (u32::MAX, 1), (0, 0), (0, (1 << 20) + 1), (1, u32::MAX)] {
        let header = SymbolHeader { encoded_len, ..header(block, 0) };
        assert_eq!(table.place_for(&header), Err(Discard::Malformed), "{block}, {encoded_len}");
    }
}

#[test]
fn a_kept_block_is_not_asked_for_and_is_read_again_when_its_entry_comes() {
    let mut table = table(4, 4);
    table.keep(&[1, 2, 9].map(BlockIndex));
    assert_eq!(table.held_runs(0, 4), [kept(1, 2)]);
    assert_eq!(table.place_for(&header(1, 0)), Err(Discard::NotNeeded));
    assert!(table.next_work().is_none(), "nothing is known that it could be compared with");
    table.learn(&stored(0, 4));
    assert_eq!(table.deficits(4), [deficit(0, 1, K + 1), deficit(3, 1, K + 1)]);
    assert!(matches!(table.next_work(), Some(Work::Recheck { block: BlockIndex(1), .. })));
    assert!(matches!(table.next_work(), Some(Work::Recheck { block: BlockIndex(2), .. })));
    assert_eq!(table.held(), 0, "nothing counts before it is proven");
    table.hold(BlockIndex(1));
    assert_eq!((table.held(), table.held_runs(2, 4)), (1, vec![kept(2, 1)]));
}

#[test]
fn a_kept_block_of_which_symbols_came_before_the_store_named_it_is_not_asked_for() {
    let mut table = table(3, 3);
    table.learn(&stored(0, 3));
    collect(&mut table, 0, 0..K - 1);
    collect(&mut table, 1, 0..K);
    table.keep(&[BlockIndex(0), BlockIndex(1)]);
    assert_eq!(table.deficits(2), []);
    assert_eq!(table.buffers.free(), 2, "the buffer of the first is free again");
    assert!(matches!(table.next_work(), Some(Work::Rebuild { block: BlockIndex(1), .. })));
    assert!(matches!(table.next_work(), Some(Work::Recheck { block: BlockIndex(0), .. })));
}

#[test]
fn a_kept_block_of_which_all_symbols_came_and_do_not_determine_it_is_read_and_not_asked_for() {
    let mut table = table(2, 2);
    table.learn(&stored(0, 1));
    collect(&mut table, 0, 1..K + 1);
    table.keep(&[BlockIndex(0)]);
    assert!(table.is_resumed());
    let (buffer, collected) = take_rebuild(&mut table);
    table.collect_more(BlockIndex(0), buffer, collected);
    assert_eq!(table.deficits(2), []);
    assert_eq!(table.buffers.free(), 2);
    assert!(matches!(table.next_work(), Some(Work::Recheck { block: BlockIndex(0), .. })));
    table.ask_anew(BlockIndex(0));
    assert_eq!(table.deficits(2), [deficit(0, 1, K + 1)], "nor was it what had been kept");
    assert!(table.next_work().is_none(), "that is read once");
}

#[test]
fn a_kept_block_of_which_all_symbols_came_and_are_corrupt_is_read_and_not_asked_for() {
    let mut table = table(2, 2);
    table.learn(&stored(0, 1));
    collect(&mut table, 0, 0..K);
    table.keep(&[BlockIndex(0)]);
    let (buffer, collected) = take_rebuild(&mut table);
    table.release(buffer, collected);
    assert_eq!(table.start_over(BlockIndex(0)), Tries::Left);
    assert_eq!(table.deficits(2), []);
    assert!(matches!(table.next_work(), Some(Work::Recheck { block: BlockIndex(0), .. })));
    table.hold(BlockIndex(0));
    assert_eq!(table.held(), 1);
}

#[test]
fn a_block_that_is_rebuilt_in_vain_is_looked_for_in_a_base_that_was_known_too_late() {
    let mut table = with_base(&[1, 2]);
    collect(&mut table, 0, 1..K + 1);
    collect(&mut table, 1, 0..K);
    table.take_base(base(&[(1, 9), (2, 8)]));
    let (undecodable, undecodable_set) = take_rebuild(&mut table);
    let (corrupt, corrupt_set) = take_rebuild(&mut table);
    table.collect_more(BlockIndex(0), undecodable, undecodable_set);
    table.release(corrupt, corrupt_set);
    assert_eq!(table.start_over(BlockIndex(1)), Tries::Left);
    assert_eq!(table.deficits(2), []);
    for (block, piece) in [(0, 9), (1, 8)] {
        let Some(Work::Reuse { block: of, origin, .. }) = table.next_work() else { panic!("reused") };
        assert_eq!((of, origin), (BlockIndex(block), Origin::Base(BlockIndex(piece))));
    }
}

#[test]
fn where_a_block_was_not_it_is_not_looked_for_again() {
    let mut table = with_base(&[1, 2]);
    table.take_base(base(&[(1, 9)]));
    assert!(matches!(table.next_work(), Some(Work::Reuse { .. })));
    table.ask_anew(BlockIndex(0));
    collect(&mut table, 0, 1..K + 1);
    let (buffer, collected) = take_rebuild(&mut table);
    table.collect_more(BlockIndex(0), buffer, collected);
    assert_eq!(table.deficits(1), [deficit(0, 1, 2)], "its symbols are kept");
    assert!(table.next_work().is_none());
}

#[test]
fn a_kept_block_that_is_not_what_the_manifest_says_is_asked_for() {
    let mut table = table(2, 2);
    table.keep(&[BlockIndex(0)]);
    table.learn(&stored(0, 2));
    let _ = table.next_work();
    assert_eq!(table.start_over(BlockIndex(0)), Tries::Left);
    assert_eq!(table.deficits(1), [deficit(0, 1, K + 1)]);
    assert_eq!(table.held_runs(0, 4), []);
    collect(&mut table, 0, 0..K);
    assert!(matches!(table.next_work(), Some(Work::Rebuild { .. })));
}

#[test]
fn a_kept_block_that_is_zero_now_is_made_a_hole() {
    let mut table = table(2, 2);
    table.keep(&[BlockIndex(0)]);
    table.learn(&zeros(0, 1));
    assert!(matches!(table.next_work(), Some(Work::Zero { block: BlockIndex(0), .. })));
}

#[test]
fn no_more_runs_of_kept_blocks_are_named_than_there_is_room_for() {
    let mut table = table(9, 2);
    table.keep(&[0, 1, 3, 4, 6, 8].map(BlockIndex));
    assert_eq!(table.held_runs(0, 2), [kept(0, 2), kept(3, 2)]);
    assert_eq!(table.held_runs(4, 9), [kept(4, 1), kept(6, 1), kept(8, 1)]);
}

#[test]
fn an_entry_is_learned_once() {
    let mut table = table(2, 1);
    table.learn(&stored(0, 2));
    let root = table.root().expect("all entries");
    table.learn(&zeros(0, 1));
    assert_eq!(table.root(), Some(root));
}

#[test]
fn a_report_costs_as_much_with_four_thousand_blocks_as_with_two_thousand() {
    const BUFFERS: u16 = 16;
    let reads = |blocks: u32| {
        let mut table = table(u64::from(blocks), BUFFERS);
        table.keep(&(blocks / 2..blocks).map(BlockIndex).collect::<Vec<_>>());
        (0..blocks).step_by(500).for_each(|first| table.learn(&stored(first, 500)));
        (0..8).for_each(|block| collect(&mut table, 100 * block, 0..1));
        table.states.reads.set(0);
        let (deficits, kept) = (table.deficits(blocks), table.held_runs(0, 16));
        assert_eq!(deficits.iter().map(|run| u32::from(run.blocks)).sum::<u32>(), u32::from(BUFFERS));
        assert_eq!(kept, [self::kept(blocks / 2, blocks / 2)]);
        assert_eq!(table.gaps(blocks), []);
        table.states.reads.get()
    };
    let (few, many) = (reads(2_000), reads(4_000));
    assert!(few == many && few <= u32::from(BUFFERS), "{few} and {many} states were read");
}

#[test]
fn reports_say_what_a_walk_over_all_blocks_says() {
    for seed in 0..300 {
        println!("seed {seed}");
        let mut rng = Rng::new(&[seed as u8, (seed >> 8) as u8].repeat(16).try_into().expect("32 bytes"));
        let with_base = seed % 2 == 0;
        let mut table = table(u64::from(BLOCKS), 4);
        if with_base {
            table.wait_for_base();
            table.take_base(base(&[(1, 9), (2, 10)]));
        }
        for _ in 0..150 {
            change(&mut table, &mut rng, with_base);
            let [end, from, most] = rng.bytes().map(|byte| u32::from(byte) % (BLOCKS + 1));
            assert_eq!(table.deficits(end), walked_deficits(&table, end));
            assert_eq!(table.held_runs(from, most as usize), walked_runs(&table, from, most as usize));
            assert_eq!(table.gaps(end), walked_gaps(&table, end));
        }
    }
}

const BLOCKS: u32 = 20;

/// Lets something happen to a block that may happen in its state.
fn change(table: &mut Table, rng: &mut Rng, with_base: bool) {
    let [what, block, more] = rng.bytes();
    let block = BlockIndex(u32::from(block) % BLOCKS);
    match (what % 8, table.states.get(block)) {
        (0, _) => table.keep(&[block]),
        (1, _) if with_base => {
            let run = ManifestRun { first: block, ..fingerprinted(&[more % 5]) };
            table.learn(&run);
        }
        (1, _) if more % 4 == 0 => table.learn(&zeros(block.0, 1)),
        (1, _) => table.learn(&stored(block.0, 1)),
        (2 | 3, State::Unseen | State::Collecting(_)) => {
            let first = u32::from(more) * 3;
            if table.place_for(&header(block.0, first)).is_ok() {
                collect(table, block.0, first..first + 1);
            }
        }
        (4, State::Collecting(_)) => {
            (0..K).for_each(|esi| {
                if table.place_for(&header(block.0, esi)).is_ok() {
                    collect(table, block.0, esi..esi + 1);
                }
            });
        }
        (5.., _) => work(table, more),
        _ => {}
    }
}

/// Takes the next work, and ends it in one way or another.
fn work(table: &mut Table, how: u8) {
    match (table.next_work(), how % 4) {
        (None, _) => {}
        (Some(Work::Zero { block }), _) => table.hold_zeros(block, BlockHash([0; 32])),
        (Some(Work::Rebuild { block, buffer, collected, .. }), 0) => {
            table.collect_more(block, buffer, collected);
        }
        (Some(Work::Rebuild { block, buffer, collected, .. }), 1) => {
            let _ = table.suspect(block, buffer, collected);
        }
        (Some(Work::Rebuild { block, buffer, collected, .. }), 2) => {
            table.release(buffer, collected);
            let _ = table.start_over(block);
        }
        (Some(Work::Rebuild { block, buffer, collected, .. }), _) => {
            table.release(buffer, collected);
            table.hold(block);
        }
        (Some(Work::Recheck { block, .. } | Work::Reuse { block, .. }), 0 | 1) => table.ask_anew(block),
        (Some(Work::Recheck { block, .. } | Work::Reuse { block, .. }), _) => table.hold(block),
        (Some(Work::Sift { .. }), _) => unreachable!("no proofs came"),
    }
}

/// What [`Table::deficits`] is, by a walk over all blocks.
fn walked_deficits(table: &Table, end: u32) -> Vec<DeficitRun> {
    let mut free = table.buffers.free();
    let lacking = (0..end).map(BlockIndex).filter_map(|block| {
        let is_following = table.reuse.as_ref().is_some_and(|reuse| reuse.is_following(block));
        let symbols = match table.states.get(block) {
            _ if is_following => None,
            State::Unseen => {
                table.manifest.get(block)?;
                free = free.checked_sub(1)?;
                Some(K as u16 + 1)
            }
            State::Collecting(_) if table.reuse.is_some() && table.manifest.get(block).is_none() => None,
            State::Collecting(buffer) => {
                let collected = table.buffers.get(buffer);
                (!collected.is_enough()).then(|| collected.deficit())
            }
            _ => None,
        };
        Some((block, symbols?))
    });
    deficit_runs(lacking, report_runs_in(table.geometry.control_bytes()))
}

/// What [`Table::held_runs`] is, by a walk over all blocks.
fn walked_runs(table: &Table, from: u32, most: usize) -> Vec<KeptRun> {
    let is_spared = |block: &u32| {
        let state = table.states.get(BlockIndex(*block));
        matches!(state, State::Kept | State::Rechecking | State::Matched(_) | State::Held)
    };
    let runs = walked(from, BLOCKS, is_spared).into_iter().take(most);
    runs.map(|(first, blocks)| kept(first, blocks)).collect()
}

/// What [`Table::gaps`] is, by a walk over all blocks.
fn walked_gaps(table: &Table, end: u32) -> Vec<GapRun> {
    let is_missing = |block: &u32| table.manifest.get(BlockIndex(*block)).is_none();
    let runs = walked(0, end, is_missing).into_iter().take(REPORT_GAPS_MAX);
    runs.map(|(first, blocks)| gap(first, blocks as u16)).collect()
}

/// The runs of the blocks that are in some set, as first block and length.
fn walked(from: u32, end: u32, is_in: impl Fn(&u32) -> bool) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for block in (from..end).filter(is_in) {
        match runs.last_mut().filter(|(first, blocks)| first + blocks == block) {
            Some((_, blocks)) => *blocks += 1,
            None => runs.push((block, 1)),
        }
    }
    runs
}

fn table(blocks: u64, buffers: u16) -> Table {
    Table::new(Geometry::new(blocks << 20, 20, 1432).expect("in range"), buffers)
}

fn stored(first: u32, blocks: usize) -> ManifestRun {
    ManifestRun::plain(BlockIndex(first), vec![entry(); blocks])
}

fn zeros(first: u32, blocks: usize) -> ManifestRun {
    let blocks = vec![Listed::Zero; blocks];
    ManifestRun { first: BlockIndex(first), blocks, fingerprints: Vec::new() }
}

fn entry() -> ManifestEntry {
    ManifestEntry { encoding: Encoding::Stored, hash: BlockHash([1; 32]) }
}

fn fingerprinted(fingerprints: &[u8]) -> ManifestRun {
    let of = |&fingerprint: &u8| Fingerprint([fingerprint; 16]);
    let fingerprints: Vec<_> = fingerprints.iter().map(of).collect();
    ManifestRun { fingerprints: fingerprints.clone(), ..stored(0, fingerprints.len()) }
}

/// Returns a table of blocks with these fingerprints, in a push whose base is not indexed yet.
fn with_base(fingerprints: &[u8]) -> Table {
    let mut table = table(fingerprints.len() as u64, 4);
    table.wait_for_base();
    table.learn(&fingerprinted(fingerprints));
    table
}

fn base(pieces: &[(u8, u32)]) -> BaseIndex {
    let piece = |&(fingerprint, at): &(u8, u32)| (Fingerprint([fingerprint; 16]), BlockIndex(at));
    BaseIndex::new(pieces.iter().map(piece).collect())
}

fn collect(table: &mut Table, block: u32, symbols: std::ops::Range<u32>) {
    for esi in symbols {
        let place = table.place_for(&header(block, esi)).expect("a place");
        table.insert(&header(block, esi), place);
    }
}

fn take_rebuild(table: &mut Table) -> (BufferId, Box<Collected>) {
    match table.next_work() {
        Some(Work::Rebuild { buffer, collected, .. }) => (buffer, collected),
        other => panic!("{other:?}"),
    }
}

fn header(block: u32, esi: u32) -> SymbolHeader {
    SymbolHeader {
        tag: SessionTag([0; 3]),
        sequence: Sequence::default(),
        block: BlockIndex(block),
        esi: Esi::new(esi).expect("small"),
        encoded_len: 1 << 20,
    }
}

fn deficit(first: u32, blocks: u16, symbols: u32) -> DeficitRun {
    DeficitRun { first: BlockIndex(first), blocks, symbols: symbols as u16 }
}

fn kept(first: u32, blocks: u32) -> KeptRun {
    KeptRun { first: BlockIndex(first), blocks }
}

fn gap(first: u32, blocks: u16) -> GapRun {
    GapRun { first: BlockIndex(first), blocks }
}
