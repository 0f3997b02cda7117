//! Finds where two algorithms of the codec are equally fast, for each instruction set of this machine. Prints Gbit/s of
//! source data by number of repair symbols, dense and sparse, and by number of lost symbols, with syndromes and by
//! solving. Blocks have T = 1408 bytes and are uncached. One core, medians. Nothing is judged.

use glancecast_bench::micro::{COLD_BYTES, Pages, Turns, all_but, median, memory, pin, repair_symbols};
use glancecast_fec::{BlockShape, Codec, Esi};

const T: u16 = 1_408;

/// Bytes of a sample.
const SAMPLE_BYTES: usize = 12 << 20;

/// More symbols than any block has.
const ALL: u32 = u32::MAX;

fn main() -> anyhow::Result<()> {
    let only: Vec<String> = std::env::args().skip(1).collect();
    if pin(1).is_err() {
        eprintln!("not pinned");
    }
    let pool = memory(COLD_BYTES + (16 << 20), Pages::Huge)?;
    for name in Codec::instruction_sets() {
        if !only.is_empty() && !only.iter().any(|wanted| wanted == name) {
            continue;
        }
        for (k, counts, losses) in [
            (256, [16, 24, 32, 40, 48, 64], [40, 60, 80, 110]),
            (1_024, [12, 16, 20, 24, 30, 40], [120, 180, 240, 320]),
            (2_048, [12, 16, 20, 24, 30, 40], [180, 250, 350, 500]),
            (8_192, [12, 16, 20, 24, 30, 40], [300, 400, 550, 800]),
        ] {
            let shape = BlockShape::new(k, T)?;
            print!("{name:<12} K = {k:<5} dense/sparse:");
            for count in counts {
                let [dense, sparse] = [ALL, 0].map(|most| encode(name, shape, count, most, pool));
                print!("  {count} {dense:.1}/{sparse:.1}");
            }
            print!("\n{:12} {:9} syndromes/solve:", "", "");
            for lost in losses {
                let [syndromes, solve] = [ALL, 0].map(|most| decode(name, shape, lost, most, pool));
                print!("  {lost} {syndromes:.1}/{solve:.1}");
            }
            println!();
        }
    }
    Ok(())
}

fn encode(name: &str, shape: BlockShape, count: u32, dense: u32, pool: &[u8]) -> f64 {
    let mut codec = Codec::with_instruction_set(name).expect("one of this machine's");
    codec.choose(dense, ALL);
    let mut out = vec![0; count as usize * shape.symbol_size()];
    codec.encode(shape, &pool[..shape.source_bytes()], Esi::first_repair(shape), &mut out);
    samples(shape, |at| {
        codec.encode(shape, &pool[at..][..shape.source_bytes()], Esi::first_repair(shape), &mut out);
    })
}

/// Uses repair symbols of other blocks, because the time does not depend on their content.
fn decode(name: &str, shape: BlockShape, lost: u32, syndromes: u32, pool: &mut [u8]) -> f64 {
    let mut codec = Codec::with_instruction_set(name).expect("one of this machine's");
    let dense = if codec.encode_path(lost) == "dense" { ALL } else { 0 };
    codec.choose(dense, syndromes);
    let held = all_but(shape.source_symbols(), lost);
    let bytes = vec![7; (lost as usize + 2) * shape.symbol_size()];
    let repair = repair_symbols(shape, &bytes);
    samples(shape, |at| {
        let source = &mut pool[at..][..shape.source_bytes()];
        codec.decode(shape, source, &held, &repair).expect("two to spare");
    })
}

/// Returns the median speed of `work` on blocks that begin at the byte offset it receives.
fn samples(shape: BlockShape, mut work: impl FnMut(usize)) -> f64 {
    let (bytes, mut turns) = (shape.source_bytes(), Turns::new(shape, COLD_BYTES));
    let count = (SAMPLE_BYTES / bytes).max(1);
    median((0..5).map(|_| turns.gbit_s(count, |number| work(number * bytes))).collect())
}
