//! The bytes of one image, from Glance to the caller, exactly as many as its record says.
//!
//! Two things keep this from using the SDK's `download`: it hands out the body without the status,
//! so that an HTML error page or a 204 would pass for an image, and its client has one deadline for
//! a whole answer (30 s), body included. So the request is made here with the session's token and
//! endpoint, and each read has a deadline of its own.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Response, StatusCode, Url};
use secrecy::ExposeSecret;
use tokio::time::{sleep, timeout};

use super::error::{CloudError, root_cause};
use super::image::ImageRecord;
use super::session::Cloud;

#[derive(Clone, Copy, Debug)]
pub(crate) struct DownloadOptions {
    /// How long Glance may send nothing. Counts only while `next_chunk` waits: a caller that is
    /// slow to ask does not use it up.
    pub(crate) stall_timeout: Duration,
    /// Attempts to go on where a download was cut, over its whole length.
    pub(crate) resumes_max: u32,
}

impl Default for DownloadOptions {
    fn default() -> Self {
        Self { stall_timeout: Duration::from_secs(30), resumes_max: 8 }
    }
}

/// A running download. Gives exactly the image's `size` bytes, or an error.
#[derive(Debug)]
pub(crate) struct Download {
    cloud: Cloud,
    url: Url,
    id: String,
    size: u64,
    have: u64,
    options: DownloadOptions,
    resumes: u32,
    /// Bytes that `body` has brought. A body that brought none is not worth a resume: the file in
    /// the store ends there.
    body_bytes: u64,
    body: Option<Response>,
}

impl Cloud {
    /// Asks for the image's data and returns when Glance begins to answer. An expired token is
    /// renewed first.
    ///
    /// # Errors
    /// `NoData` (204), `Forbidden` (403), `Gone` (404), `WrongLength`, `Stalled`, `Unreachable`,
    /// those of logging in again.
    pub(crate) async fn download(
        &self,
        image: &ImageRecord,
        options: DownloadOptions,
    ) -> Result<Download, CloudError> {
        let path = format!("images/{}/file", image.id);
        let url = self.glance().join(&path).map_err(|error| CloudError::BadAnswer {
            url: self.glance_text(),
            reason: format!("{error} in the image's id"),
        })?;
        let mut download = Download {
            cloud: self.clone(),
            url,
            id: image.id.clone(),
            size: image.size,
            have: 0,
            options,
            resumes: 0,
            body_bytes: 0,
            body: None,
        };
        download.open().await?;
        Ok(download)
    }
}

impl Download {
    /// The next piece, `None` after the last. Pieces are as the network brings them.
    ///
    /// A cut or stalled download is resumed with `Range` after a growing pause. After an error the
    /// download is over.
    ///
    /// # Errors
    /// `Stalled`, `Cut`, `CannotResume`, `WrongLength`, and those of `Cloud::download`.
    pub(crate) async fn next_chunk(&mut self) -> Result<Option<Bytes>, CloudError> {
        loop {
            let Some(body) = &mut self.body else {
                return Ok(None);
            };
            let reason = match timeout(self.options.stall_timeout, body.chunk()).await {
                Ok(Ok(Some(bytes))) if bytes.is_empty() => continue,
                Ok(Ok(Some(bytes))) => return self.take(bytes).map(Some),
                _ if self.have == self.size => {
                    self.body = None;
                    return Ok(None);
                }
                Ok(Ok(None)) => Break::Closed("Glance closed the connection".to_owned()),
                Ok(Err(error)) => Break::Closed(root_cause(&error)),
                Err(_) => Break::Stalled,
            };
            self.body = None;
            self.resume(reason).await?;
        }
    }

    fn take(&mut self, bytes: Bytes) -> Result<Bytes, CloudError> {
        let count = bytes.len() as u64;
        let got = self.have.saturating_add(count);
        if got > self.size {
            self.body = None;
            return Err(self.wrong_length(got));
        }
        self.have = got;
        self.body_bytes += count;
        Ok(bytes)
    }

    async fn resume(&mut self, mut reason: Break) -> Result<(), CloudError> {
        if self.body_bytes == 0 {
            return Err(self.broken(reason));
        }
        let mut pause = RESUME_PAUSE_FIRST;
        while self.resumes < self.options.resumes_max {
            self.resumes += 1;
            sleep(pause).await;
            pause = RESUME_PAUSE_MAX.min(pause * 2);
            match self.open().await {
                Ok(()) => return Ok(()),
                // A Glance or a balancer that is being restarted.
                Err(CloudError::Unreachable { reason: text, .. }) => reason = Break::Closed(text),
                Err(CloudError::GlanceStatus { status, .. }) if status >= 500 => {
                    reason = Break::Closed(format!("Glance answered {status}"));
                }
                Err(error) => return Err(error),
            }
        }
        Err(self.broken(reason))
    }

