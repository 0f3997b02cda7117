//! Signed images: verifies the signature in an image's properties over the bytes that Glance keeps, as OpenStack's
//! `cursive` creates it and Nova verifies it, but with certificates from a directory instead of a key manager.
//!
//! Supported are RSA-PSS (MGF1, the longest salt) with SHA-256, 384 and 512, and ECDSA on secp384r1 with SHA-256, 384
//! and 512, on secp521r1 with SHA-224 too. No maintained library verifies the others of cursive (DSA, binary curves,
//! RSA with SHA-224). As with Nova's `verify_glance_signatures`, a certificate is trusted because it is in the
//! directory: neither its dates nor its issuer are checked.

use std::fs;
use std::io;
use std::path::Path;

use aws_lc_rs::digest::{self, SHA224, SHA256, SHA384, SHA512};
use aws_lc_rs::signature::{
    ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA224_ASN1,
    ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ParsedPublicKey,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaPssSaltLength,
    VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use webpki::EndEntityCert;

/// The properties of a signed image.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct SignatureProperties {
    img_signature: Option<String>,
    img_signature_hash_method: Option<String>,
    img_signature_key_type: Option<String>,
    img_signature_certificate_uuid: Option<String>,
}

/// Why an image's signature is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// A property of the signature is missing.
    #[error("it is not signed: it has no property {0}")]
    Missing(&'static str),
    /// It cannot be parsed, or its algorithm is not supported.
    #[error("its signature cannot be verified: {0}")]
    Unsupported(String),
    /// No trusted certificate has a key for it.
    #[error(
        "its signature cannot be verified: no trusted certificate {uuid} with a key for {key_type} is in {directory}"
    )]
    Untrusted { uuid: String, key_type: String, directory: String },
    /// It is not over these bytes, or not by a trusted key.
    #[error(
        "its signature is wrong: the bytes are not those that were signed, or no trusted key signed them"
    )]
    Wrong,
    /// The certificates cannot be read.
    #[error("trusted certificates in {directory}: {error}")]
    Directory { directory: String, error: io::Error },
}

impl SignatureError {
    /// Returns the rule for scripts, in addition to those of the inspection.
    pub(crate) fn rule(&self) -> &'static str {
        match self {
            Self::Missing(_) => "signature-missing",
            Self::Unsupported(_) => "signature-unsupported",
            Self::Untrusted { .. } | Self::Directory { .. } => "certificate-untrusted",
            Self::Wrong => "signature-wrong",
        }
    }
}

/// A check that is fed every byte of the image in order. At the end it reports whether a trusted key signed them.
pub(crate) struct SignatureCheck {
    digest: digest::Context,
    signature: Vec<u8>,
    /// Usually one.
    keys: Vec<ParsedPublicKey>,
}

impl SignatureProperties {
    /// Whether the image has any property of a signature.
    pub(crate) fn any(&self) -> bool {
        [
            &self.img_signature,
            &self.img_signature_hash_method,
            &self.img_signature_key_type,
            &self.img_signature_certificate_uuid,
        ]
        .into_iter()
        .any(Option::is_some)
    }

    /// Prepares the verification of the image.
    ///
    /// # Errors
    /// All of [`SignatureError`] except `Wrong`.
    pub(crate) fn check(&self, trusted: &Path) -> Result<SignatureCheck, SignatureError> {
        let signature = required(&self.img_signature, "img_signature")?;
        let hash = required(&self.img_signature_hash_method, "img_signature_hash_method")?;
        let key_type = required(&self.img_signature_key_type, "img_signature_key_type")?;
        let uuid = required(&self.img_signature_certificate_uuid, "img_signature_certificate_uuid")?;
        let signature: String = signature.split_ascii_whitespace().collect();
        let signature = STANDARD
            .decode(signature)
            .map_err(|_| SignatureError::Unsupported("img_signature is not base64".to_owned()))?;
        let (digest, algorithm) = algorithm(key_type, hash).ok_or_else(|| {
            let (key_type, hash) = (shortened(key_type), shortened(hash));
            SignatureError::Unsupported(format!("{key_type} with {hash} is not supported here; {KNOWN}"))
        })?;
        let keys: Vec<ParsedPublicKey> = certificates(trusted, uuid)?
            .iter()
            .filter_map(|certificate| key(certificate, algorithm))
            .collect();
        if keys.is_empty() {
            return Err(SignatureError::Untrusted {
                uuid: shortened(uuid),
                key_type: key_type.to_owned(),
                directory: trusted.display().to_string(),
            });
        }
        Ok(SignatureCheck { digest: digest::Context::new(digest), signature, keys })
    }
}

