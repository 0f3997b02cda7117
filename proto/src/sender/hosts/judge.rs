//! Compares the hosts with each other at the end of each round of reports: what the quantile of them loses, and which
//! of them lose so much more that they are side-lined.

use std::collections::BTreeMap;
use std::time::Duration;

use super::health::{Sideline, quantile};
use super::host::Host;
use crate::ids::ReceiverId;
use crate::sender::rate::RoundLoss;
use crate::time::Moment;

/// What is known of the losses of all hosts together.
pub(super) struct Judge {
    /// The most symbols that a block has.
    block_symbols: u32,
    /// The share of datagrams that the quantile of the hosts loses on the way, smoothed.
    usual_loss: f64,
    /// No host's loss is known yet.
    is_ignorant: bool,
    /// Reports in this round.
    reports: u32,
    /// The shortest time from a poll to an answer in this round, less the time that the host waited for its turn.
    fastest: Option<Duration>,
    /// Hosts that were side-lined at the last judgement.
    sidelined: u32,
    /// The share of datagrams that the quantile of the hosts cannot use.
    useless: f64,
    /// Hosts that were side-lined since the last round.
    news: Vec<(ReceiverId, Sideline)>,
}

/// What a round of reports showed.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    /// What the quantile of the hosts lost in this round.
    pub(super) loss: Option<RoundLoss>,
    /// Hosts that were just side-lined.
    pub(super) sidelined: Vec<(ReceiverId, Sideline)>,
}

impl Judge {
    /// Nothing is known. Blocks have `block_symbols` symbols at most.
    pub(super) fn new(block_symbols: u32) -> Self {
        Self {
            block_symbols,
            usual_loss: 0.0,
            is_ignorant: true,
            reports: 0,
            fastest: None,
            sidelined: 0,
            useless: 0.0,
            news: Vec::new(),
        }
    }

    /// The share of datagrams that the quantile of the hosts loses.
    pub(super) fn usual_loss(&self) -> f64 {
        self.usual_loss
    }

    /// Hosts that were side-lined at the last judgement.
    pub(super) fn sidelined(&self) -> u32 {
        self.sidelined
    }

    /// Notes that an answer to a poll came `delay` after it, less the time that the host waited for its turn.
    pub(super) fn note_delay(&mut self, delay: Duration) {
        self.fastest = Some(self.fastest.map_or(delay, |fastest| fastest.min(delay)));
    }

    /// Notes that a report of one of `hosts` was handled.
    ///
    /// The first round of thousands of hosts takes seconds. Until it is over, the usual loss is estimated from what the
    /// first [`SAMPLE`] hosts lost since they joined.
    pub(super) fn note_report(&mut self, hosts: &BTreeMap<ReceiverId, Host>) {
        self.reports += 1;
        if self.is_ignorant && self.reports == SAMPLE {
            self.note_losses(hosts.values().filter_map(|host| host.health.loss_since_joining()).collect());
        }
    }

    /// Ends a round of reports: judges each host that is `receiving`, in ascending order, by comparison with the others.
    ///
    /// Where little is sent, most reports follow the one before too soon to show anything. Then nothing is judged until
    /// three quarters of the hosts can be compared. With fewer of them a single degraded host would be the quantile and
    /// drag the rate down.
    pub(super) fn end_round(
        &mut self,
        now: Moment,
        hosts: &mut BTreeMap<ReceiverId, Host>,
        receiving: impl Iterator<Item = ReceiverId>,
    ) -> Judgement {
        let (receiving, others) = divide(hosts, receiving);
        self.note_losses(receiving.iter().filter_map(|(_, host)| host.health.loss()).collect());
        self.reports = 0;
        let fresh = receiving.iter().filter(|(_, host)| host.health.latest.is_some()).count();
        let is_unknown =
            |host: &Host| host.health.latest.is_none() && now.since(host.last_heard()) < COMPARED_WITHIN;
        if fresh < QUANTILE_OF * receiving.iter().filter(|(_, host)| is_unknown(host)).count() {
            return Judgement::default();
        }
        self.compare(&receiving);
        others.into_iter().for_each(|host| host.health.latest = None);
        self.sidelined = 0;
        let mut losses = Vec::new();
        for (id, host) in receiving {
            losses.extend(self.judge(now, id, host));
            self.sidelined += u32::from(host.health.sidelined().is_some());
        }
        self.conclude(losses)
    }

