//! The planner beside a search through all trees, and what must hold of every tree.

use super::*;
use glancecast_testkit::Rng;

#[test]
fn every_tree_spans_all_nodes_and_keeps_its_bounds() {
    let mut rng = Rng::new(seed());
    for case in 0..2_000 {
        let nodes: Vec<Node> = (0..rng.below(400)).map(|_| node(&mut rng)).collect();
        let source = source(&mut rng);
        let tree = plan_tree(&source, &nodes);
        let context = format!("case {case}: {source:?}, {} nodes, {tree:?}", nodes.len());
        assert_eq!(tree.parents.len(), nodes.len(), "{context}");
        for (node, &parent) in tree.parents.iter().enumerate() {
            let above = parent.map_or(0, |parent| tree.levels[parent]);
            assert_eq!(tree.levels[node], above + 1, "acyclic, as levels fall towards the sender: {context}");
            assert!(parent.is_none_or(|parent| nodes[parent].relays), "{context}");
        }
        assert!(tree.depth() <= source.depth_max.max(1), "{context}");
        assert!(tree.children(None).count() <= PATHS_MAX as usize || !nodes.iter().any(|node| node.relays));
        for node in 0..nodes.len() {
            assert!(tree.children(Some(node)).count() <= ROUTE_CHILDREN_MAX, "{context}");
        }
    }
}

#[test]
fn no_line_carries_more_than_it_bears_if_a_tree_does_with_less() {
    let mut rng = Rng::new(seed());
    for _ in 0..500 {
        let nodes: Vec<Node> =
            (0..1 + rng.below(60)).map(|_| Node { relays: true, ..node(&mut rng) }).collect();
        let source = Source { depth_max: 64, rate: PlanRate::AtMost(GBIT), ..source(&mut rng) };
        let tree = plan_tree(&source, &nodes);
        let carried =
            |parent: Option<usize>, copies: u64| (tree.children(parent).count() as u64 + copies) * tree.rate;
        assert!(carried(None, u64::from(source.copies)) <= source.line, "{tree:?}");
        for (at, node) in nodes.iter().enumerate() {
            assert!(carried(Some(at), u64::from(node.multicasts)) <= node.line, "node {at}: {tree:?}");
            assert!(tree.rate <= node.line);
        }
    }
}

#[test]
fn no_tree_of_up_to_eight_nodes_is_more_than_a_twentieth_faster() {
    let mut rng = Rng::new(seed());
    for (nodes, cases) in [(1, 50), (2, 50), (3, 50), (4, 50), (5, 40), (6, 10), (7, 2), (8, 1)] {
        for _ in 0..cases {
            let nodes: Vec<Node> = (0..nodes).map(|_| Node { relays: true, ..node(&mut rng) }).collect();
            let source = Source { depth_max: 8, rate: PlanRate::AtMost(2 * GBIT), ..source(&mut rng) };
            let (planned, best) = (plan_tree(&source, &nodes).time, best_of_all(&source, &nodes));
            assert!(
                planned.as_secs_f64() <= 1.05 * best.as_secs_f64(),
                "{planned:?}, {best:?}: {source:?} {nodes:?}"
            );
        }
    }
}

#[test]
fn few_hosts_are_a_chain_at_the_full_rate_and_hundreds_a_tree_at_half_of_it() {
    let source = Source {
        line: GBIT,
        copies: 0,
        bits: 8 << 30,
        rate: PlanRate::AtMost(GBIT),
        hop: Duration::from_millis(2),
        depth_max: 16,
    };
    let host = Node { line: 0, multicasts: false, relays: true };
    let chain = plan_tree(&source, &[host; 8]);
    assert_eq!((chain.rate, chain.depth()), (GBIT, 8));
    let tree = plan_tree(&source, &[host; 500]);
    assert_eq!((tree.rate, tree.depth()), (GBIT / 2, 8));
}

