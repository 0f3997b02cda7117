//! Many hosts on one screen: hosts with the same state and the same reason are one entry with folded ranges, the worst
//! first.
//!
//! ```text
//!   4  never answered  compute-[17,42,77,901]
//!        never heard. On it: systemctl status glancecastd; ...
//!   1  failed          compute-63   exists with other content: remove it, or push under another --name
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;

use glancecast_proto::ids::HostName;
use glancecast_proto::ranges::fold_items;
use glancecast_proto::wire::printable;
use serde::Serialize;

use super::columns::Room;
use super::width::{cut, width, wrap};

/// The number of hosts above which they have no row each.
pub(crate) const ROWS_MAX: usize = 50;

/// A host that is not as it should be.
pub(crate) struct Odd<'a> {
    /// Its name, which need not be one that a receiver can have.
    pub(crate) name: &'a str,
    /// How bad that is: the smaller, the worse.
    pub(crate) rank: u8,
    /// Its state in words.
    pub(crate) state: &'a str,
    /// Why, in words.
    pub(crate) why: String,
    /// What else may help, which is the host's own.
    pub(crate) hint: Option<&'a str>,
}

/// Hosts with the same state and reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Cause {
    #[serde(skip)]
    rank: u8,
    /// Their state.
    pub(crate) state: String,
    /// Their number.
    pub(crate) count: usize,
    /// Their names in folded ranges.
    pub(crate) hosts: String,
    /// Why. Where reasons differ in their numbers alone, the numbers are ranges.
    pub(crate) reason: String,
    /// What else may help, of the first host that has such a hint.
    pub(crate) hint: Option<String>,
}

/// Returns the reasons for which hosts are not as they should be: the worst first, then those of most hosts.
pub(crate) fn causes<'a>(hosts: impl IntoIterator<Item = Odd<'a>>) -> Vec<Cause> {
    let mut groups: BTreeMap<(u8, String, String), Vec<Odd<'a>>> = BTreeMap::new();
    for host in hosts {
        let key = (host.rank, host.state.to_owned(), pattern(&host.why, host.name));
        groups.entry(key).or_default().push(host);
    }
    let mut causes: Vec<Cause> = groups
        .into_iter()
        .map(|((rank, state, _), members)| Cause {
            rank,
            state,
            count: members.len(),
            hosts: folded(members.iter().map(|host| host.name)),
            reason: reason(&members),
            hint: members.iter().find_map(|host| {
                let hint = host.hint?;
                Some(if members.len() == 1 { hint.to_owned() } else { format!("{}: {hint}", host.name) })
            }),
        })
        .collect();
    causes.sort_by(|a, b| a.rank.cmp(&b.rank).then(b.count.cmp(&a.count)));
    causes
}

/// Returns an entry for each reason, and how many there are beyond those that fit a screen.
pub(crate) fn text(causes: &[Cause], room: Room) -> String {
    let shown = &causes[..causes.len().min(CAUSES_MAX)];
    let counts = shown.iter().map(|cause| cause.count.to_string().len()).max().unwrap_or(0);
    let states = shown.iter().map(|cause| width(&cause.state)).max().unwrap_or(0);
    let hosts = shown.iter().map(|cause| width(&cause.hosts)).max().unwrap_or(0).min(HOSTS_ALIGNED_MAX);
    let mut text = String::new();
    for cause in shown {
        let state = printable(&cause.state);
        let pad = " ".repeat(states - width(&state).min(states));
        let head = format!("  {:>counts$}  {state}{pad}  ", cause.count);
        push(&mut text, &head, hosts, cause, room);
    }
    if let [_, ..] = &causes[shown.len()..] {
        let hosts: usize = causes[shown.len()..].iter().map(|cause| cause.count).sum();
        let _ = writeln!(
            text,
            "  and {} more reasons of {hosts} hosts: --all has a row for each host",
            causes.len() - shown.len()
        );
    }
    text
}

