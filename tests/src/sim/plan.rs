//! The plan that a seed draws: the object, the hosts, and each fault with its extent and time. Most faults are absent
//! from most runs, so that each also occurs alone.

use std::collections::BTreeMap;
use std::time::Duration;

use glancecast_proto::sender::{OneWay, Pace};
use glancecast_proto::units::Rate;

use super::Neighbour;
use super::dice::Dice;
use super::identity::Identities;
use super::road::Road;

/// The plan of one run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) object: ObjectPlan,
    pub(crate) hosts: Vec<HostPlan>,
    pub(crate) expecting: Expecting,
    pub(crate) pace: Pace,
    /// The time between two blocks of the source.
    pub(crate) read_gap: Duration,
    /// The time from the last block to the proof of the source.
    pub(crate) proof_after: Duration,
    pub(crate) one_way: Option<OneWay>,
    /// Whether the push names an older object that hosts may have.
    pub(crate) with_base: bool,
    /// Whether the sender signs.
    pub(crate) signed: bool,
    /// When the sender crashes, and how long it is away.
    pub(crate) sender_crash: Option<(Duration, Duration)>,
    /// Whether the source turns out wrong once it is read to its end.
    pub(crate) source_wrong: bool,
    /// When the operator stops the push.
    pub(crate) interrupted: Option<Duration>,
    /// From this time on the network is good and no host crashes.
    pub(crate) calm: Duration,
    pub(crate) timeout: Duration,
    /// Who the hosts are, and who else is there.
    pub(crate) identities: Identities,
    /// What is unlike a laboratory.
    pub(crate) road: Road,
}

/// The plan of the object.
#[derive(Clone, Debug)]
pub(crate) struct ObjectPlan {
    pub(crate) symbol_size: u16,
    /// The encoded length of each block; 0 for a zero block. A single entry is an object of one block, stored.
    pub(crate) blocks: Vec<u32>,
    /// Blocks that equal an earlier block.
    pub(crate) equals: BTreeMap<u32, u32>,
}

/// Which hosts must hold the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expecting {
    Names,
    Number,
    Anyone,
}

/// The plan of one host.
#[derive(Clone, Debug)]
pub(crate) struct HostPlan {
    pub(crate) start: Duration,
    pub(crate) outages: Vec<Outage>,
    pub(crate) weather: Weather,
    /// The time to read one datagram; zero: the socket never queues.
    pub(crate) datagram_time: Duration,
    /// The capacity of the socket, in datagrams.
    pub(crate) socket: usize,
    /// The time for one block.
    pub(crate) block_time: Duration,
    pub(crate) buffer_bytes: usize,
    /// The chance that memory flips a bit of a block.
    pub(crate) bad_memory: f64,
    /// How long the store takes to open the object.
    pub(crate) open_time: Duration,
    /// How long it then takes to search the base.
    pub(crate) base_time: Duration,
    /// The time from the write of a block to the flush of its record.
    pub(crate) flush_after: Duration,
    /// The senders whose pushes the host accepts.
    pub(crate) lists: Lists,
    pub(crate) disk: DiskPlan,
}

/// Which senders a host lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lists {
    /// None: it accepts every sender's pushes.
    Nobody,
    Ours,
    Another,
}

impl Lists {
    /// Whether such a host takes part in the simulated push.
    pub(crate) fn accepts(self, signed: bool) -> bool {
        match self {
            Self::Nobody => true,
            Self::Ours => signed,
            Self::Another => false,
        }
    }
}

/// An outage of a host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) at: Duration,
    /// `None` if it never comes back.
    pub(crate) back_after: Option<Duration>,
    pub(crate) how: Leaving,
}

/// How a host goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// At once, as by `kill -9`: written data stays, the last records are lost.
    Crash,
    /// At once: what was not durable is lost or torn.
    PowerLoss,
    /// At once: everything written and not published is lost.
    CrashAndLose,
    /// It is stopped, and notifies the sender.
    Stop,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct DiskPlan {
    pub(crate) before: Before,
    /// The unfinished file of an earlier push: its share of the object, from the front, and the chance that a block in
    /// it is wrong.
    pub(crate) unfinished: Option<(f64, f64)>,
    /// Whether the file system reports which blocks were never written.
    pub(crate) tells_holes: bool,
    /// The number of blocks that fit.
    pub(crate) full_after: Option<u32>,
    /// Whether there is too little space when the object is opened.
    pub(crate) full_at_open: bool,
    pub(crate) write_fails: f64,
    pub(crate) publish_fails: bool,
    /// Whether none of that is so any more once the host has been down.
    pub(crate) is_mended: bool,
    /// The host's copy of the older object, if any.
    pub(crate) base: Option<BasePlan>,
}

