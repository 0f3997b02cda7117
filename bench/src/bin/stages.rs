//! What each stage of the data path costs for one block of 1 MiB on one core, to find the next bottleneck. Prints a
//! table and writes `target/bench/stages.json`.

use std::hint::black_box;
use std::time::Duration;

use glancecast_bench::micro::{all_but, median_time, repair_symbols};
use glancecast_fec::{BlockShape, Encoder, Esi, decode};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, Sequence, SessionId};
use glancecast_proto::integrity::BlockHash;
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::wire::SymbolHeader;
use serde::Serialize;

#[derive(Serialize)]
struct Row {
    stage: &'static str,
    microseconds_per_block: f64,
    nanoseconds_per_symbol: f64,
    gbit_per_second: f64,
}

fn main() -> std::io::Result<()> {
    let pipeline = Pipeline::new();
    let rows: Vec<Row> = [
        ("hash (BLAKE3)", pipeline.hash()),
        ("seal (AES-256-GCM, with the copy)", pipeline.seal()),
        ("open (AES-256-GCM, with the copy)", pipeline.open()),
        ("encode, 8 repair symbols", pipeline.encode(8)),
        ("decode, 1 symbol lost", pipeline.decode(1)),
        ("decode, 1 % lost", pipeline.decode(8)),
        ("decode, 10 % lost", pipeline.decode(73)),
    ]
    .map(|(stage, time)| pipeline.row(stage, time))
    .into();
    println!("{:36} {:>12} {:>12} {:>10}", "stage", "us / block", "ns / symbol", "Gbit/s");
    for row in &rows {
        println!(
            "{:36} {:>12.1} {:>12.1} {:>10.1}",
            row.stage, row.microseconds_per_block, row.nanoseconds_per_symbol, row.gbit_per_second
        );
    }
    std::fs::create_dir_all("target/bench")?;
    std::fs::write("target/bench/stages.json", serde_json::to_string_pretty(&rows)?)?;
    println!("written to target/bench/stages.json");
    Ok(())
}

/// One block in the pipeline.
struct Pipeline {
    geometry: Geometry,
    block: Vec<u8>,
    cipher: Cipher,
}

const BLOCK: BlockIndex = BlockIndex(1);
const BUDGET: Duration = Duration::from_millis(400);

impl Pipeline {
    fn new() -> Self {
        let geometry = Geometry::for_path(4 << 20, 1500, 20).expect("in range");
        let shape = geometry.shape(1 << 20);
        let mut block: Vec<u8> =
            (0..1u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        block.resize(shape.source_bytes(), 0);
        Self { geometry, block, cipher: Cipher::downward(&GroupKey::insecure(), SessionId([7; 16])) }
    }

    fn row(&self, stage: &'static str, time: Duration) -> Row {
        let symbols = f64::from(self.geometry.symbols_max());
        Row {
            stage,
            microseconds_per_block: time.as_secs_f64() * 1e6,
            nanoseconds_per_symbol: time.as_secs_f64() * 1e9 / symbols,
            gbit_per_second: f64::from(8 << 20) / time.as_secs_f64() / 1e9,
        }
    }

    fn hash(&self) -> Duration {
        median_time(BUDGET, || {
            black_box(BlockHash::of(self.geometry, BLOCK, &self.block[..1 << 20]));
        })
    }

    fn seal(&self) -> Duration {
        let mut datagrams = self.datagrams();
        median_time(BUDGET, || self.seal_all(black_box(&mut datagrams)))
    }

    fn open(&self) -> Duration {
        let mut datagrams = self.datagrams();
        self.seal_all(&mut datagrams);
        let mut opened = vec![0; self.block.len()];
        let time = median_time(BUDGET, || {
            for (datagram, place) in self.cut(&datagrams).zip(opened.chunks_exact_mut(self.t())) {
                let header = SymbolHeader::parse(datagram).expect("ours");
                header.open(&self.cipher, datagram, place).expect("ours");
            }
        });
        assert_eq!(opened, self.block);
        time
    }

    fn encode(&self, count: usize) -> Duration {
        let shape = self.shape();
        let mut repair = vec![0; count * self.t()];
        median_time(BUDGET, || {
            Encoder::new(shape, &self.block).repair(Esi::first_repair(shape), black_box(&mut repair));
        })
    }

    fn decode(&self, lost: u32) -> Duration {
        let shape = self.shape();
        let mut repair = vec![0; (lost as usize + 2) * self.t()];
        Encoder::new(shape, &self.block).repair(Esi::first_repair(shape), &mut repair);
        let repair = repair_symbols(shape, &repair);
        let held = all_but(shape.source_symbols(), lost);
        let mut received = self.block.clone();
        let time = median_time(BUDGET, || {
            held.missing().for_each(|i| received[i as usize * self.t()..][..self.t()].fill(0));
            decode(shape, &mut received, &held, &repair).expect("two to spare");
        });
        assert_eq!(received, self.block);
        time
    }

    fn seal_all(&self, datagrams: &mut [u8]) {
        let size = self.geometry.datagram_bytes();
        let symbols = self.block.chunks_exact(self.t());
        for (i, (symbol, datagram)) in symbols.zip(datagrams.chunks_exact_mut(size)).enumerate() {
            let header = SymbolHeader {
                tag: SessionId([7; 16]).tag(),
                sequence: Sequence::new(i as u64).expect("small"),
                block: BLOCK,
                esi: Esi::new(i as u32).expect("small"),
                encoded_len: 1 << 20,
            };
            header.seal(&self.cipher, symbol, datagram);
        }
    }

    fn cut<'a>(&self, datagrams: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        datagrams.chunks_exact(self.geometry.datagram_bytes())
    }

    fn datagrams(&self) -> Vec<u8> {
        vec![0; self.block.len() / self.t() * self.geometry.datagram_bytes()]
    }

    fn shape(&self) -> BlockShape {
        self.geometry.shape(1 << 20)
    }

    fn t(&self) -> usize {
        usize::from(self.geometry.symbol_size())
    }
}
