//! A client that asks for `/`, prints the body when it takes it for whole, and fails when it does not.

use crate::{Failure, tls};
use closenotify::Linger;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::io::Write as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// hyper over tokio-rustls.
pub(crate) async fn tokio_rustls(addr: &str, ca: &str) -> Result<(), Failure> {
    let connector = tokio_rustls::TlsConnector::from(tls::client(ca)?);
    let stream = connector.connect("localhost".try_into()?, TcpStream::connect(addr).await?).await?;
    print(&ask(stream).await?)
}

/// hyper over closenotify.
pub(crate) async fn closenotify(addr: &str, ca: &str) -> Result<(), Failure> {
    let connector = closenotify::TlsConnector::from(tls::client(ca)?);
    let stream = connector.connect("localhost".try_into()?, TcpStream::connect(addr).await?).await?;
    let (io, ended) = stream.close_on_shutdown(Linger::default());
    let body = ask(io).await;
    eprintln!("{}", ended.await);
    print(&body?)
}

/// reqwest over rustls.
#[cfg(feature = "reqwest")]
pub(crate) async fn reqwest(url: &str, ca: &str) -> Result<(), Failure> {
    let authorities = reqwest::Certificate::from_pem_bundle(&std::fs::read(ca)?)?;
    let client = reqwest::Client::builder().tls_certs_only(authorities).build()?;
    let answer = client.get(url).send().await?.error_for_status()?;
    print(&answer.bytes().await?)
}

async fn ask(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Bytes, Failure> {
    let (mut requests, connection) = http1::handshake(TokioIo::new(io)).await?;
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get("/").header("host", "localhost").body(Empty::<Bytes>::new())?;
    let answer = match requests.send_request(request).await {
        Ok(answer) => answer.collect().await.map(http_body_util::Collected::to_bytes),
        Err(error) => Err(error),
    };
    drop(requests); // no more of them, so hyper shuts the stream down
    let _ = connection.await?; // an error here is about a connection that ends, too
    Ok(answer?)
}

fn print(body: &[u8]) -> Result<(), Failure> {
    Ok(std::io::stdout().write_all(body)?)
}
