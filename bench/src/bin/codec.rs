//! Compares the codec with the `raptorq` crate: encoding and decoding speed in Gbit/s of source data.
//!
//! One core, uncached data (blocks in turn over 256 MiB), both codecs in turn in the same run, medians, and a
//! comparison of the results. Prints a table and writes `codec.json` into the given directory. Nothing is judged.
//!
//! When `raptorq` decodes, its packets are in a cache: its interface consumes them, so they are copied just before.

use std::path::PathBuf;

use anyhow::Context;
use glancecast_bench::micro::{
    COLD_BYTES, Numbers, Pages, Turns, all_but, median, memory, pin, read_bandwidth, repair_symbols, time,
};
use glancecast_fec::{BlockShape, Codec, Esi};
use raptorq::{
    EncodingPacket, ObjectTransmissionInformation, PayloadId, SourceBlockDecoder, SourceBlockEncoder,
};
use serde_json::json;

/// (K, T, share of the source symbols that is lost).
const CASES: [(u32, u16, f64); 12] = [
    (1_024, 1_408, 0.001),
    (1_024, 1_408, 0.01),
    (1_024, 1_408, 0.05),
    (1_024, 1_408, 0.20),
    (1_024, 1_408, 1.0),
    (2_048, 1_408, 0.01),
    (2_048, 1_408, 0.05),
    (256, 1_408, 0.01),
    (256, 1_408, 0.05),
    (1_024, 8_832, 0.01),
    (8_192, 1_408, 0.01),
    (8_192, 1_408, 0.05),
];

/// Repair symbols that a decoder receives beyond the number of lost symbols.
const EXTRA: u32 = 2;

/// Samples of each codec in a case.
const SAMPLES: usize = 9;

/// Bytes per sample of our codec, and of theirs: chosen for about the same time.
const OUR_SAMPLE_BYTES: usize = 64 << 20;
const THEIR_SAMPLE_BYTES: usize = 6 << 20;

fn main() -> anyhow::Result<()> {
    let mut directory = PathBuf::from(".");
    let (mut pages, mut core, mut cold) = (Pages::Huge, 1, COLD_BYTES);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--default-pages" => pages = Pages::Default,
            "--hot" => cold = 1,
            "--core" => core = arguments.next().context("which core?")?.parse()?,
            _ => directory = argument.into(),
        }
    }
    if pin(core).is_err() {
        eprintln!("not pinned: there is no core {core}");
    }
    let pool = memory(COLD_BYTES + (16 << 20), pages)?;
    Numbers(1).fill(pool);
    let mut codec = Codec::new();
    println!("{}, {pages:?} pages, {}", codec.instruction_set(), if cold == 1 { "hot" } else { "cold" });
    println!(
        "{:>6} {:>6} {:>6}  {:<6} {:<6} {:>8} {:>8} {:>6}",
        "K", "T", "loss", "op", "path", "Gbit/s", "raptorq", "ratio"
    );
    for k in [256, 1_024, 2_048, 8_192] {
        println!("a plan for K = {k}: {:.2} ms", plan_ms(k)?);
    }
    let mut rows = Vec::new();
    for (k, t, loss) in CASES {
        let case = Case::new(k, t, loss, cold)?;
        let read = read_bandwidth(&pool[..COLD_BYTES]);
        for (op, path, (ours, theirs)) in [
            ("encode", codec.encode_path(case.lost), case.encode(&mut codec, pool)?),
            ("decode", codec.decode_path(case.shape, case.lost), case.decode(&mut codec, pool)?),
        ] {
            let ratio = ours / theirs;
            println!(
                "{k:>6} {t:>6} {:>5.1}%  {op:<6} {path:<6} {ours:>8.1} {theirs:>8.2} {ratio:>6.1}",
                loss * 100.0
            );
            rows.push(json!({
                "k": k, "symbol_size": t, "loss": loss, "op": op, "path": path,
                "gbit_s": ours, "raptorq_gbit_s": theirs, "ratio": ratio, "memory_read_gbit_s": read,
            }));
        }
    }
    let reads: Vec<f64> = rows.iter().filter_map(|row| row["memory_read_gbit_s"].as_f64()).collect();
    println!("memory reads at {:.0} Gbit/s", median(reads));
    std::fs::create_dir_all(&directory)?;
    let path = directory.join("codec.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&rows)?).with_context(|| path.display().to_string())
}

/// Returns the extra cost of the first block of a new K: the median of plans for K from `k` on, each with a new K'.
fn plan_ms(k: u32) -> anyhow::Result<f64> {
    let mut samples = Vec::new();
    let mut k = raptorq::extended_source_block_symbols(k);
    for _ in 0..5 {
        let shape = BlockShape::new(k, 1)?;
        samples.push(time(|| Codec::new().prepare(shape)).as_secs_f64() * 1e3);
        k = raptorq::extended_source_block_symbols(k + 1);
    }
    Ok(median(samples))
}

struct Case {
    shape: BlockShape,
    lost: u32,
    turns: Turns,
    our_sample: usize,
    their_sample: usize,
}

