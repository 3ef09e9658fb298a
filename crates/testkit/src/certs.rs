//! Certificates made in memory, and the rustls configurations that use them.
//!
//! Nothing here is fit for anything but a test: the authority lives as long as its value, and its keys are in memory
//! in the clear.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientCertVerifierBuilder, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;

/// The names every default leaf is good for.
pub const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Which protocol versions a configuration offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    /// TLS 1.2 alone.
    V12,
    /// TLS 1.3 alone.
    V13,
    /// Both, so that two peers of this crate settle on TLS 1.3.
    Both,
}

impl TlsVersion {
    /// Each version alone, for a test that must hold in both.
    pub const EACH: [Self; 2] = [Self::V12, Self::V13];

    fn supported(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::V12 => vec![&rustls::version::TLS12],
            Self::V13 => vec![&rustls::version::TLS13],
            Self::Both => vec![&rustls::version::TLS13, &rustls::version::TLS12],
        }
    }
}

/// A certificate authority in memory, P-256.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority with a new key.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "making an authority draws a key; a default would hide that")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("an empty list of names is valid");
        params.distinguished_name.push(DnType::CommonName, "closenotify test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, new_key()).expect("these parameters can be signed");
        Self { issuer }
    }

    /// A server certificate for `names` (DNS names or IP addresses), valid now.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Leaf {
        self.sign(names, Validity::Now, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A server certificate for `names` that was valid in 2001 only.
    #[must_use]
    pub fn issue_expired(&self, names: &[&str]) -> Leaf {
        self.sign(names, Validity::Past, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A server certificate for `names` that becomes valid in 2090.
    #[must_use]
    pub fn issue_not_yet_valid(&self, names: &[&str]) -> Leaf {
        self.sign(names, Validity::Future, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client certificate for `name`, valid now.
    #[must_use]
    pub fn issue_client(&self, name: &str) -> Leaf {
        self.sign(&[name], Validity::Now, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// The authority's own certificate.
    #[must_use]
    pub fn cert_der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// The authority's own certificate as PEM: what a client is told to trust.
    #[must_use]
    pub fn cert_pem(&self) -> String {
        self.issuer.pem()
    }

    /// A store that trusts this authority and nothing else.
    #[must_use]
    pub fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.cert_der()).expect("our own certificate is a valid trust anchor");
        Arc::new(roots)
    }

    /// A server for [`LOCAL_NAMES`] that asks for no client certificate.
    #[must_use]
    pub fn server_config(&self, version: TlsVersion) -> Arc<ServerConfig> {
        self.server_config_with(version, &self.issue(&LOCAL_NAMES))
    }

    /// A server that shows `leaf` and asks for no client certificate.
    #[must_use]
    pub fn server_config_with(&self, version: TlsVersion, leaf: &Leaf) -> Arc<ServerConfig> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&version.supported())
            .expect("the provider has suites for both versions")
            .with_no_client_auth()
            .with_single_cert(leaf.chain.clone(), leaf.key_der())
            .expect("the key belongs to the certificate");
        Arc::new(config)
    }

    /// A server for [`LOCAL_NAMES`] that requires a client certificate of this authority.
    #[must_use]
    pub fn server_config_requiring_client(&self, version: TlsVersion) -> Arc<ServerConfig> {
        self.server_config_verifying(version, WebPkiClientVerifier::builder_with_provider(self.roots(), provider()))
    }

    /// A server for [`LOCAL_NAMES`] that asks for a client certificate of this authority, and takes a client without one.
    #[must_use]
    pub fn server_config_asking_client(&self, version: TlsVersion) -> Arc<ServerConfig> {
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots(), provider());
        self.server_config_verifying(version, verifier.allow_unauthenticated())
    }

    fn server_config_verifying(&self, version: TlsVersion, verifier: ClientCertVerifierBuilder) -> Arc<ServerConfig> {
        let verifier = verifier.build().expect("the store holds one trust anchor");
        let leaf = self.issue(&LOCAL_NAMES);
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&version.supported())
            .expect("the provider has suites for both versions")
            .with_client_cert_verifier(verifier)
            .with_single_cert(leaf.chain.clone(), leaf.key_der())
            .expect("the key belongs to the certificate");
        Arc::new(config)
    }

    /// A client that trusts this authority and shows no certificate.
    #[must_use]
    pub fn client_config(&self, version: TlsVersion) -> Arc<ClientConfig> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&version.supported())
            .expect("the provider has suites for both versions")
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        Arc::new(config)
    }

    /// A client that trusts this authority and shows `leaf`.
    #[must_use]
    pub fn client_config_with(&self, version: TlsVersion, leaf: &Leaf) -> Arc<ClientConfig> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&version.supported())
            .expect("the provider has suites for both versions")
            .with_root_certificates(self.roots())
            .with_client_auth_cert(leaf.chain.clone(), leaf.key_der())
            .expect("the key belongs to the certificate");
        Arc::new(config)
    }

    /// Writes a new leaf for [`LOCAL_NAMES`], its key and the authority into a new temporary folder.
    #[must_use]
    pub fn write_pem_files(&self) -> PemFiles {
        self.issue(&LOCAL_NAMES).write_pem_files(self)
    }

    fn sign(&self, names: &[&str], validity: Validity, purpose: ExtendedKeyUsagePurpose) -> Leaf {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names.clone()).expect("the names of a test certificate are valid");
        if let Some(first) = names.first() {
            params.distinguished_name.push(DnType::CommonName, first.as_str());
        }
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        let (from, to) = match validity {
            Validity::Now => (2020, 2089),
            Validity::Past => (2001, 2002),
            Validity::Future => (2090, 2091),
        };
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let key = new_key();
        let cert = params.signed_by(&key, &self.issuer).expect("these parameters can be signed");
        Leaf { chain: vec![cert.der().clone()], pem: cert.pem(), key }
    }
}

/// A certificate of an [`Authority`], with its key.
pub struct Leaf {
    chain: Vec<CertificateDer<'static>>,
    pem: String,
    key: KeyPair,
}

impl Leaf {
    /// The chain as a server shows it: the leaf alone, since the authority signs directly.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    /// The private key, PKCS #8.
    #[must_use]
    pub fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    /// The chain as PEM.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.pem
    }

    /// The private key as PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Writes this leaf, its key and `authority` into a new temporary folder.
    #[must_use]
    pub fn write_pem_files(&self, authority: &Authority) -> PemFiles {
        let dir =
            tempfile::Builder::new().prefix("closenotify-certs-").tempdir().expect("a temporary folder can be made");
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).expect("a new file in our own temporary folder can be written");
            path
        };
        let cert = write("cert.pem", self.cert_pem());
        let key = write("key.pem", &self.key_pem());
        let ca = write("ca.pem", &authority.cert_pem());
        PemFiles { cert, key, ca, dir }
    }
}

/// A certificate, its key and its authority as files; the folder goes when this value is dropped.
#[derive(Debug)]
pub struct PemFiles {
    /// The chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// The authority to trust.
    pub ca: PathBuf,
    dir: TempDir,
}

impl PemFiles {
    /// The folder that holds the files; a test may put others beside them.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

enum Validity {
    Now,
    Past,
    Future,
}

fn new_key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("the provider makes P-256 keys")
}

/// The provider of every configuration made here: aws-lc-rs where its feature is on, else ring.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "aws_lc_rs")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(all(feature = "ring", not(feature = "aws_lc_rs")))]
    let provider = rustls::crypto::ring::default_provider();
    Arc::new(provider)
}
