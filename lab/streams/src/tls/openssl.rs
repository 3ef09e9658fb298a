//! TLS streams over the system's OpenSSL.

use crate::tls::certificate;
use crate::{Stream, with_handshake};
use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslAcceptor, SslConnector, SslContext, SslMethod, SslVersion};
use openssl::x509::X509;
use pollcheck::{Report, Transport};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The rows of this file.
pub fn streams() -> Vec<Stream> {
    let row = |name, crates, check| Stream { name, crates, check };
    vec![
        row(
            "`SslStream`, TLS 1.3",
            &["tokio-openssl", "openssl"] as &[_],
            (|| openssl_pair(SslVersion::TLS1_3)) as fn() -> Report,
        ),
        row("`SslStream`, TLS 1.2", &["tokio-openssl", "openssl"], || openssl_pair(SslVersion::TLS1_2)),
        row("`TlsStream`, over OpenSSL", &["tokio-native-tls", "native-tls"], native_pair),
        row(
            "`SslStream`, TLS 1.3, handshake over a transport whose flush is never pending",
            &["tokio-openssl", "openssl"],
            || openssl_pair_flushed(SslVersion::TLS1_3),
        ),
        row(
            "`SslStream`, TLS 1.2, handshake over a transport whose flush is never pending",
            &["tokio-openssl", "openssl"],
            || openssl_pair_flushed(SslVersion::TLS1_2),
        ),
        row(
            "`TlsStream`, over OpenSSL, handshake over a transport whose flush is never pending",
            &["tokio-native-tls", "native-tls"],
            native_pair_flushed,
        ),
    ]
}

/// The contexts of a client that trusts the server, and of the server, for one version of TLS, with the modes that the
/// `openssl` crate sets for connectors and acceptors.
pub fn contexts(version: SslVersion) -> (SslContext, SslContext) {
    let (certificate, key) = certificate();
    let certificate = X509::from_pem(certificate.as_bytes()).expect("rcgen writes PEM");
    let key = PKey::private_key_from_pem(key.as_bytes()).expect("rcgen writes PEM");
    let made = "a context of a version that OpenSSL has";
    let mut client = SslConnector::builder(SslMethod::tls_client()).expect(made);
    client.cert_store_mut().add_cert(certificate.clone()).expect(made);
    let mut server = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect(made);
    server.set_certificate(&certificate).expect(made);
    server.set_private_key(&key).expect(made);
    for context in [&mut *client, &mut *server] {
        context.set_min_proto_version(Some(version)).expect(made);
        context.set_max_proto_version(Some(version)).expect(made);
    }
    (client.build().into_context(), server.build().into_context())
}

fn openssl_pair(version: SslVersion) -> Report {
    let (client, server) = contexts(version);
    with_handshake().pair_async(|left, right| {
        let stream = |context, link| {
            let ssl = Ssl::new(context).expect("a session takes memory only");
            tokio_openssl::SslStream::new(ssl, link).expect("a session takes memory only")
        };
        let (mut client, mut server) = (stream(&client, left), stream(&server, right));
        (
            async move {
                Pin::new(&mut client).connect().await.map_err(io::Error::other)?;
                Ok(client)
            },
            async move {
                Pin::new(&mut server).accept().await.map_err(io::Error::other)?;
                Ok(server)
            },
        )
    })
}

/// A connector that trusts the acceptor.
pub fn native_configs() -> (tokio_native_tls::TlsConnector, tokio_native_tls::TlsAcceptor) {
    let (certificate, key) = certificate();
    let root = native_tls::Certificate::from_pem(certificate.as_bytes()).expect("rcgen writes PEM");
    let identity = native_tls::Identity::from_pkcs8(certificate.as_bytes(), key.as_bytes()).expect("rcgen writes PEM");
    let connector = native_tls::TlsConnector::builder().add_root_certificate(root).build().expect("a plain one");
    let acceptor = native_tls::TlsAcceptor::new(identity).expect("a plain one");
    (connector.into(), acceptor.into())
}

fn native_pair() -> Report {
    let (connector, acceptor) = native_configs();
    with_handshake().pair_async(|left, right| {
        let (connector, acceptor) = (connector.clone(), acceptor.clone());
        (async move { connector.connect("localhost", left).await.map_err(io::Error::other) }, async move {
            acceptor.accept(right).await.map_err(io::Error::other)
        })
    })
}

fn openssl_pair_flushed(version: SslVersion) -> Report {
    let (client, server) = contexts(version);
    with_handshake().pair_async(|left, right| {
        let stream = |context, link| {
            let ssl = Ssl::new(context).expect("a session takes memory only");
            tokio_openssl::SslStream::new(ssl, Flushed::new(link)).expect("a session takes memory only")
        };
        let (mut client, mut server) = (stream(&client, left), stream(&server, right));
        (
            async move {
                Pin::new(&mut client).connect().await.map_err(io::Error::other)?;
                client.get_mut().handshaking = false;
                Ok(client)
            },
            async move {
                Pin::new(&mut server).accept().await.map_err(io::Error::other)?;
                server.get_mut().handshaking = false;
                Ok(server)
            },
        )
    })
}

fn native_pair_flushed() -> Report {
    let (connector, acceptor) = native_configs();
    with_handshake().pair_async(|left, right| {
        let (connector, acceptor) = (connector.clone(), acceptor.clone());
        let handshake_done = |mut stream: tokio_native_tls::TlsStream<Flushed>| {
            stream.get_mut().get_mut().get_mut().handshaking = false;
            stream
        };
        (
            async move {
                let connected = connector.connect("localhost", Flushed::new(left)).await;
                connected.map(handshake_done).map_err(io::Error::other)
            },
            async move {
                let accepted = acceptor.accept(Flushed::new(right)).await;
                accepted.map(handshake_done).map_err(io::Error::other)
            },
        )
    })
}

/// A transport that answers a flush at once while the handshake lasts, as a socket does.
struct Flushed {
    link: Transport,
    handshaking: bool,
}

impl Flushed {
    fn new(link: Transport) -> Self {
        Self { link, handshaking: true }
    }
}

impl AsyncRead for Flushed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_read(cx, buf)
    }
}

impl AsyncWrite for Flushed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.link).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.handshaking { Poll::Ready(Ok(())) } else { Pin::new(&mut self.link).poll_flush(cx) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_shutdown(cx)
    }
}
