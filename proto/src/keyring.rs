//! The group keys that a host accepts, and how a new one takes the place of the others.
//!
//! A key comes from the configuration, or from a sender over the wire. One that came over the wire supersedes all keys
//! that the host had: these open datagrams as before, and no further key is taken under them. Superseded keys are
//! accepted until a sender retires them, and never again after that, also where the configuration still names them.
//!
//! Which key follows which is thereby decided by the host itself, and needs no clock: an older replacement that arrives
//! after a newer one comes under a superseded key, and is refused.

use std::fmt;

use crate::ids::GroupId;
use crate::limits::{GROUP_KEYS_MAX, RETIRED_KEYS_MAX};
use crate::seal::GroupKey;
use crate::wire::Discard;

/// The group keys of a host, in the order in which they are tried: never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    keys: Vec<Entry>,
    /// The ids of keys that are never accepted again, the oldest first.
    retired: Vec<GroupId>,
}

/// A key with its id, which costs a hash to compute.
#[derive(Clone, Debug)]
struct Entry {
    id: GroupId,
    key: GroupKey,
    origin: Origin,
    /// Whether a newer key came over the wire.
    is_superseded: bool,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        let Self { id, key: _, origin, is_superseded } = other;
        (self.id, self.origin, self.is_superseded) == (*id, *origin, *is_superseded)
    }
}

impl Eq for Entry {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A sender has given it to this host.
    Given,
    /// The configuration names it.
    Configured,
}

/// What a host keeps of its keyring between its starts.
#[derive(Clone, Debug, Default)]
pub struct StoredKeys {
    /// The keys that a sender has given it, the newest first.
    pub given: Vec<GroupKey>,
    /// The ids of keys under which no other key is taken.
    pub superseded: Vec<GroupId>,
    /// The ids of keys that are never accepted again.
    pub retired: Vec<GroupId>,
}

/// Why a keyring stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// The query came under a key in whose place there is another one.
    #[error("a newer group key has taken the place of the one that this came under")]
    Older,
    /// The new key was replaced before.
    #[error("this group key was replaced by a newer one before")]
    Replaced,
}

/// All keys of the configuration were retired, and no sender has given another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("every group key of the configuration was retired by `glancecast rekey`")]
pub struct AllRetired;

impl Keyring {
    /// Returns the keyring of a host: the keys that senders have given it, and those of its configuration, unless they
    /// are retired.
    ///
    /// # Errors
    /// [`AllRetired`]
    pub fn new(stored: StoredKeys, configured: Vec<GroupKey>) -> Result<Self, AllRetired> {
        let StoredKeys { given, superseded, retired } = stored;
        let mut ring = Self { keys: Vec::new(), retired };
        let given = given.into_iter().map(|key| (key, Origin::Given)).take(GROUP_KEYS_MAX);
        let named = configured.iter().map(|key| (key.clone(), Origin::Configured));
        for (key, origin) in given.chain(named) {
            let id = key.id();
            if !ring.retired.contains(&id) && ring.find(id).is_none() {
                ring.keys.push(Entry { id, key, origin, is_superseded: superseded.contains(&id) });
            }
        }
        // The ids of keys that the configuration still names are the last to be forgotten.
        let is_named = |id: &GroupId| configured.iter().any(|key| key.id() == *id);
        let named: Vec<GroupId> = ring.retired.extract_if(.., |id| is_named(id)).collect();
        ring.retired.extend(named);
        if ring.keys.is_empty() { Err(AllRetired) } else { Ok(ring) }
    }

    /// Returns the keyring with these keys of the configuration in place of those that it had.
    ///
    /// # Errors
    /// [`AllRetired`]
    pub fn reconfigured(&self, configured: Vec<GroupKey>) -> Result<Self, AllRetired> {
        Self::new(self.stored(), configured)
    }

    /// Returns the keys of the configuration.
    pub fn configured(&self) -> Vec<GroupKey> {
        let configured = self.keys.iter().filter(|entry| entry.origin == Origin::Configured);
        configured.map(|entry| entry.key.clone()).collect()
    }

    /// Returns the key at this place.
    ///
    /// # Panics
    /// If there are fewer keys.
    pub fn at(&self, place: usize) -> &GroupKey {
        &self.keys[place].key
    }

    /// Returns the keyring of a host that was given no key.
    ///
    /// # Panics
    /// If there is no key.
    pub fn of(configured: Vec<GroupKey>) -> Self {
        Self::new(StoredKeys::default(), configured).expect("there is a key")
    }