    /// Asks for the bytes from `have` on.
    async fn open(&mut self) -> Result<(), CloudError> {
        let mut renewed = false;
        let response = loop {
            let response = self.request().await?;
            match response.status() {
                StatusCode::UNAUTHORIZED if !renewed => self.cloud.renew().await?,
                _ => break response,
            }
            renewed = true;
        };
        match response.status() {
            StatusCode::OK if self.have == 0 => self.check_length(&response)?,
            StatusCode::PARTIAL_CONTENT if self.have > 0 => self.check_range(response.headers())?,
            status => return Err(self.refused(status)),
        }
        self.body_bytes = 0;
        self.body = Some(response);
        Ok(())
    }

    async fn request(&self) -> Result<Response, CloudError> {
        let mut request = self.cloud.http().get(self.url.clone());
        if let Some(token) = self.cloud.token() {
            let mut value = HeaderValue::from_str(token.expose_secret())
                .map_err(|_| self.cloud.token_refused("Glance", &self.cloud.glance_text()))?;
            value.set_sensitive(true);
            request = request.header("X-Auth-Token", value);
        }
        if self.have > 0 {
            request = request.header(RANGE, format!("bytes={}-", self.have));
        }
        match timeout(self.options.stall_timeout, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                Err(CloudError::Unreachable { url: self.cloud.glance_text(), reason: root_cause(&error) })
            }
            Err(_) => Err(self.broken(Break::Stalled)),
        }
    }

    fn refused(&self, status: StatusCode) -> CloudError {
        let id = self.id.clone();
        match status {
            StatusCode::NO_CONTENT => CloudError::NoData { id },
            StatusCode::UNAUTHORIZED => self.cloud.token_refused("Glance", &self.cloud.glance_text()),
            StatusCode::FORBIDDEN => CloudError::Forbidden { id },
            StatusCode::NOT_FOUND => CloudError::Gone { id },
            StatusCode::OK | StatusCode::BAD_REQUEST | StatusCode::RANGE_NOT_SATISFIABLE if self.have > 0 => {
                self.cannot_resume(format!("it answered {} to bytes={}-", status.as_u16(), self.have))
            }
            other => CloudError::GlanceStatus { url: self.cloud.glance_text(), status: other.as_u16() },
        }
    }

    fn check_length(&self, response: &Response) -> Result<(), CloudError> {
        match response.content_length() {
            Some(got) if got != self.size => Err(self.wrong_length(got)),
            // Without a length the bytes are counted as they come.
            _ => Ok(()),
        }
    }

    fn check_range(&self, headers: &HeaderMap) -> Result<(), CloudError> {
        let text = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        match text.and_then(range_start) {
            Some(start) if start == self.have => Ok(()),
            Some(start) => {
                Err(self
                    .cannot_resume(format!("asked for bytes={}-, it answered from byte {start}", self.have)))
            }
            None => Err(self.cannot_resume("its answer does not say which bytes it has".to_owned())),
        }
    }

    fn broken(&self, reason: Break) -> CloudError {
        let (id, have, size) = (self.id.clone(), self.have, self.size);
        match reason {
            Break::Stalled => CloudError::Stalled { id, have, size, after: self.options.stall_timeout },
            Break::Closed(reason) => CloudError::Cut { id, have, size, resumes: self.resumes, reason },
        }
    }

    fn cannot_resume(&self, reason: String) -> CloudError {
        CloudError::CannotResume { id: self.id.clone(), have: self.have, size: self.size, reason }
    }

    fn wrong_length(&self, got: u64) -> CloudError {
        CloudError::WrongLength { id: self.id.clone(), size: self.size, got }
    }
}

/// How a body ended before its time.
enum Break {
    Stalled,
    Closed(String),
}

/// The first byte's offset in `bytes 100-199/200`.
fn range_start(text: &str) -> Option<u64> {
    let (start, _) = text.trim().strip_prefix("bytes")?.trim_start().split_once('-')?;
    start.parse().ok()
}

/// Before the first attempt to go on; doubled with each that fails. Eight of them take 79 s, which
/// outlasts the restart of a Glance behind a balancer.
const RESUME_PAUSE_FIRST: Duration = Duration::from_secs(1);
const RESUME_PAUSE_MAX: Duration = Duration::from_secs(16);

#[cfg(test)]
mod tests {
    use super::range_start;

    #[test]
    fn the_start_of_a_content_range_is_read() {
        assert_eq!(range_start("bytes 100-199/200"), Some(100));
        assert_eq!(range_start("bytes 0-0/*"), Some(0));
        for bad in ["", "bytes */200", "items 0-5/6", "bytes -5", "bytes 99999999999999999999-1/2"] {
            assert_eq!(range_start(bad), None, "{bad}");
        }
    }
}
