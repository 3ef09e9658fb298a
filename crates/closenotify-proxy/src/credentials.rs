//! The certificate chain and private key that the proxy serves, from PEM files or made up for the demo.
//!
//! It refuses to start with credentials that every client would refuse: a key that is not the certificate's, a leaf
//! outside its validity, a file in which something else was pasted. It never asks for a passphrase, and does not check
//! names, chains or trust: those are the client's to judge.

mod error;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, version};
use rustls_pki_types::pem::{self, PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

pub use error::{CredentialsError, FileRole, UtcDate};

/// A certificate chain, leaf first, and the private key of its leaf.
#[derive(Clone, Debug)]
pub struct Credentials {
    certified: Arc<CertifiedKey>,
}

impl Credentials {
    /// Loads a chain (leaf first) from `cert` and its private key from `key`, both PEM, and checks them as of `now`.
    ///
    /// The key may be PKCS#8, SEC1 or PKCS#1, unencrypted; the first one in the file counts. Both paths may name the
    /// same file. Only the leaf's validity is checked.
    ///
    /// # Errors
    ///
    /// One [`CredentialsError`] a cause; its text names the file at fault and says what to do next.
    pub fn from_files(cert: &Path, key: &Path, now: SystemTime) -> Result<Self, CredentialsError> {
        let chain = read_chain(cert)?;
        let key_der = read_key(key)?;
        check_validity(cert, &chain, now)?;
        Self::pair(chain, key_der, cert, key)
    }

    /// Makes a self-signed P-256 certificate for `localhost`, `127.0.0.1` and `::1` in memory, valid from yesterday for
    /// 30 days; it is no CA. Nothing is written to disk, and every call makes a new key.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::Generate`] when the provider cannot make a key.
    pub fn self_signed() -> Result<Self, CredentialsError> {
        let failed = |source: rcgen::Error| CredentialsError::Generate { reason: source.to_string() };
        let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, "closenotify demo");
        params.is_ca = IsCa::ExplicitNoCa;
        let now = SystemTime::now();
        params.not_before = (now - DAY).into();
        params.not_after = (now + 30 * DAY).into();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let leaf = params.self_signed(&key).map_err(failed)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let certified = CertifiedKey::from_der(vec![leaf.der().clone()], key, &aws_lc_rs::default_provider())
            .map_err(|source| CredentialsError::Generate { reason: source.to_string() })?;
        Ok(Self { certified: Arc::new(certified) })
    }

    /// The chain, leaf first, in DER; never empty.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// A server configuration that serves these credentials to every client: TLS 1.2 and 1.3 with the aws-lc-rs
    /// provider, no client authentication, no ALPN, and resumption by tickets whose keys live in this process only.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::Config`] when the provider cannot make ticket keys or supports none of the versions.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, CredentialsError> {
        let failed = |source| CredentialsError::Config { source };
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(failed)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&self.certified))));
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(failed)?;
        Ok(Arc::new(config))
    }

    fn pair(
        chain: Vec<CertificateDer<'static>>,
        key_der: PrivateKeyDer<'static>,
        cert: &Path,
        key: &Path,
    ) -> Result<Self, CredentialsError> {
        let provider = aws_lc_rs::default_provider();
        let signing = provider
            .key_provider
            .load_private_key(key_der)
            .map_err(|source| CredentialsError::KeyUnusable { path: key.into(), reason: source.to_string() })?;
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            Ok(()) => {}
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                return Err(CredentialsError::Mismatch { cert: cert.into(), key: key.into() });
            }
            // A signer that cannot tell its public key is no reason to refuse.
            Err(rustls::Error::InconsistentKeys(_)) => {}
            Err(source) => {
                return Err(CredentialsError::CertificateUnparsable {
                    path: cert.into(),
                    position: 1,
                    reason: source.to_string(),
                });
            }
        }
        Ok(Self { certified: Arc::new(certified) })
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let bytes = read(path, FileRole::Certificate)?;
    let mut chain = Vec::new();
    let mut holds_key = encrypted_key(&bytes);
    for section in sections(path, &bytes, FileRole::Certificate) {
        let (kind, der) = section?;
        match kind {
            SectionKind::Certificate => chain.push(CertificateDer::from(der)),
            other => holds_key |= is_key(other),
        }
    }
    if chain.is_empty() {
        return Err(CredentialsError::NoCertificate { path: path.into(), holds_key, looks_like_der: is_der(&bytes) });
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CredentialsError> {
    let bytes = read(path, FileRole::Key)?;
    if encrypted_key(&bytes) {
        return Err(CredentialsError::EncryptedKey { path: path.into() });
    }
    let mut holds_certificate = false;
    for section in sections(path, &bytes, FileRole::Key) {
        let (kind, der) = section?;
        holds_certificate |= kind == SectionKind::Certificate;
        if let Some(key) = PrivateKeyDer::from_pem(kind, der) {
            return Ok(key);
        }
    }
    Err(CredentialsError::NoKey { path: path.into(), holds_certificate, looks_like_der: is_der(&bytes) })
}

fn read(path: &Path, role: FileRole) -> Result<Vec<u8>, CredentialsError> {
    fs::read(path).map_err(|source| CredentialsError::Unreadable { path: path.into(), role, source })
}

/// The PEM sections of a file up to its end or its first malformed one.
fn sections<'a>(
    path: &'a Path,
    bytes: &'a [u8],
    role: FileRole,
) -> impl Iterator<Item = Result<(SectionKind, Vec<u8>), CredentialsError>> + 'a {
    <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes).map(move |section| {
        section.map_err(|source| CredentialsError::MalformedPem {
            path: path.into(),
            role,
            reason: pem_reason(&source),
        })
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

/// PKCS#8 has a label of its own for encrypted keys; the older forms say it in a header inside the section.
fn encrypted_key(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.lines().any(|line| {
        let line = line.trim_end();
        line == "-----BEGIN ENCRYPTED PRIVATE KEY-----" || line == "Proc-Type: 4,ENCRYPTED"
    })
}

/// Certificates, keys and PKCS#12 stores in DER all begin with a long-form SEQUENCE; text never does.
fn is_der(bytes: &[u8]) -> bool {
    matches!(bytes, [0x30, 0x81..=0x84, ..])
}

/// Every certificate must parse; only the leaf must be valid at `now`.
fn check_validity(path: &Path, chain: &[CertificateDer<'_>], now: SystemTime) -> Result<(), CredentialsError> {
    let now = unix_seconds(now);
    for (index, der) in chain.iter().enumerate() {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|source| CredentialsError::CertificateUnparsable {
                path: path.into(),
                position: index + 1,
                reason: source.to_string(),
            })?;
        if index > 0 {
            continue;
        }
        let validity = certificate.validity();
        if now > validity.not_after.timestamp() {
            return Err(CredentialsError::Expired { path: path.into(), at: UtcDate::from(validity.not_after) });
        }
        if now < validity.not_before.timestamp() {
            return Err(CredentialsError::NotYetValid { path: path.into(), from: UtcDate::from(validity.not_before) });
        }
    }
    Ok(())
}

fn unix_seconds(time: SystemTime) -> i64 {
    let clamp = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => clamp(after),
        Err(before) => -clamp(before.duration()),
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
