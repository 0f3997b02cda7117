//! Many pushes in one life of eight receivers: images of random sizes, three pushes at a time, hosts and senders killed
//! at random moments. `make soak` runs 200 or more of them, for a quarter of an hour.
//!
//! At all times, a visible file is the image of its name, a host that is reported done holds it, and every push ends
//! within its timeout. At the end, a push to all hosts succeeds, the receiver that was never killed is as large as it
//! was, and the stores hold only images and what a push of the same image would resume. The seed is printed. It
//! determines the order of events; their times depend on the machine.

mod hosts;
mod memory;
mod push;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use glancecast_testkit::Rng;
use glancecast_tests::testbed::Testbed;

use hosts::Hosts;
use push::{Running, Tally};

/// Pushes many images to eight receivers over loopback, with random kills.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Arguments {
    /// How many pushes at least
    #[arg(long, value_name = "N", default_value_t = 200)]
    pushes: u32,

    /// For how long at least
    #[arg(long, value_name = "MINUTES", default_value_t = 15)]
    minutes: u64,

    /// The seed of sizes, hosts and kills; drawn when not given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(Rng::seed_from_clock);
    println!("--seed {seed}");
    let mut rng = Rng::new(seed);
    let testbed = Testbed::loopback();
    let mut hosts = Hosts::start(&testbed, HOSTS);
    let mut tally = Tally::default();
    let mut running: Vec<Running<'_>> = Vec::new();
    let (mut begun, started) = (0, Instant::now());
    let more =
        |begun| begun < arguments.pushes || started.elapsed() < Duration::from_secs(60 * arguments.minutes);
    while more(begun) || !running.is_empty() {
        if more(begun) && running.len() < AT_A_TIME {
            begun += 1;
            running.push(Running::start(&testbed, &hosts, begun, &mut rng));
        }
        if rng.one_in(KILL_HOST) {
            hosts.kill_one(&mut rng);
        }
        if rng.one_in(KILL_SENDER) && !running.is_empty() {
            let at = rng.below(running.len() as u64) as usize;
            running[at].kill();
        }
        hosts.revive();
        running.retain_mut(|push| !push.has_ended(&hosts, &mut tally));
        if tally.due() {
            let (seconds, starts) = (started.elapsed().as_secs_f64(), hosts.starts());
            println!("{seconds:>5.0} s  {tally}; {}; {starts} starts of {HOSTS} hosts", hosts.memory());
        }
        hosts.memory().watch();
        std::thread::sleep(PAUSE);
    }
    hosts.revive_all();
    push::last(&testbed, &hosts, &mut rng);
    println!("{:>5.0} s  {tally}", started.elapsed().as_secs_f64());
    hosts.finish();
    println!("no stuck session, no leftover file, every result was true");
    ExitCode::SUCCESS
}

const HOSTS: usize = 8;
const AT_A_TIME: usize = 3;
/// Between two inspections.
const PAUSE: Duration = Duration::from_millis(100);
/// Inspections between two kills of a host, and of a sender, on average.
const KILL_HOST: u64 = 15;
const KILL_SENDER: u64 = 60;
