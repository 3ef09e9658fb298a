//! Sessions over sockets, and waits that name what did not come.

use bytes::Bytes;
use closenotify::{Ended, ReceivedEnding, SentEnding, TlsAcceptor, TlsConnector, client, rustls, server};
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use testkit::certs::{Authority, TlsVersion};
use tokio::net::{TcpListener, TcpStream};

/// Much more than what lies in the buffers of two kernels.
pub(crate) const BIG: usize = 4 << 20;

/// Awaits, and names what it was when it does not come.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), future).await {
        Ok(value) => value,
        Err(_) => panic!("this did not come: {what}"),
    }
}

pub(crate) fn message(length: usize) -> Bytes {
    (0..length).map(|at| (at % 251) as u8).collect()
}

pub(crate) fn acceptor(version: TlsVersion, alpn: &[&str]) -> TlsAcceptor {
    let mut config = rustls::ServerConfig::clone(&authority().server_config(version));
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

pub(crate) fn connector(version: TlsVersion, alpn: &[&str]) -> TlsConnector {
    let alpn = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(authority().client_config(version)).with_alpn(alpn)
}

pub(crate) fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(Authority::new)
}

pub(crate) type Sessions = (client::TlsStream<TcpStream>, server::TlsStream<TcpStream>);

/// Two ends of one session.
pub(crate) async fn sessions(version: TlsVersion) -> Sessions {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (connected, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (connected, accepted) = (connected.unwrap(), accepted.unwrap().0);
    // Else the window updates of HTTP/2 wait for delayed acknowledgments, 40 ms each.
    connected.set_nodelay(true).unwrap();
    accepted.set_nodelay(true).unwrap();
    let (client, server) = tokio::join!(
        connector(version, &[]).connect("localhost".try_into().unwrap(), connected),
        acceptor(version, &[]).accept(accepted)
    );
    (client.unwrap(), server.unwrap())
}

pub(crate) fn assert_clean(side: &str, ended: &Ended) {
    let clean = (&ReceivedEnding::CloseNotify, &SentEnding::CloseNotify);
    assert_eq!((&ended.received, &ended.sent), clean, "{side}: {ended}");
    assert_eq!(ended.trailing, 0, "{side}: {ended}");
}
