//! The bytes and the meaning of every kind of datagram are those in `tests/vectors`: a change of the format changes
//! these files, and the version. `GLANCECAST_BLESS=1` rewrites them.

mod vectors;
mod words;

use std::fmt::{Display, Write};
use std::path::PathBuf;
use std::{env, fs};

use glancecast_proto::agree::{AgreementKey, AgreementPublic};
use glancecast_proto::ids::{GroupId, SessionId};
use glancecast_proto::sign::Scope;
use glancecast_proto::wire::{Discard, Down, Kind, Outcome, Page, Receipt, Up, VERSION};
use glancecast_testkit::hex;
use vectors::values::{HELD, NAMED, PROVEN};
use vectors::{
    HOST_AGREEMENT, HOST_SEED, KEY, KEYS, Party, RECEIVER, SALT, SENDER_AGREEMENT, SESSION, SIGNING_SEED,
    Signed, Value, Writer, host_public, scope, signing_key,
};

#[test]
fn every_datagram_is_sealed_to_the_bytes_in_its_file() {
    for (name, value) in vectors::values() {
        let text = text_of(&value);
        if env::var_os("GLANCECAST_BLESS").is_some() {
            fs::write(path_of(name), &text).expect("the vectors are writable");
        }
        let file = fs::read_to_string(path_of(name)).expect("one file for each datagram");
        assert_eq!(text, file, "{name}: GLANCECAST_BLESS=1 writes the files anew");
    }
}

#[test]
fn the_bytes_in_every_file_open_to_their_value() {
    for (name, value) in vectors::values() {
        let file = fs::read_to_string(path_of(name)).expect("one file for each datagram");
        let datagram = bytes_of(&file, "datagram");
        assert_eq!(Value::open(&datagram), Ok(value.clone()), "{name}");
        assert_eq!(value.derivation().plain(&datagram), bytes_of(&file, "plain"), "{name}");
    }
}

#[test]
fn a_body_that_is_signed_and_sealed_by_hand_is_the_same_datagram() {
    for (name, value) in vectors::values() {
        let (derivation, datagram) = (value.derivation(), value.seal());
        let mut body = derivation.plain(&datagram);
        if derivation.signer.is_some() {
            body.truncate(body.len() - 64);
        }
        let by_hand = derivation.sign_and_seal(&datagram[..derivation.clear], body);
        assert_eq!(hex::encode(&by_hand), hex::encode(&datagram), "{name}");
    }
}

#[test]
fn every_kind_has_a_file_and_every_file_a_datagram() {
    let values = vectors::values();
    for kind in Kind::ALL {
        assert!(values.values().any(|value| value.seal()[1] == kind as u8), "{kind:?}");
    }
    let files = fs::read_dir(directory()).expect("there").flatten();
    let files = files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "txt"));
    for path in files {
        let name = path.file_stem().expect("a name").to_str().expect("text");
        assert!(values.contains_key(name), "{name} is of no datagram");
    }
}

#[test]
fn what_is_signed_is_signed_in_one_file_at_least_and_by_whom_the_formats_say() {
    let values = vectors::values();
    let signed_by = |party| {
        let kinds = values.values().filter(move |value| value.signer() == Some(party));
        let mut kinds: Vec<u8> = kinds.map(|value| value.seal()[1]).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    };
    // Announce, manifest, poll, end, audience, ask, heard, route, proofs, new key; hello, answer, route ack.
    assert_eq!(signed_by(Party::Sender), [2, 3, 4, 5, 7, 8, 9, 10, 12, 13]);
    assert_eq!(signed_by(Party::Host), [16, 20, 21]);
}

#[test]
fn the_receipts_are_the_hosts_and_of_this_session_alone() {
    for (name, value) in vectors::values() {
        let Some((receipt, outcome)) = receipt_of(&value) else { continue };
        assert!(receipt.verify(host_public(), scope(), outcome), "{name}");
        let elsewhere =
            [Scope { group: GroupId([1; 32]), ..scope() }, Scope { session: SessionId([1; 16]), ..scope() }];
        assert!(elsewhere.iter().all(|&scope| !receipt.verify(host_public(), scope, outcome)), "{name}");
        assert!(!receipt.verify(signing_key().public(), scope(), outcome), "{name}");
    }
}

#[test]
fn both_sides_and_another_implementation_agree_on_the_shared_secret() {
    let [sender, host] = [SENDER_AGREEMENT, HOST_AGREEMENT].map(|seed| AgreementKey::from_seed(&seed.into()));
    assert_eq!(sender.public().0, vectors::crypto::agreement_public(&SENDER_AGREEMENT));
    let by_hand = vectors::crypto::shared(&SENDER_AGREEMENT, &host.public().0);
    assert!(Writer::PrivateUp.derivation(&SESSION.0, &RECEIVER.0).material.ends_with(&by_hand));
    assert!(sender.agree(&AgreementPublic([0; 32])).is_none());
}

