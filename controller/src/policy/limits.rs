//! Every bound of policies and plans in one place: where it comes from, and what happens when it is reached.

use std::time::Duration;

use glancecast_proto::limits::{HOSTS_MAX, OBJECT_BYTES_MAX};
use glancecast_proto::units::Rate;

/// Bytes of a file of policies, or of a policy that the API receives. A longer one is refused unread.
pub const POLICY_BYTES_MAX: usize = 256 << 10;
/// Policies of all files and of the API together. Further ones are refused.
pub const POLICIES_MAX: usize = 256;
/// Mistakes that are reported of one file; further ones are counted.
pub const MISTAKES_MAX: usize = 32;
/// Bytes of the name of a policy or of a profile: it is part of addresses and of metrics.
pub const NAME_MAX: usize = 64;
/// Tags, names, ids, aggregates or zones in one list of a policy. A longer list is refused.
pub const LIST_MAX: usize = 64;
/// Characters of a tag, of an image's name, of an aggregate and of a zone: Glance's and Nova's own limit.
pub const TEXT_MAX: usize = 255;

/// The largest `newest`: more versions of one image are an archive.
pub const NEWEST_MAX: u64 = 64;
/// Images that one policy can want. A policy that selects more pushes nothing and reports that.
pub const IMAGES_PER_POLICY_MAX: usize = 256;
/// Hosts that one policy can want: as many as one push reaches. A policy that selects more pushes nothing and reports that.
pub const HOSTS_PER_POLICY_MAX: usize = HOSTS_MAX;
/// The largest `max_image`: the longest object of the protocol, which is the default, too.
pub const IMAGE_BYTES_MAX: u64 = OBJECT_BYTES_MAX;

/// The range of `priority`. The default is 0.
pub const PRIORITY_MAX: i64 = 100;

/// The default of `quorum`, in hundredths of a per cent: 95 %.
pub const QUORUM_DEFAULT: u16 = 9_500;

/// The default of `guard.hosts`: hosts that one plan of a policy writes to without approval.
pub const GUARD_HOSTS_DEFAULT: u64 = 300;
/// The default of `guard.size`: bytes that one plan of a policy writes on all hosts together without approval. An image of
/// 20 GiB on 500 hosts is half of it.
pub const GUARD_BYTES_DEFAULT: u64 = 20 << 40;
/// The largest `guard.size`, 1 EiB: more is a slip of the finger.
pub const GUARD_BYTES_MAX: u64 = 1 << 60;
/// The time for which an approval is valid: a large plan may take the windows of several nights.
pub const APPROVAL_TIME: Duration = Duration::from_secs(7 * 86_400);

/// Hosts that are caught up by unicast. When more lack an image, the group gets it.
pub const LATE_HOSTS_MAX: usize = 2;
/// The rate for late hosts: an image of 10 GiB takes some seven minutes, and a link of 1 Gbit/s keeps four fifths for guests.
pub const LATE_RATE: Rate = Rate::mbit(200);

/// The first wait after a failure. Each further failure of the same image on the same host doubles it.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(60);
/// The longest wait after a failure.
pub const BACKOFF_MAX: Duration = Duration::from_secs(6 * 3_600);
/// Pairs of image and host whose failures are remembered: each host fails with fifty images. The oldest failure makes room.
pub const FAILURES_MAX: usize = 50 * HOSTS_MAX;

/// The age at which what a host said last counts no more: three inventories, which are taken every 5 minutes.
pub const INVENTORY_AGE_MAX: Duration = Duration::from_secs(15 * 60);

/// The time for which a push is not started again after a person has cancelled it.
pub const CANCELLED_BY_PERSON: Duration = Duration::from_secs(3_600);
/// The same after a change of policies or images has ended it. Tags that are set and removed in turn cost little then.
pub const CANCELLED_BY_POLICY: Duration = Duration::from_secs(600);

/// Images whose roots are remembered, some 200 bytes each. Further ones are hashed again at each push.
pub const KNOWN_ROOTS_MAX: usize = 100_000;

/// Bytes of a text of a host, of Nova or of a child in the reason of a failure; longer ones are cut off.
pub const REASON_MAX: usize = 200;

/// Days after which a window is taken for one that never opens. The longest gap that a calendar has had is one day
/// (Samoa, 30 December 2011).
pub const WINDOW_DAYS: i64 = 8;

const _: () = {
    assert!(QUORUM_DEFAULT <= 10_000 && QUORUM_DEFAULT > 0);
    assert!(GUARD_BYTES_DEFAULT <= GUARD_BYTES_MAX && GUARD_HOSTS_DEFAULT as usize <= HOSTS_PER_POLICY_MAX);
    assert!(BACKOFF_FIRST.as_secs() <= BACKOFF_MAX.as_secs());
    assert!(CANCELLED_BY_POLICY.as_secs() > 60, "longer than the interval of the reconciler");
};
