//! Decoding of the hosts' datagrams, for the rules that check them.

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, SessionId};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::wire::{Up, UpHeader};

use super::host::KEY;

/// Opens a datagram to the sender of this session; `None` if it is for another one.
pub(crate) fn said(session: SessionId, geometry: Geometry, datagram: &[u8]) -> Option<Up> {
    let up = UpHeader::parse(datagram).ok()?;
    let cipher = Cipher::upward(&GroupKey::new(KEY), session, up.receiver);
    Up::open(&cipher, geometry, up, datagram).ok()
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
