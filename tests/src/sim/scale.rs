//! Pushes to up to ten thousand receivers at a fixed rate: paths (see `paths`) of 1 Gbit/s whose chunks are whole jobs, so
//! that jobs are not interleaved here.

use std::fmt;
use std::thread;
use std::time::Duration;

use glancecast_proto::sender::Verdict;

use super::paths::{self, Choice, Chosen, Chunks, Outcome, Path};

/// One cell of the table.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The number of receivers.
    pub hosts: u32,
    /// The share of datagrams that each receiver loses, independently, in both directions.
    pub loss: f64,
    /// The length of the object.
    pub object_bytes: u64,
}

/// The measurements of one push.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The verdict of the push.
    pub verdict: Verdict,
    /// Bytes of datagrams sent, relative to the object's bytes in datagrams.
    pub sent: f64,
    /// The time to the verdict, relative to the time that the object takes on the line.
    pub time: f64,
    /// How much longer than 1.05 of that time the push took.
    pub late: Duration,
    /// Datagrams from hosts in the busiest second.
    pub feedback_peak: u32,
    /// Bits from hosts, as a share of the bits to them.
    pub feedback_share: f64,
}

impl Figures {
    /// The heading of the table, whose rows are [`Figures`].
    pub const HEAD: &'static str =
        "receivers   loss    sent    time   feedback/s, most   of the data   verdict";

    fn of(scale: Scale, outcome: &Outcome) -> Self {
        assert_eq!(outcome.refused, 0, "all hosts are honest");
        Self {
            verdict: outcome.verdict.clone(),
            sent: outcome.sent,
            time: outcome.time,
            late: outcome.lasted.saturating_sub(scale.path(Choice::default()).least_time().mul_f64(1.05)),
            feedback_peak: outcome.feedback_peak,
            feedback_share: outcome.feedback_share,
        }
    }

    /// Formats a row of the table.
    pub fn row(&self, scale: Scale) -> String {
        format!(
            "{:>9} {:>4.1} % {:>7.4} {:>7.4} {:>18} {:>12.4} %   {:?}",
            scale.hosts,
            scale.loss * 100.0,
            self.sent,
            self.time,
            self.feedback_peak,
            self.feedback_share * 100.0,
            self.verdict
        )
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} x the bytes, {:.4} x the line's time", self.sent, self.time)
    }
}

impl Scale {
    fn path(self, choice: Choice) -> Path {
        Path {
            hosts: self.hosts,
            choice,
            object_bytes: self.object_bytes,
            // 4 MiB: fewer blocks need fewer draws and less memory for ten thousand hosts.
            block_log2: 22,
            line: 1_000_000_000,
            auto: false,
            chunks: Chunks::Jobs,
            round_trip: Duration::from_millis(1),
            loss: self.loss,
            feedback_loss: self.loss,
            seed: u64::from(self.hosts) << 20 | (self.loss * 1e4) as u64,
            ..Path::default()
        }
    }
}

/// Simulates one push for all hosts.
pub fn push(scale: Scale) -> Figures {
    Figures::of(scale, &paths::push(scale.path(Choice::default()), false))
}

/// Simulates one push for some of the hosts.
pub fn push_to(scale: Scale, choice: Choice) -> Chosen {
    paths::push(scale.path(choice), false).chosen
}

/// Returns the table for all losses and up to `most` receivers, as `tests/sim/scale.txt` keeps it.
pub fn table(most: u32) -> String {
    let rows = thread::scope(|scope| {
        let cells: Vec<Scale> = CELLS.into_iter().flat_map(row).filter(|cell| cell.hosts <= most).collect();
        let (large, small): (Vec<Scale>, Vec<Scale>) = cells.iter().partition(|cell| cell.hosts > 1_000);
        // The large cells need gigabytes, so they run one after the other, in parallel to the small ones.
        let work = |cells: Vec<Scale>| cells.into_iter().map(|cell| push(cell).row(cell)).collect::<Vec<_>>();
        let large = scope.spawn(move || work(large));
        let mut rows = work(small);
        rows.extend(large.join().expect("it does not panic"));
        rows
    });
    format!("{PREFACE}\n{}\n{}\n", Figures::HEAD, rows.join("\n"))
}

fn row(hosts: u32) -> impl Iterator<Item = Scale> {
    LOSSES.into_iter().map(move |loss| Scale { hosts, loss, object_bytes: OBJECT_BYTES })
}

const CELLS: [u32; 5] = [1, 10, 100, 1_000, 10_000];
const LOSSES: [f64; 4] = [0.0, 0.001, 0.01, 0.05];
/// More than two minutes on the line. Polling ten thousand hosts takes 2.5 s whatever the object's length, and so do
/// their final reports. In a much shorter push these would dominate.
pub const OBJECT_BYTES: u64 = 16 << 30;

const PREFACE: &str = "\
Pushes of 16 GiB in blocks of 4 MiB on a line of 1 Gbit/s with round-trips of 1 ms, simulated with the real machines:
`make sim-scale` makes this again and shows what has changed. Each receiver loses that share of the datagrams on its own,
and of what it sends, too. `sent` and `time` are shares of the object alone, without any loss, at the line's rate;
`feedback` is all that receivers send: in the busiest second, and of the bits that are sent to them.
";
