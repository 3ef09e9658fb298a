//! Why a file or a setting of TLS cannot be used, for the person who has to fix it.
//!
//! Each text names the file or the setting, what is wrong with it and what to do next. None shows a line of a key.

use std::path::{Path, PathBuf};
use std::{error, fmt, io};

use x509_parser::time::ASN1Time;

use super::certificate::MAX_CHAIN;
use super::certificates::MAX_CERTIFICATES;

/// Why a file or a setting of TLS cannot be used. The text of each names it, and says what to do next.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The file could not be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What it must hold.
        role: FileRole,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is PEM, but broken.
    MalformedPem {
        /// The file.
        path: PathBuf,
        /// What it must hold.
        role: FileRole,
        /// What is broken in it.
        reason: String,
    },
    /// The certificate file holds no certificate.
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// It holds a private key instead: the two files seem swapped.
        holds_key: bool,
        /// It looks like DER, not PEM.
        looks_like_der: bool,
    },
    /// The key file holds no private key.
    NoKey {
        /// The file.
        path: PathBuf,
        /// It holds a certificate instead: the two files seem swapped.
        holds_certificate: bool,
        /// It looks like DER, not PEM.
        looks_like_der: bool,
    },
    /// The private key is encrypted; a proxy has nobody to ask for the passphrase.
    EncryptedKey {
        /// The file.
        path: PathBuf,
    },
    /// The private key was read, but is broken or of a kind that cannot serve TLS.
    KeyUnusable {
        /// The file.
        path: PathBuf,
        /// What the provider said.
        reason: String,
    },
    /// A certificate of the chain is not X.509 that can be served.
    CertificateUnparsable {
        /// The file.
        path: PathBuf,
        /// Which certificate of the file, counted from 1.
        position: usize,
        /// What the parser said.
        reason: String,
    },
    /// The chain is longer than clients accept.
    ChainTooLong {
        /// The file.
        path: PathBuf,
        /// Its length, in bytes of DER.
        bytes: usize,
    },
    /// The key is not the key of the chain's first certificate.
    Mismatch {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The leaf has expired.
    Expired {
        /// The file.
        path: PathBuf,
        /// Its last valid second.
        at: UtcDate,
    },
    /// The leaf is not valid yet.
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// Its first valid second.
        from: UtcDate,
    },
    /// A directory of certificates holds none that can be served.
    NothingUsable {
        /// The directory.
        path: PathBuf,
    },
    /// There are more certificates than one listener may have.
    TooManyCertificates {
        /// Where the first one too many is.
        path: PathBuf,
    },
    /// The file of trusted CA certificates holds none.
    NoTrustedCa {
        /// The file.
        path: PathBuf,
        /// It looks like DER, not PEM.
        looks_like_der: bool,
    },
    /// The OCSP response beside a certificate cannot be stapled.
    Staple {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file or directory of ticket keys cannot be used.
    TicketKeys {
        /// The file or directory.
        path: PathBuf,
        /// The line at fault, counted from 1; `None` where the file is not text, or is at fault as a whole.
        line: Option<usize>,
        /// What is wrong with it.
        reason: String,
    },
    /// A rule for client certificates cannot be read.
    Rule {
        /// The rule.
        rule: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A protocol for ALPN cannot be offered.
    Alpn {
        /// The protocol.
        protocol: String,
    },
    /// The certificate for trying the proxy out could not be made.
    Generate {
        /// What the generator said.
        reason: String,
    },
    /// Everything that was given is good, but no TLS configuration could be made from it.
    Config {
        /// What rustls said.
        source: rustls::Error,
    },
}

impl TlsError {
    /// Whether the fault is ours, and not in a file or a setting.
    pub fn is_internal(&self) -> bool {
        matches!(self, Self::Generate { .. } | Self::Config { .. })
    }

    /// The file or directory at fault, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Unreadable { path, .. }
            | Self::MalformedPem { path, .. }
            | Self::NoCertificate { path, .. }
            | Self::NoKey { path, .. }
            | Self::EncryptedKey { path }
            | Self::KeyUnusable { path, .. }
            | Self::CertificateUnparsable { path, .. }
            | Self::Mismatch { cert: path, .. }
            | Self::Expired { path, .. }
            | Self::NotYetValid { path, .. }
            | Self::NothingUsable { path }
            | Self::TooManyCertificates { path }
            | Self::ChainTooLong { path, .. }
            | Self::NoTrustedCa { path, .. }
            | Self::Staple { path, .. }
            | Self::TicketKeys { path, .. } => Some(path),
            Self::Rule { .. } | Self::Alpn { .. } | Self::Generate { .. } | Self::Config { .. } => None,
        }
    }

    /// What stays in use after a reload that failed with it.
    pub(crate) fn kept(&self) -> &'static str {
        let of = |role: &FileRole| match role {
            FileRole::Certificate | FileRole::Key | FileRole::Directory => CERTIFICATE_KEPT,
            FileRole::TrustedCa => TRUSTED_CA_KEPT,
            FileRole::Staple => STAPLE_KEPT,
            FileRole::TicketKeys => TICKET_KEYS_KEPT,
        };
        match self {
            Self::Unreadable { role, .. } | Self::MalformedPem { role, .. } => of(role),
            Self::NoTrustedCa { .. } => TRUSTED_CA_KEPT,
            Self::Staple { .. } => STAPLE_KEPT,
            Self::TicketKeys { .. } => TICKET_KEYS_KEPT,
            Self::Rule { .. } | Self::Alpn { .. } => "the setting before stays in force",
            Self::Config { .. } => "everything before stays in use",
            _ => CERTIFICATE_KEPT,
        }
    }

    /// Whether it may pass though no file changes: a disk recovers, descriptors are free again, a certificate becomes valid.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreadable { source, .. } => {
                source.raw_os_error().is_some() && source.kind() != io::ErrorKind::NotFound
            }
            Self::NotYetValid { .. } | Self::Config { .. } | Self::Generate { .. } => true,
            _ => false,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, role, source } => write!(
                f,
                "cannot read the {role} {}: {source}; check the path and that this user may read it",
                path.display()
            ),
            Self::MalformedPem { path, role, reason } => write!(
                f,
                "the {role} {} is malformed PEM: {reason}; copy the complete file again from where it was issued",
                path.display()
            ),
            Self::NoCertificate { path, holds_key: true, .. } => {
                write!(
                    f,
                    "no certificate in {}: it holds a private key; the certificate and the key seem swapped",
                    path.display()
                )
            }
            Self::NoCertificate { path, looks_like_der: true, .. } => write!(
                f,
                "no certificate in {}: it looks like DER, not PEM; convert it with `openssl x509 -inform DER -in {0} -out cert.pem`",
                path.display()
            ),
            Self::NoCertificate { path, .. } => write!(
                f,
                "no certificate in {}: it has no `-----BEGIN CERTIFICATE-----` section; expected the chain in PEM, leaf first",
                path.display()
            ),
            Self::NoKey { path, holds_certificate: true, .. } => write!(
                f,
                "no private key in {}: it holds a certificate but no key; the private key must be in this file (are the certificate and the key swapped?)",
                path.display()
            ),
            Self::NoKey { path, looks_like_der: true, .. } => write!(
                f,
                "no private key in {}: it looks like DER, not PEM; convert it with `openssl pkey -inform DER -in {0} -out key.pem`",
                path.display()
            ),
            Self::NoKey { path, .. } => write!(
                f,
                "no private key in {}: it has no `-----BEGIN PRIVATE KEY-----` section (nor `EC` or `RSA PRIVATE KEY`); expected the private key in PEM",
                path.display()
            ),
            Self::EncryptedKey { path } => write!(
                f,
                "the private key in {} is encrypted; decrypt it with `openssl pkey -in {0} -out key.pem` and keep that file readable to this user only",
                path.display()
            ),
            Self::KeyUnusable { path, reason } => write!(
                f,
                "the private key in {} cannot be used: {reason}; use an RSA key of 2048 bits or more, P-256, P-384, P-521 or Ed25519",
                path.display()
            ),
            Self::CertificateUnparsable { path, position, reason } => write!(
                f,
                "certificate {position} in {} cannot be used: {reason}; look at the file with `openssl x509 -text -in {}` and have it issued again",
                path.display(),
                path.display()
            ),
            Self::ChainTooLong { path, bytes } => write!(
                f,
                "the chain in {} has {bytes} bytes, and clients accept at most {MAX_CHAIN}; expected the leaf and its intermediate certificates, not a bundle of CA certificates",
                path.display()
            ),
            Self::Mismatch { cert, key } => write!(
                f,
                "the private key in {} is not the key of the first certificate in {}; the leaf must come first in the chain, and both files from the same issue",
                key.display(),
                cert.display()
            ),
            Self::Expired { path, at } => {
                write!(f, "the certificate in {} expired on {at}; renew it", path.display())
            }
            Self::NotYetValid { path, from } => write!(
                f,
                "the certificate in {} is not valid before {from}; check this machine's clock, or wait",
                path.display()
            ),
            Self::NothingUsable { path } => write!(
                f,
                "no certificate with its key in the directory {}: expected NAME.pem with chain and key, NAME.crt with NAME.key, or fullchain.pem with privkey.pem, there or one directory below",
                path.display()
            ),
            Self::TooManyCertificates { path } => write!(
                f,
                "more than {MAX_CERTIFICATES} certificates for one listener, the first one too many in {}; divide them among listeners, or use wildcard certificates",
                path.display()
            ),
            Self::NoTrustedCa { path, looks_like_der: true } => write!(
                f,
                "no CA certificate in {}: it looks like DER, not PEM; convert it with `openssl x509 -inform DER -in {0} -out ca.pem`",
                path.display()
            ),
            Self::NoTrustedCa { path, .. } => write!(
                f,
                "no CA certificate in {}: it has no `-----BEGIN CERTIFICATE-----` section; expected the trusted CA certificates in PEM",
                path.display()
            ),
            Self::Staple { path, reason } => write!(
                f,
                "cannot staple the OCSP response {}: {reason}; fetch it again, or remove the file",
                path.display()
            ),
            Self::TicketKeys { path, line, reason } => {
                write!(f, "cannot use the ticket keys in {}", path.display())?;
                if let Some(line) = line {
                    write!(f, ", line {line}")?;
                }
                write!(f, ": {reason}; make a key with `openssl rand 80 | openssl base64 -A`")
            }
            Self::Rule { rule, reason } => {
                write!(f, "the rule {rule:?} of client_auth.allow cannot be used: {reason}")
            }
            Self::Alpn { protocol } => {
                write!(f, "the protocol {protocol:?} of alpn cannot be offered: its name must have 1 to 255 bytes")
            }
            Self::Generate { reason } => {
                write!(f, "cannot make a certificate in memory: {reason}; use a certificate from a file")
            }
            Self::Config { source } => {
                write!(f, "cannot make a TLS configuration: {source}; please report this")
            }
        }
    }
}

