//! A TLS-terminating proxy in twenty lines: tokio-rustls and tokio's `copy_bidirectional`.

use crate::{Failure, tls};
use tokio::net::{TcpListener, TcpStream};

/// Relays what comes at `addr` to `upstream`.
pub(crate) async fn run(addr: &str, upstream: &str, cert: &str, key: &str) -> Result<(), Failure> {
    let acceptor = tokio_rustls::TlsAcceptor::from(tls::server(cert, key)?);
    let listener = TcpListener::bind(addr).await?;
    loop {
        let (tcp, _) = listener.accept().await?;
        let (acceptor, upstream) = (acceptor.clone(), upstream.to_owned());
        tokio::spawn(async move {
            if let Err(error) = relay(tcp, acceptor, &upstream).await {
                eprintln!("{error}");
            }
        });
    }
}

async fn relay(tcp: TcpStream, acceptor: tokio_rustls::TlsAcceptor, upstream: &str) -> Result<(), Failure> {
    let mut client = acceptor.accept(tcp).await?;
    let mut upstream = TcpStream::connect(upstream).await?;
    #[expect(clippy::disallowed_methods, reason = "what it does is what is to be seen")]
    tokio::io::copy_bidirectional(&mut client, &mut upstream).await?;
    Ok(())
}
