//! A hostile machine among the hosts: it has the group's key, a host key and a name of its own, hears all that the
//! others hear and say, and sends any datagram from any address.
//!
//! It knows no key of another host and none of the sender. What it sends to hosts it sends where they list their
//! senders: elsewhere it could announce pushes of its own, as docs/security.md says. It sends no symbols, because bad
//! symbols are known to fail hosts.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use glancecast_proto::agree::AgreementKey;
use glancecast_proto::echo::Echo;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName, ObjectName, ReceiverId, Sequence, SessionId};
use glancecast_proto::integrity::Root;
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{
    Announce, Audience, CommandOutcome, DeficitRun, DiskFormat, Done, Down, End, Failed, FailureKind, Hello,
    Kind, Notice, Outcome, Part, Pin, Poll, Receipt, Report, Totals, Up, UpHeader, VERSION,
};
use zeroize::Zeroizing;

use super::Neighbour;
use super::dice::Dice;
use super::host::{KEY, SENDER};
use super::identity::host_key;
use super::overhear;
use super::plan::{Lists, Plan};

/// What the machine does in a run.
#[derive(Clone, Debug)]
pub(crate) struct InsiderPlan {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    /// The longest time between two of its bursts.
    gap: Duration,
    /// Datagrams in one burst.
    burst: u64,
    attacks: Vec<Attack>,
    /// Whether the push is for it too.
    pub(crate) is_meant: bool,
    /// Whether it sends in the names of other addresses.
    pub(crate) spoofs: bool,
    /// Whether it talks to hosts: all of them list their senders.
    pub(crate) misleads_hosts: bool,
}

/// What it sends to the sender, or to hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    /// Hellos with its own key in the names of others.
    HellosOfOthers,
    /// Hellos in made-up names.
    HellosOfMadeUp,
    /// Reports of others, under all keys that it has.
    Reports,
    /// That others are done, or have failed, with receipts that it has signed.
    LastWords,
    /// Notices that others speak another version.
    Notices,
    /// What others have said, again.
    Replays,
    /// It takes part itself, and asks for everything in each round.
    Greedy,
    /// It takes part itself, and says that it is done, under the sender's root and under others.
    Lies,
    /// To hosts: the session announced again with its own address, unsigned or signed by itself.
    Diverts,
    /// To hosts: sessions of its own.
    Announces,
    /// To hosts: roots, ends and polls in the sender's name.
    Vouches,
    /// To hosts: datagrams of another version, and what they have heard before.
    Noise,
}

const ON_SENDER: [Attack; 8] = [
    Attack::HellosOfOthers,
    Attack::HellosOfMadeUp,
    Attack::Reports,
    Attack::LastWords,
    Attack::Notices,
    Attack::Replays,
    Attack::Greedy,
    Attack::Lies,
];
const ON_HOSTS: [Attack; 4] = [Attack::Diverts, Attack::Announces, Attack::Vouches, Attack::Noise];

impl InsiderPlan {
    /// Draws what the machine does; in half of the runs all hosts list the sender, which signs.
    pub(crate) fn draw(dice: &mut Dice, plan: &mut Plan) -> Self {
        if dice.chance(0.5) {
            plan.signed = true;
            plan.hosts.iter_mut().for_each(|host| host.lists = Lists::Ours);
        }
        let misleads_hosts = plan.signed && plan.hosts.iter().all(|host| host.lists.is_closed());
        let possible = ON_SENDER.iter().chain(ON_HOSTS.iter().filter(|_| misleads_hosts));
        let share = [0.2, 1.0][dice.below(2) as usize];
        let mut attacks: Vec<Attack> = possible.copied().filter(|_| dice.chance(share)).collect();
        if attacks.is_empty() {
            attacks.push(Attack::LastWords);
        }
        let from = if dice.chance(0.7) { Duration::ZERO } else { dice.time(plan.calm) };
        Self {
            from,
            to: from + dice.time(plan.calm * 2 + Duration::from_secs(4)),
            gap: Duration::from_secs_f64(dice.log_within(0.002, 0.3)),
            burst: 1 + dice.below(12),
            attacks,
            is_meant: dice.chance(0.4),
            spoofs: dice.chance(0.3),
            misleads_hosts,
        }
    }

