//! Answers that this host cannot send, though its interface is there: no route, a firewall, no neighbour. They are as
//! lost as on the way. If it lasts, the log says so once for each address that is answered to, which is another one for
//! each push, and again when it is over.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use glancecast_proto::time::Moment;
use glancecast_proto::told::Told;

/// What is known of answers that could not be sent.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    /// Since when none could be sent, and whether the log says so.
    since: Option<(Moment, Logged)>,
    /// The addresses of which the log said so.
    said: Told<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Logged {
    Yes,
    No,
}

impl Unsent {
    /// Notes an attempt.
    pub(super) fn note(&mut self, now: Moment, to: SocketAddr, sent: io::Result<()>) {
        match sent {
            Ok(()) if self.since.take().is_some_and(|(_, logged)| logged == Logged::Yes) => {
                tracing::info!(%to, "answers are sent again");
            }
            Ok(()) => {}
            Err(error) => {
                tracing::debug!(%to, %error, "an answer could not be sent");
                if self.is_news(now, to) {
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
    fn is_news(&mut self, now: Moment, to: SocketAddr) -> bool {
        let (since, logged) = self.since.get_or_insert((now, Logged::No));
        let is_news = now.since(*since) >= LASTING && self.said.is_news(now, to);
        if is_news {
            *logged = Logged::Yes;
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
        unsent.note(at(10), push(1), Ok(()));
        let again = (20..30).filter(|&second| unsent.is_news(at(second), push(1)));
        assert_eq!(again.count(), 0, "it comes and goes");
        assert_eq!(
            (30..40).filter(|&second| unsent.is_news(at(second), push(2))).count(),
            1,
            "the next push"
        );
    }

    #[test]
    fn what_does_not_last_is_no_news() {
        let mut unsent = Unsent::default();
        for second in 0..20 {
            assert!(!unsent.is_news(at(second), push(1)), "{second}");
            unsent.note(at(second), push(1), Ok(()));
        }
    }

    fn push(port: u16) -> SocketAddr {
        ([10, 0, 0, 1], port).into()
    }

    fn at(second: u64) -> Moment {
        Moment::from_micros(second * 1_000_000)
    }
}
