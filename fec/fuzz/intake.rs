//! Symbol intake under mutation: lost symbols; repair symbols repeated, in any order, of wrong lengths, too many, with
//! ids of source symbols, and near and past the end of their range. Decoding is attempted repeatedly.
//!
//! A block is restored or left unchanged, and the verdict is that of another implementation's full solve.

#![no_main]

use std::collections::BTreeSet;

use glancecast_fec::{BlockShape, Codec, DecodeError, Esi, RepairSymbol, SymbolSet};
use libfuzzer_sys::fuzz_target;
use raptorq::{EncodingPacket, ObjectTransmissionInformation, PayloadId, SourceBlockDecoder};

fuzz_target!(|input: &[u8]| {
    let mut bytes = Bytes(input);
    if let Some(intake) = Intake::new(&mut bytes) {
        intake.run(&mut bytes);
    }
});

/// Maximum number of repair symbols in one input: more would be slow.
const REPAIR_MAX: usize = 200;

struct Intake {
    codec: Codec,
    shape: BlockShape,
    source: Vec<u8>,
    received: Vec<u8>,
    held: SymbolSet,
    repair: Vec<(Esi, Vec<u8>)>,
}

impl Intake {
    fn new(bytes: &mut Bytes<'_>) -> Option<Self> {
        let (k, t) = (u32::from(bytes.next()?), u16::from(bytes.next()?));
        let shape = BlockShape::new(k, t).ok()?;
        let source: Vec<u8> = (0..shape.source_bytes()).map(|i| (i * i * 31 + i / 7) as u8).collect();
        let (received, held) = (source.clone(), SymbolSet::full(k));
        Some(Self { codec: Codec::new(), shape, source, received, held, repair: Vec::new() })
    }

    fn run(mut self, bytes: &mut Bytes<'_>) {
        while let Some(operation) = bytes.next() {
            match operation % 8 {
                0 | 1 => self.lose(bytes),
                2 => self.decode(),
                3 => self.arrive(bytes),
                _ => self.repair(operation, bytes),
            }
        }
        self.decode();
    }

    /// Loses a run of symbols.
    fn lose(&mut self, bytes: &mut Bytes<'_>) {
        let (k, t) = (self.shape.source_symbols(), self.shape.symbol_size());
        let (first, count) = (bytes.number() % k, bytes.number() % 16);
        for index in (first..k).take(count as usize) {
            self.held.remove(index);
            self.received[index as usize * t..][..t].fill(0xEE);
        }
    }

    /// Receives a source symbol, for the first time or again.
    fn arrive(&mut self, bytes: &mut Bytes<'_>) {
        let t = self.shape.symbol_size();
        let index = bytes.number() % self.shape.source_symbols();
        let place = index as usize * t..(index as usize + 1) * t;
        self.received[place.clone()].copy_from_slice(&self.source[place]);
        self.held.insert(index);
    }

    /// Receives a repair symbol, valid or not.
    fn repair(&mut self, operation: u8, bytes: &mut Bytes<'_>) {
        let (k, t) = (self.shape.source_symbols(), self.shape.symbol_size());
        let offset = bytes.number();
        let number = match operation / 8 % 4 {
            0 | 1 => k + offset % (2 * k),
            2 => (Esi::MAX - 2 * k).saturating_add(offset),
            _ => offset,
        };
        let Some(esi) = Esi::new(number) else {
            assert!(number > Esi::MAX);
            return;
        };
        if self.repair.len() == REPAIR_MAX {
            return;
        }
        let mut symbol = vec![0x11; t];
        if esi >= Esi::first_repair(self.shape) {
            self.codec.encode(self.shape, &self.source, esi, &mut symbol);
        }
        match operation / 32 {
            0 => symbol.truncate(offset as usize % t),
            1 => symbol.push(0),
            2 => self.repair.push((esi, symbol.clone())),
            _ => {}
        }
        self.repair.push((esi, symbol));
    }

    fn decode(&mut self) {
        let repair: Vec<RepairSymbol<'_>> =
            self.repair.iter().map(|(esi, bytes)| RepairSymbol { esi: *esi, bytes }).collect();
        let before = self.received.clone();
        let verdict = self.codec.decode(self.shape, &mut self.received, &self.held, &repair);
        let k = self.shape.source_symbols();
        let usable: BTreeSet<u32> = self.usable().map(|(esi, _)| esi).collect();
        let have = self.held.count() + usable.len() as u32;
        match verdict {
            Ok(()) => {
                assert!(self.received == self.source, "a wrong block");
                assert!(have >= k);
            }
            Err(error) => {
                assert!(self.received == before, "changed, and not decoded");
                let expected = if have < k {
                    DecodeError::TooFew { have, need: k }
                } else {
                    DecodeError::Singular { have }
                };
                assert_eq!(error, expected);
            }
        }
        if have >= k && !self.held.is_full() {
            assert_eq!(verdict.is_ok(), self.full_solve(), "{have} symbols of {k}");
        }
        if verdict.is_ok() {
            self.held = SymbolSet::full(k);
        }
    }

    /// Returns the valid repair symbols.
    fn usable(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let (first, t) = (Esi::first_repair(self.shape), self.shape.symbol_size());
        let usable = self.repair.iter().filter(move |(esi, bytes)| *esi >= first && bytes.len() == t);
        usable.map(|(esi, bytes)| (esi.value(), bytes.as_slice()))
    }

    /// Whether `raptorq` can solve for the block from the received symbols.
    fn full_solve(&self) -> bool {
        let (t, bytes) = (self.shape.symbol_size(), self.shape.source_bytes() as u64);
        let transmission = ObjectTransmissionInformation::new(bytes, t as u16, 1, 1, 1);
        let sources = self.source.chunks_exact(t).zip(0..).filter(|&(_, index)| self.held.contains(index));
        let mut seen = BTreeSet::new();
        let packets = sources
            .map(|(symbol, index)| (index, symbol))
            .chain(self.usable().filter(|&(esi, _)| seen.insert(esi)))
            .map(|(esi, symbol)| EncodingPacket::new(PayloadId::new(0, esi), symbol.to_vec()));
        let packets: Vec<EncodingPacket> = packets.collect();
        SourceBlockDecoder::new(0, &transmission, bytes).decode(packets).is_some()
    }
}

/// An input that is read from its start.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Returns one byte, or three if the first requests it; zeros after the end.
    fn number(&mut self) -> u32 {
        let first = u32::from(self.next().unwrap_or(0));
        if first < 0xF0 {
            return first;
        }
        (first & 3) << 24 | u32::from(self.next().unwrap_or(0)) << 16 | u32::from(self.next().unwrap_or(0)) << 8 | first
    }
}
