//! What the hosts of a group hold, as they say it and as pushes have reported it.
//!
//! A host's answer tells what it held when it was asked. A push that has ended since knows better, so an answer to an earlier
//! question does not undo what was delivered: the host would get the image a second time. And a verdict tells of one image only:
//! what else a host holds or lacks is known by its answers alone.

use std::collections::BTreeMap;
use std::time::Duration;

use glancecast_proto::ids::HostName;
use glancecast_proto::integrity::Root;
use glancecast_proto::time::WallClock;

use super::{after, brief};
use crate::policy::ImageId;
use crate::policy::limits::INVENTORY_AGE_MAX;

/// The hosts of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    hosts: BTreeMap<HostName, HostInventory>,
}

/// What one host holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostInventory {
    /// Its last answer; `None` if it is known by verdicts alone.
    answer: Option<Answered>,
    free_bytes: Option<u64>,
    copies: BTreeMap<ImageId, HeldCopy>,
    /// Why what it says does not count.
    trouble: Option<String>,
}

/// When a host was asked, and when it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answered {
    asked_at: WallClock,
    heard_at: WallClock,
}

/// A copy of an image on a host.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldCopy {
    /// BLAKE3 of what was proven.
    pub root: Root,
    /// Its length on the host.
    pub bytes: u64,
    /// Whether the host keeps it longer than its own rule.
    pub pinned: Pinned,
    /// When a push has reported it, if the host's answers are not newer.
    pub delivered_at: Option<WallClock>,
}

/// Whether a host keeps a copy longer than its own rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// It does not.
    No,
    /// It does, until a time or for ever.
    Yes,
}

/// An answer to the question what a host holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// When the question was sent.
    pub asked_at: WallClock,
    /// When the answer came.
    pub heard_at: WallClock,
    /// Room in its store, if it knows.
    pub free_bytes: Option<u64>,
    /// Its copies of images that have an id.
    pub copies: BTreeMap<ImageId, HeldCopy>,
}

impl Inventory {
    /// Takes in an answer. One to an earlier question than the last is dropped.
    pub fn answered(&mut self, host: HostName, answer: Answer) {
        let Answer { asked_at, heard_at, free_bytes, mut copies } = answer;
        if let Some(known) = self.hosts.get(&host) {
            if known.answer.is_some_and(|last| last.asked_at > asked_at) {
                return;
            }
            for (image, copy) in &known.copies {
                if copy.delivered_at.is_some_and(|at| at >= asked_at) {
                    copies.insert(image.clone(), copy.clone());
                }
            }
        }
        let answer = Some(Answered { asked_at, heard_at });
        self.hosts.insert(host, HostInventory { answer, free_bytes, copies, trouble: None });
    }

    /// Takes in the verdict of a push that this host holds an image: `done` or `existing`.
    pub fn delivered(
        &mut self,
        host: HostName,
        at: WallClock,
        image: ImageId,
        root: Root,
        bytes: u64,
        pinned: Pinned,
    ) {
        let entry = self.hosts.entry(host).or_default();
        entry.free_bytes = entry.free_bytes.map(|free| free.saturating_sub(bytes));
        entry.copies.insert(image, HeldCopy { root, bytes, pinned, delivered_at: Some(at) });
    }

    /// Takes in the host's word that a copy is not pinned any more.
    pub fn unpinned(&mut self, host: &HostName, image: &ImageId) {
        if let Some(copy) = self.hosts.get_mut(host).and_then(|host| host.copies.get_mut(image)) {
            copy.pinned = Pinned::No;
        }
    }

    /// Takes in that a host's answers do not count, and why: its key has changed, its store cannot be read.
    pub fn troubled(&mut self, host: &HostName, reason: &str) {
        self.hosts.entry(host.clone()).or_default().trouble = Some(brief(reason));
    }

    /// Forgets a host.
    pub fn forget(&mut self, host: &HostName) {
        self.hosts.remove(host);
    }

    /// Returns what is known of a host.
    pub fn host(&self, host: &HostName) -> Option<&HostInventory> {
        self.hosts.get(host)
    }

    /// Returns all hosts of which something is known.
    pub fn hosts(&self) -> impl Iterator<Item = (&HostName, &HostInventory)> {
        self.hosts.iter()
    }
}

impl HostInventory {
    /// When it answered last; `None` if it never did.
    pub fn answered_at(&self) -> Option<WallClock> {
        self.answer.map(|answer| answer.heard_at)
    }

    /// The room in its store, if it is known.
    pub fn free_bytes(&self) -> Option<u64> {
        self.free_bytes
    }

    /// Its copy of an image, whenever that was told.
    pub fn copy(&self, image: &ImageId) -> Option<&HeldCopy> {
        self.copies.get(image)
    }

    /// Its copy of an image, if an answer or a verdict has told of it lately, and its answers count.
    pub fn counted_copy(&self, image: &ImageId, now: WallClock) -> Option<&HeldCopy> {
        let copy = self.copies.get(image).filter(|_| self.trouble.is_none())?;
        let told = copy.delivered_at.max(self.answered_at());
        told.is_some_and(|told| now < stale(told)).then_some(copy)
    }

