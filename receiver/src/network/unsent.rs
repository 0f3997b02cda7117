//! Answers that this host cannot send, though its interface is there: no route, a firewall, no neighbour. They are as
//! lost as on the way. If it lasts, the log says so once, and again when it is over.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use glancecast_proto::time::Moment;

/// What is known of answers that could not be sent.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    /// Since when none could be sent, and whether the log says so.
    since: Option<(Moment, Logged)>,
    /// When the log said so last.
    said: Option<Moment>,
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
                if self.is_news(now) {
                    tracing::warn!(
                        %to, "no answer can be sent: {error}: look at this host's routes to that address, and at its firewall"
                    );
                }
            }
        }
    }

    /// Notes a failure; returns whether the log should say so.
    fn is_news(&mut self, now: Moment) -> bool {
        let (since, logged) = self.since.get_or_insert((now, Logged::No));
        let is_news = *logged == Logged::No
            && now.since(*since) >= LASTING
            && self.said.is_none_or(|said| now.since(said) >= QUIET);
        if is_news {
            (*logged, self.said) = (Logged::Yes, Some(now));
        }
        is_news
    }
}

/// Failures for less than this are not worth a line.
const LASTING: Duration = Duration::from_secs(1);

/// Time between two lines: of two senders, one may be out of reach.
const QUIET: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_news_once_and_what_comes_and_goes_once_a_minute() {
        let mut unsent = Unsent::default();
        let news = (0..10).filter(|&second| unsent.is_news(at(second)));
        assert_eq!(news.count(), 1);
        let mut news = 0;
        for second in 10..130 {
            if second % 3 == 0 {
                unsent.note(at(second), ([10, 0, 0, 1], 7).into(), Ok(()));
            } else {
                news += usize::from(unsent.is_news(at(second)));
            }
        }
        assert_eq!(news, 2, "in two minutes");
    }

    fn at(second: u64) -> Moment {
        Moment::from_micros(second * 1_000_000)
    }
}
