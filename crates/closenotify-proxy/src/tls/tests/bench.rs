//! A directory of files, a CA that issues certificates into it, and clients that meet a listener.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use closenotify::{HandshakeError, ReadError, ReceivedEnding, SessionFacts, TlsConnector};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme, version};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::{CertificateSource, ClientAuth, TlsSettings, TlsVersion};
use crate::tls::{ListenerTls, TlsError};

pub(in crate::tls) const EACH: [TlsVersion; 2] = [TlsVersion::V12, TlsVersion::V13];

pub(in crate::tls) fn year(year: i32) -> SystemTime {
    date_time_ymd(year, 1, 1).into()
}

/// When everything that is valid here is.
pub(in crate::tls) fn now() -> SystemTime {
    year(2030)
}

pub(in crate::tls) struct Bench {
    dir: TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(in crate::tls) struct Issued {
    pub(in crate::tls) cert: String,
    pub(in crate::tls) key: String,
    /// In hexadecimal.
    pub(in crate::tls) serial: String,
}

impl Issued {
    pub(in crate::tls) fn both(&self) -> String {
        format!("{}{}", self.cert, self.key)
    }
}

impl Bench {
    pub(in crate::tls) fn new() -> Self {
        let mut params = CertificateParams::default();
        let dir = TempDir::new().unwrap();
        // No two have the same name: a certificate of another one has an unknown issuer then.
        params.distinguished_name.push(DnType::CommonName, dir.path().to_str().unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { dir, ca }
    }

    pub(in crate::tls) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, and the directories above it.
    pub(in crate::tls) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }

    pub(in crate::tls) fn write_ca(&self, name: &str) -> PathBuf {
        self.write(name, self.ca.pem())
    }

    /// What the CA signs with, in PEM.
    pub(in crate::tls) fn ca_key(&self) -> String {
        self.ca.key().serialize_pem()
    }

    pub(in crate::tls) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(&rcgen::PKCS_ECDSA_P256_SHA256, names, |_| {})
    }

    pub(in crate::tls) fn issue_with(
        &self,
        algorithm: &'static SignatureAlgorithm,
        names: &[&str],
        adjust: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        static SERIAL: AtomicU64 = AtomicU64::new(0x1000);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2089, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        adjust(&mut params);
        let key = KeyPair::generate_for(algorithm).unwrap();
        let cert = params.signed_by(&key, &self.ca).unwrap();
        let (_, parsed) = X509Certificate::from_der(cert.der()).unwrap();
        let serial = parsed.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect();
        Issued { cert: cert.pem(), key: key.serialize_pem(), serial }
    }

    /// A client's certificate with this common name.
    pub(in crate::tls) fn client(&self, name: &str) -> Issued {
        self.issue_with(&rcgen::PKCS_ECDSA_P256_SHA256, &[], |params| {
            params.distinguished_name.push(DnType::CommonName, name);
        })
    }

    /// Settings with these paths and nothing else.
    pub(in crate::tls) fn settings(&self, paths: &[&str]) -> TlsSettings {
        TlsSettings {
            certificates: CertificateSource::Paths(paths.iter().map(|path| self.path(path)).collect()),
            alpn: Vec::new(),
            min_tls: TlsVersion::V12,
            client_auth: None,
            ticket_keys: None,
        }
    }

    pub(in crate::tls) fn client_auth(&self, required: bool, allow: &[&str]) -> ClientAuth {
        let allow = allow.iter().map(ToString::to_string).collect();
        ClientAuth { required, ca: self.path("ca.pem"), allow }
    }
}

pub(in crate::tls) fn load(settings: &TlsSettings) -> Result<ListenerTls, TlsError> {
    ListenerTls::load(settings, Duration::from_secs(10), now())
}

/// The serial numbers of what is served, in order.
pub(in crate::tls) fn serials(tls: &ListenerTls) -> Vec<String> {
    tls.certificates().into_iter().map(|facts| facts.serial).collect()
}

/// A client that skips verification, and notes what it was shown.
pub(in crate::tls) struct Client {
    config: ClientConfig,
    shown: Arc<Shown>,
}

/// What a handshake came to on both sides, after a byte in each direction.
pub(in crate::tls) struct Met {
    /// The alert that it got, if the handshake failed by one.
    pub(in crate::tls) client: Result<SessionFacts, Option<String>>,
    pub(in crate::tls) server: Result<SessionFacts, HandshakeError>,
    /// Of the server's certificate, in hexadecimal.
    pub(in crate::tls) serial: String,
    /// The OCSP response that was stapled.
    pub(in crate::tls) staple: Vec<u8>,
}

