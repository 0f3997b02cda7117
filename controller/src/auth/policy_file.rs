//! `policy.yaml`: a mapping of names to rules, as oslo.policy has it.

use std::path::Path;

use yaml_rust2::parser::{Event, Parser};

use super::rules::{RuleError, Rules};
use crate::settings::read_text;

/// Why the file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFileError {
    /// It cannot be read.
    #[error("policy_file {path}: {reason}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// It is not a mapping of texts to texts.
    #[error("policy_file {path} line {line}: {what}")]
    Form {
        /// The file.
        path: String,
        /// The line.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A rule cannot be used.
    #[error("policy_file {path}: {error}")]
    Rule {
        /// The file.
        path: String,
        /// Why.
        error: RuleError,
    },
}

/// Reads the rules of a file.
///
/// # Errors
/// [`PolicyFileError`]
pub fn read(path: &Path) -> Result<Rules, PolicyFileError> {
    let shown = path.display().to_string();
    let text = read_text(path).map_err(|reason| PolicyFileError::Read { path: shown.clone(), reason })?;
    let pairs =
        parse(&text).map_err(|(line, what)| PolicyFileError::Form { path: shown.clone(), line, what })?;
    Rules::new(pairs).map_err(|error| PolicyFileError::Rule { path: shown, error })
}

/// Returns the names and rules of a text, or the line of a mistake and what it is.
fn parse(text: &str) -> Result<Vec<(String, String)>, (usize, String)> {
    let mut parser = Parser::new_from_str(text);
    let (mut pairs, mut name, mut depth): (Vec<(String, String)>, Option<String>, usize) =
        (Vec::new(), None, 0);
    loop {
        let (event, marker) =
            parser.next_token().map_err(|error| (error.marker().line(), "it is not YAML".to_owned()))?;
        let fault = |what: &str| Err((marker.line(), what.to_owned()));
        match event {
            Event::StreamEnd => return Ok(pairs),
            Event::StreamStart | Event::DocumentStart | Event::DocumentEnd | Event::Nothing => {}
            Event::MappingStart(..) if depth == 0 && pairs.is_empty() => depth = 1,
            Event::MappingEnd => depth = 2,
            Event::Alias(_) => return fault("aliases are not known here"),
            // An empty file, or one of comments alone.
            Event::Scalar(text, ..) if depth == 0 && (text.is_empty() || text == "~") => {}
            Event::Scalar(text, ..) if depth == 1 => match name.take() {
                None => name = Some(text),
                Some(name) if pairs.iter().any(|(known, _)| *known == name) => {
                    return fault(&format!("{name:?} stands there twice"));
                }
                Some(name) => pairs.push((name, text)),
            },
            _ => {
                return fault(
                    "write a name and a rule, as in \"image-distribution:pushes:create\": \"role:admin\"",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_mapping_of_names_to_rules() {
        let text = "# who pushes\n\"image-distribution:pushes:create\": \"role:operator\"\noperator: 'role:a or role:b'\n";
        let pairs = parse(text).expect("a file");
        assert_eq!(pairs[0], ("image-distribution:pushes:create".to_owned(), "role:operator".to_owned()));
        assert_eq!(pairs[1].1, "role:a or role:b");
        for empty in ["", "# nothing\n", "---\n", "{}"] {
            assert_eq!(parse(empty), Ok(vec![]), "{empty:?}");
        }
    }

    #[test]
    fn other_forms_are_refused_with_their_line() {
        for (text, line) in [
            ("a: [[\"role:admin\"]]", 1),
            ("- a\n", 1),
            ("a: b\nc: {d: e}\n", 2),
            ("a: &x b\nc: *x\n", 2),
            ("a: b\na: c\n", 2),
            ("a: b\n---\nc: d\n", 3),
            ("a: \"b\nc: d", 2),
            ("just words", 1),
        ] {
            let (found, _) = parse(text).expect_err(text);
            assert!(found.abs_diff(line) <= 1, "{text}: {found}");
        }
    }
}
