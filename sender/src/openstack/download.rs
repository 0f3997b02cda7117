//! The download of one image from Glance: exactly as many bytes as its record states.
//!
//! The download as a whole has no deadline, as an image may be of any length: each read has its own.
//!
//! A download that breaks is resumed: with `Range` if Glance's store supports it, else from the beginning. Bytes that
//! were returned already are then read again and compared, as they may have been sent to the hosts. Resumes are counted
//! anew after each that brought bytes, so that a download goes on as long as it gets further.

use std::time::Duration;

use bytes::{Buf, Bytes};
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::time::{Instant, sleep, timeout_at};

use super::error::{CloudError, root_cause};
use super::http;
use super::image::ImageRecord;
use super::retry::{Busy, Tries};
use super::service::Peer;
use super::session::Cloud;

#[derive(Clone, Copy, Debug)]
pub(crate) struct DownloadOptions {
    /// The maximum time without bytes from Glance, including all attempts to resume. It runs only while `next_chunk`
    /// waits: a slow caller does not use it up.
    pub(crate) stall_timeout: Duration,
    /// The maximum number of resumes in a row that bring no new bytes.
    pub(crate) resumes_max: u32,
    /// Whether to resume with `Range`. Off where nothing proves the whole at the end: reading everything again shows at
    /// least that the beginning is unchanged.
    pub(crate) ranges: bool,
}

/// A running download. It returns exactly the image's `size` bytes, or an error.
#[derive(Debug)]
pub(crate) struct Download {
    cloud: Cloud,
    peer: Peer,
    url: Url,
    id: String,
    size: u64,
    have: u64,
    options: DownloadOptions,
    /// Resumes since the last new bytes.
    resumes: u32,
    /// Resumes of the whole download.
    resumes_in_all: u32,
    /// Bodies in a row that began and brought no new bytes.
    barren: u32,
    /// Why resumes begin at the first byte, if they do.
    whole_because: Option<&'static str>,
    /// When the stall timeout ends.
    deadline: Instant,
    /// The hash of the `have` bytes that were returned.
    given: Box<blake3::Hasher>,
    body: Option<Response>,
    /// The part of `body` that an earlier body has already brought.
    again: Option<Again>,
    /// The new bytes that `body` has brought. After some bodies without any there is no resume: the file in the store
    /// ends there.
    gained: u64,
}

/// The part of a repeated download that the caller already has.
#[derive(Debug)]
struct Again {
    left: u64,
    hash: Box<blake3::Hasher>,
}

impl Cloud {
    /// Requests the image's data, and returns when Glance begins to answer. Renews an expired token, and asks again if
    /// Glance is busy.
    ///
    /// # Errors
    /// `NoData` (204), `Forbidden` (403), `Gone` (404), `WrongLength`, `Stalled`, `Busy`, `Unreachable`, `Redirected`, and
    /// those of a new login.
    pub(crate) async fn download(
        &self,
        image: &ImageRecord,
        options: DownloadOptions,
    ) -> Result<Download, CloudError> {
        let path = format!("images/{}/file", image.id);
        let glance = self.glance().await?;
        let url = glance.url.join(&path).map_err(|error| CloudError::BadAnswer {
            peer: glance.peer.to_string(),
            what: "an image",
            reason: format!("{error} in its id"),
        })?;
        let mut download = Download {
            cloud: self.clone(),
            peer: glance.peer.at(&url),
            url,
            id: image.id.clone(),
            size: image.size,
            have: 0,
            options,
            resumes: 0,
            resumes_in_all: 0,
            barren: 0,
            whole_because: (!options.ranges).then_some("no hash proves the image"),
            deadline: Instant::now() + options.stall_timeout,
            given: Box::default(),
            body: None,
            again: None,
            gained: 0,
        };
        download.begin().await?;
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
        if self.gained > 0 { self.deadline - left / 2 } else { self.deadline }
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
        self.gained += bytes.len() as u64;
        Ok(bytes)
    }

    /// Opens the first body. Each try has the whole stall timeout.
    async fn begin(&mut self) -> Result<(), CloudError> {
        let mut tries = Tries::default();
        loop {
            let Err(fault) = self.open().await else { return Ok(()) };
            let Some(busy) = fault.busy else { return Err(fault.error) };
            let Some(pause) = tries.pause(&busy) else { return Err(fault.error) };
            http::wait(&self.peer, &busy, pause, &tries.next()).await;
            self.deadline = Instant::now() + self.options.stall_timeout;
        }
    }

