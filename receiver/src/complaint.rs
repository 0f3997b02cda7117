//! What a parser says of a file, for a log or a terminal.

/// Its reason in a line. It repeats what stands in the file, which may move the cursor of a terminal.
pub(crate) fn of_toml(error: &toml::de::Error) -> String {
    let shown = |c: char| match c {
        '\n' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    error.message().chars().map(shown).collect()
}
