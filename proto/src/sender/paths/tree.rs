//! The tree of hosts to which datagrams go by unicast: relays of segments, and hosts without multicast. Before the first
//! symbol it is planned as a whole; afterwards hosts are attached and detached one by one, so that what flows goes on.
//!
//! A host that does not hear the relay of its own segment stands below that relay: a copy from there needs nothing of the
//! way to the segment. Such hosts are no part of the plan and serve only each other.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::ids::ReceiverId;
use crate::limits::{PATHS_MAX, ROUTE_CHILDREN_MAX};
use crate::plan::{self, PlanRate, Source, plan_tree};

/// One host in the tree.
pub(super) struct Node {
    pub(super) addr: SocketAddr,
    /// The host that sends to it; `None` for the sender.
    pub(super) parent: Option<ReceiverId>,
    /// The hosts that it sends to.
    pub(super) children: Vec<ReceiverId>,
    /// The segment that it multicasts in.
    pub(super) segment: Option<usize>,
    /// The segment that it is in, if it does not multicast there.
    pub(super) beside: Option<usize>,
    /// Whether it may forward.
    pub(super) relays: bool,
    /// Bits in a second that its line bears; 0 where that is not known.
    pub(super) line: u64,
}

/// What the tree is planned by.
#[derive(Clone, Copy)]
pub(super) struct Means {
    /// Bits in a second that the sender's line bears; 0 where that is not known.
    pub(super) line: u64,
    pub(super) rate: PlanRate,
    /// Bits of the object with headers.
    pub(super) bits: u64,
}

/// The tree.
pub(super) struct Tree {
    nodes: BTreeMap<ReceiverId, Node>,
    /// The sender's own children.
    roots: Vec<ReceiverId>,
    /// The host that multicasts in each segment.
    heads: BTreeMap<usize, ReceiverId>,
    /// Copies that the sender makes besides.
    copies: u32,
    means: Means,
    /// Bits in a second of one copy, by the last plan.
    rate: u64,
    time: Duration,
    /// Whether a node was put in or changed since the last plan.
    is_changed: bool,
}

impl Tree {
    pub(super) fn new(means: Means, copies: u32) -> Self {
        let mut tree = Self {
            nodes: BTreeMap::new(),
            roots: Vec::new(),
            heads: BTreeMap::new(),
            copies,
            means,
            rate: 0,
            time: Duration::ZERO,
            is_changed: false,
        };
        tree.plan();
        tree
    }

    pub(super) fn get(&self, id: ReceiverId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether a node was put in or changed since the last plan.
    pub(super) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Whether some line bears another child.
    pub(super) fn has_room(&self) -> bool {
        self.room(None) > 0 || self.nodes.keys().any(|&id| self.room(Some(id)) > 0)
    }

    pub(super) fn roots(&self) -> &[ReceiverId] {
        &self.roots
    }

    /// Bits in a second of one copy: as planned, or less where the sender has more children by now than its line bears.
    pub(super) fn rate(&self) -> u64 {
        self.rate.min(self.own_line() / self.children_of(None).max(1) as u64)
    }

    /// Changes the number of copies that the sender makes besides.
    pub(super) fn set_copies(&mut self, copies: u32) {
        (self.copies, self.is_changed) = (copies, true);
    }

    /// The time that the whole object takes; zero where no line is known.
    pub(super) fn time(&self) -> Duration {
        self.time
    }

    /// Returns all nodes with their levels, parents before children.
    pub(super) fn by_level(&self) -> Vec<(ReceiverId, u32)> {
        let mut all: Vec<(ReceiverId, u32)> = self.roots.iter().map(|&id| (id, 1)).collect();
        let mut at = 0;
        while let Some(&(id, level)) = all.get(at) {
            all.extend(self.nodes[&id].children.iter().map(|&child| (child, level + 1)));
            at += 1;
        }
        all
    }

    /// Returns the sender's own child above a node, or the node itself if it is one.
    pub(super) fn root_of(&self, id: ReceiverId) -> Option<ReceiverId> {
        self.with_above(id).last()
    }

    /// Returns a node and those above it, upwards.
    fn with_above(&self, id: ReceiverId) -> impl Iterator<Item = ReceiverId> {
        let above = |id: &ReceiverId| self.nodes.get(id).and_then(|node| node.parent);
        std::iter::successors(self.nodes.contains_key(&id).then_some(id), above)
    }

    /// Adds a node to the next plan.
    pub(super) fn put(&mut self, id: ReceiverId, node: Node) {
        debug_assert!(!self.nodes.contains_key(&id));
        self.is_changed = true;
        self.insert(id, node);
    }

    fn insert(&mut self, id: ReceiverId, node: Node) {
        if let Some(at) = node.segment {
            self.heads.insert(at, id);
        }
        self.nodes.insert(id, node);
    }

    fn remove(&mut self, id: ReceiverId) -> Option<Node> {
        self.heads.retain(|_, head| *head != id);
        self.nodes.remove(&id)
    }

    /// Has a node that forwards nothing be given no children: it has left the session, and takes no lease any more.
    pub(super) fn stop_relaying(&mut self, id: ReceiverId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.relays = false;
        }
    }

