//! Parsing is total: for any input, each parser returns a reason or a value within its documented bounds, and never
//! panics. Seeded; the seed is printed.

mod bounds;
mod dice;
mod vectors;

use bounds::assert_bounds;
use dice::Dice;
use glancecast_fec::Esi;
use glancecast_proto::ids::Sequence;
use glancecast_proto::limits::CONTROL_MAX;
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::wire::{
    Ack, Announce, Answer, Ask, Discard, Down, Header, Heard, Kind, Notice, Report, SymbolHeader, Up,
    UpHeader, VERSION, foreign_version,
};
use vectors::{Derivation, KEY, RECEIVER, SESSION, Signed, Value};

#[test]
fn random_bytes_of_every_length_are_refused() {
    let mut dice = Dice::of("random bytes", 1);
    for len in 0..=1600 {
        for _ in 0..4 {
            let bytes = dice.bytes(len);
            assert_refused(&bytes);
            // The front passes the first checks: our version, a kind that exists, our session.
            let kind = *dice.pick(&KINDS);
            let front = [&[VERSION, kind as u8], &SESSION.tag().0[..]].concat();
            assert_refused(&overwritten(&bytes, &front));
        }
    }
}

#[test]
fn every_truncation_of_every_datagram_is_refused() {
    for value in vectors::values().values() {
        let datagram = value.seal();
        (0..datagram.len()).for_each(|len| assert_refused(&datagram[..len]));
        assert_refused(&[&datagram[..], &[0]].concat());
    }
}

#[test]
fn every_flipped_bit_of_every_datagram_is_noticed() {
    for (name, value) in vectors::values() {
        let datagram = value.seal();
        let clear = value.derivation().clear;
        for bit in 0..datagram.len() * 8 {
            let mut bent = datagram.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            let reason = Value::open(&bent).expect_err("not what was sealed");
            if bit / 8 >= clear {
                assert!(
                    matches!(reason, Discard::Forged | Discard::WrongKey),
                    "{name}, bit {bit}: {reason:?}"
                );
            }
        }
    }
}

#[test]
fn what_an_insider_seals_is_refused_or_within_bounds() {
    let mut dice = Dice::of("insider", 2);
    let (mut taken, mut refused) = (0, 0);
    for value in vectors::values().values() {
        let derivation = value.derivation();
        let datagram = value.seal();
        let (clear, plain) = (&datagram[..derivation.clear], derivation.plain(&datagram));
        for round in 0..4_000 {
            let len = dice.below(200) as usize;
            let body = if round % 8 == 0 { dice.bytes(len) } else { dice.mutated(&plain) };
            match Value::open(&sealed(&derivation, clear, &body)) {
                Ok(value) => {
                    taken += 1;
                    assert_bounds(&value);
                    assert_eq!(Value::open(&value.seal()).as_ref(), Ok(&value), "it can be said again");
                }
                Err(_) => refused += 1,
            }
        }
    }
    println!("{taken} were taken, {refused} refused");
    assert!(taken > 1_000 && refused > 1_000);
}

#[test]
fn a_report_whose_runs_overlap_is_refused() {
    let Value::Up(Up::Report(report)) = vectors::values()["report"].clone() else { panic!("a report") };
    let opened = |report: &Report| Value::open(&Value::Up(Up::Report(report.clone())).seal());
    assert!(opened(&report).is_ok());
    for change in [
        |report: &mut Report| report.deficits.swap(0, 1),
        |report: &mut Report| report.deficits[1] = report.deficits[0],
        |report: &mut Report| report.gaps.swap(0, 1),
        |report: &mut Report| report.gaps[1] = report.gaps[0],
    ] {
        let mut bent = report.clone();
        change(&mut bent);
        assert_eq!(opened(&bent), Err(Discard::Malformed), "{bent:?}");
    }
}

