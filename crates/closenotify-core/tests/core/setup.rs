//! What sessions are made with: prepared configurations, providers that keep their keys, and the ClientHello read first.

use crate::peer::{self, Configs, EACH, FATAL, Side};
use bytes::BytesMut;
use closenotify_core::{
    ClientSetup, HELLO_MAX, Handshake, HandshakeError, HelloReader, Progress, Read, ServerSetup, Session,
};
use rustls::crypto::CryptoProvider;
use rustls::crypto::cipher::{
    AeadKey, Iv, MessageDecrypter, MessageEncrypter, Tls13AeadAlgorithm, UnsupportedOperationError,
};
use rustls::{CipherSuite, ClientConfig, ConnectionTrafficSecrets, SupportedCipherSuite, Tls13CipherSuite};
use std::io::IoSlice;
use std::sync::Arc;
use testkit::certs::TlsVersion;

/// Both ends are ours, made of setups that are made once.
#[test]
fn one_setup_serves_many_sessions_and_gives_its_configuration_back() {
    for version in TlsVersion::EACH {
        let configs = Configs::of(version);
        let (server, client) = (Arc::new(configs.server.clone()), Arc::new(configs.client.clone()));
        let (for_server, for_client) = (ServerSetup::from(server.clone()), ClientSetup::from(client.clone()));
        assert!(Arc::ptr_eq(for_server.config(), &server) && Arc::ptr_eq(for_client.config(), &client));
        for _ in 0..3 {
            let ours = Handshake::server(for_server.clone()).unwrap();
            let theirs = Handshake::client(for_client.clone(), "localhost".try_into().unwrap()).unwrap();
            let (mut server, mut client) = shake(ours, theirs);
            let mut output = BytesMut::new();
            client.sender.write(&[IoSlice::new(b"hello")], &mut output).unwrap();
            let mut received = Vec::new();
            assert_eq!(server.receiver.read(&mut output, &mut received).0, Read::Data(5));
            assert_eq!(received, b"hello");
        }
        assert_eq!(format!("{for_server:?} {for_client:?}"), "ServerSetup { .. } ClientSetup { .. }");
    }
}

fn shake(mut server: Handshake, mut client: Handshake) -> (Session, Session) {
    let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
    loop {
        client.take_output(&mut to_server);
        let at_server = server.advance(&mut to_server).unwrap();
        server.take_output(&mut to_client);
        let at_client = client.advance(&mut to_client).unwrap();
        if (at_client, at_server) == (Progress::Complete, Progress::Complete) {
            client.take_output(&mut to_server);
            assert!(to_server.is_empty());
            return (server.into_session(), client.into_session());
        }
    }
}

/// An AEAD that does not hand out keys.
struct Secretive(&'static dyn Tls13AeadAlgorithm);

impl Tls13AeadAlgorithm for Secretive {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        self.0.encrypter(key, iv)
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        self.0.decrypter(key, iv)
    }

    fn key_len(&self) -> usize {
        self.0.key_len()
    }

    fn extract_keys(&self, _: AeadKey, _: Iv) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

/// The error comes before any data and names the remedy.
#[test]
fn a_provider_that_keeps_its_keys_fails_the_handshake() {
    let configs = Configs::of(TlsVersion::V13);
    let mut provider = CryptoProvider::clone(configs.client.crypto_provider());
    provider.cipher_suites.retain(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256);
    let SupportedCipherSuite::Tls13(suite) = provider.cipher_suites[0] else { unreachable!("a suite of TLS 1.3") };
    provider.cipher_suites = vec![SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
        common: rustls::crypto::CipherSuiteCommon {
            suite: suite.common.suite,
            hash_provider: suite.common.hash_provider,
            confidentiality_limit: suite.common.confidentiality_limit,
        },
        hkdf_provider: suite.hkdf_provider,
        aead_alg: Box::leak(Box::new(Secretive(suite.aead_alg))),
        quic: None,
    })))];
    let client = ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(peer::roots())
        .with_no_client_auth();
    let (mut ours, mut peer) = peer::start(configs.server.clone(), client, Side::Client);
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    assert_eq!(ours.advance(&mut input), Ok(Progress::NeedInput));
    ours.take_output(&mut output);
    peer::feed(&mut peer, &output).unwrap();
    input.extend_from_slice(&peer::output_of(&mut peer));
    assert_eq!(ours.advance(&mut input), Err(HandshakeError::NoKeyExtraction));
    assert_eq!(ours.advance(&mut input), Err(HandshakeError::NoKeyExtraction));
}

