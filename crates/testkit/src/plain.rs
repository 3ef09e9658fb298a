//! The other end of a session as a bare rustls connection: configurations, and what it sends and makes of bytes.
//!
//! These are functions on rustls' own type, and keep no state: [`book`](crate::book) is the peer that keeps accounts,
//! [`client`](crate::client) the one that sits at a scripted transport.

#![expect(clippy::unwrap_used, reason = "an unwrap here is an assertion")]

use crate::certs::{Authority, TlsVersion};
use rustls::client::Resumption;
use rustls::{ClientConfig, ClientConnection, Connection, Error, ServerConfig, ServerConnection};
use std::io::{BufRead as _, Write as _};
use std::sync::LazyLock;

/// Which side our end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We are the client, so the peer is a server.
    Client,
    /// We are the server, so the peer is a client.
    Server,
}

/// Both versions and both sides.
pub const EACH: [(TlsVersion, Side); 4] = [
    (TlsVersion::V12, Side::Client),
    (TlsVersion::V12, Side::Server),
    (TlsVersion::V13, Side::Client),
    (TlsVersion::V13, Side::Server),
];

/// What both ends of a session are configured with.
#[derive(Clone, Debug)]
pub struct Configs {
    /// The server's; it sends no tickets.
    pub server: ServerConfig,
    /// The client's; it resumes nothing, and its server is `localhost`.
    pub client: ClientConfig,
}

/// The authority that has signed the certificate of every server in [`Configs`].
#[must_use]
pub fn authority() -> &'static Authority {
    static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);
    &AUTHORITY
}

impl Configs {
    /// Those of a version, the same each time. Both let their keys be taken out, for a test that forges records.
    #[must_use]
    pub fn of(version: TlsVersion) -> &'static Self {
        static EACH: LazyLock<[Configs; 2]> = LazyLock::new(|| {
            TlsVersion::EACH.map(|version| {
                let mut server = ServerConfig::clone(&authority().server_config(version));
                // Without tickets the bytes on the wire are the test's own.
                server.send_tls13_tickets = 0;
                server.enable_secret_extraction = true;
                let mut client = ClientConfig::clone(&authority().client_config(version));
                client.resumption = Resumption::disabled();
                client.enable_secret_extraction = true;
                Configs { server, client }
            })
        });
        match version {
            TlsVersion::V12 => &EACH[0],
            TlsVersion::V13 | TlsVersion::Both => &EACH[1],
        }
    }

    /// The peer of a session in which we are `side`, before its handshake. What it sends is bounded by nothing.
    #[must_use]
    pub fn peer_of(&self, side: Side) -> Connection {
        let mut peer: Connection = match side {
            Side::Client => ServerConnection::new(self.server.clone().into()).unwrap().into(),
            Side::Server => {
                ClientConnection::new(self.client.clone().into(), "localhost".try_into().unwrap()).unwrap().into()
            }
        };
        peer.set_buffer_limit(None);
        peer
    }
}

/// Gives the peer bytes.
///
/// # Errors
///
/// What the peer says to them; there may be an alert in its [output](output_of) then.
pub fn feed(peer: &mut Connection, mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        if peer.read_tls(&mut bytes).unwrap() == 0 {
            break;
        }
        peer.process_new_packets()?;
    }
    Ok(())
}

/// What the peer has to say.
pub fn output_of(peer: &mut Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while peer.wants_write() {
        peer.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// The peer's plaintext on the wire.
pub fn data(peer: &mut Connection, plaintext: &[u8]) -> Vec<u8> {
    peer.writer().write_all(plaintext).unwrap();
    output_of(peer)
}

/// The peer's close_notify on the wire.
pub fn close_notify(peer: &mut Connection) -> Vec<u8> {
    peer.send_close_notify();
    output_of(peer)
}

/// A KeyUpdate that asks for an answer (TLS 1.3), on the wire.
pub fn key_update(peer: &mut Connection) -> Vec<u8> {
    peer.refresh_traffic_keys().unwrap();
    output_of(peer)
}

/// A fatal alert of the peer's on the wire: what rustls says to bytes that are no TLS. It is of no more use then.
pub fn fatal_alert(peer: &mut Connection) -> Vec<u8> {
    feed(peer, b"GET / HTTP/1.1").unwrap_err();
    output_of(peer)
}

/// A record that breaks the protocol: a flipped bit.
pub fn broken(peer: &mut Connection) -> Vec<u8> {
    let mut record = data(peer, b"hello");
    *record.last_mut().unwrap() ^= 1;
    record
}

/// What the peer makes of `bytes`: the plaintext, and whether it has been closed cleanly by now, or its error.
pub fn read_at(peer: &mut Connection, bytes: &[u8]) -> (Vec<u8>, Result<bool, Error>) {
    let mut plaintext = Vec::new();
    let mut result = Ok(());
    for chunk in bytes.chunks(4096) {
        result = feed(peer, chunk);
        let mut reader = peer.reader();
        while let Ok(chunk @ [_, ..]) = reader.fill_buf() {
            plaintext.extend_from_slice(chunk);
            let length = chunk.len();
            reader.consume(length);
        }
    }
    let closed = peer.process_new_packets().map(|state| state.peer_has_closed());
    (plaintext, result.and(closed))
}
