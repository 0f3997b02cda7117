//! What can go wrong between the operator's configuration and the last byte of an image: one variant for each remedy.
//! Each message is one line: what happened, where, what to do next. None contains a secret: bodies of answers are never
//! quoted, and user information is removed from URLs.

use std::error::Error as StdError;
use std::time::Duration;

use glancecast_proto::wire::printable;
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{StatusCode, Url};

use super::retry::Busy;
use super::service::{Peer, Service};

/// Who has to act; it determines the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloudErrorKind {
    /// The command line, the configuration or the credentials are wrong: repeating cannot help. Exit code 2.
    Usage,
    /// The cloud, the image or the network is not as required now, but may be later. Exit code 1.
    Source,
}

#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    #[error(
        "no cloud is configured: no --os-cloud, no OS_CLOUD and no OS_AUTH_URL; name a cloud of {looked_in}, or load an openrc file"
    )]
    NoCloudChosen { looked_in: String },
    #[error("cloud `{cloud}` was asked for, but there is no clouds.yaml; looked in {looked_in}")]
    NoCloudsFile { cloud: String, looked_in: String },
    #[error("{variable} names {path}, which is not a readable file; correct it or unset {variable}")]
    ConfigFileMissing { variable: &'static str, path: String },
    #[error("cloud `{cloud}` is not in {files}; that has {known}; choose one with --os-cloud")]
    UnknownCloud { cloud: String, files: String, known: String },
    #[error("{file} cannot be used: {reason}; correct the file")]
    BadConfigFile { file: String, reason: String },
    #[error(
        "{file} is not used: {reason}. It says to whom the password goes and whose images are sent, so nobody else may write it; correct that, or name another file in OS_CLIENT_CONFIG_FILE"
    )]
    UntrustedFile { file: String, reason: String },
    #[error("the settings of {origin} cannot be used: {reason}; correct them")]
    BadSettings { origin: String, reason: String },
    #[error(
        "{origin} has several regions, and none is chosen: {known}; choose one with --os-region-name or OS_REGION_NAME"
    )]
    RegionNotChosen { known: String, origin: String },
    #[error(
        "region `{region}` is not one of {origin}; it has {known}; check --os-region-name and OS_REGION_NAME"
    )]
    UnknownRegion { region: String, known: String, origin: String },
    #[error(
        "auth_type `{auth_type}` of {origin} is a federated log-in, which glancecast does not do; use an application credential, or `openstack token issue` and `auth_type: token`"
    )]
    FederatedLogin { auth_type: String, origin: String },

    #[error("{peer} refused {what} ({status}); check {origin}")]
    CredentialsRefused { peer: String, status: u16, origin: String, what: &'static str },
    #[error("{peer} wants a second factor for {origin}; use an application credential instead")]
    SecondFactor { peer: String, origin: String },
    #[error(
        "{peer} forbids this log-in (403): the user or its project is disabled or locked, its password has expired, or it may not have this scope; check {origin}"
    )]
    LoginForbidden { peer: String, origin: String },
    #[error(
        "{peer} takes the log-in for incomplete (400); give the domains of user and project (user_domain_name, project_domain_name) in {origin}"
    )]
    Incomplete { peer: String, origin: String },
    #[error(
        "{peer} is not a Keystone v3: it answers {status} without offering that version; check auth_url of {origin}"
    )]
    NotKeystone { peer: String, status: u16, origin: String },

    #[error("cannot reach {peer}: {reason}; {advice}")]
    Unreachable { peer: String, reason: String, advice: &'static str },
    #[error("{peer} {reason}, each time it was asked; {advice}")]
    Busy { peer: String, reason: String, advice: &'static str },
    #[error("{peer} cannot be asked safely: {fault}")]
    Certificate { peer: String, fault: String },
    #[error(
        "this machine has no certificates of CAs, by which https servers are known; install the package ca-certificates, or give cacert in {origin}"
    )]
    NoRoots { origin: String },
    #[error(
        "the proxy in {variable} for {peer} cannot be used: {reason}; give it as http://HOST:PORT, unset {variable}, or name the host in no_proxy"
    )]
    BadProxy { variable: &'static str, peer: String, reason: String },
    #[error("{peer} redirects to {to}, {advice}")]
    Redirected { peer: String, to: String, advice: String },
    #[error("{peer} answered {status}; {advice}")]
    Status { peer: String, status: u16, advice: String },
    #[error("{peer} answers more than {max} bytes, and goes on; ask its operator")]
    AnswerTooLong { peer: String, max: usize },
    #[error("{peer} gave something that is not {what}: {reason}")]
    BadAnswer { peer: String, what: &'static str, reason: String },
    #[error("{peer} refused a fresh token (401); {advice} ({origin})")]
    TokenRefused { peer: String, origin: String, advice: String },

    #[error("the catalog has no {what}: it {has}; check `interface` and `region_name` of {remedy}")]
    NoEndpoint { what: String, has: String, remedy: String },
    #[error("the catalog has for {service}, {place}, {fault}; {remedy}")]
    BadEndpoint { service: &'static str, place: String, fault: String, remedy: &'static str },
    #[error(
        "{service} is in several regions: {regions}; choose one: region_name in {origin}, or OS_REGION_NAME"
    )]
    SeveralRegions { service: &'static str, regions: String, origin: String },

    #[error(
        "no image named or numbered `{wanted}` is visible to this project; check the spelling, or give the id of a hidden or community image"
    )]
    UnknownImage { wanted: String },
    #[error(
        "{count} {what} are named `{wanted}`: {candidates}; give one of these ids instead of the name, or --latest for the newest that is active"
    )]
    AmbiguousName { wanted: String, what: &'static str, count: usize, candidates: String },
    #[error(
        "--latest does not choose among the images named `{wanted}`: {reason}: {candidates}; give one of these ids instead of the name"
    )]
    NoLatest { wanted: String, reason: &'static str, candidates: String },
    #[error("image {image} is `{status}`: {hint}")]
    NotActive { image: String, status: String, hint: &'static str },
    #[error(
        "image {id} is active but Glance gives no size for it; upload it again, its length cannot be proven"
    )]
    NoSize { id: String },
    #[error(
        "image {image} has no data in Glance: it is a snapshot of a volume-backed server, its data is in Cinder, and there is nothing to push; make an image of the volume snapshot (openstack volume create --snapshot, openstack image create --volume)"
    )]
    VolumeBacked { image: String },
    #[error(
        "image {image} is empty (0 bytes): there is nothing to push; upload its data, or choose another image"
    )]
    Empty { image: String },
    #[error(
        "image {image} has an id {fault}, which hosts do not take: Nova looks for its copy under the id letter by letter, and hosts know ids as Glance makes them, UUIDs in lower-case letters; upload it again and let Glance choose the id"
    )]
    BadImageId { image: String, fault: &'static str },
    #[error(
        "no image has the id `{marker}`, given as the marker of a list; give the id of one that the list has"
    )]
    UnknownMarker { marker: String },
    #[error("Glance lists more than {max} images; narrow the list, or give --limit")]
    TooManyImages { max: usize },

    #[error(
        "{peer} does not let the user of {origin} {what} (403); use an administrator's credentials (--os-cloud), or name the hosts with --hosts or --hosts-file"
    )]
    NovaForbidden { peer: String, what: &'static str, origin: String },
    #[error(
        "{peer} is too old to cache images on request: that takes microversion {version} (OpenStack Ussuri)"
    )]
    NovaTooOld { peer: String, version: &'static str },
    #[error("Nova refused to cache image {id} (400): it does not find it in its Glance, or not as active")]
    NovaRefusedImage { id: String },
    #[error("Nova has no aggregate `{wanted}`; it has {known}")]
    UnknownAggregate { wanted: String, known: String },
    #[error("no compute host is in an availability zone `{wanted}`; there are {known}")]
    UnknownZone { wanted: String, known: String },
    #[error(
        "no host that was asked for is enabled and up in Nova: {skipped}; see `openstack compute service list`"
    )]
    NoHostChosen { skipped: String },

    #[error(
        "image {id} has no data behind it (204): it is gone from Glance's store although its record is active; upload it again"
    )]
    NoData { id: String },
    #[error("Glance forbids downloading image {id} (403): {why}")]
    Forbidden { id: String, why: &'static str },
    #[error("image {id} was deleted or hidden from this project while it was being sent (404)")]
    Gone { id: String },
    #[error(
        "Glance sent no byte of image {id} for {} s, at {have} of {size} bytes; its stored file may be cut short; if its store is only slow, raise --stall-timeout", after.as_secs_f32()
    )]
    Stalled { id: String, have: u64, size: u64, after: Duration },
    #[error(
        "the download of image {id} broke at {have} of {size} bytes ({reason}; resumes without new bytes: {resumes}); its stored file may be cut short, or Glance is in trouble"
    )]
    Cut { id: String, have: u64, size: u64, resumes: String, reason: String },
    #[error(
        "image {id} gave other bytes when it was read again after a break at {have} bytes: its stored file was changed meanwhile; find out by whom, then push it again"
    )]
    Changed { id: String, have: u64 },
    #[error(
        "Glance's answer for image {id} has {got} bytes where its record says {size}; the stored file is not the image"
    )]
    WrongLength { id: String, size: u64, got: u64 },

    #[error(
        "Glance hashes its images with `{algo}`, which this program cannot compute (it knows {known}), so what it sends cannot be proven; --allow-unverified sends it all the same"
    )]
    UnsupportedHash { algo: String, known: &'static str },
    #[error(
        "Glance keeps no hash of this image, so what it sends cannot be proven; upload it again, or send it all the same with --allow-unverified"
    )]
    NoHash,
    #[error(
        "the bytes read are not the image: {algo} should be {expected}.. and is {got}..; the stored file is damaged, upload it again"
    )]
    WrongContent { algo: String, expected: String, got: String },
    #[error("openstack client: {reason}")]
    Client { reason: String },
}