#[test]
fn an_ack_answers_nothing_but_what_is_acknowledged() {
    for kind in KINDS {
        let ack = Value::Down(Down::Ack(Ack { receiver: RECEIVER, kind, slot: 0 }), Signed::No);
        let possible = matches!(kind, Kind::Hello | Kind::Done | Kind::Failed);
        assert_eq!(Value::open(&ack.seal()).is_ok(), possible, "{kind:?}");
    }
}

#[test]
fn a_datagram_of_another_group_is_told_from_a_forged_one() {
    let other = GroupKey::new([9; 32]);
    for (name, value) in vectors::values() {
        let datagram = value.seal();
        match value {
            Value::Announce(..) => assert_eq!(Announce::open(&other, &datagram), Err(Discard::WrongKey)),
            Value::Notice(_) => assert_eq!(Notice::open(&other, &datagram), Err(Discard::Forged)),
            Value::Down(..) => {
                let cipher = Cipher::downward(&other, SESSION);
                let verdict = Down::open(&cipher, vectors::geometry(), None, &datagram, |_| true);
                assert_eq!(verdict, Err(Discard::Forged), "{name}");
            }
            Value::Ask(_) => assert_eq!(Ask::open(&other, &datagram), Err(Discard::WrongKey)),
            Value::Heard(_) => {
                let verdict = Heard::open(&Cipher::downward(&other, SESSION), &datagram);
                assert_eq!(verdict, Err(Discard::Forged), "{name}");
            }
            Value::Symbol(..) | Value::Up(_) | Value::Answer(_) => {}
        }
    }
}

/// Asserts that every parser refuses a datagram, whatever its kind, and then the parser of its kind.
fn assert_refused(datagram: &[u8]) {
    let key = GroupKey::new(KEY);
    let header = Header::parse(datagram);
    if let Ok(header) = header {
        assert!(header.sequence.value() <= Sequence::MAX);
    }
    if let Ok(symbol) = SymbolHeader::parse(datagram) {
        assert!(symbol.esi.value() <= Esi::MAX && symbol.encoded_len < 1 << 24);
        let mut place = vec![0; usize::from(vectors::geometry().symbol_size())];
        assert!(symbol.open(&Cipher::downward(&key, SESSION), datagram, &mut place).is_err());
        assert!(place.iter().all(|&byte| byte == 0), "an error leaves no plaintext");
    }
    assert!(Announce::open(&key, datagram).is_err());
    assert!(Notice::open(&key, datagram).is_err());
    let cipher = Cipher::downward(&key, SESSION);
    assert!(Down::open(&cipher, vectors::geometry(), None, datagram, |_| true).is_err());
    assert!(Ask::open(&key, datagram).is_err());
    assert!(Heard::open(&cipher, datagram).is_err());
    if let Ok(up) = UpHeader::parse(datagram) {
        let cipher = Cipher::upward(&key, SESSION, up.receiver);
        assert!(Up::open(&cipher, vectors::geometry(), up, datagram).is_err());
        assert!(Answer::open(&cipher, up, datagram).is_err());
    }
    let foreign = foreign_version(datagram);
    assert_eq!(foreign.is_some(), datagram.len() >= 5 && datagram[0] != VERSION);
    assert!(Value::open(datagram).is_err());
}

/// Returns a datagram with any body, sealed as a holder of the group key can.
fn sealed(derivation: &Derivation, clear: &[u8], body: &[u8]) -> Vec<u8> {
    let body = &body[..body.len().min(CONTROL_MAX - clear.len() - 16)];
    derivation.seal(clear, body.to_vec())
}

fn overwritten(bytes: &[u8], front: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.iter_mut().zip(front).for_each(|(byte, &new)| *byte = new);
    bytes
}

const KINDS: [Kind; 14] = [
    Kind::Ask,
    Kind::Heard,
    Kind::Answer,
    Kind::Symbol,
    Kind::Announce,
    Kind::Manifest,
    Kind::Poll,
    Kind::End,
    Kind::Ack,
    Kind::Hello,
    Kind::Report,
    Kind::Done,
    Kind::Failed,
    Kind::Notice,
];