/// Adds an entry. Reasons line up beside hosts of at most `aligned` columns.
fn push(text: &mut String, head: &str, aligned: usize, cause: &Cause, room: Room) {
    let hosts = printable(&cause.hosts);
    let hint = cause.hint.as_deref().unwrap_or_default();
    let gap = if cause.reason.is_empty() || hint.is_empty() { "" } else { ". " };
    let why = printable(&format!("{}{gap}{hint}", cause.reason));
    let pad = " ".repeat(aligned.saturating_sub(width(&hosts)));
    let together = format!("{head}{hosts}{pad}  {why}");
    let together = together.trim_end();
    let columns = match room {
        Room::Columns(columns) if !room.has(width(together)) => columns,
        Room::Columns(_) | Room::Unbounded => {
            let _ = writeln!(text, "{together}");
            return;
        }
    };
    let _ =
        writeln!(text, "{head}{}", cut(&hosts, columns.saturating_sub(width(head)).max(HOSTS_COLUMNS_MIN)));
    let mut lines = wrap(&why, columns.saturating_sub(INDENT.len()).max(HOSTS_COLUMNS_MIN));
    if lines.len() > WHY_LINES_MAX {
        lines.truncate(WHY_LINES_MAX);
        lines[WHY_LINES_MAX - 1].push('…');
    }
    for line in lines.iter().filter(|line| !line.is_empty()) {
        let _ = writeln!(text, "{INDENT}{line}");
    }
}

/// Returns names in folded ranges. Names that no receiver can have stand at the end.
pub(crate) fn folded<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for name in names {
        match HostName::new(name) {
            Ok(name) => good.push(name),
            Err(_) => bad.push(name.to_owned()),
        }
    }
    let mut items = fold_items(&good);
    items.extend(bad);
    items.join(",")
}

/// Returns what the reasons of different hosts have in common: without the host's name and without numbers.
fn pattern(why: &str, name: &str) -> String {
    let without = |word: &str| match own_name(word, name) {
        Some(general) => general,
        None if word.bytes().any(|byte| byte.is_ascii_digit()) => "#".to_owned(),
        None => word.to_owned(),
    };
    why.split(' ').map(without).collect::<Vec<_>>().join(" ")
}

/// Returns the word with the host's name replaced, if it is in there.
fn own_name(word: &str, name: &str) -> Option<String> {
    let rest = word.strip_prefix(name)?;
    rest.chars().all(|c| c.is_ascii_punctuation() && c != '-' && c != '.').then(|| format!("NAME{rest}"))
}

/// Returns the reason of hosts whose reasons have the same pattern.
fn reason(members: &[Odd<'_>]) -> String {
    let [first, others @ ..] = members else { return String::new() };
    if others.iter().all(|host| host.why == first.why) {
        return first.why.clone();
    }
    let words: Vec<Vec<&str>> = members.iter().map(|host| host.why.split(' ').collect()).collect();
    let word = |(i, word): (usize, &&str)| {
        let all = || words.iter().map(|words| words[i]);
        match own_name(word, first.name) {
            Some(general) => general,
            None if all().all(|other| other == *word) => (*word).to_owned(),
            None => range(all()).unwrap_or_else(|| "…".to_owned()),
        }
    };
    words[0].iter().enumerate().map(word).collect::<Vec<_>>().join(" ")
}

/// Returns the range of words that are numbers, as in "12-62".
fn range<'a>(words: impl Iterator<Item = &'a str>) -> Option<String> {
    let value = |word: &'a str| Some((word.trim_end_matches([',', ';', ':']).parse::<f64>().ok()?, word));
    let mut values = words.map(value).collect::<Option<Vec<_>>>()?;
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (first, last) = (values.first()?.1, values.last()?.1);
    Some(format!("{}-{last}", first.trim_end_matches([',', ';', ':'])))
}

