//! What a seed draws: the object, the hosts, and everything that goes wrong, how much of it and when. Each kind of fault
//! is absent in most runs, so that the others are also met alone.

use std::collections::BTreeMap;
use std::time::Duration;

use glancecast_proto::sender::{OneWay, Pace};
use glancecast_proto::units::Rate;

use super::dice::Dice;

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) object: ObjectPlan,
    pub(crate) hosts: Vec<HostPlan>,
    pub(crate) expecting: Expecting,
    pub(crate) pace: Pace,
    /// Between two blocks of the source.
    pub(crate) read_gap: Duration,
    /// From the last block to the proof of the source.
    pub(crate) proof_after: Duration,
    pub(crate) one_way: Option<OneWay>,
    /// An older object is named that hosts may have.
    pub(crate) with_base: bool,
    /// The sender signs what it says.
    pub(crate) signed: bool,
    /// When the sender crashes, and for how long it is gone.
    pub(crate) sender_crash: Option<(Duration, Duration)>,
    /// The source is read to its end and is not what it should be.
    pub(crate) source_wrong: bool,
    /// When a person stops the push.
    pub(crate) interrupted: Option<Duration>,
    /// From here on the network is good and nobody crashes.
    pub(crate) calm: Duration,
    pub(crate) timeout: Duration,
}

/// What is pushed.
#[derive(Clone, Debug)]
pub(crate) struct ObjectPlan {
    pub(crate) symbol_size: u16,
    /// Bytes of each block as it travels; 0 for a zero block. One entry: an object of a single block, as it is.
    pub(crate) blocks: Vec<u32>,
    /// Blocks that are the same as an earlier one.
    pub(crate) equals: BTreeMap<u32, u32>,
}

/// Who must hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expecting {
    Names,
    Number,
    Anyone,
}

/// One host and what happens to it.
#[derive(Clone, Debug)]
pub(crate) struct HostPlan {
    pub(crate) start: Duration,
    pub(crate) outages: Vec<Outage>,
    pub(crate) weather: Weather,
    /// For one datagram; zero: no queue ever builds up.
    pub(crate) datagram_time: Duration,
    /// Datagrams that its socket holds.
    pub(crate) socket: usize,
    /// For one block.
    pub(crate) block_time: Duration,
    pub(crate) buffer_bytes: usize,
    /// Chance that its memory flips a bit of a block.
    pub(crate) bad_memory: f64,
    /// Until the store has found a place.
    pub(crate) open_time: Duration,
    /// From there until a base was looked through.
    pub(crate) base_time: Duration,
    /// From a block that was written to its record.
    pub(crate) flush_after: Duration,
    /// Whose pushes it takes part in.
    pub(crate) lists: Lists,
    pub(crate) disk: DiskPlan,
}

/// Which senders a host lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lists {
    /// None: it takes part in everybody's pushes.
    Nobody,
    Ours,
    Another,
}

impl Lists {
    /// Whether such a host takes part in our push.
    pub(crate) fn accepts(self, signed: bool) -> bool {
        match self {
            Self::Nobody => true,
            Self::Ours => signed,
            Self::Another => false,
        }
    }
}

/// A host is away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) at: Duration,
    /// `None`: it never comes back.
    pub(crate) back_after: Option<Duration>,
    pub(crate) how: Leaving,
}

/// How a host goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// At once, as after `kill -9`; what was written is still there, and the last records are not.
    Crash,
    /// At once, and what was not made durable is gone, or there in part.
    PowerLoss,
    /// At once, and all that was written and not published is gone.
    CrashAndLose,
    /// It says so.
    Stop,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct DiskPlan {
    pub(crate) before: Before,
    /// What an earlier push has left unfinished: a share of the object from its front, and of which share of that the blocks
    /// are others.
    pub(crate) unfinished: Option<(f64, f64)>,
    /// Its file system tells which blocks were never written.
    pub(crate) tells_holes: bool,
    /// So many blocks fit.
    pub(crate) full_after: Option<u32>,
    /// The announcement already does not fit.
    pub(crate) full_at_open: bool,
    pub(crate) write_fails: f64,
    pub(crate) publish_fails: bool,
    /// What it has of the older object that is named, if anything.
    pub(crate) base: Option<BasePlan>,
}

/// A host's base.
#[derive(Clone, Debug)]
pub(crate) struct BasePlan {
    /// Of the object's blocks, those that are in it.
    pub(crate) share: f64,
    /// Of these, those that have gone bad since it was looked through.
    pub(crate) bad: f64,
}

/// What bears the object's name on the host before the push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Before {
    #[default]
    Nothing,
    Same,
    SameLength,
    Other,
}

/// A host's network until the calm.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) loss: f64,
    pub(crate) up_loss: f64,
    /// Gilbert-Elliott.
    pub(crate) bursts: Option<Bursts>,
    pub(crate) doubled: f64,
    pub(crate) damaged: f64,
    /// Chance of being held back, and for how long at most.
    pub(crate) overtaken: (f64, Duration),
    /// One way, at least, and what comes on top of it at most.
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    /// Longer datagrams vanish.
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

/// Which way nothing comes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Both,
    Down,
    Up,
}

impl Plan {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let with_base = dice.chance(0.12);
        let object = ObjectPlan::draw(dice, with_base);
        let pass = Duration::from_secs_f64(dice.log_within(0.02, 4.0));
        let bits = object.symbols().max(1) as f64 * (f64::from(object.symbol_size) + 78.0) * 8.0;
        let rate = (bits / pass.as_secs_f64()).max(50_000.0) as u64;
        let at = |bits| Rate::from_bits(bits).expect("above 50 kbit/s");
        let calm = pass + Duration::from_secs_f64(dice.log_within(0.05, 40.0));
        // What is to go wrong should mostly do so during the pass, which is short before the calm.
        let span = if dice.chance(0.6) { (pass * 2).min(calm) } else { calm };
        let one_way = dice
            .chance(if with_base { 0.0 } else { 0.04 })
            .then(|| OneWay { overhead: dice.within(0.0, 1.0), passes: 1 + dice.below(3) as u32 });
        let rare = dice.chance(0.5);
        let signed = dice.chance(0.12);
        // Where an earlier push was broken off, all hosts have about as much of it.
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
            object,
        }
    }
}

impl ObjectPlan {
    fn draw(dice: &mut Dice, with_equals: bool) -> Self {
        let symbol_size = [488, 488, 488, 1024, 1432][dice.below(5) as usize];
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

    pub(crate) fn symbols(&self) -> u64 {
        self.blocks.iter().map(|&bytes| u64::from(bytes.div_ceil(u32::from(self.symbol_size)))).sum()
    }
}

/// What a host's plan has to know of the push.
#[derive(Clone, Copy)]
struct PushPlan {
    /// Things go wrong mostly within this.
    span: Duration,
    /// And never from here on.
    calm: Duration,
    signed: bool,
    with_base: bool,
    /// What an earlier push has left, of the whole.
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

    /// Whether the object can get there.
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

    /// What is left of it in the calm: some loss, and the length of the way.
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

/// After the calm: hosts that were cut off forget an old session in 30 s, the last words are said for 15 s, and all
/// lost blocks are asked for again.
const LONG_ENOUGH: Duration = Duration::from_secs(75);

const CALM_LOSS: f64 = 0.05;
