//! The configurations that both stacks over rustls use.

use super::Resumption;
use crate::certs::Identity;
use rustls::client::Resumption as Cache;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::io;
use std::sync::Arc;

pub(super) fn client(identity: &Identity, resumption: Resumption) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(identity.authority.as_bytes()).map_err(invalid)?).map_err(invalid)?;
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).map_err(invalid)?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    if resumption == Resumption::Never {
        config.resumption = Cache::disabled();
    }
    Ok(Arc::new(config))
}

pub(super) fn server(identity: &Identity, resumption: Resumption) -> io::Result<Arc<ServerConfig>> {
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).map_err(invalid)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(invalid)?;
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).map_err(invalid)?;
    let mut config = builder.with_no_client_auth().with_single_cert(vec![certificate], key).map_err(invalid)?;
    match resumption {
        Resumption::Never => config.send_tls13_tickets = 0,
        Resumption::Tickets => {
            config.send_tls13_tickets = 1;
            config.ticketer = aws_lc_rs::Ticketer::new().map_err(invalid)?;
        }
    }
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    let suite = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let group = aws_lc_rs::kx_group::X25519;
    Arc::new(CryptoProvider { cipher_suites: vec![suite], kx_groups: vec![group], ..aws_lc_rs::default_provider() })
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}