#[test]
fn a_datagram_that_must_be_signed_is_refused_without_its_signature() {
    for (name, value) in vectors::values() {
        let unsigned = match value {
            Value::Down(down, Signed::Yes) => Value::Down(down, Signed::No),
            Value::Heard(heard, Signed::Yes) => Value::Heard(heard, Signed::No),
            _ => continue,
        };
        assert_eq!(Value::open_as(&unsigned.seal(), Signed::Yes), Err(Discard::BadSignature), "{name}");
    }
}

/// Returns the text of a file: the datagram in words, what seals it, and its bytes.
fn text_of(value: &Value) -> String {
    let datagram = value.seal();
    let derivation = value.derivation();
    let (clear, sealed) = datagram.split_at(derivation.clear);
    let mut text = HEAD.replace("VERSION", &VERSION.to_string());
    words::append(value, &mut text);
    let mut line =
        |name: &str, value: &dyn Display| writeln!(text, "{name}: {value}").expect("a string grows");
    line("group key", &hex::encode(&KEY));
    line("group id", &KEYS.group.id());
    line("session", &SESSION);
    match value.writer() {
        Writer::Down => {}
        Writer::Up | Writer::PrivateUp | Writer::PrivateDown => line("receiver", &RECEIVER),
        Writer::Notice => line("salt", &hex::encode(&SALT)),
    }
    append_secrets(value, &mut line);
    line("sequence", &derivation.sequence);
    line("key context", &derivation.context);
    line("key material", &hex::encode(&derivation.material));
    line("clear", &hex::encode(clear));
    line("plain", &hex::encode(&derivation.plain(&datagram)));
    line("sealed", &hex::encode(sealed));
    line("datagram", &hex::encode(&datagram));
    text
}

/// Appends the seeds and the sources of all that is signed, agreed or hashed in a datagram.
fn append_secrets(value: &Value, line: &mut dyn FnMut(&str, &dyn Display)) {
    if let Some(party) = value.signer() {
        let (seed, public) = match party {
            Party::Sender => (SIGNING_SEED, signing_key().public()),
            Party::Host => (HOST_SEED, host_public()),
        };
        line("signing seed", &hex::encode(&seed));
        line("public key", &hex::encode(&public.0));
    }
    if receipt_of(value).is_some() {
        line("receipt seed", &hex::encode(&HOST_SEED));
        line("receipt key", &hex::encode(&host_public().0));
    }
    for (party, seed) in agreements_of(value) {
        line(&format!("{party} agreement seed"), &hex::encode(seed));
        line(&format!("{party} agreement key"), &AgreementKey::from_seed(&(*seed).into()).public());
    }
    match value {
        Value::Down(Down::Audience(_), _) => line("names", &NAMED.join(" ")),
        Value::Down(Down::Proofs(_), _) => {
            line("symbols, each of one byte throughout", &hex::encode(&PROVEN));
        }
        Value::Answer(answer) if matches!(answer.page, Page::About(_)) => {
            let held = HELD.map(|(name, root)| format!("{}:{name}", hex::encode(&[root; 32])));
            line("held", &held.join(" "));
        }
        _ => {}
    }
}

/// Returns the agreement keys whose public halves a datagram has, or whose secret seals it.
fn agreements_of(value: &Value) -> Vec<(&'static str, &'static [u8; 32])> {
    let (sender, host) = (("sender", &SENDER_AGREEMENT), ("host", &HOST_AGREEMENT));
    match value {
        Value::Up(_) | Value::Ack(_) | Value::NewKey(..) => vec![sender, host],
        Value::Announce(..) | Value::Ask(..) => vec![sender],
        Value::Hello(_) => vec![host],
        Value::Answer(answer) if matches!(answer.page, Page::About(_)) => vec![host],
        _ => Vec::new(),
    }
}

fn receipt_of(value: &Value) -> Option<(&Receipt, Outcome)> {
    match value {
        Value::Up(Up::Done(done)) => Some((&done.receipt, done.outcome())),
        Value::Up(Up::Failed(failed)) => Some((&failed.receipt, failed.outcome())),
        _ => None,
    }
}

fn bytes_of(file: &str, name: &str) -> Vec<u8> {
    let line = file.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("such a line");
    hex::decode(line.trim()).expect("hex digits")
}

fn path_of(name: &str) -> PathBuf {
    directory().join(format!("{name}.txt"))
}

fn directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors"))
}

const HEAD: &str = "\
# A glancecast datagram, version VERSION of the protocol. Written by proto/tests/golden.rs (GLANCECAST_BLESS=1), and
# checked there in both directions. verify.py beside this file does all of it again without the program's code, for
# every file here: it derives the key (BLAKE3 derive_key of \"key material\" under \"key context\") in plain Python, and
# seals \"plain\" with the Python package cryptography, which is OpenSSL (AES-256-GCM; nonce: 4 zero bytes, then the
# sequence in 8; associated data: \"clear\"). The result equals \"datagram\". Where there is a \"signing seed\",
# \"plain\" ends with a signature, which it makes again too; where there is a \"receipt seed\", with a receipt. Where
# there are the agreement seeds of both sides, the key material ends with the secret that they share (X25519).
";
