//! The results as a plot: for each row a bar for each tool, as long as the logarithm of its seconds, and marks for
//! what the line and the kernel's path alone need. Readable on light and on dark.

use std::fmt::Write;

use glancecast_bench::record::{Record, Row, Runs};
use glancecast_bench::ways::{KERNEL_PATH, LINE};

/// All rows, one below the other, on one scale.
pub(crate) fn plot(record: &Record) -> String {
    let scale = Scale::over(record);
    let height = TOP + record.rows.iter().map(panel_height).sum::<f64>() + BOTTOM;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\">\n<title>Seconds until the last host has the image</title>\n{STYLE}\n"
    );
    let _ = writeln!(
        svg,
        "<text class=\"head\" x=\"{MARGIN}\" y=\"22\">Seconds until the last host has the image (logarithmic; shorter is better)</text>"
    );
    let mut y = TOP;
    for row in &record.rows {
        panel(&mut svg, row, &scale, y);
        y += panel_height(row);
    }
    legend(&mut svg, y + 20.0);
    svg + "</svg>\n"
}

/// Seconds to pixels.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn over(record: &Record) -> Self {
        let all = record.rows.iter().flat_map(|row| row.ways.iter().filter_map(|way| way.median("seconds")));
        let (low, high) =
            all.fold((f64::INFINITY, 0.0_f64), |(low, high), seconds| (low.min(seconds), high.max(seconds)));
        if high == 0.0 {
            return Self { low: 1.0, high: 10.0 };
        }
        // Room for a bar at the low end and for the figure behind the longest.
        Self { low: low * 0.6, high: high * 1.1 }
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (seconds / self.low).ln() / (self.high / self.low).ln()
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let decades = (-3..4).flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(decade)));
        decades.filter(|tick| (self.low..self.high).contains(tick))
    }
}

/// The ways that are tools.
fn tools(row: &Row) -> impl Iterator<Item = &Runs> {
    row.ways.iter().filter(|way| ![LINE, KERNEL_PATH].contains(&way.way.as_str()))
}

fn panel_height(row: &Row) -> f64 {
    TITLE + tools(row).count() as f64 * BAR + GAP
}

fn panel(svg: &mut String, row: &Row, scale: &Scale, top: f64) {
    let (first, last) = (top + TITLE, top + TITLE + tools(row).count() as f64 * BAR);
    let title = escape(&format!("{}: {}", row.name, row.work));
    let _ = writeln!(svg, "<text class=\"title\" x=\"{MARGIN}\" y=\"{:.1}\">{title}</text>", top + 14.0);
    for tick in scale.ticks() {
        let x = scale.x(tick);
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{x:.1} {first:.1}V{last:.1}\"/>");
        let _ = writeln!(svg, "<text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\">{tick}</text>", last + 12.0);
    }
    for (index, tool) in tools(row).enumerate() {
        bar(svg, tool, scale, first + index as f64 * BAR);
    }
    for (class, way) in [("line", LINE), ("kernel", KERNEL_PATH)] {
        if let Some(seconds) = row.way(way).and_then(|way| way.median("seconds")) {
            let x = scale.x(seconds);
            let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{x:.1} {first:.1}V{last:.1}\"/>");
        }
    }
}

fn bar(svg: &mut String, tool: &Runs, scale: &Scale, y: f64) {
    let text_y = y + BAR - 6.0;
    let _ = writeln!(
        svg,
        "<text class=\"name\" x=\"{:.1}\" y=\"{text_y:.1}\">{}</text>",
        LEFT - 8.0,
        escape(&tool.way)
    );
    let Some(seconds) = tool.median("seconds") else {
        let _ =
            writeln!(svg, "<text class=\"value\" x=\"{:.1}\" y=\"{text_y:.1}\">failed</text>", LEFT + 6.0);
        return;
    };
    let class = if tool.way == "glancecast" { "ours" } else { "theirs" };
    let end = scale.x(seconds);
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\"/>",
        y + 2.0,
        end - LEFT,
        BAR - 4.0
    );
    let failed = match tool.failures() {
        0 => String::new(),
        failures => format!(", {failures} failed"),
    };
    let _ = writeln!(
        svg,
        "<text class=\"value\" x=\"{:.1}\" y=\"{text_y:.1}\">{:.2} s, {:.0} MiB sent{failed}</text>",
        end + 6.0,
        seconds,
        tool.median("sent_bytes").unwrap_or(0.0) / f64::from(1 << 20)
    );
}

