//! Exported keying material: the same as plain rustls has it, whatever the version, the suite, the side and the ending.

use crate::peer::{self, EACH, Met, Side};
use bytes::BytesMut;
use closenotify_core::{Exporter, SentEnding, TransportEnd};
use rustls::{ClientConfig, Connection, KeyLog, ServerConfig};
use std::fmt;
use std::sync::{Arc, Mutex};
use testkit::certs::TlsVersion;

const CONTEXTS: [Option<&[u8]>; 3] = [None, Some(b""), Some(b"a context")];

fn agree(exporter: &Exporter, peer: &Connection, case: &str) {
    for label in [&b"EXPORTER-Channel-Binding"[..], b"x", &[b'l'; 200]] {
        for context in CONTEXTS {
            for length in [1, 32, 48, 100, 1000] {
                let ours = exporter.export(vec![0; length], label, context).unwrap();
                let theirs = peer.export_keying_material(vec![0; length], label, context).unwrap();
                assert_eq!(ours, theirs, "{case}: {} bytes, {context:?}", length);
            }
        }
    }
}

#[test]
fn both_sides_export_the_same_in_every_suite_and_version() {
    for (version, side) in EACH {
        let configs = peer::Configs::of(version);
        let provider = configs.client.crypto_provider();
        let mut suites = 0;
        for suite in provider.cipher_suites.iter().filter(|suite| suite.version().version == protocol(version)) {
            let mut only = provider.as_ref().clone();
            only.cipher_suites = vec![*suite];
            let client = ClientConfig::builder_with_provider(only.into())
                .with_protocol_versions(&[suite.version()])
                .unwrap()
                .with_root_certificates(peer::roots())
                .with_no_client_auth();
            // The server's certificate is not for RSA.
            if format!("{:?}", suite.suite()).contains("RSA") {
                continue;
            }
            let Met { ours, peer, .. } = peer::meet_with(configs.server.clone(), client, side);
            assert_eq!(ours.facts.negotiated_cipher_suite(), suite.suite());
            agree(&ours.exporter, &peer, &format!("{side:?}, {:?}", suite.suite()));
            suites += 1;
        }
        assert_eq!(suites, 3, "{version:?}");
    }
}

fn protocol(version: TlsVersion) -> rustls::ProtocolVersion {
    match version {
        TlsVersion::V12 => rustls::ProtocolVersion::TLSv1_2,
        TlsVersion::V13 | TlsVersion::Both => rustls::ProtocolVersion::TLSv1_3,
    }
}

/// The random of the server, which TLS 1.2 exports with, is put together from as many records as it takes.
#[test]
fn fragmented_hellos_make_no_difference() {
    for (version, side) in EACH {
        let configs = peer::Configs::of(version);
        let (mut server, mut client) = (configs.server.clone(), configs.client.clone());
        (server.max_fragment_size, client.max_fragment_size) = (Some(32), Some(32));
        let Met { ours, peer, .. } = peer::meet_with(server, client, side);
        assert_eq!(ours.facts.server_name(), Some("localhost"));
        agree(&ours.exporter, &peer, &format!("{version:?} {side:?}"));
    }
}

#[test]
fn resumed_sessions_export_too() {
    for version in TlsVersion::EACH {
        let configs = peer::Configs::of(version);
        let (mut server, mut client) = (configs.server.clone(), configs.client.clone());
        server.send_tls13_tickets = 1;
        client.resumption = rustls::client::Resumption::in_memory_sessions(8);
        for resumed in [false, true] {
            let Met { mut ours, peer, mut input } = peer::meet_with(server.clone(), client.clone(), Side::Client);
            let _ = peer::read(&mut ours, &mut input);
            assert_eq!(ours.facts.resumed(), resumed);
            agree(&ours.exporter, &peer, &format!("{version:?}, resumed: {resumed}"));
        }
    }
}

#[test]
fn it_outlives_both_halves() {
    for (version, side) in EACH {
        let Met { mut ours, peer, input } = peer::meet(version, side);
        ours.receiver.transport_ended(TransportEnd::Reset, &input);
        drop(ours.receiver);
        assert_eq!(ours.sender.close(&mut BytesMut::new()), SentEnding::CloseNotify);
        agree(&ours.exporter, &peer, &format!("{version:?} {side:?}"));
    }
}

#[test]
fn what_cannot_be_exported_is_an_error_and_the_secret_is_not_shown() {
    for (version, side) in EACH {
        let Met { ours, .. } = peer::meet(version, side);
        let refused = |length, label: &[u8], context: &[u8]| {
            ours.exporter.export(vec![0; length], label, Some(context)).unwrap_err().to_string()
        };
        assert!(refused(0, b"label", b"").ends_with("no keying material of 0 bytes is exported"));
        if version == TlsVersion::V13 {
            assert!(refused(70_000, b"label", b"").ends_with("more keying material than an exporter can make"));
            assert!(refused(20_000, b"label", b"").ends_with("more keying material than an exporter can make"));
            assert!(refused(1, &[b'l'; 250], b"").ends_with("the label is longer than an exporter can take"));
        } else {
            assert!(refused(1, b"", b"").ends_with("no keying material is exported for an empty label"));
            assert!(refused(1, b"label", &[0; 65_536]).ends_with("the context is longer than an exporter can take"));
        }
        assert_eq!(format!("{:?}", ours.exporter), "Exporter { .. }");
    }
}

/// The user's own key log gets the labels that it wants, and nothing else.
#[test]
fn the_users_key_log_is_served_as_before() {
    struct Log(Mutex<Vec<String>>);
    impl KeyLog for Log {
        fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
            assert!(!secret.is_empty());
            self.0.lock().unwrap().push(label.to_owned());
        }
        fn will_log(&self, label: &str) -> bool {
            label == "SERVER_TRAFFIC_SECRET_0"
        }
    }
    impl fmt::Debug for Log {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Log")
        }
    }
    for (version, side) in EACH {
        let configs = peer::Configs::of(version);
        let (mut server, mut client): (ServerConfig, ClientConfig) = (configs.server.clone(), configs.client.clone());
        let log = Arc::new(Log(Mutex::default()));
        match side {
            Side::Client => client.key_log = log.clone(),
            Side::Server => server.key_log = log.clone(),
        }
        let (mut ours, mut peer) = peer::start(server, client, side);
        // The peer's configuration is the same; only what ours logs counts.
        log.0.lock().unwrap().clear();
        let (mut to_us, mut to_peer) = (BytesMut::new(), BytesMut::new());
        for _ in 0..4 {
            let _ = ours.advance(&mut to_us).unwrap();
            ours.take_output(&mut to_peer);
            let met = log.0.lock().unwrap().len();
            peer::feed(&mut peer, &to_peer.split()).unwrap();
            log.0.lock().unwrap().truncate(met);
            to_us.extend_from_slice(&peer::output_of(&mut peer));
        }
        // rustls logs the master secret of TLS 1.2 to whoever is there.
        let expected = if version == TlsVersion::V12 { "CLIENT_RANDOM" } else { "SERVER_TRAFFIC_SECRET_0" };
        assert_eq!(*log.0.lock().unwrap(), [expected], "{version:?} {side:?}");
    }
}
