//! Addresses in answers.

use axum::http::HeaderMap;
use axum::http::header::HOST;

use crate::settings::Config;

/// What addresses in answers begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base(String);

impl Base {
    /// Returns the address in the settings, else the one by which the client reached this controller.
    pub(super) fn of(config: &Config, headers: &HeaderMap) -> Self {
        if let Some(url) = &config.public_url {
            return Self(url.clone());
        }
        // The client's own word comes back to it alone. What is no host is not repeated.
        let is_host = |text: &&str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_' | '[' | ']');
            !text.is_empty() && text.len() <= HOST_BYTES_MAX && text.chars().all(plain)
        };
        let host = headers.get(HOST).and_then(|value| value.to_str().ok()).filter(is_host);
        Self(host.map_or_else(String::new, |host| format!("http://{host}")))
    }

    /// Returns what addresses at `url` begin with.
    #[cfg(test)]
    pub(super) fn at(url: &str) -> Self {
        Self(url.to_owned())
    }

    /// Returns the address of a path.
    pub(super) fn link(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

/// A name of DNS has 255 bytes.
const HOST_BYTES_MAX: usize = 300;

/// Returns a text as a part of a query (RFC 3986, section 2.3).
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
