//! RFC 6330 (RaptorQ) for one source block at a time: any number of repair symbols out of K source symbols,
//! and the K source symbols back out of any K + h encoding symbols.
//!
//! For a stream of blocks, keep a [`Codec`] in each thread: it keeps the plan of the block size and its memory.
//! [`Encoder`] and [`decode()`] are the same for a single block. Symbols are those of RFC 6330, bit for bit, so that
//! any other implementation can be at the other end. `DESIGN.md` in this crate explains how it works and what it costs.
//!
//! The crate has no notion of packets or sessions. A block is one contiguous buffer of `K * T` bytes; symbol `i` is
//! `buffer[i * T..][..T]`. The caller's bytes are never kept, and a buffer that cannot be decoded is left unchanged.
//!
//! ```
//! use glancecast_fec::{BlockShape, Encoder, Esi, RepairSymbol, SymbolSet, decode};
//!
//! let shape = BlockShape::new(10, 64)?; // K = 10 symbols of T = 64 bytes
//! let source: Vec<u8> = (0..shape.source_bytes()).map(|i| i as u8).collect();
//!
//! let first = Esi::first_repair(shape);
//! let mut repair = vec![0; 2 * 64];
//! Encoder::new(shape, &source).repair(first, &mut repair);
//!
//! let mut received = source.clone();
//! received[3 * 64..4 * 64].fill(0); // symbol 3 never came
//! let mut held = SymbolSet::full(shape.source_symbols());
//! held.remove(3);
//! let repair = [
//!     RepairSymbol { esi: first, bytes: &repair[..64] },
//!     RepairSymbol { esi: first.plus(1).unwrap(), bytes: &repair[64..] },
//! ];
//! decode(shape, &mut received, &held, &repair)?;
//! assert_eq!(received, source);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cache;
mod choice;
mod codec;
mod decode;
mod fours;
mod inactive;
mod kernel;
mod matrix;
mod memory;
mod octet;
mod peel;
mod plan;
mod program;
mod rand;
mod set;
mod shape;
mod sums;
mod tables;
mod tuple;

pub use codec::{Codec, Encoder};
pub use decode::{DecodeError, RepairSymbol, decode};
pub use set::SymbolSet;
pub use shape::{BlockShape, Esi, K_MAX, SYMBOL_SIZE_MAX, ShapeError};
