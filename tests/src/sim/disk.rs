//! A host's disk: the published file, the unfinished file and its journal. It survives the host's crashes; a power
//! failure leaves what was synced.
//!
//! The order is that of the real store: blocks are written and noted; a flush makes them durable, then their records.
//! So a record always has its data, but the last records may be missing, and blocks without a record may be torn.

use std::collections::BTreeSet;
use std::rc::Rc;

use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::BlockHash;
use glancecast_proto::receiver::{BlockOutcome, Failure, Leftover, Opened, Origin, Published};
use glancecast_proto::wire::FailureKind;

use super::base::Base;
use super::dice::Dice;
use super::faults::{Counts, Fault};
use super::object::{Object, hash, torn};
use super::plan::{Before, DiskPlan, Leaving};

/// The bytes of each block on the disk; `None` where nothing was written.
pub(crate) type Content = Vec<Option<Rc<[u8]>>>;

pub(crate) struct Disk {
    plan: DiskPlan,
    published: Option<Content>,
    /// Written and not yet published.
    unfinished: Option<Unfinished>,
    /// Empty if the host has no base.
    pub(crate) base: Base,
    /// How often the object was published here.
    pub(crate) publications: u32,
}

/// An unfinished file and its journal.
struct Unfinished {
    content: Content,
    /// Per block: whether it survives a power failure unchanged.
    durable: Vec<bool>,
    /// The durable journal: each block with the hash of what was written.
    records: Vec<(BlockIndex, BlockHash)>,
    /// Records of blocks written since the last flush.
    noted: Vec<(BlockIndex, BlockHash)>,
}

impl Disk {
    pub(crate) fn new(plan: &DiskPlan, object: &Object, dice: &mut Dice, counts: &mut Counts) -> Self {
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
        let unfinished = plan.unfinished.map(|(share, wrong)| Unfinished::draw(object, share, wrong, dice));
        let base = plan.base.as_ref().map(|base| Base::draw(base, object, dice)).unwrap_or_default();
        Self { plan: plan.clone(), published, unfinished, base, publications: 0 }
    }

    /// Whether the whole object is published.
    pub(crate) fn holds(&self, object: &Object) -> bool {
        self.published.as_ref().is_some_and(|content| is_object(content, object))
    }

    /// Whether the published file is the object, or was there before the push.
    pub(crate) fn is_truthful(&self, object: &Object) -> bool {
        self.publications == 0 || self.holds(object)
    }

    /// Makes room and replaces what is broken, if somebody does so while the host is down.
    pub(crate) fn mend(&mut self) {
        if self.plan.is_mended {
            self.plan = DiskPlan { tells_holes: self.plan.tells_holes, ..DiskPlan::default() };
        }
    }

    /// Returns the existing file, or a new or resumed unfinished one.
    pub(crate) fn open(&mut self, object: &Object, counts: &mut Counts) -> Result<Opened<(), ()>, Failure> {
        if let Some(content) = &self.published {
            return if content.len() == object.blocks.len() {
                Ok(Opened::Existing(()))
            } else {
                Err(Failure::new(FailureKind::Exists, "a file of another length is there"))
            };
        }
        if self.plan.full_at_open {
            counts.note(Fault::DiskFull);
            return Err(Failure::new(FailureKind::NoSpace, "there is not enough space"));
        }
        let unfinished = self.unfinished.get_or_insert_with(|| Unfinished::new(object.blocks.len()));
        let kept = unfinished.kept(self.plan.tells_holes);
        if !kept.is_empty() {
            counts.note(Fault::Resumed);
            counts.note_times(Fault::Kept, kept.len() as u64);
        }
        Ok(Opened::Unfinished { file: (), kept })
    }

    /// Returns the kept blocks that are correct.
    pub(crate) fn right(&self, object: &Object) -> BTreeSet<BlockIndex> {
        let Some(unfinished) = &self.unfinished else { return BTreeSet::new() };
        let mut kept = unfinished.kept(self.plan.tells_holes);
        kept.retain(|&block| unfinished.holds(block, object.entry(block).hash));
        kept.into_iter().collect()
    }