/// A server that reads the ClientHello first refuses what one with a configuration does, with the same alert, and takes not
/// a byte.
#[test]
fn a_hello_that_is_read_first_is_refused_as_any() {
    let refused: [&[u8]; 11] = [
        b"GET / HTTP/1.1\r\n",
        b"G",
        &[22, 2],
        &[22, 3, 1, 0x40, 1],
        &[22, 3, 1, 0, 0],
        &[20, 3, 1, 0, 1, 1],
        &[21, 3, 1, 0, 1, 2],
        &[21, 3, 1, 0, 2, 2, 40],
        &[22, 3, 1, 0, 4, 1, 1, 0, 0],
        &[22, 3, 1, 0, 4, 20, 0, 0, 0],
        &[24, 3, 1, 0, 1, 0],
    ];
    for bytes in refused {
        let configured = Handshake::server(Configs::of(TlsVersion::V13).server.clone());
        let (mut configured, mut reader) = (configured.unwrap(), HelloReader::new());
        let expected = configured.advance(&mut BytesMut::from(bytes)).unwrap_err();
        let error = reader.look(bytes).unwrap_err();
        assert_eq!((error.word(), reader.look(bytes).unwrap_err()), (expected.word(), error.clone()), "{bytes:?}");
        let (mut ours, mut theirs) = (BytesMut::new(), BytesMut::new());
        reader.take_output(&mut ours);
        configured.take_output(&mut theirs);
        assert_eq!(ours, theirs, "{bytes:?}");
        assert_eq!(ours.is_empty(), matches!(error, HandshakeError::Alert(_)));
    }
}

/// A message in records of one byte takes six times its length: that is bounded too.
#[test]
fn a_hello_that_never_ends_is_refused() {
    let mut reader = HelloReader::new();
    let mut ours = Handshake::server(Configs::of(TlsVersion::V13).server.clone()).unwrap();
    let mut input = [22, 3, 1, 0, 4, 1, 0, 0xff, 0xff].to_vec();
    let (mut at_reader, mut at_handshake) = (None, None);
    let mut next = BytesMut::from(&input[..]);
    while at_reader.is_none() || at_handshake.is_none() {
        assert!(input.len() <= 2 * HELLO_MAX, "still not refused");
        at_reader = at_reader.or(reader.look(&input).err().map(|error| (input.len(), error)));
        at_handshake = at_handshake.or(ours.advance(&mut next).err().map(|error| (input.len(), error)));
        input.extend_from_slice(&[22, 3, 1, 0, 1, 0]);
        next = BytesMut::from(&[22, 3, 1, 0, 1, 0][..]);
    }
    let (length, error) = at_reader.unwrap();
    assert!(length <= HELLO_MAX && error == HandshakeError::HelloTooLong, "{length} {error}");
    let (length, error) = at_handshake.unwrap();
    assert!(length <= HELLO_MAX + 20_000, "{length} {error}");
    for (who, mut output) in [("reader", BytesMut::new()), ("handshake", BytesMut::new())] {
        match who {
            "reader" => reader.take_output(&mut output),
            _ => ours.take_output(&mut output),
        }
        assert_eq!(output[..], [21, 3, 3, 0, 2, FATAL, 47], "{who}");
    }
}

#[test]
fn a_hello_that_was_read_first_goes_on_and_a_refusal_tells_why() {
    for (version, side) in EACH {
        if side == Side::Client {
            continue;
        }
        let configs = Configs::of(version);
        for protocols in [vec![], vec![b"h2".to_vec()]] {
            let mut client = configs.client.clone();
            client.alpn_protocols = vec![b"http/1.1".to_vec()];
            let mut server = configs.server.clone();
            server.alpn_protocols.clone_from(&protocols);
            let (_, mut peer) = peer::start(server.clone(), client, side);
            let mut input = BytesMut::from(&peer::output_of(&mut peer)[..]);
            input.extend_from_slice(b"more");
            let mut reader = HelloReader::new();
            for cut in 0..input.len() - 5 {
                assert!(reader.look(&input[..cut]).unwrap().is_none());
            }
            let received = reader.look(&input).unwrap().expect("a complete ClientHello");
            assert_eq!(received.client_hello().server_name(), Some("localhost"));
            let mut output = BytesMut::new();
            let configured = received.configure(server, &mut input, &mut output);
            assert_eq!(input, b"more"[..]);
            if protocols.is_empty() {
                let mut ours = configured.unwrap();
                ours.take_output(&mut output);
                input.clear();
                peer::feed(&mut peer, &output).unwrap();
                input.extend_from_slice(&peer::output_of(&mut peer));
                assert_eq!(ours.advance(&mut input), Ok(Progress::Complete));
                assert_eq!(ours.into_session().facts.server_name(), Some("localhost"));
            } else {
                let error = configured.unwrap_err();
                assert_eq!(error.to_string(), "the handshake was refused: no application protocol (ALPN) in common");
                let told = peer::feed(&mut peer, &output).unwrap_err();
                assert_eq!(told, rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol));
            }
        }
    }
}
