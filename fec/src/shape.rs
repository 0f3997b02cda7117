//! The shape of a source block (K, T) and the ids of its symbols (ESI).

use std::error::Error;
use std::fmt;

/// Maximum number of source symbols in a source block: K'_max of RFC 6330 §5.6, Table 2.
pub const K_MAX: u32 = 56_403;

/// Maximum length of a symbol in bytes: a datagram with a 9000-byte MTU cannot hold a longer one.
pub const SYMBOL_SIZE_MAX: u16 = 9_000;

/// Number of source symbols K and their size T in bytes, both within what the codec accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockShape {
    source_symbols: u32,
    symbol_size: u16,
}

impl BlockShape {
    /// Creates a shape with K in `1..=K_MAX` symbols of T in `1..=SYMBOL_SIZE_MAX` bytes.
    ///
    /// # Errors
    /// The number that is out of range.
    pub const fn new(source_symbols: u32, symbol_size: u16) -> Result<Self, ShapeError> {
        if source_symbols == 0 || source_symbols > K_MAX {
            return Err(ShapeError::SourceSymbols(source_symbols));
        }
        if symbol_size == 0 || symbol_size > SYMBOL_SIZE_MAX {
            return Err(ShapeError::SymbolSize(symbol_size));
        }
        Ok(Self { source_symbols, symbol_size })
    }

    /// Returns K.
    pub const fn source_symbols(self) -> u32 {
        self.source_symbols
    }

    /// Returns T in bytes.
    pub const fn symbol_size(self) -> usize {
        self.symbol_size as usize
    }

    /// Returns K * T: the length of a block's buffer, including the padding of its last symbol.
    pub const fn source_bytes(self) -> usize {
        self.source_symbols as usize * self.symbol_size as usize
    }
}

/// Why a pair of numbers is not a valid shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShapeError {
    /// K is 0 or above [`K_MAX`].
    SourceSymbols(u32),
    /// T is 0 or above [`SYMBOL_SIZE_MAX`].
    SymbolSize(u16),
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SourceSymbols(k) => write!(f, "{k} source symbols in a block; 1 to {K_MAX} are possible"),
            Self::SymbolSize(t) => write!(f, "a symbol of {t} bytes; 1 to {SYMBOL_SIZE_MAX} are possible"),
        }
    }
}

impl Error for ShapeError {}

/// Encoding symbol id (RFC 6330 §4.4.2): `0..K` are the source symbols, from K on come repair symbols. 24 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Esi(u32);

impl Esi {
    /// Maximum id in the 24-bit field of RFC 6330 §3.2.
    pub const MAX: u32 = (1 << 24) - 1;

    /// Creates an id, or returns `None` above [`Esi::MAX`].
    pub const fn new(value: u32) -> Option<Self> {
        if value <= Self::MAX { Some(Self(value)) } else { None }
    }

    /// Returns the id of a block's first repair symbol: K.
    pub const fn first_repair(shape: BlockShape) -> Self {
        Self(shape.source_symbols())
    }

    /// Returns the id `count` symbols further on, or `None` past the last one.
    pub const fn plus(self, count: u32) -> Option<Self> {
        match self.0.checked_add(count) {
            Some(value) => Self::new(value),
            None => None,
        }
    }

    /// Returns the id as a number.
    pub const fn value(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Esi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_outside_the_rfc_are_refused() {
        assert_eq!(BlockShape::new(0, 100), Err(ShapeError::SourceSymbols(0)));
        assert_eq!(BlockShape::new(K_MAX + 1, 100), Err(ShapeError::SourceSymbols(K_MAX + 1)));
        assert_eq!(BlockShape::new(1, 0), Err(ShapeError::SymbolSize(0)));
        assert_eq!(BlockShape::new(1, 9_001), Err(ShapeError::SymbolSize(9_001)));
        assert!(BlockShape::new(K_MAX, SYMBOL_SIZE_MAX).is_ok());
    }

    #[test]
    fn an_esi_never_leaves_its_24_bits() {
        assert_eq!(Esi::new(Esi::MAX + 1), None);
        assert_eq!(Esi::new(Esi::MAX).and_then(|esi| esi.plus(1)), None);
        assert_eq!(Esi::new(1).and_then(|esi| esi.plus(u32::MAX)), None);
    }
}
