//! Turns a fuzzer's bytes into input for the parsers of datagrams. The first byte chooses a kind, and what the rest
//! is: a datagram as it is, or a body that who may write this kind has sealed, with or without its own header.
//!
//! No fuzzer finds a signature or a key. What a host or a querier must sign is therefore signed here, and a host's keys
//! are put where they stand: the input is the rest of the body.
#![allow(dead_code, reason = "each test uses some of it")]

use glancecast_proto::ids::Sequence;
use glancecast_proto::limits::{CONTROL_MAX, DATAGRAM_MAX};
use glancecast_proto::seal::Cipher;
use glancecast_proto::wire::{
    Ack, Announce, Answer, Ask, Discard, Down, Header, Heard, Hello, Kind, NewKey, Notice, Probe, Route,
    RouteAck, SymbolHeader, Up, UpHeader, VERSION, foreign_version,
};

use crate::bounds::assert_bounds;
use crate::vectors::{
    self, Derivation, HOST_AGREEMENT, KEYS, Keys, Party, RECEIVER, SALT, SEQUENCE, SESSION, Signed, Value,
    Writer, crypto, host_public, scope,
};

/// A fuzzer's entry, and the kinds that an input chooses from. No more than eight: the bits above say what the rest is.
pub(crate) struct Target {
    /// That of its program in `tests/fuzz/targets`, and of its corpus.
    pub(crate) name: &'static str,
    pub(crate) kinds: &'static [Kind],
    pub(crate) run: fn(&[u8]),
}

pub(crate) static TARGETS: [Target; 3] = [
    Target { name: "down", kinds: &DOWN, run: down },
    Target { name: "up", kinds: &UP, run: up },
    Target { name: "queries", kinds: &QUERIES, run: queries },
];

const DOWN: [Kind; 8] = [
    Kind::Symbol,
    Kind::Announce,
    Kind::Manifest,
    Kind::Poll,
    Kind::End,
    Kind::Ack,
    Kind::Audience,
    Kind::Proofs,
];
const UP: [Kind; 5] = [Kind::Hello, Kind::Report, Kind::Done, Kind::Failed, Kind::RouteAck];
const QUERIES: [Kind; 7] =
    [Kind::Ask, Kind::Heard, Kind::Answer, Kind::Notice, Kind::Probe, Kind::NewKey, Kind::Route];

const _: () = assert!(DOWN.len() <= 8 && UP.len() <= 8 && QUERIES.len() <= 8);

/// Parses the input as datagrams from the sender to the group.
pub(crate) fn down(input: &[u8]) {
    read(&DOWN, input);
}

/// Parses the input as datagrams from hosts to the sender.
pub(crate) fn up(input: &[u8]) {
    read(&UP, input);
}

/// Parses the input as queries, answers and notices, and as what a sender tells single hosts.
pub(crate) fn queries(input: &[u8]) {
    read(&QUERIES, input);
}

/// Returns the input that is this value, sealed and signed by who may write it, and the target that takes it. The clear
/// header of a symbol is not part of an input.
pub(crate) fn input_of(value: &Value) -> (&'static Target, Vec<u8>) {
    let kind = Kind::peek(&value.seal()).expect("of a kind");
    let takes = |target: &&Target| target.kinds.contains(&kind);
    let target = TARGETS.iter().find(takes).expect("every kind has its fuzzer");
    let choice = target.kinds.iter().position(|&of| of == kind).expect("it takes it");
    (target, [&[2 * 8 + choice as u8], &rest_of(value)[..]].concat())
}

/// Returns what an input is whose rest is a body.
pub(crate) fn opened(kinds: &[Kind], input: &[u8]) -> Result<Value, Discard> {
    let (&choice, rest) = input.split_first().ok_or(Discard::TooShort)?;
    let kind = chosen(kinds, choice);
    Value::open(&sealed(kind, &clear_header(kind), rest))
}

