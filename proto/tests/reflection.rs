//! What a group sends to an address that a stranger or one of its hosts has made up: the machines from outside.

mod pair;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use glancecast_proto::ids::HostName;
use glancecast_proto::integrity::BlockHash;
use glancecast_proto::receiver::{Receiver, ReceiverConfig, ReceiverEvent, ReceiverTimer};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::{Expected, JobRoom, Sender, SenderConfig, To};
use glancecast_proto::time::Moment;
use glancecast_proto::wire::{Discard, Encoding, Kind, ManifestEntry};
use pair::{HOST, SENDER, WALL, announcement, at, host_config, open, push_of, said, wall};

#[test]
fn no_host_answers_a_datagram_of_another_version_that_is_shorter_than_its_answer() {
    let mut host = Receiver::new(host_config());
    let answer = answers(&mut host, 2, &foreign(3, 250))[0].1.len();
    for bytes in 0..answer {
        let heard = foreign(4, bytes);
        assert_eq!(answers(&mut host, bytes as u64, &heard), [], "{bytes} bytes");
    }
    assert_eq!(answers(&mut host, 900, &foreign(4, answer)).len(), 1);
}

#[test]
fn a_host_with_two_keys_sends_no_more_bytes_than_it_heard() {
    let keys = || vec![GroupKey::new([7; 32]), GroupKey::new([8; 32])];
    let mut host = Receiver::new(ReceiverConfig { keys: keys(), ..host_config() });
    let both: usize = answers(&mut host, 1, &foreign(3, 250)).iter().map(|(_, notice)| notice.len()).sum();
    for (bytes, answered) in [(both, 2), (both - 1, 1), (both / 2, 1), (both / 2 - 1, 0)] {
        let mut host = Receiver::new(ReceiverConfig { keys: keys(), ..host_config() });
        assert_eq!(answers(&mut host, 1, &foreign(3, bytes)).len(), answered, "{bytes} bytes");
    }
}

#[test]
fn a_group_spreads_its_notices_over_two_seconds() {
    let mut times: Vec<u64> = (0..200)
        .map(|seed| {
            let mut host = Receiver::new(ReceiverConfig { seed: [seed; 32], ..host_config() });
            hear(&mut host, at(0), SENDER, &foreign(3, 250));
            let (due, timer) = host.poll_timeout().expect("a notice");
            assert_eq!(timer, ReceiverTimer::Notice);
            assert!(due == at(0) || said(&mut host, Moment::from_micros(due.micros() - 1)).is_none());
            assert!(said(&mut host, due).is_some() && host.poll_timeout().is_none());
            due.micros() / 1_000
        })
        .collect();
    times.sort_unstable();
    assert!(times[199] < 2_000, "{times:?}");
    let most = times.iter().map(|&from| times.iter().filter(|&&at| (from..from + 100).contains(&at)).count());
    assert!(most.max() < Some(30), "in a tenth of a second: {times:?}");
}

#[test]
fn a_source_is_told_once_a_minute_of_each_version() {
    let mut host = Receiver::new(host_config());
    let mut told = Vec::new();
    for ms in (0..130_000).step_by(100) {
        for version in [3, 4] {
            hear(&mut host, at(ms), SENDER, &foreign(version, 250));
        }
        told.extend(std::iter::from_fn(|| said(&mut host, at(ms))).map(|_| ms));
    }
    assert_eq!(told.len(), 3 * 2, "{told:?}");
    assert!(told[2] >= 60_000 && told[4] >= 120_000, "{told:?}");
}

#[test]
fn however_many_sources_are_made_up_a_host_answers_a_few() {
    let mut host = Receiver::new(host_config());
    let mut told = BTreeSet::new();
    for ms in 0..50_000_u64 {
        let source = SocketAddr::from(([10, 1, (ms >> 8) as u8, ms as u8], 7167));
        hear(&mut host, at(ms), source, &foreign((ms % 200) as u8 + 3, 250));
        told.extend(said(&mut host, at(ms)).map(|(to, _)| to));
    }
    assert!((10..=16).contains(&told.len()), "{told:?}");
}

