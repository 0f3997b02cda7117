//! How this host is connected at the moment, and the lines in the log that say so: one at each change, fewer while it
//! changes again and again.

use std::time::Duration;

use glancecast_platform::interface::{Interface, InterfaceError, PortOf};
use glancecast_proto::time::Moment;
use glancecast_proto::wire::printable;

/// How this host is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Nothing has been tried yet.
    NotYet,
    /// The group is joined on an interface that carries something.
    Fine {
        /// The interface.
        on: Interface,
        /// How often it was made anew.
        times: u32,
    },
    /// There is no such interface, it has no address, or there is no route.
    Missing {
        /// The reason.
        why: String,
        /// The part of it that makes it another one.
        what: String,
    },
    /// The interface is switched off.
    Down(String),
    /// The interface has no carrier.
    NoCarrier(String),
    /// Another link gets what arrives at the interface.
    Port {
        /// The interface.
        interface: String,
        /// The other link.
        of: PortOf,
    },
    /// The interface does not take the sockets; with its name and the reason.
    NotJoined(String, String),
}

impl Condition {
    /// Returns the condition of a host that has no interface for this reason.
    pub(super) fn missing(error: &InterfaceError) -> Self {
        let what = match error {
            // It lists the others, which come and go with a node's guests.
            InterfaceError::Unknown { name, .. } => name.clone(),
            other => other.to_string(),
        };
        Self::Missing { why: error.to_string(), what }
    }

    /// Returns why this host hears nothing, in words; `None` if it hears, or has not looked yet.
    pub(super) fn trouble(&self) -> Option<String> {
        let shown = |name: &String| printable(name);
        match self {
            Self::NotYet | Self::Fine { .. } => None,
            Self::Missing { why, .. } => Some(why.clone()),
            Self::Down(name) => Some(format!("interface {} is switched off", shown(name))),
            Self::NoCarrier(name) => Some(format!("interface {} has no carrier", shown(name))),
            Self::Port { interface, of } => Some(format!("interface {} is {of}", shown(interface))),
            Self::NotJoined(name, why) => Some(format!("on interface {} it {why}", shown(name))),
        }
    }

    /// Whether the group can be heard, as far as this host knows.
    pub(super) fn is_fine(&self) -> bool {
        matches!(self, Self::Fine { .. })
    }

    /// Whether the sockets are on an interface that is there.
    pub(super) fn is_joined(&self) -> bool {
        matches!(self, Self::Fine { .. } | Self::Down(_) | Self::NoCarrier(_) | Self::Port { .. })
    }

    /// Returns `next` as it follows on this condition. `anew` says whether the interface was made anew in between.
    pub(super) fn after(&self, next: Self, anew: bool) -> Self {
        match (self, next) {
            (Self::Fine { times, .. }, Self::Fine { on, .. }) => {
                Self::Fine { on, times: times.wrapping_add(u32::from(anew)) }
            }
            (_, next) => next,
        }
    }

    /// Whether a reader of the log would see no difference.
    fn reads_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fine { on, times }, Self::Fine { on: other, times: other_times }) => {
                times == other_times
                    && (on.index, on.addr, on.mtu, &on.name)
                        == (other.index, other.addr, other.mtu, &other.name)
            }
            (Self::Missing { what, .. }, Self::Missing { what: other, .. }) => what == other,
            (one, other) => one == other,
        }
    }
}

/// What the log says of the condition.
#[derive(Debug)]
pub(super) struct ConditionLog {
    said: Condition,
    /// Whether it has been fine since the start.
    has_been_fine: bool,
    /// Lines that may still be written at once.
    lines: u32,
    /// When `lines` was counted last.
    counted: Moment,
    /// When the last line was written.
    written: Moment,
}

impl Default for ConditionLog {
    fn default() -> Self {
        Self {
            said: Condition::NotYet,
            has_been_fine: false,
            lines: LINES_AT_ONCE,
            counted: Moment::default(),
            written: Moment::default(),
        }
    }
}

impl ConditionLog {
    /// Logs the condition if it is not what the log says. If it changes again and again, a line comes now and then, and
    /// says how things stand then.
    pub(super) fn say(&mut self, now: Moment, condition: &Condition) {
        if self.is_due(now, condition) || self.is_to_be_repeated(now, condition) {
            self.written = now;
            log(&self.said, condition, self.has_been_fine);
            self.has_been_fine |= condition.is_fine();
            self.said = condition.clone();
        }
    }

