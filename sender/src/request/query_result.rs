//! What a query came to: what every host said, and whether that is what should be.

use glancecast_platform::cli;
use glancecast_proto::query::{HostAnswer, Standing};
use glancecast_proto::sender::Expected;
use glancecast_proto::wire::{Finding, Held, Query};

use super::QueryPlan;
use super::push_result::NOBODY;
use crate::pipeline::query::Answers;

/// A query that is over, judged.
pub struct QueryResult {
    /// What it was to do.
    pub plan: QueryPlan,
    /// What came of it.
    pub answers: Answers,
    /// Why it is not what should be, for people.
    pub reason: Option<String>,
}

/// The verdict on one copy of an image, or on a host without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyVerdict {
    /// It is there.
    Held,
    /// Its bytes are what was proven.
    Intact,
    /// They are not.
    Differs,
    /// The host holds no such image.
    Missing,
    /// The host could not read it.
    Failed,
    /// The host is still at it.
    Verifying,
    /// It is not kept any longer.
    LetGo,
    /// It was not kept longer than the rules say.
    NotPinned,
}

impl CopyVerdict {
    /// The word in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Intact => "intact",
            Self::Differs => "differs",
            Self::Missing => "missing",
            Self::Failed => "failed",
            Self::Verifying => "verifying",
            Self::LetGo => "let_go",
            Self::NotPinned => "not_pinned",
        }
    }

    /// Of an object that a host named.
    pub fn of(held: &Held) -> Self {
        match &held.finding {
            Finding::Listed => Self::Held,
            Finding::Pending => Self::Verifying,
            Finding::Intact => Self::Intact,
            Finding::Differs(_) => Self::Differs,
            Finding::Failed(_) => Self::Failed,
            Finding::LetGo(was) if was.is_pinned() => Self::LetGo,
            Finding::LetGo(_) => Self::NotPinned,
        }
    }

    fn is_well(self) -> bool {
        match self {
            Self::Held | Self::Intact | Self::LetGo | Self::NotPinned => true,
            Self::Differs | Self::Missing | Self::Failed | Self::Verifying => false,
        }
    }
}

impl QueryResult {
    pub(super) fn new(plan: QueryPlan, answers: Answers) -> Self {
        let reasons =
            [reason(&plan.config.query, &plan.config.expected, &answers.rows), plan.left_out.missing()];
        let reason = joined(&reasons.into_iter().flatten().collect::<Vec<_>>());
        Self { plan, answers, reason }
    }

    /// The code to exit with.
    pub fn exit_code(&self) -> u8 {
        if self.reason.is_none() { cli::EXIT_OK } else { cli::EXIT_INCOMPLETE }
    }
}

/// Why it is not what should be.
fn reason(query: &Query, expected: &Expected, rows: &[HostAnswer]) -> Option<String> {
    let heard = rows.iter().filter(|row| row.about.is_some()).count();
    if heard == 0 {
        return Some(NOBODY.to_owned());
    }
    let mut reasons = Vec::new();
    let silent: Vec<&HostAnswer> = rows.iter().filter(|row| row.expected && !is_whole(row)).collect();
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
        reasons.push(format!("not as it should be on {}", names(&bad)));
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

/// Whether the whole answer of a host is here.
fn is_whole(row: &HostAnswer) -> bool {
    row.standing == Standing::Answered
}

fn joined(reasons: &[String]) -> Option<String> {
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// The first few hosts by name.
fn names(rows: &[&HostAnswer]) -> String {
    let named: Vec<&str> = rows.iter().take(NAMED_MAX).map(|row| row.name.as_str()).collect();
    match rows.len() - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

const NAMED_MAX: usize = 5;