#[test]
fn another_version_is_logged_once_and_only_a_few_of_them_are() {
    let mut host = Receiver::new(host_config());
    for round in 0..3 {
        for version in 3..=255 {
            hear(&mut host, at(round * 100_000), SENDER, &foreign(version, 250));
        }
    }
    let logged: Vec<_> = std::iter::from_fn(|| host.poll_event()).collect();
    let expected: Vec<_> = (3..11).map(|version| ReceiverEvent::OtherVersion(SENDER, version)).collect();
    assert_eq!(logged, expected);
    assert_eq!(host.discards().of(Discard::OtherVersion), 3 * 253);
}

#[test]
fn the_announcement_of_a_sender_of_another_version_is_long_enough() {
    // The shortest name makes the shortest announcement, and the longest names the longest notice.
    let long = ReceiverConfig {
        name: HostName::new(&"h".repeat(64)).expect("plain"),
        software: "s".repeat(32),
        ..host_config()
    };
    let mut sender = Sender::new(at(0), SenderConfig { signer: None, ..push_of(1, 4_096) });
    let mut signed = announcement(&mut sender, at(0));
    signed[0] = 3;
    signed.extend([0; 96]); // what a signature adds
    assert_eq!(answers(&mut Receiver::new(long), 1, &signed).len(), 1);
    let mut unsigned = signed;
    unsigned.truncate(unsigned.len() - 96);
    assert_eq!(answers(&mut Receiver::new(host_config()), 1, &unsigned).len(), 1);
}

#[test]
fn the_last_host_is_sent_symbols_of_its_own_once_it_has_answered_from_its_address() {
    let mut push = Push::of_two();
    push.pass(HOST, 2);
    assert_eq!(push.sender.destination(To::Everyone), To::Host(HOST));
}

#[test]
fn nothing_but_acknowledgements_goes_to_an_address_where_they_are_not_received() {
    // Its writer has made the address up, sends everything from there, and says nothing that shows that it is deaf.
    let victim = SocketAddr::from(([192, 0, 2, 1], 443));
    let mut push = Push::of_two();
    push.greets_from(victim);
    (push.is_deaf, push.greets_once) = (true, true);
    push.pass(victim, 20);
    assert_eq!(push.sender.destination(To::Everyone), To::Everyone);
}

#[test]
fn nothing_but_acknowledgements_goes_to_an_address_from_which_no_poll_was_answered() {
    // The hello comes from an address that its writer has made up, and the answers from its own one.
    let victim = SocketAddr::from(([192, 0, 2, 1], 443));
    let mut push = Push::of_two();
    push.greets_from(victim);
    push.pass(HOST, 20);
    assert_eq!(push.sender.destination(To::Everyone), To::Everyone);
}

#[test]
fn a_host_that_the_acknowledgement_does_not_reach_is_served_by_multicast() {
    let mut push = Push::of_two();
    push.is_deaf = true;
    push.pass(HOST, 2);
    assert_eq!(push.sender.destination(To::Everyone), To::Everyone, "it says hello again and again");
}

/// A push to two hosts, of which one is done.
struct Push {
    sender: Sender,
    hosts: [Receiver; 2],
    /// Whether what is sent to the second host alone is lost.
    is_deaf: bool,
    /// Whether the second host says hello no more once the sender has heard it.
    greets_once: bool,
    /// Where the second host's hellos come from.
    greets_from: SocketAddr,
    now: Moment,
}

