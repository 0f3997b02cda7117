use super::manifest::ZERO_BATCH;
use super::*;

use glancecast_fec::Esi;

use crate::limits::{CONTROL_SMALL, MANIFEST_BLOCKS_MAX};
use crate::rng::Rng;
use crate::wire::{manifest_bytes, manifest_room};

const K: u32 = 733; // 1 MiB in symbols of 1432 bytes

#[test]
fn two_hosts_with_the_same_deficit_are_served_once() {
    let mut blocks = passed_up_to(100);
    blocks.demand(deficit(0, 5), at(100), 0.0);
    assert_eq!(take_repair(&mut blocks), Some((K, 5)));
    blocks.demand(deficit(0, 5), at(100), 0.0);
    assert_eq!(take_repair(&mut blocks), None, "the other host's five are the same five");
}

#[test]
fn a_larger_deficit_of_the_same_time_adds_only_the_difference() {
    let mut blocks = passed_up_to(100);
    blocks.demand(deficit(0, 5), at(100), 0.0);
    let job = blocks.next_repair().expect("five");
    blocks.demand(deficit(0, 8), at(100), 0.0);
    assert_eq!(blocks.next_repair(), None, "one job of a block at a time");
    blocks.finish(job, at(105));
    assert_eq!(take_repair(&mut blocks), Some((K + 5, 3)));
}

#[test]
fn what_is_lacking_after_the_repair_was_seen_is_served_with_fresh_symbols() {
    let mut blocks = passed_up_to(100);
    blocks.demand(deficit(0, 5), at(100), 0.0);
    let job = blocks.next_repair().expect("five");
    blocks.finish(job, at(105));
    blocks.demand(deficit(0, 2), at(105), 0.0);
    assert_eq!(take_repair(&mut blocks), Some((K + 5, 2)));
}

#[test]
fn a_report_from_before_the_first_pass_ended_is_out_of_date() {
    let mut blocks = passed_up_to(100);
    blocks.demand(deficit(0, 300), at(99), 0.0);
    assert_eq!(blocks.next_repair(), None);
}

#[test]
fn a_host_that_holds_nothing_gets_the_source_symbols_again() {
    let mut blocks = passed_up_to(100);
    blocks.demand(deficit(0, K as u16 + 1), at(100), 0.0);
    assert_eq!(blocks.next_repair(), None);
    let again = Job::Source { block: BlockIndex(0), first: esi(K), repair: 0 };
    assert_eq!(blocks.next_whole(), Some(again));
}

#[test]
fn repair_symbols_made_ahead_are_not_sent_again() {
    let mut blocks = blocks_of(2);
    blocks.push(entry(Encoding::Stored), None, 7);
    let job = blocks.next_source().expect("read");
    assert_eq!(job, Job::Source { block: BlockIndex(0), first: esi(K), repair: 7 });
    blocks.finish(job, at(100));
    blocks.demand(deficit(0, 2), at(100), 0.0);
    assert_eq!(take_repair(&mut blocks), Some((K + 7, 2)));
}

#[test]
fn what_was_taken_back_is_asked_for_again_by_whoever_lacks_it() {
    let mut blocks = passed_up_to(100);
    blocks.demand(deficit(0, 500), at(100), 0.0);
    blocks.forget_demands();
    assert_eq!(blocks.next_repair(), None);
    blocks.demand(deficit(0, 3), at(100), 0.0);
    assert_eq!(take_repair(&mut blocks), Some((K, 3)));
}

#[test]
fn a_host_that_holds_something_gets_new_symbols_however_much_is_lost() {
    let mut blocks = passed_up_to(100);
    blocks.demand(deficit(0, K as u16), at(100), 0.5);
    assert_eq!(take_repair(&mut blocks), Some((K, (K * 3).div_ceil(2))));
    assert_eq!(blocks.next_whole(), None);
}

#[test]
fn a_host_that_holds_nothing_gets_the_source_symbols_also_where_another_lacks_some() {
    let mut blocks = passed_up_to(100);
    blocks.demand(deficit(0, 3), at(100), 0.0);
    blocks.demand(deficit(0, K as u16 + 1), at(100), 0.0);
    assert_eq!(take_repair(&mut blocks), None);
    assert!(matches!(blocks.next_whole(), Some(Job::Source { repair: 0, .. })));
    assert!(blocks.next_whole().is_none());
}

#[test]
fn what_will_be_lost_on_its_way_is_sent_with_it() {
    let mut blocks = passed_up_to(100);
    blocks.demand(deficit(0, 100), at(100), 0.1);
    assert_eq!(take_repair(&mut blocks), Some((K, 110)));
}

