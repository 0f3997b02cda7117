//! The hosts that hold a push back, in a few words: how many, which, why.

use std::fmt::Write;

use glancecast_proto::ids::HostName;
use glancecast_proto::ranges::fold_items;
use glancecast_proto::sender::{Cause, Lag, LagCause, Lagging};
use glancecast_proto::wire::printable;

use super::line::{View, percent};

/// What holds a push back, in several lengths.
pub(super) struct Troubles {
    /// The worst reason.
    pub(super) worst: Option<Lag>,
    /// The same in several lengths, the shortest first: the worst; counts; until when; which hosts of the worst reason; which hosts; why
    /// for the worst reason; why.
    pub(super) forms: [String; 7],
}

/// Whether nothing is expected of a host any more.
pub(super) fn is_final(lag: Lag) -> bool {
    matches!(lag, Lag::Failed | Lag::Refused)
}

/// Returns what holds a push back. With `until`, the deadline is said where somebody is waited for.
pub(super) fn describe(view: &View<'_>, until: bool) -> Troubles {
    let counts: Vec<(Lag, u32)> = view.watch.counts.iter().map(|(&lag, &count)| (lag, count)).collect();
    let is_awaited = until && counts.iter().any(|&(lag, _)| !is_final(lag));
    let end = if is_awaited { format!(", until {}", view.until) } else { String::new() };
    let joined = |form: &dyn Fn(usize, Lag, u32) -> String| {
        let texts: Vec<String> =
            counts.iter().enumerate().map(|(i, &(lag, count))| form(i, lag, count)).collect();
        if texts.is_empty() { String::new() } else { texts.join("; ") + &end }
    };
    let short = |lag: Lag, count: u32| format!("{count} {}", word(lag));
    let without_end = |text: String| text.strip_suffix(&end).map(str::to_owned).unwrap_or(text);
    let counts_alone = joined(&|_, lag, count| short(lag, count));
    let others: u32 = counts.iter().skip(1).map(|&(_, count)| count).sum();
    let worst_alone = counts.first().map_or_else(String::new, |&(lag, count)| match others {
        0 => short(lag, count),
        others => format!("{}, {others} more", short(lag, count)),
    });
    let forms = [
        worst_alone,
        without_end(counts_alone.clone()),
        counts_alone,
        joined(&|i, lag, count| if i == 0 { with_names(view, lag, count) } else { short(lag, count) }),
        joined(&|_, lag, count| with_names(view, lag, count)),
        joined(&|i, lag, count| {
            if i == 0 { with_cause(view, lag, count) } else { with_names(view, lag, count) }
        }),
        joined(&|_, lag, count| with_cause(view, lag, count)),
    ];
    Troubles { worst: counts.first().map(|&(lag, _)| lag), forms }
}

fn word(lag: Lag) -> &'static str {
    match lag {
        Lag::Failed => "failed",
        Lag::Refused => "refused",
        Lag::Unreachable => "without data",
        Lag::Silent => "silent",
        Lag::Sidelined => "late",
        Lag::Unheard => "not heard",
        Lag::Busy => "busy",
        Lag::Incomplete => "incomplete",
    }
}

/// Returns how many hosts there are of a reason, and which; of one that receives, how far it is.
fn with_names(view: &View<'_>, lag: Lag, count: u32) -> String {
    let hosts = || view.watch.hosts.iter().filter(|host| host.lag == lag);
    let mut text =
        format!("{count} {}: {}", word(lag), folded(hosts().map(|host| &host.name), count as usize));
    if matches!(lag, Lag::Sidelined | Lag::Unreachable | Lag::Silent | Lag::Incomplete)
        && let Some(least) = hosts().next()
    {
        let percent = percent(u64::from(least.blocks_held), u64::from(view.blocks));
        let from = if count > 1 { "from " } else { "" };
        let _ = write!(text, " {from}{percent} %");
    }
    text
}

/// The same, and why; of several hosts, why for the first one.
fn with_cause(view: &View<'_>, lag: Lag, count: u32) -> String {
    let mut text = with_names(view, lag, count);
    let worst = view.watch.hosts.iter().find(|host| host.lag == lag);
    if let Some(Lagging { cause: Some(cause), .. }) = worst {
        let _ = write!(text, ": {}", in_short(cause));
    }
    text
}

fn in_short(cause: &LagCause) -> String {
    match cause {
        LagCause::Sideline(sideline) => {
            let percent = sideline.percent;
            match sideline.cause {
                Cause::Network => format!("{percent} % lost on the way"),
                Cause::Socket => format!("{percent} % dropped by its socket"),
                Cause::Store => format!("its store is too slow for {percent} %"),
            }
        }
        LagCause::Words(words) => printable(words),
    }
}

/// Returns folded names, of which there are `count`; an ellipsis stands for those that are not known here.
fn folded<'a>(names: impl Iterator<Item = &'a HostName>, count: usize) -> String {
    let mut known = 0;
    let items = fold_items(names.inspect(|_| known += 1));
    let more = if known < count { ",…" } else { "" };
    items.join(",") + more
}