fn read(kinds: &[Kind], input: &[u8]) {
    let Some((&choice, rest)) = input.split_first() else { return };
    let kind = chosen(kinds, choice);
    match choice / 8 {
        0 => every_parser(rest),
        1 => {
            let mut clear = clear_header(kind);
            let (header, body) = rest.split_at(rest.len().min(clear.len() - 2));
            clear[2..2 + header.len()].copy_from_slice(header);
            if matches!(kind, Kind::Announce | Kind::Ask | Kind::Route) {
                clear.copy_within(10..13, 2); // the tag is the beginning of the id
            }
            every_parser(&sealed(kind, &clear, body));
        }
        way => {
            if let Ok(value) = opened(kinds, input) {
                assert_bounds(&value);
                assert_eq!(Value::open(&value.seal()).as_ref(), Ok(&value), "it can be said again");
                if way == 2 {
                    assert_signed(value);
                }
            }
        }
    }
}

fn chosen(kinds: &[Kind], choice: u8) -> Kind {
    kinds[usize::from(choice % 8) % kinds.len()]
}

/// Asserts that a sender can also sign this value, if its kind is signed.
fn assert_signed(value: Value) {
    let signed = match value {
        Value::Down(down, _) => Value::Down(down, Signed::Yes),
        Value::Announce(announce, _) => Value::Announce(announce, Signed::Yes),
        Value::Ask(ask, _) => Value::Ask(ask, Signed::Yes),
        Value::Heard(heard, _) => Value::Heard(heard, Signed::Yes),
        Value::Route(route, _) => Value::Route(route, Signed::Yes),
        _ => return,
    };
    assert_eq!(Value::open_as(&signed.seal(), Signed::Yes), Ok(signed));
}

