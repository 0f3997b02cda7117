//! `glancecast keygen`.

use glancecast_host::{cli, keyfile, sender_keys};

use super::Failure;
use super::args::Keygen;

/// Makes a key file and says what to do with it. Of a sender's key only the public half is on standard output, so that it
/// can be written to a file for the hosts.
pub(super) fn run(args: &Keygen) -> Result<u8, Failure> {
    if args.sender {
        let public = sender_keys::create(&args.file).map_err(Failure::usage)?;
        println!("{public}");
        eprintln!(
            "{}: a new sender key, for --sender-key here alone; hosts list the public half above: --sender, or senders = [..]",
            args.file.display()
        );
        return Ok(cli::EXIT_OK);
    }
    keyfile::create(&args.file).map_err(Failure::usage)?;
    println!("{}: a new group key; copy it to every host of the group, mode 0600", args.file.display());
    Ok(cli::EXIT_OK)
}
