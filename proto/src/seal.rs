//! Sealing: every datagram is encrypted and authenticated (AES-256-GCM) under a key of its session and its direction.
//!
//! All keys are derived with BLAKE3's key derivation from the group key and the session's id, a receiver's upward key
//! also from its [`ReceiverId`], so that no two writers ever share a key. What a host and a sender tell each other alone
//! is sealed under two more keys, which also follow from a secret that only these two have
//! ([`agree`](crate::agree)): every host of the group can derive the others. The nonce is the datagram's [`Sequence`],
//! which its writer counts up and never repeats under one key. The clear header is authenticated with the body.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::{Zeroize, Zeroizing};

use crate::agree::SharedSecret;
use crate::ids::{GroupId, ReceiverId, Sequence, SessionId};
use crate::sign::Scope;

/// Bytes that sealing adds to a datagram.
pub const TAG_BYTES: usize = 16;

/// The secret that all hosts of a group and its senders share.
#[derive(Clone)]
pub struct GroupKey(Zeroizing<[u8; GroupKey::BYTES]>);

impl GroupKey {
    /// Length of a group key.
    pub const BYTES: usize = 32;

    /// Takes over 32 bytes of key material.
    pub fn new(mut bytes: [u8; Self::BYTES]) -> Self {
        let key = Self(Zeroizing::new(bytes));
        bytes.zeroize();
        key
    }

    /// The all-zero key for a lab: datagrams are sealed as always, but everybody knows the key.
    pub fn insecure() -> Self {
        Self(Zeroizing::new([0; Self::BYTES]))
    }

    /// The key itself, for a host that keeps it or a sender that gives it to one.
    pub fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Which group this is the key of: a hash that does not reveal it.
    pub fn id(&self) -> GroupId {
        let mut hasher = blake3::Hasher::new_derive_key("glancecast v2 group id: group key");
        hasher.update(&*self.0);
        let mut id = [0; GroupId::BYTES];
        hasher.finalize_xof().fill(&mut id);
        hasher.zeroize();
        GroupId(id)
    }

    /// What signatures in a session of this group are for.
    pub fn scope(&self, session: SessionId) -> Scope {
        Scope { group: self.id(), session }
    }

    /// Derives the cipher for one purpose from this key and the parts that make it unique.
    fn derive(&self, context: &str, parts: &[&[u8]]) -> Cipher {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        hasher.update(&*self.0);
        parts.iter().for_each(|part| {
            hasher.update(part);
        });
        let mut key = Zeroizing::new([0; 32]);
        hasher.finalize_xof().fill(&mut *key);
        hasher.zeroize();
        Cipher::new(&key)
    }
}

impl fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupKey(..)")
    }
}

/// Seals and opens the datagrams of one writer, which counts the sequence numbers.
pub struct Cipher(LessSafeKey);

impl Cipher {
    /// For what a sender or a querier sends to the group and to single hosts.
    pub fn downward(key: &GroupKey, session: SessionId) -> Self {
        key.derive("glancecast v2 sender to group: group key, session id", &[&session.0])
    }

    /// For the hello of one start of one receiver, for answers to queries, and for what it says as a relay. The latter has
    /// numbers from [`Sequence::FOR_SOME`] on, as a relay counts on when its receiver has left the session.
    pub fn upward(key: &GroupKey, session: SessionId, receiver: ReceiverId) -> Self {
        key.derive(
            "glancecast v2 receiver to sender: group key, session id, receiver id",
            &[&session.0, &receiver.0],
        )
    }

    /// For what one start of one receiver tells the sender alone.
    pub fn private_up(
        key: &GroupKey,
        session: SessionId,
        receiver: ReceiverId,
        shared: &SharedSecret,
    ) -> Self {
        key.derive(
            "glancecast v2 receiver to sender alone: group key, session id, receiver id, shared secret",
            &[&session.0, &receiver.0, shared.bytes()],
        )
    }

    /// For what the sender tells one start of one receiver alone.
    pub fn private_down(
        key: &GroupKey,
        session: SessionId,
        receiver: ReceiverId,
        shared: &SharedSecret,
    ) -> Self {
        key.derive(
            "glancecast v2 sender to receiver alone: group key, session id, receiver id, shared secret",
            &[&session.0, &receiver.0, shared.bytes()],
        )
    }

    /// For a single version notice, whose salt is drawn for it. The derivation is the same in every version.
    pub(crate) fn notice(key: &GroupKey, salt: &[u8; 16]) -> Self {
        key.derive("glancecast version notice: group key, salt", &[salt])
    }

    fn new(key: &[u8; 32]) -> Self {
        Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are an AES-256 key")))
    }

    /// Seals `plain` into `sealed` in one pass (encrypt and copy), tag last.
    ///
    /// # Panics
    /// If `sealed` is not [`TAG_BYTES`] longer than `plain`.
    pub fn seal(&self, sequence: Sequence, header: &[u8], plain: &[u8], sealed: &mut [u8]) {
        assert_eq!(sealed.len(), plain.len() + TAG_BYTES);
        self.0
            .seal_in_place_scatter(nonce(sequence), Aad::from(header), &mut [], plain, sealed)
            .expect("a datagram is far below the longest input of AES-GCM");
    }

