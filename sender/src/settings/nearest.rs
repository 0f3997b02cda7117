//! The name that a misspelt one was probably meant to be.

/// Returns the nearest of the names, if it is near: a third of the letters may be wrong.
pub(super) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = &word[..word.floor_char_boundary(WORD_BYTES_MAX)];
    let far = (word.chars().count() / 3).max(1);
    let with_distance = names.into_iter().map(|name| (distance(word, name), name));
    with_distance
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= far)
        .map(|(_, name)| name)
}

/// Returns the number of letters that are added, removed or replaced between two words (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, c) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, d) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(c != *d);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

/// Bounds the work for a word of a file.
const WORD_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_another_word_finds_nothing() {
        let names = ["interface", "group", "key", "sender_key"];
        for (word, meant) in [
            ("interfce", Some("interface")),
            ("interfaces", Some("interface")),
            ("groop", Some("group")),
            ("sender-key", Some("sender_key")),
            ("kee", Some("key")),
            ("bandwidth", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names), meant, "{word}");
        }
        assert_eq!(nearest(&"ü".repeat(10_000), names), None);
    }
}
