//! What a path loses by itself: the loss of most of the time lately, which no lower rate has cured.

use std::collections::VecDeque;
use std::time::Duration;

use super::RoundLoss;

/// The losses of the last [`SPANS`] spans of time, the newest last.
#[derive(Default)]
pub(super) struct History {
    spans: VecDeque<Span>,
}

/// One or more rounds in a row.
#[derive(Clone, Copy, Default)]
struct Span {
    lasted: Duration,
    datagrams: u64,
    lost: f64,
}

impl History {
    /// Remembers what a round has lost. Rounds are put together into spans of at least `span`.
    pub(super) fn note(&mut self, loss: RoundLoss, span: Duration) {
        if self.spans.back().is_none_or(|last| last.lasted >= span) {
            if self.spans.len() == SPANS {
                self.spans.pop_front();
            }
            self.spans.push_back(Span::default());
        }
        let last = self.spans.back_mut().expect("just made");
        last.lasted += loss.took;
        last.datagrams += loss.datagrams;
        last.lost += loss.share * loss.datagrams as f64;
    }

    /// The path's own loss: that of all spans but the worst, once there are enough of them.
    pub(super) fn path_loss(&self) -> f64 {
        if self.spans.len() < SPANS {
            return 0.0;
        }
        let mut spans: Vec<Span> = self.spans.iter().copied().collect();
        spans.sort_by(|a, b| a.share().total_cmp(&b.share()));
        let best = &spans[..SPANS - WORST_SPANS];
        let (lost, all) =
            best.iter().fold((0.0, 0), |(lost, all), span| (lost + span.lost, all + span.datagrams));
        (lost / all.max(1) as f64).min(PATH_LOSS_MAX)
    }
}

impl Span {
    fn share(&self) -> f64 {
        self.lost / self.datagrams.max(1) as f64
    }
}

/// Spans from which the path's own loss is computed: decreases of the rate and their effect fit into them.
const SPANS: usize = 8;
/// The worst of these spans are left out, so that moments in which a queue overflows do not count.
const WORST_SPANS: usize = 3;
/// The most loss that is taken for the path's own.
const PATH_LOSS_MAX: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_moments_are_not_the_paths_own_loss() {
        let mut history = History::default();
        let lost = [0.01, 0.3, 0.01, 0.01, 0.2, 0.01, 0.01];
        lost.iter().for_each(|&share| history.note(round(share, 50), SPAN));
        assert_eq!(history.path_loss(), 0.0, "too few to say");
        history.note(round(0.1, 50), SPAN);
        assert!((history.path_loss() - 0.01).abs() < 1e-9);
    }

    #[test]
    fn short_rounds_count_by_their_time() {
        let mut history = History::default();
        (0..8).for_each(|_| history.note(round(0.01, 50), SPAN));
        // An overflow of 100 ms, in ten rounds.
        (0..10).for_each(|_| history.note(round(0.4, 10), SPAN));
        assert!((history.path_loss() - 0.01).abs() < 1e-9);
    }

    fn round(share: f64, ms: u64) -> RoundLoss {
        let took = Duration::from_millis(ms);
        RoundLoss { share, datagrams: 1_000, since: 0, took, delay: None }
    }

    const SPAN: Duration = Duration::from_millis(50);
}
