//! The only HTTP client: for Keystone, Glance's records and image data, and Nova. It sends passwords and tokens only to
//! the configured server, limits the length of every answer, and asks again what may be answered later.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{
    Certificate, Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode, Url, redirect,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::sleep;

use super::config::Settings;
use super::error::{CloudError, root_cause, shown_url};
use super::proxy::Proxies;
use super::retry::{Busy, Tries};
use super::service::{Peer, Service};
use super::tls;

/// The client for all services of a cloud.
#[derive(Debug)]
pub(super) struct Http {
    settings: Arc<Settings>,
    proxies: Proxies,
    /// For http: has no certificates, as not every machine has some.
    plain: Client,
    /// For https, once it is needed.
    secure: OnceLock<Client>,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Whether a request is made again when it failed for a reason that may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It reads, or changes nothing that counts, as a log-in does.
    Yes,
    /// It may have been carried out although the answer was lost.
    No,
}

impl Http {
    /// # Errors
    /// `BadSettings` if the system cannot provide a client.
    pub(super) fn new(settings: Arc<Settings>) -> Result<Self, CloudError> {
        let proxies = Proxies::of_this_process();
        let no_roots: [Certificate; 0] = [];
        let plain = builder(&proxies).tls_certs_only(no_roots).build();
        let plain = plain.map_err(|error| CloudError::Client { reason: root_cause(&error) })?;
        Ok(Self { settings, proxies, plain, secure: OnceLock::new() })
    }

    /// Returns how messages name a service at an address.
    pub(super) fn peer(&self, service: Service, url: &Url) -> Peer {
        Peer::new(service, url).through(self.proxies.of(url).map(ToString::to_string))
    }

    /// Begins a request to a service.
    ///
    /// # Errors
    /// `BadProxy`, and `NoRoots` and `BadSettings` if the certificates for https cannot be used.
    pub(super) fn request(
        &self,
        peer: &Peer,
        method: Method,
        url: Url,
    ) -> Result<RequestBuilder, CloudError> {
        let proxy = self.proxies.of(&url);
        let proxy_url = proxy.map(|proxy| {
            proxy.url().map_err(|reason| CloudError::BadProxy {
                variable: proxy.variable(),
                peer: peer.to_string(),
                reason: reason.to_owned(),
            })
        });
        let proxy_url = proxy_url.transpose()?;
        let is_plain = url.scheme() == "http" && proxy_url.is_none_or(|proxy| proxy.scheme() == "http");
        let client = if is_plain { &self.plain } else { self.secure()? };
        Ok(client.request(method, url))
    }

    /// Returns the client for https.
    fn secure(&self) -> Result<&Client, CloudError> {
        if let Some(client) = self.secure.get() {
            return Ok(client);
        }
        let client = tls::configure(builder(&self.proxies), &self.settings)?.build();
        let client = client.map_err(|error| tls::unusable(&error, &self.settings))?;
        Ok(self.secure.get_or_init(|| client))
    }

    /// Sends a request and returns the whole answer, whatever its status. An answer or a failure that may pass is
    /// waited for, and the request made again.
    ///
    /// # Errors
    /// `Busy` if it did not pass, `Unreachable`, `Certificate`, `Redirected`, `AnswerTooLong`.
    pub(super) async fn ask(
        &self,
        peer: &Peer,
        request: RequestBuilder,
        repeat: Repeat,
    ) -> Result<Answer, CloudError> {
        let mut tries = Tries::default();
        loop {
            let request = request.try_clone().expect("its body is not a stream");
            let outcome = whole(peer, request).await;
            let busy = match &outcome {
                Ok(answer) => Busy::of(answer.status, &answer.headers),
                Err(error) => error.passing(),
            };
            let Some(busy) = busy.filter(|_| repeat == Repeat::Yes) else { return outcome };
            let Some(pause) = tries.pause(&busy) else {
                return outcome.and_then(|_| Err(CloudError::busy(peer, &busy)));
            };
            wait(peer, &busy, pause, &tries.next()).await;
        }
    }

