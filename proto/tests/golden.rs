//! The bytes and the meaning of every kind of datagram are those in `tests/vectors`: a change of the format changes
//! these files, and the version. `GLANCECAST_BLESS=1` rewrites them.

mod vectors;

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::{env, fs};

use glancecast_proto::wire::{
    About, Announce, Answer, AnswerState, Ask, Down, Encoding, End, Finding, Held, Hello, Kept, KeptRun,
    Kind, Listed, ManifestEntry, ManifestRun, Page, Poll, Report, SymbolHeader, Totals, Up,
};
use glancecast_testkit::hex;
use vectors::{KEY, RECEIVER, SALT, SESSION, SIGNING_SEED, Signed, Value};

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

/// Returns the text of a file: the datagram in words, what seals it, and its bytes.
fn text_of(value: &Value) -> String {
    let datagram = value.seal();
    let derivation = value.derivation();
    let (clear, sealed) = datagram.split_at(derivation.clear);
    let mut text = HEAD.to_owned();
    words(value, &mut text);
    let mut line = |name: &str, value: String| writeln!(text, "{name}: {value}").expect("a string grows");
    line("group key", hex::encode(&KEY));
    line("session", SESSION.to_string());
    match value {
        Value::Announce(_, Signed::Yes) | Value::Down(_, Signed::Yes) => {
            line("signing seed", hex::encode(&SIGNING_SEED));
            line("public key", hex::encode(&vectors::signing_key().public().0));
        }
        Value::Symbol(..) | Value::Announce(..) | Value::Down(..) | Value::Ask(_) | Value::Heard(_) => {}
        Value::Up(_) | Value::Answer(_) => line("receiver", RECEIVER.to_string()),
        Value::Notice(_) => line("salt", hex::encode(&SALT)),
    }
    line("sequence", derivation.sequence.to_string());
    line("key context", derivation.context.to_owned());
    line("key material", hex::encode(&derivation.material));
    line("clear", hex::encode(clear));
    line("plain", hex::encode(&derivation.plain(&datagram)));
    line("sealed", hex::encode(sealed));
    line("datagram", hex::encode(&datagram));
    text
}

fn words(value: &Value, out: &mut String) {
    let mut say = |name: &str, value: &dyn std::fmt::Display| {
        writeln!(out, "field {name}: {value}").expect("a string grows");
    };
    match value {
        Value::Symbol(header, symbol) => symbol_words(header, symbol, &mut say),
        Value::Announce(announce, _) => announce_words(announce, &mut say),
        Value::Down(Down::Manifest(run), _) => manifest_words(run, &mut say),
        Value::Down(Down::Poll(poll), _) => poll_words(poll, &mut say),
        Value::Down(Down::End(End::Over), _) => say("end", &"over"),
        Value::Down(Down::End(End::Aborted(reason)), _) => {
            say("end", &"aborted");
            say("reason", reason);
        }
        Value::Down(Down::Ack(ack), _) => {
            say("receiver", &ack.receiver);
            say("answers", &format_args!("{:?}", ack.kind));
            say("slot", &ack.slot);
        }
        Value::Up(Up::Hello(Hello { name, software, busy, kept })) => {
            say("name", name);
            say("software", software);
            say("busy", busy);
            kept_words(kept, &mut say);
        }
        Value::Up(Up::Report(report)) => report_words(report, &mut say),
        Value::Up(Up::Done(done)) => {
            say("root", &done.root);
            say("existing", &done.existing);
            totals_words(&done.totals, &mut say);
        }
        Value::Up(Up::Failed(failed)) => {
            say("failure", &format_args!("{:?} ({})", failed.kind, failed.kind as u8));
            say("reason", &failed.reason);
            totals_words(&failed.totals, &mut say);
        }
        Value::Notice(notice) => {
            say("version", &notice.version);
            say("session tag", &notice.tag);
            say("name", &notice.name);
            say("software", &notice.software);
        }
        Value::Ask(ask) => ask_words(ask, &mut say),
        Value::Heard(heard) => {
            say("receiver", &heard.receiver);
            say("edition", &heard.edition);
            say("page", &heard.page);
        }
        Value::Answer(answer) => answer_words(answer, &mut say),
    }
}

fn symbol_words(header: &SymbolHeader, symbol: &[u8], say: &mut Say<'_>) {
    say("block", &header.block);
    say("encoding symbol id", &header.esi);
    say("encoded length", &header.encoded_len);
    say("symbol bytes", &symbol.len());
}

fn announce_words(announce: &Announce, say: &mut Say<'_>) {
    say("time in ms since 1970", &announce.time.0);
    say("object bytes", &announce.geometry.object_bytes());
    say("block size, log2", &announce.geometry.block_log2());
    say("symbol size", &announce.geometry.symbol_size());
    let family = match announce.reply_to {
        SocketAddr::V4(_) => 4,
        SocketAddr::V6(_) => 6,
    };
    say("reply address family", &family);
    say("reply to", &announce.reply_to);
    say("hello spread in ms", &announce.spread.as_millis());
    say("expected hosts", &announce.expected_hosts);
    say("one way", &announce.one_way);
    say("name", &announce.name);
    say("image id", &announce.image_id.as_deref().unwrap_or(""));
    say("disk format", &format_args!("{} ({})", announce.format, announce.format as u8));
    say("pin", &announce.pin);
    say("base", &announce.base.as_ref().map_or("", |base| base.as_str()));
}

