//! Certificates of a cloud's connections: whom this program trusts, and its own one. Reads files.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder, Identity};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use webpki::anchor_from_trusted_cert;

use super::config::Certificates;

/// Gives a client the certificates of the settings. With `cacert` nothing else is trusted, as for the `openstack`
/// command.
///
/// # Errors
/// What is wrong with which file.
pub(super) fn apply(
    certificates: &Certificates,
    mut builder: ClientBuilder,
) -> Result<ClientBuilder, String> {
    if let Some(path) = &certificates.trusted {
        builder = builder.tls_certs_only(trusted(path)?);
    }
    if let Some((cert, key)) = &certificates.own {
        builder = builder.identity(identity(cert, key.as_deref())?);
    }
    if certificates.unverified {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    Ok(builder)
}

/// Reads the certificates of a PEM file, or of the files in a directory. Those that rustls cannot use, such as X.509 v1
/// ones in a system's bundle, are left out.
fn trusted(path: &Path) -> Result<Vec<Certificate>, String> {
    let fault = |reason: String| format!("cacert {}: {reason}", path.display());
    let files = match path.is_dir() {
        true => files_of(path).map_err(|error| fault(error.to_string()))?,
        false => vec![path.to_owned()],
    };
    let mut found = Vec::new();
    for file in &files {
        match fs::read(file) {
            Ok(bytes) => found.extend(certificates_in(&bytes)),
            Err(error) if files.len() == 1 => return Err(fault(error.to_string())),
            Err(_) => {}
        }
    }
    match found.is_empty() {
        true => Err(fault("it has no certificate in PEM form".to_owned())),
        false => Ok(found),
    }
}

fn files_of(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(directory)?.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files.truncate(FILES_MAX);
    Ok(files)
}

fn certificates_in(pem: &[u8]) -> impl Iterator<Item = Certificate> {
    let certificates = CertificateDer::pem_slice_iter(pem).map_while(Result::ok);
    let usable = certificates.filter(|certificate| anchor_from_trusted_cert(certificate).is_ok());
    usable.filter_map(|certificate| Certificate::from_der(&certificate).ok())
}

/// Reads the client certificate and its key, from one file or from two.
fn identity(cert: &Path, key: Option<&Path>) -> Result<Identity, String> {
    let read = |option: &str, path: &Path| {
        fs::read(path).map_err(|error| format!("{option} {}: {error}", path.display()))
    };
    let mut pem = read("cert", cert)?;
    if let Some(key) = key {
        pem.push(b'\n');
        pem.extend(read("key", key)?);
    }
    let is_encrypted = [&b"ENCRYPTED PRIVATE KEY"[..], &b"Proc-Type: 4,ENCRYPTED"[..]]
        .iter()
        .any(|mark| pem.windows(mark.len()).any(|window| window == *mark));
    let key_path = key.unwrap_or(cert).display();
    if is_encrypted {
        return Err(format!(
            "key {key_path}: it is encrypted, and nobody is asked for its password; give it without one"
        ));
    }
    Identity::from_pem(&pem).map_err(|_| {
        format!(
            "cert {} and key {key_path}: they are not a certificate and its private key in PEM form",
            cert.display()
        )
    })
}

/// The maximum number of files of a directory; a system's has a few hundred.
const FILES_MAX: usize = 2000;