    /// Sends a request and returns the answer once it begins, whatever its status.
    ///
    /// # Errors
    /// `Unreachable`, `Certificate`, `Redirected`.
    pub(super) async fn open(&self, peer: &Peer, request: RequestBuilder) -> Result<Response, CloudError> {
        request.send().await.map_err(|error| failure(peer, &error))
    }
}

/// Waits before a request is made again, and says so.
pub(super) async fn wait(peer: &Peer, busy: &Busy, pause: Duration, next: &str) {
    tracing::warn!("{peer} {}; asking again in {:.1} s ({next})", busy.reason, pause.as_secs_f32());
    sleep(pause).await;
}

/// Returns a client's options that do not depend on certificates.
fn builder(proxies: &Proxies) -> ClientBuilder {
    let proxies = proxies.clone();
    let proxy = reqwest::Proxy::custom(move |url| proxies.of(url)?.url().ok().cloned());
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        // One stream fills the link: HTTP/2 would add its own window to TCP's.
        .http1_only()
        .redirect(policy())
        .no_proxy()
        .proxy(proxy)
        // A transparently decompressed body does not have the length in Content-Length and Range.
        .no_gzip()
        .no_deflate()
}

/// Follows redirects only within an origin, such as to the same path with a trailing slash.
fn policy() -> redirect::Policy {
    redirect::Policy::custom(|attempt| {
        let stays = attempt.previous().last().is_some_and(|from| is_same_origin(from, attempt.url()));
        match stays && attempt.previous().len() <= REDIRECTS_MAX {
            true => attempt.follow(),
            false => {
                let mut to = attempt.url().clone();
                to.set_query(None); // may be a signature that lets anybody read
                attempt.error(Redirected { to: shown_url(to.as_str()), stays })
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
    /// Within the server, too often.
    stays: bool,
}

/// Adds the token to a request; `None` if the token cannot be in a header.
pub(super) fn with_token(request: RequestBuilder, token: &SecretString) -> Option<RequestBuilder> {
    let mut value = HeaderValue::from_str(token.expose_secret()).ok()?;
    value.set_sensitive(true);
    Some(request.header("X-Auth-Token", value))
}

/// Sends a request and reads its whole answer.
async fn whole(peer: &Peer, request: RequestBuilder) -> Result<Answer, CloudError> {
    let (client, request) = request.build_split();
    let request = request.map_err(|error| failure(peer, &error))?;
    let (post, asked) =
        (request.try_clone().filter(|request| request.method() == Method::POST), request.url().clone());
    let mut answer = client.execute(request).await.map_err(|error| failure(peer, &error))?;
    // Redirects 301 to 303 make a GET of a POST. As keystoneauth does, it is sent again where it points.
    if let Some(mut post) = post.filter(|_| *answer.url() != asked && !answer.status().is_success()) {
        *post.url_mut() = answer.url().clone();
        answer = client.execute(post).await.map_err(|error| failure(peer, &error))?;
    }
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| failure(peer, &error))? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err(CloudError::AnswerTooLong { peer: peer.to_string(), max: ANSWER_BYTES_MAX });
        }
        body.extend_from_slice(&piece);
    }
    Ok(Answer { status: answer.status(), headers: answer.headers().clone(), body })
}

/// Returns the error of a request that got no whole answer.
fn failure(peer: &Peer, error: &reqwest::Error) -> CloudError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(Redirected { to, stays }) = error.downcast_ref::<Redirected>() {
            return CloudError::redirected(peer, to, *stays);
        }
        cause = error.source();
    }
    if let Some(fault) = tls::fault(error) {
        return CloudError::Certificate { peer: peer.to_string(), fault };
    }
    let reason = match root_cause(error).as_str() {
        _ if error.is_timeout() => "it does not answer in time".to_owned(),
        "tls handshake eof" => {
            "it closes the connection before it speaks TLS; is it http:// there?".to_owned()
        }
        other => other.to_owned(),
    };
    CloudError::unreachable(peer, reason)
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
