//! Which blocks all hosts hold, compared with a walk over all hosts for each block.

use super::testing::*;
use super::*;
use crate::rng::Rng;
use crate::wire::FailureKind;

#[test]
fn all_hosts_hold_a_block_when_a_walk_over_all_of_them_says_so() {
    let mut spared = 0;
    for seed in 0..300 {
        println!("seed {seed}");
        let mut rng = Rng::new(&[seed as u8, (seed >> 8) as u8].repeat(16).try_into().expect("32 bytes"));
        let mut story = Story::new(seed % 2 == 0);
        for front in 0..BLOCKS {
            let [changes, asked] = rng.bytes();
            (0..changes % 4).for_each(|_| story.change(&mut rng));
            let earlier = (0..=4).map(|back| front.saturating_sub(back) + u32::from(asked) % 2);
            for block in earlier.map(BlockIndex) {
                let walked = walked(&story.hosts, block);
                assert_eq!(story.hosts.all_hold(block, false), walked, "{block} with the pass at {front}");
                spared += u32::from(walked);
            }
        }
    }
    assert!(spared > 1_000, "the walk finds {spared} blocks that all hold");
}

#[test]
fn a_resumed_push_asks_a_host_for_each_run_that_it_has_listed_and_not_for_each_block() {
    let visits = |count: u32, blocks: u32| {
        let mut hosts = hosts_of(Expected::Count(count));
        (0..count).for_each(|host| {
            join_many(&mut hosts, host, &[(0, blocks / 2), (blocks / 2 + 1 + host % 7, blocks)]);
        });
        let held = (0..blocks).filter(|&block| hosts.all_hold(BlockIndex(block), false)).count();
        assert_eq!(held as u32, blocks - 7, "seven in the middle are lacking on some");
        hosts.visits.get()
    };
    let (few, many, long) = (visits(2_000, 2_000), visits(4_000, 2_000), visits(2_000, 4_000));
    println!("{few} visits, {many} at twice the hosts, {long} at twice the blocks");
    assert!(few < 3 * 2_000 && many < 3 * 4_000);
    assert_eq!(long, few);
}

#[test]
fn a_block_that_is_being_sent_is_looked_at_on_one_host_for_as_long_as_that_lacks_it() {
    let mut hosts = hosts_of(Expected::Count(2_000));
    (0..2_000)
        .for_each(|host| join_many(&mut hosts, host, if host == 1_000 { &[(0, 1)] } else { &[(0, 9)] }));
    assert!(
        hosts.all_hold(BlockIndex(0), false)
            && !hosts.all_hold(BlockIndex(1), false)
            && !hosts.all_hold(BlockIndex(2), false)
    );
    hosts.visits.set(0);
    (0..1_000).for_each(|_| assert!(!hosts.all_hold(BlockIndex(1), false)));
    assert_eq!(hosts.visits.get(), 1_000);
    let report = Report { kept: vec![run(0, 9)], ..report(0) };
    hosts.note_heard(at(1), many_id(1_000), sequence(9)).expect("newer");
    hosts.note_report(at(1), many_id(1_000), &report, None, 0);
    assert!(hosts.all_hold(BlockIndex(1), false), "nobody lacks it any more");
    assert!(hosts.visits.get() < 1_000 + 2_100, "each host is asked once more");
}

#[test]
fn reports_of_hosts_that_lack_nothing_are_looked_at_once_however_many_hosts_there_are() {
    let visits = |count: u32| {
        let mut hosts = hosts_of(Expected::Count(count));
        (0..count).for_each(|host| join_many(&mut hosts, host, &[]));
        let nothing = Report { deficits: Vec::new(), ..report(0) };
        for host in 0..count {
            hosts.note_heard(at(1), many_id(host), sequence(9)).expect("newer");
            hosts.note_report(at(1), many_id(host), &nothing, None, 0);
        }
        hosts.visits.set(0);
        for round in 10..13 {
            for host in 0..count {
                hosts.note_heard(at(round), many_id(host), sequence(round)).expect("newer");
                hosts.note_report(at(1), many_id(host), &nothing, None, 0);
                assert!(!hosts.somebody_lacks());
            }
        }
        hosts.visits.get()
    };
    assert_eq!((visits(2_000), visits(4_000)), (4 * 2_000 - 1, 4 * 4_000 - 1));
}

