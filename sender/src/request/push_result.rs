//! The result of a push: which hosts hold a proven copy, and why others do not.

use glancecast_platform::cli;
use glancecast_proto::sender::{Expected, HostState, Verdict};

use super::alike::Hints;
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
}

impl PushResult {
    /// Returns the exit code.
    pub fn exit_code(&self) -> u8 {
        match self.outcome.verdict {
            Verdict::Complete | Verdict::Unknown => cli::EXIT_OK,
            Verdict::Incomplete | Verdict::GivenUp(_) => cli::EXIT_INCOMPLETE,
            Verdict::Aborted(_) => cli::EXIT_FAILED,
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
                Some(NOBODY.to_owned())
            }
            Verdict::Incomplete => {
                let missing = self.plan.targets.left_out.missing();
                let impossible = missing.map_or_else(String::new, |missing| format!("; {missing}"));
                Some(format!("{}{impossible}", held(self.done(), self.wanted())))
            }
        }
    }

    /// Returns the number of hosts that hold a proven copy.
    pub fn done(&self) -> usize {
        self.outcome.rows.iter().filter(|row| row.state.is_done()).count()
    }

    /// Returns the number of hosts that should hold one.
    pub fn wanted(&self) -> usize {
        self.plan.targets.left_out.unnameable.len()
            + match self.plan.config.expected {
                Expected::Count(count) => self.outcome.rows.len().max(count as usize),
                Expected::Named(_) | Expected::Anyone => self.outcome.rows.len(),
            }
    }
}

/// Returns in words how many hosts hold a copy of those that should.
fn held(done: usize, wanted: usize) -> String {
    let holds = if done <= 1 { "holds" } else { "hold" };
    format!("{} {holds} a proven copy, and {wanted} should", hosts(done))
}

/// Returns a number of hosts in words.
fn hosts(count: usize) -> String {
    match count {
        0 => "no host".to_owned(),
        1 => "1 host".to_owned(),
        count => format!("{count} hosts"),
    }
}

/// The reason when no host was heard.
pub(super) const NOBODY: &str = "no host answered. In this order: this machine's firewall (hosts answer by UDP, see --reply-port) and --interface; \
     glancecastd on a host, with this group and this key; IGMP on the switches";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_holds_and_several_hold() {
        assert_eq!(held(0, 3), "no host holds a proven copy, and 3 should");
        assert_eq!(held(1, 3), "1 host holds a proven copy, and 3 should");
        assert_eq!(held(2, 3), "2 hosts hold a proven copy, and 3 should");
    }
}