#[test]
fn a_further_pass_sends_everything_again_with_other_repair_symbols() {
    let mut blocks = blocks_of(3);
    for encoding in [Encoding::Stored, Encoding::Zero, Encoding::Stored] {
        blocks.push(entry(encoding), None, 5);
    }
    while let Some(job) = blocks.next_source() {
        blocks.finish(job, at(100));
    }
    while blocks.next_manifest(at(101), 2).is_some() {}
    blocks.start_over();
    assert!(!blocks.is_idle());
    let mut again = Vec::new();
    while let Some(job) = blocks.next_again() {
        blocks.finish(job, at(200));
        again.push(job);
    }
    let job = |block| Job::Source { block: BlockIndex(block), first: esi(K + 5), repair: 5 };
    assert_eq!(again, [job(0), job(2)]);
    assert!(blocks.next_manifest(at(201), 2).is_some_and(|run| run.first == BlockIndex(0)));
}

#[test]
fn manifest_entries_travel_as_often_as_asked_for_in_different_datagrams() {
    for copies in [2, 6] {
        let times = times_sent(copies);
        let all_but_last = &times[..32];
        assert!(all_but_last.iter().all(|&times| times == copies), "{copies}: {times:?}");
    }
}

#[test]
fn the_last_manifest_entries_are_repeated_with_the_last_blocks() {
    let mut blocks = blocks_of(30);
    (0..30).for_each(|_| {
        blocks.push(entry(Encoding::Stored), None, 0);
    });
    while blocks.next_manifest(at(1), 2).is_some() {}
    for _ in 0..3 {
        let job = blocks.next_source().expect("30 were read");
        blocks.finish(job, at(2));
        let run = blocks.next_manifest(at(3), 2).expect("once more");
        assert_eq!((run.first, run.blocks.len()), (BlockIndex(6), 24));
        assert_eq!(blocks.next_manifest(at(3), 2), None);
    }
}

/// Returns how often each of 40 entries is sent as they are read.
fn times_sent(copies: u32) -> Vec<u32> {
    let mut blocks = blocks_of(40);
    let mut times = vec![0; 40];
    for _ in 0..40 {
        blocks.push(entry(Encoding::Stored), None, 0);
        while let Some(run) = blocks.next_manifest(at(1), copies) {
            let first = run.first.index();
            times[first..first + run.blocks.len()].iter_mut().for_each(|times| *times += 1);
        }
    }
    assert_eq!(blocks.manifest_sent(), 40);
    times
}

#[test]
fn zero_blocks_travel_together_and_twice_too() {
    let count = 3 * ZERO_BATCH;
    let mut blocks = blocks_of(u64::from(count) + 1);
    let mut runs = Vec::new();
    for _ in 0..count {
        blocks.push(entry(Encoding::Zero), None, 0);
        runs.extend(blocks.next_manifest(at(1), 2));
    }
    let spans: Vec<(u32, u32)> = runs.iter().map(|run| (run.first.0, run.blocks.len() as u32)).collect();
    let batch = ZERO_BATCH;
    assert_eq!(spans, [(0, batch), (0, 2 * batch), (batch, 2 * batch)]);
    // No entry follows the last one, so it is sent at once, with those before it.
    blocks.push(entry(Encoding::Stored), None, 0);
    let last = blocks.next_manifest(at(2), 2).expect("all is read");
    assert_eq!((last.first.0, last.blocks.len() as u32), (2 * batch, batch + 1));
}

#[test]
fn no_run_is_longer_than_its_datagram_and_nothing_is_left_out() {
    for data_every in [1, 3, 50, 5_000] {
        let mut blocks =
            Blocks::new(Geometry::new(5_000 << 20, 20, 512).expect("in range"), FirstPass::OnDemand);
        let mut told = 0;
        for i in 0..5_000 {
            if i % data_every == 0 {
                blocks.push(entry(Encoding::Stored), Some(Fingerprint([0; 16])), 0);
            } else {
                blocks.push(entry(Encoding::Zero), None, 0);
            }
        }
        let mut take = |run: ManifestRun| {
            assert!(run.first.0 <= told, "no gap");
            told = run.first.0 + run.blocks.len() as u32;
            let bytes = manifest_bytes(run.blocks.len(), run.fingerprints.len(), true);
            assert!(bytes <= manifest_room(CONTROL_SMALL) && run.blocks.len() <= MANIFEST_BLOCKS_MAX);
        };
        while let Some(run) = blocks.next_manifest(at(1), 2) {
            take(run);
        }
        assert_eq!(told, 5_000);
    }
}

#[test]
fn what_hosts_lack_of_the_manifest_is_cut_to_datagrams() {
    let mut blocks = blocks_of(100);
    for _ in 0..100 {
        blocks.push(entry(Encoding::Stored), None, 0);
    }
    while blocks.next_manifest(at(1), 2).is_some() {}
    blocks.demand_manifest(GapRun { first: BlockIndex(10), blocks: 80 }, at(1));
    let mut next = 10;
    while let Some(run) = blocks.next_manifest(at(2), 2) {
        assert_eq!(run.first.0, next);
        next += run.blocks.len() as u32;
    }
    assert_eq!(next, 90);
}

