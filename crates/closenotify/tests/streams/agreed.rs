//! What the two ends of a session agree on or not: client certificates, protocols, resumption, keying material. Both are
//! ours here, so that each side of a refusal is seen.

use crate::peer::{authority, parts};
use closenotify::{
    AlertDescription, Ended, HandshakeError, Linger, ReadError, ReceivedEnding, SentEnding, TlsAcceptor, TlsConnector,
    client, server,
};
use rustls::{ClientConfig, Error, ServerConfig};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use testkit::certs::{Authority, TlsVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

type Accepted = io::Result<server::TlsStream<DuplexStream>>;
type Connected = io::Result<client::TlsStream<DuplexStream>>;

async fn meet(acceptor: &TlsAcceptor, connector: &TlsConnector) -> (Accepted, Connected) {
    let (to_server, to_client) = tokio::io::duplex(64 * 1024);
    tokio::join!(acceptor.accept(to_client), connector.connect("localhost".try_into().unwrap(), to_server))
}

async fn meet_well(
    acceptor: &TlsAcceptor,
    connector: &TlsConnector,
) -> (server::TlsStream<DuplexStream>, client::TlsStream<DuplexStream>) {
    let (server, client) = meet(acceptor, connector).await;
    (server.unwrap(), client.unwrap())
}

/// Closes both ends at once.
async fn close_both(server: server::TlsStream<DuplexStream>, client: client::TlsStream<DuplexStream>) -> [Ended; 2] {
    tokio::join!(server.close(Linger::default()), client.close(Linger::default())).into()
}

#[tokio::test]
async fn a_client_certificate_is_known_to_the_server_whether_it_was_required_or_asked_for() {
    for version in TlsVersion::EACH {
        let leaf = authority().issue_client("alice");
        let shown = TlsConnector::from(authority().client_config_with(version, &leaf));
        let none = TlsConnector::from(authority().client_config(version));
        let required = TlsAcceptor::from(authority().server_config_requiring_client(version));
        let asked = TlsAcceptor::from(authority().server_config_asking_client(version));
        for (acceptor, connector, known) in
            [(&required, &shown, Some(leaf.chain())), (&asked, &shown, Some(leaf.chain())), (&asked, &none, None)]
        {
            let (server, client) = meet_well(acceptor, connector).await;
            assert_eq!(server.facts().peer_certificates(), known.as_deref(), "{version:?}");
            for ended in close_both(server, client).await {
                assert!(ended.is_clean(), "{ended}");
            }
        }
    }
}

/// In TLS 1.3 a client has finished before the server looks at its certificate (RFC 9846 section 4.5.1.4): so it hears of
/// a refusal where it reads, and what it wrote was for nobody.
#[tokio::test]
async fn a_refused_client_is_told_in_its_handshake_by_tls_1_2_and_in_its_first_read_by_tls_1_3() {
    // It is of the same name as ours, and has another key.
    let stranger = Authority::new().issue_client("mallory");
    for version in TlsVersion::EACH {
        for (config, refusal, alert) in [
            (
                authority().client_config(version),
                "peer sent no certificates",
                // TLS 1.2 has no alert of its own for it (RFC 5246 section 7.4.6).
                if version == TlsVersion::V12 { "handshake_failure" } else { "certificate_required" },
            ),
            (
                authority().client_config_with(version, &stranger),
                "invalid peer certificate: BadSignature",
                "decrypt_error",
            ),
        ] {
            let acceptor = TlsAcceptor::from(authority().server_config_requiring_client(version));
            let (server, client) = meet(&acceptor, &TlsConnector::from(config)).await;
            let error = server.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            let Some(HandshakeError::Refused(error)) = HandshakeError::find(&error) else { panic!("{error:?}") };
            assert_eq!(error.to_string(), refusal, "{version:?}");
            if version == TlsVersion::V12 {
                let error = client.unwrap_err();
                let Some(HandshakeError::Alert(told)) = HandshakeError::find(&error) else { panic!("{error:?}") };
                assert_eq!(told.to_string(), alert);
                continue;
            }
            let mut client = client.unwrap();
            let error = client.read_u8().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
            let Some(ReceivedEnding::Alert(told)) = ReadError::find(&error).map(ReadError::ending) else {
                panic!("{error:?}")
            };
            assert_eq!(told.to_string(), alert);
            let ended = client.close(Linger::default()).await;
            assert_eq!(
                (ended.received.word().into_owned(), ended.sent),
                (format!("alert_{alert}"), SentEnding::Aborted)
            );
        }
    }
}

#[tokio::test]
async fn a_session_that_closes_at_once_can_be_resumed_and_the_resumed_one_closes_as_well() {
    for version in TlsVersion::EACH {
        let acceptor = TlsAcceptor::from(authority().server_config(version));
        let connector = TlsConnector::from(authority().client_config(version));
        let mut materials = Vec::new();
        for resumed in [false, true, true] {
            let (mut server, mut client) = meet_well(&acceptor, &connector).await;
            for facts in [server.facts(), client.facts()] {
                assert_eq!(facts.resumed(), resumed, "{version:?}");
            }
            let [ours, theirs] = [
                server.export_keying_material([0; 32], b"EXPORTER-test", None).unwrap(),
                client.export_keying_material([0; 32], b"EXPORTER-test", None).unwrap(),
            ];
            assert_eq!(ours, theirs);
            materials.push(ours);
            if materials.len() == 3 {
                // With data, too, and the server first.
                server.write_all(b"answer").await.unwrap();
                server.shutdown().await.unwrap();
                let mut answer = Vec::new();
                client.read_to_end(&mut answer).await.unwrap();
                assert_eq!(answer, b"answer");
            }
            // Nothing else was read: the tickets of TLS 1.3 come in with the close.
            for ended in close_both(server, client).await {
                let received = ReceivedEnding::CloseNotify;
                assert_eq!(parts(&ended), (received, SentEnding::CloseNotify, 0), "{version:?}");
            }
        }
        materials.sort_unstable();
        materials.dedup();
        assert_eq!(materials.len(), 3, "each session has keys of its own");
    }
}

#[tokio::test]
async fn a_connector_offers_the_protocols_that_it_was_given() {
    for version in TlsVersion::EACH {
        let mut config = ServerConfig::clone(&authority().server_config(version));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut config = ClientConfig::clone(&authority().client_config(version));
        config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
        let connector = TlsConnector::from(Arc::new(config)).buffer_limit(20_000);
        assert_eq!(acceptor.config().alpn_protocols.len(), 2);
        assert_eq!(connector.config().alpn_protocols, [b"acme-tls/1"]);
        for (offered, agreed) in [
            (vec![b"http/1.1".to_vec()], Some(&b"http/1.1"[..])),
            (vec![b"http/1.1".to_vec(), b"h2".to_vec()], Some(b"h2")),
            (vec![], None),
        ] {
            let connector = connector.with_alpn(offered);
            let (server, mut client) = meet_well(&acceptor, &connector).await;
            assert_eq!((server.facts().alpn_protocol(), client.facts().alpn_protocol()), (agreed, agreed));
            assert_eq!(client.write(&[0; 100_000]).await.unwrap(), 20_000, "the other settings stay");
        }
        // Nothing in common.
        let (server, client) = meet(&acceptor, &connector).await;
        let error = server.unwrap_err();
        assert_eq!(HandshakeError::find(&error), Some(&HandshakeError::Refused(Error::NoApplicationProtocol)));
        let error = client.unwrap_err();
        let alert = AlertDescription::from(120);
        assert_eq!(HandshakeError::find(&error), Some(&HandshakeError::Alert(alert)));
        assert_eq!(alert.to_string(), "no_application_protocol");
    }
}
