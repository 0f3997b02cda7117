//! A group key is replaced while everything else happens: the sender asks for it, and for the old key to be retired, in
//! any order and repeatedly; disks are slow or full; configurations are read again.

use glancecast_proto::ids::{GroupId, SessionId};
use glancecast_proto::keyring::Keyring;
use glancecast_proto::query::{LookupId, Querier, QuerierConfig};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{AnswerState, Query};

use super::{HOSTS, Host, STARTED, Survey};
use crate::vectors::KEY;

/// The keys of one host, and its disk.
#[derive(Default)]
pub(super) struct Keys {
    configured: Vec<GroupKey>,
    /// The keyring that is being written.
    keeping: Option<(LookupId, Keyring)>,
    kept: Option<Keyring>,
    /// How often the host was asked to make ready for a key.
    pub(super) rekeys: u32,
}

impl Survey {
    /// Whether the queries are those of a replacement.
    pub(super) fn is_replacing(&self) -> bool {
        matches!(self.config.query, Query::Rekey | Query::Retire)
    }

    /// Has the sender begin another query, or a host read its configuration again.
    pub(super) fn go_on(&mut self) {
        let next = match self.dice.below(4) {
            0 => QuerierConfig { key: new_key(), query: Query::Retire, new_key: None, ..self.config.clone() },
            1 | 2 => QuerierConfig {
                key: GroupKey::new(KEY),
                query: Query::Rekey,
                new_key: Some(new_key()),
                ..self.config.clone()
            },
            _ => {
                let host = &mut self.hosts[self.dice.below(HOSTS as u64) as usize];
                assert!(
                    host.responder.handle_configured_keys(host.keys.configured.clone()),
                    "no key is left"
                );
                return;
            }
        };
        self.queries += 1;
        self.has_retired |= next.query == Query::Retire;
        let id = SessionId([self.queries as u8; 16]);
        let started = WallClock(STARTED.0 + self.now.micros() / 1_000);
        self.config = QuerierConfig { id, started, ..next };
        self.querier = Querier::new(self.now, self.config.clone());
    }

    /// Checks the keyrings of all hosts.
    ///
    /// # Panics
    /// If a host has a key that the sender has not given it, or lost one that the sender has not retired.
    pub(super) fn assert_keys(&self) {
        for Host { keys, .. } in &self.hosts {
            assert!(self.is_replacing() || keys.keeping.is_none() && keys.kept.is_none(), "a key of nobody");
            assert!(keys.rekeys <= self.queries, "a query is looked into once");
            let Some(kept) = &keys.kept else { continue };
            let (kept, new) = (ids(kept), new_key().id());
            assert_eq!(kept.first(), Some(&new));
            let old: Vec<GroupId> = keys.configured.iter().map(GroupKey::id).collect();
            assert!(kept.len() == 1 && self.has_retired || kept[1..] == old, "{kept:?}");
        }
    }

    /// Checks what a host says of its keyring against what is on its disk.
    pub(super) fn assert_replaced(&self, host: usize, state: &AnswerState) {
        let kept = self.hosts[host].keys.kept.as_ref().map(ids).unwrap_or_default();
        match (state, &self.config.query) {
            (AnswerState::Final, Query::Rekey) => {
                assert!(kept.contains(&new_key().id()), "it has no new key");
            }
            (AnswerState::Final, _) => assert_eq!(kept, [new_key().id()]),
            _ => {}
        }
    }

    /// Returns how many hosts have the new key on their disks, and how many have no other.
    pub(crate) fn replaced(&self) -> (usize, usize) {
        let kept = || self.hosts.iter().filter_map(|host| host.keys.kept.as_ref());
        (kept().count(), kept().filter(|keys| ids(keys).len() == 1).count())
    }
}

impl Keys {
    pub(super) fn new(configured: Vec<GroupKey>) -> Self {
        Self { configured, ..Self::default() }
    }

    pub(super) fn begin_to_keep(&mut self, id: LookupId, keys: Keyring) {
        assert!(self.keeping.replace((id, keys)).is_none(), "one after the other");
    }

    pub(super) fn is_keeping(&self) -> bool {
        self.keeping.is_some()
    }
}

impl Host {
    /// Ends the write of a keyring, and checks that the host has exactly what is on its disk.
    pub(super) fn keep(&mut self, now: Moment, is_full: bool) {
        let (id, keys) = self.keys.keeping.take().expect("one is being written");
        if is_full {
            self.responder.handle_kept(now, id, Err("the disk is full".to_owned()));
            assert!(self.responder.poll_keys().is_none(), "what is not on the disk is not used");
            return;
        }
        self.responder.handle_kept(now, id, Ok(keys.clone()));
        if let Some(used) = self.responder.poll_keys() {
            assert_eq!(used.iter().map(GroupKey::id).collect::<Vec<_>>(), ids(&keys));
        }
        self.keys.kept = Some(keys);
    }
}

fn ids(keys: &Keyring) -> Vec<GroupId> {
    keys.keys().map(GroupKey::id).collect()
}

pub(super) fn new_key() -> GroupKey {
    GroupKey::new([77; 32])
}
