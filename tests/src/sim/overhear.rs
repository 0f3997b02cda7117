//! Decoding of the hosts' datagrams, for the rules that check them. Simulated hosts derive their agreement keys from one
//! secret, so that what a host tells its sender alone can be opened here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use glancecast_proto::agree::{AgreementKey, StartSecret};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, ReceiverId, SessionId};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::wire::{Down, Hello, Poll, Up, UpHeader};
use zeroize::Zeroizing;

use super::host::KEY;
use super::pusher::signing_key;

/// Opens what a host has told the sender of this session alone; `None` if it is for another one.
pub(crate) fn said(session: SessionId, geometry: Geometry, datagram: &[u8]) -> Option<Up> {
    let up = UpHeader::parse(datagram).ok()?;
    Up::open(&private(session, up.receiver), geometry, up, datagram).ok()
}

/// Opens a hello to the sender of this session; `None` if it is for another one.
pub(crate) fn hello(session: SessionId, geometry: Geometry, datagram: &[u8]) -> Option<Hello> {
    let up = UpHeader::parse(datagram).ok()?;
    let cipher = Cipher::upward(&GroupKey::new(KEY), session, up.receiver);
    Hello::open(&cipher, geometry, up, datagram).ok().map(|greeting| greeting.hello)
}

/// Opens a poll of this session, signed by the simulated sender if `signed`.
pub(crate) fn poll(session: SessionId, geometry: Geometry, signed: bool, datagram: &[u8]) -> Option<Poll> {
    let group = GroupKey::new(KEY);
    let signer = signed.then(|| signing_key().public().within(group.scope(session)));
    match Down::open(&Cipher::downward(&group, session), geometry, signer, datagram, |_| Ok(())) {
        Ok((_, Down::Poll(poll))) => Some(poll),
        _ => None,
    }
}

/// Returns the blocks for which a report has deficits.
pub(crate) fn asked_for(
    session: SessionId,
    geometry: Geometry,
    datagram: &[u8],
) -> impl Iterator<Item = BlockIndex> {
    let report = match said(session, geometry, datagram) {
        Some(Up::Report(report)) => Some(report),
        _ => None,
    };
    let runs = report.into_iter().flat_map(|report| report.deficits);
    runs.flat_map(|run| (run.first.0..run.first.0 + u32::from(run.blocks)).map(BlockIndex))
}

/// Returns the cipher of what one start of a host tells the sender of a session.
pub(crate) fn private(session: SessionId, receiver: ReceiverId) -> Rc<Cipher> {
    thread_local! {
        static CIPHERS: RefCell<BTreeMap<(SessionId, ReceiverId), Rc<Cipher>>> = const { RefCell::new(BTreeMap::new()) };
    }
    CIPHERS.with_borrow_mut(|ciphers| {
        if ciphers.len() >= CIPHERS_MAX {
            ciphers.clear();
        }
        let derived = || {
            let host = AgreementKey::derive(&start_secret(), session, receiver);
            let shared = host.agree(&sender_agreement().public()).expect("a key of our own");
            Rc::new(Cipher::private_up(&GroupKey::new(KEY), session, receiver, &shared))
        };
        Rc::clone(ciphers.entry((session, receiver)).or_insert_with(derived))
    })
}

/// The secret of all starts of all hosts.
pub(crate) fn start_secret() -> StartSecret {
    StartSecret::new([0x51; StartSecret::BYTES])
}

/// The sender's half of the keys that it shares with hosts.
pub(crate) fn sender_agreement() -> AgreementKey {
    AgreementKey::from_seed(&Zeroizing::new([0x52; AgreementKey::SEED_BYTES]))
}

/// Ciphers that are kept, as deriving one takes a tenth of a millisecond.
const CIPHERS_MAX: usize = 1_000;