fn legend(svg: &mut String, y: f64) {
    let entries = [("line", "the line alone"), ("kernel", "the kernel's path alone")];
    for (index, (class, words)) in entries.iter().enumerate() {
        let x = LEFT + 220.0 * index as f64;
        let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{x:.1} {:.1}v14\"/>", y - 11.0);
        let _ = writeln!(svg, "<text class=\"value\" x=\"{:.1}\" y=\"{y:.1}\">{words}</text>", x + 8.0);
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const WIDTH: f64 = 900.0;
const MARGIN: f64 = 16.0;
const LEFT: f64 = 112.0;
/// The longest bar ends here; its figures follow.
const RIGHT: f64 = 740.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 40.0;
const TITLE: f64 = 22.0;
const BAR: f64 = 20.0;
const GAP: f64 = 30.0;
const STYLE: &str = "\
<style>
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.head { font-size: 15px; font-weight: 600; } .title { font-weight: 600; }
.name { text-anchor: end; } .tick { text-anchor: middle; font-size: 10px; fill: #6e7781; }
.ours { fill: #0a69da; } .theirs { fill: #9aa4af; }
path { fill: none; } .grid { stroke: #8b949e; stroke-opacity: 0.25; }
.line { stroke: #1a7f37; stroke-width: 2; } .kernel { stroke: #bc4c00; stroke-width: 2; stroke-dasharray: 4 3; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .tick { fill: #8b949e; } .ours { fill: #4493f8; } .theirs { fill: #6e7681; }
  .line { stroke: #3fb950; } .kernel { stroke: #f0883e; }
}
</style>";

#[cfg(test)]
mod tests {
    use glancecast_bench::lab::machine::Machine;
    use glancecast_bench::lab::network::Network;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slower_tool_has_a_longer_bar() {
        let svg = plot(&record(&[("glancecast", Some(3.0)), ("udpcast", Some(30.0)), (LINE, Some(2.0))]));
        let width = |class: &str| -> f64 {
            let bar =
                svg.lines().find(|line| line.contains(&format!("<rect class=\"{class}\""))).expect("a bar");
            let (_, rest) = bar.split_once("width=\"").expect("it has a width");
            rest.split('"').next().and_then(|width| width.parse().ok()).expect("a number")
        };
        assert!(width("ours") > 0.0 && width("theirs") > 2.0 * width("ours"), "{svg}");
        assert!(width("theirs") <= RIGHT - LEFT && svg.matches("<rect").count() == 2, "{svg}");
    }

    #[test]
    fn nothing_measured_and_nothing_completed_are_plots_too() {
        assert!(plot(&Record::default()).ends_with("</svg>\n"));
        assert!(plot(&record(&[("uftp", None)])).contains(">failed<"));
    }

    fn record(ways: &[(&str, Option<f64>)]) -> Record {
        let run = |seconds: &Option<f64>| match seconds {
            Some(seconds) => json!({ "figures": { "seconds": seconds }, "details": "", "failure": null }),
            None => json!({ "figures": {}, "details": "", "failure": "gone" }),
        };
        let way = |(way, seconds): &(&str, _)| json!({ "way": way, "about": "", "commands": [], "runs": [run(seconds)] });
        let row = json!({
            "name": "8x1g", "work": "some", "network": Network::unshaped(8), "image_bytes": 1, "allocated_bytes": 1,
            "seed": 4, "machine": Machine::this(), "ways": ways.iter().map(way).collect::<Vec<_>>(),
        });
        serde_json::from_value(json!({ "format": 2, "rows": [row], "goals": [] })).expect("a record")
    }
}
