//! How this host is connected at the moment, and the lines in the log that say so: one at each change, fewer while it
//! changes again and again.

use std::time::Duration;

use glancecast_platform::interface::Interface;
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
    /// There is no such interface, it has no address, or there is no route; with the reason.
    Missing(String),
    /// The interface is switched off.
    Down(String),
    /// The interface has no carrier.
    NoCarrier(String),
    /// Another link gets what arrives at the interface.
    Port {
        /// The interface.
        interface: String,
        /// The other link.
        of: String,
    },
    /// The interface does not take the sockets; with its name and the reason.
    NotJoined(String, String),
}

impl Condition {
    /// Whether the group can be heard, as far as this host knows.
    pub(super) fn is_fine(&self) -> bool {
        matches!(self, Self::Fine { .. })
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
                    && (on.index, on.addr, on.mtu, &on.name) == (other.index, other.addr, other.mtu, &other.name)
            }
            (one, other) => one == other,
        }
    }
}

/// What the log says of the condition.
#[derive(Debug)]
pub(super) struct ConditionLog {
    said: Condition,
    at: Option<Moment>,
    /// How long the last line stands before another one.
    quiet: Duration,
}

impl Default for ConditionLog {
    fn default() -> Self {
        Self { said: Condition::NotYet, at: None, quiet: QUIET_MIN }
    }
}

impl ConditionLog {
    /// Logs the condition if it is not what the log says. If it changes again and again, a line comes at ever longer
    /// intervals, and says how things stand then.
    pub(super) fn say(&mut self, now: Moment, condition: &Condition) {
        if self.is_due(now, condition) {
            log(&self.said, condition);
            self.said = condition.clone();
        }
    }

    fn is_due(&mut self, now: Moment, condition: &Condition) -> bool {
        if self.said.reads_like(condition) {
            return false;
        }
        let since = self.at.map(|at| now.since(at));
        if since.is_some_and(|since| since < self.quiet) {
            return false;
        }
        self.quiet = match since {
            Some(since) if since < QUIET_MAX => (self.quiet * 2).min(QUIET_MAX),
            _ => QUIET_MIN,
        };
        self.at = Some(now);
        true
    }
}

fn log(before: &Condition, condition: &Condition) {
    let shown = |name: &String| printable(name);
    match condition {
        Condition::NotYet => {}
        Condition::Fine { on, .. } => match before {
            // The receive loop says that it listens.
            Condition::NotYet => {}
            Condition::Fine { on: other, .. } if other.index == on.index && other.name != on.name => {
                tracing::info!(interface = %on, "interface {} has another name: stays on it", shown(&other.name));
            }
            Condition::Fine { .. } => {
                tracing::info!(interface = %on, "the interface has changed: the group is joined again");
            }
            _ => tracing::info!(interface = %on, "hears the group again"),
        },
        Condition::Missing(why) => tracing::warn!("hears nothing, and waits: {why}"),
        Condition::Down(name) => {
            let name = shown(name);
            tracing::warn!("hears nothing, and waits: interface {name} is switched off (ip link set {name} up)");
        }
        Condition::NoCarrier(name) => tracing::warn!(
            "hears nothing, and waits: interface {} has no carrier: look at its cable, its switch or its other end",
            shown(name)
        ),
        Condition::Port { interface, of } => tracing::warn!(
            "hears nothing, and waits: interface {} is a port of {of}, which gets all that arrives: give {of} as the interface",
            shown(interface), of = shown(of)
        ),
        Condition::NotJoined(name, why) => {
            tracing::warn!("hears nothing, and tries again: on interface {} it {why}", shown(name));
        }
    }
}

/// A line stands for at least this time, so that a change that is over at once makes one line.
const QUIET_MIN: Duration = Duration::from_secs(2);

/// The longest time between a change and its line, while there are many.
const QUIET_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_loss_and_its_end_are_a_line_each() {
        let mut log = ConditionLog::default();
        assert!(said(&mut log, 100, &down()));
        assert!(!said(&mut log, 101, &down()));
        assert!(said(&mut log, 130, &missing()), "something else is wrong");
        assert!(!said(&mut log, 131, &down()), "the last line is new");
        assert!(said(&mut log, 134, &down()));
    }

    #[test]
    fn a_link_that_comes_and_goes_is_a_line_a_minute_in_the_end() {
        let mut log = ConditionLog::default();
        let lines = (0..3600).filter(|&second| {
            let condition = if second % 2 == 0 { down() } else { missing() };
            said(&mut log, second, &condition)
        });
        assert!((60..75).contains(&lines.count()));
        assert!(said(&mut log, 4000, &missing()) || said(&mut log, 4000, &down()), "and at once after an hour");
    }

    fn said(log: &mut ConditionLog, second: u64, condition: &Condition) -> bool {
        let due = log.is_due(Moment::from_micros(second * 1_000_000), condition);
        if due {
            log.said = condition.clone();
        }
        due
    }

    fn down() -> Condition {
        Condition::Down("eth1".to_owned())
    }

    fn missing() -> Condition {
        Condition::Missing("gone".to_owned())
    }
}
