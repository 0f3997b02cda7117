//! SPDX licence expressions as Cargo manifests write them, and whether a list of accepted licences satisfies one.
//!
//! `OR` and the old `/` need one side, `AND` needs both and binds tighter, parentheses group, and a licence `WITH`
//! an exception is accepted by its own name or by the licence's: an exception only permits more.

/// Whether accepting the licences in `allowed` is enough for `expression`; an error when it is not an expression.
pub fn satisfied(expression: &str, allowed: &[&str]) -> Result<bool, String> {
    let tokens = tokens(expression);
    let mut parser = Parser { tokens: &tokens, allowed };
    let satisfied = parser.any_of().ok_or_else(|| format!("not a licence expression: {expression:?}"))?;
    match parser.tokens {
        [] => Ok(satisfied),
        rest => Err(format!("{rest:?} left over in {expression:?}")),
    }
}

struct Parser<'a> {
    tokens: &'a [String],
    allowed: &'a [&'a str],
}

impl Parser<'_> {
    /// `all_of ("OR" all_of)*`
    fn any_of(&mut self) -> Option<bool> {
        let mut satisfied = self.all_of()?;
        while self.take("OR") || self.take("/") {
            satisfied |= self.all_of()?;
        }
        Some(satisfied)
    }

    /// `one ("AND" one)*`
    fn all_of(&mut self) -> Option<bool> {
        let mut satisfied = self.one()?;
        while self.take("AND") {
            satisfied &= self.one()?;
        }
        Some(satisfied)
    }

    /// `"(" any_of ")"`, or `licence ["WITH" exception]`
    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let satisfied = self.any_of()?;
            return self.take(")").then_some(satisfied);
        }
        let licence = self.name()?;
        if !self.take("WITH") {
            return Some(self.allowed.contains(&licence.as_str()));
        }
        let whole = format!("{licence} WITH {}", self.name()?);
        Some(self.allowed.contains(&licence.as_str()) || self.allowed.contains(&whole.as_str()))
    }

    fn name(&mut self) -> Option<String> {
        let (name, rest) = self.tokens.split_first()?;
        let is_name = !["OR", "AND", "WITH", "(", ")", "/"].contains(&name.as_str());
        is_name.then(|| {
            self.tokens = rest;
            name.clone()
        })
    }

    fn take(&mut self, token: &str) -> bool {
        match self.tokens.split_first() {
            Some((first, rest)) if first == token => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }
}

fn tokens(expression: &str) -> Vec<String> {
    let spaced: String = expression
        .chars()
        .flat_map(|sign| match sign {
            '(' | ')' | '/' => vec![' ', sign, ' '],
            _ => vec![sign],
        })
        .collect();
    spaced.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_side_of_or_and_both_of_and() {
        assert!(ok("MIT OR GPL-3.0"));
        assert!(ok("GPL-3.0 / MIT"));
        assert!(ok("GPL-3.0/MIT"));
        assert!(!ok("MIT AND GPL-3.0"));
        assert!(ok("MIT AND ISC"));
        assert!(!ok("GPL-3.0"));
    }

    #[test]
    fn and_binds_tighter_and_parentheses_group() {
        assert!(ok("MIT OR ISC AND GPL-3.0"));
        assert!(!ok("(MIT OR ISC) AND GPL-3.0"));
        assert!(ok("(MIT OR GPL-3.0) AND (ISC OR GPL-3.0)"));
        assert!(ok("((MIT))"));
    }

    #[test]
    fn an_exception_permits_more() {
        assert!(ok("MIT WITH LLVM-exception"));
        assert!(ok("Apache-2.0 WITH LLVM-exception OR GPL-3.0"));
        assert!(!ok("GPL-3.0 WITH Classpath-exception-2.0"));
    }

    #[test]
    fn what_is_no_expression_is_an_error() {
        for text in ["", "MIT OR", "(MIT", "MIT)", "MIT ISC", "AND", "MIT WITH", "/"] {
            assert!(satisfied(text, ALLOWED).is_err(), "{text:?}");
        }
    }

    fn ok(expression: &str) -> bool {
        satisfied(expression, ALLOWED).expect("an expression")
    }

    const ALLOWED: &[&str] = &["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"];
}
