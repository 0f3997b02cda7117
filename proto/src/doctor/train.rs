//! A train of probes: what is sent, and what came of it at a host.

/// By which way a probe comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// By the group.
    Group,
    /// To the host's own address.
    Unicast,
}

/// Probes of one way, TTL and length that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The way.
    pub way: Way,
    /// The TTL that they were sent with, as they say.
    pub ttl: u8,
    /// Their length, of UDP payload.
    pub bytes: u16,
    /// How many of them.
    pub count: u32,
}

impl Bucket {
    /// Returns the bucket as one number.
    pub(super) fn packed(self) -> u64 {
        let way = u64::from(self.way == Way::Unicast);
        way << 63 | u64::from(self.ttl) << 48 | u64::from(self.bytes) << 32 | u64::from(self.count)
    }

    pub(super) fn unpacked(value: u64) -> Self {
        let way = if value >> 63 == 1 { Way::Unicast } else { Way::Group };
        Self { way, ttl: (value >> 48) as u8, bytes: (value >> 32) as u16, count: value as u32 }
    }
}

/// What came of a train, at most `BUCKETS_MAX` kinds of probes. Further kinds are not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(Vec<Bucket>);

impl Tally {
    /// Counts a probe.
    pub fn count(&mut self, way: Way, ttl: u8, bytes: u16) {
        self.put(Bucket { way, ttl, bytes, count: 1 });
    }

    /// Adds the probes of a bucket.
    pub(super) fn put(&mut self, bucket: Bucket) {
        let is_like = |other: &&mut Bucket| {
            (other.way, other.ttl, other.bytes) == (bucket.way, bucket.ttl, bucket.bytes)
        };
        if let Some(like) = self.0.iter_mut().find(is_like) {
            like.count = like.count.saturating_add(bucket.count);
        } else if self.0.len() < BUCKETS_MAX {
            self.0.push(bucket);
        }
    }

    /// Returns the kinds of probes, with the number of each.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> {
        self.0.iter().copied()
    }

    /// Returns the number of probes that came by one way.
    pub fn by(&self, way: Way) -> u32 {
        self.sum(|bucket| bucket.way == way)
    }

    /// Returns the number of probes that came by one way with this length.
    pub fn of_length(&self, way: Way, bytes: u16) -> u32 {
        self.sum(|bucket| bucket.way == way && bucket.bytes == bytes)
    }

    /// Returns the number of probes that came by the group with this TTL.
    pub fn of_ttl(&self, ttl: u8) -> u32 {
        self.sum(|bucket| bucket.way == Way::Group && bucket.ttl == ttl)
    }

    fn sum(&self, wanted: impl Fn(&Bucket) -> bool) -> u32 {
        self.0.iter().filter(|bucket| wanted(bucket)).fold(0, |sum, bucket| sum.saturating_add(bucket.count))
    }
}

/// Kinds of probes of a train that are told apart: five lengths to the group, and four to a host.
pub(super) const BUCKETS_MAX: usize = 10;

/// What a train is made of: runs of equal probes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrainPlan {
    runs: Vec<Run>,
}

/// Equal probes in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    count: u16,
    bytes: u16,
    ttl: u8,
    /// The number of probes that leave with one call; 1 for each alone.
    batch: u16,
}

/// One probe of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedProbe {
    /// Its UDP payload in bytes.
    pub bytes: u16,
    /// Its TTL.
    pub ttl: u8,
    /// Whether the probe after it leaves with the same call.
    pub is_followed: bool,
}

impl TrainPlan {
    /// Adds `count` probes of `bytes` bytes of UDP payload.
    #[must_use]
    pub fn with(self, count: u16, bytes: u16, ttl: u8) -> Self {
        self.with_batches(count, bytes, ttl, 1)
    }

    /// Adds probes of which `batch` leave with one call, as the datagrams of a push do. They have a length of their
    /// own.
    #[must_use]
    pub fn with_batches(mut self, count: u16, bytes: u16, ttl: u8, batch: u16) -> Self {
        self.runs.push(Run { count, bytes, ttl, batch });
        self
    }

