//! Lines within brackets. YAML 1.2 wants them to be indented further than what the brackets stand in; PyYAML takes them
//! at any indentation, as templates that print JSON leave them. Pure.

/// Indents all lines within brackets, and within quotes, where the indentation says nothing. Only the indentation of
/// such lines changes.
pub(super) fn indented(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut place = Place::default();
    for line in text.split_inclusive('\n') {
        let content = line.trim_start_matches([' ', '\t']);
        let indent = line.len() - content.len();
        if place.is_in_block(content, indent) {
            out.push_str(line);
            continue;
        }
        match place.is_inside() && !content.trim().is_empty() {
            true => {
                out.extend(std::iter::repeat_n(' ', INDENT));
                out.push_str(content);
            }
            false => out.push_str(line),
        }
        place.follow(content, indent);
    }
    out
}

/// What the end of a line stands in.
#[derive(Default)]
struct Place {
    brackets: usize,
    quote: Option<char>,
    /// The indentation of the line at whose end a block scalar (`|`, `>`) began.
    block: Option<usize>,
}

impl Place {
    fn is_inside(&self) -> bool {
        self.brackets > 0 || self.quote.is_some()
    }

    /// Whether a line belongs to a block scalar, which ends at the first line that is not indented further.
    fn is_in_block(&mut self, content: &str, indent: usize) -> bool {
        let is_in = self.block.is_some_and(|outer| indent > outer || content.trim().is_empty());
        if !is_in {
            self.block = None;
        }
        is_in
    }

    fn follow(&mut self, line: &str, indent: usize) {
        let mut chars = line.chars().peekable();
        // Whether a node may begin here, so that a quote is one and a bracket is one.
        let (mut fresh, mut before) = (self.quote.is_none(), ' ');
        while let Some(c) = chars.next() {
            let ends_word = chars.peek().is_none_or(|next| next.is_whitespace());
            match (self.quote, c) {
                (Some('"'), '\\') => drop(chars.next()),
                (Some('\''), '\'') if chars.peek() == Some(&'\'') => drop(chars.next()),
                (Some(quote), c) if c == quote => (self.quote, fresh) = (None, false),
                (Some(_), _) => {}
                (None, c) if c.is_whitespace() => {}
                (None, '#') if before.is_whitespace() => return,
                (None, '"' | '\'') if fresh => self.quote = Some(c),
                (None, '[' | '{') if fresh || self.brackets > 0 => {
                    (self.brackets, fresh) = (self.brackets + 1, true);
                }
                (None, ']' | '}') if self.brackets > 0 => (self.brackets, fresh) = (self.brackets - 1, false),
                (None, ',') if self.brackets > 0 => fresh = true,
                (None, ':') if ends_word || self.brackets > 0 && before == '"' => fresh = true,
                (None, '-' | '?') if fresh && ends_word => {}
                (None, '&' | '!') if fresh => while chars.next_if(|next| !next.is_whitespace()).is_some() {},
                (None, '|' | '>') if fresh && self.brackets == 0 => {
                    self.block = Some(indent);
                    return;
                }
                (None, _) => fresh = false,
            }
            before = c;
        }
    }
}

/// More than any file's own indentation.
const INDENT: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_within_brackets_and_quotes_are_indented() {
        let wide = " ".repeat(INDENT);
        for (text, expected) in [
            ("a: {\nb: c\n}\nd: e\n", format!("a: {{\n{wide}b: c\n{wide}}}\nd: e\n")),
            ("a: [b, 'c\nd', # [\n]\ne: f\n", format!("a: [b, 'c\n{wide}d', # [\n{wide}]\ne: f\n")),
            ("a: \"b\n\n c\"\nd: e\n", format!("a: \"b\n\n{wide}c\"\nd: e\n")),
        ] {
            assert_eq!(indented(text), expected, "{text}");
        }
    }

    #[test]
    fn brackets_and_quotes_within_words_and_blocks_are_none() {
        for text in [
            "a: b[c\nd: it's\ne: f\n",
            "a: |\n  [\n  'x\nb: c\n",
            "a: # [\n  b: c\n",
            "a: 'it''s [' # {\nb: c\n",
            "a: \"\\\"[\"\nb: c\n",
            "- a:b{c\n- &x d\n",
        ] {
            assert_eq!(indented(text), text, "{text}");
        }
    }
}
