//! Repeating a message until it is acknowledged.

use std::time::Duration;

use crate::time::Moment;

/// Times a message that is repeated until it is acknowledged, in gaps that double up to a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeat {
    pub(crate) next_at: Moment,
    gap: Duration,
    gap_max: Duration,
    /// When the message was last sent.
    sent_at: Option<Moment>,
}

impl Repeat {
    pub(crate) fn new(next_at: Moment, gap: Duration, gap_max: Duration) -> Self {
        Self { next_at, gap, gap_max, sent_at: None }
    }

    /// Whether the message was sent at least once.
    pub(crate) fn was_sent(&self) -> bool {
        self.sent_at.is_some()
    }

    /// Brings the next repetition forward to `at`, or to `gap` after the last time, whichever is later.
    pub(crate) fn hasten(&mut self, at: Moment, gap: Duration) {
        if let Some(sent_at) = self.sent_at {
            self.next_at = self.next_at.min(at.max(sent_at + gap));
        }
    }

    /// Puts the next time off to `at` if it is earlier.
    pub(crate) fn put_off(&mut self, at: Moment) {
        self.next_at = self.next_at.max(at);
    }

    /// Returns whether the message is due, and if so moves the next time on by the gap.
    pub(crate) fn take_due(&mut self, now: Moment) -> bool {
        if now < self.next_at {
            return false;
        }
        self.sent_at = Some(now);
        self.next_at = now + self.gap;
        self.gap = (self.gap * 2).min(self.gap_max);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_is_hastened_to_when_the_acknowledgement_can_be_here() {
        let (ms, at) = (Duration::from_millis, |millis| Moment::default() + Duration::from_millis(millis));
        let mut repeat = Repeat::new(at(10), ms(500), ms(4_000));
        repeat.hasten(at(0), ms(20));
        assert_eq!(repeat.next_at, at(10), "nothing was sent that could be repeated");
        assert!(repeat.take_due(at(10)));
        repeat.hasten(at(15), ms(20));
        assert_eq!(repeat.next_at, at(30));
        repeat.hasten(at(300), ms(20));
        assert_eq!(repeat.next_at, at(30), "never put off");
        assert!(repeat.take_due(at(30)));
        assert_eq!(repeat.next_at, at(1_030), "the gaps double as before");
    }
}
