//! The line that shows a push while it runs. Pure: the numbers come in, one line comes out that is no wider than asked.
//!
//! ```text
//! debian-13.raw  37 %  24/64 MiB  80 Mbit/s  0:03  ETA 0:04  0/6 done  1 late: compute-5 12 %: 62 % lost on the way
//! debian-13.raw  100 %  0:12  5/6 done  1 not heard: compute-6, until 17:12:35
//! ```
//!
//! Each part has several forms, and each form a rank. The forms that matter most come first while there is room, so that a
//! narrow terminal loses the least.

use std::fmt::Write;
use std::time::Duration;

use glancecast_platform::units::Rate;
use glancecast_proto::sender::{Tally, Watch};

use super::lag;
use crate::output::terminal::Colour;
use crate::output::width::{cut, cut_middle, width};

/// What is shown of a push.
#[derive(Clone, Debug)]
pub(crate) struct View<'a> {
    /// The image's name on the hosts.
    pub(crate) name: &'a str,
    /// What the push is doing.
    pub(crate) phase: Phase,
    /// Bytes of the image that were sent once, or read.
    pub(crate) sent: u64,
    /// Bytes of the image.
    pub(crate) total: u64,
    /// Bits per second on the wire in the last seconds, of one copy.
    pub(crate) rate: u64,
    /// Copies of each datagram.
    pub(crate) copies: u32,
    /// Time since the start.
    pub(crate) elapsed: Duration,
    /// Time until everything was sent once, if it can be told.
    pub(crate) eta: Option<Duration>,
    /// The hosts by state.
    pub(crate) hosts: Tally,
    /// The hosts that hold the push back.
    pub(crate) watch: &'a Watch,
    /// The blocks of the image.
    pub(crate) blocks: u32,
    /// When the push ends whatever is missing, as a time of day.
    pub(crate) until: &'a str,
}

/// What a push is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The network of this machine takes nothing.
    Away,
    /// Nothing is sent before a host that lacks something has joined.
    Waiting,
    /// All hosts are at work on another push.
    Busy,
    /// The image is sent for the first time.
    Sending,
    /// The image is read for its fingerprints (`--base`).
    Reading,
    /// Everything was sent, and the source's hash is not checked yet.
    Checking,
    /// Hosts ask for what they do not find in the base.
    Asking,
    /// Everything was sent once: what is lacking is repaired.
    Finishing,
    /// The hosts get the end of the push.
    Ending,
}

impl Phase {
    /// Returns the phase in words, as short as they can be.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Away => "the network is away",
            Self::Waiting => "waiting for hosts",
            Self::Busy => "hosts are busy",
            Self::Sending => "sending",
            Self::Reading => "reading",
            Self::Checking => "checking the source",
            Self::Asking => "hosts ask for what they lack",
            Self::Finishing => "finishing",
            Self::Ending => "ending",
        }
    }

    /// Whether the push waits for hosts alone.
    fn is_late(self) -> bool {
        matches!(self, Self::Asking | Self::Finishing | Self::Ending)
    }
}

/// Returns the line. Without colour it is no wider than `columns`.
pub(crate) fn line(view: &View<'_>, columns: usize, colour: Colour) -> String {
    let parts = parts(view, columns);
    let chosen = fit(&parts, columns);
    let mut line = String::new();
    for (part, text) in parts.iter().zip(chosen) {
        let Some(text) = text else { continue };
        if !line.is_empty() {
            line.push_str(GAP);
        }
        match (colour, part.paint) {
            (Colour::Allowed, Some(paint)) => {
                let _ = write!(line, "{paint}{text}\u{1b}[0m");
            }
            _ => line.push_str(&text),
        }
    }
    line
}

/// A part of the line.
struct Part {
    /// The same in several lengths, the shortest first, each with its rank: the smaller, the more it matters.
    forms: Vec<(u8, String)>,
    /// Whether the next longer form may be cut.
    may_be_cut: bool,
    /// The start of its colour.
    paint: Option<&'static str>,
}

fn part(forms: impl IntoIterator<Item = (u8, String)>) -> Part {
    let forms = forms.into_iter().filter(|(_, form)| !form.is_empty()).collect();
    Part { forms, may_be_cut: false, paint: None }
}

