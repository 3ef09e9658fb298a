//! tokio-openssl over the system's OpenSSL.
//!
//! Without resumption: the crate openssl offers it only as an `unsafe` function.

use super::{Facts, Reader, Resumption, Stack, Stream, Writer, split_by_tokio};
use crate::certs::{Identity, NAME};
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslAcceptor, SslConnector, SslContextBuilder, SslMethod, SslSessionCacheMode, SslVersion};
use openssl::x509::X509;
use std::io;
use std::pin::Pin;
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

/// tokio-openssl, split by tokio.
pub struct OpenSsl {
    connector: SslConnector,
    acceptor: SslAcceptor,
}

impl Stack for OpenSsl {
    type Client<T: Stream> = SslStream<T>;
    type Server<T: Stream> = SslStream<T>;

    fn new(identity: &Identity, resumption: Resumption) -> io::Result<Self> {
        if resumption != Resumption::Never {
            let why = "to resume a session takes `unsafe` with the crate openssl (Ssl::set_session)";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let mut connector = SslConnector::builder(SslMethod::tls_client())?;
        set_protocol(&mut connector)?;
        connector.cert_store_mut().add_cert(X509::from_pem(identity.authority.as_bytes())?)?;
        let mut acceptor = SslAcceptor::mozilla_modern_v5(SslMethod::tls_server())?;
        set_protocol(&mut acceptor)?;
        acceptor.set_certificate(&*X509::from_pem(identity.certificate.as_bytes())?)?;
        acceptor.set_private_key(&*PKey::private_key_from_pem(identity.key.as_bytes())?)?;
        acceptor.set_session_cache_mode(SslSessionCacheMode::OFF);
        acceptor.set_num_tickets(0)?;
        Ok(Self { connector: connector.build(), acceptor: acceptor.build() })
    }

    async fn connect<T: Stream>(&self, transport: T) -> io::Result<SslStream<T>> {
        let ssl = self.connector.configure()?.into_ssl(NAME)?;
        let mut stream = SslStream::new(ssl, transport)?;
        Pin::new(&mut stream).connect().await.map_err(io::Error::other)?;
        Ok(stream)
    }

    async fn accept<T: Stream>(&self, transport: T) -> io::Result<SslStream<T>> {
        let ssl = Ssl::new(self.acceptor.context())?;
        let mut stream = SslStream::new(ssl, transport)?;
        Pin::new(&mut stream).accept().await.map_err(io::Error::other)?;
        Ok(stream)
    }

    fn facts<T: Stream>(client: &SslStream<T>) -> Option<Facts> {
        let ssl = client.ssl();
        let suite = ssl.current_cipher().map(|cipher| cipher.name());
        Some(Facts {
            suite: suite == Some("TLS_AES_128_GCM_SHA256") && ssl.version_str() == "TLSv1.3",
            resumed: ssl.session_reused(),
        })
    }

    fn split_client(client: SslStream<TcpStream>) -> (impl Reader, impl Writer) {
        split_by_tokio(client)
    }

    fn split_server(server: SslStream<TcpStream>) -> (impl Reader, impl Writer) {
        split_by_tokio(server)
    }
}

fn set_protocol(context: &mut SslContextBuilder) -> Result<(), ErrorStack> {
    context.set_min_proto_version(Some(SslVersion::TLS1_3))?;
    context.set_ciphersuites("TLS_AES_128_GCM_SHA256")?;
    context.set_groups_list("X25519")
}
