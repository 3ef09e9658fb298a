//! `tls_get URL CA`: gets a page by hyper over our streams, writes the body to stdout, and ends with 0 only when it is whole.
//!
//! `tests/check` holds it to what the checker asks of clients. An answer with a length is whole when it is all there; one
//! without is whole at a close_notify alone (RFC 9112 section 9.8), and hyper sees an error where that is missing.

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use closenotify::rustls::{ClientConfig, RootCertStore};
use closenotify::{Linger, TlsConnector};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::net::TcpStream;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, ca] = &words[..] else { return Err("usage: tls_get URL CA".into()) };
    let (authority, path) = url
        .strip_prefix("https://")
        .and_then(|rest| rest.split_once('/'))
        .ok_or("the URL must begin with https:// and have a path")?;

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).to_owned();
    let tcp = TcpStream::connect(authority).await?;
    let connector = TlsConnector::from(Arc::new(config)).with_alpn(vec![b"http/1.1".to_vec()]);
    let stream = connector.connect(host.try_into()?, tcp).await?;

    let (io, ended) = stream.close_on_shutdown(Linger { idle: Duration::from_secs(1), ..Linger::default() });
    let (mut requests, connection) = http1::handshake(TokioIo::new(io)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get(format!("/{path}"))
        .header("host", authority)
        .header("connection", "close")
        .body(Empty::<Bytes>::new())?;
    let answer = async { requests.send_request(request).await?.collect().await };
    let answer = answer.await;
    drop(requests); // no more of them, so hyper shuts the stream down
    let _ = connection.await?; // an error here is about a connection that ends, and the answer says whether that matters
    ended.await;
    Ok(std::io::stdout().write_all(&answer?.to_bytes())?)
}