/// The plan of a host's base.
#[derive(Clone, Debug)]
pub(crate) struct BasePlan {
    /// The share of the object's blocks that the base has.
    pub(crate) share: f64,
    /// The share of these that were damaged after the base was indexed.
    pub(crate) bad: f64,
}

/// What has the object's name on the host before the push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Before {
    #[default]
    Nothing,
    Same,
    SameLength,
    Other,
}

/// The network of a host before the calm.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) loss: f64,
    pub(crate) up_loss: f64,
    /// Bursts of loss (Gilbert-Elliott).
    pub(crate) bursts: Option<Bursts>,
    pub(crate) doubled: f64,
    pub(crate) damaged: f64,
    /// The chance that a datagram is held back, and the longest delay.
    pub(crate) overtaken: (f64, Duration),
    /// The one-way delay, and the most that is added to it.
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    /// The longest datagram that gets through.
    pub(crate) longest: Option<usize>,
    pub(crate) partitions: Vec<Partition>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Bursts {
    pub(crate) begin: f64,
    pub(crate) end: f64,
    pub(crate) loss: f64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Partition {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    pub(crate) way: Way,
}

/// The direction that is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Both,
    Down,
    Up,
}

impl Plan {
    /// Draws a plan. Who the hosts are, and what their paths have that a laboratory lacks, come from dice of their own.
    pub(crate) fn draw(dice: &mut Dice, identity_dice: &mut Dice, road_dice: &mut Dice) -> Self {
        let mut plan = Self::draw_push(dice);
        let bits = plan.object.frame_bits() as f64;
        let pass = Duration::from_secs_f64(bits / plan.pace.cap().bits() as f64);
        Road::lay(road_dice, &mut plan, pass);
        plan.identities = Identities::draw(identity_dice, &mut plan);
        plan
    }

    /// Draws a signed push for named hosts that all list the sender, whose keys are known, and of which none fails.
    pub(crate) fn draw_quiet(dice: &mut Dice, neighbour: Neighbour) -> Self {
        let drawn = Self::draw_push(dice);
        let host = |host: HostPlan| HostPlan {
            start: Duration::ZERO,
            outages: Vec::new(),
            weather: Weather { delay: Duration::from_micros(200), ..Weather::default() },
            datagram_time: Duration::ZERO,
            block_time: Duration::from_millis(1),
            buffer_bytes: 64 << 20,
            bad_memory: 0.0,
            open_time: Duration::ZERO,
            lists: Lists::Ours,
            disk: DiskPlan::default(),
            ..host
        };
        let cap = drawn.pace.cap();
        let mut plan = Self {
            hosts: drawn.hosts.into_iter().map(host).collect(),
            expecting: Expecting::Names,
            pace: Pace::Fixed(cap),
            read_gap: Duration::ZERO,
            proof_after: Duration::ZERO,
            one_way: None,
            with_base: false,
            signed: true,
            sender_crash: None,
            source_wrong: false,
            interrupted: None,
            timeout: drawn.calm + LONG_ENOUGH,
            ..drawn
        };
        plan.identities = Identities::quiet(plan.hosts.len(), neighbour, plan.calm);
        plan
    }

    fn draw_push(dice: &mut Dice) -> Self {
        let with_base = dice.chance(0.12);
        let object = ObjectPlan::draw(dice, with_base);
        let pass = Duration::from_secs_f64(dice.log_within(0.02, 4.0));
        let rate = (object.frame_bits() as f64 / pass.as_secs_f64()).max(50_000.0) as u64;
        let at = |bits| Rate::from_bits(bits).expect("above 50 kbit/s");
        let calm = pass + Duration::from_secs_f64(dice.log_within(0.05, 40.0));
        // Most faults should fall into the pass, which is short compared with the time before the calm.
        let span = if dice.chance(0.6) { (pass * 2).min(calm) } else { calm };
        let one_way = dice
            .chance(if with_base { 0.0 } else { 0.04 })
            .then(|| OneWay { overhead: dice.within(0.0, 1.0), passes: 1 + dice.below(3) as u32 });
        let rare = dice.chance(0.5);
        let signed = dice.chance(0.12);
        // After a push that was interrupted, all hosts have about the same share.
        let left = dice.chance(0.1).then(|| dice.within(0.1, 1.2));
        let push = PushPlan { span, calm, signed, with_base, left };
        let hosts = (0..1 + dice.below(8)).map(|_| HostPlan::draw(dice, &object, push)).collect();
        let slow = dice.chance(0.2);
        Self {
            hosts,
            expecting: match dice.below(10) {
                0 => Expecting::Anyone,
                1 => Expecting::Number,
                _ => Expecting::Names,
            },
            pace: if dice.chance(0.3) { Pace::Auto { max: at(4 * rate) } } else { Pace::Fixed(at(rate)) },
            read_gap: if slow {
                dice.time(pass / object.blocks.len().max(1) as u32 * 3)
            } else {
                Duration::ZERO
            },
            proof_after: if slow { dice.time(pass) } else { Duration::ZERO },
            one_way,
            with_base,
            signed,
            sender_crash: (rare && dice.chance(0.15))
                .then(|| (dice.time(span), Duration::from_secs_f64(dice.log_within(0.05, 60.0)))),
            source_wrong: rare && dice.chance(0.05),
            interrupted: (rare && dice.chance(0.05)).then(|| dice.time(span)),
            calm,
            timeout: if rare && dice.chance(0.1) { dice.time(span) } else { calm + LONG_ENOUGH },
            identities: Identities::default(),
            road: Road::default(),
            object,
        }
    }
}

