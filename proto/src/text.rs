//! Text from strangers: what of it may reach a terminal.

/// Whether a character does something to a terminal other than showing: control characters, and the format characters
/// that are invisible or change the direction of writing (those of Unicode's category Cf that matter here).
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text with a question mark for each [unprintable](is_unprintable) character.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_unprintable(c) { '?' } else { c }).collect()
}

/// The longest beginning of a text that has at most `max` bytes and ends between two characters.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
