//! A terminal session as a picture for the README: text in, SVG out.

use std::fmt::Write;

use crate::output::width::width;

/// Returns a picture of a terminal of so many columns with this text. Lines that begin with `#` are titles.
pub(super) fn terminal(text: &str, columns: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let (wide, high) = (columns * CHAR + 2 * MARGIN, lines.len() * LINE + 2 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{high}\" viewBox=\"0 0 {wide} {high}\" \
         font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"13\">\n\
         <title>A push to six hosts, of which one is slow and one is off</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#1c2128\"/>\n"
    );
    for (i, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
        let y = MARGIN + i * LINE + LINE * 3 / 4;
        let colour = match line {
            line if line.starts_with('#') => "#768390",
            line if line.contains("late") || line.contains("not heard") => "#daaa3f",
            line if line.starts_with("incomplete") => "#e5534b",
            _ => "#cdd9e5",
        };
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"{y}\" fill=\"{colour}\" textLength=\"{}\" xml:space=\"preserve\">{}</text>",
            width(line) * CHAR,
            escaped(line)
        );
    }
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Pixels of a character and a line, and around all of them.
const CHAR: usize = 8;
const LINE: usize = 18;
const MARGIN: usize = 14;
