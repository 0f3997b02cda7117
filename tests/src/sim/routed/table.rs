//! The table of pushes to hundreds of segments and to a thousand hosts without multicast.

use std::thread;
use std::time::Duration;

use glancecast_proto::time::Moment;

use super::{Broken, Network, Outcome, Trouble, push};
use crate::sim::dice::Dice;

/// Returns the network of a row.
pub fn network(racks: u32, rack_hosts: u32, lonely: u32, object_bytes: u64) -> Network {
    Network {
        near: 0,
        racks,
        rack_hosts,
        lonely,
        group: racks > 0,
        unwilling: 0,
        line: LINE,
        rate: None,
        delay: Duration::from_micros(500),
        loss: LOSS,
        object_bytes,
        block_log2: BLOCK_LOG2,
        chunk: u32::MAX,
        signed: false,
        seed: u64::from(racks) << 32 | u64::from(lonely),
    }
}

/// Returns the network at the rate of its plan, and what goes wrong in the row with deaths: one in twenty of those that the
/// plan has relay die, spread over the push.
///
/// # Panics
/// If the push breaks a rule.
pub fn deaths(network: Network) -> (Network, Trouble) {
    // Relays have a copy for their rack and two for others, hosts of a tree two.
    let rate = LINE / if network.racks > 0 { 3 } else { 2 };
    let network = Network { rate: Some(rate), ..network };
    let quiet = Network { object_bytes: 64 << 20, ..network };
    let outcome = push(quiet, &Trouble::default(), Broken::No).expect("it breaks no rule");
    let plan = outcome.plan.expect("symbols were sent");
    let relays: Vec<_> = plan.rows.iter().filter(|row| row.segment.is_some() || row.children > 0).collect();
    let mut dice = Dice::new(network.seed);
    let line_time = Duration::from_secs_f64(8.0 * network.object_bytes as f64 / plan.rate as f64);
    let mut trouble = Trouble::default();
    let by_address = |addr| (0..network.hosts()).find(|&host| network.address(host) == addr);
    while trouble.deaths.len() < relays.len().div_ceil(20) {
        let relay = relays[dice.index(relays.len())];
        let host = by_address(relay.addr).expect("it is one of them") as usize;
        if trouble.lives(host) {
            let at = Moment::default() + outcome.began + dice.time(line_time.mul_f64(0.9));
            trouble.deaths.push((at, host));
        }
    }
    (network, trouble)
}

/// Returns one row.
pub fn row(network: Network, trouble: &Trouble) -> (String, Outcome) {
    let outcome = push(network, trouble, Broken::No).expect("it breaks no rule");
    let plan = outcome.plan.clone().expect("symbols were sent");
    let planned = plan.time.expect("the line is known");
    let row = format!(
        "{:>5} {:>5} {:>6} {:>6} {:>6} {:>6} {:>8.1} {:>7.2} {:>9.4} {:>6}/{:<6}",
        network.racks,
        network.rack_hosts,
        network.lonely,
        trouble.deaths.len(),
        plan.copies,
        plan.depth,
        plan.rate as f64 / 1e6,
        outcome.began.as_secs_f64(),
        outcome.last_done.as_secs_f64() / planned.as_secs_f64(),
        outcome.done,
        outcome.living,
    );
    (row, outcome)
}

/// Returns the table, as `tests/sim/routed.txt` keeps it.
pub fn table() -> String {
    let rows = thread::scope(|scope| {
        let made = CELLS.map(|(racks, hosts, lonely)| {
            scope.spawn(move || {
                let (network, trouble) = deaths(network(racks, hosts, lonely, OBJECT_BYTES));
                let dying = row(network, &trouble).0;
                [row(network, &Trouble::default()).0, dying]
            })
        });
        made.map(|rows| rows.join().expect("it does not panic")).concat()
    });
    format!("{PREFACE}\n{HEAD}\n{}\n", rows.join("\n"))
}

/// The heading of the table.
pub const HEAD: &str = "racks hosts lonely   dead copies levels   Mbit/s begin/s   of plan   done/living";

const CELLS: [(u32, u32, u32); 3] = [(50, 40, 0), (250, 40, 0), (0, 40, 1_000)];
/// 1 Gbit/s, counted in frames.
const LINE: u64 = 1_000_000_000;
const LOSS: f64 = 0.01;
/// 4 MiB, as in `scale.txt`.
const BLOCK_LOG2: u8 = 22;
/// Some minutes on the line, as in `scale.txt`: each relay that dies costs its hosts some two seconds.
const OBJECT_BYTES: u64 = 16 << 30;

const PREFACE: &str = "\
Pushes of 16 GiB through routers that forward no multicast, on lines of 1 Gbit/s, 1 % lost at each host, simulated with
the real machines at the rate of the plan. Racks carry multicast, lonely hosts none. Of the relays in the plan, one in twenty dies in every second
row. `of plan` is the time until the last living host holds the object, beside the time that the plan has foretold:
";
