//! What the log is told once for each push: a wrong key, a wrong clock, an answer that cannot be sent. Whoever has the
//! group's address makes up pushes, so lines that follow each other closely become rare.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Moment;

/// The pushes of which something was told, each known by a key: its session, say, or its sender's address.
#[derive(Clone, Debug)]
pub struct Told<K> {
    /// The newest, at most [`KEYS_MAX`].
    keys: VecDeque<K>,
    last: Option<Moment>,
    /// Time before the next line.
    gap: Duration,
}

impl<K> Default for Told<K> {
    fn default() -> Self {
        Self { keys: VecDeque::new(), last: None, gap: Duration::ZERO }
    }
}

impl<K: PartialEq> Told<K> {
    /// Whether it is to be told of this push now.
    pub fn has_news(&self, now: Moment, key: &K) -> bool {
        let since = self.last.map(|last| now.since(last));
        !self.keys.contains(key) && since.is_none_or(|since| since >= self.gap)
    }

    /// Notes that it is told of this push.
    pub fn note(&mut self, now: Moment, key: K) {
        self.keys.retain(|told| *told != key);
        if self.keys.len() == KEYS_MAX {
            self.keys.pop_front();
        }
        self.keys.push_back(key);
        let since = self.last.map(|last| now.since(last));
        let is_rare = since.is_none_or(|since| since >= self.gap + GAP_MAX);
        self.gap = if is_rare { GAP_MIN } else { (2 * self.gap).clamp(GAP_MIN, GAP_MAX) };
        self.last = Some(now);
    }

    /// Whether it is to be told of this push now; it counts as told then.
    pub fn is_news(&mut self, now: Moment, key: K) -> bool {
        let is_news = self.has_news(now, &key);
        if is_news {
            self.note(now, key);
        }
        is_news
    }
}

/// Pushes that a person starts one after the other are further apart.
const GAP_MIN: Duration = Duration::from_secs(2);
const GAP_MAX: Duration = Duration::from_secs(3600);
/// More pushes at a time than a group has.
const KEYS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_push_is_told_once_and_a_flood_of_them_rarely() {
        let mut told = Told::default();
        let at = |seconds: u64| Moment::from_micros(seconds * 1_000_000);
        assert!(told.is_news(at(0), 0) && !told.is_news(at(50), 0));
        assert!(told.is_news(at(60), 1) && told.is_news(at(120), 2));
        let lines = (0..86_400).filter(|&s| told.is_news(at(200 + s), 10 + s)).count();
        assert!((10..50).contains(&lines), "{lines} in a day of a new one each second");
        assert!(told.keys.len() <= KEYS_MAX);
        assert!(told.is_news(at(200_000), 1 << 60), "after quiet hours at once");
    }

    #[test]
    fn what_is_only_asked_about_stays_news() {
        let mut told = Told::default();
        let now = Moment::default();
        assert!(told.has_news(now, &1) && told.has_news(now, &1));
        told.note(now, 1);
        assert!(!told.has_news(now, &1));
    }
}