/// Returns the parts in the order in which they stand. While the image is sent, rate and remaining time matter most; then,
/// who is waited for.
fn parts(view: &View<'_>, columns: usize) -> Vec<Part> {
    let percent = percent(view.sent, view.total);
    let name = cut_middle(view.name, (columns / 3).clamp(NAME_MIN, NAME_MAX));
    let troubles = lag::describe(view, view.phase.is_late());
    let paint = troubles.worst.map(|lag| if lag::is_final(lag) { RED } else { YELLOW });
    let Ranks { sizes: at_sizes, rate: at_rate, elapsed, phase: at_phase, hosts: at_hosts, troubles: ranks } =
        if view.phase.is_late() { FINISHING } else { SENDING };
    let trouble = Part { may_be_cut: true, paint, ..part(ranks.into_iter().zip(troubles.forms)) };
    let [hosts_short, hosts_long] = hosts(view.hosts);
    let [rate_short, rate_long] = rate(view);
    vec![
        part([(0, name)]),
        part([(1, format!("{percent} %"))]),
        part([(BAR_RANK, bar(percent))]),
        part([(at_sizes, sizes(view.sent, view.total))]),
        part([(at_rate, rate_short), (BAR_RANK - 1, rate_long)]),
        part([(elapsed, clock(view.elapsed))]),
        part([(at_phase, phase(view))]),
        part([(at_hosts, hosts_short), (BAR_RANK - 2, hosts_long)]),
        trouble,
    ]
}

/// What matters how much, after the name and the percentage.
struct Ranks {
    sizes: u8,
    rate: u8,
    elapsed: u8,
    phase: u8,
    hosts: u8,
    /// The worst reason; how many hosts hold the push back; until when; which for the worst reason; which; why for the worst reason; why.
    troubles: [u8; 7],
}

const SENDING: Ranks =
    Ranks { sizes: 2, rate: 3, phase: 4, troubles: [5, 5, 6, 6, 9, 10, 11], elapsed: 7, hosts: 8 };
const FINISHING: Ranks =
    Ranks { hosts: 2, troubles: [3, 4, 5, 5, 6, 8, 9], elapsed: 7, phase: 10, rate: 11, sizes: 12 };
const BAR_RANK: u8 = 20;

/// Chooses the form of each part: in the order of their ranks, each form that fits takes the place of the shorter one.
fn fit(parts: &[Part], columns: usize) -> Vec<Option<String>> {
    let mut wishes: Vec<(u8, usize, &str)> = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        wishes.extend(part.forms.iter().map(|(rank, form)| (*rank, i, form.as_str())));
    }
    wishes.sort_by_key(|&(rank, ..)| rank);
    let mut chosen: Vec<Option<String>> = vec![None; parts.len()];
    for (_, i, form) in wishes {
        let room = room(&chosen, i, columns);
        if width(form) <= room {
            chosen[i] = Some(form.to_owned());
        } else if chosen.iter().all(Option::is_none) {
            chosen[i] = Some(cut(form, room));
        }
    }
    for (i, part) in parts.iter().enumerate().filter(|(_, part)| part.may_be_cut) {
        let room = room(&chosen, i, columns);
        let now = chosen[i].as_deref().map_or(0, width);
        let longer = part.forms.iter().find(|(_, form)| width(form) > room);
        if let Some((_, form)) = longer.filter(|_| now > 0 && room >= now + CUT_GAIN_MIN) {
            chosen[i] = Some(cut(form, room));
        }
    }
    chosen
}

/// Returns the columns that a part may have.
fn room(chosen: &[Option<String>], part: usize, columns: usize) -> usize {
    let others =
        chosen.iter().enumerate().filter(|&(i, _)| i != part).filter_map(|(_, form)| form.as_deref());
    columns.saturating_sub(others.map(|form| width(form) + GAP.len()).sum())
}

fn phase(view: &View<'_>) -> String {
    let eta = || view.eta.map_or_else(|| "?".to_owned(), clock);
    match view.phase {
        Phase::Sending => format!("ETA {}", eta()),
        Phase::Reading => format!("reading, ETA {}", eta()),
        phase => phase.word().to_owned(),
    }
}