    /// Returns a machine that does everything, some hundred times a second, from the start on.
    pub(crate) fn everything(neighbour: Neighbour, calm: Duration) -> Self {
        Self {
            from: Duration::ZERO,
            to: calm * 2 + Duration::from_secs(4),
            gap: Duration::from_millis(4),
            burst: 6,
            // A machine that says it is done is served no more.
            attacks: ON_SENDER.into_iter().filter(|&attack| attack != Attack::Lies).chain(ON_HOSTS).collect(),
            is_meant: neighbour == Neighbour::Member,
            spoofs: false,
            misleads_hosts: true,
        }
    }

    /// Whether it takes part in a push itself, as a host.
    pub(crate) fn takes_part(&self) -> bool {
        let joins = [Attack::Greedy, Attack::Lies, Attack::HellosOfMadeUp];
        self.attacks.iter().any(|attack| joins.contains(attack))
    }
}

/// What it needs to know of the push; all of it is announced to the whole group.
pub(crate) struct Scene<'a> {
    pub(crate) now: Moment,
    pub(crate) wall: WallClock,
    pub(crate) session: SessionId,
    pub(crate) geometry: Geometry,
    pub(crate) root: Option<Root>,
    /// The round that is under way, and the number of blocks that were sent.
    pub(crate) round: u32,
    pub(crate) covered: u32,
    /// Names of others that belong to a key in the sender's eyes, so that it cannot be the first to use them.
    pub(crate) owned: &'a [HostName],
}

/// One datagram of the machine.
pub(crate) struct Forgery {
    pub(crate) to: Victim,
    pub(crate) from: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Sender,
    Hosts,
}

/// The machine.
pub(crate) struct Insider {
    plan: InsiderPlan,
    dice: Dice,
    pub(crate) wake: Option<Moment>,
    key: SigningKey,
    agreement: AgreementKey,
    number: u64,
    /// The last datagrams that hosts have said, and that the sender has said to the group, with their senders.
    said: VecDeque<(SocketAddr, Rc<[u8]>)>,
    sent: VecDeque<Rc<[u8]>>,
    /// What it has joined as itself.
    joined: Option<SessionId>,
}

