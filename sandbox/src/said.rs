//! Standard error of the tool: percentages that overwrite each other, and error messages.

/// Parses that output.
#[derive(Default)]
pub(crate) struct Said {
    /// The last line that is not a percentage, shortened.
    line: String,
    piece: String,
}

impl Said {
    /// Handles the bytes read, and passes percentages to `progress`.
    pub(crate) fn add(&mut self, bytes: &[u8], progress: &mut dyn FnMut(&str)) {
        for &byte in bytes {
            match byte {
                b'\r' | b'\n' => self.end(progress),
                b' '..=b'~' if self.piece.len() < LINE_MAX => self.piece.push(char::from(byte)),
                _ => {}
            }
        }
    }

    /// Handles the end of a line, or an unterminated last line.
    pub(crate) fn end(&mut self, progress: &mut dyn FnMut(&str)) {
        let piece = std::mem::take(&mut self.piece);
        match piece.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix("/100%)")) {
            Some(percent) => progress(percent),
            None if piece.trim().is_empty() => {}
            None => self.line = piece.trim().replace("qemu-img: ", ""),
        }
    }

    /// Returns the error message.
    pub(crate) fn line(&self) -> &str {
        &self.line
    }
}

/// Maximum length of a line in bytes.
const LINE_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_progress_and_the_rest_is_the_reason() {
        let mut told = Vec::new();
        let mut said = Said::default();
        for piece in
            ["    (0.00/1", "00%)\r    (52.43/100%)\r", "qemu-img: /proc/self/fd/4: \x1b[31mbroken\n\r"]
        {
            said.add(piece.as_bytes(), &mut |percent| told.push(percent.to_owned()));
        }
        assert_eq!(told, ["0.00", "52.43"]);
        assert_eq!(said.line(), "/proc/self/fd/4: [31mbroken");
    }

    #[test]
    fn a_tool_that_says_much_is_cut_short() {
        let mut said = Said::default();
        said.add(&vec![b'x'; 1 << 20], &mut |_| {});
        said.add(b"\n", &mut |_| {});
        assert_eq!(said.line().len(), LINE_MAX);
    }
}
