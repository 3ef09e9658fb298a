//! An HTTP/1.1 server of hyper with one answer of a megabyte at every path.
//!
//! What ends a session is hyper's own shutdown of the stream, and nothing else.

use crate::{Failure, tls};
use closenotify::{Linger, Truncation};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

/// Over tokio-rustls.
pub(crate) async fn tokio_rustls(addr: &str, cert: &str, key: &str, half_close: bool) -> Result<(), Failure> {
    let acceptor = tokio_rustls::TlsAcceptor::from(tls::server(cert, key)?);
    let listener = TcpListener::bind(addr).await?;
    loop {
        let (tcp, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            match acceptor.accept(tcp).await {
                Ok(stream) => serve(stream, half_close).await,
                Err(error) => eprintln!("{error}"),
            }
        });
    }
}

/// Over closenotify, with the stream that is made for hyper.
pub(crate) async fn closenotify(addr: &str, cert: &str, key: &str, half_close: bool) -> Result<(), Failure> {
    let acceptor = closenotify::TlsAcceptor::from(tls::server(cert, key)?).truncation(Truncation::AsEof);
    let listener = TcpListener::bind(addr).await?;
    loop {
        let (tcp, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            match acceptor.accept(tcp).await {
                Ok(stream) => {
                    let (io, ended) = stream.close_on_shutdown(Linger::default());
                    serve(io, half_close).await;
                    println!("{}", ended.await);
                }
                Err(error) => eprintln!("{error}"),
            }
        });
    }
}

async fn serve(io: impl AsyncRead + AsyncWrite + Unpin, half_close: bool) {
    let mut builder = http1::Builder::new();
    builder.half_close(half_close);
    if let Err(error) = builder.serve_connection(TokioIo::new(io), service_fn(answer)).await {
        eprintln!("{error}");
    }
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(&BODY))))
}

static BODY: [u8; 1_000_000] = [b'x'; 1_000_000];