    /// Whether what it did not name in its last answer is what it lacks: the answer is not too old.
    pub fn has_answered_lately(&self, now: WallClock) -> bool {
        self.answered_at().is_some_and(|at| now < stale(at))
    }

    /// Its copies.
    pub fn copies(&self) -> impl Iterator<Item = (&ImageId, &HeldCopy)> {
        self.copies.iter()
    }

    /// Why what it says does not count.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// When what was told becomes too old to count.
    pub(super) fn stale_at(&self) -> impl Iterator<Item = WallClock> {
        let verdicts = self.copies.values().filter_map(|copy| copy.delivered_at);
        self.answered_at().into_iter().chain(verdicts).map(stale)
    }
}

/// Returns when what was told at a time becomes too old to count.
fn stale(told: WallClock) -> WallClock {
    after(told, INVENTORY_AGE_MAX + Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_a_question_before_the_verdict_does_not_undo_it() {
        let mut inventory = Inventory::default();
        inventory.answered(host(), answer(10, 11, &[1]));
        inventory.delivered(host(), WallClock(20), image(2), Root([2; 32]), 5, Pinned::Yes);
        inventory.answered(host(), answer(15, 21, &[1]));
        assert_eq!(held(&inventory), [1, 2], "it was asked before the push ended");
        inventory.answered(host(), answer(25, 26, &[1]));
        assert_eq!(held(&inventory), [1], "it was asked later, and has been reinstalled");
    }

    #[test]
    fn answers_that_overtake_each_other_leave_the_newer_one() {
        let mut inventory = Inventory::default();
        inventory.answered(host(), answer(20, 22, &[2]));
        inventory.answered(host(), answer(10, 23, &[1]));
        assert_eq!(held(&inventory), [2]);
    }

    #[test]
    fn what_a_host_said_counts_for_a_while() {
        let mut inventory = Inventory::default();
        inventory.answered(host(), answer(0, 1_000, &[1]));
        let known = inventory.host(&host()).expect("known");
        let (last, stale) =
            (after(WallClock(1_000), INVENTORY_AGE_MAX), known.stale_at().next().expect("a time"));
        assert!(known.has_answered_lately(last) && known.counted_copy(&image(1), last).is_some());
        assert!(
            !known.has_answered_lately(stale)
                && known.counted_copy(&image(1), stale).is_none()
                && stale > last
        );
    }

    #[test]
    fn a_verdict_tells_of_one_image_and_nothing_of_others() {
        let mut inventory = Inventory::default();
        inventory.delivered(host(), WallClock(5_000), image(1), Root([1; 32]), 5, Pinned::Yes);
        let known = inventory.host(&host()).expect("known");
        assert!(known.counted_copy(&image(1), WallClock(5_000)).is_some());
        assert!(!known.has_answered_lately(WallClock(5_000)) && known.answered_at().is_none());
        // An old answer is not made young by it.
        inventory.answered(host(), answer(0, 1_000, &[2]));
        let later = after(WallClock(1_000), INVENTORY_AGE_MAX + Duration::from_secs(60));
        inventory.delivered(host(), later, image(3), Root([3; 32]), 5, Pinned::Yes);
        let known = inventory.host(&host()).expect("known");
        let counted = [2, 3].map(|n| known.counted_copy(&image(n), later).is_some());
        assert_eq!((counted, known.has_answered_lately(later)), ([false, true], false));
    }

    #[test]
    fn a_delivery_takes_room_and_an_unpinned_copy_stays() {
        let mut inventory = Inventory::default();
        inventory.answered(host(), answer(0, 1, &[]));
        inventory.delivered(host(), WallClock(2), image(1), Root([1; 32]), 40, Pinned::Yes);
        inventory.unpinned(&host(), &image(1));
        let known = inventory.host(&host()).expect("known");
        assert_eq!(
            (known.free_bytes(), known.copy(&image(1)).map(|copy| copy.pinned)),
            (Some(60), Some(Pinned::No))
        );
    }

    fn held(inventory: &Inventory) -> Vec<u64> {
        let known = inventory.host(&host()).expect("known");
        known.copies().map(|(_, copy)| u64::from(copy.root.0[0])).collect()
    }

    fn answer(asked: u64, heard: u64, images: &[u8]) -> Answer {
        let copy = |n: u8| HeldCopy { root: Root([n; 32]), bytes: 5, pinned: Pinned::No, delivered_at: None };
        Answer {
            asked_at: WallClock(asked),
            heard_at: WallClock(heard),
            free_bytes: Some(100),
            copies: images.iter().map(|n| (image(*n), copy(*n))).collect(),
        }
    }

    fn host() -> HostName {
        HostName::new("c1").expect("a name")
    }

    fn image(n: u8) -> ImageId {
        ImageId::new(&format!("00000000-0000-4000-8000-0000000000{n:02x}")).expect("an id")
    }
}
