//! Why credentials cannot be served, told to the person who has to mend them.
//!
//! Each text names the file, what is wrong with it and what to do next. None shows a line of a key.

use std::path::PathBuf;
use std::{error, fmt, io};

use x509_parser::time::ASN1Time;

/// Why a certificate chain and a private key cannot be served. The text of each names the file and the way out.
#[derive(Debug)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The file could not be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What it was to hold.
        role: FileRole,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is PEM, but broken.
    MalformedPem {
        /// The file.
        path: PathBuf,
        /// What it was to hold.
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
    /// The private key is encrypted; nobody is there to type a passphrase.
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
    /// The demo's certificate could not be made.
    Generate {
        /// What the generator said.
        reason: String,
    },
    /// The credentials are good, but no server configuration could be made from them.
    Config {
        /// What rustls said.
        source: rustls::Error,
    },
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, role, source } => write!(
                f,
                "cannot read the {role} file {}: {source}; check the path and that this user may read it",
                path.display()
            ),
            Self::MalformedPem { path, role, reason } => write!(
                f,
                "the {role} file {} is malformed PEM: {reason}; copy it again, whole, from where it was issued",
                path.display()
            ),
            Self::NoCertificate { path, holds_key: true, .. } => {
                write!(f, "no certificate in {}: it holds a private key; --cert and --key seem swapped", path.display())
            }
            Self::NoCertificate { path, looks_like_der: true, .. } => write!(
                f,
                "no certificate in {}: it looks like DER, not PEM; convert it with `openssl x509 -inform DER -in {0} -out cert.pem`",
                path.display()
            ),
            Self::NoCertificate { path, .. } => write!(
                f,
                "no certificate in {}: it has no `-----BEGIN CERTIFICATE-----` section; give --cert the PEM chain, leaf first",
                path.display()
            ),
            Self::NoKey { path, holds_certificate: true, .. } => write!(
                f,
                "no private key in {}: it holds a certificate; give --key the file with the private key (are --cert and --key swapped?)",
                path.display()
            ),
            Self::NoKey { path, looks_like_der: true, .. } => write!(
                f,
                "no private key in {}: it looks like DER, not PEM; convert it with `openssl pkey -inform DER -in {0} -out key.pem`",
                path.display()
            ),
            Self::NoKey { path, .. } => write!(
                f,
                "no private key in {}: it has no `-----BEGIN PRIVATE KEY-----` section (nor `EC` or `RSA PRIVATE KEY`); give --key the PEM key",
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
            Self::Mismatch { cert, key } => write!(
                f,
                "the private key in {} is not the key of the first certificate in {}; the leaf must come first in the chain, and both files from the same issue",
                key.display(),
                cert.display()
            ),
            Self::Expired { path, at } => {
                write!(f, "the certificate in {} expired on {at}; renew it and start again", path.display())
            }
            Self::NotYetValid { path, from } => write!(
                f,
                "the certificate in {} is not valid before {from}; check this machine's clock, or wait",
                path.display()
            ),
            Self::Generate { reason } => {
                write!(f, "cannot make the demo's certificate in memory: {reason}; use --cert and --key")
            }
            Self::Config { source } => {
                write!(f, "cannot make a TLS server configuration: {source}; please report this")
            }
        }
    }
}

impl error::Error for CredentialsError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Config { source } => Some(source),
            _ => None,
        }
    }
}

/// What a file was to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRole {
    /// The certificate chain.
    Certificate,
    /// The private key.
    Key,
}

impl fmt::Display for FileRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::Key => "key",
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
