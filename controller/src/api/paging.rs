//! Pages in Nova's manner: `limit` and `marker`, and a link to the next page where there is one.

use serde_json::{Value, json};

use super::ApiError;
use super::links::{Base, encoded};
use crate::limits::PAGE_ROWS_MAX;

/// Returns the number of rows of a page. A larger `limit` than the bound is taken for the bound, as Nova does.
///
/// # Errors
/// 400 if it is no number.
pub(super) fn limit(asked: Option<&str>) -> Result<u64, ApiError> {
    let Some(text) = asked else { return Ok(PAGE_ROWS_MAX) };
    match text.parse::<u64>() {
        Ok(limit) => Ok(limit.min(PAGE_ROWS_MAX)),
        Err(_) => {
            Err(ApiError::bad_request("bad-limit", format!("limit {text:?} is not a number from 0 on")))
        }
    }
}

/// Returns the error for a marker that is not in the list.
pub(super) fn no_marker(marker: &str) -> ApiError {
    ApiError::bad_request("no-such-marker", format!("marker {marker:?} is not in the list"))
}

/// A page of rows, and whether there are more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page<T> {
    pub(super) rows: Vec<T>,
    has_next: bool,
}

impl<T> Page<T> {
    /// Returns the page of rows of which one more than `limit` was asked for.
    pub(super) fn of(mut rows: Vec<T>, limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        // A page of no rows has no last one that the next could begin after.
        let has_next = rows.len() > limit && limit > 0;
        rows.truncate(limit);
        Self { rows, has_next }
    }

    /// Returns the page of a list that is in memory.
    ///
    /// # Errors
    /// 400 if the marker is not in the list.
    pub(super) fn cut(
        all: Vec<T>,
        marker: Option<&str>,
        limit: u64,
        key: impl Fn(&T) -> &str,
    ) -> Result<Self, ApiError> {
        let start = match marker {
            None => 0,
            Some(marker) => {
                let at = all.iter().position(|row| key(row) == marker);
                at.ok_or_else(|| no_marker(marker))? + 1
            }
        };
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
        Ok(Self::of(all.into_iter().skip(start).take(wanted).collect(), limit))
    }

    /// Returns the link to the next page, which keeps the other parts of the query: `[{"rel": "next", ..}]`, or nothing.
    pub(super) fn links(
        &self,
        base: &Base,
        path: &str,
        query: &[(String, String)],
        marker: impl Fn(&T) -> String,
    ) -> Value {
        let Some(last) = self.rows.last().filter(|_| self.has_next) else { return json!([]) };
        let kept = query.iter().filter(|(name, _)| name != "marker");
        let mut parts: Vec<String> =
            kept.map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        parts.push(format!("marker={}", encoded(&marker(last))));
        json!([{"rel": "next", "href": base.link(&format!("{path}?{}", parts.join("&")))}])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_and_bounded() {
        assert_eq!(limit(None), Ok(PAGE_ROWS_MAX));
        assert_eq!((limit(Some("0")), limit(Some("7"))), (Ok(0), Ok(7)));
        assert_eq!(limit(Some("99999999")), Ok(PAGE_ROWS_MAX));
        for odd in ["-1", "x", "", "1.5"] {
            assert!(limit(Some(odd)).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_list_in_memory_is_cut_after_its_marker() {
        let all = || ["a", "b", "c"].map(str::to_owned).to_vec();
        let page = |marker, limit| Page::cut(all(), marker, limit, |row: &String| row.as_str());
        let first = page(None, 2).expect("a page");
        assert_eq!((first.rows.clone(), first.has_next), (vec!["a".to_owned(), "b".to_owned()], true));
        let last = page(Some("b"), 2).expect("a page");
        assert_eq!((last.rows.len(), last.has_next), (1, false));
        assert!(page(Some("z"), 2).is_err());
        let none = page(None, 0).expect("a page");
        assert!(none.rows.is_empty() && !none.has_next);
    }

    #[test]
    fn the_next_page_keeps_the_filters() {
        let page = Page { rows: vec!["a b".to_owned()], has_next: true };
        let query = [("status".to_owned(), "a&b".to_owned()), ("marker".to_owned(), "old".to_owned())];
        let base = Base::at("http://x");
        let links = page.links(&base, "/v1/pushes", &query, Clone::clone);
        assert_eq!(links[0]["href"], "http://x/v1/pushes?status=a%26b&marker=a%20b");
    }
}