impl Push {
    fn of_two() -> Self {
        let config = SenderConfig { expected: Expected::Count(2), ..push_of(1, 2 << 20) };
        let mut sender = Sender::new(at(0), config);
        (0..2).for_each(|_| {
            sender.handle_block(ManifestEntry { encoding: Encoding::Stored, hash: BlockHash([1; 32]) }, 0);
        });
        sender.handle_source_proven(at(0));
        let host = |number: u8| {
            let name = HostName::new(&format!("compute-{number}")).expect("plain");
            Receiver::new(ReceiverConfig { name, start: [number; 16], ..host_config() })
        };
        let hosts = [host(1), host(2)];
        Self { sender, hosts, is_deaf: false, greets_once: false, greets_from: HOST, now: at(0) }
    }

    fn greets_from(&mut self, addr: SocketAddr) {
        self.greets_from = addr;
    }

    /// Has both hosts join; the first one gives up, and all symbols are lost on the way to the second, which answers
    /// `polls` polls of the tail from `from`.
    fn pass(&mut self, from: SocketAddr, polls: u32) {
        let announced = announcement(&mut self.sender, self.now);
        for host in &mut self.hosts {
            host.handle_datagram(self.now, wall(self.now), SENDER, &announced).expect("fresh");
            open(host, self.now);
        }
        while self.sender.blocks_sent() < 2 {
            self.now = self.now + Duration::from_millis(10);
            self.exchange(from);
            if let Some(job) = self.sender.poll_job(JobRoom::ANY) {
                let last = self.sender.take_sequences(To::Everyone, job.symbols(733));
                self.sender.handle_sent(self.now, job, last);
            }
        }
        let now = self.now;
        self.hosts[0].handle_stop(now);
        let mut polled = 0;
        while polled < polls + 4 {
            self.now = self.now + Duration::from_millis(10);
            polled += self.exchange(from);
        }
        assert!(self.sender.tally().failed == 1 && self.sender.tally().heard == 2);
    }

    /// Exchanges all datagrams that are due; returns the number of polls.
    fn exchange(&mut self, from: SocketAddr) -> u32 {
        let mut polls = 0;
        self.sender.handle_timeout(self.now);
        for (number, host) in self.hosts.iter_mut().enumerate() {
            let is_second = number == 1;
            host.handle_timeout(self.now);
            while let Some((_, datagram)) = said(host, self.now) {
                let is_hello = Kind::peek(&datagram) == Some(Kind::Hello);
                if is_second && is_hello && self.greets_once && self.sender.tally().heard == 2 {
                    continue;
                }
                let source = if is_second && is_hello { self.greets_from } else { from };
                let source = if is_second { source } else { ([10, 0, 0, 9], 1).into() };
                let _ = self.sender.handle_datagram(self.now, source, &datagram);
            }
        }
        let mut out = Vec::new();
        while let Some(transmit) = self.sender.poll_transmit(self.now, &mut out) {
            polls += u32::from(transmit.kind == Kind::Poll);
            for (number, host) in self.hosts.iter_mut().enumerate() {
                if transmit.to == To::Everyone || number == 0 || !self.is_deaf {
                    let _ = host.handle_datagram(self.now, wall(self.now), SENDER, &out);
                }
            }
        }
        polls
    }
}

/// Returns a datagram of `bytes` bytes of another version.
fn foreign(version: u8, bytes: usize) -> Vec<u8> {
    let mut datagram = vec![0; bytes.max(5)];
    datagram[..5].copy_from_slice(&[version, 200, 1, 2, 3]);
    datagram.truncate(bytes);
    datagram
}

fn hear(host: &mut Receiver, now: Moment, from: SocketAddr, datagram: &[u8]) {
    assert_eq!(host.handle_datagram(now, WALL, from, datagram), Err(Discard::OtherVersion));
}

/// Returns what a host sends in the seconds after it heard a datagram, from a source of its own.
fn answers(host: &mut Receiver, number: u64, datagram: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
    let (now, from) = (at(number * 100_000), SocketAddr::from(([10, 2, 0, 1], 1_000 + number as u16)));
    let _ = host.handle_datagram(now, WALL, from, datagram);
    std::iter::from_fn(|| said(host, now + Duration::from_secs(2))).collect()
}
