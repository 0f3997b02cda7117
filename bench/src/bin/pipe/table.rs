//! The profile as tables of Markdown.

use std::fmt::Write;

use crate::profile::{Pipe, Profile, Stage};

/// The run in the middle.
pub(crate) fn page(pipe: &Pipe) -> String {
    let run = pipe.middle();
    let seconds: Vec<String> = pipe.runs.iter().map(|run| format!("{:.2}", run.seconds)).collect();
    let mut text = format!(
        "{} MiB to {}, {}, {} per mille lost, rate {}: {:.2} Gbit/s to each ({} s, the push alone {:.2} s)\n\
         datagrams of {} bytes, {} lost, {} of them in full socket buffers\n",
        pipe.image_bytes >> 20,
        pipe.receivers,
        pipe.network,
        pipe.loss_per_mille,
        pipe.rate,
        run.gbit_s,
        seconds.join(", "),
        run.push_seconds,
        run.datagram_bytes,
        run.lost,
        run.socket_drops,
    );
    for profile in [&run.sender, &run.receiver] {
        text += &section(profile);
    }
    let _ = writeln!(text, "\n{}", pipe.bottleneck);
    text
}

fn section(profile: &Profile) -> String {
    let mut text = format!(
        "\n{}: {:.2} s of CPU a GiB, {:.0} % of it in the kernel, {} MiB at most, {:.0} symbols\n\n",
        profile.program,
        profile.cpu_seconds_per_gib,
        profile.kernel_share * 100.0,
        profile.resident_bytes_max >> 20,
        profile.datagrams,
    );
    text += "| stage      | thread       | seconds |  GB/s | ns a datagram |\n|---|---|--:|--:|--:|\n";
    for stage in &profile.stages {
        let _ = writeln!(
            text,
            "| {:<10} | {:<12} | {:>7.3} | {:>5} | {:>13.0} |",
            stage.stage,
            stage.thread.trim_end_matches('-'),
            stage.seconds,
            rate(stage),
            stage.ns_per_datagram
        );
    }
    text += "\n| thread          | user s | kernel s |\n|---|--:|--:|\n";
    for thread in &profile.threads {
        let _ = writeln!(
            text,
            "| {:<15} | {:>6.2} | {:>8.2} |",
            thread.thread, thread.user_seconds, thread.system_seconds
        );
    }
    text
}

fn rate(stage: &Stage) -> String {
    // A stage that had nothing to do has no speed.
    let has_one = stage.seconds > 0.001;
    if has_one { format!("{:.2}", stage.bytes_per_second / 1e9) } else { "-".to_owned() }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::arguments::Arguments;
    use crate::profile::tests::run;

    #[test]
    fn a_stage_has_its_rate_and_the_end_names_the_bottleneck() {
        let pipe = Pipe::new(&Arguments::parse_from(["pipe"]), vec![run()]);
        let text = page(&pipe);
        assert!(text.contains("| seal       | send         |   0.800 |  1.34 |           800 |"), "{text}");
        assert!(text.trim_end().ends_with(&pipe.bottleneck), "{text}");
    }
}
