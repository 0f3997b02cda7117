//! `glancecast rekey`: replaces the group key, and prints which hosts have the new one.

use super::args::RekeyArgs;
use super::follow::Signals;
use super::{Failure, block_on, print_outcome};
use crate::output::json;
use crate::output::rekey_report::{Report, text};
use crate::output::terminal::output_room;

/// Runs a step of a replacement and prints how far the hosts are.
pub(super) fn run(args: RekeyArgs) -> Result<u8, Failure> {
    block_on(rekey(args))?
}

async fn rekey(args: RekeyArgs) -> Result<u8, Failure> {
    let json = args.output.json;
    let request = args.request()?;
    let mut signals = Signals::listen()?;
    let result = match signals.or(request.run()).await {
        Err(Failure::Interrupted(caught)) => return Err(Failure::RekeyInterrupted(caught)),
        result => result?,
    };
    match json {
        true => print_outcome(&json::line(&Report::new(&result))),
        false => print_outcome(&text(&result, output_room())),
    }
    Ok(result.exit_code())
}