fn manifest_words(run: &ManifestRun, say: &mut Say<'_>) {
    for (block, listed, fingerprint) in run.iter() {
        let words = match listed {
            Listed::Zero => "zero".to_owned(),
            Listed::Data(ManifestEntry { encoding: Encoding::Zstd { encoded_len }, hash }) => {
                format!("zstd, {encoded_len} bytes, hash {hash}")
            }
            Listed::Data(ManifestEntry { hash, .. }) => format!("stored, hash {hash}"),
        };
        let fingerprint = fingerprint.map_or(String::new(), |print| format!(", fingerprint {print}"));
        say(&format!("block {block}"), &format_args!("{words}{fingerprint}"));
    }
}

fn poll_words(poll: &Poll, say: &mut Say<'_>) {
    say("round", &poll.round);
    say("blocks sent", &poll.blocks_sent);
    say("manifest entries sent", &poll.manifest_sent);
    say("window in us", &poll.window.as_micros());
    say("slots", &poll.slots);
    say("root", &poll.root.map_or("not yet".to_owned(), |root| root.to_string()));
}

fn report_words(report: &Report, say: &mut Say<'_>) {
    say("round", &report.round);
    say("highest sequence seen", &report.highest);
    say("blocks held", &report.blocks_held);
    say("covered", &report.covered);
    totals_words(&report.totals, say);
    for run in &report.deficits {
        say(
            &format!("deficit from block {}", run.first),
            &format_args!("{} blocks, {} symbols each", run.blocks, run.symbols),
        );
    }
    for run in &report.gaps {
        say(&format!("manifest gap from block {}", run.first), &format_args!("{} blocks", run.blocks));
    }
    kept_words(&report.kept, say);
}

fn kept_words(kept: &[KeptRun], say: &mut Say<'_>) {
    for run in kept {
        say(&format!("kept from block {}", run.first), &format_args!("{} blocks", run.blocks));
    }
}

fn totals_words(totals: &Totals, say: &mut Say<'_>) {
    say("symbols lost", &totals.symbols_lost);
    say("symbols repaired", &totals.symbols_repaired);
    say("bytes received", &totals.bytes_received);
    say("socket drops", &totals.socket_drops);
    say("store drops", &totals.store_drops);
    say("blocks reused", &totals.blocks_reused);
}

fn ask_words(ask: &Ask, say: &mut Say<'_>) {
    say("time in ms since 1970", &ask.time.0);
    say("round", &ask.round);
    say("reply to", &ask.reply_to);
    say("answer spread in ms", &ask.spread.as_millis());
    say("bytes of an answer at most", &ask.answer_bytes_max);
    say("question", &format_args!("{:?}", ask.query));
}

fn answer_words(answer: &Answer, say: &mut Say<'_>) {
    say("edition", &answer.edition);
    say("page", &format_args!("{} of {}", answer.page_number(), answer.pages));
    match &answer.page {
        Page::About(about) => about_words(about, say),
        Page::Objects { objects, .. } => objects.iter().for_each(|held| held_words(held, say)),
    }
}

fn about_words(about: &About, say: &mut Say<'_>) {
    say("name", &about.name);
    say("software", &about.software);
    say("store", &about.store);
    say("free bytes", &about.free_bytes.map_or("not known".to_owned(), |bytes| bytes.to_string()));
    say("objects held", &about.held);
    say("objects pinned", &about.pinned);
    let state = match &about.state {
        AnswerState::Final => "final".to_owned(),
        AnswerState::Verifying { done, of } => format!("verifying, {done} of {of} bytes"),
        AnswerState::Busy => "busy".to_owned(),
        AnswerState::Failed(reason) => format!("failed: {reason}"),
    };
    say("state", &state);
}

fn held_words(held: &Held, say: &mut Say<'_>) {
    let kept = |kept: Kept| match kept {
        Kept::ByRule => "by the rule".to_owned(),
        Kept::Until(until) => format!("until {}", until.0),
        Kept::Forever => "forever".to_owned(),
    };
    let finding = match &held.finding {
        Finding::Listed => "listed".to_owned(),
        Finding::Pending => "pending".to_owned(),
        Finding::Intact => "intact".to_owned(),
        Finding::Differs(root) => format!("differs, {root}"),
        Finding::Failed(reason) => format!("failed, {reason}"),
        Finding::LetGo(was) => format!("let go, was kept {}", kept(*was)),
    };
    let words = format!(
        "image id {}, {} bytes, root {}, proven at {}, kept {}, finding: {finding}",
        held.image_id.as_deref().unwrap_or("none"),
        held.bytes,
        held.root,
        held.proven.0,
        kept(held.kept),
    );
    say(&format!("object {:?}", held.name.as_str()), &words);
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

type Say<'a> = dyn FnMut(&str, &dyn std::fmt::Display) + 'a;

const HEAD: &str = "\
# A glancecast datagram, version 1 of the protocol. Written by proto/tests/golden.rs (GLANCECAST_BLESS=1), and checked
# there in both directions. verify.py beside this file does the sealing again without the program's code, for every file
# here: it derives the key (BLAKE3 derive_key of \"key material\" under \"key context\") in plain Python, and seals
# \"plain\" with the Python package cryptography, which is OpenSSL (AES-256-GCM; nonce: 4 zero bytes, then the sequence
# in 8; associated data: \"clear\"). The result equals \"datagram\". Where there is a \"signing seed\", \"plain\" ends with a
# signature, which it makes again too.
";
