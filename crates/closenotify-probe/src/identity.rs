//! Who the probe is, and whom it believes: certificates made in memory, and the check of those of a subject.
//!
//! A made identity lives as long as its value; nothing here is fit to serve anyone but a checker.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use std::sync::Arc;

/// A certificate authority, and a certificate of its making for localhost, 127.0.0.1 and ::1.
pub struct Identity {
    /// The authority's certificate, PEM.
    pub ca_pem: String,
    /// The leaf's certificate, PEM.
    pub cert_pem: String,
    /// The leaf's key, PEM (PKCS#8).
    pub key_pem: String,
    ca: CertificateDer<'static>,
    leaf: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    /// A new authority and a new leaf, with new keys (P-256).
    ///
    /// # Errors
    ///
    /// When no key can be made.
    pub fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "closenotify check authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "localhost");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &issuer)?;
        Ok(Self {
            ca_pem: issuer.pem(),
            cert_pem: leaf.pem(),
            key_pem: key.serialize_pem(),
            ca: issuer.der().clone(),
            leaf: leaf.der().clone(),
            key: key.serialize_der(),
        })
    }

    /// A certificate and its key from PEM. Its authority is not known, so [`trust`](Self::trust) believes the leaf alone.
    ///
    /// # Errors
    ///
    /// When there is none of either.
    pub fn from_pem(cert: &str, key: &str) -> Result<Self, pem::Error> {
        let leaf = CertificateDer::from_pem_slice(cert.as_bytes())?;
        let PrivateKeyDer::Pkcs8(der) = PrivateKeyDer::from_pem_slice(key.as_bytes())? else {
            return Err(pem::Error::NoItemsFound);
        };
        Ok(Self {
            ca_pem: cert.to_owned(),
            cert_pem: cert.to_owned(),
            key_pem: key.to_owned(),
            ca: leaf.clone(),
            leaf,
            key: der.secret_pkcs8_der().to_vec(),
        })
    }

    /// The authority alone, to be believed.
    #[must_use]
    pub fn trust(&self) -> Trust {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates([self.ca.clone()]);
        Trust::Roots(Arc::new(roots))
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.leaf.clone()]
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()))
    }
}

/// Whom to believe.
#[derive(Clone)]
pub enum Trust {
    /// Certificates made by one of these.
    Roots(Arc<RootCertStore>),
    /// Any certificate. The signature of the handshake is checked all the same.
    Anyone,
}

/// Believes any certificate.
#[derive(Debug)]
pub(crate) struct Anyone(Arc<CryptoProvider>);

impl Anyone {
    pub(crate) fn new() -> Self {
        Self(Arc::new(aws_lc_rs::default_provider()))
    }
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