    /// Changes the segment that a node multicasts in.
    pub(super) fn set_segment(&mut self, id: ReceiverId, segment: Option<usize>) {
        if let Some(node) = self.remove(id) {
            let beside = node.beside.or(node.segment).filter(|_| segment.is_none());
            self.insert(id, Node { segment, beside, ..node });
            self.is_changed = true;
        }
    }

    /// Arranges all nodes anew by the planner.
    pub(super) fn plan(&mut self) {
        self.is_changed = false;
        let all = self.nodes.keys().copied();
        let (beside, ids): (Vec<ReceiverId>, Vec<ReceiverId>) =
            all.partition(|id| self.is_beside(&self.nodes[id]));
        let nodes = ids.iter().map(|id| &self.nodes[id]).map(|node| plan::Node {
            line: node.line,
            multicasts: node.segment.is_some(),
            relays: node.relays,
        });
        let planned = plan_tree(&self.source(), &nodes.collect::<Vec<_>>());
        (self.rate, self.time) = (planned.rate, planned.time);
        self.roots.clear();
        self.nodes.values_mut().for_each(|node| node.children.clear());
        for (&id, parent) in ids.iter().zip(&planned.parents) {
            self.link(id, parent.map(|at| ids[at]));
        }
        self.adopt(beside, None);
        let depth = self.by_level().last().map_or(0, |&(_, level)| level);
        self.time += HOP * depth.saturating_sub(planned.depth());
    }

    /// Adds a node where there is room, and leaves all others where they are.
    pub(super) fn attach(&mut self, id: ReceiverId, node: Node) {
        self.put(id, node);
        self.adopt(vec![id], None);
    }

    /// Removes a node. Its children are attached to its parent or, where that has no room, elsewhere.
    pub(super) fn detach(&mut self, id: ReceiverId) {
        let Some(node) = self.remove(id) else { return };
        self.is_changed = true;
        self.unlink(id, node.parent);
        self.adopt(node.children, node.parent);
    }

    /// Puts a node in the place of another one: the same parent, the same children.
    pub(super) fn replace(&mut self, old: ReceiverId, new: ReceiverId, mut node: Node) {
        let Some(gone) = self.remove(old) else { return self.attach(new, node) };
        let siblings = match gone.parent {
            None => &mut self.roots,
            Some(parent) => &mut self.nodes.get_mut(&parent).expect("a parent is a node").children,
        };
        siblings.iter_mut().filter(|id| **id == old).for_each(|id| *id = new);
        for child in &gone.children {
            self.nodes.get_mut(child).expect("a child is a node").parent = Some(new);
        }
        (node.parent, node.children) = (gone.parent, gone.children);
        self.insert(new, node);
    }

    /// Attaches nodes that have no parent: below the relay of their segment, else to `above` if it has room, else as high as
    /// there is room. Where there is none, lines carry more than they bear, those with the fewest children first.
    fn adopt(&mut self, orphans: Vec<ReceiverId>, above: Option<ReceiverId>) {
        for orphan in orphans {
            let beside = self.place_beside(orphan);
            let parent = beside.or_else(|| if self.room(above) > 0 { above } else { self.place_for(orphan) });
            self.link(orphan, parent);
        }
    }

    /// Whether another host relays in the segment that a node is in.
    fn is_beside(&self, node: &Node) -> bool {
        node.beside.is_some_and(|at| self.heads.contains_key(&at))
    }

