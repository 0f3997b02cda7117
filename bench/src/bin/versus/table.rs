//! The results as a page of Markdown.

use std::fmt::Write;

use crate::record::{Measured, Results, Versus};

/// All scenarios.
pub(crate) fn page(versus: &Versus) -> String {
    let mut page = String::from(HEAD);
    for measured in &versus.scenarios {
        page += "\n";
        page += &section(measured);
        page += &details(measured);
    }
    page
}

/// One scenario's table.
pub(crate) fn section(measured: &Measured) -> String {
    let mut text = format!("## {}\n\n", measured.name);
    let runs = measured.tools.iter().map(|tool| tool.runs.len()).max().unwrap_or(0);
    let _ = writeln!(text, "{}; medians of {runs}.\n", measured.network.title(measured.image_bytes));
    text += "| | seconds | x line | x kernel path | sent, MiB | CPU s, sender | CPU s, all receivers | failed |\n";
    text += "|---|--:|--:|--:|--:|--:|--:|--:|\n";
    if let Some(line) = measured.line_seconds {
        text += &row("the line alone", Some(line), measured, None);
    }
    text += &row("the kernel's path alone", measured.kernel_path_seconds(), measured, None);
    for tool in &measured.tools {
        text += &row(&tool.name, tool.medians().map(|medians| medians.seconds), measured, Some(tool));
    }
    text
}

fn row(name: &str, seconds: Option<f64>, measured: &Measured, tool: Option<&Results>) -> String {
    let cell = |value: Option<f64>, decimals: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
    };
    let against = |reference: Option<f64>| Some(seconds? / reference?);
    let medians = tool.and_then(Results::medians);
    format!(
        "| {name} | {} | {} | {} | {} | {} | {} | {} |\n",
        cell(seconds, 2),
        cell(against(measured.line_seconds), 2),
        cell(against(measured.kernel_path_seconds()), 2),
        cell(medians.map(|medians| medians.sent_bytes / f64::from(1 << 20)), 0),
        cell(medians.map(|medians| medians.sender_cpu_seconds), 2),
        cell(medians.map(|medians| medians.receivers_cpu_seconds), 2),
        tool.map_or_else(String::new, |tool| format!("{} of {}", tool.failures(), tool.runs.len())),
    )
}

/// What was run, and on what.
fn details(measured: &Measured) -> String {
    let machine = &measured.machine;
    let mut text = format!(
        "\n{} x {}, Linux {}, TCP with {}, {}; commit {}.\n",
        machine.cores,
        machine.processor,
        machine.kernel,
        machine.congestion_control,
        machine.limits.join(", "),
        machine.commit
    );
    if let Some(path) = measured.kernel_path.first() {
        let _ = writeln!(
            text,
            "The kernel's path alone: {:.0} datagrams/s, {:.2} Gbit/s to each receiver.",
            path.datagrams_per_second, path.gbit_s
        );
    }
    for tool in &measured.tools {
        let _ = writeln!(text, "\n{} ({}): {}\n", tool.name, tool.version, tool.note);
        for command in &tool.commands {
            let _ = writeln!(text, "    {command}");
        }
        for failure in tool.runs.iter().filter_map(|run| run.failure.as_ref()) {
            let _ = writeln!(text, "\nfailed: {failure}");
        }
    }
    text
}

const HEAD: &str = "\
# glancecast and what people use today

Written by `make bench-versus`; `docs/comparison.md` explains the columns and the options. Seconds until the last receiver
had a file equal to the image. Only glancecast encrypts and authenticates what it sends.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::measured;

    #[test]
    fn a_row_has_medians_and_their_ratios() {
        let text = section(&measured("8x1g", &[("udpcast", &[Some(4.54), Some(4.54), None])]));
        let row = text.lines().find(|line| line.starts_with("| udpcast")).expect("its row");
        assert_eq!(row, "| udpcast | 4.54 | 2.00 | 2.52 | 300 | 0.00 | 0.00 | 1 of 3 |");
    }

    #[test]
    fn a_tool_that_always_failed_has_no_figures_but_a_reason() {
        let mut versus = Versus::default();
        versus.put(measured("1-unshaped", &[("uftp", &[None])]));
        let text = page(&versus);
        assert!(text.contains("| uftp | - | - | - | - | - | - | 1 of 1 |"), "{text}");
        assert!(text.contains("failed: gone") && !text.contains("the line alone"), "{text}");
    }
}
