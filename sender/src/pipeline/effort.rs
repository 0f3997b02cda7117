//! What can be asked of compression: by the operator, and of zstd.

use zstd::zstd_safe::CParameter;

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As hard as the cores can without holding up the line.
    Auto,
    /// Not at all.
    Off,
    /// At this level of zstd.
    Level(i32),
}

/// The levels of zstd that can be asked for.
pub const LEVELS: std::ops::RangeInclusive<i32> = 1..=19;

/// What can be asked of zstd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// One of its levels.
    Level(i32),
    /// Level 1, as it should be for blocks that stand alone: those of 1 MiB are 1 % larger by level 1 than a whole
    /// file is. Twice the hash table, all of the block as the window and matches from 6 bytes on make them 3 % smaller
    /// again, and take a tenth longer.
    Fast,
}

impl Effort {
    /// A compressor that is set to it.
    pub(super) fn compressor(self) -> std::io::Result<zstd::bulk::Compressor<'static>> {
        let mut compressor = zstd::bulk::Compressor::new(1)?;
        self.set(&mut compressor)?;
        Ok(compressor)
    }

    /// Sets a compressor to it.
    pub(super) fn set(self, compressor: &mut zstd::bulk::Compressor<'_>) -> std::io::Result<()> {
        // Of the level's own, where it is none.
        let (level, window_log, hash_log, min_match) = match self {
            Self::Level(level) => (level, 0, 0, 0),
            Self::Fast => (1, 20, 15, 6),
        };
        compressor.set_compression_level(level)?;
        compressor.set_parameter(CParameter::WindowLog(window_log))?;
        compressor.set_parameter(CParameter::HashLog(hash_log))?;
        compressor.set_parameter(CParameter::MinMatch(min_match))
    }
}
