//! What hosts that all finish within a second cost the send loop: `sim_finish [HOSTS]` measures it on this machine, at 1
//! and 10 Gbit/s.

use std::process::ExitCode;

use glancecast_tests::sim::finish;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    let Ok(hosts) = argument.as_deref().unwrap_or("10000").parse() else {
        eprintln!("usage: sim_finish [HOSTS]");
        return ExitCode::from(2);
    };
    let mut is_late = false;
    for rate in [1_000_000_000, 10_000_000_000] {
        let finish = finish::finish(hosts, rate);
        println!("{finish}");
        is_late |= finish.late > finish.batch;
    }
    if is_late { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
