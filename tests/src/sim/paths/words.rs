//! Paths in words, as in `hosts=10 rtt=50 line=1000 loss=0.01`: rates in Mbit/s, times in ms, sizes in MiB.

use std::time::Duration;

use super::{Chunks, Path};

impl Path {
    /// Reads a path from words; what none of them says is as in [`Path::default`].
    ///
    /// # Errors
    /// The first word that says nothing.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        let mut path = Self::default();
        for word in words {
            path.set(word).ok_or(word)?;
        }
        Ok(path)
    }

    fn set(&mut self, word: &str) -> Option<()> {
        let (key, value) = word.split_once('=')?;
        let value: f64 = value.parse().ok()?;
        let ms = || Duration::from_secs_f64(value / 1e3);
        let rate = (value * 1e6) as u64;
        match key {
            "hosts" => self.hosts = value as u32,
            "mib" => self.object_bytes = (value as u64) << 20,
            "line" => self.line = rate,
            "auto" => self.auto = value > 0.0,
            "jobs" => self.chunks = if value > 0.0 { Chunks::Jobs } else { Chunks::Short },
            "rtt" => self.round_trip = ms(),
            "jitter" => self.jitter = ms(),
            "upjitter" => self.up_jitter = ms(),
            "loss" => (self.loss, self.feedback_loss) = (value, value),
            "fbloss" => self.feedback_loss = value,
            "rack" => self.rack = value as u32,
            "burst" => self.burst = value as u32,
            "neck" => self.bottleneck = Some((rate, self.bottleneck.map_or(QUEUE, |(_, queue)| queue))),
            "queue" => self.bottleneck = Some((self.bottleneck.map_or(self.line, |(rate, _)| rate), ms())),
            "store" => self.store = Some(rate),
            "slow" => self.slow = Some((value as u32, self.slow.map_or(self.line / 10, |(_, rate)| rate))),
            "slowstore" => self.slow = Some((self.slow.map_or(1, |(count, _)| count), rate)),
            "late" => self.late = Some((value, self.late.map_or(0.5, |(_, at)| at))),
            "late_at" => self.late = Some((self.late.map_or(0.25, |(share, _)| share), value)),
            "seed" => self.seed = value as u64,
            _ => return None,
        }
        Some(())
    }

    /// The keys, for a usage text.
    pub const WORDS: &'static str = "hosts mib line auto jobs rtt jitter upjitter loss fbloss rack burst neck queue store \
        slow slowstore late late_at seed";
}

/// The queue of a bottleneck.
const QUEUE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_its_words_say() {
        let path = Path::parse("hosts=10 loss=0.01 fbloss=0.5 neck=400 queue=20".split(' ')).expect("words");
        assert_eq!((path.hosts, path.loss, path.feedback_loss), (10, 0.01, 0.5));
        assert_eq!(path.bottleneck, Some((400_000_000, Duration::from_millis(20))));
        assert_eq!(Path::parse([]), Ok(Path::default()));
        assert_eq!(Path::parse(["hosts=3", "host=3"]), Err("host=3"));
        assert_eq!(Path::parse(["hosts=many"]), Err("hosts=many"));
    }
}
