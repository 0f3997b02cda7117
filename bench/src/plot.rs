//! The results as a picture. Each row has a bar for each tool, whose length shows its seconds, and marks for what the
//! line and the kernel's path alone need. It is readable on light and dark backgrounds.

use std::fmt::Write;

use crate::record::{Record, Row, Runs};
use crate::ways::{KERNEL_PATH, LINE};

/// The scale of the bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Each row has its own scale.
    Row,
    /// All rows share the scale of seconds.
    Common,
}

/// Returns a picture of all rows, one below the other.
pub fn plot(title: &str, record: &Record, scale: Scale) -> String {
    let longest = |rows: &[Row]| {
        let seconds = rows.iter().flat_map(|row| row.ways.iter().filter_map(|way| way.median("seconds")));
        seconds.fold(f64::MIN_POSITIVE, f64::max)
    };
    let (mut body, mut y) = (String::new(), TOP);
    for row in &record.rows {
        let rows = if scale == Scale::Row { std::slice::from_ref(row) } else { &record.rows };
        y = panel(&mut body, row, y, BARS / longest(rows));
    }
    for (index, (class, words)) in [("line", LINE), ("kernel", KERNEL_PATH)].iter().enumerate() {
        if record.rows.iter().any(|row| row.way(words).is_some()) {
            let x = LEFT + 200.0 * index as f64;
            let _ = writeln!(body, r#"<path class="{class}" d="M{x} {y:.0}v14"/>"#);
            text(&mut body, "value", x + 8.0, y + 12.0, words);
        }
    }
    let mut head = String::new();
    text(&mut head, "head", MARGIN, 22.0, title);
    let (height, title) = (y + 26.0, escape(title));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\">\n<title>{title}</title>\n{STYLE}\n{head}{body}</svg>\n"
    )
}

/// Draws a row from `top` down and returns its end. `scale` is in pixels per second.
fn panel(svg: &mut String, row: &Row, top: f64, scale: f64) -> f64 {
    text(svg, "title", MARGIN, top + 14.0, &row.work);
    let first = top + TITLE;
    let tools = row.ways.iter().filter(|way| ![LINE, KERNEL_PATH].contains(&way.way.as_str()));
    let mut y = first;
    for tool in tools {
        bar(svg, tool, y, scale);
        y += BAR;
    }
    for (class, way) in [("line", LINE), ("kernel", KERNEL_PATH)] {
        if let Some(seconds) = row.way(way).and_then(|way| way.median("seconds")) {
            let x = LEFT + seconds * scale;
            let _ = writeln!(svg, r#"<path class="{class}" d="M{x:.1} {first:.1}V{y:.1}"/>"#);
        }
    }
    y + GAP
}

fn bar(svg: &mut String, tool: &Runs, y: f64, scale: f64) {
    let text_y = y + BAR - 6.0;
    text(svg, "name", LEFT - 8.0, text_y, &tool.way);
    let Some(seconds) = tool.median("seconds") else {
        return text(svg, "value", LEFT + 6.0, text_y, "failed");
    };
    let class = if tool.way == "glancecast" { "ours" } else { "theirs" };
    let (width, height) = (seconds * scale, BAR - 4.0);
    let _ = writeln!(
        svg,
        r#"<rect class="{class}" x="{LEFT}" y="{:.1}" width="{width:.1}" height="{height}" rx="2"/>"#,
        y + 2.0
    );
    let failed = match tool.failures() {
        0 => String::new(),
        failures => format!(", {failures} failed"),
    };
    let sent = tool.median("sent_bytes").unwrap_or(0.0) / f64::from(1 << 20);
    text(svg, "value", LEFT + width + 6.0, text_y, &format!("{seconds:.2} s, {sent:.0} MiB sent{failed}"));
}

fn text(svg: &mut String, class: &str, x: f64, y: f64, words: &str) {
    let _ = writeln!(svg, r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{}</text>"#, escape(words));
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const WIDTH: f64 = 900.0;
const MARGIN: f64 = 16.0;
const LEFT: f64 = 112.0;
/// The length of the longest bar; the figures follow it.
const BARS: f64 = 600.0;
const TOP: f64 = 40.0;
const TITLE: f64 = 22.0;
const BAR: f64 = 20.0;
const GAP: f64 = 14.0;
const STYLE: &str = "\
<style>
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.head { font-size: 15px; font-weight: 600; } .title { font-weight: 600; } .name { text-anchor: end; }
.ours { fill: #0a69da; } .theirs { fill: #9aa4af; } path { fill: none; stroke-width: 2; }
.line { stroke: #1a7f37; } .kernel { stroke: #bc4c00; stroke-dasharray: 4 3; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .ours { fill: #4493f8; } .theirs { fill: #6e7681; }
  .line { stroke: #3fb950; } .kernel { stroke: #f0883e; }
}
</style>";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::row;

    #[test]
    fn a_bar_is_as_long_as_its_seconds() {
        let ways: &[(&str, &[Option<f64>])] =
            &[("glancecast", &[Some(3.0)]), ("udpcast", &[Some(30.0)]), (LINE, &[Some(2.0)])];
        let svg = plot(
            "Seconds & more",
            &record(&[row("a", ways), row("b", &[("uftp", &[Some(60.0)])])]),
            Scale::Row,
        );
        assert_eq!(widths(&svg), [60.0, 600.0, 600.0], "{svg}");
        let svg = plot("", &record(&[row("a", ways), row("b", &[("uftp", &[Some(60.0)])])]), Scale::Common);
        assert_eq!(widths(&svg), [30.0, 300.0, 600.0], "{svg}");
    }

    #[test]
    fn nothing_measured_and_nothing_completed_are_pictures_too() {
        assert!(plot("", &Record::default(), Scale::Row).ends_with("</svg>\n"));
        assert!(plot("", &record(&[row("a", &[("uftp", &[None])])]), Scale::Row).contains(">failed<"));
    }

    fn widths(svg: &str) -> Vec<f64> {
        let bars = svg.lines().filter_map(|line| line.strip_prefix("<rect")?.split_once("width=\""));
        bars.filter_map(|(_, rest)| rest.split('"').next()?.parse().ok()).collect()
    }

    fn record(rows: &[Row]) -> Record {
        let mut record = Record::default();
        rows.iter().for_each(|row| record.put(row.clone(), &["a", "b"]));
        record
    }
}
