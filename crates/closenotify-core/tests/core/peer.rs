//! The other end: plain rustls, or its keys in the hands of a [`Forge`] that seals whatever a test wants.

use bytes::BytesMut;
use closenotify_core::{Handshake, Progress, Read, Receiver, SenderOwes, Session};
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, Iv, MessageDecrypter, MessageEncrypter, OutboundChunks, OutboundPlainMessage,
};
use rustls::{
    ClientConfig, Connection, ConnectionTrafficSecrets, ContentType, ProtocolVersion, ServerConfig,
    SupportedCipherSuite,
};
use testkit::certs::TlsVersion;
pub(crate) use testkit::plain::{
    Configs, EACH, Side, close_notify, data, fatal_alert, feed, key_update, output_of, read_at,
};

/// A session of the core, and its peer.
pub(crate) struct Met {
    pub(crate) ours: Session,
    pub(crate) peer: Connection,
    /// What the peer sent after its handshake.
    pub(crate) input: BytesMut,
}

/// Whom a client of any configuration trusts, for the server of [`Configs`].
pub(crate) fn roots() -> std::sync::Arc<rustls::RootCertStore> {
    testkit::plain::authority().roots()
}

/// The core and the peer before the handshake.
pub(crate) fn start(server: ServerConfig, client: ClientConfig, side: Side) -> (Handshake, Connection) {
    let peer = Configs { server: server.clone(), client: client.clone() }.peer_of(side);
    let ours = match side {
        Side::Client => Handshake::client(client, "localhost".try_into().unwrap()),
        Side::Server => Handshake::server(server),
    };
    (ours.unwrap(), peer)
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

/// Nothing is owed.
pub(crate) fn nothing() -> SenderOwes {
    SenderOwes::default()
}

/// Reads until there is no more for now, through a buffer of `size` bytes; returns what is owed for it too.
pub(crate) fn read_all(
    receiver: &mut Receiver,
    input: &mut BytesMut,
    size: usize,
    to: &mut Vec<u8>,
) -> (Read, SenderOwes) {
    let mut buffer = vec![0; size];
    let mut owed = nothing();
    loop {
        let mut room = &mut buffer[..];
        let (read, owes) = receiver.read(input, &mut room);
        let left = room.len();
        owed.merge(owes);
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
pub(crate) fn read(ours: &mut Session, input: &mut BytesMut) -> (Vec<u8>, Read, SenderOwes) {
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

/// Takes what is owed; returns it as bytes.
pub(crate) fn pay(ours: &mut Session, owes: SenderOwes) -> BytesMut {
    let mut output = BytesMut::new();
    ours.sender.take_owed(owes, &mut output);
    output
}

/// The levels of an alert: the first byte of its payload.
pub(crate) const WARNING: u8 = 1;
pub(crate) const FATAL: u8 = 2;
