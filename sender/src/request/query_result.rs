//! The result of a query: the answer of each host, and whether it is as it should be.

use glancecast_platform::cli;
use glancecast_proto::query::{HostAnswer, Standing};
use glancecast_proto::sender::Expected;
use glancecast_proto::wire::{Finding, Held, Query};

use super::QueryPlan;
use super::alike::Hints;
use super::natural::natural;
use super::push_result::nobody;
use super::standing;
use crate::pipeline::query::Answers;

/// The result of a query, judged.
pub struct QueryResult {
    /// The plan of the query.
    pub plan: QueryPlan,
    /// The answers of the hosts.
    pub answers: Answers,
    /// Why the result is not as it should be, for people.
    pub reason: Option<String>,
    /// Names under which missing hosts may be there.
    pub(crate) hints: Hints,
}

/// The verdict on one copy of an image, or on a host without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyVerdict {
    /// The host holds it.
    Held,
    /// Its bytes are those that were proven.
    Intact,
    /// Its bytes differ from those that were proven.
    Differs,
    /// The host holds no such image.
    Missing,
    /// The host could not read it.
    Failed,
    /// The host is still verifying it.
    Verifying,
    /// It is pinned as it was asked.
    PinSet,
    /// Its pin was ended.
    LetGo,
    /// It had no pin.
    NotPinned,
    /// It was removed.
    Removed,
    /// It was not removed or set aside, as something uses it.
    InUse,
    /// It was not removed, as it is pinned.
    Pinned,
    /// It is damaged and has lost its name.
    SetAside,
}

impl CopyVerdict {
    /// Returns the word for tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Intact => "intact",
            Self::Differs => "differs",
            Self::Missing => "missing",
            Self::Failed => "failed",
            Self::Verifying => "verifying",
            Self::PinSet => "pin_set",
            Self::LetGo => "let_go",
            Self::NotPinned => "not_pinned",
            Self::Removed => "removed",
            Self::InUse => "in_use",
            Self::Pinned => "pinned",
            Self::SetAside => "set_aside",
        }
    }

    /// Returns the verdict on an object in a host's answer.
    pub fn of(held: &Held) -> Self {
        match &held.finding {
            Finding::Listed => Self::Held,
            Finding::Pending => Self::Verifying,
            Finding::Intact => Self::Intact,
            Finding::Differs(_) => Self::Differs,
            Finding::Failed(_) => Self::Failed,
            Finding::PinSet(_) => Self::PinSet,
            Finding::LetGo(was) if was.is_pinned() => Self::LetGo,
            Finding::LetGo(_) => Self::NotPinned,
            Finding::Removed => Self::Removed,
            Finding::InUse(_) => Self::InUse,
            Finding::Pinned => Self::Pinned,
            Finding::SetAside(_) => Self::SetAside,
        }
    }

    fn is_well(self) -> bool {
        match self {
            Self::Held | Self::Intact | Self::PinSet | Self::LetGo | Self::NotPinned | Self::Removed => true,
            Self::Differs
            | Self::Missing
            | Self::Failed
            | Self::Verifying
            | Self::InUse
            | Self::Pinned
            | Self::SetAside => false,
        }
    }
}

impl QueryResult {
    pub(super) fn new(plan: QueryPlan, mut answers: Answers, hints: Hints) -> Self {
        answers.rows.sort_by(|a, b| natural(a.name.as_str(), b.name.as_str()));
        let config = &plan.config;
        let unsigned = (config.signer.is_none() && answers.rows.iter().all(|row| row.about.is_none()))
            .then(|| UNSIGNED.to_owned());
        let is_heard = answers.rows.iter().any(|row| row.about.is_some());
        let silence = (!is_heard).then(|| nobody(config.reply_to, &plan.interface.name));
        let faults = silence.or_else(|| reason(&config.query, &config.expected, &answers.rows));
        let reasons = [faults, unsigned, plan.left_out.missing()];
        let reason = joined(&reasons.into_iter().flatten().collect::<Vec<_>>());
        Self { plan, answers, reason, hints }
    }

    /// Returns the exit code.
    pub fn exit_code(&self) -> u8 {
        if self.reason.is_none() { cli::EXIT_OK } else { cli::EXIT_INCOMPLETE }
    }
}

/// Returns why the answers are not as they should be, where there are some.
fn reason(query: &Query, expected: &Expected, rows: &[HostAnswer]) -> Option<String> {
    let heard = rows.iter().filter(|row| row.about.is_some()).count();
    let mut reasons = Vec::new();
    let suspicious: Vec<&HostAnswer> = rows.iter().filter(|row| row.standing.is_finding()).collect();
    if !suspicious.is_empty() {
        reasons.push(format!("somebody else may have answered for {}", names(&suspicious)));
    }
    let is_silent = |row: &&HostAnswer| row.expected && !is_whole(row) && !row.standing.is_finding();
    let silent: Vec<&HostAnswer> = rows.iter().filter(is_silent).collect();
    if !silent.is_empty() {
        reasons.push(format!("no whole answer of {}", names(&silent)));
    }
    if let Expected::Count(count) = expected
        && heard < *count as usize
    {
        reasons.push(format!("{heard} of {count} hosts answered"));
    }
    let Some(sought) = query.sought() else { return joined(&reasons) };
    let whole = || rows.iter().filter(|row| is_whole(row));
    let bad: Vec<&HostAnswer> =
        whole().filter(|row| !row.objects.iter().all(|held| CopyVerdict::of(held).is_well())).collect();
    if !bad.is_empty() {
        let what = match query {
            Query::Remove(_) | Query::RemovePinned(_) => "not removed from",
            _ => "not as it should be on",
        };
        reasons.push(format!("{what} {}", names(&bad)));
    }
    if matches!(query, Query::Remove(_) | Query::RemovePinned(_)) {
        return joined(&reasons); // a host that holds nothing is as it should be
    }
    if !matches!(query, Query::Unpin(_)) {
        let lacking: Vec<&HostAnswer> =
            whole().filter(|row| row.expected && row.objects.is_empty()).collect();
        if !lacking.is_empty() {
            reasons.push(format!("not held by {}", names(&lacking)));
        }
        let holding = whole().filter(|row| !row.objects.is_empty()).count();
        if let Expected::Count(count) = expected
            && holding < *count as usize
        {
            reasons.push(format!("{holding} of {count} hosts hold it"));
        }
    }
    if rows.iter().all(|row| row.objects.is_empty()) {
        reasons.push(format!("nobody holds {sought}"));
    }
    joined(&reasons)
}

/// Whether a host's answer is complete.
fn is_whole(row: &HostAnswer) -> bool {
    row.standing == Standing::Answered
}

fn joined(reasons: &[String]) -> Option<String> {
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Returns the names of hosts in folded ranges.
fn names(rows: &[&HostAnswer]) -> String {
    standing::named(rows.iter().map(|row| &row.name))
}

/// Why an unsigned query may have stayed without any answer.
const UNSIGNED: &str =
    "the query was not signed, and hosts that list their senders answer signed ones only: give --sender-key";
