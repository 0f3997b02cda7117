//! `glancecast keygen`.

use glancecast_host::{cli, keyfile};

use super::Failure;
use super::args::Keygen;

/// Makes a key file and says what to do with it.
pub(super) fn run(args: &Keygen) -> Result<u8, Failure> {
    keyfile::create(&args.file).map_err(Failure::usage)?;
    println!("{}: a new group key; copy it to every host of the group, mode 0600", args.file.display());
    Ok(cli::EXIT_OK)
}
