//! What tokio-rustls says when a peer ends a session without close_notify: `unexpected-eof cert.pem HOST:PORT PATH`.

#![expect(clippy::print_stdout, reason = "a program talks")]

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [ca, addr, path] = &arguments[..] else {
        return Err("usage: unexpected-eof cert.pem HOST:PORT PATH".into());
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = addr.split(':').next().unwrap_or_default().to_owned().try_into()?;

    let tcp = TcpStream::connect(addr).await?;
    let mut stream = match TlsConnector::from(Arc::new(config)).connect(name, tcp).await {
        Ok(stream) => stream,
        Err(error) => return Ok(println!("{:?}: {error}", error.kind())),
    };
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n").as_bytes()).await?;
    let mut received = Vec::new();
    match stream.read_to_end(&mut received).await {
        Ok(_) => println!("complete: {} bytes", received.len()),
        Err(error) => println!("{:?}: {error}", error.kind()),
    }
    Ok(())
}
