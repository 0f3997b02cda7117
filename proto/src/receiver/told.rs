//! What the log is told of a session once: a wrong key, a wrong clock. Whoever has the group's address makes up sessions, so
//! lines that follow each other closely become rare.

use std::collections::VecDeque;
use std::time::Duration;

use crate::ids::SessionId;
use crate::time::Moment;

/// The sessions of which something was told.
#[derive(Default)]
pub(super) struct Told {
    /// The newest, at most [`SESSIONS_MAX`].
    sessions: VecDeque<SessionId>,
    last: Option<Moment>,
    /// Time before the next line.
    gap: Duration,
}

impl Told {
    /// Whether it is to be told of this session now; it counts as told then.
    pub(super) fn is_news(&mut self, now: Moment, session: SessionId) -> bool {
        let since = self.last.map(|last| now.since(last));
        if self.sessions.contains(&session) || since.is_some_and(|since| since < self.gap) {
            return false;
        }
        if self.sessions.len() == SESSIONS_MAX {
            self.sessions.pop_front();
        }
        self.sessions.push_back(session);
        let is_rare = since.is_none_or(|since| since >= self.gap + GAP_MAX);
        self.gap = if is_rare { GAP_MIN } else { (2 * self.gap).clamp(GAP_MIN, GAP_MAX) };
        self.last = Some(now);
        true
    }
}

/// Pushes that a person starts one after the other are further apart.
const GAP_MIN: Duration = Duration::from_secs(2);
const GAP_MAX: Duration = Duration::from_secs(3600);
/// More pushes at a time than a group has.
const SESSIONS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_is_told_once_and_a_flood_of_them_rarely() {
        let mut told = Told::default();
        let at = |seconds: u64| Moment::from_micros(seconds * 1_000_000);
        let session = |number: u64| {
            let mut id = [0; SessionId::BYTES];
            id[..8].copy_from_slice(&number.to_be_bytes());
            SessionId(id)
        };
        assert!(told.is_news(at(0), session(0)) && !told.is_news(at(50), session(0)));
        assert!(told.is_news(at(60), session(1)) && told.is_news(at(120), session(2)));
        let lines = (0..86_400).filter(|&s| told.is_news(at(200 + s), session(10 + s))).count();
        assert!((10..50).contains(&lines), "{lines} in a day of a new one each second");
        assert!(told.sessions.len() <= SESSIONS_MAX);
        assert!(told.is_news(at(200_000), session(1 << 60)), "after quiet hours at once");
    }
}
