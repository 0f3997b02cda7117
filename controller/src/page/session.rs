//! Who is signed in: a cookie names a session, and the session has the token. The token itself never reaches the browser
//! again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use uuid::Uuid;

/// Sessions at a time. The one that ends first gives way to another.
const SESSIONS_MAX: usize = 1_000;
/// The longest time of a session. Its token may end before, and is asked for again then.
pub(super) const SESSION_TIME: Duration = Duration::from_secs(8 * 3_600);

/// A user of the page. It has no `Debug`: a token is not for logs.
#[derive(Clone)]
pub(super) struct Session {
    /// The token of its requests; `None` where nobody has to sign in.
    pub(super) token: Option<String>,
    /// What each form of this user has to bring back.
    pub(super) form_key: String,
}

impl Session {
    /// Returns the key of the form that signs out; `None` where nobody has to sign in.
    pub(super) fn sign_out(&self) -> Option<&str> {
        self.token.as_ref().map(|_| self.form_key.as_str())
    }
}

/// The sessions, by what their cookies say.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<String, (Session, Instant)>>);

impl Sessions {
    /// Begins a session, and returns the value of its cookie.
    pub(super) fn begin(&self, token: String, now: Instant) -> String {
        let (key, session) = (random(), Session { token: Some(token), form_key: random() });
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, (_, end)| *end > now);
        if sessions.len() >= SESSIONS_MAX {
            let first = sessions.iter().min_by_key(|(_, (_, end))| *end).map(|(key, _)| key.clone());
            first.and_then(|first| sessions.remove(&first));
        }
        sessions.insert(key.clone(), (session, now + SESSION_TIME));
        key
    }

    /// Returns the session of a request.
    pub(super) fn find(&self, headers: &HeaderMap, now: Instant) -> Option<Session> {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (session, end) = sessions.get(cookie(headers)?)?;
        (*end > now).then(|| session.clone())
    }

    /// Ends the session of a request.
    pub(super) fn end(&self, headers: &HeaderMap) {
        if let Some(key) = cookie(headers) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        }
    }
}

/// 244 random bits of the kernel.
pub(super) fn random() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value)
}

/// The name of the cookie.
pub(super) const COOKIE_NAME: &str = "glancecast";

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(key: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, format!("other=1; glancecast={key}").parse().expect("a header"));
        headers
    }

    #[test]
    fn a_session_ends_by_its_time_and_by_its_user() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let key = sessions.begin("token".to_owned(), now);
        let found = |now| sessions.find(&headers(&key), now).and_then(|session| session.token);
        assert_eq!(found(now).as_deref(), Some("token"));
        assert_eq!(found(now + SESSION_TIME), None);
        assert!(sessions.find(&headers("guess"), now).is_none());
        sessions.end(&headers(&key));
        assert_eq!(found(now), None);
    }

    #[test]
    fn the_session_that_ends_first_gives_way() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let first = sessions.begin("first".to_owned(), now);
        for later in (1..).take(SESSIONS_MAX) {
            sessions.begin("later".to_owned(), now + Duration::from_millis(later));
        }
        assert!(sessions.find(&headers(&first), now).is_none());
        assert_eq!(sessions.0.lock().expect("held by nobody").len(), SESSIONS_MAX);
    }
}