impl Case {
    fn new(k: u32, t: u16, loss: f64, cold: usize) -> anyhow::Result<Self> {
        let shape = BlockShape::new(k, t)?;
        let bytes = shape.source_bytes();
        Ok(Self {
            shape,
            lost: (f64::from(k) * loss).round().max(1.0) as u32,
            turns: Turns::new(shape, cold),
            our_sample: OUR_SAMPLE_BYTES.div_ceil(bytes),
            their_sample: THEIR_SAMPLE_BYTES.div_ceil(bytes),
        })
    }

    fn block<'a>(&self, pool: &'a [u8], number: usize) -> &'a [u8] {
        &pool[number * self.shape.source_bytes()..][..self.shape.source_bytes()]
    }

    fn transmission(&self) -> ObjectTransmissionInformation {
        let (bytes, t) = (self.shape.source_bytes() as u64, self.shape.symbol_size() as u16);
        ObjectTransmissionInformation::new(bytes, t, 1, 1, 1)
    }

    /// Returns the speed of making as many repair symbols as are lost, in Gbit/s: ours and theirs.
    fn encode(&self, codec: &mut Codec, pool: &[u8]) -> anyhow::Result<(f64, f64)> {
        let first = Esi::first_repair(self.shape);
        let mut out = vec![0; self.lost as usize * self.shape.symbol_size()];
        let (mut turns, mut ours, mut theirs) = (self.turns, Vec::new(), Vec::new());
        codec.encode(self.shape, self.block(pool, 0), first, &mut out);
        for _ in 0..SAMPLES {
            ours.push(turns.gbit_s(self.our_sample, |number| {
                codec.encode(self.shape, self.block(pool, number), first, &mut out);
            }));
            let (mut packets, mut last) = (Vec::new(), 0);
            theirs.push(turns.gbit_s(self.their_sample, |number| {
                let encoder = SourceBlockEncoder::new(0, &self.transmission(), self.block(pool, number));
                packets = encoder.repair_packets(0, self.lost);
                last = number;
            }));
            codec.encode(self.shape, self.block(pool, last), first, &mut out);
            let symbols = out.chunks_exact(self.shape.symbol_size());
            anyhow::ensure!(symbols.eq(packets.iter().map(EncodingPacket::data)), "different repair symbols");
        }
        Ok((median(ours), median(theirs)))
    }

    /// Returns the speed of restoring the lost symbols, in Gbit/s: ours and theirs. Restores the content of `pool`.
    fn decode(&self, codec: &mut Codec, pool: &mut [u8]) -> anyhow::Result<(f64, f64)> {
        let (shape, t) = (self.shape, self.shape.symbol_size());
        let (k, length) = (shape.source_symbols(), shape.source_bytes());
        let repair_bytes = (self.lost + EXTRA) as usize * t;
        let held = all_but(k, self.lost);
        let mut repair = vec![0u8; self.turns.blocks * repair_bytes];
        for (number, repair) in repair.chunks_exact_mut(repair_bytes).enumerate() {
            codec.encode(shape, self.block(pool, number), Esi::first_repair(shape), repair);
        }
        let repair_of = |number: usize| &repair[number * repair_bytes..][..repair_bytes];
        let (mut turns, mut ours, mut theirs) = (self.turns, Vec::new(), Vec::new());
        for _ in 0..SAMPLES {
            for number in turns.coming(self.our_sample) {
                let source = &mut pool[number * length..][..length];
                held.missing().for_each(|index| source[index as usize * t..][..t].fill(0xEE));
            }
            ours.push(turns.gbit_s(self.our_sample, |number| {
                let source = &mut pool[number * length..][..length];
                codec
                    .decode(shape, source, &held, &repair_symbols(shape, repair_of(number)))
                    .expect("two to spare");
            }));
            let packets_of = |number: usize| -> Vec<EncodingPacket> {
                let source = self.block(pool, number).chunks_exact(t).zip(0..);
                let sources = source.filter(|&(_, index)| held.contains(index));
                let all = sources.chain(repair_of(number).chunks_exact(t).zip(k..));
                all.map(|(bytes, esi)| EncodingPacket::new(PayloadId::new(0, esi), bytes.to_vec())).collect()
            };
            let packets: Vec<Vec<EncodingPacket>> = turns.coming(self.their_sample).map(packets_of).collect();
            let (mut packets, mut decoded) = (packets.into_iter(), None);
            theirs.push(turns.gbit_s(self.their_sample, |number| {
                let packets = packets.next().expect("made above");
                let mut decoder = SourceBlockDecoder::new(0, &self.transmission(), length as u64);
                decoded = Some((number, decoder.decode(packets)));
            }));
            let (number, decoded) = decoded.context("raptorq decoded nothing")?;
            let decoded = decoded.context("raptorq could not decode")?;
            anyhow::ensure!(decoded == self.block(pool, number), "different source symbols");
        }
        Ok((median(ours), median(theirs)))
    }
}
