//! `tls_serve ADDR CERT KEY`: answers every request with 600 KB, by hyper over our streams.
//!
//! `tests/check` holds it to what the checker asks of servers.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use closenotify::rustls::ServerConfig;
use closenotify::{Linger, TlsAcceptor, Truncation};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [addr, cert, key] = &words[..] else { return Err("usage: tls_serve ADDR CERT KEY".into()) };
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<_, _>>()?;
    let mut config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A request frames itself, so a client that leaves without close_notify cuts nothing off unnoticed.
    let acceptor = TlsAcceptor::from(Arc::new(config)).truncation(Truncation::AsEof);
    let listener = TcpListener::bind(addr).await?;
    loop {
        let (tcp, _) = listener.accept().await?;
        tokio::spawn(serve(tcp, acceptor.clone()));
    }
}

async fn serve(tcp: TcpStream, acceptor: TlsAcceptor) {
    // A handshake that does not come about is over, and the client was told why.
    let Ok(stream) = acceptor.accept(tcp).await else { return };
    let (io, ended) = stream.close_on_shutdown(Linger::default());
    let mut http = http1::Builder::new();
    // Else hyper takes the client's close_notify for the end of all, and drops the answer.
    http.half_close(true);
    // Its errors are about sessions that ended badly, which is what the checker makes them do.
    let _ = http.serve_connection(TokioIo::new(io), service_fn(answer)).await;
    ended.await;
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(vec![b'a'; 600_000].into()))
}
