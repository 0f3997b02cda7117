//! The hours of a day in which pushes may begin: `22:00-06:00 Europe/Berlin`.
//!
//! A window is open while a clock on the wall of its zone shows a time from its start up to its end. So on the night on which
//! the clock is set forward, a window of the hour that is left out does not open; and on the night on which it is set back,
//! one that lies in the hour that comes twice opens twice.

use std::fmt;
use std::str::FromStr;

use glancecast_proto::time::WallClock;
use jiff::civil::{Date, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Span, Timestamp};

use super::limits::WINDOW_DAYS;

/// A window of every day. Its end may be on the next day.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    start: Time,
    end: Time,
    zone: TimeZone,
}

impl Window {
    /// Whether pushes may begin now.
    pub fn is_open(&self, now: WallClock) -> bool {
        timestamp(now).is_some_and(|now| self.is_open_at(now))
    }

    /// Returns when the window opens next, if it is closed now; `None` also if it never does within [`WINDOW_DAYS`] days.
    pub fn opens(&self, now: WallClock) -> Option<WallClock> {
        if self.is_open(now) { None } else { self.next(now, State::Open) }
    }

    /// Returns when the window closes, if it is open now.
    pub fn closes(&self, now: WallClock) -> Option<WallClock> {
        if self.is_open(now) { self.next(now, State::Closed) } else { None }
    }

    fn is_open_at(&self, at: Timestamp) -> bool {
        let time = self.zone.to_datetime(at).time();
        match self.start < self.end {
            true => self.start <= time && time < self.end,
            false => self.start <= time || time < self.end,
        }
    }

    /// Returns the first moment after `now` at which the window is in this state. That is when the clock shows the start or
    /// the end, for the first or the second time on this day, or when it is set.
    fn next(&self, now: WallClock, state: State) -> Option<WallClock> {
        let now = timestamp(now)?;
        let last = now.checked_add(Span::new().hours(24 * WINDOW_DAYS)).ok()?;
        let today = self.zone.to_datetime(now).date();
        let days = (-1..=WINDOW_DAYS).filter_map(|days| today.checked_add(Span::new().days(days)).ok());
        let set = self.zone.following(now).map(|change| change.timestamp()).take_while(|at| *at <= last);
        let mut moments: Vec<Timestamp> = days.flat_map(|day| self.shown(day)).chain(set).collect();
        moments.retain(|at| *at > now);
        moments.sort_unstable();
        let is_wanted = |at: &Timestamp| self.is_open_at(*at) == (state == State::Open);
        let found = moments.into_iter().find(is_wanted)?;
        u64::try_from(found.as_millisecond()).ok().map(WallClock)
    }

