//! tokio-postgres' TLS traits, so that `tokio_postgres::connect` takes a [`TlsConnector`].
//!
//! The login is bound to the session (SCRAM-SHA-256-PLUS) by the hash of the server's certificate: `tls-server-end-point` of
//! RFC 5929 section 4.1.

use crate::{TlsConnector, client};
use rustls::pki_types::ServerName;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use x509_parser::asn1_rs::{Oid, oid};
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{
    OID_HASH_SHA1, OID_NIST_HASH_SHA256, OID_NIST_HASH_SHA384, OID_NIST_HASH_SHA512, OID_PKCS1_MD5WITHRSAENC,
    OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA1WITHRSA, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA,
    OID_PKCS1_SHA512WITHRSA, OID_SHA1_WITH_RSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
    OID_SIG_ECDSA_WITH_SHA512,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::signature_algorithm::SignatureAlgorithm;
use x509_parser::x509::AlgorithmIdentifier;

/// Gives `tokio_postgres::connect` its TLS sessions. The name to connect to is the `host` of its configuration.
///
/// For `sslnegotiation=direct` set the ALPN protocol `postgresql` ([`with_alpn`](Self::with_alpn)).
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for TlsConnector {
    type Stream = client::TlsStream<S>;
    type TlsConnect = PostgresConnect;
    type Error = Infallible;

    fn make_tls_connect(&mut self, host: &str) -> Result<PostgresConnect, Infallible> {
        Ok(PostgresConnect { connector: self.clone(), host: host.to_owned() })
    }
}

/// Makes one session for tokio-postgres; made by a [`TlsConnector`].
pub struct PostgresConnect {
    connector: TlsConnector,
    /// Not parsed yet: for a Unix socket tokio-postgres passes an empty name, and never uses it.
    host: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for PostgresConnect {
    type Stream = client::TlsStream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Stream>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let name =
                ServerName::try_from(self.host).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            self.connector.connect(name, stream).await
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for client::TlsStream<S> {
    /// None where RFC 5929 defines no hash for the signature of the server's certificate (Ed25519).
    fn channel_binding(&self) -> ChannelBinding {
        let certificate = self.facts().peer_certificates().and_then(<[_]>::first);
        match certificate.and_then(|certificate| end_point(certificate)) {
            Some(hash) => ChannelBinding::tls_server_end_point(hash),
            None => ChannelBinding::none(),
        }
    }
}

/// The `tls-server-end-point` of this certificate: its hash, by the hash function of its own signature.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(match signature_hash(&parsed.signature_algorithm)? {
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// Which hash a signature uses; SHA-256 in place of MD5 and SHA-1, as RFC 5929 has it.
fn signature_hash(algorithm: &AlgorithmIdentifier<'_>) -> Option<Hash> {
    if algorithm.algorithm != OID_PKCS1_RSASSAPSS {
        return hash_of(&algorithm.algorithm);
    }
    // The hash of a PSS signature is among its parameters.
    match SignatureAlgorithm::try_from(algorithm) {
        Ok(SignatureAlgorithm::RSASSA_PSS(parameters)) => hash_of(parameters.hash_algorithm_oid()),
        _ => None,
    }
}

fn hash_of(oid: &Oid<'_>) -> Option<Hash> {
    HASHES.iter().find(|(known, _)| known == oid).map(|(_, hash)| *hash)
}

/// Signature algorithms, and hashes as the parameters of PSS name them.
const HASHES: [(Oid<'_>, Hash); 14] = [
    (OID_PKCS1_MD5WITHRSAENC, Hash::Sha256),
    (OID_PKCS1_SHA1WITHRSA, Hash::Sha256),
    (OID_SHA1_WITH_RSA, Hash::Sha256),
    (OID_HASH_SHA1, Hash::Sha256),
    (OID_PKCS1_SHA256WITHRSA, Hash::Sha256),
    (OID_SIG_ECDSA_WITH_SHA256, Hash::Sha256),
    (OID_NIST_HASH_SHA256, Hash::Sha256),
    (OID_PKCS1_SHA384WITHRSA, Hash::Sha384),
    (OID_SIG_ECDSA_WITH_SHA384, Hash::Sha384),
    (OID_NIST_HASH_SHA384, Hash::Sha384),
    (OID_PKCS1_SHA512WITHRSA, Hash::Sha512),
    (OID_SIG_ECDSA_WITH_SHA512, Hash::Sha512),
    (OID_NIST_HASH_SHA512, Hash::Sha512),
    // ECDSA with SHA-1, which the registry of the parser does not have.
    (oid!(1.2.840.10045.4.1), Hash::Sha256),
];
