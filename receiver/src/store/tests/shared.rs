use glancecast_proto::geometry::Geometry;
use glancecast_proto::wire::Announce;

use crate::announcement::announcement;

/// Whether a test that gives files away can run; logs that it is skipped if it cannot.
pub(in crate::store) fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        glancecast_testkit::skip("only root gives files away: sudo -E env \"PATH=$PATH\" make test");
    }
    is_root
}

pub(in crate::store) const OBJECT: &[u8] = b"what a node boots from";

pub(in crate::store) fn announce(name: &str) -> Announce {
    announcement(name, Geometry::for_path(OBJECT.len() as u64, 1500, 20).expect("in range"))
}