    pub(crate) fn write(
        &mut self,
        dice: &mut Dice,
        counts: &mut Counts,
        block: BlockIndex,
        bytes: Rc<[u8]>,
        repaired: u32,
    ) -> BlockOutcome {
        let unfinished = self.unfinished.as_mut().expect("a place was made");
        let is_new = !is_data(&unfinished.content[block.index()]);
        if self.plan.full_after.is_some_and(|full| is_new && unfinished.written() >= full) {
            counts.note(Fault::DiskFull);
            return BlockOutcome::Failed(Failure::new(FailureKind::NoSpace, "no space is left"));
        }
        if dice.chance(self.plan.write_fails) {
            counts.note(Fault::WriteFailed);
            return BlockOutcome::Failed(Failure::new(FailureKind::Store, "the disk does not write"));
        }
        // A hole gets no record.
        if !bytes.is_empty() {
            unfinished.noted.push((block, hash(block, &bytes)));
        }
        unfinished.content[block.index()] = Some(bytes);
        unfinished.durable[block.index()] = false;
        BlockOutcome::Written { repaired }
    }

    /// Verifies that a kept block has the hash `wanted`.
    pub(crate) fn recheck(
        &mut self,
        counts: &mut Counts,
        block: BlockIndex,
        wanted: BlockHash,
    ) -> BlockOutcome {
        let unfinished = self.unfinished.as_mut().expect("it was resumed");
        if !unfinished.holds(block, wanted) {
            counts.note(Fault::NotKept);
            return BlockOutcome::NotKept;
        }
        if unfinished.record(block).is_none() {
            unfinished.noted.push((block, wanted));
        }
        BlockOutcome::Written { repaired: 0 }
    }

    /// Returns the bytes at a place where a block may be found.
    pub(crate) fn read(&self, origin: Origin) -> Option<Rc<[u8]>> {
        match origin {
            Origin::Base(at) => Some(self.base.read(at)),
            Origin::Object(of) => self.unfinished.as_ref()?.content[of.index()].clone(),
        }
    }

    /// Whether records wait for a flush.
    pub(crate) fn has_noted(&self) -> bool {
        self.unfinished.as_ref().is_some_and(|unfinished| !unfinished.noted.is_empty())
    }

    /// Makes the written data durable, then their records.
    pub(crate) fn flush(&mut self) {
        if let Some(unfinished) = &mut self.unfinished {
            unfinished.sync();
            unfinished.records.append(&mut unfinished.noted);
        }
    }

    pub(crate) fn publish(&mut self, counts: &mut Counts) -> Result<Published, Failure> {
        let unfinished = self.unfinished.take().expect("a place was made");
        if self.plan.publish_fails {
            counts.note(Fault::PublishFailed);
            return Err(Failure::new(FailureKind::Store, "the disk does not sync"));
        }
        self.published = Some(unfinished.content);
        self.publications += 1;
        Ok(Published::New)
    }

    pub(crate) fn compare(&self, object: &Object) -> Result<Published, Failure> {
        let other = || Failure::new(FailureKind::Exists, "a file of other content is there");
        self.holds(object).then_some(Published::Existing).ok_or_else(other)
    }

    /// Keeps the unfinished file for a later session if it has any blocks, or removes it.
    pub(crate) fn put_away(&mut self, leftover: Leftover) {
        match leftover {
            Leftover::Kept => {
                self.flush();
                self.unfinished.take_if(|unfinished| unfinished.kept(true).is_empty());
            }
            Leftover::Discarded => self.unfinished = None,
        }
    }

