//! One certificate of a listener: chain and key, the names that it is for, and the OCSP response stapled to it.
//!
//! It rejects what every client would: a key that is not the certificate's, a leaf outside its validity, a file in which
//! something else was pasted. It does not check chains or trust: those are the client's to judge.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fmt, io};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, SignatureAlgorithm};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::error::{FileRole, TlsError, UtcDate};
use super::files::Reader;
use super::{ocsp, pem};
use crate::config::NamePattern;

/// What metrics show of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The file with its chain; for the one in memory, a word for it.
    pub path: PathBuf,
    /// The DNS names and wildcards that it is chosen for, in lower case.
    pub names: Vec<String>,
    /// The serial number, in hexadecimal.
    pub serial: String,
    /// Its last valid second.
    pub not_after: SystemTime,
    /// When the OCSP response beside it is out of date; not stapled from then on. `None`: there is none, or it does not say.
    pub staple_until: Option<SystemTime>,
}

/// Where a certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The path of the settings through which it was found.
    pub(super) root: PathBuf,
    /// The file with the chain.
    pub(super) chain: PathBuf,
    /// The file with the key, where that is another one.
    pub(super) key: Option<PathBuf>,
}

/// A certificate that can be served.
pub(super) struct Certificate {
    place: Place,
    /// Of everything that it was made from but the staple.
    digest: [u8; 32],
    names: Vec<NamePattern>,
    serial: String,
    not_after: i64,
    plain: Arc<CertifiedKey>,
    staple: Option<Staple>,
}

struct Staple {
    digest: [u8; 32],
    stapled: Arc<CertifiedKey>,
    until: Option<i64>,
}

/// A certificate as it was loaded.
pub(super) struct Loaded {
    pub(super) certificate: Arc<Certificate>,
    /// Why its staple is not the one in the file.
    pub(super) staple_rejected: Option<TlsError>,
}

impl Certificate {
    /// Loads a certificate. Where all of it is as in `old`, that is what is returned.
    ///
    /// `None`: a file of a directory that is not for us, since it holds no certificate or no key. What was one before counts
    /// as broken instead.
    pub(super) fn load(
        place: Place,
        from_directory: bool,
        old: Option<&Arc<Self>>,
        reader: &mut Reader,
        now: SystemTime,
    ) -> Result<Option<Loaded>, TlsError> {
        let before = reader.mark();
        match Self::load_once(place.clone(), from_directory, old, reader, now) {
            // A link to both files may have been changed after the first was read.
            Err(TlsError::Mismatch { .. }) if place.key.is_some() => {
                reader.forget_since(before);
                Self::load_once(place, from_directory, old, reader, now)
            }
            loaded => loaded,
        }
    }

    fn load_once(
        place: Place,
        from_directory: bool,
        old: Option<&Arc<Self>>,
        reader: &mut Reader,
        now: SystemTime,
    ) -> Result<Option<Loaded>, TlsError> {
        let chain_bytes = read(reader, &place.chain, FileRole::Certificate)?;
        let key_bytes = place.key.as_deref().map(|path| read(reader, path, FileRole::Key)).transpose()?;
        let staple_path = place.chain.with_extension("ocsp");
        let staple = reader.read_if_there(&staple_path);

        let digest = digest_of(&[&chain_bytes, key_bytes.as_deref().unwrap_or_default()]);
        let old = old.filter(|old| old.place == place);
        let same = old.filter(|old| old.digest == digest);
        if from_directory && old.is_none() && key_bytes.is_none() && !pem::is_der(&chain_bytes) {
            let (certificate, key) = pem::holds(&place.chain, &chain_bytes)?;
            if !(certificate && key) {
                return Ok(None);
            }
        }
        let mut certificate = match same {
            Some(same) => same.without_staple(),
            None => {
                let chain = pem::chain(&place.chain, &chain_bytes)?;
                let key_path = place.key.as_ref().unwrap_or(&place.chain);
                let key = pem::key(key_path, key_bytes.as_ref().unwrap_or(&chain_bytes))?;
                Self::new(place, digest, chain, key, now)?
            }
        };
        let rejected = certificate.attach(staple, &staple_path, same);
        let unchanged = same.filter(|same| same.staple_digest() == certificate.staple_digest());
        let certificate = unchanged.cloned().unwrap_or_else(|| Arc::new(certificate));
        Ok(Some(Loaded { certificate, staple_rejected: rejected }))
    }