/// Tries all parsers, as the forger of a datagram chooses its kind too.
fn every_parser(datagram: &[u8]) {
    let (geometry, Keys { group: key, down: cipher, private_down: private, .. }) =
        (vectors::geometry(), &*KEYS);
    if let Ok(symbol) = SymbolHeader::parse(datagram) {
        let mut place = vec![0; usize::from(geometry.symbol_size())];
        let opened = symbol.open(cipher, datagram, &mut place);
        assert!(opened.is_ok() || place.iter().all(|&byte| byte == 0), "an error leaves no plaintext");
    }
    let _ = (Announce::open(key, datagram), Notice::open(key, datagram), Ask::open(key, datagram));
    let _ = (Route::open(key, datagram), Ack::open(private, datagram), Probe::open(cipher, datagram));
    for signed in [Signed::No, Signed::Yes] {
        let _ = Down::open(cipher, geometry, signed.verifier(), datagram, |_| Ok(()));
        let _ = Heard::open(cipher, signed.verifier(), datagram, |_| Ok(()));
    }
    let _ = NewKey::open(private, Signed::Yes.verifier().expect("a key"), datagram);
    if let Ok(up) = UpHeader::parse(datagram) {
        let cipher = Cipher::upward(key, SESSION, up.receiver);
        let private = Cipher::private_up(key, SESSION, up.receiver, &KEYS.shared);
        let _ = (Hello::open(&cipher, geometry, up, datagram), Up::open(&private, geometry, up, datagram));
        for known in [None, Some(host_public())] {
            let _ = Answer::open(&cipher, scope(), known, up, datagram);
        }
        let _ = RouteAck::open(&cipher, scope(), up, datagram);
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
    clear.extend(&SEQUENCE.to_be_bytes()[8 - Sequence::BYTES..]);
    match kind {
        Kind::Symbol => clear.extend([0; 10]),
        Kind::Announce | Kind::Ask | Kind::Route => clear.extend(SESSION.0),
        Kind::Hello | Kind::Report | Kind::Done | Kind::Failed | Kind::Answer | Kind::RouteAck => {
            clear.extend(RECEIVER.0);
        }
        Kind::Manifest
        | Kind::Poll
        | Kind::End
        | Kind::Ack
        | Kind::Audience
        | Kind::Heard
        | Kind::Probe
        | Kind::Proofs
        | Kind::NewKey
        | Kind::Notice => {}
    }
    clear
}

/// Returns the datagram that its writer makes of this header and body.
fn sealed(kind: Kind, clear: &[u8], body: &[u8]) -> Vec<u8> {
    let (writer, signer) = match kind {
        Kind::Symbol
        | Kind::Announce
        | Kind::Manifest
        | Kind::Poll
        | Kind::End
        | Kind::Audience
        | Kind::Ask
        | Kind::Heard
        | Kind::Route
        | Kind::Probe
        | Kind::Proofs => (Writer::Down, None),
        Kind::Ack => (Writer::PrivateDown, None),
        Kind::NewKey => (Writer::PrivateDown, Some(Party::Sender)),
        Kind::Hello | Kind::Answer | Kind::RouteAck => (Writer::Up, Some(Party::Host)),
        Kind::Report | Kind::Done | Kind::Failed => (Writer::PrivateUp, None),
        Kind::Notice => (Writer::Notice, None),
    };
    let id = match kind {
        Kind::Announce | Kind::Ask | Kind::Route => &clear[10..26],
        Kind::Notice => &clear[5..21],
        _ => &SESSION.0[..],
    };
    let receiver = clear.get(10..18).unwrap_or(&RECEIVER.0);
    let receiver = if matches!(writer, Writer::PrivateDown) { &RECEIVER.0 } else { receiver };
    let sequence = match kind {
        Kind::Notice => 0,
        _ => clear[5..10].iter().fold(0, |number, &byte| number << 8 | u64::from(byte)),
    };
    let derivation = Derivation { sequence, signer, ..writer.derivation(id, receiver) };
    let body = whole_body(kind, body, clear.len());
    if kind == Kind::Probe {
        let (padding, body) = body.split_at(body.len().saturating_sub(PROBE_BYTES));
        return derivation.seal(&[clear, padding].concat(), body.to_vec());
    }
    derivation.sign_and_seal(clear, body)
}

/// Returns the body of a datagram behind a header of `clear` bytes: the input with a host's keys in their places, cut
/// off where no datagram is longer.
fn whole_body(kind: Kind, input: &[u8], clear: usize) -> Vec<u8> {
    let keys = [host_public().0, crypto::agreement_public(&HOST_AGREEMENT)].concat();
    let mut body = match kind {
        Kind::Hello => [&keys, input].concat(),
        Kind::Answer if input.get(4..6) == Some(&[0, 0]) && input.len() >= 8 => {
            [&input[..8], &keys, &input[8..]].concat()
        }
        Kind::RouteAck => [&input[..input.len().min(46)], &keys[..32]].concat(),
        _ => input.to_vec(),
    };
    if kind == Kind::Symbol {
        body.resize(usize::from(vectors::geometry().symbol_size()), 0);
    }
    let longest = if kind == Kind::Probe { DATAGRAM_MAX } else { CONTROL_MAX };
    body.truncate(longest - clear - 64 - 16);
    body
}

/// Returns the input whose [`whole_body`] is that of this value.
fn rest_of(value: &Value) -> Vec<u8> {
    let (derivation, datagram) = (value.derivation(), value.seal());
    let mut rest = derivation.plain(&datagram);
    if matches!(value, Value::Hello(_) | Value::Answer(_) | Value::RouteAck(_) | Value::NewKey(..)) {
        rest.truncate(rest.len() - 64); // it is signed here
    }
    match value {
        Value::Hello(_) => drop(rest.drain(..64)),
        Value::Answer(answer) if answer.page_number() == 0 => drop(rest.drain(8..72)),
        Value::RouteAck(_) => rest.truncate(46),
        Value::Probe(..) => drop(rest.splice(..0, datagram[10..derivation.clear].iter().copied())),
        _ => {}
    }
    rest
}

/// Bytes of a probe that are sealed.
const PROBE_BYTES: usize = 7;
