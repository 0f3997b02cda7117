//! One-way mode: a push that no host answers. What hosts cannot ask for is sent several times instead.

use std::time::Duration;

use crate::time::Moment;

/// A push that no host answers: everything is sent several times and with repair symbols, and the hosts that hold it
/// are not known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneWay {
    /// Repair symbols for each source symbol.
    pub overhead: f64,
    /// The number of times that everything is sent, each time with other repair symbols.
    pub passes: u32,
}

/// What is still to be sent in one-way mode.
pub(super) struct OneWayPush {
    overhead: f64,
    /// The number of further passes.
    passes_left: u32,
    /// The number of times that the manifest is still repeated after the last pass.
    manifests_left: u32,
    /// When the next datagram of the manifest may leave.
    manifest_at: Moment,
}

/// What is sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeated {
    Everything,
    Manifest,
}

impl OneWayPush {
    pub(super) fn new(now: Moment, one_way: OneWay) -> Self {
        Self {
            overhead: one_way.overhead,
            passes_left: one_way.passes.saturating_sub(1),
            manifests_left: MANIFEST_REPEATS,
            manifest_at: now,
        }
    }

    /// The number of repair symbols that go with a block of `symbols` source symbols.
    pub(super) fn repair_symbols(&self, symbols: u32) -> u32 {
        (f64::from(symbols) * self.overhead).ceil() as u32
    }

    /// Whether it is too early for symbols after `polls` polls. The group first hears what is coming, as no host can
    /// ask for what it missed.
    pub(super) fn is_leading(&self, polls: u32) -> bool {
        polls < LEAD_POLLS
    }

    /// When the next datagram of the manifest may leave.
    pub(super) fn manifest_at(&self) -> Moment {
        self.manifest_at
    }

    /// Notes that a datagram of the manifest leaves now, which takes `time` at the rate of the push. All of the
    /// manifest may be due at once, which would be too much for any socket.
    pub(super) fn note_manifest(&mut self, now: Moment, time: Duration) {
        self.manifest_at = now + time;
    }

    /// Returns what is sent next once all was sent, if anything.
    pub(super) fn repeat(&mut self, now: Moment) -> Option<Repeated> {
        if self.passes_left > 0 {
            self.passes_left -= 1;
            return Some(Repeated::Everything);
        }
        if self.manifests_left > 0 {
            self.manifests_left -= 1;
            self.manifest_at = now + MANIFEST_REPEAT_GAP;
            return Some(Repeated::Manifest);
        }
        None
    }

    /// Whether the root was repeated for long enough since all was sent.
    pub(super) fn is_over(&self, now: Moment, all_sent: Moment) -> bool {
        now.since(all_sent) >= LINGER
    }
}

/// Polls before the first symbol: half a second, in which every host hears an announcement.
const LEAD_POLLS: u32 = 10;

/// The time for which the root is repeated after everything was sent.
const LINGER: Duration = Duration::from_millis(500);

/// The number of times that the manifest is repeated after the last pass. One missing entry costs a host the object.
const MANIFEST_REPEATS: u32 = 8;
/// Gap between these repeats, so that no burst of losses hits two.
const MANIFEST_REPEAT_GAP: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_last_pass_the_manifest_is_repeated_in_gaps_and_then_nothing() {
        let start = Moment::from_micros(7);
        let mut push = OneWayPush::new(start, OneWay { overhead: 0.1, passes: 3 });
        assert_eq!(push.repair_symbols(733), 74);
        let repeats: Vec<Repeated> = std::iter::from_fn(|| push.repeat(start)).collect();
        assert_eq!(repeats[..2], [Repeated::Everything; 2]);
        assert_eq!(repeats[2..], [Repeated::Manifest; MANIFEST_REPEATS as usize]);
        assert_eq!(push.manifest_at(), start + MANIFEST_REPEAT_GAP);
    }
}
