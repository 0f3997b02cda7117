//! Pushes to 1 to 10 000 receivers that each lose 0 to 5 %. `sim_scale FILE` makes the table, reports whether it
//! differs from the file, and writes it there. `sim_scale HOSTS LOSS [MIB]` makes one row, such as
//! `sim_scale 10000 0.01`, for the table's object or one of MIB.

use std::process::ExitCode;

use glancecast_tests::sim::kept;
use glancecast_tests::sim::scale::{self, Figures, Scale};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [path] => compare(path),
        [hosts, loss] => match (hosts.parse(), loss.parse()) {
            (Ok(hosts), Ok(loss)) => one(hosts, loss, scale::OBJECT_BYTES),
            _ => usage(),
        },
        [hosts, loss, mib] => match (hosts.parse(), loss.parse(), mib.parse::<u64>()) {
            (Ok(hosts), Ok(loss), Ok(mib)) => one(hosts, loss, mib << 20),
            _ => usage(),
        },
        _ => usage(),
    }
}

fn compare(path: &str) -> ExitCode {
    let table = scale::table(u32::MAX);
    print!("{table}");
    kept::compare(path, &table)
}

fn one(hosts: u32, loss: f64, object_bytes: u64) -> ExitCode {
    let cell = Scale { hosts, loss, object_bytes };
    println!("{}\n{}", Figures::HEAD, scale::push(cell).row(cell));
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: sim_scale FILE | sim_scale HOSTS LOSS [MIB]");
    ExitCode::from(2)
}