    /// Ends a round of reports of the panel, of which `members` are receiving and have answered. While it is forming, and
    /// until three quarters of them can be compared, nothing is judged.
    ///
    /// A panel of a few hosts is no fair sample: two of four may be the only two that lose much. Where all that are
    /// `receiving` are few, those outside the panel are compared with it by what they lost before. They are at most so many
    /// that what the whole panel loses shows at once.
    pub(super) fn end_round_of_panel(
        &mut self,
        now: Moment,
        hosts: &mut BTreeMap<ReceiverId, Host>,
        members: &[ReceiverId],
        receiving: impl Iterator<Item = ReceiverId>,
        is_forming: bool,
    ) -> Judgement {
        let is_fresh = |id: &&ReceiverId| hosts.get(id).is_some_and(|host| host.health.latest.is_some());
        let fresh: Vec<ReceiverId> = members.iter().filter(is_fresh).copied().collect();
        let is_waited_for = |id: &&ReceiverId| {
            hosts.get(id).is_some_and(|host| now.since(host.last_heard()) < COMPARED_WITHIN)
        };
        let waited_for =
            members.iter().filter(is_waited_for).filter(|id| fresh.binary_search(id).is_err()).count();
        if is_forming || fresh.is_empty() || fresh.len() < QUANTILE_OF * waited_for {
            return Judgement { loss: None, sidelined: std::mem::take(&mut self.news) };
        }
        let all: Vec<ReceiverId> = receiving.take(PANEL_SHOWS * fresh.len() + 1).collect();
        let others: Vec<ReceiverId> = match all.len() <= PANEL_SHOWS * fresh.len() {
            true => all.into_iter().filter(|id| members.binary_search(id).is_err()).collect(),
            false => Vec::new(),
        };
        let known = members.iter().chain(&others).filter_map(|id| hosts.get(id));
        self.note_losses(known.clone().filter_map(|host| host.health.loss()).collect());
        self.useless =
            quantile(known.filter_map(|host| host.health.useless()).collect(), |&share| share).unwrap_or(0.0);
        let before = others.iter().filter_map(|id| hosts.get(id)?.health.loss());
        let mut shares: Vec<f64> = before.collect();
        let mut losses = Vec::new();
        for id in fresh {
            losses.extend(hosts.get_mut(&id).and_then(|host| self.judge_counted(now, id, host)));
        }
        shares.extend(losses.iter().map(|loss| loss.share));
        let judgement = self.conclude(losses);
        let share = quantile(shares, |&share| share);
        let loss = judgement.loss.map(|loss| RoundLoss { share: share.unwrap_or(loss.share), ..loss });
        Judgement { loss, ..judgement }
    }

    /// Judges a host that is not of the panel by its last report.
    pub(super) fn judge_alone(&mut self, now: Moment, id: ReceiverId, host: &mut Host) {
        self.judge_counted(now, id, host);
    }

    /// Judges a host, and counts whether it is side-lined.
    fn judge_counted(&mut self, now: Moment, id: ReceiverId, host: &mut Host) -> Option<RoundLoss> {
        let before = u32::from(host.health.sidelined().is_some());
        let loss = self.judge(now, id, host);
        self.sidelined =
            (self.sidelined + u32::from(host.health.sidelined().is_some())).saturating_sub(before);
        loss
    }

    /// Judges a host by its last interval, if it is new; returns what it has lost in it.
    fn judge(&mut self, now: Moment, id: ReceiverId, host: &mut Host) -> Option<RoundLoss> {
        let interval = host.health.latest.take()?;
        if host.health.judge(now, self.useless, self.block_symbols) {
            self.news.extend(host.health.sidelined().map(|sideline| (id, sideline)));
        }
        Some(RoundLoss {
            share: interval.lost,
            datagrams: interval.datagrams,
            since: interval.since,
            took: interval.took,
            delay: None,
        })
    }

    /// Finds what the quantile of these hosts cannot use.
    fn compare(&mut self, hosts: &[(ReceiverId, &mut Host)]) {
        let useless = hosts.iter().filter_map(|(_, host)| host.health.useless()).collect();
        self.useless = quantile(useless, |&share| share).unwrap_or(0.0);
    }

    fn conclude(&mut self, losses: Vec<RoundLoss>) -> Judgement {
        let delay = self.fastest.take();
        let loss = quantile(losses, |loss| loss.share).map(|loss| RoundLoss { delay, ..loss });
        Judgement { loss, sidelined: std::mem::take(&mut self.news) }
    }

    fn note_losses(&mut self, losses: Vec<f64>) {
        self.is_ignorant &= losses.is_empty();
        self.usual_loss = quantile(losses, |&loss| loss).unwrap_or(self.usual_loss);
    }
}

/// Divides the hosts into those that are `receiving`, in ascending order, and all others. One walk over both is many
/// times faster than ten thousand look-ups.
fn divide(
    hosts: &mut BTreeMap<ReceiverId, Host>,
    receiving: impl Iterator<Item = ReceiverId>,
) -> (Vec<(ReceiverId, &mut Host)>, Vec<&mut Host>) {
    let (mut receiving, mut those, mut others) = (receiving.peekable(), Vec::new(), Vec::new());
    for (&id, host) in hosts {
        while receiving.next_if(|&before| before < id).is_some() {}
        if receiving.next_if_eq(&id).is_some() {
            those.push((id, host));
        } else {
            others.push(host);
        }
    }
    (those, others)
}

/// Reports from which the first estimate of the losses is made.
const SAMPLE: u32 = 32;

/// Fewest hosts that can be compared for each that cannot: with fewer, nothing is judged.
const QUANTILE_OF: usize = 3;
/// Hosts for each of the panel up to which all are compared: the upper quartile of so many is one of the panel if all of the
/// panel lose more than the others did.
const PANEL_SHOWS: usize = 3;
/// A host that was not heard for longer than this does not count as one that cannot be compared. This is longer than
/// most rounds, and soon enough to notice that a host has stopped answering.
const COMPARED_WITHIN: Duration = Duration::from_secs(1);
