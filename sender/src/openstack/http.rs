//! The only HTTP client: for Keystone, Glance's records and image data, and Nova. It sends passwords and tokens only to
//! the configured server, and limits the length of every answer.
//!
//! The SDK's own session uses a client that cannot be configured. It follows redirects to any server, with X-Auth-Token
//! and, for 307 and 308, with the body that holds the password. So only parts of the SDK are used, with this client.

use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, redirect};
use secrecy::{ExposeSecret, SecretString};

use super::certificates;
use super::config::Settings;
use super::error::{CloudError, root_cause, shown_url};

/// Returns a client with the certificates of the settings.
///
/// # Errors
/// `BadSettings` if the certificates cannot be used.
pub(super) fn client(settings: &Settings) -> Result<Client, CloudError> {
    let bad = |reason| CloudError::BadSettings { origin: settings.origin.clone(), reason };
    let mut builder = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        // One stream fills the link: HTTP/2 would add its own window to TCP's.
        .http1_only()
        .redirect(policy())
        // A transparently decompressed body does not have the length in Content-Length and Range.
        .no_gzip()
        .no_deflate();
    builder = certificates::apply(&settings.certificates, builder).map_err(bad)?;
    builder.build().map_err(|error| bad(root_cause(&error)))
}

/// Follows redirects only within an origin, such as to the same path with a trailing slash.
fn policy() -> redirect::Policy {
    redirect::Policy::custom(|attempt| {
        let stays = attempt.previous().last().is_some_and(|from| is_same_origin(from, attempt.url()));
        match stays && attempt.previous().len() <= REDIRECTS_MAX {
            true => attempt.follow(),
            false => {
                let to = attempt.url().origin().ascii_serialization();
                attempt.error(Redirected { to })
            }
        }
    })
}

/// Whether two addresses have the same origin: scheme, host and port (RFC 6454).
fn is_same_origin(from: &Url, to: &Url) -> bool {
    matches!(to.scheme(), "http" | "https") && from.origin() == to.origin()
}

/// A redirect that was not followed.
#[derive(Debug, thiserror::Error)]
#[error("it redirects to {to}")]
struct Redirected {
    to: String,
}

/// Adds the token to a request; `None` if the token cannot be in a header.
pub(super) fn with_token(request: RequestBuilder, token: Option<&SecretString>) -> Option<RequestBuilder> {
    let Some(token) = token else { return Some(request) };
    let mut value = HeaderValue::from_str(token.expose_secret()).ok()?;
    value.set_sensitive(true);
    Some(request.header("X-Auth-Token", value))
}

/// Returns the error of a request to `url` that got no answer.
pub(super) fn unanswered(url: &str, error: &reqwest::Error) -> CloudError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(redirected) = error.downcast_ref::<Redirected>() {
            return CloudError::Redirected { url: shown_url(url), to: redirected.to.clone() };
        }
        cause = error.source();
    }
    CloudError::Unreachable { url: shown_url(url), reason: root_cause(error) }
}

/// Reads an answer, and returns its status and its whole body.
///
/// # Errors
/// `Unreachable` if the connection breaks, `AnswerTooLong`.
pub(super) async fn read(url: &str, mut answer: Response) -> Result<(StatusCode, Vec<u8>), CloudError> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| unanswered(url, &error))? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err(CloudError::AnswerTooLong { url: shown_url(url), max: ANSWER_BYTES_MAX });
        }
        body.extend_from_slice(&piece);
    }
    Ok((answer.status(), body))
}

/// The time per TCP address after which a host that drops packets is given up.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum time of an answer that is not image data, from the request to its last byte.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// More redirects in a row are taken for a loop.
const REDIRECTS_MAX: usize = 3;

/// The maximum length of an answer that is not image data: a page of 500 images or the services of a large cloud are a
/// few MB.
const ANSWER_BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scheme_host_and_port_together_are_the_same_server() {
        let url = |text: &str| Url::parse(text).expect("a URL");
        let from = url("https://ks.example:5000/v3");
        for same in
            ["https://ks.example:5000/v3/", "https://KS.example:5000/", "https://u:p@ks.example:5000/x"]
        {
            assert!(is_same_origin(&from, &url(same)), "{same}");
        }
        for other in [
            "http://ks.example:5000/v3",
            "https://ks.example/v3",
            "https://ks.example:5001/v3",
            "https://ks.example.:5000/v3",
            "https://ks.example.evil.net:5000/v3",
            "https://ks.example:5000@evil.net/v3",
            "https://127.0.0.1:5000/v3",
            "ftp://ks.example:5000/v3",
            "data:text/plain,x",
            "file:///etc/passwd",
        ] {
            assert!(!is_same_origin(&from, &url(other)), "{other}");
        }
        assert!(is_same_origin(&url("http://ks/v3"), &url("http://ks:80/v3/")));
        assert!(
            !is_same_origin(&url("http://ks/v3"), &url("https://ks/v3")),
            "whoever sent it in clear is told"
        );
    }
}