    /// Returns the number of probes.
    pub fn count(&self) -> u16 {
        self.runs.iter().map(|run| run.count).sum()
    }

    /// Returns the bytes of all, of UDP payload.
    pub fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.count) * u64::from(run.bytes)).sum()
    }

    /// Returns the probe with this index.
    pub fn probe(&self, index: u16) -> Option<PlannedProbe> {
        let mut index = index;
        for run in &self.runs {
            if index < run.count {
                let is_followed = index + 1 < run.count && !(index + 1).is_multiple_of(run.batch);
                return Some(PlannedProbe { bytes: run.bytes, ttl: run.ttl, is_followed });
            }
            index -= run.count;
        }
        None
    }

    /// Returns the length of the probes that leave in batches, if there are such.
    pub fn batch_bytes(&self) -> Option<u16> {
        self.runs.iter().find(|run| run.batch > 1).map(|run| run.bytes)
    }

    /// Returns the number of probes with this length.
    pub fn of_length(&self, bytes: u16) -> u32 {
        self.runs.iter().filter(|run| run.bytes == bytes).map(|run| u32::from(run.count)).sum()
    }

    /// Returns the number of probes with this TTL.
    pub fn of_ttl(&self, ttl: u8) -> u32 {
        self.runs.iter().filter(|run| run.ttl == ttl).map(|run| u32::from(run.count)).sum()
    }

    /// Returns the lengths of the probes that leave alone, each once, ascending.
    pub fn lengths(&self) -> Vec<u16> {
        let mut all: Vec<u16> = self.runs.iter().filter(|run| run.batch == 1).map(|run| run.bytes).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_one_number() {
        for bucket in [
            Bucket { way: Way::Group, ttl: 255, bytes: u16::MAX, count: u32::MAX },
            Bucket { way: Way::Unicast, ttl: 0, bytes: 45, count: 0 },
        ] {
            assert_eq!(Bucket::unpacked(bucket.packed()), bucket);
        }
    }

    #[test]
    fn probes_are_counted_by_way_ttl_and_length_and_no_more_kinds_than_have_room() {
        let mut tally = Tally::default();
        for bytes in 0..100 {
            tally.count(Way::Group, 1, bytes);
        }
        assert_eq!(tally.by(Way::Group) as usize, BUCKETS_MAX);
        tally.count(Way::Group, 1, 0);
        assert_eq!((tally.of_length(Way::Group, 0), tally.of_length(Way::Unicast, 0)), (2, 0));
    }

    #[test]
    fn a_plan_knows_each_of_its_probes() {
        let plan = TrainPlan::default().with(3, 100, 1).with(2, 548, 1).with(1, 100, 8);
        let probe = |index| plan.probe(index).map(|probe| (probe.bytes, probe.ttl));
        let all: Vec<_> = (0..plan.count()).map(|index| probe(index).expect("in the plan")).collect();
        assert_eq!(all, [(100, 1), (100, 1), (100, 1), (548, 1), (548, 1), (100, 8)]);
        assert_eq!((plan.probe(6), plan.of_length(100), plan.of_ttl(1)), (None, 4, 5));
        assert_eq!((plan.bytes(), plan.lengths()), (1_496, vec![100, 548]));
    }

    #[test]
    fn batches_end_with_their_last_probe_and_have_a_length_of_their_own() {
        let plan = TrainPlan::default().with(1, 100, 1).with_batches(5, 400, 1, 2).with(1, 548, 1);
        let followed: Vec<bool> =
            (0..plan.count()).map(|index| plan.probe(index).expect("in the plan").is_followed).collect();
        assert_eq!(followed, [false, true, false, true, false, false, false]);
        assert_eq!((plan.lengths(), plan.batch_bytes(), plan.of_length(400)), (vec![100, 548], Some(400), 5));
    }
}