    /// Returns the keys, in the order in which they are tried.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &GroupKey> + '_ {
        self.keys.iter().map(|entry| &entry.key)
    }

    /// Returns the key with this id.
    pub fn find(&self, id: GroupId) -> Option<&GroupKey> {
        self.keys.iter().find(|entry| entry.id == id).map(|entry| &entry.key)
    }

    /// Whether `other` accepts the same keys in the same order.
    pub fn has_the_keys_of(&self, other: &Self) -> bool {
        self.keys.iter().map(|entry| entry.id).eq(other.keys.iter().map(|entry| entry.id))
    }

    /// Returns the keyring with `new`, which a sender gives this host under the key `under`. What is repeated changes
    /// nothing.
    ///
    /// # Errors
    /// [`KeyRefusal`]
    pub fn with(&self, under: GroupId, new: GroupKey) -> Result<Self, KeyRefusal> {
        let id = new.id();
        let held = self.keys.iter().find(|entry| entry.id == id);
        if self.retired.contains(&id) || held.is_some_and(|entry| entry.is_superseded) {
            return Err(KeyRefusal::Replaced);
        }
        let is_taken = held.is_some_and(|entry| entry.origin == Origin::Given);
        if is_taken || under == id {
            return Ok(self.clone());
        }
        if self.is_superseded(under) {
            return Err(KeyRefusal::Older);
        }
        let mut ring = self.clone();
        ring.keys.retain(|entry| entry.id != id);
        ring.keys.iter_mut().for_each(|entry| entry.is_superseded = true);
        ring.keys.insert(0, Entry { id, key: new, origin: Origin::Given, is_superseded: false });
        ring.drop_oldest();
        Ok(ring)
    }

    /// Returns the keyring without superseded keys, as a sender wants it that speaks under the key `under`.
    ///
    /// # Errors
    /// [`KeyRefusal::Older`] if that key is superseded itself.
    pub fn without_superseded(&self, under: GroupId) -> Result<Self, KeyRefusal> {
        if self.is_superseded(under) {
            return Err(KeyRefusal::Older);
        }
        let mut ring = self.clone();
        ring.retire(|entry| entry.is_superseded);
        Ok(ring)
    }

    /// Returns what is to be kept of it between two starts.
    pub fn stored(&self) -> StoredKeys {
        let of = |origin| self.keys.iter().filter(move |entry| entry.origin == origin);
        let superseded = self.keys.iter().filter(|entry| entry.is_superseded);
        StoredKeys {
            given: of(Origin::Given).map(|entry| entry.key.clone()).collect(),
            superseded: superseded.map(|entry| entry.id).collect(),
            retired: self.retired.clone(),
        }
    }

    fn is_superseded(&self, id: GroupId) -> bool {
        self.keys.iter().any(|entry| entry.id == id && entry.is_superseded)
    }

    /// The oldest given key makes room. It is superseded, and would come back at the next start if the configuration
    /// named it.
    fn drop_oldest(&mut self) {
        let mut given = 0;
        self.retire(|entry| {
            given += usize::from(entry.origin == Origin::Given);
            entry.origin == Origin::Given && given > GROUP_KEYS_MAX
        });
    }

    fn retire(&mut self, mut is_retired: impl FnMut(&Entry) -> bool) {
        let gone: Vec<GroupId> =
            self.keys.extract_if(.., |entry| is_retired(entry)).map(|entry| entry.id).collect();
        self.retired.extend(gone);
        let excess = self.retired.len().saturating_sub(RETIRED_KEYS_MAX);
        self.retired.drain(..excess);
    }
}

impl fmt::Display for Keyring {
    /// Shows the ids of the keys, which reveal nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, entry) in self.keys.iter().enumerate() {
            let (comma, id) = (if at == 0 { "" } else { ", " }, entry.id.to_string());
            write!(f, "{comma}{}{}", &id[..8], if entry.is_superseded { " (superseded)" } else { "" })?;
        }
        Ok(())
    }
}

