//! Turns collected symbols into a written block: decode, decompress, verify, write.

use std::sync::Arc;
use std::time::Instant;

use glancecast_fec::{Codec, RepairSymbol};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::VerifiedBlock;
use glancecast_proto::receiver::{BlockOutcome, Collected, Failure, Origin, SymbolHashes};
use glancecast_proto::wire::{Encoding, ManifestEntry};

use crate::pool::Pages;
use crate::stages::{Clocks, Stage};
use crate::store::{BaseFile, PartialFile, StoreError};

/// State that a worker keeps between blocks.
pub(crate) struct Rebuilder {
    /// The logical bytes of a compressed block. As long as one block, so that a frame that claims more is refused.
    plain: Pages,
    /// Zeros for the hash of zero blocks; never written to, so never resident.
    zeros: Vec<u8>,
    zstd: zstd::bulk::Decompressor<'static>,
    codec: Codec,
    clocks: Clocks,
}

impl Rebuilder {
    pub(crate) fn new(geometry: Geometry, clocks: Clocks) -> std::io::Result<Self> {
        let block_bytes = geometry.block_bytes().min(geometry.object_bytes()) as usize;
        let zstd = zstd::bulk::Decompressor::new()?;
        Ok(Self {
            plain: Pages::new(block_bytes),
            zeros: vec![0; block_bytes],
            zstd,
            codec: Codec::new(),
            clocks,
        })
    }

    /// Decodes, verifies and writes a block. `collected` describes the symbols in `buffer`.
    pub(crate) fn block(
        &mut self,
        geometry: Geometry,
        block: BlockIndex,
        entry: &ManifestEntry,
        collected: &Collected,
        buffer: &mut [u8],
        file: &PartialFile,
    ) -> BlockOutcome {
        let shape = collected.shape();
        let (source, repair) = buffer.split_at_mut(shape.source_bytes());
        let symbols = repair.chunks_exact(shape.symbol_size());
        let repair: Vec<RepairSymbol<'_>> =
            collected.repair().iter().zip(symbols).map(|(&esi, bytes)| RepairSymbol { esi, bytes }).collect();
        let start = Instant::now();
        let decoded = self.codec.decode(shape, source, collected.held(), &repair);
        if !collected.held().is_full() {
            self.clocks.add(Stage::Decode as usize, start, shape.source_bytes());
        }
        if decoded.is_err() {
            return BlockOutcome::Undecodable;
        }
        let repaired = shape.source_symbols() - collected.held().count();
        let encoded = &source[..collected.encoded_len() as usize];
        let clocks = Arc::clone(&self.clocks);
        let Some(plain) = self.decompress(geometry, block, entry, encoded) else {
            return BlockOutcome::Corrupt;
        };
        let verify = || VerifiedBlock::verify(geometry, block, plain, entry.hash);
        match clocks.time(Stage::Verify as usize, plain.len(), verify) {
            Err(_) => BlockOutcome::Corrupt,
            Ok(verified) => {
                let write = || file.write(&verified);
                outcome(clocks.time(Stage::Write as usize, plain.len(), write), repaired)
            }
        }
    }

    /// Drops the symbols in `buffer` that are not the sender's, of a block that was corrupt.
    pub(crate) fn sift(
        &self,
        collected: &mut Collected,
        hashes: &SymbolHashes,
        buffer: &mut [u8],
    ) -> BlockOutcome {
        let bytes = buffer.len();
        let sift = || collected.sift(hashes, buffer);
        BlockOutcome::Sifted(self.clocks.time(Stage::Verify as usize, bytes, sift))
    }

    /// Reads and verifies a block that an earlier session wrote.
    pub(crate) fn recheck(
        &mut self,
        geometry: Geometry,
        block: BlockIndex,
        entry: &ManifestEntry,
        file: &PartialFile,
    ) -> BlockOutcome {
        let clocks = Arc::clone(&self.clocks);
        let len = geometry.block_len(block) as usize;
        let holds = || file.holds(geometry, block, entry.hash, &mut self.plain[..len]);
        match clocks.time(Stage::Verify as usize, len, holds) {
            true => BlockOutcome::Written { repaired: 0 },
            false => BlockOutcome::NotKept,
        }
    }