impl SignatureCheck {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// # Errors
    /// `Wrong`
    pub(crate) fn finish(self) -> Result<(), SignatureError> {
        let digest = self.digest.finish();
        let right = self.keys.iter().any(|key| key.verify_digest_sig(&digest, &self.signature).is_ok());
        if right { Ok(()) } else { Err(SignatureError::Wrong) }
    }
}

fn required<'a>(property: &'a Option<String>, name: &'static str) -> Result<&'a str, SignatureError> {
    property.as_deref().ok_or(SignatureError::Missing(name))
}

/// Returns the algorithms for cursive's names.
fn algorithm(
    key_type: &str,
    hash: &str,
) -> Option<(&'static digest::Algorithm, &'static dyn VerificationAlgorithm)> {
    Some(match (key_type, hash) {
        ("RSA-PSS", "SHA-256") => {
            (&SHA256, &const { RSA_PSS_2048_8192_SHA256.with_pss_salt_length(RsaPssSaltLength::Max) })
        }
        ("RSA-PSS", "SHA-384") => {
            (&SHA384, &const { RSA_PSS_2048_8192_SHA384.with_pss_salt_length(RsaPssSaltLength::Max) })
        }
        ("RSA-PSS", "SHA-512") => {
            (&SHA512, &const { RSA_PSS_2048_8192_SHA512.with_pss_salt_length(RsaPssSaltLength::Max) })
        }
        ("ECC_SECP384R1", "SHA-256") => (&SHA256, &ECDSA_P384_SHA256_ASN1),
        ("ECC_SECP384R1", "SHA-384") => (&SHA384, &ECDSA_P384_SHA384_ASN1),
        ("ECC_SECP384R1", "SHA-512") => (&SHA512, &ECDSA_P384_SHA512_ASN1),
        ("ECC_SECP521R1", "SHA-224") => (&SHA224, &ECDSA_P521_SHA224_ASN1),
        ("ECC_SECP521R1", "SHA-256") => (&SHA256, &ECDSA_P521_SHA256_ASN1),
        ("ECC_SECP521R1", "SHA-384") => (&SHA384, &ECDSA_P521_SHA384_ASN1),
        ("ECC_SECP521R1", "SHA-512") => (&SHA512, &ECDSA_P521_SHA512_ASN1),
        _ => return None,
    })
}

/// Returns the certificates in the files named `uuid`, with or without an extension; if there are none, all in the
/// directory.
fn certificates(directory: &Path, uuid: &str) -> Result<Vec<CertificateDer<'static>>, SignatureError> {
    let failed = |error| SignatureError::Directory { directory: directory.display().to_string(), error };
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory).map_err(failed)?.take(FILES_MAX) {
        let path = entry.map_err(failed)?.path();
        let metadata = fs::metadata(&path).map_err(failed)?;
        if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
            continue;
        }
        let found = parse(&fs::read(&path).map_err(failed)?);
        let stem = [path.file_name(), path.file_stem()];
        if stem.iter().flatten().any(|stem| stem.eq_ignore_ascii_case(uuid)) {
            named.extend(found);
        } else {
            others.extend(found);
        }
    }
    Ok(if named.is_empty() { others } else { named })
}

/// Parses PEM, or DER.
fn parse(bytes: &[u8]) -> Vec<CertificateDer<'static>> {
    let pem: Vec<_> = CertificateDer::pem_slice_iter(bytes).filter_map(Result::ok).collect();
    if pem.is_empty() { vec![CertificateDer::from(bytes.to_vec())] } else { pem }
}

fn key(
    certificate: &CertificateDer<'_>,
    algorithm: &'static dyn VerificationAlgorithm,
) -> Option<ParsedPublicKey> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    ParsedPublicKey::new(algorithm, certificate.subject_public_key_info().as_ref()).ok()
}

/// Shortens a property's value for messages.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

const KNOWN: &str =
    "supported are RSA-PSS with SHA-256, SHA-384 or SHA-512, and ECC_SECP384R1 and ECC_SECP521R1";
/// Limits for a directory and its files; a directory of certificates stays below them.
const FILES_MAX: usize = 1000;
const FILE_BYTES_MAX: u64 = 64 << 10;
