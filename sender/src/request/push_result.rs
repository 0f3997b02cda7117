//! The result of a push: which hosts hold a proven copy, and why others do not.

use std::net::SocketAddr;

use glancecast_platform::cli;
use glancecast_proto::sender::{HostState, Verdict};

use super::alike::Hints;
use super::standing::Standing;
use super::{Confirmation, PushPlan};
use crate::pipeline::push::Outcome;

/// The result of a push.
pub struct PushResult {
    /// The plan of the push.
    pub plan: PushPlan,
    /// The outcome on the network.
    pub outcome: Outcome,
    /// The result of Nova's call for each aggregate; `None` if it was not requested.
    pub confirmations: Option<Vec<Confirmation>>,
    /// Names under which missing hosts may be there.
    pub(crate) hints: Hints,
    /// The exit code for the signal that ended the push, if one did.
    pub interrupted: Option<u8>,
}

impl PushResult {
    /// Returns the exit code.
    pub fn exit_code(&self) -> u8 {
        match (&self.outcome.verdict, self.interrupted) {
            (Verdict::Complete | Verdict::Unknown, _) => cli::EXIT_OK,
            (_, Some(code)) => code,
            (Verdict::Incomplete | Verdict::GivenUp(_), None) => cli::EXIT_INCOMPLETE,
            (Verdict::Aborted(_), None) => cli::EXIT_FAILED,
        }
    }

    /// Returns why not every expected host holds a copy, in one sentence.
    pub fn reason(&self) -> Option<String> {
        match &self.outcome.verdict {
            Verdict::Complete | Verdict::Unknown => None,
            Verdict::Aborted(reason) => Some(reason.clone()),
            Verdict::GivenUp(reason) => {
                Some(format!("{reason}, when {} held a proven copy already", hosts(self.done())))
            }
            Verdict::Incomplete
                if self.outcome.rows.iter().all(|row| row.state == HostState::NeverAnswered) =>
            {
                Some(nobody(self.plan.config.reply_to, &self.plan.interface.name))
            }
            Verdict::Incomplete => {
                let missing = self.plan.targets.left_out.missing();
                let impossible = missing.map_or_else(String::new, |missing| format!("; {missing}"));
                Some(format!("{}{impossible}", self.standing().lacking()))
            }
        }
    }

    /// Returns the number of rows of hosts that hold a proven copy.
    pub fn done(&self) -> usize {
        self.outcome.rows.iter().filter(|row| row.state.is_done()).count()
    }

    /// Returns which hosts hold a proven copy, of those that should.
    pub fn standing(&self) -> Standing {
        let unnameable = self.plan.targets.left_out.unnameable.len();
        Standing::of(&self.plan.config.expected, &self.outcome.rows, unnameable)
    }
}

/// Returns a number of hosts in words.
fn hosts(count: usize) -> String {
    match count {
        0 => "no host".to_owned(),
        1 => "1 host".to_owned(),
        count => format!("{count} hosts"),
    }
}

/// Returns the reason when no host was heard, with what to look at: first what is on this machine.
pub(super) fn nobody(reply_to: SocketAddr, interface: &str) -> String {
    format!(
        "no host answered on {reply_to}. Check here first: the firewall (nft list ruleset; --reply-port), interface \
         {interface}; then glancecastd on the hosts, an IGMP querier, --group, --key"
    )
}
