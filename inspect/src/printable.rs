//! Text that a stranger has written into an image, for a message.

/// Returns the text without what could steer a terminal or hide itself, in quotes and shortened.
pub(crate) fn quoted(text: &[u8]) -> String {
    let plain = |&byte: &u8| if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '?' };
    let shown: String = text.iter().take(SHOWN_MAX).map(plain).collect();
    let dots = if text.len() > SHOWN_MAX { ".." } else { "" };
    format!("\"{shown}{dots}\"")
}

/// A file's name with a part of its path.
const SHOWN_MAX: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_not_shown() {
        assert_eq!(quoted(b"a\x1b[2J\xe2\x80\xae b"), "\"a?[2J??? b\"");
        assert_eq!(quoted(&[b'x'; 100]).len(), SHOWN_MAX + 4);
    }
}