impl ObjectPlan {
    fn draw(dice: &mut Dice, with_equals: bool) -> Self {
        let symbol_size = [512, 512, 512, 1024, 1432][dice.below(5) as usize];
        let symbols = |dice: &mut Dice, most: f64| dice.log_within(1.0, most) * f64::from(symbol_size);
        let mut blocks = match dice.below(10) {
            0 => Vec::new(),
            1..=3 => vec![symbols(dice, 300.0) as u32],
            _ => (0..2 + dice.log_within(1.0, 24.0) as u32)
                .map(|_| if dice.chance(0.15) { 0 } else { symbols(dice, 60.0) as u32 })
                .collect(),
        };
        let mut equals = BTreeMap::new();
        for block in 1..blocks.len() {
            if with_equals && dice.chance(0.2) {
                let earlier = dice.below(block as u64) as usize;
                blocks[block] = blocks[earlier];
                equals.insert(block as u32, earlier as u32);
            }
        }
        Self { symbol_size, blocks, equals }
    }

    /// The bits of the object's datagrams on the line; never none.
    fn frame_bits(&self) -> u64 {
        self.symbols().max(1) * (u64::from(self.symbol_size) + 78) * 8
    }

    pub(crate) fn symbols(&self) -> u64 {
        self.blocks.iter().map(|&bytes| u64::from(bytes.div_ceil(u32::from(self.symbol_size)))).sum()
    }
}

/// What a host's plan needs of the push.
#[derive(Clone, Copy)]
struct PushPlan {
    /// Most faults occur within this time.
    span: Duration,
    /// No fault occurs from this time on.
    calm: Duration,
    signed: bool,
    with_base: bool,
    /// The share of the object that an earlier push has left.
    left: Option<f64>,
}

impl HostPlan {
    fn draw(dice: &mut Dice, object: &ObjectPlan, push: PushPlan) -> Self {
        let PushPlan { span, calm, signed, .. } = push;
        let slow = dice.chance(0.15);
        let mut outages = Vec::new();
        let mut at = dice.time(span);
        while dice.chance(if outages.is_empty() { 0.2 } else { 0.3 }) && at < calm {
            let away = Duration::from_secs_f64(dice.log_within(0.001, 15.0));
            let back_after = (!dice.chance(0.04)).then(|| away.min(calm - at));
            let how = [Leaving::Crash, Leaving::PowerLoss, Leaving::CrashAndLose, Leaving::Stop];
            let how = how[dice.below(4) as usize];
            outages.push(Outage { at, back_after, how });
            at = at + away + dice.time(span);
        }
        Self {
            start: if dice.chance(0.2) { dice.time(span) } else { Duration::ZERO },
            outages,
            weather: Weather::draw(dice, span, calm),
            datagram_time: if slow { dice.time(Duration::from_millis(2)) } else { Duration::ZERO },
            socket: 4 + dice.log_within(1.0, 300.0) as usize,
            block_time: if slow {
                dice.time(Duration::from_millis(300))
            } else {
                dice.time(Duration::from_millis(2))
            },
            buffer_bytes: dice.log_within(1.0, 64e6) as usize,
            bad_memory: if dice.chance(0.1) { dice.log_within(0.001, 0.3) } else { 0.0 },
            open_time: if slow { dice.time(Duration::from_millis(200)) } else { Duration::ZERO },
            base_time: Duration::from_secs_f64(dice.log_within(0.001, 3.0)),
            flush_after: Duration::from_secs_f64(dice.log_within(0.001, 0.5)),
            lists: match dice.below(120) {
                0 => Lists::Another,
                1 => Lists::Ours,
                _ if signed && dice.chance(0.5) => Lists::Ours,
                _ => Lists::Nobody,
            },
            disk: DiskPlan::draw(dice, object, push),
        }
    }
}