/// Errors of requests, with what to do about them at this service.
impl CloudError {
    pub(super) fn unreachable(peer: &Peer, reason: String) -> Self {
        let advice = match peer.is_proxied() {
            true => {
                "check whether the proxy runs and reaches that address; where it is reached without a proxy, name its host in no_proxy"
            }
            false => "check the address, the network and firewalls, and whether the service runs",
        };
        Self::Unreachable { peer: peer.to_string(), reason, advice }
    }

    pub(super) fn busy(peer: &Peer, busy: &Busy) -> Self {
        let wish = busy.wait.map(|wait| format!(" and wants to be asked again in {} s", wait.as_secs()));
        let advice = match (busy.reason.as_str(), peer.is_proxied()) {
            ("answered 429", _) => {
                "it limits the number of requests: try again later, or have the limit raised"
            }
            (_, true) => "it or the proxy is in trouble: look at their logs, and try again later",
            (_, false) => {
                "it is overloaded or restarting, or its load balancer has no back end: look at its log, and try again later"
            }
        };
        let reason = format!("{}{}", busy.reason, wish.unwrap_or_default());
        Self::Busy { peer: peer.to_string(), reason, advice }
    }

    /// Returns why this error may be none when the request is made again; `None` if it is final.
    pub(super) fn passing(&self) -> Option<Busy> {
        match self {
            Self::Unreachable { reason, .. } => {
                Some(Busy { reason: format!("cannot be reached: {reason}"), wait: None })
            }
            _ => None,
        }
    }