/// Opens a datagram under any of the host's group keys; returns that key's place among them and the content.
///
/// # Errors
/// [`Discard::WrongKey`] if none of them opens it, otherwise why what it holds is refused.
pub(crate) fn open_under_any<'a, T>(
    keys: impl IntoIterator<Item = &'a GroupKey>,
    open: impl Fn(&GroupKey) -> Result<T, Discard>,
) -> Result<(usize, T), Discard> {
    let mut reason = Discard::WrongKey;
    for (place, key) in keys.into_iter().enumerate() {
        match open(key) {
            Ok(content) => return Ok((place, content)),
            Err(Discard::WrongKey) => {}
            Err(other) => reason = other,
        }
    }
    Err(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_that_opens_counts_and_otherwise_a_reason_that_says_more_than_a_wrong_key() {
        let keys = [1, 2, 3].map(|byte| GroupKey::new([byte; GroupKey::BYTES]));
        let open = |verdicts: [Result<&'static str, Discard>; 3]| {
            let verdicts = std::cell::RefCell::new(verdicts.into_iter());
            open_under_any(&keys, |_| verdicts.borrow_mut().next().expect("three keys"))
        };
        let (wrong, malformed) = (Err(Discard::WrongKey), Err(Discard::Malformed));
        assert_eq!(open([wrong, Ok("second"), Ok("third")]), Ok((1, "second")));
        assert_eq!(open([malformed, wrong, Ok("third")]), Ok((2, "third")));
        assert_eq!(open([wrong, wrong, wrong]), Err(Discard::WrongKey));
        assert_eq!(open([wrong, malformed, wrong]), Err(Discard::Malformed));
        assert_eq!(open_under_any(&[], |_| Ok(())), Err(Discard::WrongKey));
    }

    #[test]
    fn a_new_key_comes_first_and_the_old_one_opens_until_it_is_retired() {
        let ring = Keyring::of(vec![key(1)]).with(id(1), key(2)).expect("the only key");
        assert_eq!(ids(&ring), [id(2), id(1)]);
        let ring = ring.without_superseded(id(2)).expect("the newest key");
        assert_eq!(ids(&ring), [id(2)]);
        assert_eq!(ids(&started(&ring, &[1])), [id(2)], "the configuration does not bring it back");
        assert_eq!(ids(&started(&ring, &[1, 3])), [id(2), id(3)], "a key that an operator adds is accepted");
    }

    #[test]
    fn an_older_replacement_after_a_newer_one_is_refused() {
        let ring = Keyring::of(vec![key(1)]).with(id(1), key(2)).expect("the only key");
        assert_eq!(ring.with(id(1), key(9)).map(drop), Err(KeyRefusal::Older));
        assert_eq!(ring.without_superseded(id(1)).map(drop), Err(KeyRefusal::Older));
        let ring = ring.with(id(2), key(3)).expect("the newest key");
        assert_eq!(ids(&ring), [id(3), id(2), id(1)]);
        assert_eq!(ring.with(id(3), key(2)).map(drop), Err(KeyRefusal::Replaced));
        assert_eq!(ring.with(id(1), key(2)).map(drop), Err(KeyRefusal::Replaced));
        let ring = ring.without_superseded(id(3)).expect("the newest key");
        assert_eq!(ring.with(id(3), key(1)).map(drop), Err(KeyRefusal::Replaced), "it is retired");
        let again = started(&ring, &[1]);
        assert_eq!(again.with(id(3), key(2)).map(drop), Err(KeyRefusal::Replaced), "also after a start");
    }

    #[test]
    fn what_is_repeated_changes_nothing() {
        let once = Keyring::of(vec![key(1)]).with(id(1), key(2)).expect("the only key");
        for under in [id(1), id(2)] {
            let twice = once.with(under, key(2)).expect("it was lost on the way back");
            assert!(twice.has_the_keys_of(&once), "{twice} is not {once}");
        }
        let retired = once.without_superseded(id(2)).expect("the newest key");
        assert!(retired.without_superseded(id(2)).expect("again").has_the_keys_of(&retired));
    }

    #[test]
    fn a_key_that_an_operator_has_brought_already_supersedes_the_others_all_the_same() {
        let ring = Keyring::of(vec![key(1), key(2)]).with(id(1), key(2)).expect("no key is superseded");
        assert_eq!(ids(&ring), [id(2), id(1)]);
        assert_eq!(ids(&ring.without_superseded(id(2)).expect("the newest key")), [id(2)]);
    }

    #[test]
    fn a_host_that_starts_between_any_two_steps_goes_on_from_what_it_kept() {
        let ring = started(&Keyring::of(vec![key(1)]), &[1]);
        let ring = started(&ring.with(id(1), key(2)).expect("the only key"), &[1]);
        assert_eq!(ids(&ring), [id(2), id(1)]);
        assert_eq!(ring.with(id(1), key(9)).map(drop), Err(KeyRefusal::Older), "it is still superseded");
        let ring = started(&ring.without_superseded(id(2)).expect("the newest key"), &[1]);
        assert_eq!(ids(&ring), [id(2)]);
    }

    #[test]
    fn keys_and_ids_are_kept_up_to_their_limits_and_the_oldest_ones_leave() {
        let mut ring = Keyring::of(vec![key(1)]);
        for number in 1..=200 {
            ring = ring.with(id(number), key(number + 1)).expect("the newest key");
        }
        assert_eq!(ids(&ring), [id(201), id(200), id(1)]);
        let ring = ring.without_superseded(id(201)).expect("the newest key");
        assert_eq!(ring.stored().retired.len(), RETIRED_KEYS_MAX);
        assert_eq!(
            ids(&started(&ring, &[1])),
            [id(201)],
            "the one of the configuration is the last to be retired"
        );
        let stored = StoredKeys { retired: vec![id(1)], ..StoredKeys::default() };
        assert_eq!(Keyring::new(stored, vec![key(1)]).map(drop), Err(AllRetired));
    }

    #[test]
    fn no_key_shows() {
        let ring = Keyring::of(vec![key(7)]).with(id(7), key(8)).expect("the only key");
        assert_eq!(
            ring.to_string(),
            format!("{}, {} (superseded)", &id(8).to_string()[..8], &id(7).to_string()[..8])
        );
        assert!(!format!("{ring:?} {:?}", ring.stored()).contains("[7, 7"));
    }

    /// Returns the keyring of a host that starts with what it kept of another one, and these keys in its configuration.
    fn started(ring: &Keyring, configured: &[u8]) -> Keyring {
        Keyring::new(ring.stored(), configured.iter().map(|&number| key(number)).collect()).expect("a key")
    }

    fn ids(ring: &Keyring) -> Vec<GroupId> {
        ring.keys().map(GroupKey::id).collect()
    }

    fn id(number: u8) -> GroupId {
        key(number).id()
    }

    fn key(number: u8) -> GroupKey {
        GroupKey::new([number; 32])
    }
}
