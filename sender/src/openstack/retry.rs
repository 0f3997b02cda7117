//! When a request is made again: a service that is overloaded, restarting or behind a balancer without a back end is
//! asked three times in all, with pauses, and as late as it asks for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::NaiveDateTime;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Why a request may succeed later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Busy {
    /// `answered 503`, or why there was no answer.
    pub(super) reason: String,
    /// The wait that the service asks for.
    pub(super) wait: Option<Duration>,
}

impl Busy {
    /// Returns why an answer may be another one later; `None` if it is final.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        is_passing(status).then(|| {
            let wait = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let reason = format!("answered {}", status.as_u16());
            Self { reason, wait: wait.and_then(|text| retry_after(text, SystemTime::now())) }
        })
    }
}

/// Whether a status says that the same request may succeed later (RFC 9110 §15, RFC 6585, RFC 8470). 500 is one of
/// them: services of OpenStack answer it while their database or message queue fails over.
pub(super) fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// The tries of one request.
#[derive(Debug, Default)]
pub(super) struct Tries {
    made: u32,
}

impl Tries {
    /// Counts a try that failed. Returns the pause before the next one; `None` if there is none, because all were made
    /// or the service asks for a longer wait than is kept to.
    pub(super) fn pause(&mut self, busy: &Busy) -> Option<Duration> {
        let usual = *PAUSES.get(self.made as usize)?;
        self.made += 1;
        match busy.wait {
            Some(wait) if wait > WAIT_MAX => None,
            wait => Some(wait.unwrap_or(usual)),
        }
    }

    /// Returns how the tries are counted in a log line: `try 2 of 3`.
    pub(super) fn next(&self) -> String {
        format!("try {} of {}", self.made + 1, PAUSES.len() + 1)
    }
}

/// Parses the value of Retry-After: seconds or a date (RFC 9110 §10.2.3). A date in the past is no wait.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let formats = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let date = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())?;
    let at = u64::try_from(date.and_utc().timestamp()).ok()?;
    let now = now.duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(at).saturating_sub(now))
}

/// The pauses between the tries.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// The longest wait that a service may ask for. After it a push that was started by hand would be taken for stuck.
const WAIT_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(wait: Option<u64>) -> Busy {
        Busy { reason: "answered 503".into(), wait: wait.map(Duration::from_secs) }
    }

    #[test]
    fn there_are_three_tries_and_the_wait_of_the_service_is_kept_to() {
        let mut tries = Tries::default();
        assert_eq!(tries.pause(&busy(None)), Some(Duration::from_secs(1)));
        assert_eq!(tries.next(), "try 2 of 3");
        assert_eq!(tries.pause(&busy(Some(7))), Some(Duration::from_secs(7)));
        assert_eq!(tries.pause(&busy(Some(0))), None);
        assert_eq!(Tries::default().pause(&busy(Some(61))), None, "too long to wait for");
        assert_eq!(Tries::default().pause(&busy(Some(u64::MAX))), None);
    }

    #[test]
    fn only_what_may_pass_is_asked_again() {
        let passing = [408, 425, 429, 500, 502, 503, 504];
        for status in 100..600 {
            let is_passing = is_passing(StatusCode::from_u16(status).unwrap());
            assert_eq!(is_passing, passing.contains(&status), "{status}");
        }
    }

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777); // the date of RFC 9110 §5.6.7
        for (text, wait) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:42 GMT", Some(5)),
            ("Sunday, 06-Nov-94 08:49:42 GMT", Some(5)),
            ("Sun Nov  6 08:49:42 1994", Some(5)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(text, now), wait.map(Duration::from_secs), "{text}");
        }
    }
}