/// Returns how many hosts are done, in a short and a long form.
fn hosts(tally: Tally) -> [String; 2] {
    let Tally { done, expected, .. } = tally;
    match expected {
        0 => ["no host".to_owned(), "no host heard".to_owned()],
        1 => [format!("{done}/1 done"), format!("{done} of 1 host done")],
        _ => [format!("{done}/{expected} done"), format!("{done} of {expected} hosts done")],
    }
}

/// Returns the rate in a short and a long form; both are empty while nothing is sent.
fn rate(view: &View<'_>) -> [String; 2] {
    let text = match view.rate {
        bits if !(10_000_000..1_000_000_000).contains(&bits) => {
            Rate::from_bits(bits).map_or_else(String::new, |rate| rate.to_string())
        }
        bits => format!("{:.0} Mbit/s", bits as f64 / 1e6),
    };
    match view.copies {
        copies if copies > 1 && !text.is_empty() => {
            [format!("{text} x {copies}"), format!("{text} x {copies} copies")]
        }
        _ => [text, String::new()],
    }
}

fn bar(percent: u64) -> String {
    let filled = (percent as usize * BAR / 100).min(BAR);
    let tip = if filled < BAR { ">" } else { "" };
    format!("[{:<BAR$}]", "=".repeat(filled) + tip)
}

/// Returns the percentage, which is 100 only if all was sent.
pub(crate) fn percent(part: u64, whole: u64) -> u64 {
    match whole {
        0 => 100,
        _ => (u128::from(part) * 100 / u128::from(whole)) as u64,
    }
}

/// Returns both sizes in the unit of the larger one, with a digit after the point below ten.
fn sizes(part: u64, whole: u64) -> String {
    let power = (whole.max(1).ilog2() / 10).min(UNITS.len() as u32 - 1);
    let of = |bytes: u64| bytes as f64 / (1_u64 << (10 * power)) as f64;
    let unit = UNITS[power as usize];
    match (power, of(whole) < 10.0) {
        (0, _) => format!("{part}/{whole} B"),
        (_, true) => format!("{:.1}/{:.1} {unit}", of(part), of(whole)),
        (_, false) => format!("{:.0}/{:.0} {unit}", of(part), of(whole)),
    }
}

/// Returns a duration as minutes and seconds, or hours, minutes and seconds.
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

const GAP: &str = "  ";
const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const BAR: usize = 20;
/// Columns of the name: a third of the line, and never more than names of images usually have.
const NAME_MIN: usize = 12;
const NAME_MAX: usize = 40;
/// A form is cut if that shows so many columns more than the next shorter form.
const CUT_GAIN_MIN: usize = 8;
const YELLOW: &str = "\u{1b}[33m";
const RED: &str = "\u{1b}[31m";

#[cfg(test)]
mod tests {
    use glancecast_proto::sender::{Lag, LagCause, Lagging, Sideline};

    use super::*;

    fn tally(expected: u32, heard: u32, done: u32) -> Tally {
        Tally { expected, heard, done, ..Tally::default() }
    }

    pub(super) fn watch(lagging: &[(&str, Lag, u32, Option<LagCause>)]) -> Watch {
        let mut watch = Watch::default();
        for (name, lag, blocks_held, cause) in lagging {
            *watch.counts.entry(*lag).or_default() += 1;
            let name = glancecast_proto::ids::HostName::new(name).expect("a name");
            watch.hosts.push(Lagging { name, lag: *lag, blocks_held: *blocks_held, cause: cause.clone() });
        }
        watch
    }

    fn slow() -> Watch {
        let lost = Sideline { cause: glancecast_proto::sender::Cause::Network, percent: 62 };
        watch(&[("compute-5", Lag::Sidelined, 8, Some(LagCause::Sideline(lost)))])
    }

