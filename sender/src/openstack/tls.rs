//! Certificates: the roots that are trusted, the client's own certificate, and words for each fault of a server's.
//!
//! The roots are loaded when the first https address is asked, so that a cloud without TLS needs none on this machine.

use std::error::Error as StdError;
use std::fs;
use std::io;
use std::path::Path;

use chrono::DateTime;
use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::CertificateError;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::config::{Certificates, Settings};
use super::error::{CloudError, one_line, root_cause, shown};

/// Adds what the settings say of certificates to a client for https.
///
/// # Errors
/// `BadSettings` if a file of certificates cannot be used.
pub(super) fn configure(
    mut builder: ClientBuilder,
    settings: &Settings,
) -> Result<ClientBuilder, CloudError> {
    let bad = |reason| CloudError::BadSettings { origin: settings.origin.clone(), reason };
    let Certificates { unverified, trusted, own } = &settings.certificates;
    if let Some(path) = trusted {
        let roots = roots(path).map_err(|reason| bad(format!("cacert {}: {reason}", path.display())))?;
        // As for the openstack command, nothing else is trusted then.
        builder = builder.tls_certs_only(roots);
    }
    if let Some((certificate, key)) = own {
        let identity = identity(certificate, key.as_deref());
        let identity = identity.map_err(|reason| bad(format!("cert {}: {reason}", certificate.display())))?;
        builder = builder.identity(identity);
    }
    Ok(builder.tls_danger_accept_invalid_certs(*unverified))
}

/// Returns the error of a client for https that could not be built.
pub(super) fn unusable(error: &reqwest::Error, settings: &Settings) -> CloudError {
    let reason = root_cause(error);
    match reason.contains("No CA certificates were loaded") {
        true => CloudError::NoRoots { origin: settings.origin.clone() },
        false => CloudError::BadSettings { origin: settings.origin.clone(), reason },
    }
}

/// Reads the certificates of a file, or of all files of a directory, as OpenSSL's CApath has them.
fn roots(path: &Path) -> Result<Vec<Certificate>, String> {
    if !path.is_dir() {
        return bundle(path).map_err(|error| error.to_string());
    }
    let entries = fs::read_dir(path).map_err(|error| error.to_string())?;
    let files = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file());
    // Other files may be there, such as a README.
    let found: Vec<_> = files.take(FILES_MAX).filter_map(|file| bundle(&file).ok()).flatten().collect();
    if found.is_empty() {
        Err("no file of this directory has a certificate in PEM".to_owned())
    } else {
        Ok(found)
    }
}

fn bundle(path: &Path) -> io::Result<Vec<Certificate>> {
    let pem = read(path)?;
    let certificates = CertificateDer::pem_slice_iter(&pem).map(|certificate| {
        certificate.map_err(|_| io::Error::other("a certificate in it is not PEM, or is damaged"))
    });
    // A system's bundle may have certificates that rustls takes for no root, such as those of X.509 version 1.
    let usable = certificates.filter(|certificate| {
        !certificate.as_ref().is_ok_and(|certificate| webpki::anchor_from_trusted_cert(certificate).is_err())
    });
    let found = usable.map(|certificate| Certificate::from_der(&certificate?).map_err(io::Error::other));
    let found = found.collect::<io::Result<Vec<_>>>()?;
    if found.is_empty() {
        return Err(io::Error::other("there is no certificate in PEM (-----BEGIN CERTIFICATE-----) in it"));
    }
    Ok(found)
}

/// Reads a client's certificate and its key, which may be in the same file.
fn identity(certificate: &Path, key: Option<&Path>) -> Result<Identity, String> {
    let mut pem = read(certificate).map_err(|error| error.to_string())?;
    if let Some(key) = key {
        pem.push(b'\n');
        pem.extend(read(key).map_err(|error| format!("key {}: {error}", key.display()))?);
    }
    let is_encrypted = ["ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"]
        .iter()
        .any(|mark| pem.windows(mark.len()).any(|window| window == mark.as_bytes()));
    if is_encrypted {
        return Err(
            "its key is encrypted, and nobody is asked for the password; give a key without one".to_owned()
        );
    }
    Identity::from_pem(&pem)
        .map_err(|error| format!("no certificate with its key in PEM ({})", root_cause(&error)))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {} MiB", FILE_BYTES_MAX >> 20)));
    }
    fs::read(path)
}

/// Returns what is wrong with a server's certificate or its TLS, and what to do; `None` if the error is about neither.
pub(super) fn fault(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = rustls_error(error) {
            return Some(words(error));
        }
        cause = error.source();
    }
    None
}

/// Returns the TLS error that an error is. An `io::Error` does not name the error that it wraps as its source.
fn rustls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return error.get_ref().and_then(|inner| rustls_error(inner));
    }
    error.downcast_ref::<rustls::Error>()
}