    /// Returns the place of a node that hears nothing of its segment's relay: that relay, or such a node below it.
    fn place_beside(&self, orphan: ReceiverId) -> Option<ReceiverId> {
        let segment = self.nodes[&orphan].beside?;
        let head = *self.heads.get(&segment)?;
        if self.with_above(head).any(|above| above == orphan) {
            return None;
        }
        let mut queue = VecDeque::from([head]);
        while let Some(id) = queue.pop_front() {
            let node = &self.nodes[&id];
            let beside = node.children.iter().filter(|child| self.nodes[child].beside == Some(segment));
            // The relay makes one copy for the segment already.
            let most = if node.segment.is_some() { 1 } else { 2 };
            if node.relays && beside.clone().count() < most && node.children.len() < ROUTE_CHILDREN_MAX {
                return Some(id);
            }
            queue.extend(beside);
        }
        None
    }

    /// Returns the place for a node that has none, outside its own subtree.
    fn place_for(&self, orphan: ReceiverId) -> Option<ReceiverId> {
        let hosts = self.by_level().into_iter().map(|(id, _)| id);
        let is_other = |id: &ReceiverId| *id != orphan && self.nodes[id].relays;
        let places = || std::iter::once(None).chain(hosts.clone().filter(is_other).map(Some));
        let roomy = places().find(|&place| self.room(place) > 0);
        let possible = |place: &Option<ReceiverId>| match place {
            None => self.roots.len() + (self.copies as usize) < PATHS_MAX as usize,
            Some(id) => self.nodes[id].children.len() < ROUTE_CHILDREN_MAX,
        };
        let least = || places().filter(possible).min_by_key(|&place| self.children_of(place));
        roomy.or_else(least).unwrap_or(None)
    }

    /// The number of copies that the sender or a node makes, without those that stay in its segment.
    fn children_of(&self, place: Option<ReceiverId>) -> usize {
        let Some(node) = place.map(|id| &self.nodes[&id]) else {
            return self.roots.len() + self.copies as usize;
        };
        let stays = |child: &&ReceiverId| node.segment.is_some() && self.nodes[*child].beside == node.segment;
        let stay = node.children.iter().filter(stays).count();
        node.children.len() - stay + usize::from(node.segment.is_some())
    }

    /// The number of children that the sender or a node bears beyond those that it has, at the rate of the plan.
    fn room(&self, place: Option<ReceiverId>) -> usize {
        let (line, most) = match place.map(|id| &self.nodes[&id]) {
            None => (self.own_line(), PATHS_MAX as usize),
            Some(node) if !node.relays || self.is_beside(node) => return 0,
            Some(node) => (self.line_of(node), ROUTE_CHILDREN_MAX),
        };
        let bears = usize::try_from(line / self.rate.max(1)).unwrap_or(usize::MAX).min(most);
        bears.saturating_sub(self.children_of(place))
    }

    fn link(&mut self, id: ReceiverId, parent: Option<ReceiverId>) {
        self.nodes.get_mut(&id).expect("it is a node").parent = parent;
        match parent {
            None => self.roots.push(id),
            Some(parent) => self.nodes.get_mut(&parent).expect("a parent is a node").children.push(id),
        }
    }

    fn unlink(&mut self, id: ReceiverId, parent: Option<ReceiverId>) {
        let siblings = match parent {
            None => &mut self.roots,
            Some(parent) => &mut self.nodes.get_mut(&parent).expect("a parent is a node").children,
        };
        siblings.retain(|&other| other != id);
    }

    fn own_line(&self) -> u64 {
        match (self.means.line, self.means.rate) {
            (0, PlanRate::AtMost(rate) | PlanRate::Fixed(rate)) => rate,
            (line, _) => line,
        }
    }

    fn line_of(&self, node: &Node) -> u64 {
        if node.line == 0 { self.own_line() } else { node.line }
    }

    fn source(&self) -> Source {
        let Means { line, rate, bits } = self.means;
        Source { line, copies: self.copies, bits, rate, hop: HOP, depth_max: DEPTH_MAX }
    }
}

/// The time that a level takes: a relay passes on what came in the last millisecond, and sleeps for some in between.
const HOP: Duration = Duration::from_millis(5);