    /// Returns when the clock shows the start and the end on a day: once each, or twice if the clock is set back over it.
    fn shown(&self, day: Date) -> impl Iterator<Item = Timestamp> {
        let zone = self.zone.clone();
        [self.start, self.end].into_iter().flat_map(move |time| {
            let moment = || zone.to_ambiguous_timestamp(day.to_datetime(time));
            [moment().earlier(), moment().later()].into_iter().flatten()
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closed,
}

/// Times beyond the year 9999 are none: nothing is open then.
fn timestamp(at: WallClock) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (times, zone) = text.trim().split_once(' ').ok_or(FORM)?;
        let (start, end) = times.split_once('-').ok_or(FORM)?;
        let end = if end == "24:00" { "00:00" } else { end };
        let (start, end) = (time(start).ok_or(FORM)?, time(end).ok_or(FORM)?);
        if start == end {
            return Err("a window that is always open is left out".to_owned());
        }
        let zone = zone.trim();
        // The database in this program: what a policy means does not depend on the files of the machine.
        let zone = TimeZoneDatabase::bundled().get(zone).map_err(|_| unknown_zone(zone))?;
        Ok(Self { start, end, zone })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: Time| format!("{:02}:{:02}", time.hour(), time.minute());
        write!(f, "{}-{} {}", time(self.start), time(self.end), self.zone.iana_name().unwrap_or("UTC"))
    }
}

fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let is_two_digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_two_digits.then(|| text.parse::<i8>().ok()).flatten()
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

fn unknown_zone(zone: &str) -> String {
    let zone = &zone[..zone.floor_char_boundary(ZONE_BYTES_MAX)];
    format!("{zone:?} is no time zone: write UTC or a name as in Europe/Berlin (timedatectl list-timezones)")
}

const FORM: &str = "write the hours and the time zone, as in \"22:00-06:00 Europe/Berlin\"";
/// Bytes of a text that is no zone, in the message about it.
const ZONE_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_written_as_hours_and_a_zone() {
        for text in ["22:00-06:00 Europe/Berlin", "00:00-23:59 UTC", "06:30-07:00 America/New_York"] {
            assert_eq!(window(text).to_string(), text);
        }
        assert_eq!(window("18:00-24:00 UTC").to_string(), "18:00-00:00 UTC");
        for (text, why) in [
            ("", "hours and the time zone"),
            ("22:00-06:00", "hours and the time zone"),
            ("22-06 UTC", "hours and the time zone"),
            ("25:00-06:00 UTC", "hours and the time zone"),
            ("22:00-06:60 UTC", "hours and the time zone"),
            ("+2:00-06:00 UTC", "hours and the time zone"),
            ("24:00-06:00 UTC", "hours and the time zone"),
            ("06:00-06:00 UTC", "always open"),
            ("00:00-24:00 UTC", "always open"),
            ("22:00-06:00 Europe/Bonn", "is no time zone"),
            ("22:00-06:00 ../../etc/passwd", "is no time zone"),
            ("22:00-06:00 ", "hours and the time zone"),
        ] {
            let error = text.parse::<Window>().expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_window_over_midnight_is_open_on_both_sides_of_it() {
        let night = window("22:00-06:00 Europe/Berlin");
        for (at, is_open) in [
            ("2026-01-10T20:59:59Z", false),
            ("2026-01-10T21:00:00Z", true),
            ("2026-01-10T23:00:00Z", true),
            ("2026-01-11T04:59:59Z", true),
            ("2026-01-11T05:00:00Z", false),
        ] {
            assert_eq!(night.is_open(moment(at)), is_open, "{at}");
        }
        assert_eq!(night.opens(moment("2026-01-10T12:00:00Z")), Some(moment("2026-01-10T21:00:00Z")));
        assert_eq!(night.closes(moment("2026-01-10T23:30:00Z")), Some(moment("2026-01-11T05:00:00Z")));
        assert_eq!(
            (night.opens(moment("2026-01-10T23:30:00Z")), night.closes(moment("2026-01-10T12:00:00Z"))),
            (None, None)
        );
    }

    #[test]
    fn a_night_on_which_the_clock_is_set_is_an_hour_shorter_or_longer() {
        let night = window("22:00-06:00 Europe/Berlin");
        // 29 March 2026, 02:00 becomes 03:00; 25 October 2026, 03:00 becomes 02:00.
        assert_eq!(night.closes(moment("2026-03-28T21:00:00Z")), Some(moment("2026-03-29T04:00:00Z")));
        assert_eq!(night.closes(moment("2026-10-24T20:00:00Z")), Some(moment("2026-10-25T05:00:00Z")));
    }

    #[test]
    fn a_window_of_the_hour_that_is_left_out_does_not_open_on_that_day() {
        let gap = window("02:15-02:45 Europe/Berlin");
        assert_eq!(gap.opens(moment("2026-03-28T12:00:00Z")), Some(moment("2026-03-30T00:15:00Z")));
        // One that begins in this hour and ends after it opens when the clock is set.
        let half = window("02:15-03:15 Europe/Berlin");
        assert_eq!(half.opens(moment("2026-03-28T12:00:00Z")), Some(moment("2026-03-29T01:00:00Z")));
        assert_eq!(half.closes(moment("2026-03-29T01:00:00Z")), Some(moment("2026-03-29T01:15:00Z")));
    }

    #[test]
    fn a_window_of_the_hour_that_comes_twice_opens_twice() {
        let fold = window("02:15-02:45 Europe/Berlin");
        let opens = |at| fold.opens(moment(at));
        assert_eq!(opens("2026-10-24T12:00:00Z"), Some(moment("2026-10-25T00:15:00Z")));
        assert_eq!(opens("2026-10-25T00:45:00Z"), Some(moment("2026-10-25T01:15:00Z")));
        assert_eq!(opens("2026-10-25T01:45:00Z"), Some(moment("2026-10-26T01:15:00Z")));
    }

    #[test]
    fn a_day_that_a_calendar_left_out_is_waited_for() {
        let samoa = window("10:00-11:00 Pacific/Apia");
        assert_eq!(samoa.opens(moment("2011-12-29T22:00:00Z")), Some(moment("2011-12-30T20:00:00Z")));
    }

    /// The rule, minute by minute: the next change is where `is_open` changes, in zones with whole, half and odd offsets.
    #[test]
    fn openings_and_closings_are_where_the_state_changes() {
        for zone in [
            "Europe/Berlin",
            "America/St_Johns",
            "Australia/Lord_Howe",
            "Asia/Kathmandu",
            "Africa/Casablanca",
            "UTC",
        ] {
            for hours in
                ["22:00-06:00", "01:30-02:30", "02:00-03:00", "03:00-02:00", "00:00-00:01", "12:00-13:00"]
            {
                let window = window(&format!("{hours} {zone}"));
                for first in [
                    "2026-03-27T00:00:00Z",
                    "2026-10-23T00:00:00Z",
                    "2026-04-04T00:00:00Z",
                    "2026-02-14T00:00:00Z",
                ] {
                    let (first, minutes) = (moment(first).0, 3 * 24 * 60);
                    let state = |minute: u64| window.is_open(WallClock(first + 60_000 * minute));
                    let mut change = None;
                    for minute in (0..minutes).rev() {
                        if change.is_some() && minute % 7 == 0 {
                            let now = WallClock(first + 60_000 * minute);
                            let next = if state(minute) { window.closes(now) } else { window.opens(now) };
                            assert_eq!(next, change, "{window} after minute {minute}");
                        }
                        if minute > 0 && state(minute) != state(minute - 1) {
                            change = Some(WallClock(first + 60_000 * minute));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn times_that_no_calendar_has_are_closed() {
        let window = window("22:00-06:00 UTC");
        assert!(!window.is_open(WallClock(u64::MAX)) && window.opens(WallClock(u64::MAX)).is_none());
        assert!(window.opens(moment("9999-12-30T12:00:00Z")).is_none());
    }

    fn window(text: &str) -> Window {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn moment(text: &str) -> WallClock {
        WallClock(text.parse::<Timestamp>().expect(text).as_millisecond().try_into().expect("after 1970"))
    }
}