fn words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => certificate_words(error),
        rustls::Error::InvalidMessage(_) => {
            "it does not speak TLS on this port; is it http:// instead of https://?".to_owned()
        }
        rustls::Error::NoCertificatesPresented => "it shows no certificate".to_owned(),
        rustls::Error::AlertReceived(alert) => format!(
            "it refuses the TLS connection ({alert:?}); does it ask for a client certificate (cert and key in \
             clouds.yaml), or does it speak only versions before TLS 1.2?"
        ),
        rustls::Error::PeerIncompatible(reason) => {
            format!("it speaks no TLS that is safe ({reason:?}); it has to offer TLS 1.2 or 1.3")
        }
        other => format!("TLS fails: {}", one_line(&other.to_string())),
    }
}

fn certificate_words(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "its certificate is signed by no CA that is trusted here; name its CA in cacert (OS_CACERT), or add it to \
             this machine's (update-ca-certificates, update-ca-trust). If that CA is trusted, the server does not send \
             the intermediate certificates"
                .to_owned()
        }
        CertificateError::ExpiredContext { time, not_after } => format!(
            "its certificate expired on {}, and this machine's clock says {}; renew it, or set the clock",
            date(not_after.as_secs()),
            date(time.as_secs())
        ),
        CertificateError::Expired => "its certificate has expired; renew it".to_owned(),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "its certificate is not valid before {}, and this machine's clock says {}; set the clock",
            date(not_before.as_secs()),
            date(time.as_secs())
        ),
        CertificateError::NotValidYet => "its certificate is not valid yet; set this machine's clock".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => names(&expected.to_str(), presented),
        CertificateError::NotValidForName => "its certificate is for another name".to_owned(),
        CertificateError::Revoked => "its certificate was revoked; it needs a new one".to_owned(),
        CertificateError::BadSignature => {
            "its certificate names a CA that is trusted here, but another CA of the same name signed it, or a key that is \
             too weak (RSA below 2048 bits); name the CA that signed it in cacert, or renew it"
                .to_owned()
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "its certificate is signed by an algorithm that is not accepted (SHA-1 or MD5, or a key that is too weak); \
             it needs a new one, signed with SHA-256"
                .to_owned()
        }
        CertificateError::BadEncoding => "its certificate is damaged; it needs a new one".to_owned(),
        CertificateError::UnhandledCriticalExtension => {
            "its certificate has a critical extension that is not known here; it needs a new one".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => PURPOSE.to_owned(),
        CertificateError::Other(other) => match other.0.downcast_ref::<webpki::Error>() {
            Some(error) => webpki_words(error),
            // `EkuError` of rustls-platform-verifier.
            None if other.to_string() == "certificate had invalid extensions" => PURPOSE.to_owned(),
            None => format!("its certificate is not accepted: {}", one_line(&other.to_string())),
        },
        other => format!("its certificate is not accepted: {}", one_line(&other.to_string())),
    }
}

fn webpki_words(error: &webpki::Error) -> String {
    use webpki::Error;
    match error {
        Error::CaUsedAsEndEntity => {
            "its certificate is one of a CA (CA:TRUE), as `openssl req -x509` makes them, and such a certificate cannot \
             be a server's. Let that CA sign a certificate for the server and name the CA in cacert; or make the \
             self-signed one again with `-addext basicConstraints=critical,CA:FALSE` and name that in cacert"
                .to_owned()
        }
        Error::EndEntityUsedAsCa => {
            "its certificate is signed by one that is not of a CA (CA:FALSE); a CA has to sign it".to_owned()
        }
        Error::UnsupportedCertVersion => {
            "its certificate is of X.509 version 1, without a subjectAltName; it needs one of version 3".to_owned()
        }
        Error::PathLenConstraintViolated | Error::NameConstraintViolation => {
            "its CA may not sign this certificate (path length or name constraint); it needs one of another CA".to_owned()
        }
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            "its certificate is signed by an algorithm that is not accepted; it needs a new one, signed with SHA-256"
                .to_owned()
        }
        other => format!("its certificate is not accepted: {}", one_line(&format!("{other:?}"))),
    }
}

/// Returns what to do about a certificate for other names than `expected`.
fn names(expected: &str, presented: &[String]) -> String {
    if presented.is_empty() {
        return format!(
            "its certificate names no host in subjectAltName, and its common name (CN) counts no longer (RFC 6125); make \
             one with subjectAltName {expected}"
        );
    }
    let mut names: Vec<String> = presented.iter().take(NAMES_SHOWN_MAX).map(|name| shown(name)).collect();
    if presented.len() > names.len() {
        names.push("..".to_owned());
    }
    format!(
        "its certificate is not for {expected} but for {}; use an address with such a name, or make one with \
         subjectAltName {expected}",
        names.join(", ")
    )
}

fn date(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    time.map_or_else(|| "an impossible date".to_owned(), |time| time.format("%Y-%m-%d %H:%M UTC").to_string())
}

const PURPOSE: &str =
    "its certificate is not for servers (extendedKeyUsage lacks serverAuth); it needs one that is";
/// A bundle of all public CAs has a quarter of a MiB.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// A directory of all public CAs has some 300 files.
const FILES_MAX: usize = 2000;
/// More names do not help to find the right one.
const NAMES_SHOWN_MAX: usize = 5;
