//! The results as a plot: for each scenario a bar for each tool, as long as the logarithm of its seconds, and marks for
//! what the line and the kernel's path alone need. Readable on light and on dark.

use std::fmt::Write;

use crate::record::{Measured, Results, Versus};

/// All scenarios, one below the other, on one scale.
pub(crate) fn plot(versus: &Versus) -> String {
    let scale = Scale::over(versus);
    let height = TOP + versus.scenarios.iter().map(panel_height).sum::<f64>() + BOTTOM;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\">\n<title>Seconds until the last host has the image</title>\n{STYLE}\n"
    );
    let _ = writeln!(
        svg,
        "<text class=\"head\" x=\"{MARGIN}\" y=\"22\">Seconds until the last host has the image (logarithmic; shorter is better)</text>"
    );
    let mut y = TOP;
    for measured in &versus.scenarios {
        panel(&mut svg, measured, &scale, y);
        y += panel_height(measured);
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
    fn over(versus: &Versus) -> Self {
        let all = versus.scenarios.iter().flat_map(|measured| {
            let tools = measured.tools.iter().filter_map(Results::medians).map(|medians| medians.seconds);
            tools.chain(measured.line_seconds).chain(measured.kernel_path_seconds())
        });
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

fn panel_height(measured: &Measured) -> f64 {
    TITLE + measured.tools.len() as f64 * ROW + GAP
}

fn panel(svg: &mut String, measured: &Measured, scale: &Scale, top: f64) {
    let (first, last) = (top + TITLE, top + TITLE + measured.tools.len() as f64 * ROW);
    let title = escape(&format!("{}: {}", measured.name, measured.network.title(measured.image_bytes)));
    let _ = writeln!(svg, "<text class=\"title\" x=\"{MARGIN}\" y=\"{:.1}\">{title}</text>", top + 14.0);
    for tick in scale.ticks() {
        let x = scale.x(tick);
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{x:.1} {first:.1}V{last:.1}\"/>");
        let _ = writeln!(svg, "<text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\">{tick}</text>", last + 12.0);
    }
    for (index, tool) in measured.tools.iter().enumerate() {
        bar(svg, tool, scale, first + index as f64 * ROW);
    }
    for (class, seconds) in [("line", measured.line_seconds), ("kernel", measured.kernel_path_seconds())] {
        if let Some(seconds) = seconds {
            let x = scale.x(seconds);
            let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{x:.1} {first:.1}V{last:.1}\"/>");
        }
    }
}

fn bar(svg: &mut String, tool: &Results, scale: &Scale, y: f64) {
    let text_y = y + ROW - 6.0;
    let _ = writeln!(
        svg,
        "<text class=\"name\" x=\"{:.1}\" y=\"{text_y:.1}\">{}</text>",
        LEFT - 8.0,
        escape(&tool.name)
    );
    let Some(medians) = tool.medians() else {
        let _ =
            writeln!(svg, "<text class=\"value\" x=\"{:.1}\" y=\"{text_y:.1}\">failed</text>", LEFT + 6.0);
        return;
    };
    let class = if tool.name == "glancecast" { "ours" } else { "theirs" };
    let end = scale.x(medians.seconds);
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\"/>",
        y + 2.0,
        end - LEFT,
        ROW - 4.0
    );
    let failed = match tool.failures() {
        0 => String::new(),
        failures => format!(", {failures} failed"),
    };
    let _ = writeln!(
        svg,
        "<text class=\"value\" x=\"{:.1}\" y=\"{text_y:.1}\">{:.2} s, {:.0} MiB sent{failed}</text>",
        end + 6.0,
        medians.seconds,
        medians.sent_bytes / f64::from(1 << 20)
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
const ROW: f64 = 20.0;
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
    use super::*;
    use crate::record::tests::measured;

    #[test]
    fn a_slower_tool_has_a_longer_bar() {
        let mut versus = Versus::default();
        versus.put(measured("8x1g", &[("glancecast", &[Some(3.0)]), ("udpcast", &[Some(30.0)])]));
        let svg = plot(&versus);
        let width = |class: &str| -> f64 {
            let bar =
                svg.lines().find(|line| line.contains(&format!("<rect class=\"{class}\""))).expect("a bar");
            let (_, rest) = bar.split_once("width=\"").expect("it has a width");
            rest.split('"').next().and_then(|width| width.parse().ok()).expect("a number")
        };
        assert!(width("ours") > 0.0 && width("theirs") > 2.0 * width("ours"), "{svg}");
        assert!(width("theirs") <= RIGHT - LEFT, "{svg}");
    }

    #[test]
    fn nothing_measured_and_nothing_completed_are_plots_too() {
        let mut versus = Versus::default();
        assert!(plot(&versus).ends_with("</svg>\n"));
        versus.put(measured("1-unshaped", &[("uftp", &[None])]));
        assert!(plot(&versus).contains(">failed<"));
    }
}