impl Insider {
    pub(crate) fn new(plan: &InsiderPlan, seed: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            wake: Some(Moment::default() + plan.from),
            plan: plan.clone(),
            key: host_key(OWN_KEY),
            agreement: AgreementKey::from_seed(&Zeroizing::new([66; AgreementKey::SEED_BYTES])),
            number: 0,
            said: VecDeque::new(),
            sent: VecDeque::new(),
            joined: None,
        }
    }

    pub(crate) fn plan(&self) -> &InsiderPlan {
        &self.plan
    }

    /// Hears a datagram of a host.
    pub(crate) fn hear_host(&mut self, from: SocketAddr, datagram: &Rc<[u8]>) {
        keep(&mut self.said, (from, Rc::clone(datagram)));
    }

    /// Hears a datagram of the sender.
    pub(crate) fn hear_sender(&mut self, datagram: &Rc<[u8]>) {
        if datagram[1] != Kind::Symbol as u8 {
            keep(&mut self.sent, Rc::clone(datagram));
        }
    }

    /// Returns its next burst.
    pub(crate) fn turn(&mut self, scene: &Scene<'_>) -> (Attack, Vec<Forgery>) {
        let next = scene.now + self.dice.time(self.plan.gap).max(Duration::from_micros(100));
        self.wake = Some(next).filter(|&at| at.since(Moment::default()) < self.plan.to);
        let attack = self.plan.attacks[self.dice.below(self.plan.attacks.len() as u64) as usize];
        let mut burst = Vec::new();
        for _ in 0..1 + self.dice.below(self.plan.burst) {
            self.attack(attack, scene, &mut burst);
        }
        (attack, burst)
    }

    fn attack(&mut self, attack: Attack, scene: &Scene<'_>, burst: &mut Vec<Forgery>) {
        match attack {
            Attack::HellosOfOthers => {
                if !scene.owned.is_empty() {
                    let name = scene.owned[self.dice.below(scene.owned.len() as u64) as usize].clone();
                    let id = self.somebody(scene).unwrap_or(ReceiverId(self.dice.bytes()));
                    let bytes = self.hello(scene, id, name);
                    self.tell_sender(burst, bytes);
                }
            }
            Attack::HellosOfMadeUp => {
                let name = format!("made-up-{}", self.dice.below(1_000));
                let id = ReceiverId(self.dice.bytes());
                let bytes = self.hello(scene, id, HostName::new(&name).expect("plain"));
                self.tell_sender(burst, bytes);
            }
            Attack::Reports | Attack::LastWords => {
                if let Some(id) = self.somebody(scene) {
                    let up = if attack == Attack::Reports {
                        Up::Report(self.wish(scene))
                    } else {
                        self.last_word(scene, id)
                    };
                    let cipher = self.some_cipher(scene, id);
                    let bytes = self.sealed(&cipher, scene, id, &up);
                    self.tell_sender(burst, bytes);
                }
            }
            Attack::Notices => {
                if !scene.owned.is_empty() {
                    let name = &scene.owned[self.dice.below(scene.owned.len() as u64) as usize];
                    let (salt, mut bytes) = (self.dice.bytes(), Vec::new());
                    let key = GroupKey::new(KEY);
                    Notice::seal_as(VERSION + 1, name, "other", scene.session.tag(), salt, &key, &mut bytes);
                    self.tell_sender(burst, bytes);
                }
            }
            Attack::Replays => {
                if !self.said.is_empty() {
                    let at = self.dice.below(self.said.len() as u64) as usize;
                    let bytes = self.said[at].1.to_vec();
                    self.tell_sender(burst, bytes);
                }
            }
            Attack::Greedy | Attack::Lies => self.take_part(attack, scene, burst),
            Attack::Diverts | Attack::Announces => self.announce(attack, scene, burst),
            Attack::Vouches => self.vouch(scene, burst),
            Attack::Noise => {
                if !self.sent.is_empty() {
                    let at = self.dice.below(self.sent.len() as u64) as usize;
                    let mut bytes = self.sent[at].to_vec();
                    if self.dice.chance(0.3) {
                        bytes[0] = VERSION + 1;
                    }
                    self.tell_hosts(burst, bytes);
                }
            }
        }
    }

    /// Takes part under its own name and key.
    fn take_part(&mut self, attack: Attack, scene: &Scene<'_>, burst: &mut Vec<Forgery>) {
        let id = ReceiverId([66; 8]);
        if self.joined != Some(scene.session) || self.dice.chance(0.05) {
            self.joined = Some(scene.session);
            let bytes = self.hello(scene, id, name());
            burst.push(Forgery { to: Victim::Sender, from: ADDRESS, bytes });
            return;
        }
        let up = match attack {
            Attack::Lies => self.done(scene, &name()),
            _ => Up::Report(self.wish(scene)),
        };
        let cipher = self.own_cipher(scene, id);
        let bytes = self.sealed(&cipher, scene, id, &up);
        burst.push(Forgery { to: Victim::Sender, from: ADDRESS, bytes });
    }

    fn announce(&mut self, attack: Attack, scene: &Scene<'_>, burst: &mut Vec<Forgery>) {
        let session = if attack == Attack::Diverts {
            scene.session
        } else {
            SessionId([self.dice.below(20) as u8; 16])
        };
        let announce = Announce {
            session,
            time: scene.wall,
            started: scene.wall,
            geometry: scene.geometry,
            name: ObjectName::new("image").expect("plain"),
            image_id: None,
            format: DiskFormat::Raw,
            pin: Pin::None,
            reply_to: if self.dice.chance(0.8) { ADDRESS } else { SENDER },
            spread: Duration::ZERO,
            audience: Audience::Everyone,
            agreement: self.agreement.public(),
            one_way: self.dice.chance(0.1),
            base: None,
            data_bytes: None,
        };
        let key = GroupKey::new(KEY);
        let (sequence, is_signed, mut bytes) = (self.next(), self.dice.chance(0.5), Vec::new());
        let signer = is_signed.then(|| self.key.within(key.scope(session)));
        announce.seal(&Cipher::downward(&key, session), signer, sequence, &mut bytes);
        self.tell_hosts(burst, bytes);
    }

    fn vouch(&mut self, scene: &Scene<'_>, burst: &mut Vec<Forgery>) {
        let down = match self.dice.below(3) {
            0 => Down::End(End::Over),
            1 => Down::End(End::Aborted("no".into())),
            _ => Down::Poll(Poll {
                round: scene.round + self.dice.below(4) as u32,
                blocks_sent: scene.geometry.blocks(),
                manifest_sent: scene.geometry.blocks(),
                window: Duration::from_millis(10),
                slots: 1,
                part: Part::ALL,
                root: Some(Root([6; 32])),
            }),
        };
        let key = GroupKey::new(KEY);
        let (sequence, is_signed, mut bytes) = (self.next(), self.dice.chance(0.5), Vec::new());
        let signer = is_signed.then(|| self.key.within(key.scope(scene.session)));
        let cipher = Cipher::downward(&key, scene.session);
        down.seal(&cipher, signer, scene.session, sequence, &mut bytes);
        self.tell_hosts(burst, bytes);
    }

    /// Returns the id of a start that said something in this session.
    fn somebody(&mut self, scene: &Scene<'_>) -> Option<ReceiverId> {
        let heard = self.said.iter().filter_map(|(_, said)| UpHeader::parse(said).ok());
        let ids: Vec<ReceiverId> =
            heard.filter(|up| up.header.tag == scene.session.tag()).map(|up| up.receiver).collect();
        let at = self.dice.below(ids.len().max(1) as u64) as usize;
        ids.get(at).copied()
    }

    /// Returns one of the ciphers that it has for a start: those that the group's key gives, and one of its own
    /// agreement.
    fn some_cipher(&mut self, scene: &Scene<'_>, id: ReceiverId) -> Cipher {
        let group = GroupKey::new(KEY);
        match self.dice.below(3) {
            0 => Cipher::upward(&group, scene.session, id),
            1 => Cipher::downward(&group, scene.session),
            _ => self.own_cipher(scene, id),
        }
    }

    fn own_cipher(&self, scene: &Scene<'_>, id: ReceiverId) -> Cipher {
        let shared = self.agreement.agree(&overhear::sender_agreement().public()).expect("a sender's key");
        Cipher::private_up(&GroupKey::new(KEY), scene.session, id, &shared)
    }

    fn last_word(&mut self, scene: &Scene<'_>, id: ReceiverId) -> Up {
        let name = self.name_of(scene, id).unwrap_or_else(name);
        if self.dice.chance(0.7) {
            return self.done(scene, &name);
        }
        let kind = FailureKind::Store;
        let receipt = self.receipt(scene, &name, Outcome::Failed(kind));
        Up::Failed(Failed { kind, reason: "no".into(), totals: Totals::default(), receipt })
    }

    /// Returns the word that a host of this name is done.
    fn done(&mut self, scene: &Scene<'_>, name: &HostName) -> Up {
        let root = scene.root.filter(|_| self.dice.chance(0.7)).unwrap_or(Root([1; 32]));
        let receipt = self.receipt(scene, name, Outcome::Published(root));
        let command = CommandOutcome::None;
        Up::Done(Done { root, existing: false, totals: Totals::default(), receipt, command })
    }

    fn receipt(&self, scene: &Scene<'_>, name: &HostName, outcome: Outcome) -> Receipt {
        let scope = GroupKey::new(KEY).scope(scene.session);
        Receipt::sign(&self.key, scope, name.clone(), scene.wall, outcome)
    }

    /// Returns the name that a start has said in its hello.
    fn name_of(&self, scene: &Scene<'_>, id: ReceiverId) -> Option<HostName> {
        let of_it = |said: &&(SocketAddr, Rc<[u8]>)| {
            UpHeader::parse(&said.1).is_ok_and(|up| up.receiver == id && up.header.kind == Kind::Hello)
        };
        let hello = self.said.iter().find(of_it)?;
        overhear::hello(scene.session, scene.geometry, &hello.1).map(|hello| hello.name)
    }

    /// Returns a report that asks for everything that was sent.
    fn wish(&mut self, scene: &Scene<'_>) -> Report {
        let blocks = scene.covered.min(scene.geometry.blocks()).min(u32::from(u16::MAX)) as u16;
        let run = DeficitRun { first: BlockIndex(0), blocks, symbols: 1 + self.dice.below(80) as u16 };
        Report {
            round: scene.round,
            // All that was sent: what is asked for is sent once more.
            highest: Sequence::new(1 << 39).expect("40 bits"),
            blocks_held: 0,
            covered: scene.covered,
            deficits: if blocks == 0 { Vec::new() } else { vec![run] },
            gaps: Vec::new(),
            kept: Vec::new(),
            suspects: Vec::new(),
            echo: Echo::default(),
            buffers: 4,
            free: 0,
            via: None,
            totals: Totals::default(),
        }
    }

    fn hello(&mut self, scene: &Scene<'_>, id: ReceiverId, name: HostName) -> Vec<u8> {
        let hello = Hello {
            agreement: self.agreement.public(),
            name,
            software: String::new(),
            busy: self.dice.chance(0.2).then(|| "something".to_owned()),
            can_relay: false,
            mtu: None,
            via: None,
            kept: Vec::new(),
        };
        let (group, sequence) = (GroupKey::new(KEY), self.next());
        let (cipher, mut out) = (Cipher::upward(&group, scene.session, id), Vec::new());
        hello.seal(&cipher, self.key.within(group.scope(scene.session)), id, sequence, &mut out);
        out
    }

    fn sealed(&mut self, cipher: &Cipher, scene: &Scene<'_>, id: ReceiverId, up: &Up) -> Vec<u8> {
        let (sequence, mut out) = (self.next(), Vec::new());
        up.seal(cipher, scene.session.tag(), id, sequence, &mut out);
        out
    }

    fn tell_sender(&mut self, burst: &mut Vec<Forgery>, bytes: Vec<u8>) {
        let from = self.some_address();
        burst.push(Forgery { to: Victim::Sender, from, bytes });
    }

    fn tell_hosts(&mut self, burst: &mut Vec<Forgery>, bytes: Vec<u8>) {
        let from = if self.plan.spoofs && self.dice.chance(0.5) { SENDER } else { ADDRESS };
        burst.push(Forgery { to: Victim::Hosts, from, bytes });
    }

    /// Returns its own address, or that of a host.
    fn some_address(&mut self) -> SocketAddr {
        if !self.plan.spoofs || self.said.is_empty() || self.dice.chance(0.5) {
            return ADDRESS;
        }
        self.said[self.dice.below(self.said.len() as u64) as usize].0
    }

    /// Returns numbers that are above all that others have used so far.
    fn next(&mut self) -> Sequence {
        self.number += 1 + self.dice.below(1_000);
        Sequence::new(self.number).expect("40 bits")
    }
}

/// The machine's own name.
pub(crate) fn name() -> HostName {
    HostName::new("insider").expect("plain")
}

fn keep<T>(last: &mut VecDeque<T>, one: T) {
    if last.len() == KEPT {
        last.pop_front();
    }
    last.push_back(one);
}

/// What its host key is made of.
pub(crate) const OWN_KEY: &str = "the insider";

/// Where the machine sits.
pub(crate) const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 66)), 40_000);

/// Datagrams of others that it keeps.
const KEPT: usize = 64;