impl DiskPlan {
    fn draw(dice: &mut Dice, object: &ObjectPlan, push: PushPlan) -> Self {
        let before = match dice.below(25) {
            0 => Before::Same,
            1 => Before::SameLength,
            2 => Before::Other,
            _ => Before::Nothing,
        };
        let left = if dice.chance(0.05) { Some(dice.unit()) } else { push.left };
        let wrong = if dice.chance(0.3) { dice.unit() } else { 0.0 };
        let unfinished = left.map(|share| (share.min(1.0), wrong));
        let base = (push.with_base && dice.chance(0.8)).then(|| BasePlan::draw(dice));
        let good = Self { before, unfinished, base, tells_holes: dice.chance(0.8), ..Self::default() };
        if !dice.chance(0.08) {
            return good;
        }
        let kind = dice.below(4);
        Self {
            full_after: (kind == 0).then(|| dice.below(1 + object.blocks.len() as u64) as u32),
            full_at_open: kind == 1,
            write_fails: if kind == 2 { dice.log_within(0.02, 1.0) } else { 0.0 },
            publish_fails: kind == 3,
            ..good
        }
    }

    /// Whether the host can end up with the object.
    pub(crate) fn is_good(&self) -> bool {
        self.full_after.is_none()
            && !self.full_at_open
            && self.write_fails == 0.0
            && !self.publish_fails
            && matches!(self.before, Before::Nothing | Before::Same)
    }
}

impl BasePlan {
    fn draw(dice: &mut Dice) -> Self {
        Self {
            share: if dice.chance(0.3) { 1.0 } else { dice.unit() },
            bad: if dice.chance(0.3) { dice.unit() } else { 0.0 },
        }
    }
}

impl Weather {
    fn draw(dice: &mut Dice, span: Duration, calm: Duration) -> Self {
        let mut some = |chance: f64, from: f64, to: f64| {
            if dice.chance(chance) { dice.log_within(from, to) } else { 0.0 }
        };
        let (loss, up_loss) = (some(0.5, 0.001, 0.6), some(0.4, 0.001, 0.95));
        let (doubled, damaged, overtaken) =
            (some(0.25, 0.001, 0.5), some(0.15, 0.001, 0.2), some(0.3, 0.001, 0.5));
        let bursts = dice.chance(0.3).then(|| Bursts {
            begin: dice.log_within(0.0005, 0.05),
            end: dice.log_within(0.01, 0.5),
            loss: dice.within(0.3, 1.0),
        });
        let mut partitions = Vec::new();
        while dice.chance(0.12) && partitions.len() < 3 {
            let from = dice.time(span);
            let longest = [span, Duration::from_secs(45)][dice.below(2) as usize];
            let way = [Way::Both, Way::Down, Way::Up][dice.below(3) as usize];
            partitions.push(Partition { from, to: (from + dice.time(longest)).min(calm), way });
        }
        Self {
            loss,
            up_loss,
            bursts,
            doubled,
            damaged,
            overtaken: (overtaken, Duration::from_secs_f64(dice.log_within(0.000_1, 0.3))),
            delay: Duration::from_secs_f64(dice.log_within(0.000_02, 0.05)),
            jitter: Duration::from_secs_f64(dice.log_within(0.000_01, 0.01)),
            longest: dice.chance(0.06).then(|| 540 + dice.below(900) as usize),
            partitions,
        }
    }

    /// Returns what remains in the calm: a little loss, and the delay.
    pub(crate) fn calmed(&self) -> Self {
        Self {
            loss: self.loss.min(CALM_LOSS),
            up_loss: self.up_loss.min(CALM_LOSS),
            delay: self.delay,
            jitter: self.jitter,
            ..Self::default()
        }
    }

    pub(crate) fn is_cut(&self, at: Duration, way: Way) -> bool {
        let hit = |cut: &&Partition| cut.way == Way::Both || cut.way == way;
        self.partitions.iter().filter(hit).any(|cut| (cut.from..cut.to).contains(&at))
    }
}

/// The time from the calm to the timeout: hosts that were cut off forget an old session in 30 s, final reports are
/// repeated for 15 s, and all lost blocks are requested again.
const LONG_ENOUGH: Duration = Duration::from_secs(75);

const CALM_LOSS: f64 = 0.05;
