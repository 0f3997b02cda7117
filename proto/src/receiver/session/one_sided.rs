//! Signs of a path that works one way only: the sender acknowledges nothing, or its data does not come though its
//! announcements do. Each is reported once for a session.

use std::time::Duration;

use super::{Session, Stage};
use crate::time::Moment;
use crate::wire::Poll;

/// What this host has noticed of such a path.
#[derive(Default)]
pub(super) struct OneSided {
    is_unanswered_told: bool,
    is_deaf_told: bool,
    /// Whether data of the session was here, received or kept.
    has_data: bool,
    /// When the first poll came by which some data had been sent.
    sent_by: Option<Moment>,
}

impl OneSided {
    /// Notes that data of the session is here.
    #[inline]
    pub(super) fn note_data(&mut self) {
        self.has_data = true;
    }

    pub(super) fn note_poll(&mut self, now: Moment, poll: &Poll) {
        if poll.blocks_sent > 0 {
            self.sent_by.get_or_insert(now);
        }
    }
}

impl Session {
    /// Whether it is to be reported that the sender acknowledges no hello of this host; it counts as reported then.
    pub(in crate::receiver) fn take_unanswered_news(&mut self, now: Moment) -> bool {
        let is_news = !self.one_sided.is_unanswered_told && self.turns.is_unanswered(now);
        self.one_sided.is_unanswered_told |= is_news;
        is_news
    }

    /// Whether it is to be reported that no data comes; it counts as reported then. Where a base is used, most hosts
    /// are sent nothing; a block of zeros that is held, or one that was kept, was not sent either.
    pub(in crate::receiver) fn take_deaf_news(&mut self, now: Moment) -> bool {
        let OneSided { is_deaf_told, has_data, sent_by, .. } = self.one_sided;
        let is_news = !is_deaf_told
            && !has_data
            && sent_by.is_some_and(|since| now.since(since) >= DEAF_AFTER)
            && matches!(self.stage, Stage::Opening | Stage::Receiving)
            && self.announce.base.is_none()
            && self.table.held() == 0;
        self.one_sided.is_deaf_told |= is_news;
        is_news
    }
}

/// Time after a poll that announces sent blocks, within which some symbol of theirs comes on any path that carries
/// them.
const DEAF_AFTER: Duration = Duration::from_secs(2);
