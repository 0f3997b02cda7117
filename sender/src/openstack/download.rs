//! The download of one image from Glance: exactly as many bytes as its record states.
//!
//! The download as a whole has no deadline, as an image may be of any length: each read has its own.
//!
//! A download that breaks is resumed: with `Range` if Glance's store supports it, else from the beginning. Bytes that
//! were returned already are then read again and compared, as they may have been sent to the hosts.

use std::time::Duration;

use bytes::{Buf, Bytes};
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Response, StatusCode, Url};
use tokio::time::{Instant, sleep, timeout_at};

use super::error::{CloudError, root_cause};
use super::image::ImageRecord;
use super::session::Cloud;

#[derive(Clone, Copy, Debug)]
pub(crate) struct DownloadOptions {
    /// The maximum time without bytes from Glance, including all attempts to resume. It runs only while `next_chunk`
    /// waits: a slow caller does not use it up.
    pub(crate) stall_timeout: Duration,
    /// The maximum number of resumes over the whole download.
    pub(crate) resumes_max: u32,
    /// Whether to resume with `Range`. Off where nothing proves the whole at the end: reading everything again shows at
    /// least that the beginning is unchanged.
    pub(crate) ranges: bool,
}

/// A running download. It returns exactly the image's `size` bytes, or an error.
#[derive(Debug)]
pub(crate) struct Download {
    cloud: Cloud,
    url: Url,
    id: String,
    size: u64,
    have: u64,
    options: DownloadOptions,
    resumes: u32,
    /// When the stall timeout ends.
    deadline: Instant,
    /// The hash of the `have` bytes that were returned.
    given: Box<blake3::Hasher>,
    body: Option<Response>,
    /// The part of `body` that an earlier body has already brought.
    again: Option<Again>,
    /// Whether `body` has brought new bytes. After one without new bytes there is no resume: the file in the store ends
    /// there.
    fresh: bool,
}

/// The part of a repeated download that the caller already has.
#[derive(Debug)]
struct Again {
    left: u64,
    hash: Box<blake3::Hasher>,
}

impl Cloud {
    /// Requests the image's data, and returns when Glance begins to answer. Renews an expired token.
    ///
    /// # Errors
    /// `NoData` (204), `Forbidden` (403), `Gone` (404), `WrongLength`, `Stalled`, `Unreachable`, and those of a new
    /// login.
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
            deadline: Instant::now() + options.stall_timeout,
            given: Box::default(),
            body: None,
            again: None,
            fresh: false,
        };
        download.open().await?;
        Ok(download)
    }
}

