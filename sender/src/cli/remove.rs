//! `glancecast remove`: asks whether it is meant where no hosts are named, and has the hosts remove their copies.

use std::io::{self, IsTerminal};

use glancecast_platform::cli;
use glancecast_proto::wire::printable;

use super::args::RemoveArgs;
use super::{Failure, query};
use crate::request::QueryKind;

/// Removes an image from the hosts and prints what came of it.
pub(super) fn run(args: RemoveArgs) -> Result<u8, Failure> {
    if !args.yes && !args.names_hosts() {
        confirm(&args.image.image)?;
    }
    let kind = if args.even_pinned { QueryKind::RemovePinned } else { QueryKind::Remove };
    query::about_image(args.image, kind)
}

/// Asks the person at the terminal.
fn confirm(image: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::NotRemoved(NOBODY_TO_ASK));
    }
    cli::tell(&format!("Remove {} from every host of the group? Type yes:", printable(image)));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "yes" | "y" => Ok(()),
        _ => Err(Failure::NotRemoved(NOT_MEANT)),
    }
}

/// Why nothing is removed where no hosts are named and nobody can be asked.
pub(super) const NOBODY_TO_ASK: &str =
    "no hosts are named, so that every host of the group is meant: name them with --hosts, or give --yes";
const NOT_MEANT: &str = "the answer was not yes";
