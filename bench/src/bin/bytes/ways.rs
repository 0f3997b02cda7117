//! The ways for an image that no host holds yet.

use std::time::Instant;

use glancecast_bench::case::{Ground, Way};
use glancecast_bench::glancecast::{Glancecast, LINE_SHARE, Programs, rate};
use glancecast_bench::tools::udpcast::Udpcast;
use glancecast_bench::tools::{self, Extra};
use glancecast_tests::image;

use crate::{goals, run};

/// Returns a push by glancecast with this `--compress`.
pub(crate) fn glancecast(name: &str, compress: &'static str) -> Way {
    Way::new(name, move |ground| {
        let mut site = ground.site()?;
        site.warm = false;
        let pushed = push(ground, &["--compress", compress]).push(&site)?;
        let (report, ran) = (&pushed.report, &pushed.ran);
        let (content, object) = (&report.content, &report.object);
        let stages = report.stages.iter().filter(|stage| stage.seconds >= 0.01);
        let stages: Vec<_> = stages.map(|stage| format!("{} {:.2}", stage.stage, stage.seconds)).collect();
        let in_datagrams =
            |bytes: u64| bytes as f64 * object.datagram_bytes as f64 / object.symbol_bytes as f64;
        let overhead = match content.encoded_bytes {
            0 => String::new(),
            bytes => format!(", {:.4} x the least for these", report.wire.bytes as f64 / in_datagrams(bytes)),
        };
        let details = format!(
            "copy {:.1} MiB on its disk; {} data, {} encoded bytes{overhead}; {} zero, {} stored, {} zstd blocks; manifest {}, \
             repair {} bytes; CPU {:.2} and {:.2} s; seconds: {}",
            ran.allocated_bytes as f64 / f64::from(1 << 20),
            content.data_bytes,
            content.encoded_bytes,
            content.zero_blocks,
            content.stored_blocks,
            content.zstd_blocks,
            pushed.bytes_of("manifest"),
            pushed.bytes_of("repair"),
            pushed.sender().end.cpu.as_secs_f64(),
            pushed.receiver().end.cpu.as_secs_f64(),
            stages.join(", ")
        );
        let mut run = run(ran.seconds, report.wire.bytes, Some(ran.allocated_bytes), &details);
        let least = ground.data_bytes.map(|bytes| ("least_bytes".to_owned(), in_datagrams(bytes).floor()));
        run.figures.extend(least);
        Ok(run)
    })
}

/// Returns a push by udpcast through `zstd -1` and `zstd -d`.
pub(crate) fn udpcast() -> Way {
    Way::new("udpcast, zstd -1", |ground| {
        let mut site = ground.site()?;
        site.warm = false;
        let ran = tools::compare(&Udpcast { through_zstd: true }, &Extra::default(), &site)?;
        let details = "bytes with Ethernet headers; neither encrypted nor verified";
        Ok(run(ran.seconds, ran.sent_bytes, Some(ran.allocated_bytes), details))
    })
}

/// Returns the size and time of `zstd -1` alone, without a network.
pub(crate) fn zstd() -> Way {
    let way = Way::new(goals::ZSTD, |ground| {
        let begin = Instant::now();
        let bytes = image::zstd_bytes(&ground.image.path, 1);
        Ok(run(begin.elapsed().as_secs_f64(), bytes, None, "one thread, nothing is sent"))
    });
    Way { once: true, ..way }
}

/// Returns a push whose spool is in memory like everything else, so that no disk affects the result.
pub(crate) fn push(ground: &Ground<'_>, options: &[&str]) -> Glancecast {
    let mut push = Glancecast::new(&Programs::ours(), rate(ground.network, LINE_SHARE));
    let spool = ground.directory.to_string_lossy();
    push.sender_options = ["--spool", &spool].iter().chain(options).map(|&word| word.to_owned()).collect();
    push
}
