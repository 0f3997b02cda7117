//! Outages of the sender's own network: what becomes of a push or a query while this machine takes no datagrams for its
//! hosts, because a link is down, an address is gone, or a firewall drops them.
//!
//! While the network refuses datagrams, the **time of the machine stands still**, and the shell keeps the one that was
//! refused, and offers it again. So nothing counts as sent that did not leave, no number is skipped that a host would
//! count as lost, no host counts as silent because nobody could hear it, and no round of reports is measured that would
//! mislead the rate. The shell reads the true time; the [time](Outages::time) of the machine is that of this type.

use std::time::Duration;

use crate::limits::OUTAGE_MAX;
use crate::time::Moment;

/// The outages of one push or query. All times are true ones, except that of the machine.
#[derive(Debug)]
pub struct Outages {
    /// When the push or query is over in any case.
    until: Option<Moment>,
    /// The longest outage that is waited for.
    longest: Duration,
    current: Option<Outage>,
    /// How long all earlier outages have lasted.
    stood: Duration,
    /// Outages that were long enough to be told.
    told: u32,
    news: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    since: Moment,
    next_try: Moment,
    gap: Duration,
    is_told: bool,
}

/// What a person is told of an outage: once when it lasts, and once when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageNews {
    /// The network has refused datagrams for some time.
    Begun,
    /// The network takes datagrams again, after this time.
    Over(Duration),
}

impl Outages {
    /// Returns the state of a network that takes datagrams. The push or query ends at `until`, whatever its network
    /// does.
    pub fn new(until: Option<Moment>) -> Self {
        Self { until, longest: OUTAGE_MAX, current: None, stood: Duration::ZERO, told: 0, news: None }
    }

    /// Returns the time of the machine at `now`: it stands still during an outage.
    pub fn time(&self, now: Moment) -> Moment {
        let at = self.current.map_or(now, |outage| now.min(outage.since));
        Moment::default() + at.since(Moment::default() + self.stood)
    }

    /// Whether the network refuses datagrams.
    pub fn is_away(&self) -> bool {
        self.current.is_some()
    }

    /// Notes that the network refused a datagram, or would not carry it.
    pub fn handle_refused(&mut self, now: Moment) {
        let outage =
            self.current.get_or_insert(Outage { since: now, next_try: now, gap: FIRST_GAP, is_told: false });
        outage.next_try = now + outage.gap;
        outage.gap = (outage.gap * 2).min(GAP_MAX);
    }

    /// Notes that the network took a datagram, or can take one again. Returns how long the outage was that this ends.
    pub fn handle_taken(&mut self, now: Moment) -> Option<Duration> {
        let outage = self.current.take()?;
        let lasted = now.since(outage.since);
        self.stood += lasted;
        if outage.is_told {
            self.news = Some(lasted);
        }
        Some(lasted)
    }

    /// Returns when the refused datagram is to be offered again.
    pub fn next_try(&self) -> Option<Moment> {
        self.current.map(|outage| outage.next_try)
    }

    /// Returns how long the present outage has lasted.
    pub fn lasted(&self, now: Moment) -> Duration {
        self.current.map_or(Duration::ZERO, |outage| now.since(outage.since))
    }

    /// Whether the present outage is not waited for any longer.
    pub fn is_lost(&self, now: Moment) -> bool {
        self.is_away() && (self.lasted(now) >= self.longest || self.until.is_some_and(|until| now >= until))
    }

    /// Has outages waited for no longer than `longest`: for what is worth less than a push.
    pub fn wait_at_most(&mut self, longest: Duration) {
        self.longest = longest;
    }

    /// Returns what a person is to be told now.
    #[must_use]
    pub fn poll_news(&mut self, now: Moment) -> Option<OutageNews> {
        if let Some(lasted) = self.news.take() {
            return Some(OutageNews::Over(lasted));
        }
        let outage = self.current.as_mut().filter(|outage| !outage.is_told)?;
        if now.since(outage.since) < TOLD_AFTER {
            return None;
        }
        outage.is_told = true;
        self.told += 1;
        Some(OutageNews::Begun)
    }

    /// Returns the number of outages that were long enough to be told.
    pub fn told(&self) -> u32 {
        self.told
    }

    /// Returns how long all outages have lasted until `now`.
    pub fn total(&self, now: Moment) -> Duration {
        self.stood + self.lasted(now)
    }
}

/// When the time of a machine stood still, in its own time.
#[derive(Debug, Default)]
pub(crate) struct Pauses(Vec<(Moment, Duration)>);

impl Pauses {
    /// Notes that the time has stood still at `at`. Of many pauses those that are close together are kept as one.
    pub(crate) fn note(&mut self, at: Moment, lasted: Duration) {
        let is_full = self.0.len() == PAUSES_MAX;
        match self.0.last_mut() {
            Some((last, sum)) if is_full || at.since(*last) < PAUSES_APART => *sum += lasted,
            _ => self.0.push((at, lasted)),
        }
    }