    /// Opens a body that continues at `have`, before the deadline.
    async fn resume(&mut self, mut reason: Break) -> Result<(), CloudError> {
        if self.gained > 0 {
            (self.resumes, self.barren) = (0, 0);
        } else {
            self.barren += 1;
            // One that breaks while known bytes are read again may get further the next time.
            let barren_max = if self.again.is_some() { self.options.resumes_max } else { BARREN_MAX };
            if self.barren >= barren_max || matches!(reason, Break::Stalled) {
                return Err(self.broken(reason));
            }
        }
        // Whoever sends this much at a time is not in trouble.
        let mut pause = if self.gained >= GAIN_FREE_BYTES { Duration::ZERO } else { RESUME_PAUSE_FIRST };
        let mut wish = Duration::ZERO;
        while self.resumes < self.options.resumes_max && self.resumes_in_all < RESUMES_MAX {
            self.resumes += 1;
            self.resumes_in_all += 1;
            let left = self.left();
            if wish > left {
                break;
            }
            if let Break::Closed(_) = reason {
                sleep(wish.max(pause.min(left / 2))).await;
                pause = (pause * 2).clamp(RESUME_PAUSE_FIRST, RESUME_PAUSE_MAX);
            }
            let Err(fault) = self.open().await else { return Ok(()) };
            // Glance or a load balancer may be restarting.
            let Some(busy) = fault.busy else { return Err(fault.error) };
            if self.resumes == RESUMES_QUIET {
                tracing::warn!("{} {}; trying to go on at {} bytes", self.peer, busy.reason, self.have);
            }
            wish = busy.wait.unwrap_or_default();
            reason = Break::Closed(busy.reason);
            if self.left() < RESUME_TIME_MIN {
                break;
            }
        }
        Err(self.broken(reason))
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Requests the bytes from `have` on; all of them if Glance does not serve ranges.
    async fn open(&mut self) -> Result<(), Fault> {
        let mut response = self.authorized().await?;
        if self.have > 0 && self.options.ranges && !self.goes_on(&response) {
            match response.status() {
                StatusCode::PARTIAL_CONTENT
                | StatusCode::BAD_REQUEST
                | StatusCode::RANGE_NOT_SATISFIABLE
                | StatusCode::NOT_IMPLEMENTED => {
                    self.read_whole();
                    response = self.authorized().await?;
                }
                StatusCode::OK => self.read_whole(), // `Range` was ignored
                _ => {}                              // an error that does not come from `Range`
            }
        }
        self.again = None;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if self.have > 0 && self.options.ranges => {}
            StatusCode::OK => {
                if let Some(got) = response.content_length().filter(|&got| got != self.size) {
                    return Err(self.wrong_length(got).into()); // without it the bytes are counted as they arrive
                }
                if self.have > 0 {
                    self.again = Some(Again { left: self.have, hash: Box::default() });
                }
            }
            status => {
                let busy = Busy::of(status, response.headers());
                let error = match &busy {
                    Some(busy) => CloudError::busy(&self.peer, busy),
                    None => self.refused(status),
                };
                return Err(Fault { busy, error });
            }
        }
        self.gained = 0;
        self.body = Some(response);
        Ok(())
    }

    /// Reads from the beginning from now on.
    fn read_whole(&mut self) {
        self.options.ranges = false;
        self.whole_because = Some("Glance or its store serves no byte ranges of it");
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
    async fn authorized(&self) -> Result<Response, Fault> {
        let mut request = self.cloud.request(&self.peer, Method::GET, self.url.clone())?;
        if self.have > 0 && self.options.ranges {
            request = request.header(RANGE, format!("bytes={}-", self.have));
        }
        let asked = self.cloud.begin(&self.peer, request);
        match timeout_at(self.deadline, asked).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Fault { busy: None, error: self.broken(Break::Stalled) }),
        }
    }

    fn refused(&self, status: StatusCode) -> CloudError {
        let id = self.id.clone();
        match status {
            StatusCode::NO_CONTENT => CloudError::NoData { id },
            StatusCode::FORBIDDEN => CloudError::Forbidden {
                id,
                why: self.cloud.hint().unwrap_or("it was deactivated or a policy says so; ask its owner"),
            },
            StatusCode::NOT_FOUND => CloudError::Gone { id },
            other => self.cloud.refused(&self.peer, other),
        }
    }

    fn broken(&self, reason: Break) -> CloudError {
        let (id, have, size) = (self.id.clone(), self.have, self.size);
        match reason {
            Break::Stalled => CloudError::Stalled { id, have, size, after: self.options.stall_timeout },
            Break::Closed(reason) => {
                let whole = self.whole_because.map_or_else(String::new, |why| {
                    format!("; each had to begin at the first byte, as {why}")
                });
                let resumes = format!("{}{whole}", self.resumes);
                CloudError::Cut { id, have, size, resumes, reason }
            }
        }
    }

    fn wrong_length(&self, got: u64) -> CloudError {
        CloudError::WrongLength { id: self.id.clone(), size: self.size, got }
    }
}

/// Why a body did not begin, and whether it may later.
struct Fault {
    busy: Option<Busy>,
    error: CloudError,
}

impl From<CloudError> for Fault {
    fn from(error: CloudError) -> Self {
        Self { busy: error.passing(), error }
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

/// The pause before the first resume after a cut. It doubles with each attempt, up to [`RESUME_PAUSE_MAX`] and half of the
/// time left.
const RESUME_PAUSE_FIRST: Duration = Duration::from_millis(100);
const RESUME_PAUSE_MAX: Duration = Duration::from_secs(5);
/// The new bytes of a body after which the first resume is not delayed.
const GAIN_FREE_BYTES: u64 = 256 << 10;
/// The number of resumes after which a log line says that Glance cannot be reached: by then they took over a second.
const RESUMES_QUIET: u32 = 4;
/// Bodies without new bytes after which the stored file is taken to end there.
const BARREN_MAX: u32 = 3;
/// Resumes of one download, whatever they bring: a bound for a server that sends byte by byte.
const RESUMES_MAX: u32 = 100_000;
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
