//! The rules of this machine's own firewall, as the program nft(8) prints them. Reading them takes root.

use std::process::{Command, Stdio};

/// Why the rules are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRules {
    /// There is no nft(8) on this machine.
    #[error("there is no nft on this machine")]
    NoProgram,
    /// It may not read them.
    #[error("nft list ruleset takes root")]
    Refused,
}

/// Returns the rules, nothing where there are none.
///
/// # Errors
/// [`NoRules`] where they cannot be read.
pub fn rules() -> Result<String, NoRules> {
    let mut command = Command::new("nft");
    command.args(["list", "ruleset"]).stdin(Stdio::null());
    let listed = command.output().map_err(|_| NoRules::NoProgram)?;
    let text = listed.status.success().then(|| String::from_utf8_lossy(&listed.stdout).into_owned());
    text.ok_or(NoRules::Refused)
}
