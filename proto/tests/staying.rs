//! How long a host stays in a signed push: as long as the sender lives, whoever else announces a push, and no longer than
//! it should where the sender is gone.

mod pair;

use std::time::Duration;

use glancecast_proto::ids::SessionId;
use glancecast_proto::receiver::{Effect, Receiver, ReceiverConfig, ReceiverEvent};
use glancecast_proto::seal::Cipher;
use glancecast_proto::sender::{Sender, SenderConfig, To};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::wire::{Down, Part, Poll};
use pair::{SENDER, announcement, at, effect, group_key, host_config, open, push_of, said, wall};
use zeroize::Zeroizing;

#[test]
fn a_host_stays_in_a_push_of_five_thousand_hosts_whoever_else_announces_one() {
    for other in [Other::Refused, Other::Waiting] {
        for hears in [Hears::All, Hears::PollsOnly, Hears::FirstPollsOnly, Hears::AnnouncementsOnly] {
            let mut push = Push::new();
            push.run(0..30_000, hears, other);
            assert_eq!((push.joined, push.left), (1, 0), "{other:?}, {hears:?}");
        }
    }
}

#[test]
fn a_host_leaves_a_sender_that_is_gone_after_three_windows_where_another_push_waits() {
    let mut push = Push::new();
    push.run(0..10_000, Hears::All, Other::Waiting);
    let left = push.left_after(10_000, Other::Waiting);
    assert!((3_000..4_500).contains(&left), "{left} ms");
    assert_eq!(push.joined, 2, "it joins the one that waits");
}

#[test]
fn a_refused_push_does_not_hasten_the_end_of_one_whose_sender_is_gone() {
    let mut push = Push::new();
    push.run(0..10_000, Hears::All, Other::Refused);
    let left = push.left_after(10_000, Other::Refused);
    assert!((29_000..=30_500).contains(&left), "{left} ms");
}

#[test]
fn what_somebody_has_recorded_of_a_sender_that_is_gone_keeps_no_host() {
    let mut push = Push::new();
    push.run(0..10_000, Hears::All, Other::Waiting);
    push.replays = true;
    let left = push.left_after(10_000, Other::Waiting);
    assert!((3_000..4_500).contains(&left), "{left} ms");
}

/// A host in a signed push, and other senders that announce pushes.
struct Push {
    sender: Sender,
    other: [Sender; 2],
    host: Receiver,
    /// All that the host has heard of the sender.
    recorded: Vec<Vec<u8>>,
    /// Whether somebody sends that again and again.
    replays: bool,
    joined: u32,
    left: u32,
}

/// What the host hears of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hears {
    All,
    /// Each poll and its repeats.
    PollsOnly,
    /// Each poll, and none of its repeats.
    FirstPollsOnly,
    AnnouncementsOnly,
    Nothing,
}

/// The other push.
#[derive(Clone, Copy, Debug)]
enum Other {
    /// By a sender that the host does not list.
    Refused,
    /// By one that it lists.
    Waiting,
}

impl Other {
    /// Milliseconds between its announcements.
    fn gap_ms(self) -> u64 {
        match self {
            Self::Refused => 5_000,
            Self::Waiting => 100,
        }
    }
}

impl Push {
    fn new() -> Self {
        let push = |session, signer| SenderConfig { signer: Some(key(signer)), ..push_of(session, 2 << 20) };
        Self {
            sender: Sender::new(at(0), push(1, 1)),
            other: [Sender::new(at(0), push(2, 2)), Sender::new(at(0), push(3, 1))],
            host: Receiver::new(ReceiverConfig { senders: vec![key(1).public()].into(), ..host_config() }),
            recorded: Vec::new(),
            replays: false,
            joined: 0,
            left: 0,
        }
    }

    /// Returns the milliseconds from `from` until the host leaves, where it hears nothing of its sender any more.
    fn left_after(&mut self, from: u64, other: Other) -> u64 {
        let left = self.left;
        (from..from + 60_000)
            .find(|&ms| {
                self.run(ms..ms + 1, Hears::Nothing, other);
                self.left > left
            })
            .map_or(u64::MAX, |ms| ms - from)
    }

    /// Lets these milliseconds pass.
    fn run(&mut self, ms: std::ops::Range<u64>, hears: Hears, other: Other) {
        for ms in ms {
            self.host.handle_timeout(at(ms));
            if ms == 0 || ms % 100 == 0 && matches!(hears, Hears::All | Hears::AnnouncementsOnly) {
                let announced = announcement(&mut self.sender, at(ms));
                self.hear(ms, announced);
            }
            self.poll(ms, hears);
            if ms % other.gap_ms() == other.gap_ms() / 2 {
                let announced = announcement(&mut self.other[other as usize], at(ms));
                let _ = self.host.handle_datagram(at(ms), wall(at(ms)), SENDER, &announced);
            }
            if self.replays && ms % 10 == 0 {
                for datagram in &self.recorded {
                    let _ = self.host.handle_datagram(at(ms), wall(at(ms)), SENDER, datagram);
                }
            }
            while said(&mut self.host, at(ms)).is_some() {}
            self.note(ms);
        }
    }

    /// Polls every 1.26 s, and repeats each poll three times, as for five thousand hosts.
    fn poll(&mut self, ms: u64, hears: Hears) {
        let (round, within) = (ms / POLL_GAP_MS, ms % POLL_GAP_MS);
        if !matches!(within, 0 | 20 | 40 | 60) {
            return;
        }
        let window = Duration::from_millis(1_250);
        let poll = Poll {
            round: round as u32 + 1,
            blocks_sent: 0,
            manifest_sent: 0,
            window,
            slots: 5_000,
            part: Part::ALL,
            root: None,
        };
        let (session, number) = (SessionId([1; 16]), self.sender.take_sequences(To::Everyone, 1));
        let (cipher, mut out) = (Cipher::downward(&group_key(), session), Vec::new());
        let signer = key(1);
        let scope = group_key().scope(session);
        Down::Poll(poll).seal(&cipher, Some(signer.within(scope)), session, number, &mut out);
        if matches!(hears, Hears::All | Hears::PollsOnly) || hears == Hears::FirstPollsOnly && within == 0 {
            self.hear(ms, out);
        }
    }

    fn hear(&mut self, ms: u64, datagram: Vec<u8>) {
        let _ = self.host.handle_datagram(at(ms), wall(at(ms)), SENDER, &datagram);
        self.recorded.push(datagram);
    }

    /// Counts how often the host joins and leaves, and has its store work.
    fn note(&mut self, ms: u64) {
        while let Some(event) = self.host.poll_event() {
            self.joined += u32::from(matches!(event, ReceiverEvent::Joined(_)));
            self.left += u32::from(matches!(event, ReceiverEvent::Failed { .. }));
        }
        while let Some(work) = effect(&mut self.host) {
            match work {
                Effect::PutAway(..) => self.host.handle_put_away(),
                Effect::Prepare(..) => {
                    open(&mut self.host, at(ms));
                }
                _ => {}
            }
        }
    }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([seed; 32]))
}

const POLL_GAP_MS: u64 = 1_260;
