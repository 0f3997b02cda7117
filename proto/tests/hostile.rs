//! Parsing is total: for any input, each parser returns a reason or a value within its documented bounds, and never
//! panics. Seeded; the seed is printed.

mod bounds;
mod dice;
mod inputs;
mod vectors;

use bounds::assert_bounds;
use dice::Dice;
use glancecast_fec::Esi;
use glancecast_proto::agree::AgreementKey;
use glancecast_proto::echo::Echo;
use glancecast_proto::ids::Sequence;
use glancecast_proto::limits::{CONTROL_MAX, DATAGRAM_MAX};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sign::Scope;
use glancecast_proto::wire::{
    Ack, Announce, Answer, Ask, Discard, Down, Header, Heard, Hello, Kind, NewKey, Notice, Probe, Report,
    Route, RouteAck, SymbolHeader, Up, UpHeader, VERSION, foreign_version,
};
use vectors::{
    Derivation, HOST_AGREEMENT, KEY, KEYS, Party, RECEIVER, SENDER_AGREEMENT, SESSION, SIGNING_SEED, Signed,
    Value, Writer, crypto, host_public, scope, signing_key,
};

#[test]
fn random_bytes_of_every_length_are_refused() {
    let mut dice = Dice::of("random bytes", 1);
    for len in 0..=1600 {
        for _ in 0..4 {
            let bytes = dice.bytes(len);
            assert_refused(&bytes);
            // The front passes the first checks: our version, a kind that exists, our session.
            let kind = *dice.pick(&Kind::ALL);
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
fn every_flipped_bit_of_what_is_signed_is_noticed_also_where_it_is_sealed_again() {
    for (name, value) in vectors::values() {
        let (datagram, derivation) = (value.seal(), value.derivation());
        if derivation.signer.is_none() {
            continue;
        }
        let plain = derivation.plain(&datagram);
        let signed = if derivation.signer == Some(Party::Sender) { Signed::Yes } else { Signed::No };
        for bit in 0..(derivation.clear + plain.len()) * 8 {
            let mut whole = [&datagram[..derivation.clear], &plain].concat();
            whole[bit / 8] ^= 1 << (bit % 8);
            let (clear, body) = whole.split_at(derivation.clear);
            let forged = resealed(value.writer(), clear, body);
            let verdict = Value::open_as(&forged, signed);
            assert!(verdict.is_err(), "{name}, bit {bit}: {verdict:?}");
        }
    }
}

#[test]
fn what_was_signed_for_another_group_or_another_session_is_refused() {
    for (name, value) in vectors::values() {
        let (datagram, derivation) = (value.seal(), value.derivation());
        let (clear, plain) = (&datagram[..derivation.clear], derivation.plain(&datagram));
        let key = match derivation.signer {
            Some(Party::Sender) => crypto::SecretKey::of(&SIGNING_SEED),
            Some(Party::Host) => crypto::SecretKey::of(&vectors::HOST_SEED),
            None => continue,
        };
        let body = &plain[..plain.len() - 64];
        let sealed = |group: &[u8; 32], session: &[u8; 16]| {
            let signature = key.sign(group, session, clear, body);
            Value::open_as(&derivation.seal(clear, [body, &signature].concat()), Signed::Yes)
        };
        assert_eq!(sealed(&KEY, &SESSION.0), Ok(value), "{name}");
        assert_eq!(sealed(&[9; 32], &SESSION.0), Err(Discard::BadSignature), "{name}, another group");
        assert_eq!(sealed(&KEY, &[9; 16]), Err(Discard::BadSignature), "{name}, another session");
    }
}

#[test]
fn what_a_host_and_a_sender_tell_each_other_is_closed_to_every_other_host_of_the_group() {
    // The insider knows the group key and all that was sent, and has an agreement key of its own.
    let own = AgreementKey::from_seed(&[7; 32].into());
    let publics =
        [SENDER_AGREEMENT, HOST_AGREEMENT].map(|seed| AgreementKey::from_seed(&seed.into()).public());
    let group = &KEYS.group;
    for (name, value) in vectors::values() {
        if !matches!(value.writer(), Writer::PrivateUp | Writer::PrivateDown) {
            continue;
        }
        let datagram = value.seal();
        for public in publics {
            let shared = own.agree(&public).expect("a key");
            let down = Cipher::private_down(group, SESSION, RECEIVER, &shared);
            let up = Cipher::private_up(group, SESSION, RECEIVER, &shared);
            for cipher in
                [down, up, Cipher::downward(group, SESSION), Cipher::upward(group, SESSION, RECEIVER)]
            {
                assert!(is_closed(&cipher, &datagram), "{name}");
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
        let (clear, mut plain) = (&datagram[..derivation.clear], derivation.plain(&datagram));
        // A signature is that of the insider's own key here: it is a host, or has the sender's key too.
        plain.truncate(plain.len() - if derivation.signer.is_some() { 64 } else { 0 });
        for round in 0..2_000 {
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
fn every_golden_datagram_has_a_mutation_that_is_accepted() {
    for (name, value) in vectors::values() {
        let (datagram, derivation) = (value.seal(), value.derivation());
        let (clear, mut body) = (&datagram[..derivation.clear], derivation.plain(&datagram));
        body.truncate(body.len() - if derivation.signer.is_some() { 64 } else { 0 });
        let is_accepted = |bit: usize, more: &[u8]| {
            let mut bent = [&body, more].concat();
            bent[bit / 8] ^= 1 << (bit % 8);
            Value::open(&derivation.sign_and_seal(clear, bent)).is_ok_and(|other| other != value)
        };
        // Otherwise what is tried on it here and by the fuzzers ends at its seal, and says nothing about its parser. The
        // end of a session is one byte, of which another value wants a text behind it.
        let is_any = |bit: usize| is_accepted(bit, &[]) || is_accepted(bit, &[0]);
        assert!((0..body.len() * 8).any(is_any), "{name}: no flipped bit gets past its seal");
    }
}

#[test]
fn every_kind_is_in_the_list_of_exactly_one_fuzzer() {
    for kind in Kind::ALL {
        let of_it = |target: &&inputs::Target| target.kinds.contains(&kind);
        let fuzzers: Vec<&str> = inputs::TARGETS.iter().filter(of_it).map(|target| target.name).collect();
        assert_eq!(fuzzers.len(), 1, "{kind:?} is in {fuzzers:?}");
    }
    let listed: usize = inputs::TARGETS.iter().map(|target| target.kinds.len()).sum();
    assert_eq!(listed, Kind::ALL.len(), "and in no list twice");
}

#[test]
fn an_input_of_the_fuzzers_can_be_every_golden_datagram() {
    for (name, value) in vectors::values() {
        let (target, input) = inputs::input_of(&value);
        (target.run)(&input);
        match (inputs::opened(target.kinds, &input), &value) {
            (Ok(Value::Symbol(_, symbol)), Value::Symbol(_, other)) => assert_eq!(symbol, *other),
            (opened, _) => assert_eq!(opened.as_ref(), Ok(&value), "{name}"),
        }
    }
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
        |report: &mut Report| report.suspects.swap(0, 1),
        |report: &mut Report| report.suspects[1] = report.suspects[0],
    ] {
        let mut bent = report.clone();
        change(&mut bent);
        assert_eq!(opened(&bent), Err(Discard::Malformed), "{bent:?}");
    }
}

#[test]
fn an_ack_answers_nothing_but_what_is_acknowledged() {
    for kind in Kind::ALL {
        let ack = Value::Ack(Ack { receiver: RECEIVER, kind, slot: 0, echo: Echo::default() });
        let possible = matches!(kind, Kind::Hello | Kind::Done | Kind::Failed);
        assert_eq!(Value::open(&ack.seal()).is_ok(), possible, "{kind:?}");
    }
}

#[test]
fn a_datagram_of_another_group_is_told_from_a_forged_one() {
    let other = GroupKey::new([9; 32]);
    let (down, up) = (Cipher::downward(&other, SESSION), Cipher::upward(&other, SESSION, RECEIVER));
    let private_down = Cipher::private_down(&other, SESSION, RECEIVER, &KEYS.shared);
    let private_up = Cipher::private_up(&other, SESSION, RECEIVER, &KEYS.shared);
    for (name, value) in vectors::values() {
        let datagram = value.seal();
        let verdict = match value {
            Value::Announce(..) => Announce::open(&other, &datagram).err(),
            Value::Ask(..) => Ask::open(&other, &datagram).err(),
            Value::Route(..) => Route::open(&other, &datagram).err(),
            Value::Notice(_) => Notice::open(&other, &datagram).err(),
            Value::Symbol(header, mut symbol) => header.open(&down, &datagram, &mut symbol).err(),
            Value::Down(..) | Value::Heard(..) | Value::Probe(..) => opened_by(&down, &datagram).err(),
            Value::Ack(_) | Value::NewKey(..) => opened_by(&private_down, &datagram).err(),
            Value::Hello(_) | Value::Answer(_) | Value::RouteAck(_) => opened_by(&up, &datagram).err(),
            Value::Up(_) => opened_by(&private_up, &datagram).err(),
        };
        let expected = match Header::parse(&datagram).map(|header| header.kind) {
            Ok(Kind::Announce | Kind::Ask | Kind::Route) => Discard::WrongKey,
            _ => Discard::Forged,
        };
        assert_eq!(verdict, Some(expected), "{name}");
    }
}

#[test]
fn a_hosts_words_are_good_in_the_group_that_they_were_said_in_alone() {
    // An insider who is in two groups reseals what was said in one under the keys of the other.
    let other = GroupKey::new([9; 32]);
    let elsewhere = Scope { group: other.id(), session: SESSION };
    for name in ["hello", "answer-about", "route-ack"] {
        let (value, datagram) = (&vectors::values()[name], vectors::values()[name].seal());
        let plain = value.derivation().plain(&datagram);
        let material = [&[9; 32], &SESSION.0[..], &RECEIVER.0].concat();
        let derivation = Derivation { material, ..value.derivation() };
        let replayed = derivation.seal(&datagram[..18], plain);
        let (up, cipher) =
            (UpHeader::parse(&replayed).expect("a header"), Cipher::upward(&other, SESSION, RECEIVER));
        let verdict = match up.header.kind {
            Kind::Hello => Hello::open(&cipher, vectors::geometry(), up, &replayed)
                .and_then(|greeting| greeting.verify(elsewhere)),
            Kind::Answer => Answer::open(&cipher, elsewhere, None, up, &replayed).map(drop),
            _ => RouteAck::open(&cipher, elsewhere, up, &replayed).map(drop),
        };
        assert_eq!(verdict, Err(Discard::BadSignature), "{name}");
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
    assert!(Ask::open(&key, datagram).is_err());
    assert!(Route::open(&key, datagram).is_err());
    assert!(is_closed(&Cipher::downward(&key, SESSION), datagram));
    assert!(is_closed(&KEYS.private_down, datagram));
    if let Ok(up) = UpHeader::parse(datagram) {
        assert!(is_closed(&Cipher::upward(&key, SESSION, up.receiver), datagram));
        assert!(is_closed(&Cipher::private_up(&key, SESSION, up.receiver, &KEYS.shared), datagram));
    }
    let foreign = foreign_version(datagram);
    assert_eq!(foreign.is_some(), datagram.len() >= 5 && datagram[0] != VERSION);
    assert!(Value::open(datagram).is_err());
}

/// Whether a cipher opens a datagram by no parser at all.
fn is_closed(cipher: &Cipher, datagram: &[u8]) -> bool {
    opened_by(cipher, datagram).is_err()
}

/// Opens a datagram with the parser of its kind under a cipher, which need not be the one that it was sealed with.
fn opened_by(cipher: &Cipher, datagram: &[u8]) -> Result<(), Discard> {
    let (geometry, verifier) = (vectors::geometry(), signing_key().public().within(scope()));
    let up = || UpHeader::parse(datagram);
    match Header::parse(datagram)?.kind {
        Kind::Ack => Ack::open(cipher, datagram).map(drop),
        Kind::NewKey => NewKey::open(cipher, verifier, datagram).map(drop),
        Kind::Heard => Heard::open(cipher, None, datagram, |_| Ok(())).map(drop),
        Kind::Probe => Probe::open(cipher, datagram).map(drop),
        Kind::Hello => Hello::open(cipher, geometry, up()?, datagram).map(drop),
        Kind::Report | Kind::Done | Kind::Failed => Up::open(cipher, geometry, up()?, datagram).map(drop),
        Kind::Answer => Answer::open(cipher, scope(), Some(host_public()), up()?, datagram).map(drop),
        Kind::RouteAck => RouteAck::open(cipher, scope(), up()?, datagram).map(drop),
        _ => Down::open(cipher, geometry, None, datagram, |_| Ok(())).map(drop),
    }
}

/// Returns a datagram with any body, signed where its kind is, and sealed.
fn sealed(derivation: &Derivation, clear: &[u8], body: &[u8]) -> Vec<u8> {
    let longest = if clear[1] == Kind::Probe as u8 { DATAGRAM_MAX } else { CONTROL_MAX };
    let body = &body[..body.len().min(longest - clear.len() - 16 - 64)];
    derivation.sign_and_seal(clear, body.to_vec())
}

/// Returns a datagram with any header and body, sealed under the key that its own header asks for.
fn resealed(writer: Writer, clear: &[u8], body: &[u8]) -> Vec<u8> {
    let (id, receiver) = match clear.len() {
        26 => (&clear[10..26], &RECEIVER.0[..]),
        18 => (&SESSION.0[..], &clear[10..18]),
        _ => (&SESSION.0[..], &RECEIVER.0[..]),
    };
    let sequence = clear[5..10].iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
    let derivation = Derivation { clear: clear.len(), sequence, ..writer.derivation(id, receiver) };
    derivation.seal(clear, body.to_vec())
}

fn overwritten(bytes: &[u8], front: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.iter_mut().zip(front).for_each(|(byte, &new)| *byte = new);
    bytes
}