#[test]
fn a_rate_that_no_line_bears_is_spread_evenly() {
    let source = Source {
        line: GBIT,
        copies: 1,
        bits: 8 << 30,
        rate: PlanRate::Fixed(GBIT),
        hop: Duration::from_millis(2),
        depth_max: 16,
    };
    let tree = plan_tree(&source, &[Node { line: GBIT, multicasts: true, relays: true }; 50]);
    assert_eq!(tree.rate, GBIT);
    let most = (0..50).map(|node| tree.children(Some(node)).count()).max();
    assert!(tree.depth() <= 16 && most <= Some(2), "{tree:?}");
}

#[test]
fn where_no_host_relays_the_sender_serves_each() {
    let source = Source {
        line: GBIT,
        copies: 1,
        bits: 8 << 30,
        rate: PlanRate::AtMost(GBIT),
        hop: Duration::from_millis(2),
        depth_max: 16,
    };
    let tree = plan_tree(&source, &[Node { line: 0, multicasts: false, relays: false }; 9]);
    assert_eq!((tree.depth(), tree.rate), (1, GBIT / 10));
}

/// Returns the time of the fastest of all trees, by trying each.
fn best_of_all(source: &Source, nodes: &[Node]) -> Duration {
    let mut parents = vec![0; nodes.len()];
    let mut best = Duration::MAX;
    loop {
        if let Some(time) = time_with(source, nodes, &parents) {
            best = best.min(time);
        }
        // The next combination of parents: a node's number, or that of the sender.
        let Some(at) = parents.iter().position(|&parent| parent < nodes.len()) else { return best };
        parents[at] += 1;
        parents[..at].fill(0);
    }
}

/// Returns the time of the tree in which each node has this parent, if it is a tree. The sender is the last number.
fn time_with(source: &Source, nodes: &[Node], parents: &[usize]) -> Option<Duration> {
    let sender = nodes.len();
    let mut copies = [0_u64; 9];
    copies[sender] = u64::from(source.copies);
    let mut depth = 0;
    for node in 0..nodes.len() {
        copies[node] += u64::from(nodes[node].multicasts);
        copies[parents[node]] += 1;
        let (mut above, mut level) = (parents[node], 1);
        while above != sender {
            (above, level) = (parents[above], level + 1);
            if level > nodes.len() {
                return None;
            }
        }
        depth = depth.max(level);
    }
    let PlanRate::AtMost(cap) = source.rate else { unreachable!("the plan decides") };
    let bears = |line: u64, copies: u64| line.checked_div(copies).unwrap_or(line);
    let rates = nodes.iter().zip(copies).map(|(node, copies)| bears(node.line, copies).min(node.line));
    let rate = rates.min()?.min(bears(source.line, copies[sender])).min(cap);
    (rate > 0 && depth <= source.depth_max as usize).then(|| time_of(source, rate, depth as u32))
}

/// Returns a seed, which it prints, or the one in `GLANCECAST_TEST_SEED`.
fn seed() -> u64 {
    let given = std::env::var("GLANCECAST_TEST_SEED").ok();
    let seed = given.map_or_else(Rng::seed_from_clock, |text| text.parse().expect("a number"));
    println!("GLANCECAST_TEST_SEED={seed}");
    seed
}

fn node(rng: &mut Rng) -> Node {
    let line = [GBIT / 5, GBIT, 10 * GBIT, 25 * GBIT][rng.below(4) as usize];
    Node { line, multicasts: rng.below(3) == 0, relays: rng.below(10) > 0 }
}

fn source(rng: &mut Rng) -> Source {
    let rate = [GBIT / 10, GBIT, 10 * GBIT][rng.below(3) as usize];
    Source {
        line: [GBIT, 10 * GBIT][rng.below(2) as usize],
        copies: rng.below(3) as u32,
        bits: 1 << (25 + rng.below(12)),
        rate: if rng.below(2) == 0 { PlanRate::AtMost(rate) } else { PlanRate::Fixed(rate) },
        hop: Duration::from_micros(500 + rng.below(20_000)),
        depth_max: [4, 8, 16][rng.below(3) as usize],
    }
}

const GBIT: u64 = 1_000_000_000;
