//! Repair symbols equal the vectors in `vectors/`, which a slow program written directly from the RFC's text made.

use glancecast_fec::{BlockShape, Codec, Esi};
use glancecast_testkit::hex;

#[test]
fn repair_symbols_are_those_of_a_second_independent_implementation() {
    let mut codec = Codec::new();
    let mut count = 0;
    for line in include_str!("../vectors/rfc6330.txt").lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let number = |field: usize| fields[field].parse::<u32>().expect("a number");
        let shape = BlockShape::new(number(0), number(1) as u16).expect("within bounds");
        let octet = |i: usize| (i * i * 31 + i * 7 + number(0) as usize + i / 256) as u8;
        let source: Vec<u8> = (0..shape.source_bytes()).map(octet).collect();
        let mut symbol = vec![0; shape.symbol_size()];
        codec.encode(shape, &source, Esi::new(number(2)).expect("24 bits"), &mut symbol);
        assert_eq!(hex::encode(&symbol), fields[3], "{line}");
        count += 1;
    }
    assert_eq!(count, 126);
}