    /// Copies a block from the base or from another block of the object, and verifies it.
    pub(crate) fn reuse(
        &mut self,
        geometry: Geometry,
        block: BlockIndex,
        entry: &ManifestEntry,
        from: (Origin, Option<&BaseFile>),
        file: &PartialFile,
    ) -> BlockOutcome {
        let len = geometry.block_len(block) as usize;
        let plain = &mut self.plain[..len];
        let read = match from {
            (Origin::Base(piece), Some(base)) => base.read(geometry.offset(piece), plain),
            (Origin::Base(_), None) => Ok(0),
            (Origin::Object(of), _) => file.read(geometry.offset(of), plain),
        };
        match read {
            Ok(read) if read == len => {}
            Ok(_) => return BlockOutcome::NotKept,
            Err(error) => {
                tracing::warn!(%block, %error, "cannot read what this host holds already");
                return BlockOutcome::NotKept;
            }
        }
        let verify = || VerifiedBlock::verify(geometry, block, plain, entry.hash);
        match self.clocks.time(Stage::Verify as usize, len, verify) {
            Err(_) => BlockOutcome::NotKept,
            Ok(verified) => {
                let write = || file.write(&verified);
                outcome(self.clocks.time(Stage::Write as usize, len, write), 0)
            }
        }
    }

    /// Leaves a hole for a block of zeros, and computes its hash.
    pub(crate) fn zero(&self, geometry: Geometry, block: BlockIndex, file: &PartialFile) -> BlockOutcome {
        let zeros = &self.zeros[..geometry.block_len(block) as usize];
        let zeros = || VerifiedBlock::zeros(geometry, block, zeros);
        let verified = self.clocks.time(Stage::Verify as usize, 0, zeros);
        let hash = verified.hash();
        match file.leave_hole(verified) {
            Ok(()) => BlockOutcome::Zeros(hash),
            Err(error) => BlockOutcome::Failed(failure(error)),
        }
    }

    /// Returns the block's logical bytes, or `None` if `encoded` does not decompress to exactly one block.
    fn decompress<'a>(
        &'a mut self,
        geometry: Geometry,
        block: BlockIndex,
        entry: &ManifestEntry,
        encoded: &'a [u8],
    ) -> Option<&'a [u8]> {
        match entry.encoding {
            Encoding::Zero => None,
            Encoding::Stored => Some(encoded),
            Encoding::Zstd { .. } => {
                let len = geometry.block_len(block) as usize;
                let start = Instant::now();
                let written = self.zstd.decompress_to_buffer(encoded, &mut self.plain[..len]).ok()?;
                self.clocks.add(Stage::Decompress as usize, start, written);
                (written == len).then_some(&self.plain[..len])
            }
        }
    }
}

/// Converts a store's error for the machine.
pub(crate) fn failure(error: StoreError) -> Failure {
    Failure::new(error.kind(), error.to_string())
}

