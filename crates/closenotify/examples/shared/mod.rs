//! What the server examples share: their arguments, and how they accept.

mod accept;

pub(crate) use accept::accept;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::error::Error;
use testkit::certs::{Authority, TlsVersion};

/// Reads `[ADDR CERT KEY]`: where to listen, and a configuration with this certificate chain and private key, in PEM.
///
/// Without arguments: a free port, and a new certificate that no client trusts.
pub(crate) fn arguments() -> Result<(String, ServerConfig), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (addr, mut config) = match &words[..] {
        [] => ("127.0.0.1:0".to_owned(), (*Authority::new().server_config(TlsVersion::Both)).clone()),
        [addr, cert, key] => {
            let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<_, _>>()?;
            let key = PrivateKeyDer::from_pem_file(key)?;
            (addr.clone(), ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?)
        }
        _ => return Err("expected either no arguments or ADDR CERT KEY".into()),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((addr, config))
}