impl error::Error for TlsError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Config { source } => Some(source),
            _ => None,
        }
    }
}

/// What a file must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRole {
    /// The certificate chain.
    Certificate,
    /// The private key.
    Key,
    /// The trusted CA certificates.
    TrustedCa,
    /// The OCSP response to staple.
    Staple,
    /// The ticket keys.
    TicketKeys,
    /// A directory of certificates.
    Directory,
}

impl fmt::Display for FileRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate file",
            Self::Key => "key file",
            Self::TrustedCa => "file of trusted CA certificates",
            Self::Staple => "OCSP response",
            Self::TicketKeys => "ticket keys",
            Self::Directory => "directory of certificates",
        })
    }
}

/// A second of a certificate's validity, shown as `2031-05-17 12:00:00 UTC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UtcDate {
    time: ASN1Time,
}

impl From<ASN1Time> for UtcDate {
    fn from(time: ASN1Time) -> Self {
        Self { time }
    }
}

impl fmt::Display for UtcDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // X.509 times are UTC by definition (RFC 5280, 4.1.2.5).
        let t = self.time.to_datetime();
        write!(
            f,
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC",
            t.year(),
            u8::from(t.month()),
            t.day(),
            t.hour(),
            t.minute(),
            t.second()
        )
    }
}

const CERTIFICATE_KEPT: &str = "the certificate before, if there was one, stays in use";

const TRUSTED_CA_KEPT: &str = "the trusted CA certificates before stay in use";

const STAPLE_KEPT: &str = "the OCSP response before, if there was one, stays in use until it is out of date";

const TICKET_KEYS_KEPT: &str = "the ticket keys before stay in use";
