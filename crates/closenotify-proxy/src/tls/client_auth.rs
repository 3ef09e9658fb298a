//! Which clients are let in: by the CA certificates that vouch for theirs, and by rules on the names in it.
//!
//! It runs inside the handshake: a client that may not enter gets an alert instead of a session. A certificate that no rule
//! lets in gets `certificate_unknown`, the alert for a certificate that is rejected for a reason of one's own: with
//! `access_denied`, rustls 0.23 keeps no reason for the log.

use std::path::Path;
use std::sync::Arc;
use std::{error, fmt};

use closenotify::HandshakeError;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::certificate::digest_of;
use super::client_rules::Rules;
use super::error::{FileRole, TlsError};
use super::files::Reader;
use super::identity::{ClientIdentity, Names};
use super::pem;
use crate::config::ClientAuth;

/// Which clients are let in. Two policies with equal digests let in the same ones.
#[derive(Clone, Debug)]
pub(super) struct ClientPolicy {
    /// `None`: clients are not asked for a certificate.
    pub(super) verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// Tickets are bound to it: whoever was let in by another policy has to show a certificate again.
    pub(super) digest: [u8; 32],
}

impl ClientPolicy {
    /// The policy of these settings.
    pub(super) fn load(settings: Option<&ClientAuth>, reader: &mut Reader) -> Result<Self, TlsError> {
        let Some(settings) = settings else {
            return Ok(Self { verifier: None, digest: digest_of(&[b"no client certificates"]) });
        };
        let rules = Rules::parse(&settings.allow)?;
        let (roots, ca) = trusted(&settings.ca, reader)?;
        let digest = digest_of(&[&[u8::from(settings.required)], &ca, rules_text(settings).as_bytes()]);
        let provider = Arc::new(provider());
        let roots = Arc::new(roots);
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider);
        if !settings.required {
            builder = builder.allow_unauthenticated();
        }
        // Each with its length. The list is a hint for clients with several certificates, and may be empty.
        let hints: usize = roots.subjects().iter().map(|name| name.as_ref().len() + 2).sum();
        if hints > MAX_HINTS {
            builder = builder.clear_root_hint_subjects();
        }
        let certificates = builder
            .build()
            .map_err(|source| TlsError::Config { source: Error::General(format!("client certificates: {source}")) })?;
        Ok(Self { verifier: Some(Arc::new(AllowedClients { certificates, rules })), digest })
    }
}

/// Reads trusted CA certificates. Returns them, and a digest of them.
pub(super) fn trusted(path: &Path, reader: &mut Reader) -> Result<(RootCertStore, [u8; 32]), TlsError> {
    let bytes = reader.read(path).map_err(|source| TlsError::Unreadable {
        path: path.into(),
        role: FileRole::TrustedCa,
        source,
    })?;
    let mut roots = RootCertStore::empty();
    let certificates = pem::trusted(path, &bytes)?;
    for (index, certificate) in certificates.iter().enumerate() {
        roots.add(certificate.clone()).map_err(|source| TlsError::CertificateUnparsable {
            path: path.into(),
            position: index + 1,
            reason: source.to_string(),
        })?;
    }
    let parts: Vec<&[u8]> = certificates.iter().map(AsRef::as_ref).collect();
    Ok((roots, digest_of(&parts)))
}

pub(super) fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

/// Why a client with a valid certificate was not let in. [`find`](Self::find) finds it in the handshake's error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientNotAllowed {
    /// Who the client is.
    pub identity: ClientIdentity,
    rules: String,
}

impl fmt::Display for ClientNotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { identity, rules } = self;
        write!(f, "no rule of client_auth.allow lets in {identity}; the rules are {rules}")
    }
}

impl error::Error for ClientNotAllowed {}

impl ClientNotAllowed {
    /// Finds it in the error of a handshake, if it is the reason.
    pub fn find(error: &HandshakeError) -> Option<&Self> {
        match error {
            HandshakeError::Refused(Error::InvalidCertificate(CertificateError::Other(other))) => {
                other.0.downcast_ref()
            }
            _ => None,
        }
    }
}

/// Verifies a client's certificate, and then looks whether a rule lets it in.
#[derive(Debug)]
struct AllowedClients {
    certificates: Arc<dyn ClientCertVerifier>,
    rules: Rules,
}

impl ClientCertVerifier for AllowedClients {
    fn client_auth_mandatory(&self) -> bool {
        self.certificates.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.certificates.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.certificates.verify_client_cert(end_entity, intermediates, now)?;
        let names = Names::of(end_entity).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if self.rules.allow(&names) {
            return Ok(verified);
        }
        let refused = ClientNotAllowed { identity: ClientIdentity::from(&names), rules: self.rules.to_string() };
        Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused)))))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.certificates.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.certificates.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.certificates.supported_verify_schemes()
    }
}

/// No rule has a control character.
fn rules_text(settings: &ClientAuth) -> String {
    settings.allow.join("\n")
}

/// The most bytes of CA names that a client is sent. The extension has room for 64 KiB, and every handshake carries it.
const MAX_HINTS: usize = 16 * 1024;