    /// Makes a certificate of its parts, checked as of `now`.
    pub(super) fn new(
        place: Place,
        digest: [u8; 32],
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        now: SystemTime,
    ) -> Result<Self, TlsError> {
        let Leaf { names, serial, not_after } = inspect(&place.chain, &chain, now)?;
        let plain = Arc::new(pair(chain, key, &place)?);
        Ok(Self { place, digest, names, serial, not_after, plain, staple: None })
    }

    /// Staples what was read. Otherwise says why not, and keeps the staple that the same certificate has.
    fn attach(&mut self, read: io::Result<Option<Vec<u8>>>, path: &Path, same: Option<&Arc<Self>>) -> Option<TlsError> {
        let stapled = match read {
            Ok(None) => return None,
            Ok(Some(response)) => self.stapled(response, path),
            Err(source) => Err(TlsError::Unreadable { path: path.into(), role: FileRole::Staple, source }),
        };
        match stapled {
            Ok(staple) => {
                self.staple = Some(staple);
                None
            }
            Err(error) => {
                self.staple = same.and_then(|same| same.staple.as_ref()).map(Staple::share);
                Some(error)
            }
        }
    }

    fn stapled(&self, response: Vec<u8>, path: &Path) -> Result<Staple, TlsError> {
        let rejected = |reason: String| TlsError::Staple { path: path.into(), reason };
        let leaf = self.plain.cert.first().map(AsRef::as_ref).unwrap_or_default();
        let (_, leaf) = X509Certificate::from_der(leaf).map_err(|source| rejected(source.to_string()))?;
        if response.len() > MAX_STAPLE {
            return Err(rejected(format!("it is longer than {MAX_STAPLE} bytes")));
        }
        let until = ocsp::next_update(&response, leaf.raw_serial()).map_err(rejected)?;
        let digest = digest_of(&[&response]);
        let stapled = Arc::new(CertifiedKey {
            cert: self.plain.cert.clone(),
            key: Arc::clone(&self.plain.key),
            ocsp: Some(response),
        });
        Ok(Staple { digest, stapled, until })
    }

    fn without_staple(&self) -> Self {
        Self {
            place: self.place.clone(),
            digest: self.digest,
            names: self.names.clone(),
            serial: self.serial.clone(),
            not_after: self.not_after,
            plain: Arc::clone(&self.plain),
            staple: None,
        }
    }

    fn staple_digest(&self) -> Option<[u8; 32]> {
        self.staple.as_ref().map(|staple| staple.digest)
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The names that it is chosen for: the DNS names of its subjectAltName.
    pub(super) fn names(&self) -> &[NamePattern] {
        &self.names
    }

    /// Its last valid second, since 1970.
    pub(super) fn not_after(&self) -> i64 {
        self.not_after
    }

    pub(super) fn algorithm(&self) -> SignatureAlgorithm {
        self.plain.key.algorithm()
    }

    /// What is served at this time, in seconds since 1970.
    pub(super) fn serve(&self, now: i64) -> &Arc<CertifiedKey> {
        match &self.staple {
            // A client may take an old response for worse than none.
            Some(staple) if staple.until.is_none_or(|until| now < until) => &staple.stapled,
            _ => &self.plain,
        }
    }

    pub(super) fn facts(&self) -> CertificateFacts {
        CertificateFacts {
            path: self.place.chain.clone(),
            names: self.names.iter().map(ToString::to_string).collect(),
            serial: self.serial.clone(),
            not_after: system_time(self.not_after),
            staple_until: self.staple.as_ref().and_then(|staple| staple.until).map(system_time),
        }
    }

    /// The complete chain with its key.
    pub(super) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.plain
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("place", &self.place).field("names", &self.names).finish_non_exhaustive()
    }
}

impl Staple {
    fn share(&self) -> Self {
        Self { digest: self.digest, stapled: Arc::clone(&self.stapled), until: self.until }
    }
}