/// Hosts to which something happens.
struct Story {
    hosts: Hosts,
    /// The last number of any datagram, and the last start of any host.
    sequence: u64,
    starts: u8,
    now: u64,
}

impl Story {
    fn new(by_name: bool) -> Self {
        let expected = if by_name { named(["0", "1", "2", "3"]) } else { Expected::Anyone };
        let mut story = Self { hosts: hosts_of(expected), sequence: 0, starts: 0, now: 0 };
        (0..4).for_each(|name| story.join(name, vec![run(0, BLOCKS)]));
        story
    }

    fn change(&mut self, rng: &mut Rng) {
        let [what, which, first, blocks] = rng.bytes();
        let start = which % self.starts + 1;
        let id = id(start);
        let first = u32::from(first) % BLOCKS;
        let kept = vec![run(0, first), run(first + u32::from(blocks) % 4 + 1, BLOCKS + 8)];
        match what % 16 {
            0 => self.join(which % 4, kept),
            1 => {
                let kind = if blocks % 2 == 0 { FailureKind::Stopping } else { FailureKind::NoSpace };
                self.say(id, |hosts| failed_with(hosts, start, kind));
            }
            2 if blocks % 4 == 0 => self.say(id, |hosts| {
                hosts.note_done(at(1), id, &ending(false), 1);
            }),
            3 => {
                self.now += 6_000;
                self.hosts.mark_silent(at(self.now));
            }
            _ => self.say(id, |hosts| {
                hosts.note_report(at(1), id, &Report { kept, ..report(0) }, None, 0);
            }),
        }
    }

    fn join(&mut self, name: u8, kept: Vec<KeptRun>) {
        if self.starts == 200 {
            return;
        }
        let (start, hello) = (self.starts + 1, Hello { kept, ..hello(&name.to_string()) });
        if self.hosts.join(at(self.now), address(start), id(start), link(start), &hello).is_ok() {
            self.starts = start;
            self.say(id(start), |hosts| hosts.note_hello(id(start), &hello));
        }
    }

    /// A start says something, if it is known.
    fn say(&mut self, id: ReceiverId, what: impl FnOnce(&mut Hosts)) {
        self.sequence += 1;
        if self.hosts.note_heard(at(self.now), id, sequence(self.sequence)).is_ok() {
            what(&mut self.hosts);
        }
    }
}

/// What [`Hosts::all_hold`] is, by a walk over all hosts.
fn walked(hosts: &Hosts, block: BlockIndex) -> bool {
    let holds = |id| hosts.by_id[&id].holds(block) != Holds::No;
    hosts.is_resuming
        && hosts.are_all_heard()
        && hosts.settlement.counted().all(|(id, start)| start.state().is_settled() || holds(id))
}

/// The host `number` of thousands joins, which has kept these blocks.
fn join_many(hosts: &mut Hosts, number: u32, kept: &[(u32, u32)]) {
    let kept = kept.iter().map(|&(first, end)| run(first, end)).collect();
    let hello = Hello { kept, ..hello(&format!("compute-{number}")) };
    hosts.join(at(0), address(1), many_id(number), link(1), &hello).expect("room");
    hosts.note_heard(at(0), many_id(number), sequence(1)).expect("newer");
    hosts.note_hello(many_id(number), &hello);
}

fn many_id(number: u32) -> ReceiverId {
    let mut id = [1; ReceiverId::BYTES];
    id[..4].copy_from_slice(&number.to_be_bytes());
    ReceiverId(id)
}

fn run(first: u32, end: u32) -> KeptRun {
    KeptRun { first: BlockIndex(first), blocks: end.saturating_sub(first).max(1) }
}

const BLOCKS: u32 = 40;