impl Met {
    /// Whether the session was resumed; it must have come about.
    pub(in crate::tls) fn resumed(&self) -> bool {
        let (client, server) = (self.client.as_ref().unwrap(), self.server.as_ref().unwrap());
        assert_eq!(client.resumed(), server.resumed());
        server.resumed()
    }
}

impl Client {
    pub(in crate::tls) fn new(version: TlsVersion) -> Self {
        Self::build(provider(), version, None, None)
    }

    /// A client that can verify these signatures only.
    pub(in crate::tls) fn verifying(version: TlsVersion, schemes: &[SignatureScheme]) -> Self {
        Self::build(provider(), version, Some(schemes.to_vec()), None)
    }

    /// A client that offers these cipher suites only.
    pub(in crate::tls) fn with_suites(version: TlsVersion, keep: impl Fn(rustls::CipherSuite) -> bool) -> Self {
        let mut provider = provider();
        provider.cipher_suites.retain(|suite| keep(suite.suite()));
        Self::build(provider, version, None, None)
    }

    /// A client that shows a certificate.
    pub(in crate::tls) fn showing(version: TlsVersion, issued: &Issued) -> Self {
        Self::build(provider(), version, None, Some(issued))
    }

    pub(in crate::tls) fn alpn(mut self, protocol: &str) -> Self {
        self.config.alpn_protocols = vec![protocol.into()];
        self
    }

    fn build(
        provider: CryptoProvider,
        version: TlsVersion,
        schemes: Option<Vec<SignatureScheme>>,
        issued: Option<&Issued>,
    ) -> Self {
        let all = || provider.signature_verification_algorithms.supported_schemes();
        let schemes = schemes.unwrap_or_else(all);
        let shown = Arc::new(Shown { schemes, last: Mutex::default() });
        let version = match version {
            TlsVersion::V12 => &version::TLS12,
            TlsVersion::V13 => &version::TLS13,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&shown) as _);
        let config = match issued {
            Some(issued) => {
                let chain = vec![CertificateDer::from_pem_slice(issued.cert.as_bytes()).unwrap()];
                config
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap())
                    .unwrap()
            }
            None => config.with_no_client_auth(),
        };
        Self { config, shown }
    }

    /// Meets the listener under a name, or under an address, which is no SNI. What it got to resume with, it keeps.
    pub(in crate::tls) async fn meet(&self, tls: &ListenerTls, name: &str) -> Met {
        *self.shown.last.lock().unwrap() = None;
        let connector = TlsConnector::from(Arc::new(self.config.clone()));
        let acceptor = tls.acceptor();
        let (ours, theirs) = duplex(64 * 1024);
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let client = async {
            let mut stream = connector.connect(name, ours).await.map_err(|error| alert(&error))?;
            // In TLS 1.3 it learns only here that it was refused.
            stream.write_all(b"?").await.map_err(|error| alert(&error))?;
            stream.read_u8().await.map_err(|error| alert(&error))?;
            Ok(stream.facts().clone())
        };
        let server = async {
            let mut stream =
                acceptor.accept(theirs).await.map_err(|error| HandshakeError::find(&error).unwrap().clone())?;
            stream.read_u8().await.unwrap();
            stream.write_all(b"!").await.unwrap();
            Ok(stream.facts().clone())
        };
        let (client, server) = tokio::join!(client, server);
        let (serial, staple) = self.shown.last.lock().unwrap().take().unwrap_or_default();
        Met { client, server, serial, staple }
    }
}

fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

fn alert(error: &std::io::Error) -> Option<String> {
    match (HandshakeError::find(error), ReadError::find(error).map(ReadError::ending)) {
        (Some(HandshakeError::Alert(alert)), _) | (_, Some(ReceivedEnding::Alert(alert))) => Some(alert.to_string()),
        _ => None,
    }
}

/// Accepts every certificate and every signature.
#[derive(Debug)]
struct Shown {
    schemes: Vec<SignatureScheme>,
    /// Serial number and staple.
    last: Mutex<Option<(String, Vec<u8>)>>,
}

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (_, leaf) = X509Certificate::from_der(end_entity).unwrap();
        let serial = leaf.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect();
        *self.last.lock().unwrap() = Some((serial, ocsp_response.to_vec()));
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// Whether an error's text names this file.
pub(in crate::tls) fn names(error: &TlsError, path: &Path) -> bool {
    error.to_string().contains(path.to_str().unwrap())
}
