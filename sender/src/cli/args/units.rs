//! Parsers for option values with a unit or a form of their own.

use std::time::Duration;

use glancecast_inspect::Waiver;
use glancecast_platform::units::{UnitError, parse_duration};
use glancecast_proto::limits::{MTU_MAX, MTU_MIN};
use glancecast_proto::wire::{Pin, PinTime};

use crate::pipeline::compress::{Compression, LEVELS};
use crate::request::{PIN_MIN, STALL_TIMEOUT_MIN, Ways};

/// Why a value is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OptionError {
    #[error("{0}; or write forever")]
    Pin(UnitError),
    #[error("a pin lasts a second at least")]
    PinTooShort,
    #[error("write auto, off, or a level of zstd from {} to {}", LEVELS.start(), LEVELS.end())]
    Compression,
    #[error("write auto, multicast or unicast")]
    Ways,
    #[error("an MTU is between {MTU_MIN} and {MTU_MAX} bytes")]
    Mtu,
    #[error("a size is a number of bytes, or one with K, M, G or T behind it")]
    Size,
    #[error("the rules that can be allowed are partition-table and not-a-disk")]
    Waiver,
    #[error("an overhead is between 0% and 100%")]
    Overhead,
    #[error(transparent)]
    StallTimeout(#[from] UnitError),
    #[error("a stall timeout is a second at least")]
    StallTimeoutTooShort,
}

/// Parses a duration, or `forever`.
pub(super) fn pin_time(text: &str) -> Result<PinTime, OptionError> {
    match text {
        "forever" => Ok(PinTime::Forever),
        _ => match parse_duration(text).map_err(OptionError::Pin)? {
            time if time >= PIN_MIN => Ok(PinTime::For(time)),
            _ => Err(OptionError::PinTooShort),
        },
    }
}

/// Parses the pin of an image that is pushed.
pub(super) fn pin(text: &str) -> Result<Pin, OptionError> {
    pin_time(text).map(Pin::from)
}

/// Parses the ways by which hosts are reached.
pub(super) fn ways(text: &str) -> Result<Ways, OptionError> {
    match text {
        "auto" => Ok(Ways::Auto),
        "multicast" => Ok(Ways::Multicast),
        "unicast" => Ok(Ways::Unicast),
        _ => Err(OptionError::Ways),
    }
}

/// Parses the name of a rule that need not hold.
pub(super) fn waiver(text: &str) -> Result<Waiver, OptionError> {
    Waiver::ALL.into_iter().find(|waiver| waiver.name() == text).ok_or(OptionError::Waiver)
}

/// Parses `auto`, `off`, or a level of zstd.
pub(super) fn compression(text: &str) -> Result<Compression, OptionError> {
    match (text, text.parse()) {
        ("auto", _) => Ok(Compression::Auto),
        ("off", _) => Ok(Compression::Off),
        (_, Ok(level)) if LEVELS.contains(&level) => Ok(Compression::Level(level)),
        _ => Err(OptionError::Compression),
    }
}

/// Parses a number of bytes, with a unit in powers of 1024 as in qemu-img.
pub(super) fn size(text: &str) -> Result<u64, OptionError> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" => 0,
        "K" | "k" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(OptionError::Size),
    };
    let size = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    size.ok_or(OptionError::Size)
}

/// Parses the length of an IP packet in bytes.
pub(super) fn mtu(text: &str) -> Result<u16, OptionError> {
    let mtu = text.parse().ok().filter(|mtu| (MTU_MIN..=MTU_MAX).contains(mtu));
    mtu.ok_or(OptionError::Mtu)
}

/// Parses a percentage, and returns it as a fraction.
pub(super) fn overhead(text: &str) -> Result<f64, OptionError> {
    match text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err(OptionError::Overhead),
    }
}

/// Parses a duration of at least one second.
pub(super) fn stall_timeout(text: &str) -> Result<Duration, OptionError> {
    match parse_duration(text)? {
        time if time >= STALL_TIMEOUT_MIN => Ok(time),
        _ => Err(OptionError::StallTimeoutTooShort),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_as_qemu_img_has_them() {
        let sizes = ["512", "1K", "20M", "100G", "2T"].map(|text| size(text).ok());
        assert_eq!(sizes, [512, 1 << 10, 20 << 20, 100 << 30, 2 << 40].map(Some));
        assert!(["", "T", "-1", "1.5G", "1GB"].iter().all(|text| size(text).is_err()));
    }
}
