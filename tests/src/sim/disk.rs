//! A host's disk: what is published, and what is written of an object on its way. It outlives the host's crashes.

use std::rc::Rc;

use glancecast_proto::ids::{BlockIndex, SessionId};
use glancecast_proto::receiver::{BlockOutcome, Opened, Published};
use glancecast_proto::wire::FailureKind;

use super::dice::Dice;
use super::faults::{Counts, Fault};
use super::object::Object;
use super::plan::{Before, DiskPlan};

/// Bytes of a block as the disk keeps them, `None` where nothing was written.
pub(crate) type Content = Vec<Option<Rc<[u8]>>>;

pub(crate) struct Disk {
    plan: DiskPlan,
    published: Option<Content>,
    /// Written and not published, by the session that it came in.
    partial: Option<(SessionId, Content)>,
    /// Times that something was published here.
    pub(crate) publications: u32,
}

impl Disk {
    pub(crate) fn new(plan: &DiskPlan, object: &Object, counts: &mut Counts) -> Self {
        let same =
            || -> Content { object.blocks.iter().map(|block| Some(Rc::clone(&block.encoded))).collect() };
        let published = match plan.before {
            Before::Nothing => None,
            Before::Same => Some(same()),
            // An empty object has no other content of its length.
            Before::SameLength => Some(vec![None; object.blocks.len()]),
            Before::Other => Some(vec![None; object.blocks.len() + 1]),
        };
        match plan.before {
            Before::Nothing => {}
            Before::Same => counts.note(Fault::SameFile),
            Before::SameLength | Before::Other => counts.note(Fault::OtherFile),
        }
        Self { plan: plan.clone(), published, partial: None, publications: 0 }
    }

    /// Whether all of the object is there under its name.
    pub(crate) fn holds(&self, object: &Object) -> bool {
        self.published.as_ref().is_some_and(|content| is_object(content, object))
    }

    /// Whether what is there under the object's name is the object, or was there before.
    pub(crate) fn is_truthful(&self, object: &Object) -> bool {
        self.publications == 0 || self.holds(object)
    }

    /// A place for the object.
    pub(crate) fn open(
        &mut self,
        session: SessionId,
        object: &Object,
        counts: &mut Counts,
    ) -> Result<Opened, (FailureKind, String)> {
        if let Some(content) = &self.published {
            return if content.len() == object.blocks.len() {
                Ok(Opened::Existing)
            } else {
                Err((FailureKind::Exists, "a file of another length is there".into()))
            };
        }
        if self.plan.full_at_open {
            counts.note(Fault::DiskFull);
            return Err((FailureKind::NoSpace, "there is not enough space".into()));
        }
        self.partial = Some((session, vec![None; object.blocks.len()]));
        Ok(Opened::New)
    }

    pub(crate) fn write(
        &mut self,
        dice: &mut Dice,
        counts: &mut Counts,
        block: BlockIndex,
        bytes: Rc<[u8]>,
        repaired: u32,
    ) -> BlockOutcome {
        let (_, content) = self.partial.as_mut().expect("a place was made");
        let written = content.iter().flatten().count() as u32;
        if self.plan.full_after.is_some_and(|full| written >= full) {
            counts.note(Fault::DiskFull);
            return BlockOutcome::Store(FailureKind::NoSpace, "no space is left".into());
        }
        if dice.chance(self.plan.write_fails) {
            counts.note(Fault::WriteFailed);
            return BlockOutcome::Store(FailureKind::Store, "the disk does not write".into());
        }
        content[block.index()] = Some(bytes);
        BlockOutcome::Written { repaired }
    }

    pub(crate) fn publish(&mut self, counts: &mut Counts) -> Published {
        let (_, content) = self.partial.take().expect("a place was made");
        if self.plan.publish_fails {
            counts.note(Fault::PublishFailed);
            return Published::Failed(FailureKind::Store, "the disk does not sync".into());
        }
        self.published = Some(content);
        self.publications += 1;
        Published::New
    }

    pub(crate) fn compare(&self, object: &Object) -> Published {
        if self.holds(object) {
            Published::Existing
        } else {
            Published::Failed(FailureKind::Exists, "a file of other content is there".into())
        }
    }

    /// Throws away what was written and not published.
    pub(crate) fn discard(&mut self) {
        self.partial = None;
    }

    /// Whether something is left of an attempt.
    pub(crate) fn has_leftovers(&self) -> bool {
        self.partial.is_some()
    }
}

fn is_object(content: &Content, object: &Object) -> bool {
    content.len() == object.blocks.len()
        && content.iter().zip(&object.blocks).all(|(is, should)| is.as_ref() == Some(&should.encoded))
}