    /// Applies a crash of the host.
    pub(crate) fn crash(&mut self, how: Leaving, dice: &mut Dice, counts: &mut Counts) {
        let Some(unfinished) = &mut self.unfinished else { return };
        match how {
            Leaving::Stop => {}
            Leaving::Crash => {
                // The last block may have been half written.
                if let Some(&(block, _)) = unfinished.noted.last().filter(|_| dice.chance(0.5)) {
                    unfinished.tear(block.index(), counts);
                }
                unfinished.noted.clear();
            }
            Leaving::PowerLoss => unfinished.lose_power(dice, counts),
            Leaving::CrashAndLose => {
                counts.note(Fault::RestartedWithout);
                self.unfinished = None;
            }
        }
    }
}

impl Unfinished {
    fn new(blocks: usize) -> Self {
        Self {
            content: vec![None; blocks],
            durable: vec![false; blocks],
            records: Vec::new(),
            noted: Vec::new(),
        }
    }

    /// Draws the file of an earlier push: a `share` of the object from its front, each block wrong with chance `wrong`.
    fn draw(object: &Object, share: f64, wrong: f64, dice: &mut Dice) -> Self {
        let mut unfinished = Self::new(object.blocks.len());
        let there = (object.blocks.len() as f64 * share).round() as u32;
        for block in (0..there).map(BlockIndex) {
            let mut bytes = Rc::clone(&object.blocks[block.index()].encoded);
            if dice.chance(wrong) {
                bytes = torn(&bytes);
            }
            if !bytes.is_empty() && dice.chance(0.9) {
                unfinished.records.push((block, hash(block, &bytes)));
            }
            unfinished.content[block.index()] = Some(bytes);
        }
        unfinished.sync();
        unfinished
    }

    fn written(&self) -> u32 {
        self.content.iter().filter(|content| is_data(content)).count() as u32
    }

    fn sync(&mut self) {
        self.durable.fill(true);
    }

    /// Returns the blocks that may be correct: those in the journal, and those with data if holes are reported.
    fn kept(&self, tells_holes: bool) -> Vec<BlockIndex> {
        let may = |&block: &BlockIndex| {
            (tells_holes && is_data(&self.content[block.index()])) || self.record(block).is_some()
        };
        (0..self.content.len() as u32).map(BlockIndex).filter(may).collect()
    }

    /// Returns the last record of a block, which is the valid one.
    fn record(&self, block: BlockIndex) -> Option<BlockHash> {
        self.records.iter().rev().find(|(of, _)| *of == block).map(|&(_, hash)| hash)
    }

    fn holds(&self, block: BlockIndex, wanted: BlockHash) -> bool {
        // A block that the journal has under another hash is not read.
        self.record(block).is_none_or(|recorded| recorded == wanted)
            && self.content[block.index()].as_ref().is_some_and(|bytes| hash(block, bytes) == wanted)
    }

    fn lose_power(&mut self, dice: &mut Dice, counts: &mut Counts) {
        if dice.chance(0.3) {
            // A flush had made the data durable, and some of the records.
            self.sync();
            self.noted.truncate(dice.below(self.noted.len() as u64 + 1) as usize);
            self.records.append(&mut self.noted);
        }
        self.noted.clear();
        for block in 0..self.content.len() {
            if !self.durable[block] {
                match dice.below(3) {
                    0 => self.content[block] = None,
                    1 => self.tear(block, counts),
                    _ => {} // it was written back by itself
                }
            }
        }
    }

    /// Corrupts a block, unless it is durable.
    fn tear(&mut self, block: usize, counts: &mut Counts) {
        let is_safe = self.durable.get(block).is_none_or(|&durable| durable);
        if let Some(Some(bytes)) = self.content.get_mut(block).filter(|_| !is_safe)
            && !bytes.is_empty()
        {
            counts.note(Fault::Torn);
            *bytes = torn(bytes);
        }
    }
}

fn is_data(content: &Option<Rc<[u8]>>) -> bool {
    content.as_ref().is_some_and(|bytes| !bytes.is_empty())
}

fn is_object(content: &Content, object: &Object) -> bool {
    content.len() == object.blocks.len()
        && content.iter().zip(&object.blocks).all(|(is, should)| is.as_ref() == Some(&should.encoded))
}
