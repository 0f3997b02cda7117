//! Answers that this host cannot send, though its interface is there: no route, a firewall, no neighbour. They are as
//! lost as on the way. If it lasts, the log says so once for each push, and once for each address from which something
//! else comes; and again when it is over.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use glancecast_proto::time::Moment;
use glancecast_proto::told::Told;

/// What an answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// The push that takes its answers at this address.
    Push(SocketAddr),
    /// A query or a lease that no push of this host explains, from this address.
    Other(IpAddr),
}

/// What is known of answers that could not be sent.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    /// Since when none could be sent, and whether the log says so.
    since: Option<(Moment, Logged)>,
    /// The pushes of which the log said so, by the address of their answers.
    pushes: Told<SocketAddr>,
    /// The addresses of which the log said so, those of the pushes among them: queries about a push say nothing new.
    addresses: Told<IpAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Logged {
    Yes,
    No,
}

impl Unsent {
    /// Notes an attempt.
    pub(super) fn note(&mut self, now: Moment, to: SocketAddr, about: About, sent: io::Result<()>) {
        match sent {
            Ok(()) if self.since.take().is_some_and(|(_, logged)| logged == Logged::Yes) => {
                tracing::info!(%to, "answers are sent again");
            }
            Ok(()) => {}
            Err(error) => {
                tracing::debug!(%to, %error, "an answer could not be sent");
                if self.is_news(now, about) {
                    tracing::warn!(
                        %to,
                        "no answer can be sent to the sender: {error}. Is there a route (ip route get {}), \
                         and does this host's firewall let answers out?", to.ip()
                    );
                }
            }
        }
    }

    /// Notes a failure; returns whether the log should say so.
    fn is_news(&mut self, now: Moment, about: About) -> bool {
        let (since, logged) = self.since.get_or_insert((now, Logged::No));
        if now.since(*since) < LASTING {
            return false;
        }
        let is_news = match about {
            About::Push(answers) => self.pushes.is_news(now, answers),
            About::Other(address) => self.addresses.is_news(now, address),
        };
        if is_news {
            *logged = Logged::Yes;
            if let About::Push(answers) = about {
                self.addresses.note(now, answers.ip());
            }
        }
        is_news
    }
}

/// Failures for less than this are not worth a line.
const LASTING: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_news_once_for_each_push() {
        let mut unsent = Unsent::default();
        let news = (0..10).filter(|&second| unsent.is_news(at(second), push(1)));
        assert_eq!(news.count(), 1);
        unsent.note(at(10), to(1), push(1), Ok(()));
        let again = (20..30).filter(|&second| unsent.is_news(at(second), push(1)));
        assert_eq!(again.count(), 0, "it comes and goes");
        assert_eq!(
            (30..40).filter(|&second| unsent.is_news(at(second), push(2))).count(),
            1,
            "the next push"
        );
    }

    #[test]
    fn queries_from_the_address_of_a_push_are_no_news_and_those_from_elsewhere_are_once() {
        let mut unsent = Unsent::default();
        assert!((0..5).any(|second| unsent.is_news(at(second), push(1))));
        let query = |number: u8| About::Other([10, 0, 0, number].into());
        assert!(!(5..20).any(|second| unsent.is_news(at(second), query(1))));
        assert_eq!((20..40).filter(|&second| unsent.is_news(at(second), query(2))).count(), 1);
        assert!(
            (40..50).any(|second| unsent.is_news(at(second), push(2))),
            "the next push is news nevertheless"
        );
    }

    #[test]
    fn what_does_not_last_is_no_news() {
        let mut unsent = Unsent::default();
        for second in 0..20 {
            assert!(!unsent.is_news(at(second), push(1)), "{second}");
            unsent.note(at(second), to(1), push(1), Ok(()));
        }
    }

    fn push(port: u16) -> About {
        About::Push(to(port))
    }

    fn to(port: u16) -> SocketAddr {
        ([10, 0, 0, 1], port).into()
    }

    fn at(second: u64) -> Moment {
        Moment::from_micros(second * 1_000_000)
    }
}
