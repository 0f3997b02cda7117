//! What a person sees of a push, kept as text: 1, 6, 100 and 1 000 hosts, at terminals of several widths, at five moments;
//! and of a diagnosis of a thousand hosts.
//!
//! The texts are in `kept/`. After a change that is meant, `GLANCECAST_BLESS=1 cargo test --release --locked -p
//! glancecast-sender screens` writes them anew, and docs/session.svg with them.

mod doctor;
pub(super) mod story;
mod svg;

use std::fs;
use std::path::PathBuf;

use story::Story;

/// Compares a text with the kept one, or keeps it.
fn compare(path: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("GLANCECAST_BLESS").is_some() {
        fs::write(&path, text).expect("the source can be written");
        return;
    }
    let kept = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(
        text,
        kept,
        "{} is not what is printed; if it is meant so: GLANCECAST_BLESS=1",
        path.display()
    );
}

#[test]
fn one_host_six_hosts_a_hundred_and_a_thousand_have_the_screens_that_are_kept() {
    for hosts in [1, 6, 100, 1000] {
        for columns in [80, 140, 200] {
            let text = Story::of(hosts).told(columns);
            compare(&format!("src/output/screens/kept/{hosts}-hosts-{columns}-columns.txt"), &text);
        }
    }
}

#[test]
fn no_line_is_wider_than_the_screen_and_no_screen_is_longer() {
    for hosts in [1, 6, 100, 1000] {
        for columns in [80, 100, 140, 200] {
            let text = Story::of(hosts).told(columns);
            for line in text.lines() {
                assert!(super::width::width(line) <= columns, "{hosts} hosts, {columns} columns: {line}");
            }
            for moment in text.split("\n\n\n") {
                assert!(moment.lines().count() <= 24, "{hosts} hosts, {columns} columns:\n{moment}");
            }
        }
    }
}

#[test]
fn the_recorded_session_in_the_readme_is_that_of_six_hosts() {
    let svg = svg::terminal(&Story::of(6).told(100), 100);
    compare("../docs/session.svg", &svg);
}