fn outcome(written: Result<(), StoreError>, repaired: u32) -> BlockOutcome {
    match written {
        Ok(()) => BlockOutcome::Written { repaired },
        Err(error) => BlockOutcome::Failed(failure(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glancecast_fec::{Encoder, Esi};
    use glancecast_proto::agree::StartSecret;
    use glancecast_proto::ids::{HostName, Sequence};
    use glancecast_proto::integrity::BlockHash;
    use glancecast_proto::receiver::{
        Admission, Attempt, BlockRoom, Effect, Opened, Receiver, ReceiverConfig, Work, buffer_bytes,
    };
    use glancecast_proto::seal::{Cipher, GroupKey};
    use glancecast_proto::sign::SigningKey;
    use glancecast_proto::time::{Moment, WallClock};
    use glancecast_proto::wire::{Announce, BaseName, Down, ManifestRun, SymbolHeader};
    use glancecast_testkit::Rng;
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;
    use tempfile::TempDir;

    use crate::announcement::{SESSION, announcement};
    use crate::stages::clocks;
    use crate::store::{Begun, Store as Place, StoreOptions, StoreSpec, Unpublished};

    const BLOCK: usize = 1 << 20;

    #[test]
    fn a_compressed_block_is_written_as_it_was() {
        let plain = plain();
        assert_written(&plain, &run(&plain, zstd_entry(&plain, &frame(&plain)), &frame(&plain), 0));
    }

    #[test]
    fn a_compressed_block_is_rebuilt_from_repair_symbols() {
        let plain = plain();
        assert_written(&plain, &run(&plain, zstd_entry(&plain, &frame(&plain)), &frame(&plain), 3));
    }

    #[test]
    fn a_stored_block_is_written_as_it_is() {
        let plain = plain();
        let entry = ManifestEntry { encoding: Encoding::Stored, hash: hash(&plain) };
        assert_written(&plain, &run(&plain, entry, &plain, 3));
    }

    #[test]
    fn a_frame_that_makes_more_than_a_block_is_corrupt() {
        let plain = plain();
        // A thousand blocks in a frame of a few kilobytes; then one byte too many.
        for len in [BLOCK << 10, BLOCK + 1] {
            let encoded = frame(&vec![0; len]);
            assert!(encoded.len() < BLOCK);
            assert_refused(&run(&plain, zstd_entry(&plain, &encoded), &encoded, 0));
        }
    }

    #[test]
    fn a_frame_that_only_claims_more_than_a_block_is_corrupt() {
        let plain = plain();
        let mut encoded = frame(&plain);
        // RFC 8878 §3.1.1: magic, descriptor (a window, 4 bytes of content size), window, content size.
        assert_eq!(encoded[4] & 0xE0, 0x80, "the frame has the header that is changed here");
        assert_eq!(encoded[6..10], (BLOCK as u32).to_le_bytes());
        encoded[6..10].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_refused(&run(&plain, zstd_entry(&plain, &encoded), &encoded, 0));
    }

    #[test]
    fn a_frame_that_claims_a_tebibyte_is_corrupt() {
        let plain = plain();
        let mut encoded = frame(&plain);
        // RFC 8878 §3.1.1.1.1: the descriptor's two highest bits give the length of the content size; 3 means 8 bytes.
        encoded[4] |= 0xC0;
        encoded.splice(6..10, (1u64 << 40).to_le_bytes());
        assert_refused(&run(&plain, zstd_entry(&plain, &encoded), &encoded, 0));
    }

    #[test]
    fn a_frame_for_a_dictionary_is_corrupt() {
        let plain = plain();
        let mut encoded = frame(&plain);
        // The two lowest bits: a dictionary id of one byte follows the window.
        assert_eq!(encoded[4] & 0x03, 0);
        encoded[4] |= 1;
        encoded.insert(6, 77);
        assert_refused(&run(&plain, zstd_entry(&plain, &encoded), &encoded, 0));
    }

    #[test]
    fn pages_of_zeros_within_a_block_are_holes() {
        let mut plain = vec![0; BLOCK];
        plain[300_000..310_000].fill(7);
        for entry in [
            zstd_entry(&plain, &frame(&plain)),
            ManifestEntry { encoding: Encoding::Stored, hash: hash(&plain) },
        ] {
            let encoded = if entry.encoding == Encoding::Stored { plain.clone() } else { frame(&plain) };
            let rebuilt = run(&plain, entry, &encoded, 0);
            assert_written(&plain, &rebuilt);
            assert!(rebuilt.allocated_bytes <= 64 << 10, "{} bytes", rebuilt.allocated_bytes);
        }
    }

    #[test]
    fn a_frame_that_makes_less_than_a_block_is_corrupt() {
        let plain = plain();
        let encoded = frame(&plain[1..]);
        assert_refused(&run(&plain, zstd_entry(&plain, &encoded), &encoded, 0));
    }

    #[test]
    fn a_truncated_frame_is_corrupt() {
        let plain = plain();
        let encoded = frame(&plain);
        for len in [1, 4, 5, encoded.len() / 2, encoded.len() - 1] {
            let cut = &encoded[..len];
            assert_refused(&run(&plain, zstd_entry(&plain, cut), cut, 0));
        }
    }

    #[test]
    fn a_frame_of_something_else_is_corrupt() {
        let plain = plain();
        let mut other = plain.clone();
        other[BLOCK / 2] ^= 1;
        let encoded = frame(&other);
        assert_refused(&run(&plain, zstd_entry(&plain, &encoded), &encoded, 0));
    }

    #[test]
    fn junk_instead_of_a_frame_is_corrupt() {
        let plain = plain();
        let encoded = vec![0x5A; 10_000];
        assert_refused(&run(&plain, zstd_entry(&plain, &encoded), &encoded, 0));
    }

    #[test]
    fn one_worker_takes_bad_and_good_frames_in_turn() {
        let plain = plain();
        let mut rebuilder = Rebuilder::new(geometry(), clocks()).expect("memory");
        for bad in [true, false, true, false] {
            let good = frame(&plain);
            let encoded = if bad { good[..good.len() / 2].to_vec() } else { good };
            let entry = zstd_entry(&plain, &encoded);
            let result = run_with(&mut rebuilder, entry, &encoded, 0);
            if bad {
                assert_refused(&result);
            } else {
                assert_written(&plain, &result);
            }
            assert_eq!(rebuilder.plain.len(), BLOCK, "no more than it needs for a block");
        }
    }

    #[test]
    fn a_zero_block_is_hashed_and_leaves_a_hole() {
        let rebuilder = Rebuilder::new(geometry(), clocks()).expect("memory");
        let store = Store::new();
        let zeros = hash(&vec![0; BLOCK]);
        let outcome = rebuilder.zero(geometry(), BlockIndex(0), store.place.file());
        assert!(matches!(outcome, BlockOutcome::Zeros(hash) if hash == zeros), "{outcome:?}");
        assert_eq!(store.content(), vec![0; 2 * BLOCK]);
    }

    #[test]
    fn a_block_is_made_of_what_lies_elsewhere_if_it_is_the_same() {
        let mut rebuilder = Rebuilder::new(geometry(), clocks()).expect("memory");
        let (store, plain) = (Store::new(), plain());
        fs::write(store.directory.path().join("base"), [&vec![1; BLOCK][..], &plain, &plain[1..]].concat())
            .expect("writable");
        let name = BaseName::new("base").expect("plain");
        let base = store.store.base(&name).expect("readable").expect("there");
        let entry = |block| ManifestEntry { encoding: Encoding::Stored, hash: hash_at(block, &plain) };
        let mut reuse = |block, origin, base| {
            let file = store.place.file();
            rebuilder.reuse(geometry(), BlockIndex(block), &entry(block), (origin, base), file)
        };
        for piece in [0, 2, 3] {
            let outcome = reuse(0, Origin::Base(BlockIndex(piece)), Some(&base));
            assert!(matches!(outcome, BlockOutcome::NotKept), "{outcome:?}");
        }
        assert!(matches!(reuse(0, Origin::Base(BlockIndex(1)), None), BlockOutcome::NotKept));
        assert!(matches!(reuse(1, Origin::Object(BlockIndex(0)), None), BlockOutcome::NotKept));
        assert_eq!(store.content(), vec![0; 2 * BLOCK], "nothing is written that is not verified");
        let written = BlockOutcome::Written { repaired: 0 };
        for (block, origin) in [(0, Origin::Base(BlockIndex(1))), (1, Origin::Object(BlockIndex(0)))] {
            let outcome = reuse(block, origin, Some(&base));
            assert_eq!(format!("{outcome:?}"), format!("{written:?}"));
        }
        assert!(store.content() == [&plain[..], &plain].concat());
    }

    /// The outcome of a block, and what the file holds then.
    struct Rebuilt {
        outcome: BlockOutcome,
        content: Vec<u8>,
        allocated_bytes: u64,
    }

    struct Store {
        directory: TempDir,
        store: Place,
        place: Unpublished,
    }

    impl Store {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("temporary directory");
            let spec = StoreSpec::Directory(directory.path().to_owned());
            let store = Place::open(&spec, StoreOptions::DEFAULT).expect("a directory");
            let Ok(Begun::New(place)) = store.begin(&announce()) else { panic!("an empty directory") };
            Self { directory, store, place }
        }

        fn content(&self) -> Vec<u8> {
            fs::read(self.path()).expect("readable")
        }

        fn path(&self) -> PathBuf {
            let mut paths = fs::read_dir(self.directory.path()).expect("there").flatten().map(|e| e.path());
            paths.find(|path| path.extension().is_some_and(|e| e == "part")).expect("the unfinished file")
        }
    }

    fn run(plain: &[u8], entry: ManifestEntry, encoded: &[u8], lost: u32) -> Rebuilt {
        assert_eq!(plain.len(), BLOCK);
        run_with(&mut Rebuilder::new(geometry(), clocks()).expect("memory"), entry, encoded, lost)
    }

    /// Sends `encoded` as the symbols of the first block, the first `lost` of them as repair symbols, and rebuilds it.
    fn run_with(rebuilder: &mut Rebuilder, entry: ManifestEntry, encoded: &[u8], lost: u32) -> Rebuilt {
        let (mut machine, attempt) = receiving();
        let mut buffer = vec![0; buffer_bytes(&announce())];
        collect(&mut machine, encoded, lost, &mut buffer);
        let run = ManifestRun::plain(BlockIndex(0), [entry]);
        hear(&mut machine, |cipher, out| {
            Down::Manifest(run).seal(cipher, None, SESSION, sequence(0), out);
        });
        let Some(Effect::Block(of, Work::Rebuild { block, entry, collected, .. }, ())) =
            machine.poll_effect(BlockRoom::Free)
        else {
            panic!("enough symbols")
        };
        assert_eq!((of, block), (attempt, BlockIndex(0)));
        let store = Store::new();
        let outcome = rebuilder.block(geometry(), block, &entry, &collected, &mut buffer, store.place.file());
        let allocated_bytes = 512 * store.path().metadata().expect("there").blocks();
        Rebuilt { outcome, content: store.content(), allocated_bytes }
    }

    fn receiving() -> (Receiver, Attempt) {
        let mut machine = Receiver::new(ReceiverConfig {
            name: HostName::new("compute-1").expect("plain"),
            software: String::new(),
            keys: vec![GroupKey::insecure()],
            host_key: SigningKey::from_seed(&[1; 32].into()),
            secret: StartSecret::new([2; 32]),
            mtu: None,
            senders: Vec::new().into(),
            start: [0; 16],
            seed: [0; 32],
            buffer_bytes: 0,
            can_relay: false,
        });
        hear(&mut machine, |cipher, out| announce().seal(cipher, None, sequence(0), out));
        let Some(Effect::Prepare(attempt, ..)) = machine.poll_effect(BlockRoom::Free) else {
            panic!("it joins")
        };
        assert!(matches!(machine.poll_effect(BlockRoom::Free), Some(Effect::Open(..))));
        let place = Opened::Unfinished { file: (), kept: Vec::new() };
        machine.handle_opened(Moment::default(), attempt, Ok(place));
        (machine, attempt)
    }

    fn collect(machine: &mut Receiver, encoded: &[u8], lost: u32, buffer: &mut [u8]) {
        let shape = geometry().shape(encoded.len() as u32);
        let t = shape.symbol_size();
        let mut symbols = encoded.to_vec();
        symbols.resize(shape.source_bytes(), 0);
        let spare = 2; // decoding succeeds almost certainly
        let mut repair = vec![0; if lost == 0 { 0 } else { (lost + spare) as usize * t }];
        if lost > 0 {
            Encoder::new(shape, &symbols).repair(Esi::first_repair(shape), &mut repair);
        }
        symbols.extend_from_slice(&repair);
        for (esi, bytes) in (0..).zip(symbols.chunks_exact(t)).skip(lost as usize) {
            let esi = Esi::new(esi).expect("small");
            let header = SymbolHeader {
                tag: SESSION.tag(),
                sequence: sequence(1),
                block: BlockIndex(0),
                esi,
                encoded_len: encoded.len() as u32,
            };
            let Ok(Admission::To(place)) = machine.admit(&header) else { panic!("a place") };
            buffer[place.symbol as usize * t..][..t].copy_from_slice(bytes);
            machine.accept(Moment::default(), &header, place, t);
        }
    }

    fn hear(machine: &mut Receiver, seal: impl FnOnce(&Cipher, &mut Vec<u8>)) {
        let mut out = Vec::new();
        seal(&Cipher::downward(&GroupKey::insecure(), SESSION), &mut out);
        let from = ([127, 0, 0, 1], 1).into();
        machine.handle_datagram(Moment::default(), WallClock(0), from, &out).expect("ours");
    }

    fn assert_written(plain: &[u8], rebuilt: &Rebuilt) {
        assert!(matches!(rebuilt.outcome, BlockOutcome::Written { .. }), "{:?}", rebuilt.outcome);
        assert!(rebuilt.content[..BLOCK] == *plain, "the file holds the block");
        assert!(rebuilt.content[BLOCK..].iter().all(|&byte| byte == 0), "and nothing else");
    }

    fn assert_refused(rebuilt: &Rebuilt) {
        assert!(matches!(rebuilt.outcome, BlockOutcome::Corrupt), "{:?}", rebuilt.outcome);
        assert!(rebuilt.content.iter().all(|&byte| byte == 0), "nothing is written");
    }

    fn zstd_entry(plain: &[u8], encoded: &[u8]) -> ManifestEntry {
        ManifestEntry { encoding: Encoding::Zstd { encoded_len: encoded.len() as u32 }, hash: hash(plain) }
    }

    fn frame(plain: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(plain, 1).expect("memory")
    }

    fn hash(plain: &[u8]) -> BlockHash {
        hash_at(0, plain)
    }

    fn hash_at(block: u32, plain: &[u8]) -> BlockHash {
        BlockHash::of(geometry(), BlockIndex(block), plain)
    }

    /// A block that compresses to about a third.
    fn plain() -> Vec<u8> {
        let mut rng = Rng::new(1);
        (0..BLOCK).map(|i| if i % 2 == 0 { (rng.number() >> 60) as u8 } else { 7 }).collect()
    }

    fn announce() -> Announce {
        announcement("image", geometry())
    }

    fn geometry() -> Geometry {
        Geometry::new(2 * BLOCK as u64, 20, 1432).expect("in range")
    }

    fn sequence(number: u64) -> Sequence {
        Sequence::new(number).expect("small")
    }
}