    fn sending(watch: &Watch) -> View<'_> {
        View {
            name: "debian-13.raw",
            phase: Phase::Sending,
            sent: 24 << 20,
            total: 64 << 20,
            rate: 80_000_000,
            copies: 1,
            elapsed: Duration::from_secs(3),
            eta: Some(Duration::from_secs(4)),
            hosts: tally(6, 6, 0),
            watch,
            blocks: 64,
            until: "17:12:35",
        }
    }

    fn plain(view: &View<'_>, columns: usize) -> String {
        line(view, columns, Colour::Off)
    }

    #[test]
    fn what_matters_most_is_there_at_every_width() {
        let slow = slow();
        let view = sending(&slow);
        assert_eq!(plain(&view, 40), "debian-13.raw  37 %  24/64 MiB  ETA 0:04");
        assert_eq!(
            plain(&view, 80),
            "debian-13.raw  37 %  24/64 MiB  80 Mbit/s  ETA 0:04  1 late: compute-5 12 %"
        );
        assert_eq!(
            plain(&view, 140),
            "debian-13.raw  37 %  24/64 MiB  80 Mbit/s  0:03  ETA 0:04  0 of 6 hosts done  \
             1 late: compute-5 12 %: 62 % lost on the way"
        );
        assert_eq!(
            plain(&view, 200),
            "debian-13.raw  37 %  [=======>            ]  24/64 MiB  80 Mbit/s  0:03  ETA 0:04  \
             0 of 6 hosts done  1 late: compute-5 12 %: 62 % lost on the way"
        );
    }

    #[test]
    fn finishing_names_who_is_waited_for_and_until_when() {
        let watch = watch(&[("compute-6", Lag::Unheard, 0, None)]);
        let view = View {
            phase: Phase::Finishing,
            sent: 64 << 20,
            rate: 0,
            elapsed: Duration::from_secs(12),
            hosts: tally(6, 5, 5),
            ..sending(&watch)
        };
        assert_eq!(plain(&view, 40), "debian-13.raw  100 %  0:12  5/6 done");
        assert_eq!(
            plain(&view, 80),
            "debian-13.raw  100 %  0:12  5/6 done  1 not heard: compute-6, until 17:12:35"
        );
        assert_eq!(
            plain(&view, 140),
            "debian-13.raw  100 %  [====================]  64/64 MiB  0:12  finishing  5 of 6 hosts done  \
             1 not heard: compute-6, until 17:12:35"
        );
    }

    #[test]
    fn no_line_is_wider_than_its_terminal() {
        let many: Vec<(String, Lag)> = (0..200)
            .map(|i| (format!("compute-{}", 7 * i), if i % 2 == 0 { Lag::Unheard } else { Lag::Failed }))
            .collect();
        let many: Vec<(&str, Lag, u32, Option<LagCause>)> = many
            .iter()
            .map(|(name, lag)| {
                (name.as_str(), *lag, 3, Some(LagCause::Words("ディスクがいっぱい".repeat(9))))
            })
            .collect();
        let watch = watch(&many);
        for phase in [Phase::Away, Phase::Waiting, Phase::Sending, Phase::Asking, Phase::Finishing] {
            for name in ["debian", "ウブントゥ二四〇四サーバー版アーム六四ビット.raw"] {
                let view = View { name, phase, copies: 3, ..sending(&watch) };
                for columns in 1..250 {
                    let line = plain(&view, columns);
                    assert!(width(&line) <= columns, "{columns} columns: {line}");
                    assert!(!line.is_empty() && !line.contains('\n'), "{columns}: {line:?}");
                }
            }
        }
    }

    #[test]
    fn trouble_has_a_colour_and_takes_no_room_for_it() {
        let slow = slow();
        let coloured = line(&sending(&slow), 100, Colour::Allowed);
        assert!(
            coloured.contains("\u{1b}[33m1 late: compute-5") && coloured.ends_with("\u{1b}[0m"),
            "{coloured}"
        );
        let plain = plain(&sending(&slow), 100);
        assert_eq!(coloured.replace("\u{1b}[33m", "").replace("\u{1b}[0m", ""), plain);
    }

    #[test]
    fn sizes_and_times_are_short() {
        assert_eq!(sizes(0, 0), "0/0 B");
        assert_eq!(sizes(1 << 29, 2 << 30), "0.5/2.0 GiB");
        assert_eq!(sizes(u64::MAX, u64::MAX), "16/16 EiB");
        assert_eq!(clock(Duration::from_secs(59)), "0:59");
        assert_eq!(clock(Duration::from_secs(3 * 3600 + 61)), "3:01:01");
        assert_eq!((percent(99, 100), percent(999, 1000), percent(0, 0)), (99, 99, 100));
    }
}