    /// Returns how long the time stood still until `at`.
    pub(crate) fn until(&self, at: Moment) -> Duration {
        self.0.iter().take_while(|(pause, _)| *pause <= at).map(|(_, lasted)| *lasted).sum()
    }
}

/// Pauses closer together than this are one.
const PAUSES_APART: Duration = Duration::from_millis(100);
/// Pauses that are kept; what comes later counts to the last of them.
const PAUSES_MAX: usize = 256;

/// Gap before a refused datagram is offered again the first time: a firewall that limits the rate takes it soon.
const FIRST_GAP: Duration = Duration::from_millis(1);
/// The longest gap. A push goes on within this time once the network is back.
const GAP_MAX: Duration = Duration::from_millis(100);
/// Shorter outages are not told.
const TOLD_AFTER: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_machine_stands_still_while_the_network_is_away() {
        let mut outages = Outages::new(None);
        assert_eq!(outages.time(at(500)), at(500));
        outages.handle_refused(at(1_000));
        outages.handle_refused(at(1_200));
        assert_eq!((outages.time(at(900)), outages.time(at(2_500))), (at(900), at(1_000)));
        assert_eq!(outages.handle_taken(at(3_000)), Some(Duration::from_secs(2)));
        assert_eq!((outages.time(at(3_000)), outages.time(at(3_001))), (at(1_000), at(1_001)));
        outages.handle_refused(at(4_000));
        assert_eq!(outages.total(at(5_000)), Duration::from_secs(3));
        assert_eq!(outages.handle_taken(at(5_000)), Some(Duration::from_secs(1)));
        assert_eq!(outages.time(at(6_000)), at(3_000));
    }

    #[test]
    fn what_was_refused_is_offered_soon_and_then_ten_times_a_second() {
        let mut outages = Outages::new(None);
        let mut now = at(0);
        let gaps: Vec<u128> = std::iter::repeat_with(|| {
            outages.handle_refused(now);
            let next = outages.next_try().expect("it is away");
            next.since(std::mem::replace(&mut now, next)).as_millis()
        })
        .take(10)
        .collect();
        assert_eq!(gaps, [1, 2, 4, 8, 16, 32, 64, 100, 100, 100]);
    }

    #[test]
    fn an_outage_is_waited_for_until_its_limit_or_the_end_of_the_push() {
        let mut outages = Outages::new(None);
        outages.handle_refused(at(1_000));
        assert!(!outages.is_lost(at(999) + OUTAGE_MAX));
        assert!(outages.is_lost(at(1_000) + OUTAGE_MAX));
        let mut short = Outages::new(Some(at(5_000)));
        assert!(!short.is_lost(at(6_000)), "the push itself ends then");
        short.handle_refused(at(1_000));
        assert!(!short.is_lost(at(4_999)) && short.is_lost(at(5_000)));
    }

    #[test]
    fn each_outage_is_told_once_and_so_is_its_end() {
        let mut outages = Outages::new(None);
        outages.handle_refused(at(0));
        assert_eq!(outages.poll_news(at(299)), None);
        assert_eq!(outages.poll_news(at(300)), Some(OutageNews::Begun));
        assert_eq!(outages.poll_news(at(900)), None);
        outages.handle_taken(at(2_000));
        assert_eq!(outages.poll_news(at(2_000)), Some(OutageNews::Over(Duration::from_secs(2))));
        assert_eq!(outages.poll_news(at(2_000)), None);
    }

    #[test]
    fn a_refusal_that_is_over_at_once_is_told_to_nobody() {
        let mut outages = Outages::new(None);
        for ms in (0..10_000).step_by(10) {
            outages.handle_refused(at(ms));
            outages.handle_taken(at(ms + 2));
            assert_eq!(outages.poll_news(at(ms + 2)), None);
        }
        assert_eq!((outages.told(), outages.total(at(10_000))), (0, Duration::from_secs(2)));
    }

    #[test]
    fn what_happened_before_a_pause_is_not_put_off_by_it() {
        let mut pauses = Pauses::default();
        pauses.note(at(1_000), Duration::from_secs(2));
        pauses.note(at(1_050), Duration::from_secs(1));
        pauses.note(at(5_000), Duration::from_secs(10));
        let until = |ms| pauses.until(at(ms)).as_secs();
        assert_eq!([999, 1_000, 4_999, 5_000, 9_000].map(until), [0, 3, 3, 13, 13]);
        for ms in (10_000..1_000_000).step_by(1_000) {
            pauses.note(at(ms), Duration::from_secs(1));
        }
        assert_eq!((pauses.0.len(), pauses.until(at(1_000_000)).as_secs()), (PAUSES_MAX, 13 + 990));
    }

    fn at(ms: u64) -> Moment {
        Moment::from_micros(ms * 1_000)
    }
}
