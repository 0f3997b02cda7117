use glancecast_proto::geometry::Geometry;
use glancecast_proto::wire::Announce;

use crate::announcement::announcement;

/// Whether a test that gives files away can run; where tests may not be skipped, it has to.
pub(in crate::store) fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(is_root || !in_ci, "only root gives files away, and in CI nothing is skipped");
    if !is_root {
        println!("skipped: only root gives files away: sudo -E env \"PATH=$PATH\" make test");
    }
    is_root
}

pub(in crate::store) const OBJECT: &[u8] = b"what a node boots from";

pub(in crate::store) fn announce(name: &str) -> Announce {
    announcement(name, Geometry::for_path(OBJECT.len() as u64, 1500, 20).expect("in range"))
}
