//! Turns a fuzzer's bytes into input for the parsers of datagrams. The first byte chooses a kind, and what the rest
//! is: a datagram as it is, or a body that a holder of the group key has sealed, with or without its own header.

use glancecast_proto::limits::CONTROL_MAX;
use glancecast_proto::seal::Cipher;
use glancecast_proto::wire::{
    Announce, Answer, Ask, Down, Header, Heard, Kind, Notice, SymbolHeader, Up, UpHeader, VERSION,
    foreign_version,
};

use crate::bounds::assert_bounds;
use crate::vectors::{
    self, DOWNWARD, Derivation, KEY, KEYS, Keys, NOTICE, RECEIVER, SALT, SEQUENCE, SESSION, Signed, UPWARD,
    Value,
};

/// Parses the input as datagrams from the sender to the group.
pub(crate) fn down(input: &[u8]) {
    read(&[Kind::Symbol, Kind::Announce, Kind::Manifest, Kind::Poll, Kind::End, Kind::Ack], input);
}

/// Parses the input as datagrams from hosts to the sender.
pub(crate) fn up(input: &[u8]) {
    read(&[Kind::Hello, Kind::Report, Kind::Done, Kind::Failed], input);
}

/// Parses the input as queries, answers and notices.
pub(crate) fn queries(input: &[u8]) {
    read(&[Kind::Ask, Kind::Heard, Kind::Answer, Kind::Notice], input);
}

fn read(kinds: &[Kind], input: &[u8]) {
    let Some((&choice, rest)) = input.split_first() else { return };
    let kind = kinds[usize::from(choice % 8) % kinds.len()];
    match choice / 8 {
        0 => every_parser(rest),
        1 => {
            let mut clear = clear_header(kind);
            let (header, body) = rest.split_at(rest.len().min(clear.len() - 2));
            clear[2..2 + header.len()].copy_from_slice(header);
            if matches!(kind, Kind::Announce | Kind::Ask) {
                clear.copy_within(10..13, 2); // the tag is the beginning of the id
            }
            every_parser(&sealed(kind, &clear, body));
        }
        way => {
            let datagram = sealed(kind, &clear_header(kind), rest);
            if let Ok(value) = Value::open(&datagram) {
                assert_bounds(&value);
                assert_eq!(Value::open(&value.seal()).as_ref(), Ok(&value), "it can be said again");
                if way == 2 {
                    assert_signed(value);
                }
            }
        }
    }
}

/// Asserts that a sender can also sign this value, if its kind is signed.
fn assert_signed(value: Value) {
    let signed = match value {
        Value::Down(down @ (Down::Manifest(_) | Down::Poll(_) | Down::End(_)), _) => {
            Value::Down(down, Signed::Yes)
        }
        Value::Announce(announce, _) => Value::Announce(announce, Signed::Yes),
        _ => return,
    };
    assert_eq!(Value::open(&signed.seal()), Ok(signed));
}

/// Tries all parsers, as the forger of a datagram chooses its kind too.
fn every_parser(datagram: &[u8]) {
    let (geometry, Keys { group: key, down: cipher, .. }) = (vectors::geometry(), &*KEYS);
    if let Ok(symbol) = SymbolHeader::parse(datagram) {
        let mut place = vec![0; usize::from(geometry.symbol_size())];
        let opened = symbol.open(cipher, datagram, &mut place);
        assert!(opened.is_ok() || place.iter().all(|&byte| byte == 0), "an error leaves no plaintext");
    }
    let _ = (Announce::open(key, datagram), Notice::open(key, datagram), Ask::open(key, datagram));
    let _ = Down::open(cipher, geometry, None, datagram, |_| true);
    let _ = Heard::open(cipher, datagram);
    if let Ok(up) = UpHeader::parse(datagram) {
        let cipher = Cipher::upward(key, SESSION, up.receiver);
        let _ = (Up::open(&cipher, geometry, up, datagram), Answer::open(&cipher, up, datagram));
    }
    let foreign = foreign_version(datagram);
    assert_eq!(foreign.is_some(), datagram.len() >= 5 && datagram[0] != VERSION);
    if let Ok(value) = Value::open(datagram) {
        assert!(Notice::is(datagram) || Header::parse(datagram).is_ok());
        assert_bounds(&value);
    }
}

/// Returns the clear header of a datagram of this kind in the session of the vectors.
fn clear_header(kind: Kind) -> Vec<u8> {
    let mut clear = vec![VERSION, kind as u8];
    clear.extend(SESSION.tag().0);
    if kind == Kind::Notice {
        clear.extend(SALT);
        return clear;
    }
    clear.extend(&SEQUENCE.to_be_bytes()[3..]);
    match kind {
        Kind::Symbol => clear.extend([0; 10]),
        Kind::Announce | Kind::Ask => clear.extend(SESSION.0),
        Kind::Hello | Kind::Report | Kind::Done | Kind::Failed | Kind::Answer => clear.extend(RECEIVER.0),
        Kind::Manifest | Kind::Poll | Kind::End | Kind::Ack | Kind::Heard | Kind::Notice => {}
    }
    clear
}

/// Returns the datagram that a holder of the group key makes of this header and body.
fn sealed(kind: Kind, clear: &[u8], body: &[u8]) -> Vec<u8> {
    let (context, parts): (_, &[&[u8]]) = match kind {
        Kind::Symbol | Kind::Manifest | Kind::Poll | Kind::End | Kind::Ack | Kind::Heard => {
            (DOWNWARD, &[&SESSION.0])
        }
        Kind::Announce | Kind::Ask => (DOWNWARD, &[&clear[10..26]]),
        Kind::Hello | Kind::Report | Kind::Done | Kind::Failed | Kind::Answer => {
            (UPWARD, &[&SESSION.0, &clear[10..18]])
        }
        Kind::Notice => (NOTICE, &[&clear[5..21]]),
    };
    let sequence = match kind {
        Kind::Notice => 0,
        _ => clear[5..10].iter().fold(0, |number, &byte| number << 8 | u64::from(byte)),
    };
    let material = [&[KEY.as_slice()], parts].concat().concat();
    let mut body = body[..body.len().min(CONTROL_MAX - clear.len() - 16)].to_vec();
    if kind == Kind::Symbol {
        body.resize(usize::from(vectors::geometry().symbol_size()), 0);
    }
    Derivation { context, material, clear: clear.len(), sequence }.seal(clear, body)
}
