//! What can go wrong between the operator's configuration and the last byte of an image: one variant for each remedy.
//! Each message is one line: what happened, where, what to do next. None contains a secret: bodies of answers are never
//! quoted, and user information is removed from URLs.

use std::error::Error as StdError;
use std::time::Duration;

use glancecast_proto::wire::printable;
use reqwest::Url;

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

    #[error("Keystone at {url} refused the user name, password, token or project ({status}); check {origin}")]
    CredentialsRefused { url: String, status: u16, origin: String },
    #[error("Keystone at {url} wants a second factor for {origin}; use an application credential instead")]
    SecondFactor { url: String, origin: String },
    #[error("Keystone at {url} answered {status}; check auth_url and the project of {origin}")]
    Keystone { url: String, status: u16, origin: String },
    #[error(
        "{url} is not a Keystone v3: it answers {status} without offering that version; check auth_url of {origin}"
    )]
    NotKeystone { url: String, status: u16, origin: String },
    #[error("cannot reach {url}: {reason}; check the address, the network and the CA certificate")]
    Unreachable { url: String, reason: String },
    #[error(
        "{url} redirects to {to}, another server, to which no password and no token is sent; if that is the right one, name it: Keystone in auth_url, Glance and Nova in the catalog or in image_endpoint_override and compute_endpoint_override"
    )]
    Redirected { url: String, to: String },
    #[error("{url} answers more than {max} bytes, and goes on; ask its operator")]
    AnswerTooLong { url: String, max: usize },
    #[error(
        "the catalog has no image service for interface `{interface}` in region `{region}`; check `interface` and `region_name` of {origin}"
    )]
    NoImageService { interface: String, region: String, origin: String },

    #[error(
        "no image named or numbered `{wanted}` is visible to this project; check the spelling, or give the id of a hidden or community image"
    )]
    UnknownImage { wanted: String },
    #[error("{count} images are named `{wanted}`: {candidates}; give one of these ids instead of the name")]
    AmbiguousName { wanted: String, count: usize, candidates: String },
    #[error("image {image} is `{status}`: {hint}")]
    NotActive { image: String, status: String, hint: &'static str },
    #[error(
        "image {id} is active but Glance gives no size for it; upload it again, its length cannot be proven"
    )]
    NoSize { id: String },
    #[error(
        "image {image} has an id {fault}, which hosts do not take: Nova looks for its copy under the id letter by letter, and hosts know ids as Glance makes them, UUIDs in lower-case letters; upload it again and let Glance choose the id"
    )]
    BadImageId { image: String, fault: &'static str },
    #[error("Glance at {url} gave something that is not an image record: {reason}")]
    BadAnswer { url: String, reason: String },
    #[error(
        "{service} at {url} refused a fresh token (401); check that {service} uses the Keystone of {origin}"
    )]
    TokenRefused { service: &'static str, url: String, origin: String },
    #[error(
        "no image has the id `{marker}`, given as the marker of a list; give the id of one that the list has"
    )]
    UnknownMarker { marker: String },
    #[error("Glance lists more than {max} images; narrow the list, or give --limit")]
    TooManyImages { max: usize },
    #[error("Glance answered {status} at {url}; ask its operator, with the time of this message")]
    GlanceStatus { url: String, status: u16 },

    #[error(
        "the catalog has no compute service (Nova) for interface `{interface}` in region `{region}`; check `interface` and `region_name` of {origin}, or name the hosts with --hosts or --hosts-file"
    )]
    NoComputeService { interface: String, region: String, origin: String },
    #[error(
        "Nova does not let the user of {origin} {what} (403); use an administrator's credentials (--os-cloud), or name the hosts with --hosts or --hosts-file"
    )]
    NovaForbidden { what: &'static str, origin: String },
    #[error(
        "Nova answered {status} at {url} when asked to {what}; ask its operator, with the time of this message"
    )]
    NovaStatus { url: String, status: u16, what: &'static str },
    #[error("Nova at {url} gave something that is not a list: {reason}")]
    NovaBadAnswer { url: String, reason: String },
    #[error(
        "Nova at {url} is too old to cache images on request: that takes microversion {version} (OpenStack Ussuri)"
    )]
    NovaTooOld { url: String, version: &'static str },
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
    #[error(
        "Glance forbids downloading image {id} (403): it was deactivated or a policy says so; ask its owner"
    )]
    Forbidden { id: String },
    #[error("image {id} was deleted or hidden from this project while it was being sent (404)")]
    Gone { id: String },
    #[error(
        "Glance sent no byte of image {id} for {} s, at {have} of {size} bytes; its stored file may be cut short; if its store is only slow, raise --stall-timeout", after.as_secs_f32()
    )]
    Stalled { id: String, have: u64, size: u64, after: Duration },
    #[error(
        "the download of image {id} broke at {have} of {size} bytes ({reason}; resumes tried: {resumes}); its stored file may be cut short, or Glance is in trouble"
    )]
    Cut { id: String, have: u64, size: u64, resumes: u32, reason: String },
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
            | Self::NotKeystone { .. }
            | Self::Redirected { .. }
            | Self::SecondFactor { .. }
            | Self::NoImageService { .. }
            | Self::CredentialsRefused { .. }
            | Self::UnknownImage { .. }
            | Self::UnknownMarker { .. }
            | Self::NoComputeService { .. }
            | Self::NovaForbidden { .. }
            | Self::UnknownAggregate { .. }
            | Self::UnknownZone { .. }
            | Self::NoHostChosen { .. }
            | Self::AmbiguousName { .. } => CloudErrorKind::Usage,
            Self::Keystone { .. }
            | Self::Unreachable { .. }
            | Self::AnswerTooLong { .. }
            | Self::NotActive { .. }
            | Self::NoSize { .. }
            | Self::BadAnswer { .. }
            | Self::TokenRefused { .. }
            | Self::GlanceStatus { .. }
            | Self::TooManyImages { .. }
            | Self::NovaStatus { .. }
            | Self::NovaBadAnswer { .. }
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
        _ => "the auth_url given".to_owned(),
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
