//! Certificates and private keys out of PEM files.
//!
//! It never asks for a passphrase, and looks at no certificate from inside.

use std::path::Path;

use rustls_pki_types::pem::{self, PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::error::{FileRole, TlsError};

/// All certificates of a file, at least one, in their order.
pub(super) fn chain(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let mut holds_key = encrypted_key(bytes);
    let chain = certificates(path, bytes, FileRole::Certificate, |other| holds_key |= is_key(other))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: path.into(), holds_key, looks_like_der: is_der(bytes) });
    }
    Ok(chain)
}

/// The first private key of a file: PKCS#8, SEC1 or PKCS#1, not encrypted.
pub(super) fn key(path: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    if encrypted_key(bytes) {
        return Err(TlsError::EncryptedKey { path: path.into() });
    }
    let mut holds_certificate = false;
    for section in sections(path, bytes, FileRole::Key) {
        let (kind, der) = section?;
        holds_certificate |= kind == SectionKind::Certificate;
        if let Some(key) = PrivateKeyDer::from_pem(kind, der) {
            return Ok(key);
        }
    }
    Err(TlsError::NoKey { path: path.into(), holds_certificate, looks_like_der: is_der(bytes) })
}

/// All CA certificates of a file, at least one.
pub(super) fn trusted(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = certificates(path, bytes, FileRole::TrustedCa, |_other| {})?;
    if found.is_empty() {
        return Err(TlsError::NoTrustedCa { path: path.into(), looks_like_der: is_der(bytes) });
    }
    Ok(found)
}

/// What a file holds, whatever it is: whether there is a certificate in it, and whether there is a key.
pub(super) fn holds(path: &Path, bytes: &[u8]) -> Result<(bool, bool), TlsError> {
    let mut key = encrypted_key(bytes);
    let found = certificates(path, bytes, FileRole::Certificate, |other| key |= is_key(other))?;
    Ok((!found.is_empty(), key))
}

/// Certificates, keys and PKCS#12 stores in DER all begin with a long-form SEQUENCE; text never does.
pub(super) fn is_der(bytes: &[u8]) -> bool {
    matches!(bytes, [0x30, 0x81..=0x84, ..])
}

fn certificates(
    path: &Path,
    bytes: &[u8],
    role: FileRole,
    mut other: impl FnMut(SectionKind),
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let mut found = Vec::new();
    for section in sections(path, bytes, role) {
        match section? {
            (SectionKind::Certificate, der) => found.push(CertificateDer::from(der)),
            (kind, _) => other(kind),
        }
    }
    Ok(found)
}

/// The PEM sections of a file up to its end or its first malformed one.
fn sections<'a>(
    path: &'a Path,
    bytes: &'a [u8],
    role: FileRole,
) -> impl Iterator<Item = Result<(SectionKind, Vec<u8>), TlsError>> + 'a {
    <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes).map(move |section| {
        section.map_err(|source| TlsError::MalformedPem { path: path.into(), role, reason: pem_reason(&source) })
    })
}

/// The parser's own text prints lines as lists of numbers.
fn pem_reason(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            // The parser keeps the label only.
            format!("a section lacks its line `-----END {}-----`", String::from_utf8_lossy(end_marker))
        }
        // The line itself is not shown: it may be a key's.
        pem::Error::IllegalSectionStart { .. } => {
            "a line that begins a section is not written `-----BEGIN …-----`".into()
        }
        pem::Error::Base64Decode(_) => "a section is not base64".into(),
        other => other.to_string(),
    }
}

fn is_key(kind: SectionKind) -> bool {
    matches!(kind, SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey)
}

/// PKCS#8 has a label of its own for encrypted keys; the older forms have a header inside the section.
fn encrypted_key(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.lines().any(|line| {
        let line = line.trim_end();
        line == "-----BEGIN ENCRYPTED PRIVATE KEY-----" || line == "Proc-Type: 4,ENCRYPTED"
    })
}
