//! A datagram in words: a line for each of its fields, for who compares another implementation with the vectors.

use std::fmt::{Display, Write};
use std::net::SocketAddr;

use glancecast_proto::wire::{
    About, Announce, Answer, AnswerState, Ask, Audience, Counter, Down, Encoding, End, Finding, Held, Hello,
    Kept, KeptRun, Listed, ManifestEntry, ManifestRun, Page, Poll, Probe, Proofs, Receipt, Report, Route,
    RouteAck, SymbolHeader, Totals, Up,
};
use glancecast_testkit::hex;

use crate::vectors::Value;
use crate::vectors::values::NAMED;

type Say<'a> = dyn FnMut(&str, &dyn Display) + 'a;

/// Appends the lines of a datagram.
pub(crate) fn append(value: &Value, out: &mut String) {
    let mut say = |name: &str, value: &dyn Display| {
        writeln!(out, "field {name}: {value}").expect("a string grows");
    };
    let say = &mut say;
    match value {
        Value::Symbol(header, symbol) => symbol_words(header, symbol, say),
        Value::Announce(announce, _) => announce_words(announce, say),
        Value::Down(down, _) => down_words(down, say),
        Value::Ack(ack) => {
            say("receiver", &ack.receiver);
            say("answers", &format_args!("{:?}", ack.kind));
            say("slot", &ack.slot);
        }
        Value::Route(route, _) => route_words(route, say),
        Value::Ask(ask, _) => ask_words(ask, say),
        Value::Heard(heard, _) => {
            say("receiver", &heard.receiver);
            say("edition", &heard.edition);
            say("page", &heard.page);
        }
        Value::Probe(probe, len) => probe_words(*probe, *len, say),
        Value::NewKey(receiver, key) => {
            say("receiver", receiver);
            say("new group key", &hex::encode(key));
        }
        Value::Hello(hello) => hello_words(hello, say),
        Value::Up(up) => up_words(up, say),
        Value::Answer(answer) => answer_words(answer, say),
        Value::RouteAck(ack) => route_ack_words(ack, say),
        Value::Notice(notice) => {
            say("version", &notice.version);
            say("session tag", &notice.tag);
            say("name", &notice.name);
            say("software", &notice.software);
        }
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
    say("started in ms since 1970", &announce.started.0);
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
    audience_words(announce.audience, say);
    say("agreement key", &announce.agreement);
    say("one way", &announce.one_way);
    say("name", &announce.name);
    say("image id", &announce.image_id.as_deref().unwrap_or(""));
    say("disk format", &format_args!("{} ({})", announce.format, announce.format as u8));
    say("pin", &announce.pin);
    say("base", &announce.base.as_ref().map_or("", |base| base.as_str()));
    match announce.data_bytes {
        Some(bytes) => say("data bytes", &bytes),
        None => say("data bytes", &"not known"),
    }
}

fn audience_words(audience: Audience, say: &mut Say<'_>) {
    match audience {
        Audience::Everyone => say("audience", &"everyone"),
        Audience::Named { names } => say("audience", &format_args!("{names} named hosts")),
    }
}

fn down_words(down: &Down, say: &mut Say<'_>) {
    match down {
        Down::Manifest(run) => manifest_words(run, say),
        Down::Poll(poll) => poll_words(poll, say),
        Down::End(End::Over) => say("end", &"over"),
        Down::End(End::Aborted(reason)) => {
            say("end", &"aborted");
            say("reason", reason);
        }
        Down::Audience(_) => say("hashes", &format_args!("all, of {} names", NAMED.len())),
        Down::Proofs(proofs) => proofs_words(proofs, say),
    }
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
    say("asks part", &format_args!("{} of {}", poll.part.number, poll.part.of));
    say("root", &poll.root.map_or("not yet".to_owned(), |root| root.to_string()));
}

fn proofs_words(proofs: &Proofs, say: &mut Say<'_>) {
    say("block", &proofs.block);
    say("first encoding symbol id", &proofs.first);
    for hash in &proofs.hashes {
        say("hash of the next symbol", &hex::encode(&hash.0));
    }
}

fn route_words(route: &Route, say: &mut Say<'_>) {
    say("time in ms since 1970", &route.time.0);
    say("generation", &route.generation);
    say("expires after ms", &route.expires.as_millis());
    say("parent", &route.parent);
    say("group", &route.group.map_or("none".to_owned(), |group| group.to_string()));
    route.children.iter().for_each(|child| say("child", child));
}

fn route_ack_words(ack: &RouteAck, say: &mut Say<'_>) {
    say("generation", &ack.generation);
    say("datagrams in", &ack.came);
    say("datagrams forwarded", &ack.forwarded);
    say("dropped, queue full", &ack.dropped_queue);
    say("dropped, above the rate", &ack.dropped_rate);
    say("gaps from the parent", &ack.parent_gaps);
    say("load in thousandths", &ack.load);
}

fn probe_words(probe: Probe, len: usize, say: &mut Say<'_>) {
    say("train", &probe.train);
    say("index", &probe.index);
    say("probes in the train", &probe.count);
    say("TTL", &probe.ttl);
    say("datagram bytes", &len);
}

fn hello_words(hello: &Hello, say: &mut Say<'_>) {
    say("agreement key", &hello.agreement);
    say("name", &hello.name);
    say("software", &hello.software);
    say("busy", &hello.busy.as_ref().map_or("no".to_owned(), |name| format!("with {name:?}")));
    say("can relay", &hello.can_relay);
    say("MTU", &hello.mtu.map_or("not known".to_owned(), |mtu| mtu.to_string()));
    via_words(hello.via, say);
    kept_words(&hello.kept, say);
}

fn up_words(up: &Up, say: &mut Say<'_>) {
    match up {
        Up::Report(report) => report_words(report, say),
        Up::Done(done) => {
            say("root", &done.root);
            say("existing", &done.existing);
            totals_words(&done.totals, say);
            receipt_words(&done.receipt, say);
            say("command after the publication", &format_args!("{:?}", done.command));
        }
        Up::Failed(failed) => {
            say("failure", &format_args!("{:?} ({})", failed.kind, failed.kind as u8));
            say("reason", &failed.reason);
            totals_words(&failed.totals, say);
            receipt_words(&failed.receipt, say);
        }
    }
}

fn report_words(report: &Report, say: &mut Say<'_>) {
    say("round", &report.round);
    say("highest sequence seen", &report.highest);
    say("blocks held", &report.blocks_held);
    say("covered", &report.covered);
    totals_words(&report.totals, say);
    say("buffers", &report.buffers);
    via_words(report.via, say);
    report.suspects.iter().for_each(|block| say("suspect block", block));
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

fn via_words(via: Option<SocketAddr>, say: &mut Say<'_>) {
    say("heard from", &via.map_or("nobody".to_owned(), |via| via.to_string()));
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
    say("symbols late", &totals.symbols_late);
    say("symbols forged", &totals.symbols_forged);
    say("blocks reused", &totals.blocks_reused);
}

fn receipt_words(receipt: &Receipt, say: &mut Say<'_>) {
    say("receipt of", &receipt.name);
    say("receipt's time in ms since 1970", &receipt.time.0);
}

fn ask_words(ask: &Ask, say: &mut Say<'_>) {
    say("time in ms since 1970", &ask.time.0);
    say("round", &ask.round);
    say("reply to", &ask.reply_to);
    say("answer spread in ms", &ask.spread.as_millis());
    say("bytes of an answer at most", &ask.answer_bytes_max);
    audience_words(ask.audience, say);
    say("agreement key", &ask.agreement);
    say("question", &format_args!("{:?}", ask.query));
}

fn answer_words(answer: &Answer, say: &mut Say<'_>) {
    say("edition", &answer.edition);
    say("page", &format_args!("{} of {}", answer.page_number(), answer.pages));
    match &answer.page {
        Page::About(about) => about_words(about, say),
        Page::Objects { objects, .. } => objects.iter().for_each(|held| held_words(held, say)),
        Page::Counters { counters, .. } => counters.iter().for_each(|counter| counter_words(*counter, say)),
    }
}

fn about_words(about: &About, say: &mut Say<'_>) {
    say("agreement key", &about.agreement);
    say("name", &about.name);
    say("software", &about.software);
    say("store", &about.store);
    say("free bytes", &about.free_bytes.map_or("not known".to_owned(), |bytes| bytes.to_string()));
    say("objects held", &about.held);
    say("objects pinned", &about.pinned);
    say("digest of what is held", &about.digest);
    let state = match &about.state {
        AnswerState::Final => "final".to_owned(),
        AnswerState::Verifying { done, of } => format!("verifying, {done} of {of} bytes"),
        AnswerState::Busy => "busy".to_owned(),
        AnswerState::Failed(reason) => format!("failed: {reason}"),
        AnswerState::AwaitingKey => "awaiting a new group key".to_owned(),
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
        Finding::Removed => "removed".to_owned(),
        Finding::InUse(by) => format!("in use, {by}"),
        Finding::Pinned => "kept, as it is pinned".to_owned(),
        Finding::SetAside(root) => format!("set aside, {root}"),
        Finding::PinSet(was) => format!("pinned, was kept {}", kept(*was)),
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

fn counter_words(counter: Counter, say: &mut Say<'_>) {
    say(&format!("counter {}", counter.id), &counter.value);
}