#[test]
fn on_demand_nothing_is_sent_that_nobody_lacks_and_all_of_what_somebody_does() {
    let geometry = Geometry::for_path(3 << 20, 1500, 20).expect("in range");
    let mut blocks = Blocks::new(geometry, FirstPass::OnDemand);
    for _ in 0..3 {
        blocks.push(entry(Encoding::Stored), Some(Fingerprint([0; 16])), 0);
    }
    while blocks.next_manifest(at(1), 2).is_some() {}
    assert!(blocks.all_sent() && blocks.is_idle() && blocks.next_source().is_none());
    blocks.demand(deficit(1, K as u16 + 1), at(1), 0.0);
    let job = blocks.next_whole().expect("asked for");
    assert_eq!(job, Job::Source { block: BlockIndex(1), first: esi(K), repair: 0 });
    // Another host asks for the same: what is on its way suffices for both.
    blocks.demand(deficit(1, K as u16 + 1), at(1), 0.0);
    blocks.finish(job, at(800));
    blocks.demand(deficit(1, 5), at(700), 0.0);
    assert_eq!((blocks.next_whole(), blocks.next_repair()), (None, None));
    assert_eq!(blocks.unsent(), Unsent { blocks: 2, bytes: 2 << 20 });
}

#[test]
fn a_whole_block_takes_with_it_what_will_be_lost() {
    let mut blocks = passed_up_to(100);
    blocks.demand(deficit(0, K as u16 + 1), at(100), 0.1);
    let repair = (f64::from(K + 1) * 0.1).round() as u32;
    assert_eq!(blocks.next_whole(), Some(Job::Source { block: BlockIndex(0), first: esi(K), repair }));
}

#[test]
fn two_reports_that_name_every_block_cost_twice_as_much_for_twice_as_many_blocks() {
    let steps = |count: u16| {
        let geometry = Geometry::for_path(u64::from(count) << 20, 1500, 20).expect("in range");
        let mut blocks = Blocks::new(geometry, FirstPass::OnDemand);
        for _ in 0..count {
            blocks.push(entry(Encoding::Stored), Some(Fingerprint([0; 16])), 0);
        }
        for symbols in [1, K as u16 + 1] {
            blocks.demand(DeficitRun { first: BlockIndex(0), blocks: count, symbols }, at(1), 0.0);
        }
        assert_eq!(blocks.next_repair(), None, "all of them turned whole");
        assert!(matches!(blocks.next_whole(), Some(Job::Source { block: BlockIndex(0), .. })));
        blocks.forget_demands();
        assert_eq!(blocks.next_whole(), None);
        blocks.demands.steps.get()
    };
    let (few, many) = (steps(2_000), steps(4_000));
    println!("{few} and {many} steps");
    assert!(many <= 2 * few && few <= 5 * 2_000);
}

#[test]
fn a_run_of_entries_that_many_hosts_lack_is_queued_once_and_found_without_a_search() {
    for seed in 0..50 {
        println!("seed {seed}");
        let mut rng = Rng::new(&[seed; 32]);
        let mut blocks = blocks_of(400);
        for _ in 0..400 {
            blocks.push(entry(Encoding::Stored), None, 0);
        }
        while blocks.next_manifest(at(1), 2).is_some() {}
        for sequence in 4..200 {
            let [what, first, length] = rng.bytes();
            if what % 3 > 0 {
                let gap = GapRun { first: BlockIndex(u32::from(first)), blocks: 1 + u16::from(length % 64) };
                blocks.demand_manifest(gap, at(sequence - u64::from(what % 4)));
            } else {
                let _ = blocks.next_manifest(at(sequence), 2);
            }
            blocks.manifest.check_queue();
        }
    }
}

fn blocks_of(blocks: u64) -> Blocks {
    Blocks::new(Geometry::for_path(blocks << 20, 1500, 20).expect("in range"), FirstPass::Sent)
}

fn passed_up_to(sequence: u64) -> Blocks {
    let mut blocks = blocks_of(2);
    blocks.push(entry(Encoding::Stored), None, 0);
    let job = blocks.next_source().expect("read");
    blocks.finish(job, at(sequence));
    assert_eq!(blocks.sent(), 1);
    blocks
}

fn take_repair(blocks: &mut Blocks) -> Option<(u32, u32)> {
    blocks.next_repair().map(|job| match job {
        Job::Repair { first, count, .. } => (first.value(), count),
        Job::Source { .. } => panic!("source symbols again"),
    })
}

fn entry(encoding: Encoding) -> ManifestEntry {
    ManifestEntry { encoding, hash: BlockHash([0; 32]) }
}

fn deficit(block: u32, symbols: u16) -> DeficitRun {
    DeficitRun { first: BlockIndex(block), blocks: 1, symbols }
}

fn esi(value: u32) -> Esi {
    Esi::new(value).expect("small")
}

fn at(sequence: u64) -> Sequence {
    Sequence::new(sequence).expect("small")
}
