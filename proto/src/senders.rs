//! The senders that a host lists: whose pushes it takes part in, whose queries it answers, and until when.

use crate::sign::PublicKey;
use crate::time::WallClock;

/// The senders of a host. None at all means that every holder of the group key is accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Senders(Vec<Sender>);

/// A sender that is listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sender {
    /// The key that its datagrams are signed by.
    pub key: PublicKey,
    /// The end of the time in which it is accepted, if there is one.
    pub expires: Option<WallClock>,
    /// Where it is listed, for messages: a file and a line, or the setting.
    pub listed: String,
}

/// Whether a host accepts a signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance<'a> {
    /// It does.
    Accepted,
    /// It does not list the signer, or nothing is signed.
    Unknown,
    /// It lists the signer, and the time of that entry is over.
    Expired(&'a Sender),
}

impl Senders {
    /// Returns a list that accepts every holder of the group key.
    pub fn any() -> Self {
        Self::default()
    }

    /// Returns a list of these senders. Of a key that is listed more than once, the entry counts that lasts longest.
    pub fn listed(mut senders: Vec<Sender>) -> Self {
        let end = |sender: &Sender| sender.expires.unwrap_or(WallClock(u64::MAX));
        senders.sort_by(|a, b| a.key.cmp(&b.key).then(end(b).cmp(&end(a))));
        senders.dedup_by_key(|sender| sender.key);
        Self(senders)
    }

    /// Returns the number of listed senders; `None` where every sender is accepted.
    pub fn count(&self) -> Option<usize> {
        (!self.accepts_anybody()).then(|| self.entries().len())
    }

    /// Whether every holder of the group key is accepted.
    pub fn accepts_anybody(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether what this key signs, or what nobody signs, is accepted at this time.
    pub fn judge(&self, signer: Option<PublicKey>, wall: WallClock) -> Acceptance<'_> {
        if self.accepts_anybody() {
            return Acceptance::Accepted;
        }
        match self.0.iter().find(|sender| Some(sender.key) == signer) {
            None => Acceptance::Unknown,
            Some(sender) if sender.expires.is_some_and(|end| wall >= end) => Acceptance::Expired(sender),
            Some(_) => Acceptance::Accepted,
        }
    }

    /// Whether this list has the signer, expired or not. What has begun under it is carried to its end.
    pub fn has(&self, signer: Option<PublicKey>) -> bool {
        self.judge(signer, WallClock(0)) == Acceptance::Accepted
    }

    /// Returns the entries, sorted by key.
    pub fn entries(&self) -> &[Sender] {
        &self.0
    }
}

impl From<Vec<PublicKey>> for Senders {
    fn from(keys: Vec<PublicKey>) -> Self {
        let sender = |key| Sender { key, expires: None, listed: String::new() };
        Self::listed(keys.into_iter().map(sender).collect())
    }
}

impl FromIterator<PublicKey> for Senders {
    fn from_iter<T: IntoIterator<Item = PublicKey>>(keys: T) -> Self {
        keys.into_iter().collect::<Vec<_>>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_accepted_until_it_expires() {
        let senders = Senders::listed(vec![entry(1, Some(1_000)), entry(2, None)]);
        assert_eq!(senders.judge(key(1), WallClock(999)), Acceptance::Accepted);
        assert_eq!(senders.judge(key(1), WallClock(1_000)), Acceptance::Expired(&entry(1, Some(1_000))));
        assert_eq!(senders.judge(key(2), WallClock(u64::MAX)), Acceptance::Accepted);
        assert_eq!(senders.judge(key(3), WallClock(0)), Acceptance::Unknown);
        assert_eq!(senders.judge(None, WallClock(0)), Acceptance::Unknown);
        assert!(senders.has(key(1)) && !senders.has(key(3)) && !senders.has(None));
    }

    #[test]
    fn a_list_of_nobody_accepts_everybody() {
        for signer in [key(1), None] {
            assert_eq!(Senders::any().judge(signer, WallClock(0)), Acceptance::Accepted);
        }
        assert!(Senders::any().accepts_anybody() && Senders::any().has(None));
    }

    #[test]
    fn the_entry_that_lasts_longest_counts() {
        for entries in [[entry(1, Some(9)), entry(1, None)], [entry(1, None), entry(1, Some(9))]] {
            let senders = Senders::listed(entries.to_vec());
            assert_eq!(senders.entries(), [entry(1, None)]);
        }
        let senders = Senders::listed(vec![entry(1, Some(9)), entry(1, Some(10))]);
        assert_eq!(senders.entries(), [entry(1, Some(10))]);
    }

    fn entry(number: u8, expires: Option<u64>) -> Sender {
        let expires = expires.map(WallClock);
        Sender { key: PublicKey([number; 32]), expires, listed: "senders line 1".into() }
    }

    fn key(number: u8) -> Option<PublicKey> {
        Some(PublicKey([number; 32]))
    }
}
