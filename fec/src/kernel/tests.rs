//! Every kernel that this machine has, compared with the portable one and with [`crate::octet`].

use super::*;
use crate::octet;

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn portable() -> Kernel {
    *Kernel::available().last().expect("the portable one")
}

/// The sums by [`crate::octet`].
fn dense_by_definition(job: &mut Dense<'_>) {
    for r in 0..job.outputs {
        for (s, row) in job.rows.iter().enumerate() {
            let factor = job.coefs[s * job.coef_stride + r];
            let out = &mut job.acc[r * job.acc_stride..][..job.len];
            out.iter_mut().zip(*row).for_each(|(sum, &octet)| *sum ^= octet::product(factor, octet));
        }
    }
}

#[test]
fn dense_is_as_defined_for_every_length_number_of_outputs_and_misalignment() {
    let (source, coefs) = (noise(40 * 2_000, 1), noise(40 * 64, 2));
    for kernel in Kernel::available() {
        for case in 0..64 * 30 {
            let (misalignment, outputs) = (case % 64, 1 + case / 64);
            let len = LANE * (case % 27);
            let count = [1, 2, 7, 40][case % 4];
            let rows: Vec<&[u8]> = (0..count).map(|s| &source[s * 1_900 + misalignment..][..len]).collect();
            let acc_stride = len + case % 3;
            let mut ours = noise(64 + outputs * acc_stride, 3);
            let mut defined = ours.clone();
            let job =
                |acc| Dense { acc, acc_stride, outputs, rows: &rows, coefs: &coefs, coef_stride: 64, len };
            kernel.dense(job(&mut ours[63 - misalignment..]));
            dense_by_definition(&mut job(&mut defined[63 - misalignment..]));
            assert!(
                ours == defined,
                "{}: {outputs} outputs, {count} rows of {len}, + {misalignment}",
                kernel.name()
            );
        }
    }
}

#[test]
fn every_product_is_as_defined() {
    let octets: Vec<u8> = (0..=255).collect();
    for kernel in Kernel::available() {
        for factor in 0..=255 {
            let mut row = octets.clone();
            kernel.scale(&mut row, factor);
            let products = octets.iter().map(|&octet| octet::product(octet, factor));
            assert!(products.eq(row), "{}: times {factor}", kernel.name());
        }
    }
}

#[test]
fn matrices_are_eliminated_the_same_way() {
    for kernel in Kernel::available() {
        for case in 0..64 * 4 {
            let (stride, misalignment) = (LANE * (1 + case / 64), case % 64);
            let mut ours = noise(64 + 9 * stride, case as u64);
            let (pivot, column) = (case % 9, case % stride);
            ours[misalignment + pivot * stride + column] = 1;
            let mut theirs = ours.clone();
            kernel.eliminate(&mut ours[misalignment..][..9 * stride], stride, pivot, column);
            portable().eliminate(&mut theirs[misalignment..][..9 * stride], stride, pivot, column);
            assert!(ours == theirs, "{}: stride {stride}, + {misalignment}", kernel.name());
            let cleared = (0..9).filter(|&row| ours[misalignment + row * stride + column] == 0).count();
            assert_eq!(cleared, 8);
        }
    }
}

#[test]
fn programs_run_the_same_way_and_their_transposes_too() {
    let (rows, sources, wide) = (60, 20, 400);
    let numbers = noise(10_000, 5);
    let mut numbers = numbers.iter().map(|&octet| usize::from(octet));
    let mut program = Program::default();
    for into in 0..50 {
        let (source, count) = (numbers.next().unwrap() % sources, numbers.next().unwrap() % 12);
        let deps: Vec<usize> =
            numbers.by_ref().map(|octet| octet % rows).filter(|&dep| dep != into).take(count).collect();
        program.push(into, source, deps.into_iter());
    }
    let data = noise(sources * wide + 64, 6);
    for kernel in Kernel::available() {
        for misalignment in 0..64 {
            let strip = noise(rows * 256 + 64, 7);
            let from: Vec<&[u8]> = (0..sources).map(|s| &data[s * wide + misalignment..][..wide]).collect();
            for width in [64, 128, 256] {
                let run = |kernel: Kernel, elsewhere: bool| {
                    let (mut strip, mut out) = (strip.clone(), vec![0; 50 * 300]);
                    kernel.gather(Gather {
                        program: &program,
                        strip: &mut strip[misalignment..],
                        width,
                        into: elsewhere.then_some(&mut out[..]),
                        into_stride: if elsewhere { 300 } else { width },
                        rows: Rows::new(&from, wide),
                        offset: misalignment,
                        ahead: width,
                    });
                    (strip, out)
                };
                assert!(run(kernel, false) == run(portable(), false), "{}: {width}", kernel.name());
                assert!(run(kernel, true) == run(portable(), true), "{}: {width}", kernel.name());
            }
            let transpose = |kernel: Kernel| {
                let (mut strip, mut out) = (strip.clone(), vec![0; sources * LANE]);
                kernel.scatter(&mut strip[misalignment..], &program, &mut out);
                (strip, out)
            };
            assert!(transpose(kernel) == transpose(portable()), "{}", kernel.name());
        }
    }
}

#[test]
fn hdpc_sums_are_the_same_and_their_transposes_too() {
    let params = crate::tables::Params::of(100);
    let hdpc = Hdpc::new(&params);
    let sums = params.l + 3;
    for kernel in Kernel::available() {
        for misalignment in 0..64 {
            let strip = noise((sums + params.h + hdpc.pairs().len()) * 256 + 64, 8);
            for width in [64, 128, 256] {
                let run = |kernel: Kernel| {
                    let mut strip = strip.clone();
                    kernel.accumulate_hdpc(&mut strip[misalignment..], width, &hdpc, sums, sums + params.h);
                    strip
                };
                assert!(run(kernel) == run(portable()), "{}: {width}", kernel.name());
            }
            let transpose = |kernel: Kernel| {
                let mut strip = strip.clone();
                kernel.scatter_hdpc(&mut strip[misalignment..], &hdpc, sums);
                strip
            };
            assert!(transpose(kernel) == transpose(portable()), "{}", kernel.name());
        }
    }
}
