//! What hosts that all finish within a second cost the send loop.

use glancecast_tests::measured;
use glancecast_tests::sim::finish;

const GBIT: u64 = 1_000_000_000;

/// What a host costs must not depend on the number of hosts. The bound leaves room for a machine that does other work;
/// what grows with the hosts would be ten times as much.
#[test]
fn a_host_that_finishes_costs_as_much_among_ten_thousand_as_among_a_thousand() {
    let few = finish::finish(1_000, GBIT);
    let many = finish::finish(10_000, GBIT);
    measured!("{few}");
    measured!("{many}");
    for (what, few, many) in
        [("report", few.report, many.report), ("done", few.done, many.done), ("hello", few.hello, many.hello)]
    {
        assert!(many <= 4 * few, "a {what} costs {few:?} with 1 000 hosts and {many:?} with 10 000");
    }
}