    /// Whether the host waits for its interface since the start, and the log has not said so for a minute: whoever looks at
    /// the end of the log of a service that is active must see it.
    fn is_to_be_repeated(&self, now: Moment, condition: &Condition) -> bool {
        !self.has_been_fine
            && !matches!(condition, Condition::NotYet | Condition::Fine { .. })
            && now.since(self.written) >= LINE_GAP
    }

    fn is_due(&mut self, now: Moment, condition: &Condition) -> bool {
        if self.said.reads_like(condition) {
            return false;
        }
        let earned = now.since(self.counted).as_secs() / LINE_GAP.as_secs();
        if earned > 0 {
            self.lines =
                LINES_AT_ONCE.min(self.lines.saturating_add(u32::try_from(earned).unwrap_or(u32::MAX)));
            self.counted = now;
        }
        let is_due = self.lines > 0;
        self.lines = self.lines.saturating_sub(1);
        is_due
    }
}

fn log(before: &Condition, condition: &Condition, has_been_fine: bool) {
    let shown = |name: &String| printable(name);
    match condition {
        Condition::NotYet => {}
        Condition::Fine { on, .. } => match before {
            // The line `listening` says so.
            _ if !has_been_fine => {}
            Condition::Fine { on: other, .. } if other.index == on.index && other.name != on.name => {
                tracing::info!(interface = %on, "interface {} has another name: stays on it", shown(&other.name));
            }
            Condition::Fine { .. } => {
                tracing::info!(interface = %on, "the interface has changed: the group is joined again");
            }
            _ => tracing::info!(interface = %on, "hears the group again"),
        },
        Condition::Missing { why, .. } => tracing::warn!("hears nothing, and waits: {why}"),
        Condition::Down(name) => {
            let name = shown(name);
            tracing::warn!(
                "hears nothing, and waits: interface {name} is switched off (ip link set {name} up)"
            );
        }
        Condition::NoCarrier(name) => tracing::warn!(
            "hears nothing, and waits: interface {} has no carrier: look at its cable, its switch or its other end",
            shown(name)
        ),
        Condition::Port { interface, of } => {
            tracing::warn!("hears nothing, and waits: interface {} is {of}", shown(interface));
        }
        Condition::NotJoined(name, why) => {
            tracing::warn!("hears nothing, and tries again: on interface {} it {why}", shown(name));
        }
    }
}

/// Lines at once: those of a few losses, each with its end.
const LINES_AT_ONCE: u32 = 8;

/// Time between two lines after those.
const LINE_GAP: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_waited_for_since_the_start_is_a_line_a_minute() {
        let mut log = ConditionLog::default();
        log.say(Moment::from_micros(1_000_000), &missing());
        let repeated = |log: &ConditionLog, second: u64| {
            log.is_to_be_repeated(Moment::from_micros(second * 1_000_000), &missing())
        };
        assert!(!repeated(&log, 60) && repeated(&log, 61));
        log.has_been_fine = true;
        assert!(!repeated(&log, 1_000), "a loss later on is said once");
    }

    #[test]
    fn one_loss_and_its_end_are_a_line_each() {
        let mut log = ConditionLog::default();
        for (second, condition, is_said) in
            [(100, down(), true), (101, down(), false), (102, missing(), true), (103, down(), true)]
        {
            assert_eq!(said(&mut log, second, &condition), is_said, "{second} s");
        }
    }

    #[test]
    fn a_link_that_comes_and_goes_is_a_line_a_minute_in_the_end() {
        let mut log = ConditionLog::default();
        let lines = (0..3600).filter(|&second| {
            let condition = if second % 2 == 0 { down() } else { missing() };
            said(&mut log, second, &condition)
        });
        assert!((60..80).contains(&lines.count()));
    }

    fn said(log: &mut ConditionLog, second: u64, condition: &Condition) -> bool {
        let due = log.is_due(Moment::from_micros(second * 1_000_000), condition);
        if due {
            log.said = condition.clone();
        }
        due
    }

    #[test]
    fn other_interfaces_that_come_and_go_make_no_line() {
        let mut log = ConditionLog::default();
        assert!(said(&mut log, 100, &unknown("lo")));
        assert!(!said(&mut log, 101, &unknown("lo, tap1")));
        let route = InterfaceError::NoRoute { to: ([239, 0, 0, 1], 7).into() };
        assert!(said(&mut log, 102, &Condition::missing(&route)));
    }

    fn unknown(known: &str) -> Condition {
        Condition::missing(&InterfaceError::Unknown { name: "eth1".to_owned(), known: known.to_owned() })
    }

    fn down() -> Condition {
        Condition::Down("eth1".to_owned())
    }

    fn missing() -> Condition {
        unknown("lo")
    }
}