impl Download {
    /// Returns the next piece, in the sizes that the network delivers, or `None` after the last.
    ///
    /// A cut or stalled download is resumed. After an error the download is over.
    ///
    /// # Errors
    /// `Stalled`, `Cut`, `Changed`, `WrongLength`, and those of `Cloud::download`.
    pub(crate) async fn next_chunk(&mut self) -> Result<Option<Bytes>, CloudError> {
        self.deadline = Instant::now() + self.options.stall_timeout;
        loop {
            let patience = self.patience();
            let Some(body) = &mut self.body else {
                return Ok(None);
            };
            let reason = match timeout_at(patience, body.chunk()).await {
                Ok(Ok(Some(bytes))) => match self.take(bytes)? {
                    bytes if bytes.is_empty() => continue,
                    bytes => return Ok(Some(bytes)),
                },
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

    /// Returns until when to wait for a silent body. While a resume is possible, half of the time is reserved for it.
    fn patience(&self) -> Instant {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if self.fresh { self.deadline - left / 2 } else { self.deadline }
    }

    /// Returns the bytes of a piece that are new.
    fn take(&mut self, mut bytes: Bytes) -> Result<Bytes, CloudError> {
        self.deadline = Instant::now() + self.options.stall_timeout;
        if let Some(again) = &mut self.again {
            let known = bytes.len().min(usize::try_from(again.left).unwrap_or(usize::MAX));
            again.hash.update(&bytes[..known]);
            again.left -= known as u64;
            bytes.advance(known);
            if again.left > 0 {
                return Ok(bytes);
            }
            if again.hash.finalize() != self.given.finalize() {
                return Err(CloudError::Changed { id: self.id.clone(), have: self.have });
            }
            self.again = None;
        }
        let got = self.have.saturating_add(bytes.len() as u64);
        if got > self.size {
            return Err(self.wrong_length(got));
        }
        self.given.update(&bytes);
        self.have = got;
        self.fresh |= !bytes.is_empty();
        Ok(bytes)
    }

    /// Opens a body that continues at `have`, before the deadline.
    async fn resume(&mut self, mut reason: Break) -> Result<(), CloudError> {
        if !self.fresh {
            return Err(self.broken(reason));
        }
        let mut pause = RESUME_PAUSE_FIRST;
        while self.resumes < self.options.resumes_max {
            self.resumes += 1;
            let left = self.deadline.saturating_duration_since(Instant::now());
            if let Break::Closed(_) = reason {
                sleep(pause.min(left / 2)).await;
                pause *= 2;
            }
            match self.open().await {
                Ok(()) => return Ok(()),
                // Glance or a load balancer may be restarting.
                Err(CloudError::Unreachable { reason: text, .. }) => reason = Break::Closed(text),
                Err(CloudError::GlanceStatus { status, .. }) if status >= 500 => {
                    reason = Break::Closed(format!("Glance answered {status}"));
                }
                Err(error) => return Err(error),
            }
            if self.deadline.saturating_duration_since(Instant::now()) < RESUME_TIME_MIN {
                break;
            }
        }
        Err(self.broken(reason))
    }

    /// Requests the bytes from `have` on; all of them if Glance does not serve ranges.
    async fn open(&mut self) -> Result<(), CloudError> {
        let mut response = self.authorized().await?;
        if self.have > 0 && self.options.ranges && !self.goes_on(&response) {
            match response.status() {
                StatusCode::PARTIAL_CONTENT
                | StatusCode::BAD_REQUEST
                | StatusCode::RANGE_NOT_SATISFIABLE
                | StatusCode::NOT_IMPLEMENTED => {
                    self.options.ranges = false;
                    response = self.authorized().await?;
                }
                StatusCode::OK => self.options.ranges = false, // `Range` was ignored
                _ => {}                                        // an error that does not come from `Range`
            }
        }
        self.again = None;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if self.have > 0 && self.options.ranges => {}
            StatusCode::OK => {
                if let Some(got) = response.content_length().filter(|&got| got != self.size) {
                    return Err(self.wrong_length(got)); // without it the bytes are counted as they arrive
                }
                if self.have > 0 {
                    self.again = Some(Again { left: self.have, hash: Box::default() });
                }
            }
            status => return Err(self.refused(status)),
        }
        self.fresh = false;
        self.body = Some(response);
        Ok(())
    }

    /// Whether the response is the range requested: from `have` to the end of an image of this size.
    fn goes_on(&self, response: &Response) -> bool {
        let text = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let wanted = ContentRange { first: self.have, last: self.size - 1, size: self.size };
        let length = response.content_length();
        response.status() == StatusCode::PARTIAL_CONTENT
            && text.and_then(ContentRange::parse) == Some(wanted)
            && length.is_none_or(|length| length == self.size - self.have)
    }

    /// Sends one request, and sends it again with a new token if the old one has expired.
    async fn authorized(&self) -> Result<Response, CloudError> {
        let mut request = self.cloud.http().get(self.url.clone());
        if self.have > 0 && self.options.ranges {
            request = request.header(RANGE, format!("bytes={}-", self.have));
        }
        let glance = self.cloud.glance_text();
        let asked = self.cloud.authorized("Glance", &glance, request);
        timeout_at(self.deadline, asked).await.unwrap_or_else(|_| Err(self.broken(Break::Stalled)))
    }

    fn refused(&self, status: StatusCode) -> CloudError {
        let id = self.id.clone();
        match status {
            StatusCode::NO_CONTENT => CloudError::NoData { id },
            StatusCode::FORBIDDEN => CloudError::Forbidden { id },
            StatusCode::NOT_FOUND => CloudError::Gone { id },
            other => CloudError::GlanceStatus { url: self.cloud.glance_text(), status: other.as_u16() },
        }
    }

    fn broken(&self, reason: Break) -> CloudError {
        let (id, have, size) = (self.id.clone(), self.have, self.size);
        match reason {
            Break::Stalled => CloudError::Stalled { id, have, size, after: self.options.stall_timeout },
            Break::Closed(reason) => CloudError::Cut { id, have, size, resumes: self.resumes, reason },
        }
    }

    fn wrong_length(&self, got: u64) -> CloudError {
        CloudError::WrongLength { id: self.id.clone(), size: self.size, got }
    }
}

/// How a body ended too early.
enum Break {
    Stalled,
    Closed(String),
}

/// `bytes 100-199/200`: the first byte, the last byte, and the size of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) size: u64,
}

impl ContentRange {
    /// Parses the header's value. `None` also for an unknown size (`*`), as it could be that of another image.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (range, size) = text.trim().strip_prefix("bytes ")?.trim_start().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        Some(Self { first: first.parse().ok()?, last: last.parse().ok()?, size: size.parse().ok()? })
    }
}

/// The pause before the first resume after a cut. It doubles with each attempt, up to half of the time left.
const RESUME_PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The time left of the stall timeout below which there is no further attempt.
const RESUME_TIME_MIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::ContentRange;

    #[test]
    fn a_content_range_is_read_only_when_it_is_whole() {
        let whole = ContentRange { first: 100, last: 199, size: 200 };
        assert_eq!(ContentRange::parse("bytes 100-199/200"), Some(whole));
        for bad in [
            "",
            "bytes */200",
            "bytes 0-0/*",
            "items 0-5/6",
            "bytes -5/6",
            "bytes 5",
            "bytes 99999999999999999999-1/2",
        ] {
            assert_eq!(ContentRange::parse(bad), None, "{bad}");
        }
    }
}