    /// `stays`: within the server, but in a circle.
    pub(super) fn redirected(peer: &Peer, to: &str, stays: bool) -> Self {
        let advice = match (stays, peer.service) {
            (true, _) => "and on from there without an end; ask its operator".to_owned(),
            (false, Service::Glance) => format!(
                "another server, to which no token is sent. If Glance is there, {}; if its store or a cache is there, have Glance deliver the data itself",
                peer.service.remedy()
            ),
            (false, service) => format!(
                "another server, to which no password and no token is sent; if {} is there, {}",
                service.name(),
                service.remedy()
            ),
        };
        Self::Redirected { peer: peer.to_string(), to: shown(to), advice }
    }

    /// Returns the error of an answer 3xx that the client does not follow, such as one without an address.
    pub(super) fn unfollowed(peer: &Peer, status: StatusCode, headers: &HeaderMap) -> Self {
        let to =
            headers.get(LOCATION).and_then(|value| value.to_str().ok()).and_then(|to| Url::parse(to).ok());
        match to {
            Some(mut to) => {
                to.set_query(None);
                Self::redirected(peer, &shown_url(to.as_str()), false)
            }
            None => Self::Status {
                peer: peer.to_string(),
                status: status.as_u16(),
                advice: format!(
                    "which redirects, and it does not say where to; if it is elsewhere, {}",
                    peer.service.remedy()
                ),
            },
        }
    }

    pub(super) fn status(peer: &Peer, status: StatusCode) -> Self {
        let (service, remedy) = (peer.service.name(), peer.service.remedy());
        let advice = match status.as_u16() {
            403 => "its policy does not let this user do that; ask its operator".to_owned(),
            404 | 405 | 410 => format!("is {service} at this address? If it is elsewhere, {remedy}"),
            407 => "the proxy asks for a log-in: give it in the proxy's URL, http://USER:PASSWORD@HOST:PORT"
                .to_owned(),
            _ => "ask its operator, with the time of this message".to_owned(),
        };
        Self::Status { peer: peer.to_string(), status: status.as_u16(), advice }
    }

