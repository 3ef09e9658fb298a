//! The other end: plain rustls, or its keys in the hands of a [`Forge`] that seals whatever a test wants.

use bytes::BytesMut;
use closenotify_core::{Handshake, Progress, Read, Receiver, SenderOwes, Session};
use rustls::client::Resumption;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, Iv, MessageDecrypter, MessageEncrypter, OutboundChunks, OutboundPlainMessage,
};
use rustls::{
    ClientConfig, ClientConnection, Connection, ConnectionTrafficSecrets, ContentType, ProtocolVersion, ServerConfig,
    ServerConnection, SupportedCipherSuite,
};
use std::io::Write as _;
use std::sync::LazyLock;
use testkit::certs::{Authority, TlsVersion};

/// Which side the core plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// Both versions and both sides: what every test runs through.
pub(crate) const EACH: [(TlsVersion, Side); 4] = [
    (TlsVersion::V12, Side::Client),
    (TlsVersion::V12, Side::Server),
    (TlsVersion::V13, Side::Client),
    (TlsVersion::V13, Side::Server),
];

pub(crate) struct Configs {
    pub(crate) server: ServerConfig,
    pub(crate) client: ClientConfig,
}

impl Configs {
    pub(crate) fn of(version: TlsVersion) -> &'static Self {
        static EACH: LazyLock<[Configs; 2]> = LazyLock::new(|| {
            let authority = Authority::new();
            TlsVersion::EACH.map(|version| {
                let mut server = ServerConfig::clone(&authority.server_config(version));
                // Without tickets a session's bytes are the test's own.
                server.send_tls13_tickets = 0;
                server.enable_secret_extraction = true;
                let mut client = ClientConfig::clone(&authority.client_config(version));
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
}

/// A session of the core, and its peer.
pub(crate) struct Met {
    pub(crate) ours: Session,
    pub(crate) peer: Connection,
    /// What the peer sent behind its handshake.
    pub(crate) input: BytesMut,
}

/// The core and the peer before the handshake.
pub(crate) fn start(server: ServerConfig, client: ClientConfig, side: Side) -> (Handshake, Connection) {
    let name = "localhost".try_into().unwrap();
    match side {
        Side::Client => {
            (Handshake::client(client.into(), name).unwrap(), ServerConnection::new(server.into()).unwrap().into())
        }
        Side::Server => {
            (Handshake::server(server.into()).unwrap(), ClientConnection::new(client.into(), name).unwrap().into())
        }
    }
}

pub(crate) fn meet(version: TlsVersion, side: Side) -> Met {
    let configs = Configs::of(version);
    meet_with(configs.server.clone(), configs.client.clone(), side)
}

pub(crate) fn meet_with(server: ServerConfig, client: ClientConfig, side: Side) -> Met {
    let (mut ours, mut peer) = start(server, client, side);
    let (mut to_us, mut to_peer) = (BytesMut::new(), BytesMut::new());
    for _ in 0..8 {
        let progress = ours.advance(&mut to_us).unwrap();
        ours.take_output(&mut to_peer);
        feed(&mut peer, &to_peer.split()).unwrap();
        to_us.extend_from_slice(&output_of(&mut peer));
        if progress == Progress::Complete && !peer.is_handshaking() {
            return Met { ours: ours.into_session(), peer, input: to_us };
        }
    }
    panic!("a handshake takes no more than eight rounds");
}

/// Gives the peer bytes.
pub(crate) fn feed(peer: &mut Connection, mut bytes: &[u8]) -> Result<(), rustls::Error> {
    while !bytes.is_empty() {
        if peer.read_tls(&mut bytes).unwrap() == 0 {
            break;
        }
        peer.process_new_packets()?;
    }
    Ok(())
}

/// What the peer has to say.
pub(crate) fn output_of(peer: &mut Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while peer.wants_write() {
        peer.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// The peer's plaintext as bytes on the wire.
pub(crate) fn data(peer: &mut Connection, plaintext: &[u8]) -> Vec<u8> {
    peer.writer().write_all(plaintext).unwrap();
    output_of(peer)
}

/// The peer's close_notify on the wire.
pub(crate) fn close_notify(peer: &mut Connection) -> Vec<u8> {
    peer.send_close_notify();
    output_of(peer)
}

/// A KeyUpdate that asks for an answer (TLS 1.3), on the wire.
pub(crate) fn key_update(peer: &mut Connection) -> Vec<u8> {
    peer.refresh_traffic_keys().unwrap();
    output_of(peer)
}

/// A fatal alert of the peer's on the wire: what rustls says about bytes that are no TLS.
pub(crate) fn fatal_alert(peer: &mut Connection) -> Vec<u8> {
    feed(peer, b"GET / HTTP/1.1").unwrap_err();
    output_of(peer)
}

/// Everything the peer can read, and whether its connection was closed by a close_notify.
pub(crate) fn read_at(peer: &mut Connection, bytes: &[u8]) -> (Vec<u8>, Result<bool, rustls::Error>) {
    let mut plaintext = Vec::new();
    let mut result = Ok(());
    for record in records(bytes) {
        result = feed(peer, record);
        let mut reader = peer.reader();
        while let Ok(chunk @ [_, ..]) = std::io::BufRead::fill_buf(&mut reader) {
            plaintext.extend_from_slice(chunk);
            let length = chunk.len();
            std::io::BufRead::consume(&mut reader, length);
        }
    }
    let closed = peer.process_new_packets().map(|state| state.peer_has_closed());
    (plaintext, result.and(closed))
}

/// The records in `bytes`; a part of one at the end counts as one.
pub(crate) fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let length =
            bytes.get(3..5).map_or(bytes.len(), |field| 5 + usize::from(field[0]) * 256 + usize::from(field[1]));
        let (record, rest) = bytes.split_at(length.min(bytes.len()));
        records.push(record);
        bytes = rest;
    }
    records
}

/// Reads until there is no more for now, through a buffer of `size` bytes; says whether anything was owed.
pub(crate) fn read_all(receiver: &mut Receiver, input: &mut BytesMut, size: usize, to: &mut Vec<u8>) -> (Read, bool) {
    let mut buffer = vec![0; size];
    let mut owed = false;
    loop {
        let mut room = &mut buffer[..];
        let (read, SenderOwes(owes)) = receiver.read(input, &mut room);
        let left = room.len();
        owed |= owes;
        match read {
            Read::Data(length) => {
                assert_eq!(length, size - left);
                assert!(length > 0);
                to.extend_from_slice(&buffer[..length]);
            }
            Read::NeedInput | Read::Ended => {
                assert_eq!(left, size, "no data means nothing written");
                return (read, owed);
            }
        }
    }
}

/// [`read_all`] with a buffer that holds everything.
pub(crate) fn read(ours: &mut Session, input: &mut BytesMut) -> (Vec<u8>, Read, bool) {
    let mut plaintext = Vec::new();
    let (read, owes) = read_all(&mut ours.receiver, input, 64 * 1024, &mut plaintext);
    (plaintext, read, owes)
}

/// The peer's keys, to seal records that rustls would not, and to open ours.
pub(crate) struct Forge {
    sealing: (Box<dyn MessageEncrypter>, u64),
    opening: (Box<dyn MessageDecrypter>, u64),
}

impl Forge {
    pub(crate) fn new(peer: Connection) -> Self {
        let suite = peer.negotiated_cipher_suite().unwrap();
        let secrets = peer.dangerous_extract_secrets().unwrap();
        let (sealing, opening) = (key_of(secrets.tx.1), key_of(secrets.rx.1));
        let (sealing, opening) = match suite {
            SupportedCipherSuite::Tls13(suite) => {
                (suite.aead_alg.encrypter(sealing.0, sealing.1), suite.aead_alg.decrypter(opening.0, opening.1))
            }
            // AES-GCM: 4 bytes of the nonce are implicit, 8 travel.
            SupportedCipherSuite::Tls12(suite) => (
                suite.aead_alg.encrypter(sealing.0, &sealing.1.as_ref()[..4], &sealing.1.as_ref()[4..]),
                suite.aead_alg.decrypter(opening.0, &opening.1.as_ref()[..4]),
            ),
        };
        let mut forge = Self { sealing: (sealing, 0), opening: (opening, secrets.rx.0) };
        // The AEAD wants to see every sequence number, those of the handshake too.
        while forge.sealing.1 < secrets.tx.0 {
            forge.record(ContentType::Handshake, b"");
        }
        forge
    }

    /// A record of the given type on the wire.
    pub(crate) fn record(&mut self, typ: ContentType, payload: &[u8]) -> Vec<u8> {
        let (sealing, sequence) = &mut self.sealing;
        let version = ProtocolVersion::TLSv1_2;
        let plain = OutboundPlainMessage { typ, version, payload: OutboundChunks::Single(payload) };
        let sealed = sealing.encrypt(plain, *sequence).unwrap();
        *sequence += 1;
        sealed.encode()
    }

    /// The types and payloads of our records.
    pub(crate) fn open(&mut self, bytes: &[u8]) -> Vec<(ContentType, Vec<u8>)> {
        let (opening, sequence) = &mut self.opening;
        let open = |record: &[u8]| {
            let mut payload = record[5..].to_vec();
            let sealed =
                InboundOpaqueMessage::new(ContentType::from(record[0]), ProtocolVersion::TLSv1_2, &mut payload);
            let plain = opening.decrypt(sealed, *sequence).unwrap();
            *sequence += 1;
            (plain.typ, plain.payload.to_vec())
        };
        records(bytes).into_iter().map(open).collect()
    }
}

fn key_of(secrets: ConnectionTrafficSecrets) -> (AeadKey, Iv) {
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (key, iv),
        _ => unreachable!("the suites of TLS 1.2 and 1.3 use these three"),
    }
}

/// The levels of an alert: the first byte of its payload.
pub(crate) const WARNING: u8 = 1;
pub(crate) const FATAL: u8 = 2;