pub(super) fn digest_of(parts: &[&[u8]]) -> [u8; 32] {
    let mut all = Vec::new();
    for part in parts {
        // With its length, so that a byte that moves from one part to the next makes a difference.
        all.extend((part.len() as u64).to_be_bytes());
        all.extend(*part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, &all).as_ref());
    out
}

/// Seconds since 1970, also before.
pub(super) fn unix_seconds(time: SystemTime) -> i64 {
    let clamp = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => clamp(after),
        Err(before) => -clamp(before.duration()),
    }
}

fn system_time(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}

fn read(reader: &mut Reader, path: &Path, role: FileRole) -> Result<Vec<u8>, TlsError> {
    reader.read(path).map_err(|source| TlsError::Unreadable { path: path.into(), role, source })
}

struct Leaf {
    names: Vec<NamePattern>,
    serial: String,
    not_after: i64,
}

/// Every certificate must parse; only the leaf must be valid at `now`.
fn inspect(path: &Path, chain: &[CertificateDer<'_>], now: SystemTime) -> Result<Leaf, TlsError> {
    let now = unix_seconds(now);
    let bytes = chain.iter().map(|certificate| certificate.len()).sum();
    if bytes > MAX_CHAIN {
        return Err(TlsError::ChainTooLong { path: path.into(), bytes });
    }
    let mut first = None;
    for (index, der) in chain.iter().enumerate() {
        let unparsable =
            |reason: String| TlsError::CertificateUnparsable { path: path.into(), position: index + 1, reason };
        let (_, certificate) = X509Certificate::from_der(der).map_err(|source| unparsable(source.to_string()))?;
        if first.is_some() {
            continue;
        }
        let validity = certificate.validity();
        if now > validity.not_after.timestamp() {
            return Err(TlsError::Expired { path: path.into(), at: UtcDate::from(validity.not_after) });
        }
        if now < validity.not_before.timestamp() {
            return Err(TlsError::NotYetValid { path: path.into(), from: UtcDate::from(validity.not_before) });
        }
        let names = certificate.subject_alternative_name().map_err(|source| unparsable(source.to_string()))?;
        first = Some(Leaf {
            names: names.iter().flat_map(|names| &names.value.general_names).filter_map(pattern).collect(),
            serial: certificate.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect(),
            not_after: validity.not_after.timestamp(),
        });
    }
    first.ok_or_else(|| TlsError::NoCertificate { path: path.into(), holds_key: false, looks_like_der: false })
}

/// A DNS name, or a wildcard for its first label: no other wildcard is one to clients (RFC 9525, 6.3).
fn pattern(name: &GeneralName<'_>) -> Option<NamePattern> {
    let GeneralName::DNSName(name) = name else { return None };
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("*.") {
        Some(parent) if !parent.is_empty() && !parent.contains('*') => Some(NamePattern::Wildcard(parent.into())),
        None if !name.is_empty() && !name.contains('*') => Some(NamePattern::Exact(name)),
        _ => None,
    }
}

fn pair(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    place: &Place,
) -> Result<CertifiedKey, TlsError> {
    let key_path = place.key.as_ref().unwrap_or(&place.chain);
    let signing = default_provider()
        .key_provider
        .load_private_key(key)
        .map_err(|source| TlsError::KeyUnusable { path: key_path.clone(), reason: in_words(source) })?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        // A signer that cannot tell its public key is no reason to reject it.
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(TlsError::Mismatch { cert: place.chain.clone(), key: key_path.clone() })
        }
        Err(rustls::Error::InconsistentKeys(_)) => Ok(certified),
        Err(source) => {
            Err(TlsError::CertificateUnparsable { path: place.chain.clone(), position: 1, reason: source.to_string() })
        }
    }
}

/// The text without the "unexpected error: " that rustls puts before what a provider says.
fn in_words(error: rustls::Error) -> String {
    match error {
        rustls::Error::General(reason) => reason,
        other => other.to_string(),
    }
}

/// The longest chain that is served, in bytes of DER: rustls accepts 64 KiB with everything around it, OpenSSL 100 KB.
pub(super) const MAX_CHAIN: usize = 60_000;

/// The longest OCSP response that is stapled: it goes out with every handshake.
const MAX_STAPLE: usize = 64 * 1024;
