//! Widths as a terminal shows them: a character of Chinese takes two columns, a combining mark none. Everything that lines
//! up, is cut or is broken into lines is measured here, and no text is cut inside a character that a person sees as one.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Returns the columns that a line takes on a terminal.
pub(crate) fn width(line: &str) -> usize {
    line.width()
}

/// Returns the line if it fits, else as much of its beginning as fits with an ellipsis.
pub(crate) fn cut(line: &str, columns: usize) -> String {
    if width(line) <= columns {
        return line.to_owned();
    }
    match columns {
        0 => String::new(),
        _ => format!("{}{ELLIPSIS}", &line[..head(line, columns - 1)]),
    }
}

/// Returns the line if it fits, else its beginning and its end with an ellipsis between them: names of one series differ
/// at their ends.
pub(crate) fn cut_middle(line: &str, columns: usize) -> String {
    if width(line) <= columns || columns < 3 {
        return cut(line, columns);
    }
    let end = (columns - 1) / 2;
    let first = head(line, columns - 1 - end);
    format!("{}{ELLIPSIS}{}", &line[..first], &line[tail(line, end)..])
}

/// Breaks a text into lines of at most this width, between words where that is possible. A text without words has one
/// empty line.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is one from the start");
        let gap = usize::from(!last.is_empty());
        if width(last) + gap + width(word) <= columns {
            last.push_str(&" ".repeat(gap));
            last.push_str(word);
            continue;
        }
        let mut rest = word;
        while width(rest) > columns {
            // At least one character, so that a terminal of one column ends somewhere.
            let end = head(rest, columns).max(rest.chars().next().map_or(0, char::len_utf8));
            push_line(&mut lines, &rest[..end]);
            rest = &rest[end..];
        }
        if !rest.is_empty() {
            push_line(&mut lines, rest);
        }
    }
    lines
}

fn push_line(lines: &mut Vec<String>, line: &str) {
    match lines.last_mut() {
        Some(last) if last.is_empty() => last.push_str(line),
        _ => lines.push(line.to_owned()),
    }
}

/// Returns the length in bytes of the longest beginning that fits.
fn head(line: &str, columns: usize) -> usize {
    let fits = |&end: &usize| !joins(line, end) && width(&line[..end]) <= columns;
    // A beginning of four bytes a column is the longest that has no marks on top of its characters.
    let ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    ends.take(MARKS_MAX * (columns + 1)).filter(fits).last().unwrap_or(0)
}

/// Returns where the longest end that fits starts.
fn tail(line: &str, columns: usize) -> usize {
    let fits = |&start: &usize| !joins(line, start) && width(&line[start..]) <= columns;
    let starts = line.char_indices().rev().map(|(at, _)| at);
    starts.take(MARKS_MAX * (columns + 1)).filter(fits).last().unwrap_or(line.len())
}

/// Whether the characters before and after this place are one for a person: marks and joiners follow what they change.
fn joins(line: &str, at: usize) -> bool {
    let after = line[at..].chars().next();
    let before = line[..at].chars().next_back();
    after.is_some_and(|c| c.width() == Some(0)) || before == Some(JOINER)
}

const ELLIPSIS: char = '…';
/// ZERO WIDTH JOINER, which makes one emoji of several.
const JOINER: char = '\u{200d}';
/// Characters that are looked at for each column, so that a text of marks alone costs no more than a usual one.
const MARKS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_shows_is_counted_and_not_what_is_stored() {
        for (text, columns) in [
            ("debian-13", 9),
            ("ubuntu-日本語", 13),
            ("Ma\u{0308}rz", 4),
            ("👩‍💻", 2),
            ("イメージ.raw", 12),
            ("", 0),
        ] {
            assert_eq!(width(text), columns, "{text}");
        }
    }

    #[test]
    fn a_cut_text_fits_and_no_character_is_cut() {
        assert_eq!(cut("debian-13.raw", 13), "debian-13.raw");
        assert_eq!(cut("debian-13.raw", 8), "debian-…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("a\u{0308}\u{0323}b", 1), "…");
        assert_eq!(cut("a\u{0308}\u{0323}bc", 2), "a\u{0308}\u{0323}…");
        assert_eq!((cut("x", 0), cut("xy", 1)), (String::new(), "…".to_owned()));
        for columns in 0..12 {
            for text in ["debian-13.raw", "日本語日本語", "👩‍💻👩‍💻👩‍💻", "e\u{0301}e\u{0301}e\u{0301}"]
            {
                assert!(width(&cut(text, columns)) <= columns, "{text} in {columns}");
                assert!(width(&cut_middle(text, columns)) <= columns, "{text} in {columns}");
            }
        }
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(cut_middle("ubuntu-24.04-server-amd64-20261130.raw", 20), "ubuntu-24.…61130.raw");
        assert_eq!(cut_middle("日本語イメージ", 8), "日本…ジ");
        assert_eq!(cut_middle("short", 20), "short");
    }

    #[test]
    fn lines_break_between_words_and_long_words_anywhere() {
        assert_eq!(wrap("never heard: is it up there?", 12), ["never heard:", "is it up", "there?"]);
        assert_eq!(wrap("compute-[1-5,7,9]", 8), ["compute-", "[1-5,7,9", "]"]);
        assert_eq!(wrap("a bbbbbb", 3), ["a", "bbb", "bbb"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("日本", 1), ["日", "本"]);
    }
}