/// Entries that fit a screen of 24 lines with what stands around them.
const CAUSES_MAX: usize = 7;
/// Reasons line up behind hosts of so many columns.
const HOSTS_ALIGNED_MAX: usize = 30;
/// Lines of one reason.
const WHY_LINES_MAX: usize = 3;
/// The narrowest text that hosts and reasons are cut to.
const HOSTS_COLUMNS_MIN: usize = 20;
const INDENT: &str = "       ";

#[cfg(test)]
mod tests {
    use super::*;

    fn odd<'a>(name: &'a str, rank: u8, state: &'a str, why: &str) -> Odd<'a> {
        Odd { name, rank, state, why: why.to_owned(), hint: None }
    }

    #[test]
    fn hosts_of_one_reason_are_one_entry_and_the_worst_is_first() {
        let names: Vec<String> = (1..=40).map(|i| format!("compute-{i}")).collect();
        let off = names.iter().map(|name| odd(name, 5, "never answered", "never heard"));
        let failed = odd("compute-63", 1, "failed", "exists with other content");
        let causes = causes(off.chain([failed]));
        assert_eq!(causes.len(), 2);
        assert_eq!((causes[0].state.as_str(), causes[0].hosts.as_str()), ("failed", "compute-63"));
        assert_eq!((causes[1].count, causes[1].hosts.as_str()), (40, "compute-[1-40]"));
        assert_eq!(
            text(&causes, Room::Columns(80)),
            "   1  failed          compute-63      exists with other content\n  \
             40  never answered  compute-[1-40]  never heard\n"
        );
    }

    #[test]
    fn reasons_that_differ_in_numbers_and_names_are_one() {
        let lost = |name, percent| odd(name, 1, "done", &format!("{percent} % lost on the way to {name}"));
        let causes = causes([lost("c1", 62), lost("c2", 7), lost("c3", 31)]);
        assert_eq!(causes.len(), 1);
        assert_eq!(
            (causes[0].hosts.as_str(), causes[0].reason.as_str()),
            ("c[1-3]", "7-62 % lost on the way to NAME")
        );
        let alone = self::causes([lost("c1", 62)]);
        assert_eq!(alone[0].reason, "62 % lost on the way to c1");
        let ids = ["it was 12ab; push it again", "it was 77ff; push it again"];
        let causes = self::causes([odd("c1", 1, "differs", ids[0]), odd("c2", 1, "differs", ids[1])]);
        assert_eq!(causes[0].reason, "it was … push it again");
    }

    #[test]
    fn a_screen_is_never_left_however_odd_the_hosts_are() {
        let names: Vec<String> = (0..1000).map(|i| format!("node-{}", i * 7919 % 100_003)).collect();
        let whys: Vec<String> =
            (0..1000).map(|i| format!("reason {} {}", "x".repeat(i % 100), "日本 ".repeat(99))).collect();
        let causes = causes(names.iter().zip(&whys).map(|(name, why)| odd(name, 1, "failed", why)));
        assert_eq!(causes.len(), 100);
        for columns in [80, 200] {
            let text = text(&causes, Room::Columns(columns));
            assert!(text.lines().count() <= CAUSES_MAX * (1 + WHY_LINES_MAX) + 1, "{text}");
            assert!(text.lines().all(|line| width(line) <= columns + 1), "{text}");
            assert!(
                text.ends_with("and 93 more reasons of 930 hosts: --all has a row for each host\n"),
                "{text}"
            );
        }
    }

    #[test]
    fn names_that_no_receiver_can_have_are_there_too() {
        assert_eq!(folded(["c2", "c 2", "c1"]), "c[1-2],c 2");
    }

    #[test]
    fn a_hint_of_one_host_stands_for_the_others() {
        let hosts = ["c1", "c2"]
            .map(|name| Odd { hint: Some("Is it c1.example.org?"), ..odd(name, 1, "x", "never heard") });
        let causes = causes(hosts);
        assert_eq!(causes[0].hint.as_deref(), Some("c1: Is it c1.example.org?"));
    }
}