    /// Opens `sealed`, tag last, into `plain` in one pass (decrypt and copy). On an error `plain` holds no plaintext.
    ///
    /// # Errors
    /// [`Forged`] if the key, the header, the sequence or any byte differs from what was sealed.
    ///
    /// # Panics
    /// If `plain` is not [`TAG_BYTES`] shorter than `sealed`.
    pub fn open(
        &self,
        sequence: Sequence,
        header: &[u8],
        sealed: &[u8],
        plain: &mut [u8],
    ) -> Result<(), Forged> {
        assert_eq!(sealed.len(), plain.len() + TAG_BYTES);
        let (text, tag) = sealed.split_at(plain.len());
        self.0.open_separate_gather(nonce(sequence), Aad::from(header), text, tag, plain).map_err(|_| Forged)
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher(..)")
    }
}

/// A datagram that was not sealed under this key, or was changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a datagram that this key does not open")]
pub struct Forged;

fn nonce(sequence: Sequence) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[NONCE_LEN - 8..].copy_from_slice(&sequence.value().to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agree::AgreementKey;

    const SESSION: SessionId = SessionId([5; 16]);

    #[test]
    fn what_was_sealed_opens_once_nothing_was_changed() {
        let cipher = Cipher::downward(&GroupKey::new([1; 32]), SESSION);
        let mut sealed = [0; 5 + TAG_BYTES];
        cipher.seal(sequence(9), b"header", b"hello", &mut sealed);
        let mut plain = [0; 5];
        cipher.open(sequence(9), b"header", &sealed, &mut plain).expect("ours");
        assert_eq!(&plain, b"hello");

        assert_eq!(cipher.open(sequence(8), b"header", &sealed, &mut plain), Err(Forged));
        assert_eq!(cipher.open(sequence(9), b"Header", &sealed, &mut plain), Err(Forged));
        for byte in 0..sealed.len() {
            let mut bent = sealed;
            bent[byte] ^= 0x40;
            assert_eq!(cipher.open(sequence(9), b"header", &bent, &mut plain), Err(Forged), "byte {byte}");
            assert_ne!(&plain, b"hello", "an error leaves no plaintext");
        }
    }

    #[test]
    fn every_key_is_for_one_group_one_session_and_one_writer() {
        let (key, other) = (GroupKey::new([1; 32]), GroupKey::new([2; 32]));
        let ciphers = [
            Cipher::downward(&key, SESSION),
            Cipher::downward(&other, SESSION),
            Cipher::downward(&key, SessionId([6; 16])),
            Cipher::upward(&key, SESSION, ReceiverId([1; 8])),
            Cipher::upward(&key, SESSION, ReceiverId([2; 8])),
            Cipher::private_up(&key, SESSION, ReceiverId([1; 8]), &shared(1)),
            Cipher::private_up(&key, SESSION, ReceiverId([1; 8]), &shared(2)),
            Cipher::private_up(&key, SESSION, ReceiverId([2; 8]), &shared(1)),
            Cipher::private_up(&key, SessionId([6; 16]), ReceiverId([1; 8]), &shared(1)),
            Cipher::private_up(&other, SESSION, ReceiverId([1; 8]), &shared(1)),
            Cipher::private_down(&key, SESSION, ReceiverId([1; 8]), &shared(1)),
            Cipher::private_down(&key, SESSION, ReceiverId([1; 8]), &shared(2)),
            Cipher::private_down(&key, SESSION, ReceiverId([2; 8]), &shared(1)),
            Cipher::private_down(&key, SessionId([6; 16]), ReceiverId([1; 8]), &shared(1)),
            Cipher::private_down(&other, SESSION, ReceiverId([1; 8]), &shared(1)),
            Cipher::notice(&key, &SESSION.0),
        ];
        for (i, writer) in ciphers.iter().enumerate() {
            let mut sealed = [0; TAG_BYTES];
            writer.seal(sequence(1), b"", b"", &mut sealed);
            for (j, reader) in ciphers.iter().enumerate() {
                assert_eq!(
                    reader.open(sequence(1), b"", &sealed, &mut []).is_ok(),
                    i == j,
                    "{i} read by {j}"
                );
            }
        }
    }

    #[test]
    fn a_groups_id_tells_it_from_others() {
        let id = GroupKey::new([1; 32]).id();
        assert_eq!(id, GroupKey::new([1; 32]).id());
        assert_ne!(id, GroupKey::new([2; 32]).id());
        assert_ne!(id.0, [1; 32], "it is not the key");
    }

    #[test]
    fn keys_do_not_show_in_debug_output() {
        let key = GroupKey::new([0xAB; 32]);
        let shown = format!("{key:?} {:?}", Cipher::downward(&key, SESSION));
        assert_eq!(shown, "GroupKey(..) Cipher(..)");
    }

    /// The secret of the sender with `seed` and one host.
    fn shared(seed: u8) -> SharedSecret {
        let key = |seed| AgreementKey::from_seed(&Zeroizing::new([seed; 32]));
        key(seed).agree(&key(9).public()).expect("keys of our own")
    }

    fn sequence(value: u64) -> Sequence {
        Sequence::new(value).expect("small")
    }
}