/// The largest number of levels: each may fail, and what is below waits until that is noticed.
const DEPTH_MAX: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn children_of_a_host_that_is_gone_go_to_its_parent() {
        let mut tree = chain(4);
        assert_eq!(tree.by_level(), [(id(1), 1), (id(2), 2), (id(3), 3), (id(4), 4)]);
        tree.detach(id(2));
        assert_eq!(tree.by_level(), [(id(1), 1), (id(3), 2), (id(4), 3)]);
        tree.detach(id(1));
        assert_eq!(tree.by_level(), [(id(3), 1), (id(4), 2)]);
    }

    #[test]
    fn another_host_takes_the_place_of_a_relay() {
        let mut tree = chain(3);
        tree.replace(id(2), id(9), host(9));
        assert_eq!(tree.by_level(), [(id(1), 1), (id(9), 2), (id(3), 3)]);
        assert_eq!(tree.root_of(id(3)), Some(id(1)));
    }

    #[test]
    fn hosts_that_hear_no_relay_stand_below_that_of_their_segment_and_cost_its_uplink_nothing() {
        let mut tree = chain(0);
        // The uplink of each segment bears one copy.
        for at in 1..=2 {
            let relay = Node { segment: Some(usize::from(at)), line: 1_000_000_000, ..host(at) };
            tree.put(id(at), relay);
            for number in 1..=3 {
                let deaf =
                    Node { beside: Some(usize::from(at)), line: 1_000_000_000, ..host(10 * at + number) };
                tree.put(id(10 * at + number), deaf);
            }
        }
        tree.means.line = 10_000_000_000;
        tree.plan();
        assert_eq!(tree.roots, [id(1), id(2)], "one copy goes to each segment");
        for at in 1..=2 {
            assert_eq!(tree.nodes[&id(at)].children, [id(10 * at + 1)], "its own line bears two copies");
            assert_eq!(tree.nodes[&id(10 * at + 1)].children, [id(10 * at + 2), id(10 * at + 3)]);
        }
        tree.attach(id(14), Node { beside: Some(1), ..host(14) });
        assert_eq!(tree.nodes[&id(14)].parent, Some(id(12)), "one that comes later, too");
        tree.set_segment(id(2), None);
        tree.plan();
        assert_eq!(tree.nodes[&id(12)].parent, Some(id(11)));
        assert!(tree.nodes[&id(2)].beside == Some(2) && !tree.is_beside(&tree.nodes[&id(21)]));
    }

    #[test]
    fn whatever_comes_and_goes_all_are_reached_and_nothing_loops() {
        for seed in 0..50 {
            let mut dice = crate::rng::Rng::new(&[seed; 32]);
            let mut tree = chain(0);
            let mut there = BTreeSet::new();
            for step in 0..300_u32 {
                let [what, who] = dice.bytes();
                let host_id = id(who % 40);
                match what % 6 {
                    0 | 1 if !there.contains(&host_id) => {
                        let beside = Some(usize::from(who) % 5).filter(|_| what % 8 != 0);
                        tree.attach(host_id, Node { relays: what % 4 != 0, beside, ..host(who % 40) });
                        there.insert(host_id);
                    }
                    3 => {
                        let at = usize::from(who) % 5;
                        if let Some(&head) = tree.heads.get(&at) {
                            tree.set_segment(head, None);
                        } else if there.contains(&host_id) {
                            tree.set_segment(host_id, Some(at));
                        }
                    }
                    2 => {
                        tree.detach(host_id);
                        there.remove(&host_id);
                    }
                    4 if !there.contains(&host_id) && !there.is_empty() => {
                        let old = *there.iter().next().expect("not empty");
                        tree.replace(old, host_id, host(who % 40));
                        there.remove(&old);
                        there.insert(host_id);
                    }
                    5 if what > 240 => tree.plan(),
                    _ => {}
                }
                let reached: Vec<ReceiverId> = tree.by_level().into_iter().map(|(id, _)| id).collect();
                assert_eq!(reached.len(), there.len(), "seed {seed}, step {step}");
                assert_eq!(BTreeSet::from_iter(reached), there, "seed {seed}, step {step}");
            }
        }
    }

    fn chain(hosts: u8) -> Tree {
        let means = Means { line: 1_000_000_000, rate: PlanRate::AtMost(1_000_000_000), bits: 1 << 33 };
        let mut tree = Tree::new(means, 0);
        (1..=hosts).for_each(|number| tree.put(id(number), host(number)));
        tree.plan();
        tree
    }

    fn host(number: u8) -> Node {
        Node {
            addr: ([10, 0, 0, number], 7167).into(),
            parent: None,
            children: Vec::new(),
            segment: None,
            beside: None,
            relays: true,
            line: 0,
        }
    }

    fn id(number: u8) -> ReceiverId {
        ReceiverId([number; 8])
    }
}
