//! The tree by which a push reaches relays and hosts without multicast: a pure function of their lines.
//!
//! Every node passes a datagram on as soon as it has come (cut-through). So the time of a push is that of the object at
//! the rate of one copy, and one hop for each level. A line that carries c copies bears the rate line / c. A chain is
//! therefore right for a few hosts, as each line carries one copy; for hundreds, the levels of a chain would take longer
//! than a second copy, and each of them may fail. The planner tries each rate at which some line has room for one copy
//! more, builds the flattest tree for that rate, and returns the fastest.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use crate::limits::{PATHS_MAX, ROUTE_CHILDREN_MAX};

/// A relay, or a host without multicast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Bits in a second that its line bears in each direction; 0 where that is not known: as the sender's.
    pub line: u64,
    /// Whether it sends a copy to the group of its own segment.
    pub multicasts: bool,
    /// Whether it may have children.
    pub relays: bool,
}

/// What is to be sent, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Bits in a second that the sender's line bears; 0 where that is not known.
    pub line: u64,
    /// Copies that the sender makes for others than the nodes, such as that for its own group.
    pub copies: u32,
    /// Bits of the whole object, with headers.
    pub bits: u64,
    /// The rate of one copy.
    pub rate: PlanRate,
    /// The time that a level takes.
    pub hop: Duration,
    /// The largest number of levels.
    pub depth_max: u32,
}

/// What decides the rate of one copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanRate {
    /// The plan does, up to this many bits in a second.
    AtMost(u64),
    /// It is this, whatever the lines bear.
    Fixed(u64),
}

/// Who sends to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// For each node the node that sends to it; `None` for the sender.
    pub parents: Vec<Option<usize>>,
    /// For each node its level: 1 below the sender.
    pub levels: Vec<u32>,
    /// Bits in a second of one copy.
    pub rate: u64,
    /// The time until the last node has the whole object.
    pub time: Duration,
}

impl Tree {
    /// The number of levels.
    pub fn depth(&self) -> u32 {
        self.levels.iter().copied().max().unwrap_or(0)
    }

    /// Returns the children of a node, or of the sender, ascending.
    pub fn children(&self, parent: Option<usize>) -> impl Iterator<Item = usize> {
        let of = self.parents.iter().enumerate().filter(move |&(_, &there)| there == parent);
        of.map(|(node, _)| node)
    }
}

/// Returns the fastest tree. If the lines do not bear one within the largest depth, lines carry more than they bear, as
/// evenly as can be.
pub fn plan_tree(source: &Source, nodes: &[Node]) -> Tree {
    if nodes.is_empty() {
        return Tree { rate: rate_of(source, nodes, source.copies.max(1)), ..Tree::default() };
    }
    let rates = candidates(source, nodes);
    let best = rates.into_iter().filter_map(|rate| flattest(source, nodes, rate, 1));
    let best = best.min_by_key(|tree| (tree.time, std::cmp::Reverse(tree.rate)));
    best.unwrap_or_else(|| overloaded(source, nodes))
}

/// Returns the rates at which some line has room for one more copy than at any higher rate, descending.
fn candidates(source: &Source, nodes: &[Node]) -> Vec<u64> {
    let cap = match source.rate {
        PlanRate::Fixed(rate) => return vec![rate.max(1)],
        PlanRate::AtMost(cap) => cap.max(1),
    };
    let mut lines: Vec<u64> = nodes.iter().map(|node| line_of(source, node)).collect();
    // Nobody receives more than its line bears.
    let most = lines.iter().copied().min().unwrap_or(cap).min(cap);
    lines.sort_unstable();
    lines.dedup();
    let of_node =
        lines.iter().flat_map(|&line| (1..=ROUTE_CHILDREN_MAX as u64 + 1).map(move |copies| line / copies));
    let of_source = (1..=u64::from(PATHS_MAX)).map(|copies| own_line(source) / copies);
    let mut rates: Vec<u64> = of_node.chain(of_source).chain([most]).filter(|&rate| rate > 0).collect();
    rates.iter_mut().for_each(|rate| *rate = (*rate).min(most));
    rates.sort_unstable();
    rates.dedup();
    rates.reverse();
    rates
}

/// Returns the flattest tree at this rate, if there is one within the largest depth. Lines count for `times` as much as
/// they bear.
fn flattest(source: &Source, nodes: &[Node], rate: u64, times: u64) -> Option<Tree> {
    let bears = |line: u64| line.saturating_mul(times) / rate;
    let room_of = |node: &Node| match node.relays {
        true => bears(line_of(source, node)).saturating_sub(u64::from(node.multicasts)),
        false => 0,
    };
    let room_of = |node: &Node| room_of(node).min(ROUTE_CHILDREN_MAX as u64) as u32;
    if nodes.iter().any(|node| node.multicasts && node.relays && bears(line_of(source, node)) == 0) {
        return None;
    }
    let own = bears(own_line(source)).min(u64::from(PATHS_MAX)) as u32;
    // Wide nodes stand high; of equal ones in the given order.
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|&node| std::cmp::Reverse(room_of(&nodes[node])));
    let mut tree =
        Tree { parents: vec![None; nodes.len()], levels: vec![0; nodes.len()], rate, ..Tree::default() };
    let mut free = VecDeque::from([(None, own.checked_sub(source.copies)?)]);
    for node in order {
        while free.front()?.1 == 0 {
            free.pop_front();
        }
        let (parent, room) = free.front_mut()?;
        *room -= 1;
        tree.parents[node] = *parent;
        tree.levels[node] = parent.map_or(0, |parent| tree.levels[parent]) + 1;
        if tree.levels[node] > source.depth_max {
            return None;
        }
        free.push_back((Some(node), room_of(&nodes[node])));
    }
    tree.time = time_of(source, rate, tree.depth());
    Some(tree)
}

/// Returns a tree where no rate of the lines allows one: each line carries some times what it bears.
fn overloaded(source: &Source, nodes: &[Node]) -> Tree {
    let rate = rate_of(source, nodes, 1);
    let bearable = |times: u64| flattest(source, nodes, rate, times);
    let tree = (2..=OVERLOAD_MAX).find_map(|times| {
        let mut tree = bearable(times)?;
        tree.time = time_of(source, rate / times, tree.depth());
        Some(tree)
    });
    tree.unwrap_or_else(|| Tree {
        parents: vec![None; nodes.len()],
        levels: vec![1; nodes.len()],
        rate,
        time: time_of(source, rate / nodes.len() as u64, 1),
    })
}

fn rate_of(source: &Source, nodes: &[Node], copies: u32) -> u64 {
    match source.rate {
        PlanRate::Fixed(rate) => rate.max(1),
        PlanRate::AtMost(cap) => {
            let lines = nodes.iter().map(|node| line_of(source, node)).min();
            let bears = (own_line(source) / u64::from(copies)).min(lines.unwrap_or(u64::MAX));
            bears.min(cap).max(1)
        }
    }
}

fn own_line(source: &Source) -> u64 {
    match (source.line, source.rate) {
        (0, PlanRate::AtMost(rate) | PlanRate::Fixed(rate)) => rate.max(1),
        (line, _) => line,
    }
}

fn line_of(source: &Source, node: &Node) -> u64 {
    if node.line == 0 { own_line(source) } else { node.line }
}

fn time_of(source: &Source, rate: u64, depth: u32) -> Duration {
    Duration::from_secs_f64(source.bits as f64 / rate.max(1) as f64) + source.hop * depth
}

/// The most that lines are planned to carry of what they bear, in a tree. Beyond it the sender serves each node itself.
const OVERLOAD_MAX: u64 = 4_096;