    pub(super) fn not_keystone(peer: &Peer, status: StatusCode, origin: &str) -> Self {
        Self::NotKeystone { peer: peer.to_string(), status: status.as_u16(), origin: origin.to_owned() }
    }

    pub(super) fn unsendable_token() -> Self {
        Self::Client { reason: "the token cannot be sent: it has characters that no header has".to_owned() }
    }
}

impl CloudError {
    pub(crate) fn kind(&self) -> CloudErrorKind {
        match self {
            Self::NoCloudChosen { .. }
            | Self::NoCloudsFile { .. }
            | Self::ConfigFileMissing { .. }
            | Self::UnknownCloud { .. }
            | Self::BadConfigFile { .. }
            | Self::BadSettings { .. }
            | Self::RegionNotChosen { .. }
            | Self::UnknownRegion { .. }
            | Self::FederatedLogin { .. }
            | Self::UntrustedFile { .. }
            | Self::BadImageId { .. }
            | Self::VolumeBacked { .. }
            | Self::Empty { .. }
            | Self::NotKeystone { .. }
            | Self::LoginForbidden { .. }
            | Self::Incomplete { .. }
            | Self::NoRoots { .. }
            | Self::BadProxy { .. }
            | Self::Redirected { .. }
            | Self::SecondFactor { .. }
            | Self::NoEndpoint { .. }
            | Self::BadEndpoint { .. }
            | Self::SeveralRegions { .. }
            | Self::NoLatest { .. }
            | Self::CredentialsRefused { .. }
            | Self::UnknownImage { .. }
            | Self::UnknownMarker { .. }
            | Self::NovaForbidden { .. }
            | Self::UnknownAggregate { .. }
            | Self::UnknownZone { .. }
            | Self::NoHostChosen { .. }
            | Self::AmbiguousName { .. } => CloudErrorKind::Usage,
            Self::Busy { .. }
            | Self::Certificate { .. }
            | Self::Status { .. }
            | Self::Unreachable { .. }
            | Self::AnswerTooLong { .. }
            | Self::NotActive { .. }
            | Self::NoSize { .. }
            | Self::BadAnswer { .. }
            | Self::TokenRefused { .. }
            | Self::TooManyImages { .. }
            | Self::NovaTooOld { .. }
            | Self::NovaRefusedImage { .. }
            | Self::NoData { .. }
            | Self::Forbidden { .. }
            | Self::Gone { .. }
            | Self::Stalled { .. }
            | Self::Cut { .. }
            | Self::Changed { .. }
            | Self::WrongLength { .. }
            | Self::UnsupportedHash { .. }
            | Self::NoHash
            | Self::WrongContent { .. }
            | Self::Client { .. } => CloudErrorKind::Source,
        }
    }
}

/// Returns the innermost error's text: "Connection refused (os error 111)" instead of three layers of "error sending
/// request".
pub(super) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    one_line(&innermost.to_string())
}

/// Returns the position of an error in JSON, without the text around it: the answer may be a proxy's HTML page.
pub(super) fn json_fault(error: &serde_json::Error) -> String {
    format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column())
}

/// Returns foreign text of several lines on one line, as [`shown`] does.
pub(super) fn one_line(text: &str) -> String {
    shown(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Returns untrusted text for messages: printable, and shortened to a useful length.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(FOREIGN_TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}..", printable(&text[..end])),
        None => printable(text),
    }
}

/// Returns a URL for messages, without the user information that may precede its host.
pub(super) fn shown_url(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) if parsed.has_host() => {
            // Both fail only for URLs that cannot have user information.
            let _ = parsed.set_username("");
            let _ = parsed.set_password(None);
            parsed.to_string()
        }
        // `user:secret@host`, where the scheme was forgotten, parses as a URL of the scheme `user`.
        _ => "an address that is no URL".to_owned(),
    }
}

/// The maximum length of foreign text in a message; longer texts are documents.
const FOREIGN_TEXT_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_one_bounded_line_that_steers_no_terminal() {
        assert_eq!(one_line("a\n\tb  c"), "a b c");
        let long = one_line(&"ä".repeat(1000));
        assert_eq!(long.chars().count(), FOREIGN_TEXT_CHARS_MAX + 2);
        assert_eq!(one_line("a\u{202e}b\u{2066}c\u{200f}d\u{1b}[2Je\u{9b}"), "a?b?c?d?[2Je?");
    }

    #[test]
    fn an_unparsable_url_is_not_repeated() {
        for text in ["user:secret@host", "//secret@host"] {
            assert!(!shown_url(text).contains("secret"));
        }
    }
}
