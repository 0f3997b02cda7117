//! The settings of compression: those of the operator, and those of zstd.

use zstd::zstd_safe::CParameter;

/// The compression that the operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As hard as the cores can without slowing the line down.
    Auto,
    /// None.
    Off,
    /// This level of zstd.
    Level(i32),
}

/// The zstd levels that can be chosen.
pub const LEVELS: std::ops::RangeInclusive<i32> = 1..=19;

/// A setting of zstd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// A level of zstd.
    Level(i32),
    /// Level 1, tuned for blocks that stand alone: with plain level 1, blocks of 1 MiB are 1 % larger than one frame of
    /// the whole file. Twice the hash table, the whole block as window and matches from 6 bytes on make them 3 %
    /// smaller than that, and take a tenth longer.
    Fast,
}

impl Effort {
    /// Returns a compressor with this setting.
    pub(super) fn compressor(self) -> std::io::Result<zstd::bulk::Compressor<'static>> {
        let mut compressor = zstd::bulk::Compressor::new(1)?;
        self.set(&mut compressor)?;
        Ok(compressor)
    }

    /// Sets a compressor to it.
    pub(super) fn set(self, compressor: &mut zstd::bulk::Compressor<'_>) -> std::io::Result<()> {
        // 0 selects the level's own value.
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
