//! What the tool writes: percentages that overwrite each other, and a line when something is wrong.

/// Takes it apart.
#[derive(Default)]
pub(crate) struct Said {
    /// The last line that is no percentage, as far as it is of use.
    line: String,
    piece: String,
}

impl Said {
    /// Takes what was read; `progress` is told percentages.
    pub(crate) fn add(&mut self, bytes: &[u8], progress: &mut dyn FnMut(&str)) {
        for &byte in bytes {
            match byte {
                b'\r' | b'\n' => self.end(progress),
                b' '..=b'~' if self.piece.len() < LINE_MAX => self.piece.push(char::from(byte)),
                _ => {}
            }
        }
    }

    /// Takes a last line that does not end.
    pub(crate) fn end(&mut self, progress: &mut dyn FnMut(&str)) {
        let piece = std::mem::take(&mut self.piece);
        match piece.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix("/100%)")) {
            Some(percent) => progress(percent),
            None if piece.trim().is_empty() => {}
            None => self.line = piece.trim().replace("qemu-img: ", ""),
        }
    }

    /// The line that says what is wrong.
    pub(crate) fn line(&self) -> &str {
        &self.line
    }
}

/// A line of the tool's that is shown, at most.
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
