//! The receipt: what became of an object on a host, signed by that host. It stands in its final report, and is worth
//! something without it.
//!
//! The signature covers, in this order: a context, the group's id (32), the session's id (16), the time (8), the outcome
//! (1: done 1, existing 2, failed 16 and the kind of the failure in the next byte, else 0), the root (32, zeros if
//! failed), and the host's name.
//!
//! ```text
//!   0   8    time: ms since 1970 (UTC)
//!   8   1+n  host name, n <= 128
//!   +  64    signature
//! ```

use super::bytes::{Reader, Writer, fields, text};
use super::discard::Discard;
use super::failed::FailureKind;
use crate::ids::HostName;
use crate::integrity::Root;
use crate::limits::HOST_NAME_MAX;
use crate::sign::{PublicKey, SIGNATURE_BYTES, Scope, SigningKey};
use crate::time::WallClock;

/// What became of an object on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The host has published it.
    Published(Root),
    /// The host held the same bytes under this name before.
    Existing(Root),
    /// The host has given up.
    Failed(FailureKind),
}

/// What a host says of an object, over its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The host's name.
    pub name: HostName,
    /// When it was signed, by the host's clock.
    pub time: WallClock,
    signature: [u8; SIGNATURE_BYTES],
}

impl Receipt {
    /// Length on the wire.
    pub(super) const BYTES_MAX: usize = Fields::BYTES;

    /// Signs what became of the object of the session that `scope` names.
    pub fn sign(key: &SigningKey, scope: Scope, name: HostName, time: WallClock, outcome: Outcome) -> Self {
        let signature = key.sign_message(&statement(scope, &name, time, outcome));
        Self { name, time, signature }
    }

    /// Whether the holder of `key` has signed this outcome.
    pub fn verify(&self, key: PublicKey, scope: Scope, outcome: Outcome) -> bool {
        key.verify_message(&statement(scope, &self.name, self.time, outcome), &self.signature)
    }

    /// The signature.
    pub fn signature(&self) -> &[u8; SIGNATURE_BYTES] {
        &self.signature
    }

    pub(super) fn emit(&self, out: &mut Writer<'_>) {
        out.u64(self.time.0);
        out.text(self.name.as_str());
        out.bytes(&self.signature);
    }

    pub(super) fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        Ok(Self { time: WallClock(body.u64()?), name: body.host_name()?, signature: body.array()? })
    }
}

fn statement(scope: Scope, name: &HostName, time: WallClock, outcome: Outcome) -> Vec<u8> {
    let (what, root) = match outcome {
        Outcome::Published(root) => ([1, 0], root.0),
        Outcome::Existing(root) => ([2, 0], root.0),
        Outcome::Failed(kind) => ([16, kind as u8], [0; Root::BYTES]),
    };
    let time = time.0.to_be_bytes();
    [CONTEXT, &scope.group.0, &scope.session.0, &time, &what, &root, name.as_str().as_bytes()].concat()
}

/// Keeps receipts apart from signed datagrams.
const CONTEXT: &[u8] = b"glancecast v2 receipt: group id, session id, time, outcome, root, name\0";

fields! {
    Fields {
        TIME: WallClock::BYTES,
        NAME: text(HOST_NAME_MAX),
        SIGNATURE: SIGNATURE_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{GroupId, SessionId};

    #[test]
    fn a_receipt_is_good_for_what_it_says_and_for_nothing_else() {
        let receipt = Receipt::sign(&key(1), SCOPE, host("a"), WallClock(7), PUBLISHED);
        assert!(receipt.verify(key(1).public(), SCOPE, PUBLISHED));
        assert!(!receipt.verify(key(2).public(), SCOPE, PUBLISHED), "another host's key");
        for outcome in [
            Outcome::Existing(Root([9; 32])),
            Outcome::Published(Root([8; 32])),
            Outcome::Failed(FailureKind::Exists),
        ] {
            assert!(!receipt.verify(key(1).public(), SCOPE, outcome), "{outcome:?}");
        }
        let group = Scope { group: GroupId([3; 32]), ..SCOPE };
        let session = Scope { session: SessionId([6; 16]), ..SCOPE };
        for scope in [group, session] {
            assert!(!receipt.verify(key(1).public(), scope, PUBLISHED), "{scope:?}");
        }
        let renamed = Receipt { name: host("b"), ..receipt.clone() };
        let later = Receipt { time: WallClock(8), ..receipt };
        assert!(!renamed.verify(key(1).public(), SCOPE, PUBLISHED));
        assert!(!later.verify(key(1).public(), SCOPE, PUBLISHED));
    }

    #[test]
    fn each_kind_of_failure_is_a_statement_of_its_own() {
        let failed = |kind| statement(SCOPE, &host("a"), WallClock(1), Outcome::Failed(kind));
        let mut statements: Vec<_> = FailureKind::ALL.map(failed).to_vec();
        statements.sort();
        statements.dedup();
        assert_eq!(statements.len(), FailureKind::ALL.len());
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32].into())
    }

    fn host(name: &str) -> HostName {
        HostName::new(name).expect("plain")
    }

    const SCOPE: Scope = Scope { group: GroupId([4; 32]), session: SessionId([5; 16]) };
    const PUBLISHED: Outcome = Outcome::Published(Root([9; 32]));
}
